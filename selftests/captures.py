#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares captures of two runs of the same traffic, packet for packet.

  captures.py ONE OTHER KIND...

ONE and OTHER are folders. They have a file HOST.pcap for each host (tcpdump -i any -w, LINUX_SLL2), and a file HOST.links with its
devices ("INDEX NAME" on a line). A KIND is NAME=WHAT[,WHAT]..., where WHAT is tcp/PORT, udp/PORT, sctp/PORT, icmp or dev/NAME. The first
kind that matches a packet is its kind; other packets are of kind "other". PORT is below 32768, because the kernel gives higher ports to
any socket. For each kind a line is printed: "NAME: ok" or "NAME: what differs".

A flow is all packets with the same addresses, protocol and ports; echo requests and replies have an identifier in place of ports. Two
runs are equal if each device of each host has the same flows, with the same packets in the same order in each direction. This compares
addresses, ports, TTL, traffic class, fragmentation, length, TCP's flags and options, SCTP's chunks, ICMP's type and code and the packet
that an error quotes, and whether checksums are present and right. These things differ from run to run anyway and are not compared: ports
that the kernel chose (32768 and above), identifiers of echo requests, sequence numbers, windows, IP's identification, IPv6's flow
label, times, and the order of packets of different flows or directions; the number of bare acknowledgements in a TCP flow, which
depends on the phase of the clock's ticks; and ARP, neighbour discovery and multicast listener reports, which depend on time-outs of
tables.

If the NAME of a kind ends with ~, its programs decide by the clock what they put into a packet. Only the flows, and where they pass, are
compared.

IHMP messages (UDP from or to port 61453) and ICMP errors about them are left out.
"""

import os
import socket
import struct
import sys
from collections import Counter, defaultdict

PORT = 61453
EPHEMERAL = 32768
LINUX_SLL2 = 276
TCP, UDP, ICMP, ICMP6, SCTP, FRAGMENT = 6, 17, 1, 58, 132, 44
NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp", SCTP: "sctp"}
# ICMPv6 types of multicast listener discovery and neighbour discovery.
NEIGHBOURS = set(range(130, 138)) | {143}
FLAGS = "FSRPAUEC"
OPTIONS = {2: "mss", 3: "wscale", 4: "sack", 5: "blocks", 8: "time", 19: "md5", 30: "mptcp", 34: "fastopen"}
QUOTING = {ICMP: {3, 5, 11, 12}, ICMP6: {1, 2, 3, 4}}


class Odd(Exception):
    """A packet that cannot be read."""


def packets(path):
    """Yields (device, direction, ethertype, data) for each packet of a file."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    if struct.unpack_from(order + "I", data, 20)[0] != LINUX_SLL2:
        raise SystemExit(f"{path}: not taken with tcpdump -i any -y LINUX_SLL2")
    at = 24
    while at + 16 <= len(data):
        kept, size = struct.unpack_from(order + "II", data, at + 8)
        if kept != size:
            raise SystemExit(f"{path}: a packet is cut off")
        frame = data[at + 16:at + 16 + kept]
        ethertype, _, index, _, kind = struct.unpack_from("!HHIHB", frame)
        yield index, "out" if kind == 4 else "in", ethertype, frame[20:]
        at += 16 + kept


def ones(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


class Packet:
    """The properties of a packet that are compared."""

    def __init__(self, data):
        try:
            self.read(data)
        except (struct.error, IndexError) as problem:
            raise Odd(f"{problem}: {data[:60].hex()}") from problem

    def read(self, data):
        self.sport = self.dport = 0
        self.quote = None
        if data[0] >> 4 == 4:
            head = (data[0] & 15) * 4
            total, _, place = struct.unpack_from("!HHH", data, 2)
            self.ttl, self.proto, self.tos = data[8], data[9], data[1]
            self.src, self.dst = (socket.inet_ntop(socket.AF_INET, data[at:at + 4]) for at in (12, 16))
            pseudo = data[12:20] + struct.pack("!BBH", 0, self.proto, total - head)
            body = data[head:total]
            self.frag = "DF" if place & 0x4000 else ""
            offset, more = (place & 0x1fff) * 8, place & 0x2000
        else:
            size = struct.unpack_from("!H", data, 4)[0]
            self.proto, self.ttl = data[6], data[7]
            self.tos = struct.unpack_from("!H", data)[0] >> 4 & 255
            self.src, self.dst = (socket.inet_ntop(socket.AF_INET6, data[at:at + 16]) for at in (8, 24))
            body = data[40:40 + size]
            self.frag = ""
            offset = more = 0
            while self.proto in (0, 43, 60, FRAGMENT):
                if self.proto == FRAGMENT:
                    place = struct.unpack_from("!H", body, 2)[0]
                    offset, more = place & 0xfff8, place & 1
                    self.frag += "F"
                    size = 8
                else:
                    self.frag += f"+{self.proto}"
                    size = 8 + body[1] * 8
                self.proto, body = body[0], body[size:]
            pseudo = data[8:40] + struct.pack("!IHBB", len(body), 0, 0, self.proto)
        if offset or more:
            self.frag += f" {offset}{'+' if more else ''}"
        self.length = len(body)
        self.what = ""
        self.later = bool(offset)
        if not offset:
            self.transport(body, pseudo, bool(more))

    def transport(self, body, pseudo, cut):
        summed = {TCP: 16, UDP: 6, ICMP6: 2, ICMP: 2}.get(self.proto)
        if self.proto in (TCP, UDP, SCTP):
            self.sport, self.dport = struct.unpack_from("!HH", body)
        if self.proto == TCP:
            self.tcp(body)
        elif self.proto in (ICMP, ICMP6):
            self.icmp(body)
        elif self.proto == SCTP:
            self.sctp(body)
        if summed is not None and not cut:
            given = struct.unpack_from("!H", body, summed)[0]
            start = 0 if self.proto == ICMP else ones(pseudo)
            if self.proto == UDP and not given:
                self.what += " no-checksum"
            elif ones(struct.pack("!H", start) + body) != 0xffff and given != start:
                # A field with the sum of the pseudo-header is right as well: the device is to compute the rest.
                self.what += " checksum-wrong"

    def tcp(self, body):
        bits, offset = body[13], (body[12] >> 4) * 4
        options, at = [], 20
        while at < offset and body[at]:
            if body[at] == 1:
                at += 1
                continue
            name = OPTIONS.get(body[at], str(body[at]))
            if body[at] == 2:
                name += f"={struct.unpack_from('!H', body, at + 2)[0]}"
            elif body[at] == 30:
                name += f"-{body[at + 2] >> 4}"
            options.append(name)
            at += max(2, body[at + 1])
        self.length = len(body) - offset
        self.what = "".join(f for n, f in enumerate(FLAGS) if bits >> n & 1) + " " + ",".join(options)

    def icmp(self, body):
        kind, code = body[0], body[1]
        self.what = f"{kind}/{code}"
        if (self.proto, kind) in {(ICMP, 8), (ICMP, 0), (ICMP6, 128), (ICMP6, 129)}:
            self.sport = self.dport = struct.unpack_from("!H", body, 4)[0]
        elif kind in QUOTING[self.proto]:
            self.quote = Packet.quoted(body[8:])

    @classmethod
    def quoted(cls, data):
        try:
            return cls(data + bytes(64))
        except Odd:
            return None

    def sctp(self, body):
        at, chunks = 12, []
        while at + 4 <= len(body):
            kind, _, size = struct.unpack_from("!BBH", body, at)
            chunks.append(str(kind))
            at += max(4, size + 3 & ~3)
        self.what = "+".join(chunks)

    def acknowledges(self):
        """Is it a TCP segment that only acknowledges?"""
        return self.proto == TCP and not self.length and self.what.split(" ")[0] == "A"

    def signalling(self):
        if self.quote:
            return self.quote.signalling()
        return self.proto == UDP and PORT in (self.sport, self.dport)

    def neighbours(self):
        return self.proto == ICMP6 and int(self.what.split("/")[0] or 0) in NEIGHBOURS

    def flow(self):
        one, other = (self.src, self.sport), (self.dst, self.dport)
        if self.quote:
            return self.quote.flow() + (self.src, self.dst, "error")
        return (self.proto, *min((one, other), (other, one)), *max((one, other), (other, one)))

    def ports(self):
        yield from (self.sport, self.dport)
        if self.quote:
            yield from self.quote.ports()

    def protocols(self):
        yield NAMES.get(self.proto, str(self.proto))
        if self.quote:
            yield from self.quote.protocols()

    def ends(self):
        echo = self.proto in (ICMP, ICMP6)
        sport, dport = (f".{mask(port)}" if port and not echo else "" for port in (self.sport, self.dport))
        return f"{self.src}{sport} > {self.dst}{dport} {NAMES.get(self.proto, self.proto)}"

    def shown(self):
        text = f"{self.ends()} {self.what.strip()}"
        if self.quote:
            return text + f" about {self.quote.src} > {self.quote.dst} {NAMES.get(self.quote.proto, self.quote.proto)}"
        return " ".join(f"{text} {self.frag} ttl {self.ttl} tos {self.tos} length {self.length}".split())


def mask(port):
    return "*" if port >= EPHEMERAL else str(port)


def kind_of(packet, device, kinds):
    words = {f"dev/{device}"} | {f"{p}/{port}" for p in packet.protocols() for port in packet.ports()} | set(packet.protocols())
    return next((name for name, what in kinds if words & what), "other")


def run(folder, kinds):
    """Returns {(host, device): {kind: flows}} of a run. flows counts flows, each as one value that has all of its packets."""
    found = defaultdict(lambda: defaultdict(Counter))
    count = signalling = 0
    for file in sorted(os.listdir(folder)):
        host, dot, end = file.rpartition(".")
        if dot + end != ".pcap":
            continue
        with open(os.path.join(folder, host + ".links"), encoding="ascii") as links:
            names = dict(line.split() for line in links)
        flows = defaultdict(list)
        # Fragments after the first one have no ports, so they get those of the first.
        for index, direction, ethertype, data in packets(os.path.join(folder, file)):
            if ethertype not in (0x0800, 0x86dd):
                continue
            packet = Packet(data)
            if packet.neighbours():
                continue
            if packet.signalling():
                signalling += 1
                continue
            count += 1
            device = names.get(str(index), f"device {index}")
            flows[device, direction, packet.flow()].append((packet, f"{direction} {packet.shown()}"))
        for (device, direction, _), sequence in flows.items():
            kind = next((k for k in (kind_of(p, device, kinds) for p, _ in sequence) if k != "other"), "other")
            if sequence[0][0].later:
                kind = next((name for name, what in kinds if "fragment" in what), kind)
            told = tuple(text for packet, text in sequence if not packet.acknowledges())
            if kind.endswith("~"):
                told = (f"{direction} {sequence[0][0].ends()}",)
            found[host, device][kind][told or (sequence[0][1],)] += 1
    return found, count, signalling


def differences(one, other):
    """Yields texts that say what differs in the second run."""
    gone, new = list((one - other).elements()), list((other - one).elements())
    for before, after in zip(sorted(gone), sorted(new)):
        at = next((n for n, (a, b) in enumerate(zip(before, after)) if a != b), min(len(before), len(after)))
        yield (f"packet {at + 1} of {len(before)} was '{before[at] if at < len(before) else 'none'}', "
               f"is '{after[at] if at < len(after) else 'none'}' of {len(after)}")
    for flow in sorted(gone)[len(new):]:
        yield f"{len(flow)} packets '{flow[0]}' ... are missing"
    for flow in sorted(new)[len(gone):]:
        yield f"{len(flow)} packets '{flow[0]}' ... are new"


def main():
    one, other, *words = sys.argv[1:]
    kinds = [(name, set(what.split(","))) for name, what in (word.split("=") for word in words)]
    for what in set().union(*(whats for _, whats in kinds)):
        port = what.rpartition("/")[2]
        if port.isdigit() and int(port) >= EPHEMERAL:
            raise SystemExit(f"{what}: a port below {EPHEMERAL} is needed; the kernel gives the others to any socket")
    (before, count, none), (after, _, signalling) = run(one, kinds), run(other, kinds)
    places = sorted(set(before) | set(after))
    for name in [name for name, _ in kinds] + ["other"]:
        found = []
        seen = 0
        for place in places:
            left, right = before[place][name], after[place][name]
            seen += sum(len(flow) * times for flow, times in left.items())
            found += [f"{' '.join(place)}: {text}" for text in differences(left, right)]
        if name != "other" and not seen:
            found = ["no packets"]
        print(f"{name.rstrip('~')}: {'ok' if not found else f'{len(found)} differences: ' + '; '.join(found[:4])}")
    print(f"# {count} packets, {none} messages without agents, {signalling} with them", file=sys.stderr)


if __name__ == "__main__":
    main()
