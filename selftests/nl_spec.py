#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The contract from outside: drives every operation of uapi/ihmp.yaml through the kernel's own YNL library.

What is wrong has to be refused with the right errno, extack text and attribute; what is right has to read back; events
carry the same objects as the replies. It uses no ihmpctl. The library is taken from the kernel source tree: the runner
puts it into build/ynl; IHMP_YNL names another place.
"""

import errno
import os
import pathlib
import socket
import struct
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
SPEC = HERE.parent / "uapi" / "ihmp.yaml"
YNL = pathlib.Path(os.environ.get("IHMP_YNL", HERE.parent / "build" / "ynl"))
sys.path.insert(0, str(YNL))

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
M4, M6 = b"\xc0\x00\x02\x01", socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")
C4, C6 = b"\xc0\x00\x02\x65", socket.inet_pton(socket.AF_INET6, "2001:db8:1::101")
D4 = b"\xc0\x00\x02\x66"
N4 = b"\xcb\x00\x71\x01"

COUNT = {"ok": 0, "not ok": 0, "skip": 0}
CASES = []


def case(text):
    def add(function):
        CASES.append((text, function))
        return function
    return add


def equal(what, want, got):
    if want != got:
        raise AssertionError(f"{what}: wanted {want!r}, got {got!r}")


def true(what, value):
    if not value:
        raise AssertionError(what)


class Raw(bytes):
    """An attribute's payload as it is, whatever the specification says of its type."""


class Family:
    """YnlFamily with attributes that may be wrong, and with what the tests ask again and again."""

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
        return self.ynl.do(operation, {name.replace("_", "-"): value for name, value in values.items()})

    def send(self, operation, values):
        return self.ynl.do(operation, values)

    def dump(self, operation, **values):
        return self.ynl.dump(operation, {name.replace("_", "-"): value for name, value in values.items()})

    def refused(self, number, operation, values, text=None, bad=None, missing=None, dump=False):
        """The request fails with that errno; extack has that text, and names that attribute."""
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
        return self.do("host-new", addr=[address(C4, "active"), address(M4, "local")], **more)["id"]

    def reset(self):
        for operation in ("host-flush", "policy-flush", "stats-flush"):
            self.do(operation)
        self.do("param-set", discovery=0)


def address(octets, role, **more):
    return {"address": octets, "set": role, **{name.replace("_", "-"): value for name, value in more.items()}}


def octets(text):
    """What the library gives for a binary attribute."""
    return text if isinstance(text, bytes) else bytes.fromhex(text)


def addresses(host, role):
    return [octets(a["address"]) for a in host.get("addr", []) if a["set"] == role]


# --- hosts

@case("host-new, host-get: what is said reads back")
def host_round_trip(f):
    number = f.do("host-new", mode="stack-trans", state="up", scheduler="backup", name="peer", expires_in=60000, addr=[
        address(C4, "active", preference=3), address(D4, "unreachable"),
        address(M4, "local", preference=5, unproven=True, left=True, device=1), address(b"\xc0\x00\x02\x67", "alias")])["id"]
    host = f.do("host-get", id=number)
    equal("name", "peer", host["name"])
    equal("mode", "stack-trans", host["mode"])
    equal("state", "up", host["state"])
    equal("scheduler", "backup", host["scheduler"])
    true("expires-in", 0 < host["expires-in"] <= 60000)
    equal("flows", 0, host["flows"])
    equal("packets", (0, 0), (host["tx-packets"], host["rx-packets"]))
    by = {octets(a["address"]): a for a in host["addr"]}
    equal("addresses", 4, len(by))
    equal("active", ("active", 3), (by[C4]["set"], by[C4]["preference"]))
    equal("local", ("local", 5, True), (by[M4]["set"], by[M4]["preference"], "unproven" in by[M4] and by[M4]["unproven"]))
    equal("left", (True, 1), ("left" in by[M4] and by[M4]["left"], by[M4].get("device")))
    equal("unreachable", "unreachable", by[D4]["set"])
    equal("path", (M4, C4), (octets(host["local"]), octets(host["remote"])))
    equal("by address", number, f.do("host-get", address=C4)["id"])
    equal("dump", [number], [h["id"] for h in f.dump("host-get")])


@case("host-new: both families, defaults")
def host_defaults(f):
    number = f.do("host-new", addr=[address(C6, "active"), address(M6, "local")])["id"]
    host = f.do("host-get", address=C6)
    equal("id", number, host["id"])
    equal("state", "up", host["state"])
    true("expiry", "expires-in" not in host)
    true("name", not host.get("name"))


@case("host-new: wrong addresses are refused with the attribute")
def host_wrong_addresses(f):
    for octs, role in ((b"\x7f\0\0\1", "active"), (b"\xe0\0\0\1", "active"), (b"\xff\xff\xff\xff", "active"), (bytes(4), "active"),
                       (bytes(15) + b"\1", "active"), (b"\xff\2" + bytes(14), "active"), (b"\xfe\x80" + bytes(13) + b"\1", "active"),
                       (bytes(10) + b"\xff\xff" + C4, "active")):
        f.refused(errno.EINVAL, "host-new", {"addr": [address(octs, role), address(M4, "local")]}, bad=None if octs[:12] == bytes(10) + b"\xff\xff" else ".addr",
                  text="IPv4 is not mapped" if octs[:12] == bytes(10) + b"\xff\xff" else "is not an address to be translated")
    for length in (0, 3, 5, 8, 15, 17, 20):
        try:
            f.send("host-new", {"addr": [{"address": bytes(length), "set": "active"}]})
        except f.error_type as problem:
            true(f"length {length}: {problem}", problem.error in (errno.EINVAL, errno.ERANGE))
        else:
            raise AssertionError(f"an address of {length} octets was accepted")
    equal("hosts", 0, f.do("stats-get")["hosts"])


@case("host-new: one address belongs to one host")
def host_duplicate(f):
    f.host()
    f.refused(errno.EEXIST, "host-new", {"addr": [address(C4, "active"), address(M4, "local")]}, text="belongs to host", bad=".addr")
    equal("hosts", 1, f.do("stats-get")["hosts"])


@case("host-new: more addresses than fit")
def host_many(f):
    some = [address(b"\xc6\x33\x64" + bytes([n]), "active") for n in range(1, 18)]
    f.refused(errno.ENOSPC, "host-new", {"addr": some + [address(M4, "local")]}, text="at most 16 addresses", bad=".addr")
    f.do("host-new", addr=some[:16] + [address(M4, "local")])


@case("host-new: name, enums and limits")
def host_fields(f):
    good = [address(C4, "active"), address(M4, "local")]
    f.refused(errno.EINVAL, "host-new", {"name": "x" * 64, "addr": good}, bad=".name")
    f.refused(errno.ERANGE, "host-new", {"mode": Raw(struct.pack("I", 7)), "addr": good}, bad=".mode")
    f.refused(errno.ERANGE, "host-new", {"state": Raw(struct.pack("I", 99)), "addr": good}, bad=".state")
    f.refused(errno.ERANGE, "host-new", {"scheduler": Raw(struct.pack("I", 99)), "addr": good}, bad=".scheduler")
    f.refused(errno.ERANGE, "host-new", {"addr": [{"address": C4, "set": Raw(struct.pack("I", 9))}]}, bad=".addr.set")
    f.refused(errno.EINVAL, "host-new", {"addr": [{"address": C4}]})
    f.refused(errno.EINVAL, "host-new", {"addr": [{"set": "active"}]})
    equal("hosts", 0, f.do("stats-get")["hosts"])


@case("host-get: one by id or address, not neither; nobody")
def host_get_errors(f):
    f.refused(errno.EINVAL, "host-get", {}, missing="id")
    f.refused(errno.ENOENT, "host-get", {"id": 7}, text="there is no host", bad=".id")
    f.refused(errno.ENOENT, "host-get", {"address": C4}, text="no host has", bad=".address")
    f.refused(errno.ERANGE, "host-get", {"id": 0}, bad=".id")
    equal("dump", [], f.dump("host-get"))


@case("host-set: whole sets are replaced, the others stay, the old address becomes an alias")
def host_set(f):
    number = f.host(name="a")
    f.do("host-set", id=number, addr=[address(D4, "active")])
    host = f.do("host-get", id=number)
    equal("active", [D4], addresses(host, "active"))
    equal("alias", [C4], addresses(host, "alias"))
    equal("local", [M4], addresses(host, "local"))
    f.do("host-set", id=number, clear=["local", "alias"])
    host = f.do("host-get", id=number)
    equal("local", [], addresses(host, "local"))
    equal("alias", [], addresses(host, "alias"))
    true("no path", not host.get("local"))
    f.do("host-set", id=number, state="classic", expires_in=5000, name="b")
    host = f.do("host-get", id=number)
    equal("state and name", ("classic", "b"), (host["state"], host["name"]))
    true("expires", 0 < host["expires-in"] <= 5000)


@case("host-set: who is up is woken, and nobody else")
def host_set_wake(f):
    number = f.host(name="a")
    f.do("host-set", id=number, wake=True, name="b")
    equal("name", "b", f.do("host-get", id=number)["name"])
    f.do("host-set", id=number, state="classic")
    f.refused(errno.EINVAL, "host-set", {"id": number, "name": "c", "wake": True}, text="only a host that is up is woken")
    equal("name", "b", f.do("host-get", id=number)["name"])
    f.do("host-set", id=number, state="up", wake=True)
    f.refused(errno.EINVAL, "host-set", {"id": number, "name": "c", "wake-idle": True}, text="wake-idle goes with wake", bad=".wake-idle")
    equal("name", "b", f.do("host-get", id=number)["name"])
    f.do("host-set", id=number, **{"wake": True, "wake-idle": True})


@case("host-set: all or nothing")
def host_set_atomic(f):
    number = f.host(name="a")
    before = f.do("host-get", id=number)
    f.refused(errno.EINVAL, "host-set", {"id": number, "name": "b", "clear": ["local"], "addr": [
        address(D4, "active"), address(b"\xe0\0\0\1", "active")]}, text="is not an address to be translated")
    after = f.do("host-get", id=number)
    for host in (before, after):
        host.pop("idle", None)
    equal("the host", before, after)
    f.refused(errno.ENOENT, "host-set", {"id": number + 1, "name": "b"}, text="there is no host", bad=".id")
    f.refused(errno.EINVAL, "host-set", {"name": "b"}, missing="id")


@case("host-del, host-flush")
def host_del(f):
    number = f.host()
    f.refused(errno.ENOENT, "host-del", {"id": number + 1}, text="there is no host", bad=".id")
    f.do("host-del", id=number)
    f.refused(errno.ENOENT, "host-del", {"id": number}, text="there is no host")
    f.refused(errno.EINVAL, "host-del", {}, missing="id")
    f.host()
    f.do("host-flush")
    equal("hosts", 0, f.do("stats-get")["hosts"])
    equal("hooks", 0, f.do("stats-get")["hooks"])


@case("addr-new, addr-del")
def addr(f):
    number = f.host()
    f.do("addr-new", id=number, addr=[address(D4, "active", preference=9)])
    equal("active", {C4, D4}, set(addresses(f.do("host-get", id=number), "active")))
    f.do("addr-new", id=number, addr=[address(D4, "active", preference=2)])
    by = {octets(a["address"]): a for a in f.do("host-get", id=number)["addr"]}
    equal("preference", 2, by[D4]["preference"])
    f.do("addr-del", id=number, addr=[address(C4, "active")])
    host = f.do("host-get", id=number)
    equal("active", [D4], addresses(host, "active"))
    f.refused(errno.ENOENT, "addr-del", {"id": number, "addr": [address(b"\xc0\x00\x02\x09", "active")]}, text="in this set", bad=".addr")
    f.refused(errno.ENOENT, "addr-new", {"id": number + 9, "addr": [address(D4, "active")]}, text="there is no host", bad=".id")
    f.refused(errno.EINVAL, "addr-new", {"addr": [address(D4, "active")]}, missing="id")
    f.refused(errno.EINVAL, "addr-new", {"id": number}, missing="addr")
    f.refused(errno.EINVAL, "addr-new", {"id": number, "addr": [address(b"\xe0\0\0\1", "active")]}, text="is not an address to be translated")


# --- paths, flows

@case("path-get: pairs of locators by preference, of one host or of all")
def paths(f):
    number = f.do("host-new", addr=[address(C4, "active"), address(D4, "active", preference=7), address(M4, "local", preference=1),
                                    address(C6, "active"), address(M6, "local")])["id"]
    other = f.do("host-new", addr=[address(b"\xc0\x00\x02\x70", "active"), address(M4, "local", unproven=True)])["id"]
    mine = f.dump("path-get", host_id=number)
    equal("paths of one", 3, len(mine))
    equal("in use, one a family", {4, 16}, {len(octets(p["local"])) for p in mine if p.get("active")})
    equal("in use", 2, len([p for p in mine if p.get("active")]))
    equal("sums", {1, 8, 0}, {p["preference"] for p in mine})
    everything = f.dump("path-get")
    equal("paths of all", 4, len(everything))
    equal("unproven", [other], [p["host-id"] for p in everything if p.get("unproven")])
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
    """A dummy device with 198.51.100.1/24, for flows that go nowhere."""

    def __enter__(self):
        os.system("ip link add dummy7 type dummy && ip link set dummy7 up && ip addr add 198.51.100.1/24 dev dummy7")

    def __exit__(self, *_):
        os.system("ip link del dummy7")


# --- port mappings of NATs

def mapping(host, **more):
    return {"host-id": host, "proto": 6, "address": N4, "nat-port": 20001, "port": 40001, "local-port": 80,
            **{name.replace("_", "-"): value for name, value in more.items()}}


def named(values):
    return {name: values[name] for name in ("proto", "address", "nat-port", "local-port")}


def plain(found):
    return {**found, "address": octets(found["address"])}


@case("nat-new, nat-get, nat-del, nat-flush")
def nats(f):
    one, two = f.host(), f.do("host-new", addr=[address(N4, "active", nat=True), address(M4, "local")])["id"]
    # Several hosts may have the address; it finds neither.
    f.do("addr-new", id=one, addr=[address(N4, "active", nat=True)])
    by = {octets(a["address"]): a for a in f.do("host-get", id=one)["addr"]}
    equal("marked", (True, False), (by[N4].get("nat", False), by[C4].get("nat", False)))
    f.refused(errno.ENOENT, "host-get", {"address": N4}, text="no host has", bad=".address")
    f.refused(errno.EINVAL, "addr-new", {"id": one, "addr": [address(N4, "unreachable", nat=True)]},
              text="only an active or a local address", bad=".addr.nat")
    # Behind a NAT an own address is no locator.
    f.do("addr-new", id=one, addr=[address(M4, "local", nat=True)])
    equal("no path", None, f.do("host-get", id=one).get("local"))
    f.do("addr-new", id=one, addr=[address(M4, "local")])
    equal("a path", M4, octets(f.do("host-get", id=one)["local"]))
    first = mapping(one, expires_in=60000)
    f.send("nat-new", first)
    found = f.send("nat-get", named(first))
    true("expires-in", 0 < found.pop("expires-in") <= 60000)
    equal("reads back", mapping(one), plain(found))
    f.send("nat-new", mapping(one))
    equal("without an end", [mapping(one)], [plain(n) for n in f.dump("nat-get")])
    f.send("nat-new", mapping(two, nat_port=20002))
    equal("of one", [mapping(two, nat_port=20002)], [plain(n) for n in f.dump("nat-get", host_id=two)])
    equal("nats", 2, f.do("stats-get")["nats"])
    # The same flow of the host by another port; the same port for another host.
    f.send("nat-new", mapping(one, nat_port=20003))
    equal("ports", {20002, 20003}, {n["nat-port"] for n in f.dump("nat-get")})
    f.send("nat-new", mapping(two, nat_port=20003))
    equal("the newest is believed", [mapping(two, nat_port=20003)], [plain(n) for n in f.dump("nat-get")])
    for number, proto, addr, ports in ((58, 58, C6, (7, 8, 0)), (58, 58, C6, (0, 0, 9)), (47, 47, N4, (0, 0, 0))):
        f.send("nat-new", {"host-id": one, "proto": proto, "address": addr, "nat-port": ports[0], "port": ports[1],
                           "local-port": ports[2]})
    equal("nats", 4, f.do("stats-get")["nats"])
    last = named(mapping(two, nat_port=20003))
    f.refused(errno.ENOENT, "nat-del", {**last, "host-id": one}, text="there is no such port mapping")
    f.send("nat-del", {**last, "host-id": two})
    f.refused(errno.ENOENT, "nat-del", last, text="there is no such port mapping")
    f.refused(errno.ENOENT, "nat-get", last, text="there is no such port mapping")
    f.send("nat-new", mapping(two))
    f.do("nat-flush", host_id=one)
    equal("flushed one", [two], [n["host-id"] for n in f.dump("nat-get")])
    f.do("nat-flush")
    equal("flushed all", [], f.dump("nat-get"))
    f.send("nat-new", mapping(two))
    f.do("host-del", id=two)
    equal("gone with the host", (0, []), (f.do("stats-get")["nats"], f.dump("nat-get")))


@case("nat-new: what makes no sense is refused, and what is too much")
def nat_errors(f):
    number = f.host()
    f.refused(errno.ENOENT, "nat-new", mapping(number + 1), text="there is no host", bad=".host-id")
    f.refused(errno.ENOENT, "nat-flush", {"host-id": number + 1}, text="there is no host", bad=".host-id")
    f.refused(errno.ERANGE, "nat-new", mapping(0), bad=".host-id")
    for missing in ("host-id", "proto", "address"):
        values = {name: value for name, value in mapping(number).items() if name != missing}
        f.refused(errno.EINVAL, "nat-new", values, missing=missing)
    f.refused(errno.EINVAL, "nat-get", {"proto": 6}, missing="address")
    for values, text, bad in (
            ({"address": b"\xe0\0\0\1"}, "not an address to be translated", ".address"),
            ({"address": bytes(10) + b"\xff\xff" + N4}, "IPv4 is not mapped", ".address"),
            ({"address": bytes(5)}, "4 or 16 octets", ".address"),
            ({"proto": 58}, "address's family", ".proto"), ({"proto": 1}, "not those of the protocol", ".proto"),
            ({"nat_port": 0}, "not those of the protocol", ".proto"), ({"port": 0}, "not those of the protocol", ".proto"),
            ({"local_port": 0}, "not those of the protocol", ".proto"), ({"proto": 47}, "not those of the protocol", ".proto")):
        f.refused(errno.EINVAL, "nat-new", mapping(number, **values), text=text, bad=bad)
    f.do("param-set", max_nats=1)
    f.send("nat-new", mapping(number))
    f.refused(errno.ENOSPC, "nat-new", mapping(number, nat_port=7, port=7), text="as many as max-nats allows")
    # What takes the place of another needs no room.
    f.send("nat-new", mapping(number, nat_port=7))
    f.do("param-set", max_nats=65536)
    equal("nats", 1, f.do("stats-get")["nats"])
    equal("counted", 1, [c["packets"] for c in f.do("stats-get")["counter"] if c["reason"] == "nat-limit"][0])


# --- policy

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


# --- params, stats

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
        f.do("host-set", id=number, clear=["local"])
        one.send(b"it has left, and there is no path")
        one.close()
    found = f.do("stats-get")
    equal("no-path", 1, [c["packets"] for c in found["counter"] if c["reason"] == "no-path"][0])
    f.do("stats-flush")
    equal("flushed", 0, sum(c["packets"] for c in f.do("stats-get")["counter"]))


# --- what is wrong in general

@case("unknown attributes are refused, in requests and in nests")
def unknown(f):
    number = f.host()
    for operation, values in (("host-get", {"id": number}), ("host-set", {"id": number}), ("param-set", {}), ("stats-flush", {}),
                              ("host-flush", {}), ("policy-flush", {}), ("param-get", {}), ("stats-get", {})):
        f.refused(errno.EINVAL, operation, {**values, 60: Raw(b"\0\0\0\0")}, text="nknown attribute")
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": [{"address": D4, "set": "active", 60: Raw(b"\0\0\0\0")}]},
              text="nknown attribute")
    # An attribute that the set has, but not this operation.
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
    # Lengths between 4 and 16 that are no address.
    f.refused(errno.EINVAL, "host-get", {"address": Raw(bytes(7))}, text="4 or 16 octets", bad=".address")
    # A nest that is none, and one cut short.
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": Raw(b"\1\2\3\4")})
    f.refused(errno.EINVAL, "host-set", {"id": number, "addr": Raw(struct.pack("HH", 200, 1) + b"\1\2\3\4")})


@case("every operation of the specification has been driven")
def complete(f):
    driven = {"host-get", "host-new", "host-set", "host-del", "host-flush", "addr-new", "addr-del", "path-get", "flow-get", "flow-del",
              "flow-flush", "policy-get", "policy-new", "policy-del", "policy-flush", "param-get", "param-set", "stats-get",
              "stats-flush", "nat-get", "nat-new", "nat-del", "nat-flush"}
    equal("operations", driven, {name for name, op in f.ynl.ops.items()})
    events = {"host-ntf", "host-del-ntf", "path-ntf", "discover-ntf", "limit-ntf", "nat-ntf", "nat-del-ntf", "param-ntf", "credit-ntf"}
    equal("events", events, {name for name, op in f.ynl.msgs.items() if op.is_async})


# --- events

def heard(f, count, seconds=3):
    out = []
    for event in f.ynl.poll_ntf(duration=seconds):
        out.append(event)
        if len(out) >= count:
            break
    return out


@case("events carry the same objects as the replies")
def events(f):
    listener = Family(ynl_module())
    listener.ynl.ntf_subscribe("events")
    number = f.host(name="peer")
    event = next(e for e in heard(listener, 5) if e["name"] == "host-ntf")
    reply = f.do("host-get", id=number)
    for host in (event["msg"], reply):
        host.pop("idle", None)
    equal("host-ntf", reply, event["msg"])
    f.do("param-set", enabled=0)
    f.do("param-set", enabled=0)
    event = heard(listener, 1)[0]
    equal("param-ntf", ("param-ntf", f.do("param-get")), (event["name"], event["msg"]))
    f.do("param-set", enabled=1)
    equal("events of what is another value", [("param-ntf", 1)], [(e["name"], e["msg"]["enabled"]) for e in heard(listener, 1)])
    f.do("host-set", id=number, clear=["local"])
    names = heard(listener, 2)
    lost = [e["msg"] for e in names if e["name"] == "path-ntf"]
    true(f"a path was lost: {names}", lost and lost[0]["cause"] == "lost" and lost[0]["host-id"] == number)
    f.do("host-set", id=number, addr=[address(M4, "local")])
    names = heard(listener, 2)
    back = [e["msg"] for e in names if e["name"] == "path-ntf"]
    true(f"and came back: {names}", back and back[0]["cause"] == "restored" and octets(back[0]["local"]) == M4)
    one = mapping(number)
    f.send("nat-new", one)
    f.send("nat-del", named(one))
    told = [(e["name"], plain(e["msg"])) for e in heard(listener, 2)]
    equal("port mappings", [("nat-ntf", one), ("nat-del-ntf", one)], told)
    f.do("host-del", id=number)
    gone = [e for e in heard(listener, 2, 1) if e["name"] == "host-del-ntf"]
    equal("host-del-ntf", [number], [e["msg"]["id"] for e in gone])
    listener.ynl.close()


@case("credit: what goes to an address that is not validated is paid, and who listens hears of its end")
def credit(f):
    here, there, new = b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x03", b"\xc6\x33\x64\x04"
    listener = Family(ynl_module())
    with Link():
        number = f.do("host-new", addr=[address(there, "active"), address(here, "local")])["id"]
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("198.51.100.3", 9))
        one.send(bytes(1000))
        f.do("host-set", id=number, addr=[address(there, "active")])
        equal("what it took", 1028, f.do("host-get", id=number)["credit"])
        f.refused(errno.EINVAL, "host-set", {"id": number, "addr": [address(new, "local", unvalidated=True)]},
                  text="only a foreign address can be unvalidated", bad=".addr.unvalidated")
        f.do("host-set", id=number, addr=[address(new, "alias", unvalidated=True)])
        by = {octets(a["address"]): bool(a.get("unvalidated")) for a in f.do("host-get", id=number)["addr"]}
        equal("a former address, by the word of an agent", {new: True, there: False, here: False}, by)
        f.do("host-set", id=number, addr=[address(new, "unreachable", unvalidated=True)], clear=["alias"])
        by = {octets(a["address"]): bool(a.get("unvalidated")) for a in f.do("host-get", id=number)["addr"]}
        equal("what an agent that is started again reads", {new: True, there: False, here: False}, by)
        f.do("host-set", id=number, addr=[address(new, "unreachable")])
        f.do("host-set", id=number, addr=[address(new, "active", unvalidated=True)])
        host = f.do("host-get", id=number)
        by = {octets(a["address"]): bool(a.get("unvalidated")) for a in host["addr"]}
        equal("unvalidated", {new: True, there: False, here: False}, by)
        listener.ynl.ntf_subscribe("events")
        for size in (900, 200, 90):
            one.send(bytes(size))
        told = [e["msg"] for e in heard(listener, 9, 2) if e["name"] == "credit-ntf"]
        equal("credit-ntf", [{"id": number, "credit": 100}], told)
        equal("credit", 100, f.do("host-get", id=number)["credit"])
        counters = {c["reason"]: c["packets"] for c in f.do("stats-get")["counter"]}
        equal("no-credit", 2, counters["no-credit"])
        one.close()
    listener.ynl.close()


@case("discovery and limits are announced")
def events_of_packets(f):
    listener = Family(ynl_module())
    listener.ynl.ntf_subscribe("events")
    with Link():
        f.do("param-set", discovery=1, max_flows=1)
        socks = []
        for port in (9, 10):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.connect(("198.51.100.3", port))
            one.send(b"x")
            socks.append(one)
        found = heard(listener, 4, 2)
        asked = [e["msg"] for e in found if e["name"] == "discover-ntf"]
        true(f"discover-ntf: {found}", len(asked) == 1)
        equal("who", (17, b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x03"), (asked[0]["proto"], octets(asked[0]["local"]), octets(asked[0]["remote"])))
        equal("state", "new", f.do("host-get", id=asked[0]["host-id"])["state"])
        limit = [e["msg"] for e in found if e["name"] == "limit-ntf"]
        true(f"limit-ntf: {found}", limit and limit[0]["reason"] == "flow-evicted")
        # Nobody answers the first one, so the second one has its place.
        equal("flows", [10], [flow["remote-port"] for flow in f.dump("flow-get")])
        for one in socks:
            one.close()
    f.do("param-set", discovery=0, max_flows=65536)
    listener.ynl.close()


# --- privileges

@case("without CAP_NET_ADMIN: may look, may not touch")
def unprivileged(f):
    number = f.host()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
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
            text = b"ok"
        except BaseException as problem:  # noqa: what went wrong is told to the parent
            text = f"{type(problem).__name__}: {problem}".encode()
        os.write(write, text[:4000])
        os._exit(0)
    os.close(write)
    text = b""
    while part := os.read(read, 4096):
        text += part
    os.waitpid(child, 0)
    equal("as nobody", "ok", text.decode())
    equal("the host", [C4], addresses(f.do("host-get", id=number), "active"))


@case("the administrator of a user namespace governs its own network namespace only")
def user_namespace(f):
    number = f.host()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
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
            text = b"ok"
        except BaseException as problem:  # noqa: what went wrong is told to the parent
            text = f"{type(problem).__name__}: {problem}".encode()
        os.write(write, text[:4000])
        os._exit(0)
    os.close(write)
    text = b""
    while part := os.read(read, 4096):
        text += part
    os.waitpid(child, 0)
    equal("in a user namespace", "ok", text.decode())
    equal("ours", [number], [h["id"] for h in f.dump("host-get")])


def ynl_module():
    # pylint: disable=import-outside-toplevel
    from pyynl.lib import ynl
    return ynl


def main():
    print("KTAP version 1")
    os.unshare(CLONE_NEWNET)
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
