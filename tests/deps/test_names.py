"""What a room shows the others is named after where it is, and the check that says so finds what is not."""

import os
from pathlib import Path

import pytest

import built
import names

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLUICE_BUILD", ROOT / "build"))


def test_every_name_says_where_it_is():
    if not (BUILD / "build.ninja").is_file():
        pytest.skip(f"nothing is built in {BUILD}")
    wrong, idle = names.violations(BUILD)
    assert wrong == [], "begin them with their file's or their room's name"
    assert idle == [], "take these off room_prefixes in the room's meson.build"


@pytest.fixture
def tree(tmp_path):
    return built.Tree(tmp_path)


def violations(tree):
    return names.violations(tree.build, tree.root)


def list_prefixes(tree, room, *prefixes):
    (tree.root / room).mkdir(parents=True, exist_ok=True)
    (tree.root / room / "meson.build").write_text(f"room_prefixes = {list(prefixes)}\n")


@pytest.mark.parametrize("name", ["burst_new", "bursts_new", "burst", "frame_new", "frames_new", "dataplane_new", "dp_new"])
def test_names_of_file_room_and_folder_are_right(tree, name):
    tree.put("dataplane", "frame", "burst", f"int {name}(void) {{ return 1; }}\n")
    assert violations(tree) == ([], [])


@pytest.mark.parametrize("name", ["core_take", "burstnew", "take", "take_burst"])
def test_other_names_are_found(tree, name):
    tree.put("dataplane", "frame", "burst", f"int {name}(void) {{ return 1; }}\n")
    assert violations(tree) == ([("dataplane/frame/burst.c", name)], [])


def test_a_variable_is_found(tree):
    tree.put("dataplane", "frame", "burst", "int limit = 3;\n")
    assert violations(tree) == ([("dataplane/frame/burst.c", "limit")], [])


def test_a_prefix_that_the_room_lists_is_right_there_and_nowhere_else(tree):
    list_prefixes(tree, "dataplane/frame", "take")
    tree.put("dataplane", "frame", "burst", "int take_one(void) { return 1; }\n")
    tree.put("dataplane", "core", "core", "int take_two(void) { return 1; }\n")
    assert violations(tree) == ([("dataplane/core/core.c", "take_two")], [])


def test_a_prefix_that_nothing_needs_is_found(tree):
    list_prefixes(tree, "dataplane/frame", "take", "burst")
    tree.put("dataplane", "frame", "burst", "int burst_new(void) { return 1; }\n")
    assert violations(tree) == ([], [("dataplane/frame", "burst"), ("dataplane/frame", "take")])
