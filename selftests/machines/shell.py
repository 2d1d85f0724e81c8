#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots the machines and runs the lines of standard input: "m COMMAND" or "c COMMAND" there; "pull DEVICE" and "plug DEVICE" at m."""

import sys

from machine import Failed
from testbed import Testbed


def main():
    with Testbed("build/results/machines") as bed:
        for line in sys.stdin:
            where, _, what = line.strip().partition(" ")
            try:
                if where in ("pull", "plug"):
                    bed.m.cable(what, where == "plug")
                elif where in ("m", "c"):
                    print(getattr(bed, where).sh(what), flush=True)
                elif where:
                    print("m COMMAND, c COMMAND, pull DEVICE or plug DEVICE", flush=True)
            except Failed as problem:
                print(problem, flush=True)


main()
