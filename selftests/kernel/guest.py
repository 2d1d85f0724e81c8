#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs tests of the kernel in a guest, one after the other, and leaves what they said in $IHMP_RESULTS.

  guest.py with|without RUN LIST     LIST has a test a line: its name, its longest time in seconds, foreign addresses that its
                                     namespaces do not show (with commas, or -), and its command in the folder of the tests

with: the module is loaded, the hooks are on, and addresses of other namespaces are hosts (watcher.py). For each test there will
be NAME.WITH.RUN.out, what it printed, and NAME.WITH.RUN.json, its exit status and the module's counters.
"""

import ipaddress
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import yaml

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from watcher import Watcher  # noqa: E402

RESULTS = pathlib.Path(os.environ["IHMP_RESULTS"])
TESTS = pathlib.Path("/tmp/tests")
CGROUP = pathlib.Path("/sys/fs/cgroup/kernel-test")
TRACING = pathlib.Path("/sys/kernel/tracing")


def reasons():
    """The module's reasons, in the order of their numbers, marked as such."""
    spec = yaml.safe_load((HERE.parents[1] / "uapi/ihmp.yaml").read_text())
    entries = next(enum["entries"] for enum in spec["definitions"] if enum["name"] == "reason")
    return [f"!{reason['name']}" for reason in entries]


class Probes:
    """The module's counters, and how often it was called, of all namespaces: kprobes add up.

    The counters end with their namespaces. So what is added to them is added up once more, where it happens. Rust functions cannot
    be probed, but C functions that they call.
    """

    # The first is what LOCAL_OUT asks of each packet, the second what LOCAL_IN asks; the others look the socket table up.
    CALLS = {"out": "ihmp_skb_out_loopback", "in": "ihmp_skb_in_loopback", "look-ups-out": "ihmp_row_by_flow",
             "look-ups-in": "ihmp_row_by_wire"}
    # In the order of module/stats.rs, behind one for each reason.
    COUNTERS = ("out-translated", "out-unchanged", "in-translated", "in-unchanged", "icmp-out", "icmp-in", "port-mapped",
                "tcp-woken", "discovered", "flows-made", "flows-expired", "unreachable")

    def __init__(self):
        self.names = [*reasons(), *self.COUNTERS]
        # Only sums are wanted, no trace.
        (TRACING / "tracing_on").write_text("0")
        events = [f"p:ihmp_test/{name.replace('-', '_')} {function}" for name, function in self.CALLS.items()]
        events.append("p:ihmp_test/count ihmp_count counter=%si:u32 n=%dx:u64")
        (TRACING / "kprobe_events").write_text("\n".join(events) + "\n")
        (TRACING / "events/ihmp_test/enable").write_text("1")
        (TRACING / "events/ihmp_test/count/trigger").write_text("hist:keys=counter:vals=n:size=128\n")

    def sums(self):
        lines = map(str.split, (TRACING / "kprobe_profile").read_text().splitlines())
        sums = {name.replace("_", "-"): int(count) for name, count, _ in lines if name != "count"}
        hist = (TRACING / "events/ihmp_test/count/hist").read_text()
        for counter, total in re.findall(r"counter: *(\d+) *\}.* n: *(\d+)", hist):
            sums[self.names[int(counter)]] = int(total)
        return sums

    def since(self, before):
        return {name: total - before.get(name, 0) for name, total in self.sums().items() if total > before.get(name, 0)}


def ended():
    """Nothing of the test goes on, and its namespaces are gone."""
    (CGROUP / "cgroup.kill").write_text("1")
    while "populated 1" in (CGROUP / "cgroup.events").read_text():
        time.sleep(0.01)
    subprocess.run(["ip", "-all", "netns", "delete"], check=False, stderr=subprocess.DEVNULL)


def run(folder, command, out, limit):
    """Its exit status, or 124 for one that did not end in time."""
    def enter():
        (CGROUP / "cgroup.procs").write_text(str(os.getpid()))

    # A line at a time, so that what was printed before a hang is there.
    words = ["stdbuf", "-oL", *shlex.split(command)]
    with open(out, "wb") as output, subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                                                     stderr=subprocess.STDOUT, start_new_session=True,
                                                     preexec_fn=enter) as process:
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = 124
        ended()
        process.wait()
    return status


def main():
    variant, again, tests = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    TESTS.mkdir()
    subprocess.run(["tar", "-C", TESTS, "-xf", RESULTS / "tests.tar"], check=True)
    os.environ["PATH"] = f"{TESTS}/bin:{os.environ['PATH']}"
    CGROUP.mkdir()
    probed = variant == "with" and (TRACING / "kprobe_events").exists()
    probes = Probes() if probed else None
    watcher = Watcher(variant == "with", None if probed else reasons())
    watcher.start()
    for line in tests.read_text().splitlines():
        label, limit, extra, command = line.split(None, 3)
        # What needs two machines gets them from a program of ours.
        around = [str(HERE / "pair")] if command.startswith("pair ") else []
        where, *rest = command.removeprefix("pair ").split(None, 1)
        folder, _, name = where.rpartition("/")
        foreign = [ipaddress.ip_address(address).packed for address in extra.split(",") if address != "-"]
        print(f"{label}", flush=True)
        watcher.begin(foreign)
        before, since = probes.sums() if probes else {}, time.monotonic()
        status = run(TESTS / folder, " ".join([*around, f"./{name}", *rest]), RESULTS / f"{label}.{variant}.{again}.out", int(limit))
        seconds = time.monotonic() - since
        namespaces, hosts, counters = watcher.end()
        record = {"status": status, "seconds": round(seconds, 1), "namespaces": namespaces, "hosts": hosts,
                  "counters": probes.since(before) if probes else counters}
        (RESULTS / f"{label}.{variant}.{again}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
