"""Rooms include only rooms before them, and the check that says so finds a violation where there is one."""

from pathlib import Path

import pytest

import rooms


ROOT = Path(__file__).resolve().parents[2]
BACKWARD = Path(__file__).with_name("backward")


def test_rooms_include_only_rooms_before_them():
    known = set(rooms.known(BACKWARD))
    assert [v for v in rooms.violations(ROOT) if v[:2] not in known] == []


def test_every_known_backward_include_is_still_there():
    there = {v[:2] for v in rooms.violations(ROOT)}
    gone = [v for v in rooms.known(BACKWARD) if v not in there]
    assert gone == [], "take these off tests/deps/backward"


@pytest.mark.parametrize("folder", rooms.FOLDERS)
def test_every_room_has_sources(folder):
    assert len(rooms.rooms(ROOT, folder)) >= 6
    for room in rooms.rooms(ROOT, folder):
        assert list((ROOT / folder / room).glob("*.c")), f"no sources in {folder}/{room}"


@pytest.fixture
def tree(tmp_path):
    """Two rooms, the second of which has a header of its own."""
    (tmp_path / "dataplane/core").mkdir(parents=True)
    (tmp_path / "dataplane/l2").mkdir()
    (tmp_path / "dataplane/meson.build").write_text("dataplane_rooms = [\n  'core',\n  'l2',\n]\n")
    (tmp_path / "dataplane/core/meson.build").write_text("room_sources = files(\n  'core.c',\n)\n")
    (tmp_path / "dataplane/l2/meson.build").write_text(
        "room_sources = files(\n  'fdb.c',\n)\nroom_private = [\n  'inside.h',\n]\n")
    (tmp_path / "dataplane/core/core.c").write_text('#include "dataplane/dataplane.h"\n')
    (tmp_path / "dataplane/l2/fdb.c").write_text('#include "dataplane/core/mem.h"\n#include "dataplane/l2/inside.h"\n')
    (tmp_path / "dataplane/start.c").write_text('#include "dataplane/l2/fdb.h"\n')
    return tmp_path


def test_a_tree_that_keeps_the_order_is_right(tree):
    assert rooms.violations(tree) == []


def test_an_include_of_a_later_room_is_found(tree):
    (tree / "dataplane/core/core.c").write_text('#include <stdio.h>\n#  include "dataplane/l2/fdb.h"\n')
    assert rooms.violations(tree) == [("dataplane/core/core.c", "dataplane/l2/fdb.h", "of a room that comes later")]


def test_an_include_of_what_is_of_no_room_is_found(tree):
    (tree / "dataplane/core/core.c").write_text('#include "dataplane/start.h"\n')
    assert rooms.violations(tree) == [("dataplane/core/core.c", "dataplane/start.h", "of a room that comes later")]


@pytest.mark.parametrize("path", ["dataplane/start.c", "control/main.c", "dataplane/core/core.c"])
def test_an_include_of_a_rooms_own_header_is_found(tree, path):
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text('#include "dataplane/l2/inside.h"\n')
    assert rooms.violations(tree) == [(path, "dataplane/l2/inside.h", "which is that room's own")]


def test_a_room_that_is_not_listed_is_found(tree):
    (tree / "dataplane/cellar").mkdir()
    (tree / "dataplane/cellar/a.c").write_text("")
    assert rooms.violations(tree) == [("dataplane/cellar/a.c", "", "lies in no room that dataplane/meson.build lists")]


def test_a_file_that_its_room_does_not_list_is_found(tree):
    (tree / "dataplane/l2/more.c").write_text("")
    assert [v[0] for v in rooms.violations(tree)] == ["dataplane/l2/meson.build"]
