#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Connections between two machines, whose ends record when nothing came. One program has all of them, because an emulated machine is
slow.

  flows.py serve PORT RESULT            listens on PORT, with TCP and UDP, over IPv4 and IPv6
  flows.py run PORT RESULT FOUR SIX     connects to the server at its addresses FOUR and SIX

Both ends of a TCP connection send a record every 10 ms. A record says how many octets came before it. A client sends a datagram
every 10 ms, which is answered. RESULT.count says, ten times a second, how much each flow has received. At SIGTERM a JSON object is
written to RESULT: for each flow the number of units that came, the silences (from, to, in seconds since 1970) and the errors.
"""

import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time

INTERVAL, SILENCE, PATIENCE = 0.01, 0.03, 5
RECORD = struct.Struct("!Q56x")


class Flow:
    """One end of a connection, or of an exchange of datagrams."""

    def __init__(self, name, sock, sends):
        self.name, self.sock, self.sends = name, sock, sends
        self.units = self.corrupt = self.sent = 0
        self.last, self.silences, self.errors, self.rest = None, [], [], b""
        sock.setblocking(False)

    def heard(self, now, units):
        if self.last is not None and now - self.last > SILENCE:
            self.silences.append([self.last, now])
        self.last = now
        self.units += units

    def failed(self, problem):
        if problem.errno not in (errno.EAGAIN, errno.EINTR):
            self.errors.append([time.time(), errno.errorcode.get(problem.errno, str(problem))])

    def end(self):
        self.sends = False

    def report(self):
        return {"units": self.units, "corrupt": self.corrupt, "silences": self.silences, "errors": self.errors, "last": self.last}


class Stream(Flow):
    over = False

    def __init__(self, name, sock, sends):
        super().__init__(name, sock, sends)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unsent = b""

    def tick(self):
        # Data that the socket does not accept stay here, also the rest of a record.
        try:
            if not self.unsent:
                self.unsent = RECORD.pack(self.sent)
                self.sent += RECORD.size
            self.unsent = self.unsent[self.sock.send(self.unsent):]
        except OSError as problem:
            self.failed(problem)
            self.over = problem.errno != errno.EAGAIN

    def end(self):
        super().end()
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as problem:
            self.failed(problem)

    def readable(self, now):
        try:
            data = self.sock.recv(1 << 16)
        except OSError as problem:
            self.failed(problem)
            self.over = problem.errno != errno.EAGAIN
            return
        self.over = not data
        self.rest += data
        while len(self.rest) >= RECORD.size:
            if RECORD.unpack_from(self.rest)[0] != self.units * RECORD.size:
                self.corrupt += 1
            self.rest = self.rest[RECORD.size:]
            self.heard(now, 1)


class Datagrams(Flow):
    over = False

    def __init__(self, name, sock, sends, answers=False):
        super().__init__(name, sock, sends)
        self.answers = answers

    def tick(self):
        try:
            self.sock.send(RECORD.pack(self.sent))
            self.sent += 1
        except OSError as problem:
            self.failed(problem)

    def readable(self, now):
        try:
            data, peer = self.sock.recvfrom(2048)
        except OSError as problem:
            self.failed(problem)
            return
        self.heard(now, 1)
        if self.answers:
            try:
                self.sock.sendto(data, peer)
            except OSError as problem:
                self.failed(problem)


def sockets(port, kind):
    """Yields listening sockets, one of each family."""
    for number, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if number == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", port))
        yield number, sock


def main():
    role, port, result = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    flows, listeners, stop = {}, {}, []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    poll = select.epoll()

    def add(flow):
        flows[flow.sock.fileno()] = flow
        poll.register(flow.sock, select.EPOLLIN)

    if role == "serve":
        for number, sock in sockets(port, socket.SOCK_STREAM):
            sock.listen()
            listeners[sock.fileno()] = number, sock
            poll.register(sock, select.EPOLLIN)
        for number, sock in sockets(port, socket.SOCK_DGRAM):
            add(Datagrams(f"IPv{number} udp", sock, False, True))
    else:
        for number, family, peer in ((4, socket.AF_INET, sys.argv[4]), (6, socket.AF_INET6, sys.argv[5])):
            for name, kind, make in (("tcp", socket.SOCK_STREAM, Stream), ("udp", socket.SOCK_DGRAM, Datagrams)):
                sock = socket.socket(family, kind)
                sock.connect((peer, port))
                add(make(f"IPv{number} {name}", sock, True))
    due, told, every, patience = time.monotonic(), 0, list(flows.values()), None
    while not stop or (role == "run" and time.monotonic() < (patience or due + 1)):
        if stop and not patience:
            # Data in flight can still arrive, and the server sees an orderly end.
            patience = time.monotonic() + PATIENCE
            for flow in every:
                flow.end()
        if stop and not any(isinstance(flow, Stream) for flow in flows.values()):
            break
        left = due - time.monotonic()
        ready = poll.poll(max(0, left))
        now = time.time()
        for number, _ in ready:
            if number in listeners:
                family, listener = listeners[number]
                add(Stream(f"IPv{family} tcp", listener.accept()[0], True))
                every.append(list(flows.values())[-1])
                continue
            flow = flows[number]
            flow.readable(now)
            if flow.over:
                flow.sock.close()
                del flows[number]
        if time.monotonic() < due:
            continue
        # Missed ticks are not made up for.
        due = max(due + INTERVAL, time.monotonic())
        for flow in flows.values():
            if flow.sends:
                flow.tick()
        told += 1
        if told % 10 == 1:
            with open(result + ".new", "w", encoding="ascii") as file:
                file.writelines(f"{flow.name.replace(' ', '-')} {flow.units}\n" for flow in every)
            os.rename(result + ".new", result + ".count")
    with open(result + ".new", "w", encoding="ascii") as file:
        json.dump({flow.name: flow.report() for flow in every}, file)
    os.rename(result + ".new", result)


main()
