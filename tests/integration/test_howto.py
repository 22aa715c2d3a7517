"""The pages of docs/howto/ do what they say: their blocks are run from top to bottom, as a reader would."""

import shutil

import pytest

from rig.daemon import ROOT
from rig.howto import run_page

PAGES = sorted(path for path in (ROOT / "docs/howto").glob("*.md") if path.name not in ("README.md", "docker.md", "podman.md"))  # tests/interop has these
NEEDS = {"dpdk-containers": ["dpdk-testpmd"], "service": ["busybox"], "checks": ["busybox"], "dns": ["dig"], "cni": ["busybox", "dig", "nft"], "host-networks": ["busybox", "nft"], "discovery": ["busybox", "curl", "dig"],
         "consul": ["busybox", "curl", "openssl"], "monitoring": ["curl"], "state": ["curl"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_works(page, tmp_path):
    for needed in NEEDS.get(page.stem, []):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    run_page(page, tmp_path)
