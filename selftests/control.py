#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures how long after a change of addresses the first message is sent.

  control.py DEV ADDR/LENGTH EVENTS     adds and deletes an IPv4 address of DEV by turns, and prints for each event the
                                        nanoseconds from the request to the kernel to the first IHMP message on DEV

Both times are of the kernel's clock: one is read before the request is sent, and the other is the time stamp of the packet.
"""

import ipaddress
import socket
import struct
import sys
import time

RTM_NEWADDR, RTM_DELADDR = 20, 21
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
IFA_ADDRESS, IFA_LOCAL = 1, 2
SO_TIMESTAMPNS, PORT, PATH_PROBE, ACK = 35, 61453, 1, 8
PATIENCE = 10


def request(sock, kind, index, interface):
    addr = interface.ip.packed
    attrs = b"".join(struct.pack("=HH", 8, attr) + addr for attr in (IFA_LOCAL, IFA_ADDRESS))
    body = struct.pack("=BBBBI", socket.AF_INET, interface.network.prefixlen, 0, 0, index) + attrs
    flags = NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if kind == RTM_NEWADDR else 0)
    before = time.time_ns()
    sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
    error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
    if error:
        raise OSError(-error, "netlink")
    return before


def message(wire, event, since, acks):
    """Returns when the next IHMP message after `since` that the event causes was sent: an ACK if `acks`, else any other message."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        data, control, _, _ = wire.recvmsg(2048, 64)
        head = (data[0] & 15) * 4
        if data[0] >> 4 != 4 or data[9] != socket.IPPROTO_UDP or struct.unpack_from("!H", data, head + 2)[0] != PORT:
            continue
        seconds, nanos = next(struct.unpack("=qq", value) for _, kind, value in control if kind == SO_TIMESTAMPNS)
        stamp = seconds * 1_000_000_000 + nanos
        kind = data[head + 8]
        if kind != PATH_PROBE and (kind == ACK) == acks and stamp >= since:
            return stamp
    sys.exit(f"event {event}: no message within {PATIENCE} s")


def main():
    dev, interface, events = sys.argv[1], ipaddress.ip_interface(sys.argv[2]), int(sys.argv[3])
    index = socket.if_nametoindex(dev)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.bind((dev, 3))
    wire.settimeout(PATIENCE)
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    for event in range(events):
        before = request(netlink, RTM_DELADDR if event % 2 else RTM_NEWADDR, index, interface)
        after = message(wire, event, before, False)
        print(after - before, flush=True)
        # Waits for the ACK, so that the next event is separate from this one.
        message(wire, event, after, True)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
