#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs tests of the kernel in a guest, one after the other, and leaves their output in $IHMP_RESULTS.

  guest.py with|without RUN LIST     LIST has a line for each test: its name, its time limit in seconds, foreign addresses that its
                                     namespaces do not show (with commas, or -), and its command relative to the folder of the tests

With "with", the module is loaded, the hooks are on, and addresses of other namespaces are hosts (watcher.py). Each test leaves
NAME.VARIANT.RUN.out, its output, and NAME.VARIANT.RUN.json, its exit status and the module's counters.
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
    """Returns the names of the module's reasons, in the order of their numbers, each with "!" before it."""
    spec = yaml.safe_load((HERE.parents[1] / "uapi/ihmp.yaml").read_text())
    entries = next(enum["entries"] for enum in spec["definitions"] if enum["name"] == "reason")
    return [f"!{reason['name']}" for reason in entries]


class Probes:
    """The module's counters, and how often it was called, summed up over all namespaces by kprobes.

    The module's own counters end with their namespaces, so each addition to them is counted as well where it happens. Rust functions
    cannot be probed, but the C functions that they call can.
    """

    # LOCAL_OUT calls the first function for each packet, and LOCAL_IN the second; the others look up rows.
    CALLS = {"out": "ihmp_skb_out_loopback", "in": "ihmp_skb_in_loopback", "look-ups-out": "ihmp_row_by_flow",
             "look-ups-in": "ihmp_row_by_wire"}
    # In the order of module/stats.rs, where they follow the counters of reasons.
    COUNTERS = ("out-translated", "out-unchanged", "in-translated", "in-unchanged", "icmp-out", "icmp-in", "port-mapped",
                "tcp-woken", "discovered", "flows-made", "flows-expired", "unreachable")

    def __init__(self):
        self.names = [*reasons(), *self.COUNTERS]
        # Only the sums are used, so no trace is recorded.
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
    """Kills all processes of the test, and deletes its namespaces."""
    (CGROUP / "cgroup.kill").write_text("1")
    while "populated 1" in (CGROUP / "cgroup.events").read_text():
        time.sleep(0.01)
    subprocess.run(["ip", "-all", "netns", "delete"], check=False, stderr=subprocess.DEVNULL)


def run(folder, command, out, limit):
    """Runs a test and returns its exit status, or 124 if it did not end in time."""
    def enter():
        (CGROUP / "cgroup.procs").write_text(str(os.getpid()))

    # The output is written line by line, so that it is complete up to a hang.
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
        # A test that needs two machines runs under the script pair, which provides them.
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
