#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Lets TCP streams send in turns, so that other load on the machine slows all of them alike.

  race.py sink ADDR PORT                            receives until it is killed
  race.py run NETNS ADDR PORT NETNS ADDR PORT...    opens one stream from inside each network namespace

run prints "ready" when all streams are connected. For each line of standard input, which is a number of turns, it prints a JSON list:
for each turn the octets a second of each stream, from the first octet sent to the last one acknowledged.
"""

import array
import ctypes
import fcntl
import json
import os
import socket
import sys
import time

SLICE = 0.05
SIOCOUTQ = 0x5411
CHUNK = memoryview(bytes(1 << 20))


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def sink(addr, port):
    listener = socket.socket(family(addr), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((addr, int(port)))
    listener.listen()
    print("ready", flush=True)
    sock = listener.accept()[0]
    into = bytearray(1 << 20)
    while sock.recv_into(into):
        pass


def connect(netns, addr, port):
    fd = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), netns)
    os.close(fd)
    sock = socket.socket(family(addr), socket.SOCK_STREAM)
    sock.connect((addr, int(port)))
    return sock


def turn(sock):
    begin = time.monotonic()
    sent = 0
    while time.monotonic() - begin < SLICE:
        sent += sock.send(CHUNK)
    waiting = array.array("i", [1])
    while waiting[0]:
        fcntl.ioctl(sock, SIOCOUTQ, waiting)
        os.sched_yield()
    return sent / (time.monotonic() - begin)


def run(arguments):
    socks = [connect(*arguments[at:at + 3]) for at in range(0, len(arguments), 3)]
    print("ready", flush=True)
    for line in sys.stdin:
        rates = []
        for number in range(int(line)):
            order = list(enumerate(socks))
            found = [0] * len(socks)
            for at, sock in order if number % 2 else reversed(order):
                found[at] = round(turn(sock))
            rates.append(found)
        print(json.dumps(rates), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["sink"]:
        sink(*sys.argv[2:])
    else:
        run(sys.argv[2:])
