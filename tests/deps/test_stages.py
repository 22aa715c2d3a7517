"""docs/packet-path.md names the stages as the pipeline has them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r'^\t\{"(\w+)",\s*\w+_stage,\s*"([^"]*)"(?:,\s*\.needs = (BURST_[\w |]+))?\}', re.MULTILINE)
ROW = re.compile(r"^\| (\w+) \| (all|bursts [^|]*) \| (.*) \|$", re.MULTILINE)
RUNS_FOR = {"": "all", "BURST_FROM_PORT": "bursts of a port", "BURST_FROM_UPLINK": "bursts of an uplink",
            "BURST_GUARDED | BURST_ODD": "bursts of a guarded port, or with more than plain IPv4",
            "BURST_HAS_LOCAL": "bursts with ARP, or of a network with vips",
            "BURST_HAS_SERVICE": "bursts of a network with vips",
            "BURST_HAS_EGRESS": "bursts of a network that reaches others by an uplink"}


def test_the_documented_stages_are_the_pipeline():
    code = ENTRY.findall((ROOT / "dataplane/engine/pipeline.c").read_text())
    doc = ROW.findall((ROOT / "docs/packet-path.md").read_text())
    assert len(code) >= 5
    assert doc == [(name, RUNS_FOR[needs], what) for name, what, needs in code]
