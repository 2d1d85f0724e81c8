# SPDX-License-Identifier: GPL-2.0
"""The networks between the machines: bridges in this network namespace, which routes between them. dnsmasq gives out addresses.

  cable  192.0.2.0/24     2001:db8:1::/64     m eth0
  radio  198.51.100.0/24  2001:db8:2::/64     m wifi0
  far    203.0.113.0/24   2001:db8:3::/64     c eth0

The router has number 1 in each network. DHCP gives out IPv4 addresses from number 100 on; IPv6 addresses come from router advertisements.
The namespace is not connected to the outside.
"""

import os
import subprocess

from machine import Failed, until

NETWORKS = {"cable": ("192.0.2.", "2001:db8:1::"), "radio": ("198.51.100.", "2001:db8:2::"), "far": ("203.0.113.", "2001:db8:3::")}
LEASE = "10m"


def tool(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Networks:
    def __init__(self, run, results):
        self.run = run
        self.results = results
        self.server = None

    def build(self, taps):
        """Makes the bridges, and the taps on them (name of the tap: name of its network)."""
        tool("ip", "link", "set", "lo", "up")
        for name, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv6/conf/default/accept_dad", 0)):
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
        for name, (four, six) in NETWORKS.items():
            tool("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
            tool("ip", "link", "set", name, "up")
            tool("ip", "addr", "add", f"{four}1/24", "dev", name)
            tool("ip", "addr", "add", f"{six}1/64", "dev", name, "nodad")
        for tap, network in taps.items():
            tool("ip", "tuntap", "add", tap, "mode", "tap")
            tool("ip", "link", "set", tap, "master", network, "up")
        self.serve()

    def serve(self):
        """Starts DHCP and router advertisements."""
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0", "--user=root",
                   f"--pid-file={self.run}/dnsmasq.pid", f"--dhcp-leasefile={self.run}/leases", "--dhcp-authoritative",
                   "--enable-ra", "--log-dhcp"]
        for name, (four, six) in NETWORKS.items():
            command += [f"--interface={name}", f"--dhcp-range={four}100,{four}199,{LEASE}", f"--dhcp-range={six},ra-only,64",
                        f"--ra-param={name},10,60"]
        with open(f"{self.results}/dnsmasq.txt", "w", encoding="utf-8") as log:
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: os.path.exists(f"{self.run}/dnsmasq.pid") or self.server.poll() is not None, 10, "dnsmasq does not start")
        if self.server.poll() is not None:
            raise Failed(f"dnsmasq ended: see {self.results}/dnsmasq.txt")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            self.server.wait()
