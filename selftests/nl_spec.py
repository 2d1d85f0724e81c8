#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The contract from outside: drives every operation of uapi/ihmp.yaml through the kernel's own YNL library.

What is wrong has to be refused with the right errno, extack text and attribute; what is right has to read back; events
carry the same objects as the replies. It uses no ihmpctl. The library is taken from the kernel source tree: the runner
puts it into build/ynl; IHMP_YNL names another place.
"""

import os
import sys
import traceback

# Cases run in this order.
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
