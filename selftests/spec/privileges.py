# SPDX-License-Identifier: GPL-2.0
"""Which privileges operations need."""

import errno
import os

from .case import case, equal
from .family import C4, D4, M4, N4, Family, address, addresses, ynl_module

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def in_child(work):
    """Does the work in a child process, which may give up rights for good. Returns "ok" or what went wrong."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            work()
            text = b"ok"
        except BaseException as problem:  # noqa: what went wrong is told to the parent
            text = f"{type(problem).__name__}: {problem}".encode()
        os.write(write, text[:4000])
        os._exit(0)
    os.close(write)
    text = b""
    while part := os.read(read, 4096):
        text += part
    os.close(read)
    os.waitpid(child, 0)
    return text.decode()


@case("without CAP_NET_ADMIN: may look, may not touch")
def unprivileged(f):
    number = f.host()

    def touch():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        other = Family(ynl_module())
        other.do("stats-get")
        other.do("param-get")
        other.do("host-get", id=number)
        other.dump("host-get")
        other.dump("path-get")
        other.dump("flow-get")
        other.dump("policy-get")
        other.dump("nat-get")
        for operation, values in (
                ("host-new", {"addr": [address(D4, "active")]}), ("host-set", {"id": number, "name": "x"}), ("host-del", {"id": number}),
                ("host-flush", {}), ("addr-new", {"id": number, "addr": [address(D4, "active")]}),
                ("addr-del", {"id": number, "addr": [address(C4, "active")]}),
                ("flow-del", {"proto": 6, "local": M4, "remote": C4, "local-port": 1, "remote-port": 2}), ("flow-flush", {}),
                ("policy-new", {"address": bytes(4), "prefix-len": 0, "action": "never"}),
                ("policy-del", {"address": bytes(4), "prefix-len": 0}), ("policy-flush", {}), ("param-set", {"max-hosts": 3}),
                ("stats-flush", {}),
                ("nat-new", {"host-id": number, "proto": 6, "address": N4, "nat-port": 1, "port": 2, "local-port": 3}),
                ("nat-del", {"proto": 6, "address": N4, "nat-port": 1, "local-port": 3}), ("nat-flush", {})):
            other.refused(errno.EPERM, operation, values)

    equal("as nobody", "ok", in_child(touch))
    equal("the host", [C4], addresses(f.do("host-get", id=number), "active"))


@case("the administrator of a user namespace governs its own network namespace only")
def user_namespace(f):
    number = f.host()

    def govern():
        outside = Family(ynl_module())
        os.unshare(CLONE_NEWUSER)
        try:
            outside.do("host-del", id=number)
            raise AssertionError("a stranger's administrator may delete a host")
        except outside.error_type as problem:
            equal("from outside", errno.EPERM, problem.error)
        os.unshare(CLONE_NEWNET)
        inside = Family(ynl_module())
        made = inside.host()
        equal("its own", [made], [h["id"] for h in inside.dump("host-get")])
        bounds = inside.do("param-get")
        for name in ("max-hosts", "max-flows", "max-nats"):
            more = {"udp-timeout": 77, name: bounds[name] + 1}
            inside.refused(errno.EPERM, "param-set", more, text=f"at most {bounds[name]}, as in the initial", bad=f".{name}")
            inside.send("param-set", {name: 5})
            inside.send("param-set", {name: bounds[name]})
        equal("its own bounds", bounds, inside.do("param-get"))

    equal("in a user namespace", "ok", in_child(govern))
    equal("ours", [number], [h["id"] for h in f.dump("host-get")])
