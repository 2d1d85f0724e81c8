# SPDX-License-Identifier: GPL-2.0
"""What a server and a client have in common."""

import asyncio
import json
import os
import signal
import socket
import time

from .meter import Meter


class Program:
    """The common part of a server and a client: meters, progress, and the end."""

    def __init__(self, args):
        self.args = args
        self.family = socket.AF_INET6 if args.six else socket.AF_INET
        self.meters = []
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        for sig in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(sig, self.stop.set)

    def meter(self, name):
        """Makes a meter whose findings will be reported."""
        meter = Meter(self.args, name)
        self.meters.append(meter)
        return meter

    async def progress(self):
        """Keeps the file of --progress up to date."""
        if not self.args.progress:
            return
        fd = os.open(self.args.progress, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        while True:
            text = "".join(f"{m.name} {m.units:12} {m.received:14}\n" for m in self.meters)
            os.pwrite(fd, text.encode(), 0)
            await asyncio.sleep(0.02)

    def finish(self):
        """Writes the findings."""
        out = {"end": time.time(), "flows": [m.report() for m in self.meters]}
        text = json.dumps(out, indent=1)
        if self.args.result:
            with open(self.args.result + ".tmp", "w", encoding="ascii") as file:
                file.write(text)
            os.rename(self.args.result + ".tmp", self.args.result)
        else:
            print(text)


async def sleep_until(moment):
    """Sleeps until that time; not at all if it is past."""
    await asyncio.sleep(max(0, moment - time.time()))


class Flow:
    """What the command line asks for one kind of traffic."""

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
        """Is this option set, which is 0 or 1?"""
        return bool(int(self.opts.get(name, default)))

    def opened(self):
        """Notes that one of the flow's connections is open."""
        self.ready += 1
        if self.ready >= self.count:
            self.open.set()

    async def next_burst(self, stop):
        """Waits until a burst is asked for. Returns its size in octets, or 0 at the end."""
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
        """Notes that one of the flow's connections has finished the burst."""
        self.bursts -= 1
        if self.bursts <= 0:
            self.bursts = 0
            self.all_done.set()
