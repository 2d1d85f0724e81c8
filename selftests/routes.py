#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Inserts many routes as fast as a routing daemon does: many requests in one send, and only the last one is answered.

  routes.py DEV FIRST COUNT [MIDWAY]    inserts IPv4 routes to single addresses by DEV, beginning with FIRST; makes the
                                        file MIDWAY when half of them are there
"""

import ipaddress
import socket
import struct
import sys

RTM_NEWROUTE = 24
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 253, 1
RTA_DST, RTA_OIF = 1, 4
PIECE = 500
MESSAGE = struct.Struct("=IHHII8BIHH4sHHI")


def message(flags, seq, addr, index):
    return MESSAGE.pack(MESSAGE.size, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | flags, seq, 0,
                        socket.AF_INET, 32, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST, 0,
                        8, RTA_DST, addr.to_bytes(4, "big"), 8, RTA_OIF, index)


def main():
    index, first, count = socket.if_nametoindex(sys.argv[1]), int(ipaddress.IPv4Address(sys.argv[2])), int(sys.argv[3])
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    for begin in range(first, first + count, PIECE):
        end = min(begin + PIECE, first + count)
        sock.send(b"".join(message(NLM_F_ACK if addr + 1 == end else 0, addr, addr, index) for addr in range(begin, end)))
        # Of a request that asks for no answer the kernel reports only a failure.
        seq = 0
        while seq != end - 1:
            answer = sock.recv(65536)
            seq, error = struct.unpack_from("=I", answer, 8)[0], struct.unpack_from("=i", answer, 16)[0]
            if error:
                raise OSError(-error, "netlink")
        if sys.argv[4:] and begin <= first + count // 2 < end:
            open(sys.argv[4], "w").close()


if __name__ == "__main__":
    main()
