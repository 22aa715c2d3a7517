"""
A User-Mode Linux guest: a whole Linux kernel with its own virtio-net driver over vhost-user, without KVM. Its root
is an initramfs of busybox and the package's modules; its console is the process's output.
"""

import shutil
import signal
import tempfile
from pathlib import Path

from rig import initramfs
from rig.daemon import BUILD
from rig.process import Process

MODULES = ("net/core/failover.ko", "drivers/net/net_failover.ko", "drivers/net/virtio_net.ko", "lib/crc-ccitt.ko",
           "net/ipv6/ipv6.ko")
BOOTS = 4
MASK = ["mq"]  # its driver does not come up with it

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in crc-ccitt ipv6 failover net_failover virtio_net; do insmod /modules/$module.ko; done
{script}
echo guest-script-done
while :; do sleep 1000; done
"""

SET_UP = """
ip link set lo up
ip link set eth0 mtu {mtu} up
ip addr add {address} dev eth0
echo guest-is-up
"""


def _module(name):
    return next(Path("/usr/lib/uml/modules").glob(f"*/kernel/{name}"))


class Guest(Process):
    """
    Boots with eth0 on the vhost-user socket, has `address` (with its prefix) and `files`, {path inside: file}, then
    runs the shell `script`.
    """

    def __init__(self, socket, address, script="", mtu=1500, files=None):
        self.dir = Path(tempfile.mkdtemp(prefix="sluice-uml-"))
        init = INIT.replace("{script}", SET_UP.format(address=address, mtu=mtu) + script)
        initramfs.build(self.dir / "initramfs", init, [_module(name) for name in MODULES], files)
        self.socket, self.failed_boots = socket, []
        self.command = [
            "env", f"LD_PRELOAD={BUILD}/tests/uml/xstate.so", "linux.uml", "mem=96M", f"initrd={self.dir}/initramfs",
            "rdinit=/init", "con=null", "con0=null,fd:1", "con1=null", f"uml_dir={self.dir}", f"virtio_uml.device={socket}:1", "quiet", "panic=1"]
        super().__init__(self.command)

    def says(self, text):
        """Has it said that? A guest that died before it was up is booted again: now and then its kernel cannot fork."""
        if not self.running() and "guest-is-up" not in self.output() and len(self.failed_boots) < BOOTS:
            self.failed_boots.append(self.output())
            self.stop(signal.SIGKILL)
            super().__init__(self.command)
        return text in self.output()

    def close(self):
        alive = self.running()
        self.stop(signal.SIGKILL)
        # shown when a test fails
        print(f"--- guest on {self.socket}{'' if alive else ', which had ended'} ---\n{self.output()}", *self.failed_boots)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
