"""
A QEMU guest, emulated (TCG), so that it runs where there is no KVM: a Debian kernel with its own virtio-net driver on
vhost-user sockets. Its root is an initramfs of busybox and a few modules; its serial console runs commands.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig import initramfs, wait
from rig.process import Process

KERNEL = Path("/var/cache/sluice/guest-kernel")  # tools/setup puts it there
MODULES = ("failover", "net_failover", "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev",
           "virtio_pci", "virtio_net")
BOOT_S = 120

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko; done
ip link set lo up
{script}
stty -echo -onlcr
echo guest-is-up
while :; do read -r line && eval "$line"; done
"""


def require():
    """Skips the test, with the reason, where a guest cannot run."""
    for program in ("qemu-system-x86_64", "cpio", "busybox"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, which is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, TAP interfaces")
    if not (KERNEL / "vmlinuz").exists():
        pytest.skip(f"needs a guest kernel in {KERNEL}, which tools/setup fetches")


@dataclass
class Nic:
    """An interface on a vhost-user socket, which QEMU makes itself (`server`) or connects to again and again."""
    socket: Path
    mac: str
    server: bool = False
    packed: bool = False

    def arguments(self, i):
        role = "server=on" if self.server else "reconnect=1"
        packed = "on" if self.packed else "off"
        return ["-chardev", f"socket,id=char{i},path={self.socket},{role}",
                "-netdev", f"vhost-user,id=net{i},chardev=char{i}",
                "-device", f"virtio-net-pci,netdev=net{i},mac={self.mac},packed={packed},vectors=0,romfile="]


def machine(nics):
    """A small machine with eth0, eth1, ... on the `nics`."""
    return ["qemu-system-x86_64", "-nodefaults", "-machine", "q35,accel=tcg", "-m", "128M",
            "-object", "memory-backend-memfd,id=mem,size=128M,share=on", "-numa", "node,memdev=mem",
            *(argument for i, nic in enumerate(nics) for argument in nic.arguments(i))]


class Guest(Process):
    """
    Boots what `machine` begins to say, a command line, with `addresses` (and their prefixes) on eth0, eth1, ... and
    `files`, {path inside: file}; ready() waits until it runs commands.
    """

    def __init__(self, machine, addresses, files=None):
        self.dir = Path(tempfile.mkdtemp(prefix="sluice-qemu-"))
        self._words = open(self.dir / "qemu.log", "w")  # what qemu itself says
        self._serial = itertools.count()
        script = "".join(f"ip addr add {address} dev eth{i}; ip link set eth{i} up\n" for i, address in enumerate(addresses))
        initramfs.build(self.dir / "initramfs", INIT.format(modules=" ".join(MODULES), script=script),
                        [KERNEL / f"{name}.ko" for name in MODULES], files)
        super().__init__([
            *machine, "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", KERNEL / "vmlinuz", "-initrd", self.dir / "initramfs",
            "-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check tsc=reliable"],
            stdin=subprocess.PIPE, stderr=self._words)

    def ready(self):
        wait.until(lambda: "guest-is-up" in self.output() or self._check(), "the guest boots", BOOT_S)

    def _check(self):
        assert self.running(), f"qemu ended:\n{self.words()}\n{self.output()}"

    def words(self):
        return (self.dir / "qemu.log").read_text(errors="replace")

    def run(self, command, timeout_s=None):
        """Runs a shell command inside; returns what it wrote."""
        mark, start = f"--{next(self._serial)}--\n", len(self.output())
        self.stdin.write(f"{command}\necho {mark}".encode())
        self.stdin.flush()
        wait.until(lambda: mark in self.output() or self._check(), f"the guest runs {command}", timeout_s)
        return self.output()[start:].partition(mark)[0]

    def close(self):
        self.kill()
        print(f"--- qemu ---\n{self.words()}\n--- guest ---\n{self.output()[-4000:]}")
        self._words.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
