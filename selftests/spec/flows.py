# SPDX-License-Identifier: GPL-2.0
"""Cases about paths and flows."""

import errno
import os
import socket

from .case import case, equal, true
from .family import C4, C6, D4, M4, M6, address, octets


@case("path-get: pairs of locators by preference, of one host or of all")
def paths(f):
    number = f.do("host-new", addr=[address(C4, "active"), address(D4, "active", preference=7), address(M4, "local", preference=1),
                                    address(C6, "active"), address(M6, "local")])["id"]
    other = f.do("host-new", addr=[address(b"\xc0\x00\x02\x70", "active"), address(M4, "local", unvalidated=True)])["id"]
    mine = f.dump("path-get", host_id=number)
    equal("paths of one", 3, len(mine))
    equal("in use, one a family", {4, 16}, {len(octets(p["local"])) for p in mine if p.get("active")})
    equal("in use", 2, len([p for p in mine if p.get("active")]))
    equal("sums", {1, 8, 0}, {p["preference"] for p in mine})
    everything = f.dump("path-get")
    equal("paths of all", 4, len(everything))
    equal("unvalidated", [other], [p["host-id"] for p in everything if p.get("unvalidated")])
    equal("paths of nobody", [], f.dump("path-get", host_id=4711))


@case("flow-get, flow-del, flow-flush")
def flows(f):
    with Link():
        number = f.do("host-new", addr=[address(b"\xc6\x33\x64\x02", "active"), address(b"\xc6\x33\x64\x01", "local")])["id"]
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("198.51.100.2", 9))
        one.send(b"x")
        local = one.getsockname()[1]
        key = {"proto": 17, "local": b"\xc6\x33\x64\x01", "remote": b"\xc6\x33\x64\x02", "local-port": local, "remote-port": 9}
        flow = f.send("flow-get", key)
        equal("host", number, flow["host-id"])
        equal("ports", (local, 9), (flow["local-port"], flow["remote-port"]))
        equal("addresses", (key["local"], key["remote"]), (octets(flow["local"]), octets(flow["remote"])))
        true("idle", flow["idle"] < 60000)
        true("wire-port", "wire-port" not in flow)
        equal("dump of one", 1, len(f.dump("flow-get", host_id=number)))
        equal("dump of all", 1, len(f.dump("flow-get")))
        equal("flows", 1, f.do("stats-get")["flows"])
        f.refused(errno.ENOENT, "flow-get", {**key, "remote-port": 10}, text="there is no such flow")
        f.refused(errno.EINVAL, "flow-get", {k: v for k, v in key.items() if k != "proto"}, missing="proto")
        equal("flows of nobody", [], f.dump("flow-get", host_id=4711))
        f.send("flow-del", key)
        f.refused(errno.ENOENT, "flow-del", key, text="there is no such flow")
        one.send(b"x")
        equal("a later packet makes it again", 1, f.do("stats-get")["flows"])
        f.do("flow-flush", host_id=number)
        equal("flushed", 0, f.do("stats-get")["flows"])
        one.send(b"x")
        f.do("flow-flush")
        equal("flushed all", 0, f.do("stats-get")["flows"])
        f.refused(errno.ENOENT, "flow-flush", {"host-id": 4711}, text="there is no host")
        one.close()


class Link:
    """A dummy device with the address 198.51.100.1/24, for flows whose packets arrive nowhere."""

    def __enter__(self):
        os.system("ip link add dummy7 type dummy && ip link set dummy7 up && ip addr add 198.51.100.1/24 dev dummy7")

    def __exit__(self, *_):
        os.system("ip link del dummy7")
