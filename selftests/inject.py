#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends crafted packets on a link, bypassing the hooks of the host that sends them.

  inject.py DEV udp|tcp|tcp-rst|echo-reply|unreachable SRC DST [--sport N] [--dport N] [--mac MAC] [--count N]
            [--ports N] [--by-turns SRC] [--wrong-checksum] [--ttl N] [--payload TEXT] [--seq N] [--ack N]
            [--quote SRC DST SPORT DPORT PROTO]

SRC and DST are IPv4 or IPv6 addresses. Without --mac the link address of DST comes from the neighbour table. --ports sends from so many
ports, one after the other. --by-turns sends from another address by turns. --count does all of that so many times.
"""

import argparse
import json
import socket
import struct
import subprocess


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def network(src, dst, protocol, payload, ttl):
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl) + packed(src) + packed(dst) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, 0) + packed(src) + packed(dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def transport(src, dst, protocol, payload, at, wrong, pseudo=True):
    """Returns payload with its checksum written at that offset."""
    start = b""
    if pseudo:
        start = packed(src) + packed(dst) + (struct.pack("!IHBB", len(payload), 0, 0, protocol) if ":" in src
                                            else struct.pack("!BBH", 0, protocol, len(payload)))
    value = checksum(start + payload)
    if protocol == 17 and not value:
        value = 0xffff
    if wrong:
        value ^= 0x5a5a
    return payload[:at] + struct.pack("!H", value) + payload[at + 2:]


def build(args):
    six = ":" in args.src
    data = args.payload.encode()
    if args.what == "udp":
        body = struct.pack("!HHHH", args.sport, args.dport, 8 + len(data), 0) + data
        return 17, transport(args.src, args.dst, 17, body, 6, args.wrong_checksum)
    if args.what in ("tcp", "tcp-rst"):
        flags = 0x04 if args.what == "tcp-rst" else 0x18
        body = struct.pack("!HHIIBBHHH", args.sport, args.dport, args.seq, args.ack, 5 << 4, flags, 1000, 0, 0) + data
        return 6, transport(args.src, args.dst, 6, body, 16, args.wrong_checksum)
    protocol = 58 if six else 1
    if args.what == "echo-reply":
        body = struct.pack("!BBHHH", 129 if six else 0, 0, 0, args.dport, args.seq & 0xffff) + data
    else:
        src, dst, sport, dport, inner = args.quote
        quote = network(src, dst, int(inner), struct.pack("!HHHH", int(sport), int(dport), 8 + 32, 0) + bytes(32), 64)
        body = struct.pack("!BBHI", 1 if six else 3, 4 if six else 3, 0, 0) + quote
    return protocol, transport(args.src, args.dst, protocol, body, 2, args.wrong_checksum, pseudo=six)


def neighbour(device, address):
    table = json.loads(subprocess.check_output(["ip", "-j", "neigh", "show", "dev", device]))
    return next(n["lladdr"] for n in table if n["dst"] == address and "lladdr" in n)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dev")
    parser.add_argument("what", choices=["udp", "tcp", "tcp-rst", "echo-reply", "unreachable"])
    parser.add_argument("src")
    parser.add_argument("dst")
    parser.add_argument("--sport", type=int, default=0)
    parser.add_argument("--dport", type=int, default=0)
    parser.add_argument("--mac")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--ports", type=int, default=1)
    parser.add_argument("--by-turns")
    parser.add_argument("--wrong-checksum", action="store_true")
    parser.add_argument("--ttl", type=int, default=64)
    parser.add_argument("--payload", default="ihmp")
    parser.add_argument("--seq", type=int, default=1)
    parser.add_argument("--ack", type=int, default=0)
    parser.add_argument("--quote", nargs=5)
    args = parser.parse_args()
    sources, packets = [args.src, args.by_turns], []
    for args.sport in range(args.sport, args.sport + args.ports):
        for args.src in filter(None, sources):
            protocol, payload = build(args)
            packets.append(network(args.src, args.dst, protocol, payload, args.ttl))
    ethertype = 0x86DD if ":" in args.src else 0x0800
    mac = bytes.fromhex((args.mac or neighbour(args.dev, args.dst)).replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ethertype) as sock:
        for _ in range(args.count):
            for packet in packets:
                sock.sendto(packet, (args.dev, ethertype, 0, 0, mac))


if __name__ == "__main__":
    main()
