"""The dependency rules hold, and the check that says so finds a violation where there is one."""

from pathlib import Path

import pytest

import rules


ROOT = Path(__file__).resolve().parents[2]


def test_the_tree_keeps_the_rules():
    assert rules.violations(ROOT) == []


def test_every_folder_has_sources():
    for folder in ("dataplane", "registry", "control"):
        assert list((ROOT / folder).rglob("*.c")), f"no sources in {folder}/: the rules would hold for nothing"


@pytest.mark.parametrize("folder, name", [
    ("dataplane", "control/model/model.h"), ("dataplane", "registry/registry.h"), ("dataplane", "jansson.h"),
    ("dataplane", "event2/event.h"), ("dataplane", "curl/curl.h"),
    ("registry", "rte_ring.h"), ("registry", "dataplane/dataplane.h"), ("registry", "control/api/api.h"),
    ("control", "dataplane/l2/fdb.h"), ("control", "rte_mbuf.h"),
    ("addr", "registry/registry.h"), ("addr", "dataplane/dataplane.h"), ("addr", "rte_ip.h"),
    ("tools/ctl", "control/api/api.h"), ("tools/ctl", "registry/registry.h"), ("tools/ctl", "dataplane/dataplane.h"),
])
def test_a_planted_violation_is_found(tmp_path, folder, name):
    planted = tmp_path / folder / "deeper" / "planted.c"
    planted.parent.mkdir(parents=True)
    planted.write_text(f'#include <stdio.h>\n#  include "{name}"\n')
    assert rules.violations(tmp_path) == [f"{folder}/deeper/planted.c: includes {name}, which {folder} must not know"]


def test_what_control_may_include(tmp_path):
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "good.c").write_text(
        '#include "dataplane/dataplane.h"\n#include "registry/registry.h"\n#include <jansson.h>\n')
    assert rules.violations(tmp_path) == []


def test_an_include_not_spelled_from_the_root_is_found(tmp_path):
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "a.h").write_text("")
    (tmp_path / "registry" / "a.c").write_text('#include "a.h"\n')
    assert len(rules.violations(tmp_path)) == 1
