# SPDX-License-Identifier: GPL-2.0
"""The system's own ping."""

import asyncio
import os
import re
import signal
import time

from .meter import Sequence, lost_runs
from .program import sleep_until


async def client(program, flow, _index):
    """Runs a flow: ping, from the first request to the last answer."""
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
    await sleep_until(program.args.start)
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"})
    reply = re.compile(r"\[([\d.]+)\] (\d+) bytes from ([0-9a-f.:]+?):? icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms(.*)")
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
                came.got(int(match[4]))
                meter.got(int(match[2]), float(match[1]))
                sources[match[3]] = sources.get(match[3], 0) + 1
                rtts.append(float(match[5]))
                if "DIFFERENT" in match[6] or "BAD" in match[6]:
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
        # Answers in flight may still come. Requests that are sent meanwhile are cut off below.
        before = came.highest
        await asyncio.sleep(program.args.grace)
        child.send_signal(signal.SIGINT)
        await done
        meter.extra["at_stop"] = before
    ending.cancel()
    await reader
    # The last requests of an interrupted ping had no time to be answered.
    last = came.highest if came.seen else sent
    lost = [n for n in range(1, last + 1) if n not in came.seen]
    meter.extra.update(
        sent=sent, lost=len(lost), duplicates=came.duplicates, reordered=came.reordered, status=child.returncode,
        lost_runs=lost_runs(lost, lambda number: started + (number - 1) * interval), other=other[:20],
        rtt_ms=[min(rtts), max(rtts)] if rtts else [])
