#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests with two whole machines, in TAP: what network managers and systemd do, and network namespaces do not.

  test.py [PATTERN]    runs only the cases whose names match PATTERN

Each case changes something at m while connections of both families go on. Programs must see no error. The machines boot once.
"""

import re
import sys
import time

from machine import Failed, until
from pulls import Pull, longest
from testbed import HERE, SETUPS, Testbed
from traffic import Session


class Case:
    """A case while it runs: what it found wrong."""

    def __init__(self, bed):
        self.bed, self.wrong, self.notes = bed, [], []

    def check(self, what, good):
        if not good:
            self.wrong.append(what)

    def session(self, change):
        """Makes the change during connections, and checks what their ends saw."""
        session = Session(self.bed)
        session.start()
        self.bed.meet()
        change(session)
        session.goes_on()
        for name, flow in session.end().items():
            self.check(f"{name}: errors {flow['errors'][:2]}", not flow["errors"])
            self.check(f"{name}: {flow.get('corrupt')} corrupt records", not flow.get("corrupt"))
            self.notes.append(f"{name}: longest silence {longest(flow, 0, time.time() * 2)} ms")

    def rules(self):
        """Returns how many rules the agent has at m, for each family."""
        return [len(self.bed.m.json(f"ip -j -{family} rule show priority 40000")) for family in (4, 6)]


def pulled(case):
    """Pulls the cable and plugs it in again."""
    def change(session):
        Pull(case.bed, session)
        case.bed.m.cable("eth0", True)
        case.bed.settle()
    case.session(change)


def restarted(unit):
    """Restarts a unit of m while connections go on, and then pulls the cable."""
    def run(case):
        def change(session):
            case.bed.m.sh(f"systemctl restart {unit}")
            until(lambda: case.rules() == [1, 1], 10, "the agent's rules do not return")
            case.bed.settle()
            session.goes_on()
            Pull(case.bed, session)
            case.check(f"rules of preference 40000 after the move: {case.rules()}", case.rules() == [1, 1])
            case.bed.m.cable("eth0", True)
            case.bed.settle()
        case.session(change)
    return run


def dropped_in(run):
    """Runs a case with the file that makes networkd leave foreign rules alone."""
    def inner(case):
        case.bed.m.sh(f"install -D -m 644 {HERE}/../../ctl/ihmpd/networkd.conf /etc/systemd/networkd.conf.d/ihmp.conf")
        try:
            before = case.bed.m.sh("journalctl -b -u ihmpd | grep -c event=restored", check=False)
            run(case)
            after = case.bed.m.sh("journalctl -b -u ihmpd | grep -c event=restored", check=False)
            case.check("rules were removed all the same", before == after)
        finally:
            case.bed.m.sh("rm -f /etc/systemd/networkd.conf.d/ihmp.conf")
    return inner


def paused(case):
    """Stops m for a minute, like a suspended machine that wakes up in the same network."""
    def change(_):
        case.bed.m.monitor_do("stop")
        time.sleep(60)
        case.bed.m.monitor_do("cont")
    case.session(change)


CASES = [
    *((f"{setup}: the cable is pulled, and plugged in again", setup, pulled) for setup in SETUPS),
    ("nm-dhcp: NetworkManager is restarted, then the cable is pulled", "nm-dhcp", restarted("NetworkManager")),
    ("nm-dhcp: the agent is restarted, then the cable is pulled", "nm-dhcp", restarted("ihmpd")),
    ("nm-dhcp: the machine stands still for a minute", "nm-dhcp", paused),
    ("networkd-dhcp: systemd-networkd is restarted, then the cable is pulled", "networkd-dhcp", restarted("systemd-networkd")),
    ("networkd-dhcp: the same with networkd.conf", "networkd-dhcp", dropped_in(restarted("systemd-networkd"))),
]


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [case for case in CASES if re.search(pattern, case[0])]
    print(f"TAP version 13\n1..{len(chosen)}", flush=True)
    failed, current = 0, None
    with Testbed("build/results/machines") as bed:
        bed.prepare()
        bed.install()
        bed.take_part()
        for number, (name, setup, run) in enumerate(sorted(chosen, key=lambda case: SETUPS.index(case[1])), 1):
            case = Case(bed)
            try:
                if setup != current:
                    bed.manage(setup)
                    current = setup
                run(case)
            except Failed as problem:
                case.wrong.append(str(problem))
                Session(bed).cut()
                bed.m.cable("eth0", True)
                current = None
            for line in case.notes + case.wrong:
                print(f"# {line}", flush=True)
            print(f"{'not ok' if case.wrong else 'ok'} {number} {name}", flush=True)
            failed += bool(case.wrong)
        bed.keep_logs()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
