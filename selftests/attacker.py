#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""An attacker on the link, who sees IHMP messages and sends forged ones.

  attacker.py sniff DEV FILE              prints "ready", and writes each message to FILE, as a line "SRC DST OCTETS"
  attacker.py KIND DEV FILE HOST SRC DST TARGET [--mac MAC]
              sends messages of this kind to DST, by the link address of TARGET or by MAC, and prints how many it has sent:
    replay      every captured message to DST, unchanged
    modify      the same, each with one octet changed, and each octet in turn
    restamp     the same with a later timestamp and a new sequence number
    readdress   the same from SRC, with SRC in the message
    reflect     every captured message from DST, back to DST
    unsigned    every kind of message without a signature, from SRC and in the name of HOST, with captured and other
                sequence numbers
    named       the same with the public key of HOST and a made-up signature
    flood       10,000 HELLOs from made-up sources

HOST is the address of the host that is impersonated.
"""

import argparse
import ipaddress
import random
import socket
import struct
import time

from inject import network, neighbour, transport

PORT = 61453
SIGNED, BLOCK = 0x04, 108
HELLO = 0
ROUTER_ACK = 9
# The codes of messages that change something, and how many addresses follow the source address in each.
KINDS = {0: 0, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2, 8: 0, ROUTER_ACK: 3}


def octets(address):
    value = ipaddress.ip_address(address)
    return b"\0" * 10 + b"\xff\xff" + value.packed if value.version == 4 else value.packed


def sniff(args):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    sock.bind((args.dev, 3))
    with open(args.file, "w", buffering=1, encoding="ascii") as file:
        print("ready", flush=True)
        while True:
            data = sock.recv(2048)
            six = data[0] >> 4 == 6
            head = 40 if six else (data[0] & 15) * 4
            if data[6 if six else 9] != 17 or struct.unpack_from("!H", data, head + 2)[0] != PORT:
                continue
            family, at, size = (socket.AF_INET6, 8, 16) if six else (socket.AF_INET, 12, 4)
            src = socket.inet_ntop(family, data[at:at + size])
            dst = socket.inet_ntop(family, data[at + size:at + 2 * size])
            length = struct.unpack_from("!H", data, head + 4)[0]
            file.write(f"{src} {dst} {data[head + 8:head + length].hex()}\n")


def seen(file):
    with open(file, encoding="ascii") as lines:
        for line in lines:
            src, dst, text = line.split()
            yield src, dst, bytes.fromhex(text)


def put(message, at, value):
    return message[:at] + value + message[at + len(value):]


def forged(args, key):
    """Yields every kind of message in the name of HOST that would move it to SRC, if it were believed."""
    numbers = sorted({struct.unpack_from("!H", m, 2)[0] for _, _, m in seen(args.file)})
    guesses = [(n + more) & 0xffff for n in numbers for more in range(3)] + random.sample(range(65536), 50)
    for number in guesses:
        for kind, more in KINDS.items():
            addresses = [args.src, args.src, args.src, args.host][:1 + more]
            terms = b""
            if more == 2:
                addresses[2] = args.host
            if kind == ROUTER_ACK:
                addresses, terms = [args.src, args.dst, args.host, args.host], struct.pack("!HB13x", 300, number & 1)
            block = b""
            if key:
                stamp = struct.pack("!Q", (1 << 63) + random.getrandbits(40))
                block = struct.pack("!BBH", 1, 0, 104) + stamp + key + random.randbytes(64)
            yield args.src, (struct.pack("!BBH", kind, SIGNED if key else 0, number) + block + octets(args.host)
                             + b"".join(octets(a) for a in addresses) + terms)


def messages(args):
    to_victim = [(s, m) for s, d, m in seen(args.file) if d == args.dst]
    from_victim = [(d, m) for s, d, m in seen(args.file) if s == args.dst]
    if args.kind == "replay":
        yield from to_victim
    elif args.kind == "modify":
        for src, message in to_victim[-4:]:
            for at in range(2, len(message)):
                yield src, put(message, at, bytes([message[at] ^ 1]))
    elif args.kind == "restamp":
        for src, message in to_victim:
            number, later = random.randbytes(2), struct.pack("!Q", (1 << 63) + random.getrandbits(40))
            yield src, put(message, 8, later)
            yield src, put(put(message, 8, later), 2, number)
    elif args.kind == "readdress":
        for _, message in to_victim:
            yield args.src, put(message, 4 + BLOCK + 16, octets(args.src))
            yield args.src, message
    elif args.kind == "reflect":
        for peer, message in from_victim:
            yield peer, message
            yield peer, put(message, 4 + BLOCK + 16, octets(peer))
    elif args.kind == "unsigned":
        yield from forged(args, None)
    elif args.kind == "named":
        key = next(m[16:48] for s, _, m in seen(args.file) if s == args.host and m[1] & SIGNED)
        yield from forged(args, key)
    elif args.kind == "flood":
        for number in range(10_000):
            src = str(ipaddress.ip_address(args.src) + (number << 8 if ":" not in args.src else number << 64))
            block = struct.pack("!BBHQ", 1, 0, 104, number + 1) + random.randbytes(96)
            yield src, struct.pack("!BBH", HELLO, SIGNED, number & 0xffff) + block + octets(src) * 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind")
    parser.add_argument("dev")
    parser.add_argument("file")
    parser.add_argument("host", nargs="?")
    parser.add_argument("src", nargs="?")
    parser.add_argument("dst", nargs="?")
    parser.add_argument("target", nargs="?")
    parser.add_argument("--mac")
    args = parser.parse_args()
    random.seed(1)
    if args.kind == "sniff":
        sniff(args)
        return
    ethertype = 0x86DD if ":" in args.dst else 0x0800
    mac = bytes.fromhex((args.mac or neighbour(args.dev, args.target)).replace(":", ""))
    count = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ethertype) as sock:
        for src, message in messages(args):
            body = struct.pack("!HHHH", PORT, PORT, 8 + len(message), 0) + message
            body = transport(src, args.dst, 17, body, 6, False)
            sock.sendto(network(src, args.dst, 17, body, 64), (args.dev, ethertype, 0, 0, mac))
            count += 1
            if count % 16 == 0:
                # Sends no faster than the link and the sockets can take: nobody would count a message that they drop.
                time.sleep(0.002)
    print(count)


if __name__ == "__main__":
    main()
