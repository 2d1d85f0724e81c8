# SPDX-License-Identifier: GPL-2.0
"""Sockets with the options of the command line. Numbers are those of the kernel's headers."""

import os
import socket
import struct

IP_RECVERR, IPV6_RECVERR = 11, 25
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
SO_BINDTODEVICE, SO_MARK, SO_NO_CHECK = 25, 36, 11
IP_XFRM_POLICY, IPV6_XFRM_POLICY = 17, 35


def ipsec_policy(family, what):
    """Returns an IPsec policy of a socket, for all that it sends or, with "let-in", to accept all that it receives.

    This is a struct xfrm_userpolicy_info, and for "esp" a struct xfrm_user_tmpl after it.
    """
    selector = struct.pack("=16s16sHHHHHBBBxxxiI", b"", b"", 0, 0, 0, 0, family, 0, 0, 0, 0, 0)
    limits = struct.pack("=8Q", *[2 ** 64 - 1] * 4, 0, 0, 0, 0)
    direction, action = 0 if what == "let-in" else 1, 1 if what == "block" else 0
    policy = selector + limits + bytes(32) + struct.pack("=IIBBBB4x", 0, 0, direction, action, 0, 0)
    if what != "esp":
        return policy
    return policy + struct.pack("=16sIB3xH2x16sIBBBxIII", b"", 0, 50, family, b"", 0, 0, 0, 0, *[2 ** 32 - 1] * 3)


def protocol(kind):
    """Returns the socket type and the protocol."""
    return {
        "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP), "sctp": (socket.SOCK_STREAM, 132),
        "udpc": (socket.SOCK_DGRAM, socket.IPPROTO_UDP), "udpu": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        "udpi": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    }[kind]


def opened(family, kind, opts):
    """Returns a socket with the options of a flow."""
    six = family == socket.AF_INET6
    sock = socket.socket(family, *protocol(kind))
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "dev" in opts:
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, opts["dev"].encode() + b"\0")
    if "tos" in opts:
        level, option = (41, 67) if six else (0, 1)
        sock.setsockopt(level, option, int(opts["tos"], 0))
    if "uid" in opts:
        os.fchown(sock.fileno(), int(opts["uid"]), -1)
    if "mark" in opts:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, int(opts["mark"], 0))
    if "ttl" in opts:
        level, option = (41, 16) if six else (0, 2)
        sock.setsockopt(level, option, int(opts["ttl"]))
    if "df" in opts:
        level, option = (41, IPV6_MTU_DISCOVER) if six else (0, IP_MTU_DISCOVER)
        sock.setsockopt(level, option, 2)
    if "recverr" in opts:
        level, option = (41, IPV6_RECVERR) if six else (0, IP_RECVERR)
        sock.setsockopt(level, option, 1)
    if "ipsec" in opts:
        level, option = (41, IPV6_XFRM_POLICY) if six else (0, IP_XFRM_POLICY)
        sock.setsockopt(level, option, ipsec_policy(family, opts["ipsec"]))
    if "nocheck" in opts:
        sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    if "rcvbuf" in opts:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(opts["rcvbuf"]))
    return sock
