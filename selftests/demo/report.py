#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py FOLDER RESULTS: makes the report of the demonstration.

It reads the files that the guests left in FOLDER, and writes demo.json, demo.svg and demo.txt in RESULTS, with -KERNEL in the names unless
the kernel ($IHMP_KERNEL) is stock. The exit status is 0 if every figure is within its bound.
"""

import glob
import json
import os
import re
import sys

from findings import Transfer, cases
from picture import picture

RTT = 120
# If a transfer without a move gets less than this, Mb/s, something else than its path has limited it.
BUSY = 8.5
# The bounds of each metric, by the kind of move.
BOUNDS = {
    "goodput_ratio": {"soft": (">=", 0.98), "hard": (">=", 0.95)},
    "messages": {"soft": ("==", 4), "hard": ("==", 2)},
    "app_errors": {"soft": ("==", 0), "hard": ("==", 0)},
    "corrupt_bytes": {"soft": ("==", 0), "hard": ("==", 0)},
}
GAP = {"tcp": RTT + 50, "udp": RTT + 20}
UNITS = {"goodput_ratio": "1", "gap_ms": "ms", "control_ms": "ms", "messages": "1", "probes": "1", "app_errors": "1",
         "corrupt_bytes": "B"}


def kind_of(case):
    """Returns the kind of traffic of a case: tcp, udp or ping."""
    return re.sub("server-|[46]-.*", "", case)


def misses(case, row):
    """Yields each figure of the row that is beyond its bound."""
    kind = kind_of(case)
    move = case.rpartition("-")[2]
    for metric, bounds in BOUNDS.items():
        # The goodput of datagrams is shown, but only that of TCP has a bound.
        if metric == "goodput_ratio" and kind != "tcp":
            continue
        relation, bound = bounds[move]
        value = row[metric]
        if value is None or (value < bound if relation == ">=" else value != bound):
            yield f"{case} {metric} {value}, not {relation} {bound}"
    if move == "hard" and kind in GAP and (row["gap_ms"] is None or row["gap_ms"] > GAP[kind]):
        yield f"{case} gap_ms {row['gap_ms']}, not <= {GAP[kind]}"
    if row["control_ms"] is None:
        yield f"{case} control_ms: no message"


def table(rows):
    """Returns the lines of the table."""
    widths = (22, 9, 9, 11, 10, 8, 8, 9)
    heads = ("case", "goodput", "gap ms", "control ms", "messages", "probes", "errors", "corrupt")
    lines = ["".join(h.ljust(w) if not i else h.rjust(w) for i, (h, w) in enumerate(zip(heads, widths)))]
    for case, row in rows:
        values = [f"{row['goodput_ratio']:.3f}"] + ["-" if row[m] is None else str(row[m]) for m in list(UNITS)[1:]]
        lines.append(case.ljust(widths[0]) + "".join(v.rjust(w) for v, w in zip(values, widths[1:])))
    return lines


def records(rows, lasts):
    """Returns the figures as records for demo.json."""
    out = []
    for case, row in rows:
        for metric, unit in UNITS.items():
            out.append({"case": case, "metric": metric, "value": row[metric], "unit": unit, "peer": ""})
        # TCP is measured in bits; datagrams and echoes are counted.
        bits = kind_of(case) == "tcp"
        for peer, key in (("", "received"), ("plain", "plain")):
            value = round(row[key] * 8 / lasts / 1e6, 4) if bits else row[key]
            out.append({"case": case, "metric": "goodput" if bits else "received", "value": value,
                        "unit": "Mb/s" if bits else "B" if "udp" in case else "1", "peer": peer})
    return out


def transfers(folder):
    """Returns all planned transfers by name; a transfer without findings is an error."""
    names = []
    for path in sorted(glob.glob(f"{folder}/runs-*")):
        with open(path, encoding="ascii") as file:
            names += file.read().split()
    if not names:
        raise FileNotFoundError(f"no transfers in {folder}")
    return {name: Transfer(folder, name) for name in names}


def main():
    folder, results = sys.argv[1:]
    kernel = os.environ.get("IHMP_KERNEL", "stock")
    runs = transfers(folder)
    plains = [run for run in runs.values() if run.move == "plain"]
    lasts = plains[0].lasts
    rows, base = [], {}
    for run in runs.values():
        if run.move != "plain":
            rows += cases(run, runs[run.plain])
            base[run.name] = runs[run.plain].bins(run.kinds[0])
    kinds = ("tcp", "udp", "ping")
    rows.sort(key=lambda r: (r[0].startswith("server"), kinds.index(kind_of(r[0]))))
    bad = [m for case, row in rows for m in misses(case, row)]
    for plain in plains:
        bad += [f"{plain.name}: {kind}: {error}" for kind in plain.kinds for error in plain.errors(kind)]
    lines = table(rows)
    lines += [f"MISSED: {m}" for m in bad] or ["All bounds are met."]
    rates = [plain.received("tcp") * 8 / lasts / 1e6 for plain in plains if "tcp" in plain.kinds]
    if rates and min(rates) < BUSY:
        lines.append(f"Note: without any move, a transfer got {min(rates):.1f} Mb/s of the path's 10. This machine was "
                     "too slow or too busy; figures of time and rate say little.")
    suffix = "" if kernel == "stock" else f"-{kernel}"
    drawn = picture([(case, row) for case, row in rows if kind_of(case) == "tcp"], base, lasts, plains[0].bin,
                    f"path of 10 Mb/s and {RTT} ms round trip; {kernel} kernel")
    for name, content in (("txt", "\n".join(lines) + "\n"), ("json", json.dumps(records(rows, lasts), indent=1) + "\n"),
                          ("svg", drawn)):
        with open(f"{results}/demo{suffix}.{name}", "w", encoding="ascii") as file:
            file.write(content)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
