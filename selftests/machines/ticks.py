#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes a line every 20 ms, or reads such lines and records when they come; for the output of an ssh session.

  ticks.py say                    writes lines until nobody reads them
  ticks.py hear SILENCE RESULT    reads lines. At SIGTERM or at the end of the lines it writes a JSON object to RESULT: how many lines
                                  came, the times of silences longer than SILENCE seconds, and whether the lines have ended.
                                  RESULT.count has the number of lines meanwhile
"""

import json
import os
import select
import signal
import sys
import time

INTERVAL = 0.02


def say():
    start, count = time.monotonic(), 0
    while True:
        os.write(1, b"%d\n" % count)
        count += 1
        time.sleep(max(0, start + count * INTERVAL - time.monotonic()))


def hear(silence, path):
    lines, last, silences, ended, told = 0, None, [], False, 0
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    while not stop:
        if not select.select([0], [], [], 0.2)[0]:
            continue
        text = os.read(0, 1 << 16)
        now = time.time()
        if not text:
            ended = True
            break
        if last is not None and now - last > silence:
            silences.append([last, now])
        last = now
        lines += text.count(b"\n")
        if now > told + 0.1:
            told = now
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(f"{lines}\n")
            os.rename(path + ".new", path + ".count")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"units": lines, "silences": silences, "last": last, "ended": ended, "errors": []}, file)


if sys.argv[1:] == ["say"]:
    say()
elif len(sys.argv) == 4 and sys.argv[1] == "hear":
    hear(float(sys.argv[2]), sys.argv[3])
else:
    sys.exit(__doc__)
