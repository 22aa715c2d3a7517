"""Disks that are full, and disks that fail."""

import os
from pathlib import Path

import pytest

from rig import wait
from rig.daemon import BUILD, program
from rig.process import Process, run


class SmallDisk:
    """
    A tmpfs of `kilobytes` at `path`, seen only in a mount namespace of its own, which goes with its process: nothing
    of it is ever left on the host. A daemon's `ns`; `path` here is where the host sees it.
    """

    def __init__(self, path, kilobytes=256):
        path.mkdir(parents=True, exist_ok=True)
        self._holder = Process(["unshare", "--mount", "sh", "-c",
                                f"mount -t tmpfs -o size={kilobytes}k none {path} && touch {path}/.there && exec sleep 900"])
        self.path = Path(f"/proc/{self._holder.pid}/root{path}")
        wait.until(lambda: (self.path / ".there").exists(), "the small disk is mounted")
        self._filler = self.path / "filler"

    def argv(self, *command):
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *command]

    def fill(self):
        """Takes all the room that is left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def empty(self):
        self._filler.unlink()

    def close(self):
        self._holder.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FailingDisk:
    """Lets calls of a daemon that concern its state directory fail; a daemon's `ns`."""

    def __init__(self, state, control):
        library = BUILD / "tests" / "fault" / "fault.so"
        assert library.is_file(), f"{library} is missing: build first"
        if "libasan" in run(["ldd", program("sluiced")]).stdout:
            pytest.skip("a library laid before libc's calls and AddressSanitizer exclude each other")
        self._control = control
        self._env = [f"LD_PRELOAD={library}", f"SLUICE_FAULT_DIR={state}", f"SLUICE_FAULT={control}"]

    def argv(self, *command):
        return ["env", *self._env, *command]

    def fail(self, call, number):
        """`call` (write, fsync, lose, rename) fails with this errno from now on."""
        fresh = self._control.with_suffix(".new")
        fresh.write_text(f"{call} {number}\n")
        os.rename(fresh, self._control)

    def work(self):
        self._control.unlink()
