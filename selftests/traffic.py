#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Traffic that knows what it has lost: TCP, SCTP, UDP and ping, for the tests to run and judge.

  traffic.py serve -4|-6 [--bind ADDR] [common options] KIND:PORT...
  traffic.py run -4|-6 HOST [common options] KIND[:PORT][,OPTION=VALUE]...

KIND is tcp, sctp, udpc (connected at both ends), udpu (connected at neither end), udpi (a server like udpu that answers from the
address at which it was asked, by IP_PKTINFO or IPV6_PKTINFO), or ping. Both programs print "ready" when everything is open and
answered. They write the state of their flows to --progress every 20 ms ("name units octets" on a line), and their findings to
--result as JSON when they end. A client ends at SIGTERM or after --seconds: it stops sending, waits for data in flight, and
reports what never came. A server ends at SIGTERM.

Stream options: send=0|1, recv=0|1 (the directions of the data; both by default), rate (octets a second in each direction, 0 for no
limit), bytes (a finite transfer, hashed), count (so many connections), burst=1 (sends only when told to).
Datagram options: interval (seconds), size, reply (octets of the answer, size by default), source=1 (the server sends
by itself), df=1, recverr=1, nocheck=1 (no UDP checksum over IPv4), segment=N (N datagrams in one call, by UDP_SEGMENT, in
bursts).
All kinds: name, sport, bind, dev, mark, ttl, tos, uid (the user of the socket), ipsec=esp|block|allow|let-in (a policy of the
socket for what it sends or, with let-in, receives, by IP_XFRM_POLICY).
ping: interval, size, args.
If no answer is outstanding, ping waits busily for the last 10 ms before a request, which is slow in time travel. So give it an
interval that is shorter than the round trip, or more than 10 ms longer.
On stdin a client takes "burst N": every stream sends N octets in both directions, and every datagram flow N octets in datagrams.
"burst done" is printed when all of it has come back right.

  traffic.py standby

For each line on stdin it forks a child that becomes one of these programs, and prints the child's process ID. The line has the file of a
network namespace, the files for input and output, and the arguments, with tabs between them. Loading everything takes ten times as long
as a fork.

Data are a function of their position, so a misplaced octet is a corrupt one.
"""

import argparse
import asyncio
import os
import signal
import sys

from traffic import datagram, ping, stream
from traffic.program import Flow, Program


async def serve(args):
    """Runs a server until SIGTERM."""
    program = Program(args)
    program.tasks = []
    servers = []
    for spec in args.flow:
        kind, _, port = spec.partition(":")
        make = stream if kind in ("tcp", "sctp") else datagram
        servers.append(asyncio.ensure_future(await make.server(program, kind, int(port))))
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
    """Runs a client until its flows end or SIGTERM comes."""
    program = Program(args)
    kinds = {}
    flows = []
    for spec in args.flow:
        kind = spec.partition(":")[0].partition(",")[0]
        flows.append(Flow(spec, kinds.get(kind, 0)))
        kinds[kind] = kinds.get(kind, 0) + 1
    tasks = []
    for flow in flows:
        make = {"tcp": stream, "sctp": stream, "ping": ping}.get(flow.kind, datagram)
        for index in range(flow.count):
            tasks.append(asyncio.ensure_future(make.client(program, flow, index)))
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
    # A stream that hangs must not delay the findings of the others.
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
    """Returns in each child the arguments of the program that it becomes, and None in the parent at the end."""
    # The exit status of a child is not used.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        netns, source, sink, *words = line.rstrip("\n").split("\t")
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # The fifo is opened for reading and writing, so that the open does not block and the input does not end.
        os.dup2(os.open(source, os.O_RDWR), 0)
        os.dup2(os.open(sink, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        os.dup2(1, 2)
        os.setns(os.open(netns, os.O_RDONLY), os.CLONE_NEWNET)
        return words
    return None


def main():
    """Reads the command line and runs the program."""
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
        one.add_argument("--arrivals", action="store_true", help="notes when each unit came")
        one.add_argument("--grace", type=float, default=1.0, help="wait for what is on the way, s")
        if what == "serve":
            one.add_argument("--bind")
        else:
            one.add_argument("--seconds", type=float, default=0)
            one.add_argument("--start", type=float, default=0, help="time at which data begin to flow; connections open before")
            one.add_argument("--patience", type=float, default=20, help="wait for streams to close, s")
            one.add_argument("host")
        one.add_argument("flow", nargs="+")
    args = parser.parse_args(words)
    asyncio.run(serve(args) if args.what == "serve" else run(args))


if __name__ == "__main__":
    main()
