# SPDX-License-Identifier: GPL-2.0
"""Cases about policies, parameters and counters."""

import errno
import socket
import struct

from .case import case, equal, true
from .family import C6, Raw, address, octets
from .flows import Link


@case("policy-new, policy-get, policy-del, policy-flush")
def policy(f):
    f.do("policy-new", address=b"\xc0\x00\x02\x00", prefix_len=24, action="never")
    f.do("policy-new", address=C6[:8] + bytes(8), prefix_len=64, action="known")
    f.do("policy-new", address=b"\xc0\x00\x02\x00", prefix_len=24, action="auto")
    rows = {(octets(p["address"]), p["prefix-len"]): p["action"] for p in f.dump("policy-get")}
    equal("rows", {(b"\xc0\x00\x02\x00", 24): "auto", (C6[:8] + bytes(8), 64): "known"}, rows)
    f.refused(errno.EINVAL, "policy-new", {"address": b"\xc0\x00\x02\x01", "prefix-len": 24, "action": "never"}, text="bits after the prefix", bad=".address")
    f.refused(errno.EINVAL, "policy-new", {"address": b"\xc0\x00\x02\x00", "prefix-len": 33, "action": "never"}, text="prefix",
              bad=".prefix-len")
    f.refused(errno.ERANGE, "policy-new", {"address": C6, "prefix-len": 129, "action": "never"}, bad=".prefix-len")
    f.refused(errno.EINVAL, "policy-new", {"address": b"\xc0\x00\x02\x00", "prefix-len": 24}, missing="action")
    f.refused(errno.EINVAL, "policy-new", {"prefix-len": 24, "action": "never"}, missing="address")
    f.refused(errno.EINVAL, "policy-new", {"address": b"\xc0\x00\x02\x00", "action": "never"}, missing="prefix-len")
    f.refused(errno.ERANGE, "policy-new", {"address": b"\xc0\x00\x02\x00", "prefix-len": 24, "action": Raw(struct.pack("I", 4))},
              bad=".action")
    f.refused(errno.ENOENT, "policy-del", {"address": b"\xc0\x00\x03\x00", "prefix-len": 24}, text="there is no")
    f.do("policy-del", address=b"\xc0\x00\x02\x00", prefix_len=24)
    equal("rows", 1, len(f.dump("policy-get")))
    f.do("policy-flush")
    equal("rows", [], f.dump("policy-get"))


# --- parameters and counters

@case("param-get, param-set")
def params(f):
    before = f.do("param-get")
    equal("names", {"discovery", "port", "max-hosts", "max-flows", "udp-timeout", "hold-time", "scheduler",
                    "version", "path-timeout", "max-nats", "enabled"}, set(before))
    equal("port", 61453, before["port"])
    equal("discovery", 0, before["discovery"])
    equal("enabled", 1, before["enabled"])
    f.do("param-set", max_hosts=10, max_flows=20, udp_timeout=30, hold_time=40, port=50000, scheduler="backup", discovery=1,
         path_timeout=50, max_nats=60, enabled=0)
    now = f.do("param-get")
    equal("values", (10, 20, 30, 40, 50000, 1, 50, 60, 0), tuple(now[n] for n in (
        "max-hosts", "max-flows", "udp-timeout", "hold-time", "port", "discovery", "path-timeout", "max-nats", "enabled")))
    equal("hooks while it is off", 0, f.do("stats-get")["hooks"])
    f.do("param-set", enabled=1)
    true("hooks", f.do("stats-get")["hooks"] > 0)
    f.do("param-set", **{n.replace("-", "_"): before[n] for n in before if n != "version"})
    equal("as before", before, f.do("param-get"))


@case("param-set: out of range, read only, all or nothing")
def param_errors(f):
    before = f.do("param-get")
    for name, value in (("discovery", 2), ("port", 0), ("max-hosts", 0), ("max-hosts", 1048577), ("max-flows", 0),
                        ("max-flows", 4194305), ("udp-timeout", 0), ("udp-timeout", 86401), ("hold-time", 1001),
                        ("path-timeout", 86401), ("max-nats", 0), ("max-nats", 1048577), ("enabled", 2)):
        f.refused(errno.ERANGE, "param-set", {"max-hosts": 77, name: value} if name != "max-hosts" else {name: value},
                  bad=f".{name}")
    f.refused(errno.ERANGE, "param-set", {"scheduler": Raw(struct.pack("I", 5))}, bad=".scheduler")
    f.refused(errno.EINVAL, "param-set", {"version": "x"}, bad=".version")
    equal("nothing changed", before, f.do("param-get"))


@case("stats-get, stats-flush: every reason with its effect")
def stats(f):
    found = f.do("stats-get")
    definition = {c["name"]: c for c in f.ynl.yaml["definitions"]}
    names = [e["name"] for e in definition["reason"]["entries"]]
    equal("reasons", names, [c["reason"] for c in found["counter"]])
    texts = {e["name"]: e["doc"].split(";")[0].split(".")[0] for e in definition["reason"]["entries"]}
    want = {"Dropped": "drop", "Passed": "pass", "Delayed": "delay", "Not reported": "pass", "Not made": "pass"}
    for counter in found["counter"]:
        equal(f"effect of {counter['reason']}", want[texts[counter["reason"]]], counter["effect"])
        equal("packets", 0, counter["packets"])
    with Link():
        both = [address(b"\xc6\x33\x64\x02", "active"), address(b"\xc6\x33\x64\x01", "local")]
        number = f.do("host-new", addr=both)["id"]
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("198.51.100.2", 9))
        one.send(b"it is at home")
        f.do("host-set", id=number, clear=["active"])
        one.send(b"the host has left, and there is no path")
        one.close()
    found = f.do("stats-get")
    equal("no-path", 1, [c["packets"] for c in found["counter"] if c["reason"] == "no-path"][0])
    f.do("stats-flush")
    equal("flushed", 0, sum(c["packets"] for c in f.do("stats-get")["counter"]))
