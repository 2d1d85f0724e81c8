# SPDX-License-Identifier: GPL-2.0
"""Cases about hosts and their addresses."""

import errno
import socket
import struct

import batch

from .case import case, equal, true
from .family import C4, C6, D4, M4, M6, Raw, address, addresses, octets


@case("host-new, host-get: what is said reads back")
def host_round_trip(f):
    number = f.do("host-new", mode="stack-trans", state="up", scheduler="backup", name="peer", expires_in=60000, addr=[
        address(C4, "active", preference=3), address(D4, "unreachable"),
        address(M4, "local", preference=5, unvalidated=True, left=True, device=1), address(b"\xc0\x00\x02\x67", "alias")])["id"]
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
    equal("local", ("local", 5, True), (by[M4]["set"], by[M4]["preference"], "unvalidated" in by[M4] and by[M4]["unvalidated"]))
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


@case("host-new: a host whose number could not be told is not there")
def host_untold(f):
    client = batch.Client()
    data = batch.u32(batch.STATE, batch.UP) + batch.addr("192.0.2.101", batch.ACTIVE) + batch.addr("192.0.2.1", batch.LOCAL)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    # Acknowledgements that nobody reads fill the socket's room.
    for _ in range(64):
        client.sock.send(client.message(client.family, batch.FLUSH, b"", batch.NLM_F_REQUEST | batch.NLM_F_ACK))
    client.sock.send(client.message(client.family, batch.NEW, data, batch.NLM_F_REQUEST))
    equal("hosts", [], f.dump("host-get"))
    equal("hooks", 0, f.do("stats-get")["hooks"])
    f.host()
    equal("hosts", 1, f.do("stats-get")["hosts"])
    client.sock.close()


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
