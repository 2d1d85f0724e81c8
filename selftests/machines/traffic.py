# SPDX-License-Identifier: GPL-2.0
"""The traffic between the machines while one of them moves, and its receivers' findings.

For each family there are a TCP connection with data in both directions and datagrams with answers (flows.py), ping, an ssh session
with a line every 20 ms, and iperf3. Every receiver records when nothing came, by the clock of its own machine.
"""

from machine import until
from testbed import CHECKOUT, FAMILIES, HERE

FLOWS, TICKS = f"{HERE}/flows.py", f"{HERE}/ticks.py"
# Programs send every 10 or 20 ms, and an emulated machine is late now and then. Shorter silences than this do not count, s.
SILENCE = 0.03
PORT, IPERF = 5001, 5200
# iperf3 counts received data in intervals of so many seconds.
SHARE = 0.1
RESULT = "/run/flows.json"
UNITS = "flows ping4 ping6 ssh4 ssh6 iperf4 iperf6"


class Session:
    """The programs of both families. They run from start() to end()."""

    def __init__(self, bed):
        self.bed = bed

    def start(self):
        m, c = self.bed.m, self.bed.c
        four, six = (self.bed.far(family) for family in FAMILIES)
        c.spawn("flows", f"exec {FLOWS} serve {PORT} {RESULT}")
        for family in FAMILIES:
            c.spawn(f"iperf{family}", f"exec iperf3 -s -1 -{family} -p {IPERF + family} -i {SHARE} --json >/run/iperf{family}.json")
        c.until(f"test -s {RESULT}.count && [ $(ss -Hltn | grep -c ':{IPERF // 10}[46]') = 2 ]", 120, "no servers")
        m.spawn("flows", f"exec {FLOWS} run {PORT} {RESULT} {four} {six}")
        for family, far in zip(FAMILIES, (four, six)):
            m.spawn(f"ping{family}", f"ping -n -i 0.02 {far} | exec {TICKS} hear {SILENCE} /run/ping{family}.json")
            m.spawn(f"ssh{family}", f"ssh -{family} {far} {TICKS} say | exec {TICKS} hear {SILENCE} /run/ssh{family}.json")
            m.spawn(f"iperf{family}", f"exec iperf3 -{family} -c {far} -p {IPERF + family} -b 100k -l 250 --pacing-timer 20000 "
                    "-t 86400 >/run/iperf.txt")
        until(lambda: len(self.counts()) == 8 and min(self.counts().values()) > 50, 120, "some flow does not begin")

    def counts(self):
        """Returns how much each flow of m has received so far, except for iperf3's."""
        text = self.bed.m.sh(f"cat {RESULT}.count; cd /run; grep -H . ping?.json.count ssh?.json.count | sed 's/.json.count:/ /'")
        return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}

    def goes_on(self, seconds=30):
        """Waits until every flow receives again."""
        before = self.counts()
        until(lambda: all(n > before[name] + 20 for name, n in self.counts().items()), seconds, "some flow does not go on")

    def going(self):
        """Returns the flows that receive something within two seconds."""
        before, start = self.counts(), self.bed.m.clock()
        until(lambda: self.bed.m.clock() > start + 2, 60, "the clock stands")
        return sorted(name for name, n in self.counts().items() if n > before[name])

    def cut(self):
        """Kills the programs."""
        for machine in (self.bed.m, self.bed.c):
            machine.sh(f"systemctl kill -s KILL {UNITS}; systemctl stop {UNITS}; systemctl reset-failed; "
                       "rm -f /run/*.json /run/*.json.count")

    def end(self):
        """Stops the programs. Returns the findings by flow: the machine of its receiver, and what the receiver has recorded."""
        m, c = self.bed.m, self.bed.c
        m.sh(f"systemctl kill -s TERM {UNITS}; true")
        m.until(f"! systemctl -q is-active {UNITS}", 60, "no end")
        c.sh("systemctl stop flows iperf4 iperf6; true")
        findings = {}
        for machine in (m, c):
            machine.until(f"test -s {RESULT}", 60, "no findings")
            for name, flow in machine.fetch("flows.json").items():
                findings[f"{name} at {machine.name}"] = flow
        for family in FAMILIES:
            for what in ("ping", "ssh"):
                m.until(f"test -s /run/{what}{family}.json", 60, "no findings")
                findings[f"IPv{family} {what} at m"] = m.fetch(f"{what}{family}.json")
            findings[f"IPv{family} iperf3 at c"] = of_iperf(c.fetch(f"iperf{family}.json"))
        for machine in (m, c):
            machine.sh("rm -f /run/*.json /run/*.json.count; systemctl reset-failed; true")
        return findings


def of_iperf(found):
    """Returns iperf3's findings in the form of the others: intervals without data are silences."""
    began, silences, units = found["start"]["timestamp"]["timesecs"], [], 0
    for share in (interval["sum"] for interval in found["intervals"]):
        units += share["bytes"] // 250
        if share["bytes"]:
            continue
        if silences and abs(silences[-1][1] - began - share["start"]) < SHARE / 2:
            silences[-1][1] = began + share["end"]
        else:
            silences.append([began + share["start"], began + share["end"]])
    return {"units": units, "silences": silences, "errors": []}
