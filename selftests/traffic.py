#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Traffic that knows what it lost: TCP, SCTP, UDP and ping, driven and judged by the tests.

  traffic.py serve -4|-6 [--bind ADDR] [common options] KIND:PORT...
  traffic.py run -4|-6 HOST [common options] KIND[:PORT][,OPTION=VALUE]...

KIND is tcp, sctp, udpc (connected at both ends), udpu (connected at neither), udpi (a server like udpu that answers from the
address at which it was asked, by IP_PKTINFO or IPV6_PKTINFO), or ping. Both programs print
"ready" when everything is open and answered, write the state of their flows to --progress every 20 ms ("name count" a
line) and their findings to --result as JSON when they end. A client ends at SIGTERM or after --seconds: it stops
sending, waits for what is on the way, and says what never came. A server ends at SIGTERM.

Stream options: send=0|1, recv=0|1 (which way data go; both by default), rate (octets a second and direction, 0 for as
fast as it goes), bytes (a finite transfer, hashed), count (that many connections), burst=1 (nothing until told).
Datagram options: interval (seconds), size, reply (octets of the answer, size by default), source=1 (the server sends
by itself), df=1, recverr=1, nocheck=1 (no UDP checksum over IPv4), segment=N (N datagrams in one call, by UDP_SEGMENT, in
bursts). All: name, sport, bind, dev, mark, ttl, ipsec=esp|block|allow|let-in (a policy of the socket's own for what it sends, or
gets, IP_XFRM_POLICY).
ping: interval, size, args.
With nothing on the way, ping waits busily for the last 10 ms before a request, which is slow in time travel: give it an
interval that is shorter than the round trip or more than 10 ms longer.
On stdin a client takes "burst N": every stream sends N octets both ways, every datagram flow N octets in datagrams;
"burst done" is printed when all of it came back right.

  traffic.py standby

becomes one of these for each line on stdin, which has the file of a network namespace, those for input and output, and the
arguments, with tabs between; and prints the process of each. Loading everything takes ten times as long as a fork.

Data are a function of their position, so a misplaced octet is a corrupt one.
"""

import argparse
import asyncio
import errno
import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
import sys
import time

PERIOD = 65521
CHUNK = 1 << 16
TABLE = random.Random(61453).randbytes(PERIOD)
TABLE = memoryview(TABLE * 3)
# Datagram: magic, kind, reply size, sequence number, time in ns; then data that depend on the sequence number.
HEAD = struct.Struct("!IHHQQ")
MAGIC = 0x49484D50
ECHO, START, DATA = range(3)
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_MTU, IPV6_MTU = 10, 23, 14, 24
SO_BINDTODEVICE, SO_MARK, SO_NO_CHECK = 25, 36, 11
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
SOL_UDP, UDP_SEGMENT = 17, 103
IP_XFRM_POLICY, IPV6_XFRM_POLICY = 17, 35


def ipsec_policy(family, what):
    """A policy of a socket for all that it sends, or to let in all that it gets: struct xfrm_userpolicy_info, and for "esp" one xfrm_user_tmpl behind it."""
    selector = struct.pack("=16s16sHHHHHBBBxxxiI", b"", b"", 0, 0, 0, 0, family, 0, 0, 0, 0, 0)
    limits = struct.pack("=8Q", *[2 ** 64 - 1] * 4, 0, 0, 0, 0)
    direction, action = 0 if what == "let-in" else 1, 1 if what == "block" else 0
    policy = selector + limits + bytes(32) + struct.pack("=IIBBBB4x", 0, 0, direction, action, 0, 0)
    if what != "esp":
        return policy
    return policy + struct.pack("=16sIB3xH2x16sIBBBxIII", b"", 0, 50, family, b"", 0, 0, 0, 0, *[2 ** 32 - 1] * 3)


def pattern(position, size):
    start = position % PERIOD
    return TABLE[start:start + size]


def wrong(position, data):
    """How many octets of data are not those of this position."""
    count = 0
    view = memoryview(data)
    for at in range(0, len(view), CHUNK):
        part = view[at:at + CHUNK]
        want = pattern(position + at, len(part))
        if part != want:
            count += sum(a != b for a, b in zip(part, want))
    return count


class Meter:
    """What one end of one flow received, and what went wrong."""

    def __init__(self, args, name):
        self.args = args
        self.name = name
        self.received = 0
        self.units = 0
        self.corrupt = 0
        self.first = self.last = None
        self.silences = []
        self.bins = {}
        self.errors = []
        self.extra = {}

    def got(self, size):
        now = time.time()
        if self.last is None:
            self.first = now
        elif now - self.last > self.args.silence:
            self.silences.append([self.last, now])
        self.last = now
        self.received += size
        self.units += 1
        if self.args.bins:
            index = int((now - self.args.epoch) / self.args.bins)
            self.bins[index] = self.bins.get(index, 0) + size

    def error(self, operation, number):
        name = errno.errorcode.get(number, str(number)) if isinstance(number, int) else number
        self.errors.append([time.time(), operation, name])

    def report(self):
        now = time.time()
        errors = {}
        for _, operation, name in self.errors:
            errors[f"{operation} {name}"] = errors.get(f"{operation} {name}", 0) + 1
        out = {
            "name": self.name, "received": self.received, "units": self.units, "corrupt": self.corrupt,
            "first": self.first, "last": self.last, "end": now, "silences": self.silences,
            "errors": errors, "error_times": self.errors[:50],
        }
        if self.bins:
            out["bins"] = sorted(self.bins.items())
        out.update(self.extra)
        return out


class Program:
    """What a server and a client have in common: meters, progress, the end."""

    def __init__(self, args):
        self.args = args
        self.family = socket.AF_INET6 if args.six else socket.AF_INET
        self.meters = []
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        for sig in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(sig, self.stop.set)

    def meter(self, name):
        meter = Meter(self.args, name)
        self.meters.append(meter)
        return meter

    async def progress(self):
        if not self.args.progress:
            return
        fd = os.open(self.args.progress, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        while True:
            text = "".join(f"{m.name} {m.units:12}\n" for m in self.meters)
            os.pwrite(fd, text.encode(), 0)
            await asyncio.sleep(0.02)

    def finish(self):
        out = {"end": time.time(), "flows": [m.report() for m in self.meters]}
        text = json.dumps(out, indent=1)
        if self.args.result:
            with open(self.args.result + ".tmp", "w", encoding="ascii") as file:
                file.write(text)
            os.rename(self.args.result + ".tmp", self.args.result)
        else:
            print(text)

    def options(self, sock, opts):
        six = self.family == socket.AF_INET6
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "dev" in opts:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, opts["dev"].encode() + b"\0")
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
            sock.setsockopt(level, option, ipsec_policy(self.family, opts["ipsec"]))
        if "nocheck" in opts:
            sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        if "rcvbuf" in opts:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(opts["rcvbuf"]))


def protocol(kind):
    return {
        "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP), "sctp": (socket.SOCK_STREAM, 132),
        "udpc": (socket.SOCK_DGRAM, socket.IPPROTO_UDP), "udpu": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        "udpi": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    }[kind]


# --- streams

class Stream:
    """One end of a stream that carries the pattern in one or both directions."""

    def __init__(self, program, sock, meter, stop):
        self.program = program
        self.loop = program.loop
        self.sock = sock
        self.meter = meter
        self.stop = stop
        self.sent = 0
        self.position = 0
        self.into = bytearray(CHUNK)
        self.hash_sent = hashlib.sha256()
        self.hash_received = hashlib.sha256()
        self.hashing = False

    async def send(self, data):
        await self.loop.sock_sendall(self.sock, data)

    async def send_pattern(self, size):
        data = pattern(self.sent, size)
        await self.send(data)
        if self.hashing:
            self.hash_sent.update(data)
        self.sent += size

    async def receive_some(self, most=CHUNK):
        """Receives and judges up to that many octets; 0 at the end."""
        view = memoryview(self.into)[:most]
        size = await self.loop.sock_recv_into(self.sock, view)
        if size:
            self.meter.corrupt += wrong(self.position, view[:size])
            if self.hashing:
                self.hash_received.update(view[:size])
            self.position += size
            self.meter.got(size)
        return size

    async def exactly(self, size):
        out = b""
        while len(out) < size:
            part = await self.loop.sock_recv(self.sock, size - len(out))
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "short")
            out += part
        return out

    async def pump(self, rate, limit, seconds):
        """Sends until told, until the limit or the time is reached, then closes this direction."""
        start = time.time()
        tick = max(0.01, min(0.1, 500 / rate)) if rate else 0.01
        try:
            while not self.stop.is_set():
                if limit and self.sent >= limit:
                    break
                if seconds and time.time() - start >= seconds:
                    break
                size = CHUNK
                if rate:
                    due = int((time.time() - start + tick) * rate) - self.sent
                    least = max(1, int(tick / 2 * rate))
                    if due < (min(least, limit - self.sent) if limit else least):
                        await asyncio.sleep(tick)
                        continue
                    size = min(size, due)
                if limit:
                    size = min(size, limit - self.sent)
                push = asyncio.ensure_future(self.send_pattern(size))
                if seconds:
                    # A sender that is stuck when its time is over stops all the same.
                    done, _ = await asyncio.wait([push], timeout=max(0, seconds - (time.time() - start)))
                    if not done:
                        push.cancel()
                        break
                await push
        except OSError as problem:
            # SCTP has no half-closed state: the other end's end is ours, which may be said before we have read it.
            ended = self.meter.extra.get("closed") or problem.errno == errno.ESHUTDOWN
            if not (self.sock.proto == 132 and ended):
                self.meter.error("send", problem.errno)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as problem:
            if self.sock.proto != 132:
                self.meter.error("shutdown", problem.errno)

    async def drain(self):
        try:
            while await self.receive_some():
                pass
            self.meter.extra["closed"] = True
        except OSError as problem:
            self.meter.error("recv", problem.errno)

    async def burst_send(self, size):
        left = size
        while left:
            part = min(left, CHUNK)
            await self.send_pattern(part)
            left -= part

    async def burst_receive(self, size):
        left = size
        while left:
            got = await self.receive_some(min(left, CHUNK))
            if not got:
                raise ConnectionResetError(errno.ECONNRESET, "short")
            left -= got

    def note(self):
        self.meter.extra["sent"] = self.sent
        if self.hashing:
            self.meter.extra["sha256_sent"] = self.hash_sent.hexdigest()
            self.meter.extra["sha256_received"] = self.hash_received.hexdigest()


async def stream_server(program, kind, port):
    listener = socket.socket(program.family, *protocol(kind))
    program.options(listener, {})
    if program.family == socket.AF_INET6:
        listener.setsockopt(41, 26, 1)
    listener.bind((program.args.bind or "", port))
    listener.listen(1024)

    async def one(sock, peer):
        meter = program.meter(f"{kind}:{port}:{peer[1]}")
        meter.extra.update(peer=peer[0], local=sock.getsockname()[0])
        stream = Stream(program, sock, meter, asyncio.Event())
        try:
            length, = struct.unpack("!H", await stream.exactly(2))
            wish = json.loads(await stream.exactly(length))
            stream.hashing = bool(wish.get("bytes"))
            if wish.get("burst"):
                while True:
                    head = await program.loop.sock_recv(sock, 4)
                    if not head:
                        break
                    if len(head) < 4:
                        head += await stream.exactly(4 - len(head))
                    size, = struct.unpack("!I", head)
                    # Answer while receiving, so that neither end waits for the other's window.
                    await asyncio.gather(stream.burst_receive(size), stream.burst_send(size))
            else:
                work = [stream.drain()]
                if wish.get("recv"):
                    work.append(stream.pump(wish.get("rate", 0), wish.get("bytes", 0), wish.get("seconds", 0)))
                    watch = asyncio.ensure_future(end_with(stream, wish))
                    await asyncio.gather(*work)
                    watch.cancel()
                else:
                    await asyncio.gather(*work)
        except OSError as problem:
            meter.error("stream", problem.errno)
        except asyncio.CancelledError:
            meter.extra["cut"] = True
        stream.note()
        sock.close()

    async def end_with(stream, wish):
        """The server's direction ends with the client's, when it has no measure of its own."""
        while not stream.meter.extra.get("closed"):
            await asyncio.sleep(0.01)
        if not wish.get("bytes") and not wish.get("seconds"):
            stream.stop.set()

    async def accept():
        while True:
            sock, peer = await program.loop.sock_accept(listener)
            sock.setblocking(False)
            program.tasks.append(asyncio.ensure_future(one(sock, peer)))

    return accept()


async def stream_client(program, flow, index):
    opts = flow.opts
    name = flow.name if flow.count == 1 else f"{flow.name}.{index}"
    meter = program.meter(name)
    sock = socket.socket(program.family, *protocol(flow.kind))
    program.options(sock, opts)
    stream = Stream(program, sock, meter, program.stop)
    try:
        if "sport" in opts or "bind" in opts:
            sock.bind((opts.get("bind", ""), int(opts.get("sport", 0)) + index))
        began = time.time()
        await program.loop.sock_connect(sock, (program.args.host, flow.port))
        meter.extra["connect_ms"] = (time.time() - began) * 1000
    except OSError as problem:
        meter.error("connect", problem.errno)
        flow.opened()
        return
    meter.extra.update(peer=sock.getpeername()[0], local=sock.getsockname()[0], sport=sock.getsockname()[1])
    wish = {
        "burst": flow.flag("burst"), "recv": flow.flag("recv", 1), "rate": float(opts.get("rate", 0)),
        "bytes": int(opts.get("bytes", 0)), "seconds": program.args.seconds,
    }
    stream.hashing = bool(wish["bytes"])
    text = json.dumps(wish).encode()
    try:
        await stream.send(struct.pack("!H", len(text)) + text)
        flow.opened()
        if wish["burst"]:
            while True:
                size = await flow.next_burst(program.stop)
                if not size:
                    break
                await stream.send(struct.pack("!I", size))
                await asyncio.gather(stream.burst_send(size), stream.burst_receive(size))
                flow.burst_done()
            sock.shutdown(socket.SHUT_WR)
            await stream.drain()
        else:
            work = [stream.drain()]
            meter.extra["one_way"] = not flow.flag("recv", 1)
            if flow.flag("send", 1):
                work.append(stream.pump(wish["rate"], wish["bytes"], program.args.seconds))
            elif not wish["bytes"] and not program.args.seconds:
                work.append(stream.pump(0, 0, 1e-9) if program.stop.is_set() else close_later(program, stream))
            await asyncio.gather(*work)
    except OSError as problem:
        meter.error("stream", problem.errno)
        flow.burst_done()
    except asyncio.CancelledError:
        meter.extra["cut"] = True
    stream.note()
    sock.close()


async def close_later(program, stream):
    """A client that only receives, without measure: it ends its silent direction when it is told to stop."""
    await program.stop.wait()
    try:
        stream.sock.shutdown(socket.SHUT_WR)
    except OSError as problem:
        stream.meter.error("shutdown", problem.errno)


# --- datagrams

def datagram(kind, reply, sequence, size):
    return HEAD.pack(MAGIC, kind, reply, sequence, time.time_ns()) + bytes(pattern(sequence * 31, size - HEAD.size))


def judge(data):
    """(kind, reply size, sequence number, time, corrupt octets)"""
    if len(data) < HEAD.size:
        return None
    magic, kind, reply, sequence, sent = HEAD.unpack_from(data)
    if magic != MAGIC:
        return None
    return kind, reply, sequence, sent, wrong(sequence * 31, memoryview(data)[HEAD.size:])


class Sequence:
    """Which of the numbers from 0 came, how often and in which order."""

    def __init__(self):
        self.seen = set()
        self.highest = -1
        self.duplicates = 0
        self.reordered = 0

    def got(self, number):
        if number in self.seen:
            self.duplicates += 1
            return
        self.seen.add(number)
        if number < self.highest:
            self.reordered += 1
        self.highest = max(self.highest, number)


class Asked:
    """A socket that knows at which address it was asked, and answers from there."""

    def __init__(self, program, sock):
        self.loop = program.loop
        self.sock = sock
        self.six = program.family == socket.AF_INET6
        self.at = None
        sock.setsockopt(*(41, IPV6_RECVPKTINFO) if self.six else (0, IP_PKTINFO), 1)

    async def receive(self):
        while True:
            try:
                data, about, _, peer = self.sock.recvmsg(65536, 256)
            except BlockingIOError:
                ready = self.loop.create_future()
                self.loop.add_reader(self.sock, lambda ready=ready: ready.done() or ready.set_result(None))
                await ready
                self.loop.remove_reader(self.sock)
                continue
            info = next(data for level, kind, data in about if kind == (IPV6_PKTINFO if self.six else IP_PKTINFO))
            # The address alone: by which device the answer leaves is for routing to say.
            self.at = info[:16] + bytes(4) if self.six else bytes(4) + info[4:8] + bytes(4)
            return data, peer

    def send(self, data, peer):
        self.sock.sendmsg([data], [(41, IPV6_PKTINFO, self.at) if self.six else (0, IP_PKTINFO, self.at)], 0, peer)


async def datagram_server(program, kind, port):
    sock = socket.socket(program.family, *protocol(kind))
    program.options(sock, {})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if program.family == socket.AF_INET6:
        sock.setsockopt(41, 26, 1)
    sock.bind((program.args.bind or "", port))
    asked = Asked(program, sock) if kind == "udpi" else None
    meter = program.meter(f"{kind}:{port}")
    peers = {}
    meter.extra["peers"] = peers
    meter.extra["sent"] = 0

    async def source(peer, reply, interval, seconds):
        start = time.time()
        sequence = 0
        while not program.stop.is_set() and sequence * interval < seconds:
            await send(datagram(DATA, 0, sequence, reply), peer)
            sequence += 1
            await asyncio.sleep(max(0, start + sequence * interval - time.time()))
        meter.extra["source_sent"] = sequence

    async def send(data, peer):
        try:
            if kind == "udpc":
                await program.loop.sock_sendall(sock, data)
            elif asked:
                asked.send(data, peer)
            else:
                await program.loop.sock_sendto(sock, data, peer)
            meter.extra["sent"] += 1
        except OSError as problem:
            meter.error("send", problem.errno)

    async def receive():
        connected = False
        while True:
            try:
                data, peer = await (asked.receive() if asked else program.loop.sock_recvfrom(sock, 65536))
            except OSError as problem:
                meter.error("recv", problem.errno)
                continue
            found = judge(data)
            if not found:
                meter.corrupt += len(data)
                continue
            what, reply, sequence, _, bad = found
            meter.got(len(data))
            meter.corrupt += bad
            key = f"{peer[0]} {peer[1]}"
            new = key not in peers
            peers[key] = peers.get(key, 0) + 1
            if kind == "udpc" and not connected:
                sock.connect(peer)
                connected = True
            if what == ECHO:
                if reply == len(data):
                    await send(data, peer)
                else:
                    await send(datagram(ECHO, 0, sequence, max(reply, HEAD.size)), peer)
            elif what == START and new:
                # The sequence number carries interval (us) and duration (ms).
                program.tasks.append(asyncio.ensure_future(
                    source(peer, reply, (sequence >> 32) / 1e6, (sequence & 0xffffffff) / 1e3)))

    return receive()


async def datagram_client(program, flow, _index):
    opts = flow.opts
    meter = program.meter(flow.name)
    sock = socket.socket(program.family, *protocol(flow.kind))
    program.options(sock, opts)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    size = int(opts.get("size", 200))
    reply = int(opts.get("reply", size))
    interval = float(opts.get("interval", 0.02))
    target = (program.args.host, flow.port)
    connected = flow.kind != "udpu"
    if "sport" in opts or "bind" in opts:
        sock.bind((opts.get("bind", ""), int(opts.get("sport", 0))))
    if connected:
        sock.connect(target)
    sent = []
    came = Sequence()
    sources = {}
    sizes = {}
    source = flow.flag("source")
    ended = asyncio.Event()
    meter.extra.update(sources=sources, local=sock.getsockname()[0], size=size)

    def told():
        """Empties the error queue, which would keep the socket readable."""
        while flow.flag("recverr"):
            try:
                sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break

    async def send(data):
        try:
            if connected:
                await program.loop.sock_sendall(sock, data)
            else:
                await program.loop.sock_sendto(sock, data, target)
            return True
        except OSError as problem:
            meter.error("send", problem.errno)
            told()
            if problem.errno == errno.EMSGSIZE:
                level, option = (41, IPV6_MTU) if program.family == socket.AF_INET6 else (0, IP_MTU)
                if connected:
                    meter.extra["mtu"] = sock.getsockopt(level, option)
            return False

    async def receive():
        while True:
            try:
                data, peer = await program.loop.sock_recvfrom(sock, 65536)
            except OSError as problem:
                meter.error("recv", problem.errno)
                told()
                continue
            found = judge(data)
            if not found:
                meter.corrupt += len(data)
                continue
            _, _, sequence, _, bad = found
            meter.got(len(data))
            meter.corrupt += bad
            came.got(sequence)
            key = f"{peer[0]} {peer[1]}"
            sources[key] = sources.get(key, 0) + 1
            sizes[len(data)] = sizes.get(len(data), 0) + 1
            flow.opened()

    async def burst():
        together = int(opts.get("segment", 1))
        if together > 1:
            sock.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        while True:
            amount = await flow.next_burst(program.stop)
            if not amount:
                break
            for _ in range(max(1, amount // (size * together))):
                data = b""
                for _ in range(together):
                    number = len(sent)
                    sent.append(time.time())
                    data += datagram(ECHO, reply, number, size)
                await send(data)
                end = time.time() + 5
                while number - 3 not in came.seen and number > 3 and time.time() < end:
                    await asyncio.sleep(0.001)
            end = time.time() + 5
            while len(came.seen) < len(sent) and time.time() < end:
                await asyncio.sleep(0.001)
            flow.burst_done()

    async def echo():
        start = time.time()
        while not program.stop.is_set() and not ended.is_set():
            if program.args.seconds and time.time() - start >= program.args.seconds:
                break
            number = len(sent)
            sent.append(time.time())
            if not await send(datagram(ECHO, reply, number, size)):
                meter.extra["unsent"] = meter.extra.get("unsent", 0) + 1
            await asyncio.sleep(max(0, start + len(sent) * interval - time.time()))

    async def listen():
        """Asks the server for a stream and counts."""
        seconds = program.args.seconds
        wish = int(interval * 1e6) << 32 | int(seconds * 1e3)
        while not came.seen:
            await send(datagram(START, size, wish, HEAD.size))
            await asyncio.sleep(0.3)
        start = meter.first
        while time.time() - start < seconds and not program.stop.is_set():
            await asyncio.sleep(0.01)
        sent.extend(start + i * interval for i in range(int(round(seconds / interval))))

    reader = asyncio.ensure_future(receive())
    if flow.flag("burst"):
        await send(datagram(ECHO, reply, 0, size))
        sent.append(time.time())
        await burst()
    elif source:
        await listen()
    else:
        await echo()
    # What is on the way may still come.
    end = time.time() + program.args.grace
    while len(came.seen) < len(sent) and time.time() < end:
        await asyncio.sleep(0.01)
    reader.cancel()
    lost = [n for n in range(len(sent)) if n not in came.seen]
    runs = []
    for number in lost:
        if runs and number == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
            runs[-1][3] = sent[number]
        else:
            runs.append([number, 1, sent[number], sent[number]])
    meter.extra.update(
        sent=len(sent), lost=len(lost), duplicates=came.duplicates, reordered=came.reordered,
        lost_runs=[{"first": a, "count": n, "from": f, "to": t} for a, n, f, t in runs], sizes=sizes)
    sock.close()


# --- ping

async def ping_client(program, flow, _index):
    opts = flow.opts
    meter = program.meter(flow.name)
    interval = float(opts.get("interval", 0.02))
    command = ["ping", "-6" if program.args.six else "-4", "-n", "-D", "-i", str(interval), "-s",
               str(opts.get("size", 56))]
    if program.args.seconds:
        command += ["-c", str(int(round(program.args.seconds / interval)))]
    command += ["-W", str(max(0.1, program.args.grace))]
    if "dev" in opts:
        command += ["-I", opts["dev"]]
    if "bind" in opts:
        command += ["-I", opts["bind"]]
    if "mark" in opts:
        command += ["-m", opts["mark"]]
    command += opts.get("args", "").split() + [program.args.host]
    came = Sequence()
    sources = {}
    meter.extra["sources"] = sources
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"})
    reply = re.compile(r"\[[\d.]+\] (\d+) bytes from ([0-9a-f.:]+?):? icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms(.*)")
    total = re.compile(r"(\d+) packets transmitted, (\d+) received")
    started = time.time()
    sent = 0
    rtts = []
    other = []
    unreachable = []
    meter.extra["unreachable"] = unreachable

    async def read():
        nonlocal sent
        async for raw in child.stdout:
            line = raw.decode().strip()
            if match := reply.match(line):
                came.got(int(match[3]))
                meter.got(int(match[1]))
                sources[match[2]] = sources.get(match[2], 0) + 1
                rtts.append(float(match[4]))
                if "DIFFERENT" in match[5] or "BAD" in match[5]:
                    meter.corrupt += 1
                flow.opened()
            elif match := total.match(line):
                sent = int(match[1])
            elif line and not line.startswith(("PING", "---", "rtt")) and "wrong data" in line:
                meter.corrupt += 1
            elif line and not line.startswith(("PING", "---", "rtt")):
                other.append(line)
                if "sendmsg" in line or "connect" in line or line.startswith("ping:"):
                    meter.error("send", line.split(": ")[-1])
                elif "Unreachable" in line or "unreachable" in line:
                    unreachable.append([time.time(), line])

    reader = asyncio.ensure_future(read())
    ending = asyncio.ensure_future(program.stop.wait())
    done = asyncio.ensure_future(child.wait())
    await asyncio.wait([ending, done], return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        # What is on the way may still come; what is sent meanwhile is cut off below.
        before = came.highest
        await asyncio.sleep(program.args.grace)
        child.send_signal(signal.SIGINT)
        await done
        meter.extra["at_stop"] = before
    ending.cancel()
    await reader
    # The last requests of an interrupted ping have had no time to be answered.
    last = came.highest if came.seen else sent
    lost = [n for n in range(1, last + 1) if n not in came.seen]
    runs = []
    for number in lost:
        sent_at = started + (number - 1) * interval
        if runs and number == runs[-1]["first"] + runs[-1]["count"]:
            runs[-1]["count"] += 1
            runs[-1]["to"] = sent_at
        else:
            runs.append({"first": number, "count": 1, "from": sent_at, "to": sent_at})
    meter.extra.update(sent=sent, lost=len(lost), duplicates=came.duplicates, reordered=came.reordered,
                       lost_runs=runs, other=other[:20], rtt_ms=[min(rtts), max(rtts)] if rtts else [])


# --- programs

class Flow:
    """What the command line asks of one kind of traffic."""

    def __init__(self, text, index):
        head, *options = text.split(",")
        self.kind, _, port = head.partition(":")
        self.port = int(port or 0)
        self.opts = dict(o.split("=", 1) for o in options)
        self.count = int(self.opts.get("count", 1))
        self.name = self.opts.get("name", self.kind if not index else f"{self.kind}{index}")
        self.ready = 0
        self.open = asyncio.Event()
        self.bursts = 0
        self.size = 0
        self.burst = asyncio.Event()
        self.all_done = asyncio.Event()

    def flag(self, name, default=0):
        return bool(int(self.opts.get(name, default)))

    def opened(self):
        self.ready += 1
        if self.ready >= self.count:
            self.open.set()

    async def next_burst(self, stop):
        waits = [asyncio.ensure_future(self.burst.wait()), asyncio.ensure_future(stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self.burst.is_set():
            return 0
        self.bursts += 1
        if self.bursts >= self.count:
            self.burst.clear()
        return self.size

    def burst_done(self):
        self.bursts -= 1
        if self.bursts <= 0:
            self.bursts = 0
            self.all_done.set()


async def serve(args):
    program = Program(args)
    program.tasks = []
    servers = []
    for spec in args.flow:
        kind, _, port = spec.partition(":")
        make = stream_server if kind in ("tcp", "sctp") else datagram_server
        servers.append(asyncio.ensure_future(await make(program, kind, int(port))))
    reporter = asyncio.ensure_future(program.progress())
    print("ready", flush=True)
    await program.stop.wait()
    # Streams that still run may end by themselves.
    left = [t for t in program.tasks if not t.done()]
    if left:
        await asyncio.wait(left, timeout=args.grace)
    for task in servers + [reporter] + [t for t in program.tasks if not t.done()]:
        task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    program.finish()


async def run(args):
    program = Program(args)
    kinds = {}
    flows = []
    for spec in args.flow:
        kind = spec.partition(":")[0].partition(",")[0]
        flows.append(Flow(spec, kinds.get(kind, 0)))
        kinds[kind] = kinds.get(kind, 0) + 1
    tasks = []
    for flow in flows:
        make = {"tcp": stream_client, "sctp": stream_client, "ping": ping_client}.get(flow.kind, datagram_client)
        for index in range(flow.count):
            tasks.append(asyncio.ensure_future(make(program, flow, index)))
    reporter = asyncio.ensure_future(program.progress())

    async def announce():
        for flow in flows:
            if flow.flag("wait", 1):
                await flow.open.wait()
        print("ready", flush=True)

    async def do_burst(size):
        some = [f for f in flows if f.flag("burst")]
        for flow in some:
            flow.size = size
            flow.all_done.clear()
            flow.burst.set()
        for flow in some:
            await flow.all_done.wait()
        print("burst done", flush=True)

    def command():
        line = sys.stdin.readline()
        if not line:
            program.loop.remove_reader(0)
            return
        words = line.split()
        if words[:1] == ["burst"]:
            helpers.append(asyncio.ensure_future(do_burst(int(words[1]))))
        elif words[:1] == ["stop"]:
            program.stop.set()

    helpers = [asyncio.ensure_future(announce())]
    if any(f.flag("burst") for f in flows):
        program.loop.add_reader(0, command)
    everything = asyncio.gather(*tasks)
    ending = asyncio.ensure_future(program.stop.wait())
    await asyncio.wait([everything, ending], return_when=asyncio.FIRST_COMPLETED)
    # A stream that hangs does not keep the others' findings back.
    _, late = await asyncio.wait(tasks, timeout=args.grace + args.patience)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=1)
    for task in helpers + [reporter, ending]:
        task.cancel()
    program.finish()
    for task in tasks:
        if not task.cancelled() and task.exception():
            raise task.exception()


def standby():
    """The arguments of the program that this process becomes, in a child; None in the parent, at the end."""
    # Nobody asks how a child ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        netns, source, sink, *words = line.rstrip("\n").split("\t")
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A fifo is opened both ways, so that it neither waits nor ends.
        os.dup2(os.open(source, os.O_RDWR), 0)
        os.dup2(os.open(sink, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        os.dup2(1, 2)
        os.setns(os.open(netns, os.O_RDONLY), os.CLONE_NEWNET)
        return words
    return None


def main():
    words = sys.argv[1:]
    if words == ["standby"]:
        words = standby()
        if words is None:
            return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="what", required=True)
    for what in ("serve", "run"):
        one = sub.add_parser(what)
        family = one.add_mutually_exclusive_group(required=True)
        family.add_argument("-4", dest="six", action="store_false")
        family.add_argument("-6", dest="six", action="store_true")
        one.add_argument("--result")
        one.add_argument("--progress")
        one.add_argument("--silence", type=float, default=0.1, help="shortest silence that is noted, s")
        one.add_argument("--bins", type=float, default=0, help="width of the bins of received octets, s")
        one.add_argument("--epoch", type=float, default=0, help="time at which bin 0 begins")
        one.add_argument("--grace", type=float, default=1.0, help="wait for what is on the way, s")
        if what == "serve":
            one.add_argument("--bind")
        else:
            one.add_argument("--seconds", type=float, default=0)
            one.add_argument("--patience", type=float, default=20, help="wait for streams to close, s")
            one.add_argument("host")
        one.add_argument("flow", nargs="+")
    args = parser.parse_args(words)
    asyncio.run(serve(args) if args.what == "serve" else run(args))


if __name__ == "__main__":
    main()
