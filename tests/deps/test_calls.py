"""A room calls only rooms before it, and the check that says so finds a call of a later one."""

import os
from pathlib import Path

import pytest

import built
import calls


ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLUICE_BUILD", ROOT / "build"))
KNOWN = Path(__file__).with_name("backward-calls")


@pytest.fixture(scope="module")
def found():
    if not (BUILD / "build.ninja").is_file():
        pytest.skip(f"nothing is built in {BUILD}")
    return calls.violations(BUILD)


def test_rooms_call_only_rooms_before_them(found):
    known = set(calls.rooms.known(KNOWN))
    assert [v for v in found if v[:2] not in known] == []


def test_every_known_backward_call_is_still_there(found):
    there = {v[:2] for v in found}
    gone = [v for v in calls.rooms.known(KNOWN) if v not in there]
    assert gone == [], "take these off tests/deps/backward-calls"


@pytest.mark.parametrize("folder", calls.rooms.FOLDERS)
def test_symbols_of_every_room_are_read(folder):
    if not (BUILD / "build.ninja").is_file():
        pytest.skip(f"nothing is built in {BUILD}")
    order = calls.rooms.rooms(ROOT, folder)
    read = calls.read_rooms(BUILD, folder, order)
    assert {at for at, _, _, defined in read if defined} >= set(range(len(order)))
    assert {name for _, name, _, _ in read if not (ROOT / name).is_file()} == set()


@pytest.fixture
def tree(tmp_path):
    return built.Tree(tmp_path)


def test_calls_of_rooms_before_are_right(tree):
    tree.put("dataplane", "core", "core", built.CORE + built.call("frame_new"))
    tree.put("dataplane", "", "start", built.START + built.call("core_new"))
    assert calls.violations(tree.build, tree.root) == []


def test_a_call_of_a_later_room_is_found(tree):
    tree.put("dataplane", "frame", "frame", built.FRAME + built.call("core_new"))
    assert calls.violations(tree.build, tree.root) == [("dataplane/frame/frame.c", "core_new", "dataplane/core/core.c")]


def test_a_variable_of_a_later_room_is_found(tree):
    tree.put("dataplane", "core", "core", built.CORE + "int core_limit = 3;\n")
    tree.put("dataplane", "frame", "frame", built.FRAME + "extern int core_limit;\nint frame_limit(void) { return core_limit; }\n")
    assert calls.violations(tree.build, tree.root) == [("dataplane/frame/frame.c", "core_limit", "dataplane/core/core.c")]


def test_a_call_of_what_is_of_no_room_is_found(tree):
    tree.put("dataplane", "core", "core", built.CORE + built.call("start"))
    assert calls.violations(tree.build, tree.root) == [("dataplane/core/core.c", "start", "dataplane/start.c")]


@pytest.mark.parametrize("folder", ["control", "registry"])
def test_a_call_of_a_folder_that_joins_others_is_found(tree, folder):
    tree.put(folder, "", "other", "int other_new(void) { return 4; }\n")
    tree.put("dataplane", "", "start", built.START + built.call("other_new"))
    assert calls.violations(tree.build, tree.root) == [("dataplane/start.c", "other_new", f"{folder}/other.c")]


def test_control_may_call_the_dataplane(tree):
    tree.put("control", "", "main", built.call("start"))
    assert calls.violations(tree.build, tree.root) == []
