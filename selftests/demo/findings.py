# SPDX-License-Identifier: GPL-2.0
"""Findings about a transfer, computed from the files that transfer.sh leaves."""

import json
import re
import statistics
import sys


class Transfer:
    """One transfer, by its name: tcp4-soft, server-udp6-hard (with ping), tcp4-plain ..."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.move = name.rpartition("-")[2]
        self.family = 6 if "6-" in name else 4
        self.kinds = ["tcp"] if "tcp" in name else ["udp", "ping"]
        self.run, self.client, self.server = self._load("run"), self._load("client"), self._load("server")
        self.observer = self._load("observer")
        self.start = self.run["t0"]
        self.bin = self.run["bin"]

    def _load(self, part):
        with open(f"{self.folder}/{self.name}.{part}.json", encoding="ascii") as file:
            return json.load(file)

    @property
    def lasts(self):
        """How long the transfer lasts, s."""
        return self.run["lasts"]

    @property
    def plain(self):
        """The name of the same transfer without a move."""
        return self.name.removesuffix(self.move) + "plain"

    def flow(self, kind):
        """Returns the receiver's findings for this kind of traffic."""
        return next(flow for flow in self.client["flows"] if flow["name"] == kind)

    def sender(self, kind):
        """Returns the sender's findings, if the sender is another program."""
        found = [flow for flow in self.server["flows"] if flow["name"].startswith(kind)]
        if kind != "ping" and len(found) != 1:
            raise ValueError(f"{self.name}: {len(found)} senders of {kind}")
        return found[0] if found else None

    def arrivals(self, kind):
        """Returns the times at which data arrived during the transfer."""
        return [at for at in self.flow(kind)["arrivals"] if self.start <= at < self.start + self.lasts]

    def bins(self, kind):
        """Returns how many octets arrived in each bin of time."""
        bins = [0] * int(self.lasts / self.bin)
        for index, size in self.flow(kind)["bins"]:
            if 0 <= index < len(bins):
                bins[index] = size
        return bins

    def received(self, kind):
        """Returns how many octets were received; for ping, how many echoes."""
        return len(self.arrivals(kind)) if kind == "ping" else sum(self.bins(kind))

    def errors(self, kind):
        """Returns a text for each thing that went wrong."""
        got, sender = self.flow(kind), self.sender(kind)
        out = []
        for flow in (got, sender or {"errors": {}}):
            for text, count in flow["errors"].items():
                out += [text] * count
            if flow.get("cut"):
                out.append("no end")
        out += [line for _, line in got.get("unreachable", [])]
        if got.get("status"):
            out.append(f"ping: exit {got['status']}")
        if not got["units"]:
            out.append("nothing came")
        if kind == "tcp":
            if not got.get("closed"):
                out.append("no end")
            elif got["last"] is None or got["last"] < self.start + self.lasts - 0.5:
                out.append("early end")
            if sender["sent"] != got["received"]:
                out.append(f"{sender['sent']} octets were sent, {got['received']} received")
        return out

    def moments(self):
        """Returns when the new network was usable, and when the old one was gone."""
        seen = [[at, what, device] for at, what, device, family in self.observer["events"] if family == self.family]
        first = {}
        for at, *event in seen:
            first.setdefault(tuple(event), at)
        return max(first["address", "wifi0"], first["route", "wifi0"]), first["gone", "eth0"]

    def messages(self):
        """Returns the messages of the move, and the probes with their answers."""
        begin, end = self.start + self.run["first"] - 0.5, self.start + self.lasts + 0.5
        return apart([m for m in self.observer["messages"] if begin < m[0] < end])


def apart(messages):
    """Separates other messages from probes and their ACKs. The code of a message is its first octet, its number the third and fourth."""
    asked = {m[3][4:8] for m in messages if m[3][:2] == "01"}
    probes = [m for m in messages if m[3][:2] == "01" or (m[3][:2] == "08" and m[3][4:8] in asked)]
    return [m for m in messages if m not in probes], probes


def cases(run, plain):
    """Yields (case, {metric: value}) for each row of one transfer."""
    usable, gone = run.moments()
    first, second = (usable, gone) if run.move == "soft" else (gone, usable)
    messages, probes = run.messages()
    began = run.start + run.run["first" if run.move == "soft" else "second"] - 0.01
    after = [m[0] for m in messages if m[0] > began and m[1] == "out"]
    for kind in run.kinds:
        arrivals = run.arrivals(kind)
        if run.move == "hard":
            later = [a for a in arrivals if a > usable]
            gap = (later[0] - usable) * 1000 if later else None
            # For a third of the time there is no network.
            share = 1 - (run.run["second"] - run.run["first"]) / run.lasts
        else:
            spaces = [(b, b - a) for a, b in zip(arrivals, arrivals[1:])]
            near = [s for at, s in spaces if first < at < first + 2 or second < at < second + 2]
            gap = (max(near) - statistics.median(s for _, s in spaces)) * 1000
            share = 1
        ratio = run.received(kind) / (plain.received(kind) * share)
        errors = run.errors(kind)
        for error in errors:
            print(f"{run.name}: {kind}: {error}", file=sys.stderr)
        yield re.sub("udp", kind, run.name), {
            "goodput_ratio": round(ratio, 4), "gap_ms": gap and round(gap, 1),
            "control_ms": round((after[0] - usable) * 1000, 1) if after else None,
            "messages": len(messages), "probes": len(probes), "app_errors": len(errors),
            "corrupt_bytes": run.flow(kind)["corrupt"], "received": run.received(kind), "plain": plain.received(kind),
            "events": (first - run.start, second - run.start), "bins": run.bins(kind),
        }
