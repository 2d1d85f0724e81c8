# SPDX-License-Identifier: GPL-2.0
"""Pulls the cable of the preferred network and plugs it in again during a session, and measures the gaps at the receivers."""

import time

from testbed import RTT

# The median and the longest of the gaps after a pull may be a round trip and so much more, ms.
MEDIAN, WORST = RTT + 50, RTT + 250
# The machines are watched for so many seconds before each pull. Gaps in that time are not caused by the move.
CALM = 3


class Pull:
    """One pull: its times by the machines' clocks, from before the cable went until all flows went on."""

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
        """Returns the longest silence that touches the pull, ms."""
        return longest(flow, self.start[name[-1]], self.end[name[-1]])

    def noise(self, name, flow):
        """Returns the longest silence in the calm before the pull, ms."""
        calm, start = self.calm[name[-1]], self.start[name[-1]]
        return longest({"silences": [silence for silence in flow["silences"] if silence[1] < start]}, calm, start)


def longest(flow, start, end):
    return round(max([(b - a) * 1000 for a, b in flow["silences"] if b >= start and a <= end], default=0))


def pull_repeatedly(bed, session, number):
    """Pulls the cable so many times. Between two pulls it is plugged in, and eth0 is preferred again."""
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
