# SPDX-License-Identifier: GPL-2.0
"""TCP and SCTP."""

import asyncio
import errno
import hashlib
import json
import socket
import struct
import time

from .pattern import CHUNK, pattern, wrong
from .program import sleep_until
from .sockets import opened


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
        """Sends data that are not of the pattern."""
        await self.loop.sock_sendall(self.sock, data)

    async def send_pattern(self, size):
        """Sends so many octets of the pattern. Octets that were sent before a cancellation are counted, too."""
        data = pattern(self.sent, size)
        while data:
            try:
                count = self.sock.send(data)
            except BlockingIOError:
                await self.writable()
                continue
            if self.hashing:
                self.hash_sent.update(data[:count])
            self.sent += count
            data = data[count:]

    async def writable(self):
        """Waits until the socket accepts more."""
        ready = self.loop.create_future()
        self.loop.add_writer(self.sock, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            self.loop.remove_writer(self.sock)

    async def receive_some(self, most=CHUNK):
        """Receives and checks at most so many octets. Returns their number, which is 0 at the end of the stream."""
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
        """Receives so many octets that are not of the pattern."""
        out = b""
        while len(out) < size:
            part = await self.loop.sock_recv(self.sock, size - len(out))
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "short")
            out += part
        return out

    async def pump(self, rate, limit, seconds, begin=0):
        """Sends from `begin` on, until stopped or until the limit or the time is reached, and closes this direction."""
        await sleep_until(begin)
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
                    # A sender that is stuck stops when its time is over.
                    done, _ = await asyncio.wait([push], timeout=max(0, seconds - (time.time() - start)))
                    if not done:
                        push.cancel()
                        break
                await push
        except OSError as problem:
            # SCTP has no half-closed state: the peer's end is ours, too, and sending may fail before that end has been read.
            ended = self.meter.extra.get("closed") or problem.errno == errno.ESHUTDOWN
            if not (self.sock.proto == 132 and ended):
                self.meter.error("send", problem.errno)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as problem:
            if self.sock.proto != 132:
                self.meter.error("shutdown", problem.errno)

    async def drain(self):
        """Receives until the other end closes."""
        try:
            while await self.receive_some():
                pass
            self.meter.extra["closed"] = True
        except OSError as problem:
            self.meter.error("recv", problem.errno)

    async def burst_send(self, size):
        """Sends its part of a burst."""
        left = size
        while left:
            part = min(left, CHUNK)
            await self.send_pattern(part)
            left -= part

    async def burst_receive(self, size):
        """Receives its part of a burst."""
        left = size
        while left:
            got = await self.receive_some(min(left, CHUNK))
            if not got:
                raise ConnectionResetError(errno.ECONNRESET, "short")
            left -= got

    def note(self):
        """Tells the meter what was sent."""
        self.meter.extra["sent"] = self.sent
        if self.hashing:
            self.meter.extra["sha256_sent"] = self.hash_sent.hexdigest()
            self.meter.extra["sha256_received"] = self.hash_received.hexdigest()


async def server(program, kind, port):
    """Listens, and returns a coroutine that accepts connections and serves each as its client has asked."""
    listener = opened(program.family, kind, {})
    if program.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
                    # Answers while it receives, so that neither end waits for the other's window.
                    await asyncio.gather(stream.burst_receive(size), stream.burst_send(size))
            else:
                work = [stream.drain()]
                if wish.get("recv"):
                    work.append(stream.pump(wish.get("rate", 0), wish.get("bytes", 0), wish.get("seconds", 0), wish.get("start", 0)))
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
        """Ends the server's direction when the client's has ended, if the server has no limit of its own."""
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


async def client(program, flow, index):
    """One connection of a flow, from its opening to its end."""
    opts = flow.opts
    name = flow.name if flow.count == 1 else f"{flow.name}.{index}"
    meter = program.meter(name)
    sock = opened(program.family, flow.kind, opts)
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
        "start": program.args.start,
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
                work.append(stream.pump(wish["rate"], wish["bytes"], program.args.seconds, program.args.start))
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
    """Closes the silent direction of a client that only receives without a limit, when it is told to stop."""
    await program.stop.wait()
    try:
        stream.sock.shutdown(socket.SHUT_WR)
    except OSError as problem:
        stream.meter.error("shutdown", problem.errno)
