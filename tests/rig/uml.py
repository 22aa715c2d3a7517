"""
A User-Mode Linux guest: a whole Linux kernel with its own virtio-net driver over vhost-user, without KVM. Its root
is an initramfs of busybox and the package's modules; its console is the process's output.
"""

import gzip
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from rig.process import Process

MODULES = ("net/core/failover.ko", "drivers/net/net_failover.ko", "drivers/net/virtio_net.ko", "lib/crc-ccitt.ko",
           "net/ipv6/ipv6.ko")
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


def _initramfs(path, init, files):
    """A cpio archive in the form that the kernel takes, gzipped, with `files` besides: {path inside: file}."""
    root = Path(tempfile.mkdtemp(prefix="sluice-uml-root-"))
    try:
        (root / "bin").mkdir()
        (root / "modules").mkdir()
        shutil.copy("/usr/bin/busybox" if Path("/usr/bin/busybox").exists() else "/bin/busybox", root / "bin/busybox")
        for name in MODULES:
            module = next(Path("/usr/lib/uml/modules").glob(f"*/kernel/{name}"))
            shutil.copy(module, root / "modules" / module.name)
        for inside, file in files.items():
            (root / inside.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / inside.lstrip("/"))
        (root / "init").write_text(init)
        (root / "init").chmod(0o755)
        names = "\n".join(str(entry.relative_to(root)) for entry in sorted(root.rglob("*")))
        archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                                 capture_output=True, check=True).stdout
        path.write_bytes(gzip.compress(archive, 1))
    finally:
        shutil.rmtree(root)


class Guest(Process):
    """
    Boots with eth0 on the vhost-user socket, has `address` (with its prefix) and `files`, {path inside: file}, then
    runs the shell `script`.
    """

    def __init__(self, socket, address, script="", mtu=1500, files=None):
        self.dir = Path(tempfile.mkdtemp(prefix="sluice-uml-"))
        init = INIT.replace("{script}", SET_UP.format(address=address, mtu=mtu) + script)
        _initramfs(self.dir / "initramfs", init, files or {})
        super().__init__([
            "linux.uml", "mem=96M", f"initrd={self.dir}/initramfs", "rdinit=/init", "con=null", "con0=null,fd:1",
            "con1=null", f"uml_dir={self.dir}", f"virtio_uml.device={socket}:1", "quiet", "panic=1"])

    def says(self, text):
        return text in self.output()

    def close(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
