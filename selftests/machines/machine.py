# SPDX-License-Identifier: GPL-2.0
"""A whole machine: a QEMU process, its monitor, and commands by its guest agent, which needs no network."""

import base64
import json
import os
import shlex
import socket
import subprocess
import time


class Failed(Exception):
    """A command of the host or of a machine has failed, or something did not happen in time."""


def until(condition, seconds, complaint, step=0.5):
    """Waits until condition() is true and returns its result. Raises Failed with the complaint after so many seconds."""
    end, pause = time.monotonic() + seconds, step / 4
    while not (found := condition()):
        if time.monotonic() > end:
            raise Failed(f"{complaint} (waited {seconds} s)")
        pause = min(step, pause * 2)
        time.sleep(pause)
    return found


class Line:
    """A socket on which each line is a JSON object."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.rest = b""

    def send(self, message, lead=b""):
        self.sock.sendall(lead + json.dumps(message).encode() + b"\n")

    def receive(self, seconds):
        self.sock.settimeout(seconds)
        while b"\n" not in self.rest:
            part = self.sock.recv(1 << 16)
            if not part:
                raise Failed("QEMU closed its socket")
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        # The agent marks the beginning of a new conversation with this octet.
        return json.loads(line.lstrip(b"\xff"))


class Machine:
    """A machine with these devices (name: link address). The tap of a device is called MACHINE-DEVICE."""

    def __init__(self, name, devices, settings):
        self.name = name
        self.devices = devices
        self.settings = settings
        self.console = f"{settings.results}/console-{name}.txt"
        self.process = self.monitor = self.agent = None

    def start(self):
        """Switches the machine on."""
        run = self.settings.run
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *(("-accel", "kvm", "-cpu", "host") if self.settings.accel == "kvm" else
              ("-accel", "tcg,thread=multi", "-cpu", "max,erms=off,fsrm=off")),
            "-name", self.name, "-m", "768M", "-kernel", self.settings.kernel, "-initrd", self.settings.initrd,
            "-append", f"console=ttyS0 no_timer_check mitigations=off net.ifnames=0 panic=-1 oops=panic ihmp.name={self.name} "
                       f"systemd.machine_id={self.name.encode().hex():0>32} systemd.show_status=0",
            "-drive", f"file={self.settings.disk},format=raw,if=virtio,snapshot=on,cache=unsafe",
            "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,path={run}/{self.name}.agent,server=on,wait=off",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-qmp", f"unix:{run}/{self.name}.monitor,server=on,wait=off", "-device", "virtio-rng-pci",
            "-fsdev", f"local,id=checkout,path={self.settings.checkout},security_model=none,readonly=on",
            "-device", "virtio-9p-pci,fsdev=checkout,mount_tag=checkout",
            "-fsdev", f"local,id=results,path={self.settings.results},security_model=none",
            "-device", "virtio-9p-pci,fsdev=results,mount_tag=results",
        ]
        for device, mac in self.devices.items():
            command += ["-netdev", f"tap,id=tap-{device},ifname={self.name}-{device},script=no,downscript=no",
                        "-device", f"virtio-net-pci,id={device},netdev=tap-{device},mac={mac}"]
        with open(f"{self.settings.results}/qemu-{self.name}.txt", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self, seconds=300):
        """Waits until the machine is up, and mounts the checkout and the results in it."""
        path = f"{self.settings.run}/{self.name}"
        until(lambda: self.alive() and os.path.exists(f"{path}.agent"), 30, f"{self.name}: QEMU does not start")
        self.monitor = Line(f"{path}.monitor")
        self.monitor.receive(10)
        self.monitor_do("qmp_capabilities")
        self.agent = Line(f"{path}.agent")
        until(self.answers, seconds, f"{self.name}: its agent does not answer; see {self.console}")
        for what in ("checkout", "results"):
            # The kernel may find these devices only after the agent has started.
            self.until(f"modprobe 9pnet_virtio && grep -qsa {what} /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag", seconds,
                       f"there is no {what}")
            self.sh(f"mkdir -p /mnt/{what} && mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 {what} /mnt/{what}")
        until(lambda: self.sh("systemctl is-system-running", check=False) in ("running", "degraded"), seconds,
              f"{self.name}: systemd does not get up; see {self.console}", 1)

    def alive(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name}: QEMU ended: see {self.settings.results}/qemu-{self.name}.txt and {self.console}")
        return True

    def answers(self):
        """Has the guest agent begun to listen? It may first answer an older question, so a number identifies the right answer."""
        self.alive()
        number = time.monotonic_ns() & 0x7fffffff
        try:
            self.agent.send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, b"\xff")
            while self.agent.receive(2).get("return") != number:
                pass
        except TimeoutError:
            return False
        return True

    def monitor_do(self, command, **arguments):
        """Runs one command of QEMU's monitor."""
        self.monitor.send({"execute": command, "arguments": arguments})
        while True:
            answer = self.monitor.receive(30)
            if "error" in answer:
                raise Failed(f"{self.name}: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def cable(self, device, plugged):
        """Pulls the cable of this device, or plugs it in."""
        self.monitor_do("set_link", name=device, up=plugged)

    def ask(self, command, **arguments):
        """Runs one command of the guest agent."""
        self.agent.send({"execute": command, "arguments": arguments})
        answer = self.agent.receive(120)
        if "error" in answer:
            raise Failed(f"{self.name}: {command}: {answer['error']['desc']}")
        return answer["return"]

    def sh(self, script, seconds=120, check=True):
        """Runs a bash script in the machine as root, and returns its output. Raises Failed if its status is not 0."""
        self.alive()
        pid = self.ask("guest-exec", path="/bin/bash", arg=["-c", script], **{"capture-output": True})["pid"]
        done = until(lambda: (s := self.ask("guest-exec-status", pid=pid))["exited"] and s, seconds,
                     f"{self.name}: no end of: {script}")
        out, error = (base64.b64decode(done.get(key, "")).decode(errors="replace") for key in ("out-data", "err-data"))
        if check and done.get("exitcode") != 0:
            raise Failed(f"{self.name}: status {done.get('exitcode', done.get('signal'))} of: {script}\n{out}{error}".rstrip())
        return out.strip()

    def until(self, script, seconds, complaint):
        """Waits until a script ends with status 0."""
        until(lambda: self.sh(f"if {{ {script} ; }} >/dev/null 2>&1; then echo yes; fi"), seconds, f"{self.name}: {complaint}")

    def fetch(self, name):
        """Returns the JSON object in this file of /run."""
        return self.json(f"cat /run/{name}")

    def spawn(self, unit, script):
        """Runs a script in the background, as a systemd unit of this name."""
        self.sh(f"systemd-run --quiet --collect --unit={unit} --property=KillSignal=SIGTERM bash -c {shlex.quote(script)}")

    def json(self, script):
        return json.loads(self.sh(script) or "null")

    def clock(self):
        """Returns the machine's own time, in seconds since 1970."""
        return self.ask("guest-get-time") / 1e9

    def urgent(self, yes):
        """Gives this machine priority over other work of the host while figures are measured, where that is allowed."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                os.sched_setscheduler(int(thread), os.SCHED_RR if yes else os.SCHED_OTHER, os.sched_param(1 if yes else 0))
            except (PermissionError, ProcessLookupError):
                pass

    def stop(self):
        """Switches the machine off, as if its power failed."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
