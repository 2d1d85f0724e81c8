#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Forges a router's answers to announcements of moves: once as if the move were granted, once as if it were rejected.

  grants.py seen FILE                    prints how many ROUTER_ACKs are in FILE, a capture by `attacker.py sniff`
  grants.py moves FILE                   prints a line "NAME SOURCE OLD" for each HANDOFF and ADDR_DOWN in FILE, and a line "NAME SOURCE
                                         NEW" for each ADDR_UP
  grants.py forge DEV ROUTER KEY FILE    answers each HANDOFF and ADDR_UP that arrives on DEV, from the address ROUTER; prints
                                         "ready", and when it is ended a line "KIND COUNT" for each kind:
    unsigned   without a signature
    stranger   with an unknown key
    named      with the key of the router and a made-up signature
    number     the same with another sequence number
    replay     ROUTER_ACKs from FILE, unchanged
    moved      the same with the sequence number of the request
    changed    the same as if the move was rejected
"""

import ipaddress
import random
import signal
import socket
import struct
import sys

from attacker import BLOCK, PORT, ROUTER_ACK, SIGNED, octets, put, seen

ADDR_UP, ADDR_UP_UNREACHABLE, ADDR_DOWN, HANDOFF = 2, 3, 4, 6


def text(address):
    value = ipaddress.ip_address(address)
    return str(value.ipv4_mapped or value)


def addresses(message):
    at = 4 + (BLOCK if message[1] & SIGNED else 0) + 16
    return [text(message[i:i + 16]) for i in range(at, len(message), 16)]


def forged(request, new, peer, router, key, old_grants):
    """Yields kind and octets of all answers to one request."""
    number = struct.unpack_from("!H", request, 2)[0]
    listed = addresses(request)
    old = listed[2] if len(listed) > 2 else listed[0]
    ends = octets(router) + b"".join(octets(a) for a in (router, new, old, peer))

    def answer(signer, seqno, rejected):
        block = b""
        if signer:
            stamp = struct.pack("!Q", (1 << 63) + random.getrandbits(40))
            block = struct.pack("!BBH", 1, 0, 104) + stamp + signer + random.randbytes(64)
        terms = struct.pack("!HB13x", 300, rejected)
        return struct.pack("!BBH", ROUTER_ACK, SIGNED if signer else 0, seqno) + block + ends + terms

    for rejected in False, True:
        yield "unsigned", answer(None, number, rejected)
        yield "stranger", answer(random.randbytes(32), number, rejected)
        yield "named", answer(key, number, rejected)
        for more in 1, 2, 77:
            yield "number", answer(key, (number + more) & 0xffff, rejected)
    for grant in old_grants:
        yield "replay", grant
        yield "moved", put(grant, 2, request[2:4])
        yield "changed", put(grant, len(grant) - 14, b"\x01")


def forge(dev, router, key, file):
    old_grants = [m for _, _, m in seen(file) if m[0] == ROUTER_ACK][:4]
    counts = dict.fromkeys(("unsigned", "stranger", "named", "number", "replay", "moved", "changed"), 0)
    family = socket.AF_INET6 if ":" in router else socket.AF_INET
    out = socket.socket(family, socket.SOCK_DGRAM)
    out.bind((router, PORT))
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    tap.bind((dev, 3))

    def end(*_):
        for kind, count in counts.items():
            print(kind, count)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        data = tap.recv(2048)
        six = data[0] >> 4 == 6
        head = 40 if six else (data[0] & 15) * 4
        if data[6 if six else 9] != 17 or struct.unpack_from("!H", data, head + 2)[0] != PORT:
            continue
        message = data[head + 8:head + struct.unpack_from("!H", data, head + 4)[0]]
        if message[0] not in (ADDR_UP, HANDOFF):
            continue
        size, at = (16, 8) if six else (4, 12)
        new, peer = (socket.inet_ntop(family, data[i:i + size]) for i in (at, at + size))
        for kind, answer in forged(message, new, peer, router, bytes.fromhex(key), old_grants):
            out.sendto(answer, (new, PORT))
            counts[kind] += 1


def main():
    random.seed(1)
    verb, *words = sys.argv[1:]
    if verb == "forge":
        forge(*words)
    elif verb == "seen":
        print(sum(message[0] == ROUTER_ACK for _, _, message in seen(words[0])))
    else:
        for src, _, message in seen(words[0]):
            if message[0] == HANDOFF:
                print("handoff", src, addresses(message)[2])
            elif message[0] == ADDR_DOWN:
                print("addr-down", src, addresses(message)[1])
            elif message[0] in (ADDR_UP, ADDR_UP_UNREACHABLE):
                print("addr-up" if message[0] == ADDR_UP else "addr-up-unreachable", src, addresses(message)[1])


if __name__ == "__main__":
    main()
