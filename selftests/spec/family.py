# SPDX-License-Identifier: GPL-2.0
"""The module's netlink family through the kernel's YNL library, and helpers that many cases use."""

import errno
import os
import pathlib
import socket
import sys

from .case import equal, true

HERE = pathlib.Path(__file__).resolve().parent
SPEC = HERE.parent.parent / "uapi" / "ihmp.yaml"
YNL = pathlib.Path(os.environ.get("IHMP_YNL", HERE.parent.parent / "build" / "ynl"))
# Addresses of hosts: our own, a peer, a second peer, and a NAT.
M4, M6 = b"\xc0\x00\x02\x01", socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")
C4, C6 = b"\xc0\x00\x02\x65", socket.inet_pton(socket.AF_INET6, "2001:db8:1::101")
D4 = b"\xc0\x00\x02\x66"
N4 = b"\xcb\x00\x71\x01"


def ynl_module():
    """Returns the library. Raises ImportError if it is missing."""
    # pylint: disable=import-outside-toplevel
    if str(YNL) not in sys.path:
        sys.path.insert(0, str(YNL))
    from pyynl.lib import ynl
    return ynl


class Raw(bytes):
    """An attribute's payload that is sent as it is, whatever type the specification gives."""


class Family:
    """YnlFamily, extended by attributes that may be wrong and by helpers of the tests."""

    def __init__(self, ynl):
        class Loose(ynl.YnlFamily):
            def _add_attr(self, space, name, value, search_attrs):
                if isinstance(value, list) and any(isinstance(v, Raw) for v in value):
                    return b"".join(self._add_attr(space, name, v, search_attrs) for v in value)
                if isinstance(value, Raw):
                    number = name if isinstance(name, int) else self.attr_sets[space][name].value
                    return self._add_attr_raw(number, bytes(value))
                return super()._add_attr(space, name, value, search_attrs)

            def _decode_extack(self, request, op, extack, vals):
                try:
                    super()._decode_extack(request, op, extack, vals)
                except ynl.YnlException:
                    extack["bad-attr"] = "unknown"

        self.error_type = ynl.NlError
        self.ynl = Loose(str(SPEC), schema=str(YNL / "genetlink.yaml") if (YNL / "genetlink.yaml").exists() else None)

    def do(self, operation, **values):
        """Sends a request. The attributes are named arguments, with _ in place of -."""
        return self.ynl.do(operation, {name.replace("_", "-"): value for name, value in values.items()})

    def send(self, operation, values):
        """Sends a request with attributes by their own names."""
        return self.ynl.do(operation, values)

    def dump(self, operation, **values):
        """Returns all objects."""
        return self.ynl.dump(operation, {name.replace("_", "-"): value for name, value in values.items()})

    def refused(self, number, operation, values, text=None, bad=None, missing=None, dump=False):
        """Checks that the request fails with this errno, and that extack has this text and names this attribute."""
        try:
            if dump:
                self.ynl.dump(operation, values)
            else:
                self.ynl.do(operation, values)
        except self.error_type as problem:
            extack = problem.nl_msg.extack or {}
            equal(f"{operation} errno", errno.errorcode[number], errno.errorcode.get(problem.error, problem.error))
            if text is not None:
                true(f"{operation}: extack {extack} does not say {text!r}", text in extack.get("msg", ""))
            if bad is not None:
                equal(f"{operation} bad attribute", bad, extack.get("bad-attr", extack.get("bad-attr-offs")))
            if missing is not None:
                equal(f"{operation} missing attribute", missing, extack.get("miss-type"))
            return extack
        raise AssertionError(f"{operation} {values} was accepted")

    def host(self, **more):
        """Adds a host and returns its number."""
        return self.do("host-new", addr=[address(C4, "active"), address(M4, "local")], **more)["id"]

    def reset(self):
        """Restores the state before the first case."""
        for operation in ("host-flush", "policy-flush", "stats-flush"):
            self.do(operation)
        self.do("param-set", discovery=0)


def address(octets, role, **more):
    """Returns the nested attributes of an address."""
    return {"address": octets, "set": role, **{name.replace("_", "-"): value for name, value in more.items()}}


def octets(text):
    """Returns the octets of a binary attribute as the library gives it."""
    return text if isinstance(text, bytes) else bytes.fromhex(text)


def addresses(host, role):
    """Returns the host's addresses in this set."""
    return [octets(a["address"]) for a in host.get("addr", []) if a["set"] == role]
