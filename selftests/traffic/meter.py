# SPDX-License-Identifier: GPL-2.0
"""Records what came, and when."""

import errno
import time


class Meter:
    """What one end of one flow has received, and what went wrong."""

    def __init__(self, args, name):
        self.args = args
        self.name = name
        self.received = 0
        self.units = 0
        self.corrupt = 0
        self.first = self.last = None
        self.silences = []
        self.bins = {}
        self.errors = []
        self.arrivals = []
        self.extra = {}

    def got(self, size, now=None):
        """Counts octets that came now or at the given time."""
        now = now or time.time()
        if self.last is None:
            self.first = now
        elif now - self.last > self.args.silence:
            self.silences.append([self.last, now])
        self.last = now
        self.received += size
        self.units += 1
        if self.args.arrivals:
            self.arrivals.append(now)
        if self.args.bins:
            index = int((now - self.args.epoch) / self.args.bins)
            self.bins[index] = self.bins.get(index, 0) + size

    def error(self, operation, number):
        """Counts an operation that failed, with an errno or a text."""
        name = errno.errorcode.get(number, str(number)) if isinstance(number, int) else number
        self.errors.append([time.time(), operation, name])

    def report(self):
        """Returns the findings."""
        now = time.time()
        errors = {}
        for _, operation, name in self.errors:
            errors[f"{operation} {name}"] = errors.get(f"{operation} {name}", 0) + 1
        out = {
            "name": self.name, "received": self.received, "units": self.units, "corrupt": self.corrupt,
            "first": self.first, "last": self.last, "end": now, "silences": self.silences,
            "errors": errors, "error_times": self.errors[:50],
        }
        if self.bins:
            out["bins"] = sorted(self.bins.items())
        if self.args.arrivals:
            out["arrivals"] = self.arrivals
        out.update(self.extra)
        return out


class Sequence:
    """Records which of the numbers from 0 on came, how often, and in which order."""

    def __init__(self):
        self.seen = set()
        self.highest = -1
        self.duplicates = 0
        self.reordered = 0

    def got(self, number):
        """Counts a number that came."""
        if number in self.seen:
            self.duplicates += 1
            return
        self.seen.add(number)
        if number < self.highest:
            self.reordered += 1
        self.highest = max(self.highest, number)


def lost_runs(lost, sent_at):
    """Groups ascending numbers into runs without a gap. sent_at returns when a number was sent."""
    runs = []
    for number in lost:
        if runs and number == runs[-1]["first"] + runs[-1]["count"]:
            runs[-1]["count"] += 1
            runs[-1]["to"] = sent_at(number)
        else:
            runs.append({"first": number, "count": 1, "from": sent_at(number), "to": sent_at(number)})
    return runs
