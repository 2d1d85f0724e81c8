# SPDX-License-Identifier: GPL-2.0
"""Cases about events."""

import errno
import socket
import time

from .case import case, equal, true
from .family import C4, C6, D4, M4, N4, Family, address, addresses, octets, ynl_module
from .flows import Link
from .nats import mapping, named, plain


def heard(f, count, seconds=3):
    """Returns so many events, or fewer if no more come in the given time."""
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


@case("a host that loses a former address to another one is announced")
def events_of_losers(f):
    former = f.do("host-new", name="former", addr=[address(D4, "alias"), address(N4, "alias"), address(C4, "active"), address(M4, "local")])["id"]
    number = f.do("host-new", addr=[address(C6, "active"), address(M4, "local")])["id"]
    listener = Family(ynl_module())
    listener.ynl.ntf_subscribe("events")
    f.refused(errno.EEXIST, "addr-new", {"id": number, "addr": [address(D4, "active"), address(C4, "active")]}, text="belongs to host")
    equal("by a command that is refused it loses nothing", [D4, N4], addresses(f.do("host-get", id=former), "alias"))
    equal("and is found by it", former, f.do("host-get", address=D4)["id"])
    f.do("addr-new", id=number, addr=[address(D4, "active"), address(N4, "alias")])
    told = {e["msg"]["id"]: e["msg"] for e in heard(listener, 9, 1) if e["name"] == "host-ntf"}
    equal("who is announced", {former, number}, set(told))
    equal("what is left of it", [], addresses(told[former], "alias"))
    equal("who has it", number, f.do("host-get", address=D4)["id"])
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
        # Nobody has answered the first flow, so the second one has replaced it.
        equal("flows", [10], [flow["remote-port"] for flow in f.dump("flow-get")])
        for one in socks:
            one.close()
    f.do("param-set", discovery=0, max_flows=65536)
    listener.ynl.close()
