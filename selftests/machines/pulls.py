# SPDX-License-Identifier: GPL-2.0
"""The cable of the preferred network is pulled, and plugged in again, while a session goes on; what its receivers noticed."""

import time

from testbed import RTT

# After the cable is pulled nothing comes for a round trip and this at most, ms: in the middle, and at worst.
MEDIAN, WORST = RTT + 50, RTT + 250
# How long the machines are watched before the cable is pulled, s: what they are late by then is not the move's doing.
CALM = 3


class Pull:
    """One pull: when it was by the machines' clocks, from before the cable went until all went on."""

    def __init__(self, bed, session, seconds=60):
        self.calm = self.now(bed)
        time.sleep(CALM)
        self.start = self.now(bed)
        bed.m.cable("eth0", False)
        bed.m.until("! ip link show dev eth0 | grep -q LOWER_UP", 20, "the cable is still there")
        session.goes_on(seconds)
        self.end = self.now(bed)

    @staticmethod
    def now(bed):
        return {machine.name: machine.clock() for machine in bed.machines}

    def gap(self, name, flow):
        """The longest silence that touches the pull, ms."""
        return longest(flow, self.start[name[-1]], self.end[name[-1]])

    def noise(self, name, flow):
        """The longest silence in the calm before it, ms."""
        calm, start = self.calm[name[-1]], self.start[name[-1]]
        return longest({"silences": [silence for silence in flow["silences"] if silence[1] < start]}, calm, start)


def longest(flow, start, end):
    return round(max([(b - a) * 1000 for a, b in flow["silences"] if b >= start and a <= end], default=0))


def pull_repeatedly(bed, session, number):
    """Pulls that many times; between two, the cable is plugged in and eth0 preferred again."""
    pulls = []
    bed.urgent(True)
    try:
        for _ in range(number):
            pulls.append(Pull(bed, session))
            bed.m.cable("eth0", True)
            bed.settle()
            session.goes_on()
    finally:
        bed.urgent(False)
    return pulls
