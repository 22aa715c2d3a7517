"""containerd and Podman of a test's own, whose networks are made by sluice-cni: nothing of them stays, nor is seen outside."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from rig import folder, wait
from rig.daemon import program
from rig.process import Process, run

APPLETS = ("sh", "ping", "sleep", "ip", "nslookup", "httpd", "wget", "cat", "true")


class Runtime:
    """A folder with a root file system of busybox, the plugin, and the configuration of one network."""

    needs = ()

    def __init__(self, daemon, network):
        if os.geteuid() != 0:
            pytest.skip("needs root: containers")
        for name in (*self.needs, "busybox", "runc"):
            if not shutil.which(name):
                pytest.skip(f"needs {name}, which is not installed (tools/setup --interop)")
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-cni-{os.getpid()}-"))
        self.daemon, self.network = daemon, network
        for part in ("root/bin", "net.d", "bin"):
            (self.dir / part).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), self.dir / "root/bin/busybox")
        for name in APPLETS:
            (self.dir / "root/bin" / name).symlink_to("busybox")
        (self.dir / "bin/sluice-cni").symlink_to(program("sluice-cni"))
        (self.dir / "net.d/10-sluice.conflist").write_text(daemon.ctl("network", "conflist", network).stdout)

    def close(self):
        folder.clear(self.dir, "the runtime")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def reaches(self, name, target):
        return self.exec(name, "/bin/ping", "-c", "1", "-W", "1", target, check=False).returncode == 0


class Containerd(Runtime):
    """containerd; ctr calls the plugin, in a mount namespace that has this network's configuration where it looks for one."""

    needs = ("containerd", "ctr", "unshare")
    SEE = """
set -e
mount --make-rprivate /
mkdir -p /etc/cni /var/lib/cni
for folder in /etc/cni /var/lib/cni /opt /usr/lib/cni; do [ ! -d $folder ] || mount -t tmpfs none $folder; done
mkdir -p /etc/cni/net.d /opt/cni/bin
mount --bind "$0/net.d" /etc/cni/net.d
for folder in /opt/cni/bin /usr/lib/cni; do [ ! -d $folder ] || mount --bind "$0/bin" $folder; done
exec "$@"
"""

    def __init__(self, daemon, network):
        super().__init__(daemon, network)
        self.containers = {}
        config = self.dir / "config.toml"
        config.write_text(f'version = 2\nroot = "{self.dir}/data"\nstate = "{self.dir}/state"\n'
                          'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                          f'[grpc]\n  address = "{self.dir}/c.sock"\n[ttrpc]\n  address = "{self.dir}/t.sock"\n')
        self.process = Process(["containerd", "-c", config])
        try:
            wait.until(self._answers, "containerd answers", timeout_s=60)
        except BaseException:
            self.close()
            raise

    def _answers(self):
        if not self.process.running():
            pytest.skip(f"containerd does not run here: {self.process.output().splitlines()[-1:]}")
        return self.ctr("version", check=False).returncode == 0

    def argv(self, *words):
        return ["ctr", "--address", f"{self.dir}/c.sock", *words]

    def ctr(self, *words, check=True):
        return run(self.argv(*words), check=check, timeout_s=120)

    def run(self, name):
        """Starts a container that does nothing; ctr stays, for it is ctr that calls the plugin when it ends."""
        self.containers[name] = Process(
            ["unshare", "--mount", "bash", "-c", self.SEE, self.dir,
             *self.argv("run", "--rm", "--rootfs", "--cni", str(self.dir / "root"), name, "/bin/sleep", "10000")])
        wait.until(lambda: self._runs(name), f"container {name} runs", timeout_s=60)

    def _runs(self, name):
        assert self.containers[name].running(), self.containers[name].output()
        # ctr starts it when its network is there
        return f"{name} " in self.ctr("task", "ls").stdout and self.exec(name, "/bin/true", check=False).returncode == 0

    def exec(self, name, *words, check=True):
        return self.ctr("task", "exec", "--exec-id", f"e{os.urandom(6).hex()}", name, *words, check=check)

    def kill(self, name):
        self.ctr("task", "kill", "-s", "SIGKILL", name, check=False)
        self.containers.pop(name).wait(wait.PATIENCE_S)

    def close(self):
        try:
            for name in list(self.containers):
                self.kill(name)
        finally:
            for process in (*self.containers.values(), self.process):
                process.stop()
            super().close()


class Podman(Runtime):
    """Podman with CNI as its network backend, with an image of busybox called "box"."""

    needs = ("podman", "conmon", "tar")

    def __init__(self, daemon, network):
        super().__init__(daemon, network)
        # limits as low as anywhere: where Podman may not raise them, its own are refused
        (self.dir / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            f'[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "{self.dir}/net.d"\n'
            f'cni_plugin_dirs = ["{self.dir}/bin"]\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nevents_logger = "file"\n')
        try:
            self._try()
        except BaseException:
            self.close()
            raise

    def _try(self):
        run(["tar", "-C", self.dir / "root", "-cf", self.dir / "box.tar", "."])
        done = self.cli("import", self.dir / "box.tar", "box", check=False)
        if done.returncode != 0:
            pytest.skip(f"podman does not run here: {done.stderr.splitlines()[-1:]}")
        done = self.cli("run", "--rm", "--network", "none", "box", "/bin/true", check=False)
        if done.returncode != 0:
            pytest.skip(f"podman runs no containers here: {done.stderr.splitlines()[-1:]}")

    def cli(self, *words, check=True):
        return run(["env", f"CONTAINERS_CONF={self.dir}/containers.conf", "podman", "--root", self.dir / "data", "--runroot",
                    self.dir / "run", "--tmpdir", self.dir / "tmp", "--storage-driver", "vfs", *words], check=check,
                   timeout_s=120)

    def run(self, name, *options, network=None):
        self.cli("run", "--detach", "--name", name, "--network", network or self.network, *options, "box", "/bin/sleep",
                 "10000")

    def exec(self, name, *words, check=True):
        return self.cli("exec", name, *words, check=check)

    def inspect(self, name):
        return json.loads(self.cli("inspect", name).stdout)[0]

    def remove(self, name):
        self.cli("rm", "--force", "--time", "0", name)

    def close(self):
        try:
            self.cli("rm", "--force", "--all", "--time", "0", check=False)
        finally:
            super().close()
