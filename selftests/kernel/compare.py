#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares the results of the kernel's tests with the module and without it.

  compare.py FOLDER...             prints TAP, with a line for each test, and a summary
  compare.py --differing FOLDER    prints the names of the tests that differ and have to be run again

A test's results are its exit status, each line that begins or ends with a word such as OK, FAIL or SKIP, and each line of
KTAP. Results with equal text are compared as a group. Figures of three digits or more, times and random names in the text do not count.

  same         each result with the module is one that the test has without it, too
  not covered  the same, but no packet of the test was of a flow with a host; the line says whether the hooks were called
  different    most of the runs with the module had a result that no run without it had, or lacked one
  flaky        the first runs differed, but the test is not different by this rule after both sides were run again

A test that fails or skips itself on both sides alike counts as same, and is listed with a note.
"""

import collections
import json
import pathlib
import re
import sys

WORDS = r"PASS|FAIL|OK|SKIP|XFAIL|XPASS|ERROR|ok|fail|failed|not ok|passed"
KTAP = re.compile(r"^[\s#]*(not ok|ok)\s+\d+\s*-?\s*(.*?)\s*(?:#\s*([A-Z]{4,})\b.*)?$")
BEFORE = re.compile(rf"^\s*({WORDS})\b\s*[:\-]?\s*(.*)$")
AFTER = re.compile(rf"^(.*?)[\s:.]*\[?\s*\b({WORDS})\s*\]?\s*$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TIME = re.compile(r"\b\d+(\.\d+)? ?(ns|us|ms|msec|sec|seconds?|s|min)\b")
RANDOM = re.compile(r"-[A-Za-z0-9]{6}\b")
FIGURE = re.compile(r"\d{3,}|0x[0-9a-f]+|\d+\.\d+")
# Counters of packets of flows with hosts.
PACKETS = ("out-unchanged", "in-unchanged", "out-translated", "in-translated", "icmp-out", "icmp-in")
# Counters that should stay zero when nobody moves.
NOTABLE = ("out-translated", "in-translated", "port-mapped", "tcp-woken", "unreachable")
SKIPPED = 4


def plain(text):
    """Returns the text of a result without parts that differ from run to run."""
    text = TIME.sub("TIME", RANDOM.sub("-X", text))
    return " ".join(FIGURE.sub("N", text).split())


def results(text):
    """Returns the results of a test: {text: outcomes, in the order of their appearance}."""
    found = {}
    for line in text.splitlines():
        line = COLOUR.sub("", line).rstrip()
        match = KTAP.match(line)
        if match:
            what, name, special = match[2], match[2], match[3] or match[1]
        else:
            match = BEFORE.match(line) or AFTER.match(line)
            if not match:
                continue
            first = BEFORE.match(line)
            name, special = (match[2], match[1]) if first else (match[1], match[2])
        found.setdefault(plain(name), []).append(special.upper())
    return found


class Run:
    """One run of a test on one side. A run that has not ended has no status."""

    def __init__(self, folder, name, variant, number):
        record = folder / f"{name}.{variant}.{number}.json"
        output = folder / f"{name}.{variant}.{number}.out"
        self.ended = record.exists()
        self.record = json.loads(record.read_text()) if self.ended else {}
        self.text = output.read_text(errors="replace") if output.exists() else ""
        self.results = results(self.text)
        # Two guests that died do not count as equal results: the text names the side.
        status = self.record.get("status", f"none, the guest {variant} us died")
        self.results["exit status"] = [str(status)]

    @property
    def status(self):
        return self.record.get("status")


class Test:
    """All runs of a test."""

    def __init__(self, folder, name):
        self.name = f"{folder.name}: {name}"
        self.sides = {}
        for variant in ("without", "with"):
            numbers = [1]
            while (folder / f"{name}.{variant}.{numbers[-1] + 1}.out").exists():
                numbers.append(numbers[-1] + 1)
            self.sides[variant] = [Run(folder, name, variant, number) for number in numbers]
        self.names = list(dict.fromkeys(name for side in self.sides.values() for run in side for name in run.results))

    def outcome(self, run, name):
        return tuple(run.results.get(name, ("absent",)))

    def first_differs(self):
        without, ours = self.sides["without"][0], self.sides["with"][0]
        return [name for name in self.names if self.outcome(without, name) != self.outcome(ours, name)]

    def differences(self):
        """Returns the results that most of the runs with the module had, and no run without it."""
        lines = []
        for name in self.names:
            known = {self.outcome(run, name) for run in self.sides["without"]}
            ours = collections.Counter(self.outcome(run, name) for run in self.sides["with"])
            for outcome, times in ours.items():
                if outcome not in known and 2 * times > len(self.sides["with"]):
                    lines.append(f"{name}: without us {say(known)}, with us {say([outcome])}"
                                 f" ({times} of {len(self.sides['with'])} runs)")
        return lines

    def counters(self):
        sums = collections.Counter()
        for run in self.sides["with"]:
            sums.update(run.record.get("counters", {}))
        return sums


def say(outcomes):
    return " or ".join(sorted(squeeze(outcome) for outcome in outcomes))


def squeeze(outcome):
    """Shortens outcomes: OK,OK,FAIL becomes OK*2,FAIL."""
    parts = []
    for word in outcome:
        if parts and parts[-1][0] == word:
            parts[-1][1] += 1
        else:
            parts.append([word, 1])
    return ",".join(word if times == 1 else f"{word}*{times}" for word, times in parts)


def notes(test):
    """Yields the diagnostic lines below the line of a test."""
    ours = test.sides["with"][0]
    counters = test.counters()
    failing = [name for name, outcome in ours.results.items()
               if name != "exit status" and {"FAIL", "NOT OK", "ERROR", "XFAIL", "FAILED"} & set(outcome)]
    if failing and not test.first_differs():
        yield f"same (fails without us): {len(failing)} results, e.g. {failing[0]}"
    special = {name: value for name, value in counters.items() if value and (name in NOTABLE or name.startswith("!"))}
    if special:
        yield "counted: " + ", ".join(f"{name.lstrip('!')} {value}" for name, value in special.items())


def main():
    if sys.argv[1] == "--differing":
        folder = pathlib.Path(sys.argv[2])
        for name in names(folder):
            test = Test(folder, name)
            # The first run decides which tests are run again.
            if test.first_differs():
                print(name)
        return 0
    tests = [Test(folder, name) for folder in map(pathlib.Path, sys.argv[1:]) for name in names(folder)]
    tally, compared, packets, flows = collections.Counter(), 0, 0, 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        counters = test.counters()
        passed = sum(counters[name] for name in PACKETS)
        called = counters["out"] + counters["in"]
        compared += sum(len(outcome) for outcome in test.sides["with"][0].results.values())
        packets, flows = packets + passed, flows + counters["flows-made"]
        what = f"{passed} packets of {counters['flows-made']} flows"
        differences, differed = test.differences(), test.first_differs()
        status = test.sides["with"][0].status
        if differences:
            verdict, line = "different", f"not ok {number} - {test.name}: different # {what}"
        elif differed:
            verdict, line = "flaky", f"ok {number} - {test.name}: flaky # SKIP {what}"
        elif status == SKIPPED:
            verdict, line = "not covered", f"ok {number} - {test.name} # SKIP skips itself, on both sides"
        elif passed == 0:
            hooks = f"the hooks were called {called} times" if called else "the hooks were not called"
            verdict, line = "not covered", f"ok {number} - {test.name} # SKIP not covered: {hooks}"
        else:
            verdict, line = "same", f"ok {number} - {test.name} # {what}"
        tally[verdict] += 1
        print(line)
        for note in [*differences, *notes(test)]:
            print(f"#   {note}")
        if verdict == "flaky":
            for name in differed:
                print(f"#   {name}: without us {say({test.outcome(run, name) for run in test.sides['without']})},"
                      f" with us {say({test.outcome(run, name) for run in test.sides['with']})}")
    print(f"{tally['same']} same, {tally['different']} different, {tally['not covered']} not covered, {tally['flaky']} flaky;"
          f" {compared} results; {packets} packets of {flows} flows")
    return 1 if tally["different"] else 0


def names(folder):
    return [line.split()[0] for line in (folder / "list").read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
