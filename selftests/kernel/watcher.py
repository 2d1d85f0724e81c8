# SPDX-License-Identifier: GPL-2.0
"""Follows the network namespaces that a test makes. In each, the hooks are turned on, and every address of the others becomes a host.

The watcher keeps no namespace alive, because a test may rely on the end of a namespace that it deletes. So where kprobes do not sum up
the module's counters, those of each namespace are read again and again, and the last values count.
"""

import ctypes
import errno
import ipaddress
import os
import select
import socket
import struct
import threading
import time
import traceback

from netlink import NLM_F_ACK, NLM_F_DUMP, Ihmp, Netlink, attrs, messages, number, u32

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_LISTEN_ALL_NSID = 270, 1, 8
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWNSID, RTM_GETNSID = 20, 21, 22, 88, 90
GROUPS = (1, 5, 9)  # RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR
RTM_NEWLINK, RTM_DELLINK = 16, 17
IN_CREATE, IN_CLOEXEC, IN_NONBLOCK = 0x100, 0o2000000, 0o4000
NETNSA_NSID, NETNSA_FD = 1, 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
RT_SCOPE_UNIVERSE = 0
BROADCAST = ipaddress.ip_address("255.255.255.255")
RUN = "/run/netns"
# Seconds between two searches for new namespaces.
TICK = 0.01
# Seconds between two readings of the counters.
READ = 0.05
# A test with more addresses than this does not send from all of them.
MOST_HOSTS = 64
# A host has room for so many local addresses.
MOST_LOCALS = 16


class Space:
    """What is known of one namespace."""

    def __init__(self, path):
        self.path = path
        self.own = []
        self.told = []
        self.hosts = {}
        self.refused = set()
        # What was counted since the test began, and the values of the counters at that time.
        self.counters = {}
        self.before = {}


def translatable(address):
    """Does the module accept the address as that of a host? The scope alone does not tell."""
    ip = ipaddress.ip_address(address)
    this_network = ip.version == 4 and address[0] == 0
    return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or this_network or ip == BROADCAST)


class Watcher(threading.Thread):
    """A thread that runs beside the tests and goes from namespace to namespace.

    hosts says whether the module is loaded. Without it the watcher does all the same except for requests to the module, so that both
    runs of a test differ in nothing else. reasons has the names of the reasons if the counters are to be read, and else nothing.
    """

    def __init__(self, hosts, reasons):
        super().__init__(daemon=True)
        self.with_hosts = hosts
        self.reasons = reasons
        self.gone = {}
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.kind = os.fstat(self.home).st_dev
        self.first = os.fstat(self.home).st_ino
        self.spaces = {}
        self.by_nsid = {}
        self.dirty = set()
        self.extra = []
        self.made = 0
        self.populated = 0
        self.failure = None
        self.kernel = {str(os.getpid())}
        self.lock = threading.Lock()
        self.events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self.events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.events.bind((0, 0))
        self.events.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        for group in GROUPS:
            self.events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self.events.setblocking(False)
        self.route = Netlink(socket.NETLINK_ROUTE)
        libc = ctypes.CDLL(None, use_errno=True)
        self.names = libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
        os.makedirs(RUN, exist_ok=True)
        if self.names < 0 or libc.inotify_add_watch(self.names, RUN.encode(), IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    # --- called by the program that runs the tests

    def begin(self, extra):
        """Begins a test. extra has foreign addresses that are in none of its namespaces."""
        with self.lock:
            self.spaces, self.by_nsid, self.gone, self.made = {}, {}, {}, 0
            self.populated = 0
            self.extra = extra

    def end(self):
        """Ends a test. Returns how many namespaces and hosts there were, and the sums of the counters if they are read."""
        with self.lock:
            if self.failure:
                raise RuntimeError(f"the watcher gave up:\n{self.failure}")
            self.read_all()
            total = dict(self.gone)
            for space in self.spaces.values():
                add(total, space.counters)
            if self.with_hosts and self.first in self.spaces:
                self.within(self.first, self.clear)
            return self.made, self.populated, total

    # --- the thread

    def run(self):
        try:
            self.follow()
        except Exception:  # pylint: disable=broad-except
            self.failure = traceback.format_exc()

    def follow(self):
        due = 0.0
        while True:
            ready, _, _ = select.select([self.events, self.names], [], [], TICK)
            if self.names in ready:
                self.named()
            with self.lock:
                self.drain()
                self.look()
                if self.dirty:
                    self.settle()
                if time.monotonic() >= due:
                    self.read_all()
                    due = time.monotonic() + READ

    def named(self):
        """Waits for a namespace whose name was just made. It does not sleep: in time travel that would take too long."""
        os.read(self.names, 1 << 16)
        for _ in range(1000):
            if all(self.is_space(f"{RUN}/{name}") for name in os.listdir(RUN)):
                return
            os.sched_yield()

    def is_space(self, path):
        try:
            return os.stat(path).st_dev == self.kind
        except FileNotFoundError:
            return True

    def drain(self):
        """Reads events, and notes the namespaces whose addresses have changed."""
        while True:
            try:
                data, control, _, _ = self.events.recvmsg(1 << 16, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.dirty |= set(self.spaces)
                continue
            # Events about links only wake the watcher, because a new link may mean a new namespace.
            if all(kind in (RTM_NEWLINK, RTM_DELLINK) for kind, _ in messages(data)):
                continue
            nsid = next((struct.unpack("=i", data)[0] for _, kind, data in control if kind == NETLINK_LISTEN_ALL_NSID), -1)
            ino = self.by_nsid.get(nsid, self.first if nsid < 0 else None)
            if ino is not None:
                self.dirty.add(ino)

    def look(self):
        """Finds out which namespaces exist."""
        found = {self.first: "/proc/self/ns/net"}
        for name in os.listdir(RUN) if os.path.isdir(RUN) else ():
            self.see(found, f"{RUN}/{name}")
        for pid in os.listdir("/proc"):
            if pid[0] in "123456789" and pid not in self.kernel:
                self.see_process(found, pid)
        for ino in [ino for ino in self.spaces if ino not in found]:
            add(self.gone, self.spaces.pop(ino).counters)
        for ino, path in found.items():
            if ino in self.spaces:
                self.spaces[ino].path = path
            else:
                self.enter(ino, path)

    def see(self, found, path):
        try:
            info = os.stat(path)
        except OSError:
            return
        # While the file is being made, no namespace is bound to it yet.
        if info.st_dev == self.kind:
            found.setdefault(info.st_ino, path)

    def see_process(self, found, pid):
        """Looks at each thread of a process, because a thread may be in a namespace of its own."""
        if not os.path.exists(f"/proc/{pid}/exe"):
            # A kernel thread has no program. Neither has a process that is just ending.
            self.kernel.add(pid)
            return
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return
        for task in tasks:
            path = f"/proc/{pid}/task/{task}/ns/net"
            try:
                ino = int(os.readlink(path)[5:-1])
            except (OSError, ValueError):
                continue
            found.setdefault(ino, path)

    def enter(self, ino, path):
        """Turns the hooks on in a new namespace, and subscribes to its addresses."""
        space = Space(path)
        self.spaces[ino] = space
        try:
            if ino != self.first:
                self.made += 1
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    self.by_nsid[self.nsid(fd)] = ino
                finally:
                    os.close(fd)
            if self.with_hosts:
                self.within(ino, self.begin_counting)
        except OSError:
            # The namespace is gone already, or is not there yet.
            del self.spaces[ino]
            return
        self.dirty.add(ino)

    def nsid(self, fd):
        try:
            self.route.ask(RTM_NEWNSID, bytes(4) + u32(NETNSA_FD, fd) + u32(NETNSA_NSID, 0xffffffff), NLM_F_ACK)
        except FileExistsError:
            pass
        answer = self.route.ask(RTM_GETNSID, bytes(4) + u32(NETNSA_FD, fd))
        return number(dict(attrs(answer[0][4:]))[NETNSA_NSID])

    def within(self, ino, what):
        """Calls what(space) inside the namespace, if that still exists."""
        space = self.spaces[ino]
        try:
            fd = os.open(space.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            # The process may be in another namespace by now.
            if os.fstat(fd).st_ino != ino:
                return
            os.setns(fd, 0x40000000)
            try:
                what(space)
            finally:
                os.setns(self.home, 0x40000000)
        finally:
            os.close(fd)

    def begin_counting(self, space):
        """Turns discovery on, and notes the counters: those of the guest's own namespace go on from test to test."""
        with Ihmp() as module:
            module.discover()
            space.before = module.stats(self.reasons) if self.reasons else {}

    def settle(self):
        """Reads the changed addresses, and makes hosts of them in the namespaces where they are foreign."""
        for ino in [ino for ino in self.dirty if ino in self.spaces]:
            self.within(ino, self.addresses)
        self.dirty = set()
        if not self.with_hosts:
            return
        everywhere = list(dict.fromkeys([*self.extra, *(own for space in self.spaces.values() for own in space.own)]))
        for ino, space in self.spaces.items():
            foreign = [address for address in everywhere if address not in space.own][:MOST_HOSTS]
            # An agent does not withdraw an address that still exists.
            told = [address for address in space.told if address in space.own]
            told = [*told, *(address for address in space.own if address not in told)][:MOST_LOCALS]
            new = [address for address in foreign if address not in space.hosts and address not in space.refused]
            old = [address for address in space.hosts if address in space.own]
            if new or old or told != space.told:
                self.within(ino, lambda space, new=new, old=old, told=told: self.populate(space, new, old, told))

    @staticmethod
    def addresses(space):
        own = []
        with Netlink(socket.NETLINK_ROUTE) as route:
            for body in route.ask(RTM_GETADDR, bytes(8), NLM_F_DUMP):
                scope = body[3]
                found = dict(attrs(body[8:]))
                address = found.get(IFA_LOCAL, found.get(IFA_ADDRESS))
                if scope == RT_SCOPE_UNIVERSE and address and translatable(address) and address not in own:
                    own.append(address)
        space.own = own

    def populate(self, space, new, old, told):
        with Ihmp() as module:
            for address in old:
                module.forget(space.hosts.pop(address))
            if told != space.told:
                for host in space.hosts.values():
                    module.tell(host, told)
                space.told = told
            for address in new:
                try:
                    space.hosts[address] = module.host(address, told)
                    self.populated += 1
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.EADDRNOTAVAIL):
                        raise
                    space.refused.add(address)

    def read_all(self):
        if self.with_hosts and self.reasons:
            for ino in list(self.spaces):
                self.within(ino, self.read)

    def read(self, space):
        with Ihmp() as module:
            counted = module.stats(self.reasons)
            space.counters = {name: value - space.before.get(name, 0) for name, value in counted.items()}

    @staticmethod
    def clear(_):
        with Ihmp() as module:
            module.flush()


def add(total, counters):
    for name, value in counters.items():
        total[name] = total.get(name, 0) + value
