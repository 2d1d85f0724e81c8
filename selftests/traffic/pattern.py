# SPDX-License-Identifier: GPL-2.0
"""The test data: a function of their position, so a misplaced octet is a corrupt one."""

import random

PERIOD = 65521
CHUNK = 1 << 16
TABLE = memoryview(random.Random(61453).randbytes(PERIOD) * 3)


def pattern(position, size):
    """Returns at most CHUNK octets of the data from this position on."""
    start = position % PERIOD
    return TABLE[start:start + size]


def wrong(position, data):
    """Returns how many octets of data are not those of this position."""
    count = 0
    view = memoryview(data)
    for at in range(0, len(view), CHUNK):
        part = view[at:at + CHUNK]
        want = pattern(position + at, len(part))
        if part != want:
            count += sum(a != b for a, b in zip(part, want))
    return count
