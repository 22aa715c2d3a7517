"""The folder of a container runtime that is a test's own: who runs from it, what is mounted in it, and its end."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from rig import wait


def processes_of(folder):
    """Pids of containerd, its shims and others that name a file in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid() and \
                    f"{folder}/" in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except OSError:
            pass  # it has ended
    return found


def mounts_in(folder):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [where for where in (line.split()[4] for line in lines) if where.startswith(f"{folder}/")]


def clear(folder, whose):
    """Whatever still runs is killed and waited for, mounts go, and the folder."""
    def none_left():
        left = processes_of(folder)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left

    wait.until(none_left, f"{whose}'s processes end")
    for where in reversed(mounts_in(folder)):
        subprocess.run(["umount", "--lazy", where], check=False)
    shutil.rmtree(folder, ignore_errors=True)
