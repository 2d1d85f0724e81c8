# SPDX-License-Identifier: GPL-2.0
"""UDP datagrams."""

import asyncio
import errno
import socket
import struct
import time

from .meter import Sequence, lost_runs
from .pattern import pattern, wrong
from .program import sleep_until
from .sockets import opened

# The header of a datagram: magic, kind, reply size, sequence number, time in ns. The data after it depend on the sequence number.
HEAD = struct.Struct("!IHHQQ")
MAGIC = 0x49484D50
ECHO, START, DATA = range(3)
IP_MTU, IPV6_MTU = 14, 24
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
SOL_UDP, UDP_SEGMENT = 17, 103


def datagram(kind, reply, sequence, size):
    """Returns a datagram of this size that asks for a reply of that size."""
    return HEAD.pack(MAGIC, kind, reply, sequence, time.time_ns()) + bytes(pattern(sequence * 31, size - HEAD.size))


def judge(data):
    """Returns (kind, reply size, sequence number, time, corrupt octets) of a datagram, or None if it is not one of ours."""
    if len(data) < HEAD.size:
        return None
    magic, kind, reply, sequence, sent = HEAD.unpack_from(data)
    if magic != MAGIC:
        return None
    return kind, reply, sequence, sent, wrong(sequence * 31, memoryview(data)[HEAD.size:])


def taken(meter, data):
    """Counts a datagram and its corrupt octets. Returns (kind, reply size, sequence number, time), or None if it is not one of ours."""
    found = judge(data)
    if not found:
        meter.corrupt += len(data)
        return None
    *said, bad = found
    meter.got(len(data))
    meter.corrupt += bad
    return said


class Asked:
    """A socket that knows at which address it was asked, and answers from that address."""

    def __init__(self, program, sock):
        self.loop = program.loop
        self.sock = sock
        self.six = program.family == socket.AF_INET6
        self.at = None
        sock.setsockopt(*(41, IPV6_RECVPKTINFO) if self.six else (0, IP_PKTINFO), 1)

    async def receive(self):
        """Returns a datagram and its sender."""
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
            # Only the address is given; routing chooses the device.
            self.at = info[:16] + bytes(4) if self.six else bytes(4) + info[4:8] + bytes(4)
            return data, peer

    def send(self, data, peer):
        """Sends an answer."""
        self.sock.sendmsg([data], [(41, IPV6_PKTINFO, self.at) if self.six else (0, IP_PKTINFO, self.at)], 0, peer)


async def server(program, kind, port):
    """Binds a socket, and returns a coroutine that answers all that comes."""
    sock = opened(program.family, kind, {})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if program.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
            found = taken(meter, data)
            if not found:
                continue
            what, reply, sequence, _ = found
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
                # The sequence number carries the interval (us) and the duration (ms).
                program.tasks.append(asyncio.ensure_future(
                    source(peer, reply, (sequence >> 32) / 1e6, (sequence & 0xffffffff) / 1e3)))

    return receive()


async def client(program, flow, _index):
    """Runs a flow: sends datagrams, and receives until the last ones in flight may have come."""
    opts = flow.opts
    meter = program.meter(flow.name)
    sock = opened(program.family, flow.kind, opts)
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
            found = taken(meter, data)
            if not found:
                continue
            _, _, sequence, _ = found
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
        """Asks the server for a stream of datagrams, and computes how many it has sent."""
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
    await sleep_until(program.args.start)
    if flow.flag("burst"):
        await send(datagram(ECHO, reply, 0, size))
        sent.append(time.time())
        await burst()
    elif source:
        await listen()
    else:
        await echo()
    # Datagrams in flight may still come.
    end = time.time() + program.args.grace
    while len(came.seen) < len(sent) and time.time() < end:
        await asyncio.sleep(0.01)
    reader.cancel()
    lost = [n for n in range(len(sent)) if n not in came.seen]
    meter.extra.update(
        sent=len(sent), lost=len(lost), duplicates=came.duplicates, reordered=came.reordered,
        lost_runs=lost_runs(lost, sent.__getitem__), sizes=sizes)
    sock.close()
