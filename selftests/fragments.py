#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends one UDP datagram in two fragments by a raw socket that makes its own network headers, as a program does that fragments itself.

  fragments.py SRC DST --sport N --dport N [--payload OCTETS]

SRC and DST are IPv4 or IPv6 addresses. The checksum is that of the whole datagram.
"""

import argparse
import socket
import struct

FRAGMENT = 44
FIRST = 512
IDENTIFICATION = 0x6153


def ones(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def datagram(src, dst, sport, dport, size):
    """Returns a UDP datagram. size, that of its data, is even."""
    length = 8 + size
    body = struct.pack("!HHHH", sport, dport, length, 0) + bytes(size)
    value = ones(src + dst + struct.pack("!II", length, socket.IPPROTO_UDP) + body) or 0xffff
    return body[:6] + struct.pack("!H", value) + body[8:]


def packet(src, dst, at, more, part):
    if len(src) == 16:
        fragment = struct.pack("!BBHI", socket.IPPROTO_UDP, 0, at | more, IDENTIFICATION)
        return struct.pack("!IHBB", 6 << 28, len(fragment) + len(part), FRAGMENT, 64) + src + dst + fragment + part
    place = more << 13 | at >> 3
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(part), IDENTIFICATION, place, 64, socket.IPPROTO_UDP, 0) + src + dst + part


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("src")
    parser.add_argument("dst")
    parser.add_argument("--sport", type=int, required=True)
    parser.add_argument("--dport", type=int, required=True)
    parser.add_argument("--payload", type=int, default=1000)
    args = parser.parse_args()
    family = socket.AF_INET6 if ":" in args.src else socket.AF_INET
    src, dst = (socket.inet_pton(family, address) for address in (args.src, args.dst))
    body = datagram(src, dst, args.sport, args.dport, args.payload)
    sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for at in range(0, len(body), FIRST):
        part = body[at:at + FIRST]
        sock.sendto(packet(src, dst, at, at + FIRST < len(body), part), (args.dst, 0))


if __name__ == "__main__":
    main()
