"""FRR's BFD daemon as another host speaks it (Debian: frr): zebra and bfdd in a namespace, with files of their own."""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

from rig import wait
from rig.process import run

FOLDER = Path("/usr/lib/frr")


def missing():
    """Why it cannot run here, None: it can."""
    absent = [name for name in ("zebra", "bfdd") if not (FOLDER / name).is_file()]
    absent += [] if shutil.which("vtysh") else ["vtysh"]
    return f"needs FRR's {', '.join(absent)} (Debian: frr)" if absent else None


class Bfdd:
    """A session with `peer` over `device` of the namespace; interval_ms and multiplier as FRR's configuration has them."""

    def __init__(self, ns, peer, device, interval_ms=100, multiplier=20):
        self.ns, self.peer, self.device = ns, peer, device
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-frr-{os.getpid()}-"))
        self.processes = []
        (self.dir / "bfdd.conf").write_text(
            f"bfd\n peer {peer} interface {device}\n  receive-interval {interval_ms}\n  transmit-interval {interval_ms}\n"
            f"  detect-multiplier {multiplier}\n !\n!\n")
        for path in (self.dir, self.dir / "bfdd.conf"):
            shutil.chown(path, "frr", "frrvty")
        self.dir.chmod(0o755)

    def start(self):
        """Returns when it answers; may be called again after kill() or stop()."""
        common = ["-z", self.dir / "zserv", "--vty_socket", self.dir, "-P", "0"]
        self.processes = [self.ns.start(FOLDER / "zebra", "-f", "/dev/null", "-i", self.dir / "zebra.pid", *common)]
        wait.until(lambda: (self.dir / "zserv").exists(), "zebra listens")
        self.processes.append(self.ns.start(FOLDER / "bfdd", "-f", self.dir / "bfdd.conf", "-i", self.dir / "bfdd.pid",
                                            "--bfdctl", self.dir / "bfdd.sock", *common))
        wait.until(lambda: self.session() is not None, "bfdd has its session")

    def vtysh(self, *lines, check=True):
        return run(["vtysh", "--vty_socket", self.dir, *(word for line in lines for word in ("-c", line))], check=check)

    def session(self):
        """What it says of the session, None: nothing yet."""
        try:
            return next(iter(json.loads(self.vtysh("show bfd peers json", check=False).stdout)), None)
        except ValueError:
            return None

    def set(self, *settings):
        """Changes the session while it is there."""
        self.vtysh("configure terminal", "bfd", f"peer {self.peer} interface {self.device}", *settings)

    def _end(self, how):
        for process in reversed(self.processes):
            how(process)
        self.processes = []
        for name in ("zserv", "bfdd.sock", "bfdd.vty", "zebra.vty"):
            (self.dir / name).unlink(missing_ok=True)

    def kill(self):
        self._end(lambda process: process.kill())

    def stop(self):
        self._end(lambda process: process.stop(signal.SIGTERM, wait.PATIENCE_S))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
