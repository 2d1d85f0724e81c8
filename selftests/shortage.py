#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes allocations fail: each time another allocation of one system call fails (/proc/PID/fail-nth, failslab), until none is left.

  shortage.py command NAME           a command of the family, repeated: each time it is refused and has changed nothing, or is done
  shortage.py load FILE              loads the module: either this fails and leaves nothing behind, or the module is loaded
  shortage.py send ADDR PORT COUNT   sends a datagram from each of so many new sockets, and each time another allocation
                                     fails; prints how many were sent
  shortage.py stuck ADDR PORT        sleeps with its socket locked, because it sends from a page that nobody provides
                                     (userfaultfd); prints "stuck" as soon as it sleeps

This needs CONFIG_FAILSLAB and /sys/kernel/debug, and CONFIG_USERFAULTFD for the last one.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import pathlib
import platform
import socket
import struct
import sys
import threading
import time

from spec.family import C4, C6, D4, M4, N4, Family, address, ynl_module

FAILSLAB = pathlib.Path("/sys/kernel/debug/failslab")
LIBC = ctypes.CDLL(None, use_errno=True)
# Numbers of asm/unistd.h.
FINIT_MODULE, DELETE_MODULE, USERFAULTFD = {"x86_64": (313, 176, 323), "aarch64": (273, 106, 282)}[platform.machine()]
# Numbers of linux/userfaultfd.h.
UFFDIO_API, UFFDIO_REGISTER, MISSING = 0xC018AA3F, 0xC020AA00, 1
# No call makes as many allocations as this.
MOST = 20000


class Shortage:
    """Makes the nth allocation of a call fail."""

    def __init__(self):
        # Allocations that may sleep fail as well.
        (FAILSLAB / "ignore-gfp-wait").write_text("N")
        (FAILSLAB / "verbose").write_text("0")
        self.file = os.open(f"/proc/self/task/{threading.get_native_id()}/fail-nth", os.O_RDWR)
        self.n, self.failed = 0, False

    def call(self, function, *arguments):
        """Calls the function. Afterwards `failed` says whether an allocation was refused."""
        os.write(self.file, b"%d" % self.n)
        try:
            return function(*arguments)
        finally:
            left = int(os.pread(self.file, 16, 0))
            os.write(self.file, b"0")
            self.failed = left == 0

    def rounds(self):
        """Yields once for each allocation, and once more for a round in which none fails."""
        for self.n in range(1, MOST):
            yield self.n
            if not self.failed:
                return
        sys.exit("it does not end")


class Tight:
    """A netlink socket. Allocations fail for its requests, but not while something is read back."""

    def __init__(self, sock, shortage):
        self.sock, self.shortage, self.armed = sock, shortage, False

    def send(self, *arguments):
        if not self.armed:
            return self.sock.send(*arguments)
        self.armed = False
        return self.shortage.call(self.sock.send, *arguments)

    def __getattr__(self, name):
        return getattr(self.sock, name)


def nothing(f):
    f.reset()


def known(f):
    """Leaves a host that commands can change."""
    f.reset()
    f.do("host-new", name="known", addr=[address(C4, "active"), address(C6, "active"), address(M4, "local")])


def mapped(f):
    """One with two port mappings: a third has the name of one, and the host's ports of the other."""
    known(f)
    host = f.dump("host-get")[0]["id"]
    for nat_port, port in ((6000, 5001), (6001, 5000)):
        f.send("nat-new", {**MAPPING, "host-id": host, "nat-port": nat_port, "port": port})


def taken(f):
    """One with another that had the addresses which the command gives to the first."""
    known(f)
    f.do("host-new", name="former", addr=[address(D4, "alias"), address(D6, "alias"), address(N4, "active"), address(M4, "local")])


def hooked(f):
    known(f)
    f.do("param-set", discovery=1)


D6 = C6[:-1] + b"\x02"
MAPPING = {"address": N4, "proto": 17, "local-port": 7000}
MANY = [address(C4, "active"), address(C6, "active"), address(D4, "active"), address(N4, "active", nat=True), address(M4, "local")]
# For each command, and perhaps the case in words: a function that makes the objects that exist before, and its attributes, given the
# number of the first host that exists.
COMMANDS = {
    "host-new": (nothing, lambda host: {"name": "new", "addr": MANY}),
    "host-set": (known, lambda host: {"id": host, "name": "other", "addr": MANY}),
    "addr-new": (known, lambda host: {"id": host, "addr": [address(N4, "active", nat=True), address(D4, "alias")]}),
    "addr-del": (known, lambda host: {"id": host, "addr": [address(C6, "active")]}),
    "nat-new": (known, lambda host: {**MAPPING, "host-id": host, "port": 5000, "nat-port": 6000}),
    "nat-new in the place of others": (mapped, lambda host: {**MAPPING, "host-id": host, "port": 5000, "nat-port": 6000}),
    "host-set with addresses that another host had": (taken, lambda host: {"id": host, "addr": [
        address(C4, "active"), address(D4, "active"), address(D6, "active"), address(M4, "local")]}),
    "policy-new": (nothing, lambda host: {"address": C6[:8] + bytes(8), "prefix-len": 64, "action": "known"}),
    "param-set": (nothing, lambda host: {"discovery": 1}),
    "host-flush": (hooked, lambda host: {}),
}


def state(f):
    """Returns what commands can read back, without values that time changes."""
    def still(things):
        return [{k: v for k, v in thing.items() if k not in ("idle", "expires", "id", "host-id")} for thing in things]
    stats = f.do("stats-get")
    figures = {name: stats.get(name) for name in ("hosts", "flows", "nats", "hooks")}
    return [still(f.dump(dump)) for dump in ("host-get", "nat-get", "policy-get")] + [f.do("param-get"), figures]


def drain(sock):
    """Reads and discards the rest of an answer."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(1 << 16)
    sock.setblocking(True)


def command(name):
    """Checks that a refusal changes nothing. If the answer itself finds no room, the command is done as a whole or not at all."""
    family, shortage = Family(ynl_module()), Shortage()
    tight = family.ynl.sock = Tight(family.ynl.sock, shortage)
    stage, attributes = COMMANDS[name]
    refused = explained = 0
    unanswered = {}
    for n in shortage.rounds():
        stage(family)
        before = state(family)
        hosts = family.dump("host-get")
        values = attributes(hosts[0]["id"] if hosts else 0)
        tight.armed = True
        try:
            family.ynl.do(name.split()[0], values)
            continue
        except family.error_type as problem:
            refused += 1
            if errno.errorcode.get(abs(problem.error)) != "ENOMEM":
                sys.exit(f"{name}, allocation {n}: {problem}")
            explained += bool((problem.nl_msg.extack or {}).get("msg"))
            if state(family) != before:
                sys.exit(f"{name}, allocation {n}: refused, and there is {state(family)}, where there was {before}")
        except OSError as problem:
            # Either the request or its answer found no room.
            if problem.errno not in (errno.ENOMEM, errno.ENOBUFS):
                raise
            drain(tight.sock)
            unanswered[n] = (before, state(family))
    done = state(family)
    if done == before and name != "host-flush":
        sys.exit(f"{name} changes nothing")
    for number, (before, after) in unanswered.items():
        if after not in (before, done):
            sys.exit(f"{name}, allocation {number}: there is {after}, which is neither {before} nor {done}")
    family.reset()
    print(f"{n - 1} allocations, {refused} refusals, {explained} with words, {len(unanswered)} without an answer")


def load(file):
    shortage = Shortage()
    failures = 0
    with open(file, "rb") as module:
        for n in shortage.rounds():
            failed = shortage.call(LIBC.syscall, FINIT_MODULE, module.fileno(), b"", 0)
            number = ctypes.get_errno()
            if not failed:
                if shortage.failed and LIBC.syscall(DELETE_MODULE, b"ihmp", 0):
                    sys.exit(f"allocation {n}: it cannot be removed: {os.strerror(ctypes.get_errno())}")
                continue
            failures += 1
            if number != errno.ENOMEM:
                sys.exit(f"allocation {n}: {os.strerror(number)}")
            if os.path.exists("/sys/module/ihmp"):
                sys.exit(f"allocation {n}: something is left")
    print(f"{n - 1} allocations, {failures} failures")


def send(addr, port, count):
    shortage = Shortage()
    sent = 0
    for shortage.n in range(1, int(count) + 1):
        with socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((addr, int(port)))
            with contextlib.suppress(OSError):
                shortage.call(sock.send, b"short")
                sent += 1
    print(sent)


def stuck(addr, port):
    with socket.create_connection((addr, int(port))) as sock:
        page = mmap.mmap(-1, mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        uffd = LIBC.syscall(USERFAULTFD, os.O_CLOEXEC)
        if uffd < 0:
            sys.exit(f"userfaultfd: {os.strerror(ctypes.get_errno())}")
        api = ctypes.create_string_buffer(struct.pack("=QQQ", 0xAA, 0, 0))
        region = ctypes.create_string_buffer(struct.pack("=QQQQ", start, mmap.PAGESIZE, MISSING, 0))
        if LIBC.ioctl(uffd, UFFDIO_API, api) or LIBC.ioctl(uffd, UFFDIO_REGISTER, region):
            sys.exit(f"userfaultfd: {os.strerror(ctypes.get_errno())}")
        sender = threading.Thread(target=LIBC.send, args=(sock.fileno(), ctypes.c_void_p(start), 100, 0), daemon=True)
        sender.start()
        # The kernel announces the page fault here when it happens.
        os.read(uffd, 32)
        print("stuck", flush=True)
        time.sleep(10000)


def main():
    verb, *words = sys.argv[1:]
    {"command": command, "load": load, "send": send, "stuck": stuck}[verb](*words)


if __name__ == "__main__":
    main()
