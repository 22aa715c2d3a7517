"""A Docker of the test's own: its data, sockets and processes are its alone, and nothing of it stays."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig import folder, wait
from rig.process import Process, run

APPLETS = ("sh", "ping", "sleep", "ip", "nslookup", "httpd", "wget", "cat", "nc", "true")
# Without a bridge and rules of its own: nothing of the host's network changes.
NO_RULES = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")
IMAGE = "box"


class Dockerd:
    """dockerd, with an image of busybox called IMAGE."""

    def __init__(self, ns=None, rules=False):
        if os.geteuid() != 0:
            pytest.skip("needs root: containers")
        for name in ("dockerd", "docker", "busybox", *(("iptables",) if rules else ())):
            if not shutil.which(name):
                pytest.skip(f"needs {name}, which is not installed (tools/setup --interop)")
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-docker-{os.getpid()}-"))
        self.socket = self.dir / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.ns = ns  # the namespace that it runs in, None: the host's
        self.flags = () if rules else NO_RULES
        self.process = None
        try:
            self.start()
            self._import()
        except BaseException:
            self.close()
            raise

    def argv(self):
        argv = ["dockerd", "--storage-driver", "vfs", *self.flags, "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--host", self.host,
                "--pidfile", self.dir / "docker.pid"]
        return self.ns.argv(*argv) if self.ns else argv

    def start(self):
        """Returns when it answers. May be called again after kill() or stop()."""
        self.process = Process(self.argv())
        wait.until(self._answers, "dockerd answers", timeout_s=60)

    def _answers(self):
        if not self.process.running():
            pytest.skip(f"dockerd does not run here: {self.process.output().splitlines()[-1:]}")
        return self.cli("version", check=False).returncode == 0

    def _import(self):
        box = self.dir / "box"
        (box / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), box / "bin/busybox")
        for name in APPLETS:
            (box / "bin" / name).symlink_to("busybox")
        run(["tar", "-C", box, "-cf", self.dir / "box.tar", "."])
        self.cli("import", self.dir / "box.tar", IMAGE)

    def cli(self, *words, check=True):
        """Runs docker; returns the finished process."""
        return run(["docker", "--host", self.host, *words], check=check, timeout_s=120)

    def out(self, *words):
        return self.cli(*words).stdout.strip()

    def refused(self, *words):
        """Runs docker, which must fail; returns what it says."""
        done = self.cli(*words, check=False)
        assert done.returncode != 0, f"docker {words} was not refused: {done.stdout}"
        return done.stdout + done.stderr

    def inspect(self, kind, name):
        return json.loads(self.out(kind, "inspect", name))[0]

    def run(self, name, network, *options):
        """Starts a container that does nothing; returns its address in the network."""
        self.start_container(name, network, *options)
        return self.address(name, network)

    def start_container(self, name, network, *options, command=("sleep", "10000")):
        """In the background. What is process 1 does not end at SIGTERM, and would be waited for, 10 s at each end of Docker."""
        self.cli("run", "--detach", "--name", name, "--network", network, "--stop-signal", "KILL", *options, IMAGE, *command)

    def address(self, name, network):
        return self.inspect("container", name)["NetworkSettings"]["Networks"][network]["IPAddress"]

    def exec(self, name, *words, check=True):
        return self.cli("exec", name, *words, check=check)

    @contextmanager
    def pipe(self, name, *words):
        """A program in a container: a function that tells it a line, and returns the line that it answers."""
        process = subprocess.Popen(["docker", "--host", self.host, "exec", "--interactive", name, *words], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def tell(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], wait.PATIENCE_S)
            assert ready, f"{words} does not answer {line}"
            return process.stdout.readline().rstrip("\n")

        try:
            yield tell
        finally:
            process.kill()
            process.communicate()

    def reaches(self, name, target):
        return self.exec(name, "ping", "-c", "1", "-W", "1", target, check=False).returncode == 0

    def wait_reaches(self, name, target):
        wait.until(lambda: self.reaches(name, target), f"{name} reaches {target}")

    def namespaces(self):
        """Of containers, those that are held; of those that are gone Docker leaves an empty file for a while."""
        return folder.mounts_in(self.dir / "exec/netns")

    def clear(self):
        """Containers and networks go."""
        for kind, listed, remove in (("container", ("ls", "--all"), ("rm", "--force")),
                                     ("network", ("ls", "--filter", "type=custom"), ("rm",))):
            if names := self.out(kind, *listed, "--quiet").split():
                self.cli(kind, *remove, *names)

    def stop(self):
        self.process.stop(signal.SIGTERM, wait.PATIENCE_S)

    def kill(self):
        """SIGKILL, of dockerd alone: containers run on. Its containerd ends with it."""
        containerd = self.dir / "exec/containerd/containerd.pid"
        pid = int(containerd.read_text())
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(wait.PATIENCE_S)
        wait.until(lambda: pid not in folder.processes_of(self.dir), "containerd ends")
        # where nobody collects orphans the next dockerd would take it for one that runs
        containerd.unlink(missing_ok=True)

    def close(self):
        try:
            if self.process:
                self.stop()
                print(f"--- dockerd ---\n{self.process.output()}")
        finally:
            folder.clear(self.dir, "Docker")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
