#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demonstration, inside a guest: transfers that go on while a host changes networks, measured at the receiver.

Every transfer has a testbed of its own, made of namespaces; several run at the same time.

                        +---- r1 ----+
  +------ mh ------+  .-|lan      wan|---+------ sw ------+
  | eth0   (old)   |--' +------------+   | bridge, tc     |      +----- ch -----+
  |                |                     | on each port:  |------|eth0          |
  | wifi0  (new)   |--. +---- r2 ----+   | 60 ms, 10 Mb/s |      +--------------+
  +----------------+  '-|lan      wan|---+----------------+
                        +------------+
  eth0 192.0.2.0/24 2001:db8:1::/64, wifi0 198.51.100.0/24 2001:db8:2::/64, switch 203.0.113.0/24 2001:db8:3::/64

soft: the new network comes at 5 s with the better default route, the old one goes at 10 s.
hard: the old network goes at 5 s, the new one comes at 10 s.
The link of the new network is up half a second before it gets addresses, as a radio associates first. TCP has a testbed
of its own, UDP and ping share one: a datagram does not wait behind a bulk transfer.

Results, outside of the guest, are demo.json, demo.svg and demo.txt, with -KERNEL in the name unless it is the stock kernel.
"""

import argparse
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PORT = 61453
CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "ihmpd.toml")
SECONDS, FIRST, SECOND = 15, 5, 10
BIN = 0.25
RTT = 120
# A port of the switch: 60 ms, then a link of 10 Mb/s on which every flow has a queue of its own. The queue marks (RFC 3168)
# when packets wait longer than a round trip, before it is full: what is lost is lost to moves, not to TCP itself.
PORT_QDISCS = ("root handle 1: netem delay 60ms limit 1000", "parent 1:1 handle 2: tbf rate 10mbit burst 32kb limit 1mb",
               "parent 2:1 handle 3: fq_codel target 120ms interval 240ms")
TCP_PORT, UDP_PORT = 5001, 5002
INTERVAL = 0.01
# Between the beginnings of transfers that run at the same time, so that their moves do not wait for each other, s.
STAGGER = 0.3
# A transfer without a move that gets less than this was not bounded by its path, Mb/s.
BUSY = 8.5
COMES, GOES = "#2a7f3f", "#c0392b"
PERIOD = 65521
CHUNK = 1 << 16
TABLE = memoryview(bytes((i * i + (i >> 8) * 7 + i) & 0xff for i in range(PERIOD)) * 3)
HEAD = struct.Struct("!Qd")
UDP_SIZE = 120

# Bounds of the cases, by metric; issue 2.
BOUNDS = {
    "goodput_ratio": {"soft": (">=", 0.98), "hard": (">=", 0.95)},
    "messages": {"soft": ("==", 4), "hard": ("==", 2)},
    "app_errors": {"soft": ("==", 0), "hard": ("==", 0)},
    "corrupt_bytes": {"soft": ("==", 0), "hard": ("==", 0)},
}
GAP = {"tcp": RTT + 50, "udp": RTT + 20}


class Net:
    """The addresses of one family."""

    def __init__(self, six):
        self.six = six
        self.family = socket.AF_INET6 if six else socket.AF_INET
        base = ("2001:db8:1::", "2001:db8:2::", "2001:db8:3::") if six else ("192.0.2.", "198.51.100.", "203.0.113.")
        self.width = 64 if six else 24
        self.old, self.new = base[0] + "10", base[1] + "10"
        self.gate = {"eth0": base[0] + "1", "wifi0": base[1] + "1"}
        self.r1, self.r2, self.ch = base[2] + "1", base[2] + "2", base[2] + "10"
        self.networks = [f"{base[0]}{'' if six else '0'}/{self.width}", f"{base[1]}{'' if six else '0'}/{self.width}"]


NETS = (Net(False), Net(True))


def mac(host, interface):
    """A fixed link address for each end, so that neighbours can be told."""
    hosts = ["mh", "r1", "r2", "ch"]
    return f"02:00:00:00:{hosts.index(host):02x}:{['eth0', 'wifi0', 'lan', 'wan'].index(interface):02x}"


class Testbed:
    def __init__(self, name):
        self.name = name
        self.agents = []

    def ns(self, host):
        return f"{self.name}-{host}"

    def ip(self, host, lines):
        self.tool(["ip", "-n", self.ns(host), "-batch", "-"], lines)

    def tool(self, command, lines):
        done = subprocess.run(command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
        if done.returncode or done.stderr:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")

    def enter(self, host):
        fd = os.open(f"/run/netns/{self.ns(host)}", os.O_RDONLY)
        os.setns(fd, os.CLONE_NEWNET)
        os.close(fd)

    def build(self):
        hosts = ("mh", "r1", "r2", "sw", "ch")
        self.tool(["ip", "-batch", "-"], [f"netns add {self.ns(h)}" for h in hosts])
        for host in hosts:
            self.inside(host, lambda h=host: self.settings(h))
        cables = [("mh", "eth0", "r1", "lan"), ("mh", "wifi0", "r2", "lan"), ("r1", "wan", "sw", "p1"),
                  ("r2", "wan", "sw", "p2"), ("ch", "eth0", "sw", "pc")]
        lines = []
        for a, dev, b, other in cables:
            end = f"address {mac(b, other)}" if b != "sw" else ""
            lines.append(f"link add {dev} address {mac(a, dev)} netns {self.ns(a)} type veth "
                         f"peer name {other} {end} netns {self.ns(b)}")
        self.tool(["ip", "-batch", "-"], lines)
        self.ip("sw", ["link set lo up", "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                       "link set br0 up"] + [f"link set {p} master br0 up" for p in ("p1", "p2", "pc")])
        self.tool(["tc", "-n", self.ns("sw"), "-batch", "-"],
                  [f"qdisc add dev {p} {qdisc}" for p in ("p1", "p2", "pc") for qdisc in PORT_QDISCS])
        # The limit of the bottleneck is one of packets: none larger than the wire's.
        for host, dev in (("mh", "eth0"), ("mh", "wifi0"), ("ch", "eth0")):
            self.tool(["ip", "netns", "exec", self.ns(host), "ethtool", "-K", dev, "tso", "off", "gso", "off"], [])
        for number, router, dev in ((1, "r1", "eth0"), (2, "r2", "wifi0")):
            lines = ["link set lo up", "link set lan up", "link set wan up"]
            for net in NETS:
                nodad = "nodad" if net.six else ""
                wan = (net.r1, net.r2)[number - 1]
                lines += [f"addr add {net.gate[dev]}/{net.width} dev lan {nodad}",
                          f"addr add {wan}/{net.width} dev wan {nodad}",
                          f"neigh replace {net.ch} lladdr {mac('ch', 'eth0')} dev wan nud permanent"]
            self.ip(router, lines)
        lines = ["link set lo up", "link set eth0 up"]
        for net in NETS:
            lines.append(f"addr add {net.ch}/{net.width} dev eth0 {'nodad' if net.six else ''}")
        for net in NETS:
            # Neighbours on the switch know each other, as on a network that is in use.
            for router, address, network in (("r1", net.r1, net.networks[0]), ("r2", net.r2, net.networks[1])):
                lines += [f"neigh replace {address} lladdr {mac(router, 'wan')} dev eth0 nud permanent",
                          f"route add {network} via {address}"]
        self.ip("ch", lines)
        self.ip("mh", ["link set lo up", "link set eth0 up"] + self.join("eth0", 200))
        for host in ("mh", "ch"):
            self.start_agent(host)

    @staticmethod
    def settings(host):
        values = {}
        if host in ("r1", "r2"):
            values = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/accept_dad": 0,
                      "ipv6/conf/all/accept_dad": 0}
        elif host != "sw":
            values = {"ipv4/tcp_ecn": 1}
        if host == "mh":
            values |= {f"ipv6/conf/{where}/{what}": 1
                       for where in ("all", "default") for what in ("optimistic_dad", "use_optimistic")}
        for name, value in values.items():
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write(str(value))

    @staticmethod
    def join(dev, metric):
        """What makes a network usable."""
        lines = []
        for net in NETS:
            own = net.old if dev == "eth0" else net.new
            lines.append(f"addr add {own}/{net.width} dev {dev} {'optimistic' if net.six else ''}")
            if net.six:
                # An optimistic host may not ask for its router's link address: the router's advertisement tells.
                router = "r1" if dev == "eth0" else "r2"
                lines.append(f"neigh replace {net.gate[dev]} lladdr {mac(router, 'lan')} dev {dev} nud stale")
        return lines + [f"route add default via {net.gate[dev]} dev {dev} metric {metric}" for net in NETS]

    @staticmethod
    def leave(dev):
        return [f"addr flush dev {dev} scope global", f"link set {dev} down"]

    def start_agent(self, host):
        log = open(f"{WORK}/{self.ns(host)}.log", "w+", encoding="utf-8")
        level = ["--log", "debug"] if ARGS.debug else []
        agent = subprocess.Popen(["ip", "netns", "exec", self.ns(host), "ihmpd", "--config", CONFIG, "--state",
                                  f"{WORK}/{self.ns(host)}.state"] + level, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)
        self.agents.append(agent)

        def ready():
            if agent.poll() is not None:
                raise RuntimeError(f"ihmpd ended: {text(log.name)}")
            return "ihmpd ready" in text(log.name)
        wait_for(ready, 60, f"no agent in {self.ns(host)}")

    def inside(self, host, function):
        """Runs function in a process in that namespace and waits for it."""
        pid = self.child(host, function)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{self.ns(host)}: a step failed")

    def child(self, host, function):
        def go():
            self.enter(host)
            function()
        return fork(go)

    def hosts_up(self, host):
        out = subprocess.run(["ihmpctl", "-n", self.ns(host), "-j", "host", "show"], capture_output=True, text=True,
                             check=False)
        if out.returncode:
            raise RuntimeError(f"ihmpctl: {out.stderr}")
        return any(h.get("state") == "up" for h in json.loads(out.stdout or "[]"))

    def acquaint(self, net):
        """One datagram from a connected socket makes the hosts say HELLO."""
        def hello():
            sock = socket.socket(net.family, socket.SOCK_DGRAM)
            sock.connect((net.ch, 9))
            sock.send(b"hello")
        self.inside("mh", hello)
        wait_for(lambda: self.hosts_up("mh") and self.hosts_up("ch"), 30, f"{self.name}: the hosts do not meet")

    def drop(self):
        for agent in self.agents:
            agent.terminate()
        for agent in self.agents:
            try:
                agent.wait(10)
            except subprocess.TimeoutExpired:
                agent.kill()
        self.tool(["ip", "-batch", "-"], [f"netns del {self.ns(h)}" for h in ("mh", "r1", "r2", "sw", "ch")])


def fork(function):
    """Runs function in a process of its own; its number. The exit status says whether it came to its end."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def wait_for(condition, seconds, complaint):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(complaint)
        time.sleep(0.05)


def sleep_until(moment):
    while (left := moment - time.time()) > 0:
        time.sleep(left)


# --- the applications: each is a process that leaves its findings in a file

class Findings:
    def __init__(self, path, t0):
        self.path = path
        self.t0 = t0
        self.end = t0 + SECONDS
        self.told = 0
        self.received = 0
        self.corrupt = 0
        self.arrivals = []
        self.bins = [0] * int(SECONDS / BIN)
        self.errors = []

    def got(self, size):
        now = time.time()
        self.arrivals.append(now)
        index = int((now - self.t0) / BIN)
        if 0 <= index < len(self.bins):
            self.bins[index] += size
            self.received += size

    def tell(self, live):
        """Once a second, what came in it."""
        second = int(time.time() - self.t0)
        if self.told < second <= SECONDS:
            self.told = second
            size = sum(self.bins[int((second - 1) / BIN):int(second / BIN)])
            os.write(live[1], f"{live[0]} {second} {size}\n".encode())

    def error(self, operation, error):
        self.errors.append(f"{time.time() - self.t0:.3f} {operation}: {error}")

    def leave(self):
        with open(self.path, "w", encoding="ascii") as file:
            json.dump({key: value for key, value in vars(self).items() if key != "path"}, file)


def tcp_send(sock, out):
    position = 0
    sock.settimeout(1)
    while time.time() < out.end:
        start = position % PERIOD
        try:
            position += sock.send(TABLE[start:start + CHUNK])
        except TimeoutError:
            pass
        except OSError as error:
            out.error("send", error)
            return
    sock.settimeout(20)
    try:
        # What was sent is said at the end, so that a cut is seen.
        sock.sendall(b"")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(64):
            pass
    except OSError as error:
        out.error("end", error)
    out.sent = position


def tcp_receive(sock, out, live):
    position = 0
    into = bytearray(CHUNK)
    view = memoryview(into)
    sock.settimeout(0.25)
    while time.time() < out.end + 20:
        size = None
        try:
            size = sock.recv_into(into)
        except TimeoutError:
            pass
        except OSError as error:
            out.error("recv", error)
            return
        out.tell(live)
        if size is None:
            continue
        if size == 0:
            out.total = position
            if time.time() < out.end - 0.5:
                out.error("recv", "early end")
            sock.shutdown(socket.SHUT_WR)
            return
        start = position % PERIOD
        want = TABLE[start:start + size]
        if view[:size] != want:
            out.corrupt += sum(a != b for a, b in zip(view[:size], want))
        position += size
        out.got(size)
    out.error("recv", "no end")


def tcp_server(net, address, out):
    listener = socket.socket(net.family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, TCP_PORT))
    listener.listen()
    listener.settimeout(out.end - time.time())
    sock = listener.accept()[0]
    sleep_until(out.t0)
    tcp_send(sock, out)


def tcp_client(net, address, out, live):
    sleep_until(out.t0 - 0.5)
    sock = socket.socket(net.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(10)
        sock.connect((address, TCP_PORT))
    except OSError as error:
        out.error("connect", error)
        return
    sleep_until(out.t0)
    tcp_receive(sock, out, live)


def datagram(number):
    start = number * 31 % PERIOD
    return HEAD.pack(number, time.time()) + bytes(TABLE[start:start + UDP_SIZE])


def udp_server(net, address, out):
    """Sends to the client that asked for it; its socket is not connected."""
    sock = socket.socket(net.family, socket.SOCK_DGRAM)
    sock.bind((address, UDP_PORT))
    sock.settimeout(out.end - time.time())
    client = sock.recvfrom(2048)[1]
    out.sent = 0
    while (now := out.t0 + out.sent * INTERVAL) < out.end:
        sleep_until(now)
        try:
            sock.sendto(datagram(out.sent), client)
        except OSError as error:
            out.error("sendto", error)
        out.sent += 1


def udp_client(net, address, out, live):
    sock = socket.socket(net.family, socket.SOCK_DGRAM)
    sock.connect((address, UDP_PORT))
    sleep_until(out.t0 - 0.5)
    sock.send(b"start")
    sock.settimeout(0.25)
    while time.time() < out.end + 0.5:
        out.tell(live)
        try:
            data = sock.recv(2048)
        except TimeoutError:
            continue
        except OSError as error:
            out.error("recv", error)
            continue
        number, _ = HEAD.unpack_from(data)
        start = number * 31 % PERIOD
        want = TABLE[start:start + UDP_SIZE]
        body = memoryview(data)[HEAD.size:]
        if body != want:
            out.corrupt += abs(len(want) - len(body)) + sum(a != b for a, b in zip(body, want))
        out.got(len(data))


def ping(net, address, out):
    """The system's own ping."""
    sleep_until(out.t0)
    with subprocess.Popen(["ping", "-6" if net.six else "-4", "-n", "-D", "-i", str(INTERVAL), address],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as done:
        threading.Timer(max(out.end - time.time(), 0), lambda: done.send_signal(signal.SIGINT)).start()
        lines = done.stdout.read().splitlines()
    for line in lines:
        if reply := re.match(r"\[(\d+\.\d+)\] (\d+) bytes from .* time=", line):
            moment = float(reply[1])
            out.arrivals.append(moment)
            if out.t0 <= moment < out.t0 + SECONDS:
                out.received += 1
                out.bins[int((moment - out.t0) / BIN)] += 1
            if "DUP" in line:
                out.duplicates = getattr(out, "duplicates", 0) + 1
        elif "wrong data byte" in line:
            out.corrupt += 1
        elif line.startswith("ping:") or "nreachable" in line:
            out.error("ping", line)
    if done.returncode:
        out.error("ping", f"exit {done.returncode}")


# --- the observer: what the kernel says of addresses and routes, and IHMP on the moving host's wires

# Classic BPF, from the network header on: UDP over IPv4 or IPv6 with the port of IHMP at one end.
IHMP_FILTER = (
    (0x30, 0, 0, 0), (0x74, 0, 0, 4), (0x15, 0, 7, 4),
    (0x30, 0, 0, 9), (0x15, 0, 12, 17), (0xb1, 0, 0, 0),
    (0x48, 0, 0, 0), (0x15, 8, 0, PORT), (0x48, 0, 0, 2), (0x15, 6, 7, PORT),
    (0x30, 0, 0, 6), (0x15, 0, 5, 17),
    (0x28, 0, 0, 40), (0x15, 2, 0, PORT), (0x28, 0, 0, 42), (0x15, 0, 1, PORT),
    (0x06, 0, 0, 65535), (0x06, 0, 0, 0),
)
SO_ATTACH_FILTER, SO_TIMESTAMPNS, PACKET_OUTGOING = 26, 35, 4
IFA_F_TENTATIVE, IFA_F_OPTIMISTIC = 0x40, 0x04
RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 20, 21, 24


def observe(net, out):
    """Its clock is that of the events, so nothing else in the guest runs before it."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in IHMP_FILTER))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(IHMP_FILTER), ctypes.addressof(code)))
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.setblocking(False)
    try:
        while True:
            wire.recv(2048)
    except BlockingIOError:
        pass
    routes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    routes.bind((0, 0x1 | 0x10 | 0x40 | 0x100 | 0x400))
    names = {socket.if_nametoindex(n): n for n in ("eth0", "wifi0")}
    out.events, out.messages = [], []
    while (left := out.end + 0.5 - time.time()) > 0:
        for source in select.select([wire, routes], [], [], left)[0]:
            now = time.time()
            if source is wire:
                data, extra, _, address = wire.recvmsg(2048, 256)
                for level, kind, value in extra:
                    if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                        seconds, part = struct.unpack("ll", value)
                        now = seconds + part / 1e9
                head = 40 if data[0] >> 4 == 6 else (data[0] & 15) * 4
                if address[0] in names.values():
                    out.messages.append([now, "out" if address[2] == PACKET_OUTGOING else "in", address[0],
                                         data[head + 8:head + 24].hex()])
            else:
                out.events += [[now] + e for e in route_events(routes.recv(1 << 16), net, names)]


def route_events(data, net, names):
    """Addresses that came and went, default routes that came."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        body = data[at + 16:at + length]
        at += (length + 3) & ~3
        if kind not in (RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE) or body[0] != net.family:
            continue
        attributes = {}
        place = 8 if kind in (RTM_NEWADDR, RTM_DELADDR) else 12
        while place + 4 <= len(body):
            size, name = struct.unpack_from("=HH", body, place)
            attributes[name & 0x3fff] = body[place + 4:place + size]
            place += max((size + 3) & ~3, 4)
        if kind == RTM_NEWROUTE:
            dev = names.get(int.from_bytes(attributes.get(4, b""), sys.byteorder))
            if body[1] == 0 and dev and body[4] == 254:
                yield ["route", dev]
            continue
        dev = names.get(struct.unpack_from("=I", body, 4)[0])
        flags = int.from_bytes(attributes.get(8, body[2:3]), sys.byteorder)
        address = socket.inet_ntop(net.family, attributes.get(2) or attributes[1])
        if not dev or address not in (net.old, net.new):
            continue
        if kind == RTM_DELADDR:
            yield ["gone", dev]
        elif flags & IFA_F_TENTATIVE and not flags & IFA_F_OPTIMISTIC:
            yield ["tentative", dev]
        else:
            yield ["address", dev]


# --- one transfer with all that goes beside it

class Run:
    """name: tcp4-soft, server-udp6-hard (and ping), tcp4-plain ...: one testbed."""

    def __init__(self, name):
        self.name = name
        self.server = name.startswith("server-")
        self.net = NETS["6-" in name]
        self.move = name.rpartition("-")[2]
        self.kinds = ["tcp"] if "tcp" in name else ["udp", "ping"]

    def path(self, part):
        return f"{WORK}/{self.name}.{part}.json"

    def go(self, live, gate):
        """The whole of it; gate is a pipe that tells when all testbeds of this wave are ready."""
        bed = Testbed(self.name.replace("server-", "s"))
        bed.build()
        bed.acquaint(self.net)
        net = self.net
        fixed, mover = ("ch", net.ch), ("mh", net.old)
        server, client = (mover, fixed) if self.server else (fixed, mover)
        children = {}
        here, begin = os.pipe(), os.pipe()

        def app(part, host, work):
            def body():
                os.write(here[1], b"+")
                out = Findings(self.path(part), struct.unpack("d", os.read(begin[0], 8))[0])
                try:
                    work(out)
                except BaseException as error:
                    out.error(part, repr(error))
                    out.leave()
                    raise
                out.leave()
            children[part] = bed.child(host, body)

        app("observer", "mh", lambda out: observe(net, out))
        tell = (self.name, live)
        if "tcp" in self.kinds:
            app("tcp-send", server[0], lambda out: tcp_server(net, server[1], out))
            app("tcp", client[0], lambda out: tcp_client(net, server[1], out, tell))
        else:
            app("udp-send", server[0], lambda out: udp_server(net, server[1], out))
            app("udp", client[0], lambda out: udp_client(net, server[1], out, tell))
            app("ping", client[0], lambda out: ping(net, server[1], out))
        old_goes = Testbed.leave("eth0")
        new_comes = Testbed.join("wifi0", 100)
        associate = ["link set wifi0 up"]
        moves = {"soft": ((FIRST - 0.5, associate), (FIRST, new_comes), (SECOND, old_goes)),
                 "hard": ((FIRST, old_goes), (SECOND - 0.5, associate), (SECOND, new_comes)), "plain": ()}[self.move]
        # Started before they are needed: the start of a program is no part of a hand-off.
        tools = [subprocess.Popen(["ip", "-n", bed.ns("mh"), "-batch", "-"], stdin=subprocess.PIPE, text=True)
                 for _ in moves]
        for _ in children:
            os.read(here[0], 1)
        os.write(gate[0][1], b"+")
        # The beginning, for all testbeds of the wave: 2 s and more after the last two hosts came to know each other.
        start = os.read(gate[1][0], 8)
        t0 = struct.unpack("d", start)[0]
        os.write(begin[1], start * len(children))
        for tool, (moment, lines) in zip(tools, moves):
            sleep_until(t0 + moment)
            tool.stdin.write("\n".join(lines) + "\n")
            tool.stdin.close()
            if tool.wait():
                raise RuntimeError(f"{self.name}: ip failed")
        status = {part: os.waitpid(pid, 0)[1] for part, pid in children.items()}
        stats = {}
        for host in ("mh", "ch"):
            for what in ("stats", "host"):
                shown = subprocess.run(["ihmpctl", "-n", bed.ns(host), "-j", what, "show"], capture_output=True,
                                       text=True, check=False)
                stats[f"{host} {what}"] = json.loads(shown.stdout or "null")
        with open(self.path("run"), "w", encoding="ascii") as file:
            json.dump({"t0": t0, "status": status, "stats": stats}, file)
        bed.drop()


def wave(runs, live):
    """Runs transfers at the same time; says what the receivers get while they get it."""
    ready, start = os.pipe(), [os.pipe() for _ in runs]
    pids = []
    for number, run in enumerate(runs):
        def go(run=run, number=number):
            os.setpgid(0, 0)
            run.go(live[1], (ready, start[number]))
        pids.append(fork(go))
    os.close(ready[1])
    count = 0
    while count < len(runs):
        if select.select([ready[0]], [], [], 1)[0]:
            if not os.read(ready[0], 1):
                raise RuntimeError("a testbed was not built")
            count += 1
        for pid in list(pids):
            if os.waitpid(pid, os.WNOHANG)[0]:
                raise RuntimeError("a testbed was not built")
    t0 = time.time() + 3
    for number, (_, end) in enumerate(start):
        os.write(end, struct.pack("d", t0 + number * STAGGER))
    print(f"\n{', '.join(r.name for r in runs)}", flush=True)
    show_live(runs, live, t0 + (len(runs) - 1) * STAGGER)
    failed = [run.name for run, pid in zip(runs, pids) if os.waitpid(pid, 0)[1]]
    if failed:
        raise RuntimeError(f"failed: {', '.join(failed)}")


def show_live(runs, live, t0):
    seen, rest = {}, b""
    print("   s " + "".join(f"{run.name:>18}" for run in runs) + "   Mb/s at the receiver", flush=True)
    notes = {}
    for move, first, second in (("soft", "the new network comes", "the old one goes"),
                                ("hard", "the old network goes", "the new one comes")):
        if any(run.move == move for run in runs):
            notes = {FIRST + 1: f"  <- {first}", SECOND + 1: f"  <- {second}"}
    for second in range(1, SECONDS + 1):
        sleep_until(t0 + second + 0.35)
        while select.select([live[0]], [], [], 0)[0]:
            rest += os.read(live[0], 4096)
        *lines, rest = rest.split(b"\n")
        for line in lines:
            name, at, size = line.decode().split()
            seen[name, int(at)] = int(size) * 8 / 1e6
        row = "".join(f"{seen.get((run.name, second), 0):18.2f}" for run in runs)
        print(f"  {second:2} {row}{notes.get(second, '')}", flush=True)


# --- findings

def load(run, part):
    with open(run.path(part), encoding="ascii") as file:
        return json.load(file)


def apart(messages):
    """Probes, with the ACKs that answer them, apart from other messages: control in the first octet, number in the last two of four."""
    asked = {m[3][4:8] for m in messages if m[3][:2] == "01"}
    probes = [m for m in messages if m[3][:2] == "01" or (m[3][:2] == "08" and m[3][4:8] in asked)]
    return [m for m in messages if m not in probes], probes


def findings(run, plain):
    """The rows of all cases of one run: (case, {metric: value})."""
    about, seen = load(run, "run"), load(run, "observer")
    t0 = about["t0"]
    events = seen["events"]
    usable = max([e[0] for e in events if e[1:] == ["address", "wifi0"]][:1]
                 + [e[0] for e in events if e[1:] == ["route", "wifi0"]][:1])
    gone = min(e[0] for e in events if e[1:] == ["gone", "eth0"])
    first, second = (usable, gone) if run.move == "soft" else (gone, usable)
    messages, probes = apart([m for m in seen["messages"] if m[0] > t0 + FIRST - 0.5])
    after = [m[0] for m in messages if m[0] > t0 + (FIRST if run.move == "soft" else SECOND) - 0.01 and m[1] == "out"]
    for kind in run.kinds:
        got, base = load(run, kind), load(plain, kind)
        sender = load(run, kind + "-send") if kind != "ping" else {"errors": []}
        arrivals = got["arrivals"]
        if run.move == "hard":
            later = [a for a in arrivals if a > usable]
            gap = (later[0] - usable) * 1000 if later else None
            ratio = got["received"] / (base["received"] * 2 / 3)
        else:
            spaces = [(b, b - a) for a, b in zip(arrivals, arrivals[1:])]
            near = [s for at, s in spaces if first < at < first + 2 or second < at < second + 2]
            gap = (max(near) - statistics.median(s for _, s in spaces)) * 1000
            ratio = got["received"] / base["received"]
        errors = got["errors"] + sender["errors"]
        errors += [f"{part}: exit {status}" for part, status in about["status"].items()
                   if status and part.startswith(kind)]
        if kind == "tcp" and sender.get("sent") != got.get("total"):
            errors.append(f"{sender.get('sent')} octets were sent, {got.get('total')} received")
        for error in errors:
            print(f"{run.name}: {kind}: {error}", file=sys.stderr)
        case = run.name.replace("udp", kind)
        yield case, {
            "goodput_ratio": round(ratio, 4), "gap_ms": gap and round(gap, 1),
            "control_ms": round((after[0] - usable) * 1000, 1) if after else None,
            "messages": len(messages), "probes": len(probes), "app_errors": len(errors), "corrupt_bytes": got["corrupt"],
            "received": got["received"], "plain": base["received"],
            "events": (first - t0, second - t0), "bins": got["bins"],
        }


UNITS = {"goodput_ratio": "1", "gap_ms": "ms", "control_ms": "ms", "messages": "1", "probes": "1", "app_errors": "1",
         "corrupt_bytes": "B"}


def misses(case, row):
    """What is beyond its bound."""
    kind = re.sub("server-|[46]-.*", "", case)
    move = case.rpartition("-")[2]
    for metric, bounds in BOUNDS.items():
        # How many datagrams came through is shown; the bound is one of TCP.
        if metric == "goodput_ratio" and kind != "tcp":
            continue
        relation, bound = bounds[move]
        value = row[metric]
        if value is None or (value < bound if relation == ">=" else value != bound):
            yield f"{case} {metric} {value}, not {relation} {bound}"
    if move == "hard" and kind in GAP and (row["gap_ms"] is None or row["gap_ms"] > GAP[kind]):
        yield f"{case} gap_ms {row['gap_ms']}, not <= {GAP[kind]}"
    if row["control_ms"] is None:
        yield f"{case} control_ms: no message"


def table(rows):
    widths = (22, 9, 9, 11, 10, 8, 8, 9)
    heads = ("case", "goodput", "gap ms", "control ms", "messages", "probes", "errors", "corrupt")
    lines = ["".join(h.ljust(w) if not i else h.rjust(w) for i, (h, w) in enumerate(zip(heads, widths)))]
    for case, row in rows:
        values = [f"{row['goodput_ratio']:.3f}"] + ["-" if row[m] is None else str(row[m]) for m in list(UNITS)[1:]]
        lines.append(case.ljust(widths[0]) + "".join(v.rjust(w) for v, w in zip(values, widths[1:])))
    return lines


def records(rows):
    out = []
    for case, row in rows:
        for metric, unit in UNITS.items():
            out.append({"case": case, "metric": metric, "value": row[metric], "unit": unit, "peer": ""})
        # Datagrams and echoes are counted, not measured in bits.
        bits = case.removeprefix("server-").startswith("tcp")
        for peer, key in (("", "received"), ("plain", "plain")):
            value = round(row[key] * 8 / SECONDS / 1e6, 4) if bits else row[key]
            out.append({"case": case, "metric": "goodput" if bits else "received", "value": value,
                        "unit": "Mb/s" if bits else "B" if "udp" in case else "1", "peer": peer})
    return out


def picture(rows, plains):
    """One panel for each TCP case: what the receiver got, and the same transfer without a move."""
    rows = [(c, r) for c, r in rows if "tcp" in c]
    wide, high, left, top, gap_x, gap_y, columns = 400, 150, 62, 92, 70, 74, 2
    lines = (len(rows) + columns - 1) // columns
    width, height = left + columns * wide + (columns - 1) * gap_x + 30, top + lines * (high + gap_y)
    peak = 11.0
    svg = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- SPDX-License-Identifier: GPL-2.0 -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="28" font-size="18" font-weight="bold">TCP goes on while its host changes networks</text>',
        f'<text x="{left}" y="47" fill="#555">Goodput at the receiver, Mb/s in {BIN} s; path of 10 Mb/s and {RTT} ms'
        f' round trip; {KERNEL} kernel</text>',
        f'<g transform="translate({left},66)">'
        '<rect y="-8" width="18" height="9" fill="#9ecae9"/><text x="24">the host moves</text>'
        '<line x1="140" x2="160" y1="-4" y2="-4" stroke="#999" stroke-dasharray="3 2"/>'
        '<text x="166">the same transfer without a move</text>'
        f'<line x1="390" x2="390" y1="-11" y2="3" stroke="{COMES}" stroke-width="2"/>'
        '<text x="397">new network comes</text>'
        f'<line x1="530" x2="530" y1="-11" y2="3" stroke="{GOES}" stroke-width="2"/>'
        '<text x="537">old network goes</text>'
        "</g>",
    ]
    for number, (case, row) in enumerate(rows):
        x0 = left + number % columns * (wide + gap_x)
        y0 = top + 16 + number // columns * (high + gap_y)

        def x(seconds, x0=x0):
            return round(x0 + seconds / SECONDS * wide, 1)

        def y(rate, y0=y0):
            return round(y0 + high - min(rate, peak) / peak * high, 1)

        def steps(bins):
            points = []
            for index, size in enumerate(bins):
                rate = size * 8 / BIN / 1e6
                points += [f"{x(index * BIN)},{y(rate)}", f"{x((index + 1) * BIN)},{y(rate)}"]
            return " ".join(points)

        who = "server moves (it sends)" if case.startswith("server") else "client moves (it receives)"
        what = f"IPv{case[case.index('tcp') + 3]}, {case.rpartition('-')[2]} hand-off, {who}"
        svg.append(f'<text x="{x0}" y="{y0 - 8}" font-weight="bold">{what}</text>')
        svg.append(f'<text x="{x0 + wide}" y="{y0 - 8}" text-anchor="end" fill="#555">'
                   f'ratio {row["goodput_ratio"]:.3f}</text>')
        for rate in (0, 5, 10):
            svg.append(f'<line x1="{x0}" x2="{x0 + wide}" y1="{y(rate)}" y2="{y(rate)}" stroke="#ddd"/>')
            svg.append(f'<text x="{x0 - 6}" y="{y(rate) + 4}" text-anchor="end" fill="#555">{rate}</text>')
        for seconds in (0, 5, 10, 15):
            svg.append(f'<text x="{x(seconds)}" y="{y0 + high + 16}" text-anchor="middle" fill="#555">'
                       f'{seconds} s</text>')
        svg.append(f'<polygon points="{x(0)},{y(0)} {steps(row["bins"])} {x(SECONDS)},{y(0)}" fill="#9ecae9" '
                   'stroke="#2171b5"/>')
        svg.append(f'<polyline points="{steps(plains[case])}" fill="none" stroke="#999" stroke-dasharray="3 2"/>')
        soft = case.endswith("soft")
        for moment, comes in zip(row["events"], (soft, not soft)):
            svg.append(f'<line x1="{x(moment)}" x2="{x(moment)}" y1="{y0}" y2="{y0 + high}" '
                       f'stroke="{COMES if comes else GOES}" stroke-width="2"/>')
    return "\n".join(svg + ["</svg>", ""])


def chosen():
    """The transfers: without a move, soft, hard."""
    cases = re.compile(ARGS.cases)
    ends = [f"{who}{kind}{family}" for kind in ("tcp", "udp") for who in ("", "server-") for family in ARGS.families]
    ends = [end for end in ends if cases.search(end)]
    plains = [Run(f"{end}-plain") for end in ends]
    return plains, [Run(f"{end}-soft") for end in ends if "tcp" in end] + [Run(f"{end}-hard") for end in ends]


def transfer():
    plains, moves = chosen()
    live = os.pipe()
    bulk = [run for run in plains + moves if "tcp" in run.kinds]
    datagrams = [run for run in plains + moves if "tcp" not in run.kinds]
    for at in range(0, len(bulk), ARGS.parallel):
        wave(bulk[at:at + ARGS.parallel], live)
    # Those ask for little: twice as many.
    for at in range(0, len(datagrams), ARGS.parallel * 2):
        wave(datagrams[at:at + ARGS.parallel * 2], live)


def report():
    """Writes the results; how many figures are not as they should be."""
    plains, moves = chosen()
    plains = {run.name.removesuffix("-plain"): run for run in plains}
    rows, base = [], {}
    for run in moves:
        plain = plains[run.name.rpartition("-")[0]]
        rows += findings(run, plain)
        base[run.name] = load(plain, run.kinds[0])["bins"]
    kinds = ("tcp", "udp", "ping")
    rows.sort(key=lambda r: (r[0].startswith("server"), kinds.index(re.sub("server-|[46]-.*", "", r[0]))))
    bad = [m for case, row in rows for m in misses(case, row)]
    for plain in plains.values():
        for kind in plain.kinds:
            bad += [f"{plain.name}: {kind}: {error}" for error in load(plain, kind)["errors"]]
    lines = table(rows)
    lines += [f"MISSED: {m}" for m in bad] or ["All bounds are met."]
    rates = [load(plain, "tcp")["received"] * 8 / SECONDS / 1e6 for plain in plains.values() if "tcp" in plain.kinds]
    if rates and min(rates) < BUSY:
        lines.append(f"Note: without any move, a transfer got {min(rates):.1f} Mb/s of the path's 10. This machine was "
                     "too slow or too busy; figures of time and rate say little.")
    suffix = "" if KERNEL == "stock" else f"-{KERNEL}"
    for name, content in (("txt", "\n".join(lines) + "\n"), ("json", json.dumps(records(rows), indent=1) + "\n"),
                          ("svg", picture(rows, base))):
        with open(f"{ARGS.report}/demo{suffix}.{name}", "w", encoding="ascii") as file:
            file.write(content)
    return len(bad)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    PARSER.add_argument("work", help="a folder for what was seen, and the agents' logs")
    PARSER.add_argument("--report", help="what was seen in work becomes results in this folder; no transfers")
    PARSER.add_argument("--families", default="46", help="4, 6, or both [46]")
    PARSER.add_argument("--cases", default="", help="regular expression: which of tcp4, udp6, server-tcp4 ...")
    PARSER.add_argument("--parallel", type=int, default=2, help="testbeds with bulk traffic at the same time [2]")
    PARSER.add_argument("--debug", action="store_true", help="the agents say more")
    ARGS = PARSER.parse_args()
    KERNEL = os.environ.get("IHMP_KERNEL", "stock")
    os.environ["LC_ALL"] = "C"
    if ARGS.report:
        WORK = ARGS.work
        sys.exit(1 if report() else 0)
    # A file outside of the guest is slow, by a clock that does not stop for it.
    with tempfile.TemporaryDirectory() as WORK:
        try:
            transfer()
        finally:
            for name in os.listdir(WORK):
                if name.endswith((".json", ".log")):
                    shutil.copy(f"{WORK}/{name}", ARGS.work)
