"""The pages of docs/howto/ do what they say: their blocks are run from top to bottom, as a reader would."""

import shutil

import pytest

from rig.daemon import BUILD, ROOT
from rig.howto import run_lines, run_page

PAGES = sorted(path for path in (ROOT / "docs/howto").glob("*.md") if path.name not in ("README.md", "docker.md", "podman.md", "cluster.md", "kubernetes.md"))  # tests/interop has these, test_kubernetes.py the last
NEEDS = {"dpdk-containers": ["dpdk-testpmd"], "service": ["busybox"], "checks": ["busybox"], "dns": ["dig"], "cni": ["busybox", "dig", "nft"], "egress": ["busybox", "curl"], "host-networks": ["busybox", "nft"], "discovery": ["busybox", "curl", "dig"],
         "consul": ["busybox", "curl", "openssl"], "monitoring": ["curl"], "state": ["curl"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_works(page, tmp_path):
    for needed in NEEDS.get(page.stem, []):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    run_page(page, tmp_path)


def test_use_it_of_the_readme_works_pasted_as_it_is(tmp_path):
    for needed in ("meson", "ninja", "curl", "python3"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    if BUILD != ROOT / "build":
        pytest.skip("the commands are about the folder build")
    used = (ROOT / "README.md").read_text().split("\n## Use it\n")[1].split("\n## ")[0]
    lines = [line[4:] for line in used.splitlines() if line.startswith("    ")]
    assert len(lines) > 10
    # installed into a machine of its own, as everything else
    said = run_lines("\n".join(["mount -t tmpfs none /usr/local", "hash -r", f"cd {ROOT}", *lines]), tmp_path,
                     path="/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin")
    assert "Directory listing for /" in said and "Nothing is down or wrong." in said
