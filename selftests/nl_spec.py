#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests the netlink family against its specification: drives every operation of uapi/ihmp.yaml through the kernel's own YNL library.

Wrong requests have to be refused with the right errno, extack text and attribute. What was set has to read back. Events have to carry the
same objects as the replies. The test does not use ihmpctl. The library comes from the kernel's source tree: the runner copies it to
build/ynl, and IHMP_YNL names another place.
"""

import os
import sys
import traceback

# The cases run in the order of these imports.
from spec import hosts, flows, nats, settings, wrong, events, privileges  # pylint: disable=unused-import
from spec.case import CASES, COUNT
from spec.family import YNL, Family, ynl_module


def main():
    print("KTAP version 1")
    os.unshare(privileges.CLONE_NEWNET)
    os.system("ip link set lo up")
    try:
        library = ynl_module()
    except ImportError:
        print(f"1..0 # SKIP no YNL in {YNL}: IHMP_YNL names a folder with tools/net/ynl/pyynl and Documentation/netlink/genetlink.yaml of a kernel")
        return 4
    family = Family(library)
    wanted = os.environ.get("IHMP_CASES")
    number = 0
    for text, function in CASES:
        if wanted and wanted not in text:
            continue
        number += 1
        try:
            function(family)
        except Exception as problem:  # noqa: one failure does not hide the rest
            COUNT["not ok"] += 1
            print(f"not ok {number} - {text}")
            print("#   " + f"{type(problem).__name__}: {problem}".replace("\n", "\n#   "))
            if not isinstance(problem, AssertionError):
                print("#   " + traceback.format_exc().replace("\n", "\n#   "))
        else:
            COUNT["ok"] += 1
            print(f"ok {number} - {text}")
        sys.stdout.flush()
        family.reset()
    print(f"1..{number}")
    return 1 if COUNT["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
