"""Runs what a page of docs/howto/ tells its reader to run."""

import re

from rig.daemon import BUILD, program
from rig.process import Process

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# A machine of the reader's own: nothing of it is left when its first process ends.
MACHINE = """
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
ip link set lo up
PS4='+ ${SECONDS}s '
set -x
"""


def run_lines(lines, tmp_path, path=f"{BUILD}:$PATH"):
    """Runs them in a machine of their own, and returns what they print."""
    script = tmp_path / "page.sh"
    script.write_text(f"export PATH={path}\n{MACHINE}\n{lines}")
    process = Process(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                       "timeout", "150", "bash", script])
    try:
        code = process.wait(180)
    finally:
        process.kill()
    assert code == 0, f"exit {code}\n{process.output()}"
    return process.output()


def run_page(page, tmp_path, before=""):
    """Runs its blocks from top to bottom, in a machine of their own, after the lines `before`; returns what they print."""
    blocks = BLOCK.findall(page.read_text())
    assert blocks, f"{page.name} has nothing to run"
    program("sluiced"), program("sluicectl")
    return run_lines("\n".join([before, *blocks]), tmp_path)
