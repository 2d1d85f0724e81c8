#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demonstration with two whole machines: the cable of the network in use is pulled, and all connections go on.

  demo.py [--pulls N] [--setup SETUP]... [--results DIR]

It runs without ihmp first, as a control. Then it runs with ihmp, with N pulls (3) in each setup: m under NetworkManager or
systemd-networkd, with addresses by DHCP and router advertisements, or with static ones that nobody removes. DIR (build/results) gets
demo-vm.json and demo-vm.txt.

The exit status is 0 if every figure is within its bound and the control was cut off.
"""

import argparse
import json
import os
import statistics
import sys
import time

from pulls import MEDIAN, WORST, pull_repeatedly
from testbed import SETUPS, Testbed
from traffic import SHARE, Session

# In the control, seconds to wait for data that will not come.
PATIENCE = 20
# These cannot go on from another address without ihmp. Ping is no connection: it goes on once its machine has another route.
CONNECTIONS = {"IPv4-tcp", "IPv6-tcp", "ssh4", "ssh6"}


class Report:
    """Findings, as a table and as JSON, and those that were out of bounds."""

    def __init__(self):
        self.rows, self.lines, self.missed = [], [], []

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def find(self, case, metric, value, unit="ms"):
        self.rows.append({"case": case, "metric": metric, "value": value, "unit": unit, "peer": "ihmp"})

    def bound(self, case, what, good):
        if not good:
            self.missed.append(f"{case}: {what}")

    def write(self, folder):
        with open(f"{folder}/demo-vm.json", "w", encoding="ascii") as file:
            json.dump(self.rows, file, indent=1)
        with open(f"{folder}/demo-vm.txt", "w", encoding="ascii") as file:
            file.write("\n".join(self.lines) + "\n")


def control(bed, report):
    """Runs without ihmp. Connections must be stuck after the pull, or else the other runs show nothing."""
    session = Session(bed)
    session.start()
    bed.m.cable("eth0", False)
    time.sleep(PATIENCE)
    going = set(session.going())
    stuck = CONNECTIONS - going
    report.say(f"without ihmp, {PATIENCE} s after the cable was pulled: stuck {', '.join(sorted(stuck)) or 'nothing'}")
    report.rows.append({"case": "control", "metric": "stuck", "value": len(stuck), "unit": "connections", "peer": "plain"})
    report.bound("control", "connections go on without ihmp", stuck == CONNECTIONS)
    session.cut()
    bed.m.cable("eth0", True)
    bed.settle()


def moves(bed, setup, number, report):
    """Runs with ihmp, and records the gaps of each flow at its receiver."""
    session = Session(bed)
    session.start()
    bed.meet()
    pulls = pull_repeatedly(bed, session, number)
    flows = session.end()
    report.say(f"\n{setup}, {number} pulls{'gap: median':>31}{'worst':>8}   late before: worst")
    for name, flow in sorted(flows.items()):
        gaps = [pull.gap(name, flow) for pull in pulls]
        noise = max(pull.noise(name, flow) for pull in pulls)
        median, worst = round(statistics.median(gaps)), max(gaps)
        report.say(f"  {name:28}{median:16} ms{worst:5} ms{noise:14} ms")
        case = f"{setup} {name}"
        for metric, value in (("gap_median", median), ("gap_worst", worst), ("late_before", noise), ("errors", len(flow["errors"]))):
            report.find(case, metric, value, "count" if metric == "errors" else "ms")
        coarse = 2000 * SHARE if "iperf3" in name else 0
        report.bound(case, f"median gap {median} ms, more than {MEDIAN}", median <= MEDIAN + coarse)
        report.bound(case, f"worst gap {worst} ms, more than {WORST}", worst <= WORST + coarse)
        report.bound(case, f"errors: {flow['errors'][:3]}", not flow["errors"])
        report.bound(case, f"{flow.get('corrupt')} corrupt records", not flow.get("corrupt"))


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    args.add_argument("--pulls", type=int, default=int(os.environ.get("IHMP_PULLS", "3")))
    args.add_argument("--setup", action="append", choices=SETUPS)
    args.add_argument("--results", default="build/results")
    args = args.parse_args()
    report = Report()
    with Testbed(f"{args.results}/demo-vm-work") as bed:
        bed.prepare()
        for number, setup in enumerate(args.setup or SETUPS):
            bed.manage(setup)
            if number == 0:
                control(bed, report)
                bed.install()
                bed.take_part()
            moves(bed, setup, args.pulls, report)
        bed.keep_logs()
    for what in report.missed:
        report.say(f"MISSED {what}")
    report.write(args.results)
    return 1 if report.missed else 0


sys.exit(main())
