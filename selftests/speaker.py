#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sockets that do what they are told, for tests of what an unprivileged program may send.

  speaker.py 4|6     reads commands, "NAME VERB [WORD]..." a line, and answers each with a line: a value, ok, or an errno

  NAME udp|tcp|ping|raw [DEVICE]   opens a socket
  NAME share                       SO_REUSEPORT
  NAME bind ADDR [PORT]            the port that it has now is the answer
  NAME connect ADDR PORT           waits for TCP's handshake
  NAME begin ADDR PORT             the same without waiting
  NAME disconnect                  connect(AF_UNSPEC)
  NAME say ADDR PORT               a datagram
  NAME say-from SOURCE ADDR PORT   a datagram from that source (IP_PKTINFO, IPV6_PKTINFO)
  NAME write                       a datagram or data to where it is connected
  NAME listen
  NAME accept NEW                  the accepted socket is called NEW
  NAME flag                        the value of IP_TRANSPARENT
  NAME close
"""

import ctypes
import errno
import os
import socket
import struct
import sys

IP_PKTINFO, IP_TRANSPARENT, IPV6_PKTINFO, SO_BINDTODEVICE = 8, 19, 50, 25
LIBC = ctypes.CDLL(None, use_errno=True)
SIX = sys.argv[1] == "6"
FAMILY = socket.AF_INET6 if SIX else socket.AF_INET
SOCKETS = {}


def here(addr):
    """An IPv4 address as an IPv6 socket knows it."""
    return f"::ffff:{addr}" if SIX and ":" not in addr else addr


def opened(kind, protocol=0):
    def command(name, device=None):
        SOCKETS[name] = sock = socket.socket(FAMILY, kind, protocol)
        sock.settimeout(10)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    return command


def share(name):
    SOCKETS[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def bind(name, addr, port="0"):
    SOCKETS[name].bind((here(addr), int(port)))
    return SOCKETS[name].getsockname()[1]


def connect(name, addr, port):
    SOCKETS[name].connect((here(addr), int(port)))
    return SOCKETS[name].getsockname()[1]


def begin(name, addr, port):
    SOCKETS[name].setblocking(False)
    connect(name, addr, port)


def disconnect(name):
    if LIBC.connect(SOCKETS[name].fileno(), bytes(28), 28):
        raise OSError(ctypes.get_errno(), "connect")


def payload(name):
    # An echo request for ping sockets.
    return struct.pack("!BBHHH", 8, 0, 0, 0, 1) + b"speaker!" if SOCKETS[name].proto == socket.IPPROTO_ICMP else b"speaker"


def say(name, addr, port):
    SOCKETS[name].sendto(payload(name), (here(addr), int(port)))


def say_from(name, source, addr, port):
    if ":" in addr:
        info = socket.IPPROTO_IPV6, IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, source) + struct.pack("I", 0)
    else:
        info = socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i", 0) + socket.inet_aton(source) + bytes(4)
    SOCKETS[name].sendmsg([payload(name)], [info], 0, (here(addr), int(port)))


def write(name):
    SOCKETS[name].send(payload(name))


def accept(name, new):
    SOCKETS[new], _ = SOCKETS[name].accept()


def flag(name):
    return SOCKETS[name].getsockopt(socket.IPPROTO_IP, IP_TRANSPARENT)


VERBS = {
    "udp": opened(socket.SOCK_DGRAM), "tcp": opened(socket.SOCK_STREAM), "ping": opened(socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "raw": opened(socket.SOCK_RAW, socket.IPPROTO_UDP), "share": share, "bind": bind, "connect": connect, "begin": begin,
    "disconnect": disconnect, "say": say, "say-from": say_from, "write": write, "accept": accept, "flag": flag,
    "listen": lambda name: SOCKETS[name].listen(8), "close": lambda name: SOCKETS.pop(name).close(),
}


def main():
    print("uid", os.getuid(), flush=True)
    for line in sys.stdin:
        name, verb, *words = line.split()
        try:
            answer = VERBS[verb](name, *words)
        except OSError as problem:
            answer = errno.errorcode.get(problem.errno, str(problem))
        print("ok" if answer is None else answer, flush=True)


if __name__ == "__main__":
    main()
