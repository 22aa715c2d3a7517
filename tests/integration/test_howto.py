"""The pages of docs/howto/ do what they say: their blocks are run from top to bottom, as a reader would."""

import re
import shutil

import pytest

from rig.daemon import BUILD, ROOT, program
from rig.process import Process

PAGES = sorted(path for path in (ROOT / "docs/howto").glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"dpdk-containers": ["dpdk-testpmd"], "service": ["busybox"], "checks": ["busybox"], "dns": ["dig"], "host-networks": ["busybox", "nft"], "discovery": ["busybox", "curl", "dig"],
         "consul": ["busybox", "curl", "openssl"], "monitoring": ["curl"], "state": ["curl"]}

# A machine of the reader's own: nothing of it is left when its first process ends.
MACHINE = """
set -euo pipefail
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
ip link set lo up
set -x
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_works(page, tmp_path):
    for needed in NEEDS.get(page.stem, []):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    blocks = BLOCK.findall(page.read_text())
    assert blocks, f"{page.name} has nothing to run"
    program("sluiced"), program("sluicectl")
    script = tmp_path / "page.sh"
    script.write_text(f"export PATH={BUILD}:$PATH\n{MACHINE}\n" + "\n".join(blocks))
    process = Process(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                       "timeout", "90", "bash", script])
    try:
        code = process.wait(120)
    finally:
        process.kill()
    assert code == 0, f"exit {code}\n{process.output()}"
