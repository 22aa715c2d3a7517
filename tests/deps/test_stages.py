"""docs/packet-path.md names the stages as the pipeline has them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r'^\t\{"(\w+)",\s*\w+_stage,\s*"([^"]*)"(?:,\s*\.(port|uplink)_only = true)?\}', re.MULTILINE)
ROW = re.compile(r"^\| (\w+) \| (ports|uplinks|all) \| (.*) \|$", re.MULTILINE)


def test_the_documented_stages_are_the_pipeline():
    code = ENTRY.findall((ROOT / "dataplane/pipeline.c").read_text())
    doc = ROW.findall((ROOT / "docs/packet-path.md").read_text())
    assert len(code) >= 5
    assert doc == [(name, f"{only}s" if only else "all", what) for name, what, only in code]
