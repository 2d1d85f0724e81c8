# SPDX-License-Identifier: GPL-2.0
"""Two whole machines: m, which has two networks and moves, and c, with which it communicates, 120 ms away."""

import os
import shutil
import tempfile
from types import SimpleNamespace

from machine import Failed, Machine, until
from networks import Networks

FAMILIES = (4, 6)
# The round trip between the machines, ms.
RTT = 120
M, C = {"eth0": "02:00:00:00:01:01", "wifi0": "02:00:00:00:01:02"}, {"eth0": "02:00:00:00:02:01"}
CHECKOUT = "/mnt/checkout"
SETUPS = ("nm-dhcp", "nm-static", "networkd-dhcp", "networkd-static")
HERE = f"{CHECKOUT}/selftests/machines"


class Testbed:
    def __init__(self, results):
        env = os.environ
        shutil.rmtree(results, ignore_errors=True)
        os.makedirs(results)
        self.settings = SimpleNamespace(
            run=tempfile.mkdtemp(), results=os.path.realpath(results), checkout=os.getcwd(), accel=env["IHMP_ACCEL"],
            kernel=env["IHMP_IMAGE"], initrd=env["IHMP_INITRD"], disk=env["IHMP_DISK"], ko=os.path.relpath(env["IHMP_KO"]))
        self.networks = Networks(self.settings.run, self.settings.results)
        self.m, self.c = Machine("m", M, self.settings), Machine("c", C, self.settings)
        self.machines = (self.m, self.c)

    def __enter__(self):
        try:
            self.networks.build({"m-eth0": "cable", "m-wifi0": "radio", "c-eth0": "far"})
            for machine in self.machines:
                machine.start()
            for machine in self.machines:
                machine.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for machine in self.machines:
            machine.stop()
        self.networks.stop()
        shutil.rmtree(self.settings.run, ignore_errors=True)

    # --- what an administrator does

    def prepare(self):
        """Prepares both machines before ihmp is installed."""
        self.delay()
        self.keys_for_ssh()

    def delay(self):
        """Adds all of the delay between m and c at c: half of the round trip for outgoing packets, and half for incoming ones."""
        half = f"netem delay {RTT // 2}ms limit 10000"
        self.c.sh("set -e; modprobe ifb numifbs=0; ip link add ifb0 type ifb; ip link set ifb0 up; "
                  f"tc qdisc add dev eth0 root {half}; tc qdisc add dev ifb0 root {half}; tc qdisc add dev eth0 clsact; "
                  "tc filter add dev eth0 ingress matchall action mirred egress redirect dev ifb0")

    def keys_for_ssh(self):
        self.m.sh("mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519 && "
                  "printf 'StrictHostKeyChecking no\\nLogLevel ERROR\\n' >~/.ssh/config")
        self.c.sh(f"mkdir -p -m 700 ~/.ssh && echo '{self.m.sh('cat ~/.ssh/id_ed25519.pub')}' >~/.ssh/authorized_keys")

    def install(self):
        """Installs the module, the tools and the agent on both machines, as README.md says."""
        for machine in self.machines:
            machine.sh(f"set -e; cd {CHECKOUT}; install -D -m 644 {self.settings.ko} /lib/modules/$(uname -r)/extra/ihmp.ko; depmod; "
                       "install -m 755 build/bin/ihmpctl build/bin/ihmpd /usr/local/sbin/; "
                       "install -m 644 ctl/ihmpd/ihmpd.service /etc/systemd/system/ihmpd.service; systemctl daemon-reload")

    def take_part(self):
        """Starts the agents on both machines."""
        for machine in self.machines:
            machine.sh("systemctl enable --now ihmpd")

    def stay_out(self):
        """Stops the agents and removes all that ihmp has left on both machines."""
        for machine in self.machines:
            machine.sh("systemctl disable --now ihmpd; ihmpd --flush && rmmod ihmp")

    def manage(self, setup):
        """Has this manager run the networks of m, in this way. Both are up afterwards, and eth0 is preferred."""
        manager = {"nm": "NetworkManager", "networkd": "systemd-networkd"}[setup.partition("-")[0]]
        self.m.sh("systemctl disable --now NetworkManager systemd-networkd.socket systemd-networkd; "
                  "rm -rf /etc/NetworkManager/system-connections/* /etc/NetworkManager/conf.d/ignore-carrier.conf "
                  "/etc/systemd/network/*.network /run/systemd/netif /var/lib/NetworkManager/*lease; "
                  "for dev in eth0 wifi0; do ip addr flush dev $dev; ip link set $dev down; ip link set $dev up; done")
        if manager == "NetworkManager":
            self.m.sh(f"install -m 600 {HERE}/etc/{setup}/*.nmconnection /etc/NetworkManager/system-connections/")
            if setup == "nm-static":
                self.m.sh(f"cp {HERE}/etc/{setup}/ignore-carrier.conf /etc/NetworkManager/conf.d/")
        else:
            self.m.sh(f"cp {HERE}/etc/{setup}/*.network /etc/systemd/network/")
        self.m.sh(f"systemctl enable --now {manager}")
        self.settle()

    def urgent(self, yes):
        for machine in self.machines:
            machine.urgent(yes)

    # --- queries

    def far(self, family):
        """Returns the address of c."""
        return self.address(self.c, "eth0", family)

    def address(self, machine, device, family):
        """Returns the address of the device, or None."""
        links = machine.json(f"ip -j -{family} addr show dev {device} scope global -tentative")
        found = [a["local"] for link in links for a in link.get("addr_info", [])
                 if "local" in a and not a.get("deprecated")]
        return found[0] if found else None

    def settle(self):
        """Waits until m routes to c by eth0, with an address there, and also has an address on wifi0."""
        def settled():
            for family in FAMILIES:
                route = self.m.json(f"ip -j -{family} route get {self.far(family)} || true")
                if not route or route[0]["dev"] != "eth0" or not self.address(self.m, "wifi0", family):
                    return False
            return True
        for family in FAMILIES:
            until(lambda: self.far(family), 60, f"c has no address of IPv{family}", 1)
        until(settled, 60, "m does not prefer eth0", 0.5)

    def meet(self):
        """Waits until both machines know each other by both families, as one host or as two."""
        def met():
            for machine in self.machines:
                hosts = machine.json("ihmpctl -j host")
                known = {6 if ":" in a["address"] else 4 for host in hosts if host["state"] == "up"
                         for a in host["addr"] if a["set"] == "active"}
                if known != {4, 6} or not hosts:
                    return False
            return True
        try:
            until(met, 60, "the machines do not know each other")
        except Failed as problem:
            states = [f"{machine.name}:\n" + machine.sh("ihmpctl host; journalctl -u ihmpd -n 20 -o short-precise --no-pager", check=False)
                      for machine in self.machines]
            raise Failed("\n".join([str(problem), *states])) from problem

    def keep_logs(self):
        for machine in self.machines:
            machine.sh(f"journalctl -b -o short-precise --no-pager >/mnt/results/journal-{machine.name}.txt")
