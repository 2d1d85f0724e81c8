# SPDX-License-Identifier: GPL-2.0
"""Cases about port mappings of NATs."""

import errno

from .case import case, equal, true
from .family import C4, C6, M4, N4, address, octets


def mapping(host, **more):
    """Returns the attributes of a mapping; some can be replaced."""
    return {"host-id": host, "proto": 6, "address": N4, "nat-port": 20001, "port": 40001, "local-port": 80,
            **{name.replace("_", "-"): value for name, value in more.items()}}


def named(values):
    """Returns the attributes that identify the mapping."""
    return {name: values[name] for name in ("proto", "address", "nat-port", "local-port")}


def plain(found):
    """Returns a mapping in the form in which it was made."""
    return {**found, "address": octets(found["address"])}


@case("nat-new, nat-get, nat-del, nat-flush")
def nats(f):
    one, two = f.host(), f.do("host-new", addr=[address(N4, "active", nat=True), address(M4, "local")])["id"]
    # Several hosts may have the NAT's address, so no host can be found by it.
    f.do("addr-new", id=one, addr=[address(N4, "active", nat=True)])
    by = {octets(a["address"]): a for a in f.do("host-get", id=one)["addr"]}
    equal("marked", (True, False), (by[N4].get("nat", False), by[C4].get("nat", False)))
    f.refused(errno.ENOENT, "host-get", {"address": N4}, text="no host has", bad=".address")
    f.refused(errno.EINVAL, "addr-new", {"id": one, "addr": [address(N4, "unreachable", nat=True)]},
              text="only an active or a local address", bad=".addr.nat")
    # Behind a NAT an own address cannot be used as a locator.
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
    # The same flow of the host may have another port; the same port may belong to another host.
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
    # A mapping that replaces another one needs no room.
    f.send("nat-new", mapping(number, nat_port=7))
    f.do("param-set", max_nats=65536)
    equal("nats", 1, f.do("stats-get")["nats"])
    equal("counted", 1, [c["packets"] for c in f.do("stats-get")["counter"] if c["reason"] == "nat-limit"][0])
