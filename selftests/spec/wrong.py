# SPDX-License-Identifier: GPL-2.0
"""Requests that are wrong for any operation."""

import errno
import struct

from .case import case, equal, true
from .family import C4, D4, Raw, addresses


@case("unknown attributes are refused, in requests and in nests")
def unknown(f):
    number = f.host()
    for operation, values in (("host-get", {"id": number}), ("host-set", {"id": number}), ("param-set", {}), ("stats-flush", {}),
                              ("host-flush", {}), ("policy-flush", {}), ("param-get", {}), ("stats-get", {})):
        f.refused(errno.EINVAL, operation, {**values, 60: Raw(b"\0\0\0\0")}, text="nknown attribute")
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": [{"address": D4, "set": "active", 60: Raw(b"\0\0\0\0")}]},
              text="nknown attribute")
    # This attribute is in the set, but not allowed for this operation.
    f.refused(errno.EINVAL, "host-get", {"id": number, "name": "x"}, bad=".name")
    f.refused(errno.EINVAL, "host-del", {"id": number, "state": "up"}, bad=".state")
    equal("the host is as it was", [C4], addresses(f.do("host-get", id=number), "active"))


@case("wrong lengths are refused with the attribute")
def lengths(f):
    number = f.host()
    for operation, values, name in (
            ("host-get", {"id": Raw(b"\1\0")}, "id"), ("host-get", {"id": Raw(bytes(8))}, "id"),
            ("host-get", {"address": Raw(b"\1\2\3")}, "address"), ("host-get", {"address": Raw(bytes(17))}, "address"),
            ("param-set", {"port": Raw(b"\1")}, "port"), ("param-set", {"max-hosts": Raw(b"")}, "max-hosts"),
            ("policy-new", {"address": C4, "prefix-len": Raw(bytes(4)), "action": "auto"}, "prefix-len")):
        try:
            f.send(operation, values)
        except f.error_type as problem:
            true(f"{operation} {values}: {problem}", problem.error in (errno.EINVAL, errno.ERANGE))
            equal(f"{operation} {values}", f".{name}", (problem.nl_msg.extack or {}).get("bad-attr"))
        else:
            raise AssertionError(f"{operation} {values} was accepted")
    # Lengths between 4 and 16 that no address has.
    f.refused(errno.EINVAL, "host-get", {"address": Raw(bytes(7))}, text="4 or 16 octets", bad=".address")
    # A nested attribute that has no attributes inside, and one that is cut short.
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": Raw(b"\1\2\3\4")})
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": Raw(struct.pack("HH", 200, 1) + b"\1\2\3\4")})


@case("every operation of the specification has been driven")
def complete(f):
    driven = {"host-get", "host-new", "host-set", "host-del", "host-flush", "addr-new", "addr-del", "path-get", "flow-get", "flow-del",
              "flow-flush", "policy-get", "policy-new", "policy-del", "policy-flush", "param-get", "param-set", "stats-get",
              "stats-flush", "nat-get", "nat-new", "nat-del", "nat-flush"}
    equal("operations", driven, {name for name, op in f.ynl.ops.items()})
    events = {"host-ntf", "host-del-ntf", "path-ntf", "discover-ntf", "limit-ntf", "nat-ntf", "nat-del-ntf", "param-ntf", "credit-ntf", "silent-ntf"}
    equal("events", events, {name for name, op in f.ynl.msgs.items() if op.is_async})
