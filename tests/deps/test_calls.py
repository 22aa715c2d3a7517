"""A room calls only rooms before it, and the check that says so finds a call of a later one."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("calls", Path(__file__).with_name("calls.py"))
calls = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(calls)

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


FRAME, CORE, START = "int frame_new(void) { return 1; }\n", "int core_new(void) { return 2; }\n", "int start(void) { return 3; }\n"


def call(name):
    return f"int {name}(void);\nint calls_{name}(void) {{ return {name}(); }}\n"


class Tree:
    """Rooms frame and core, in this order, and what is of no room, each of one file; built by hand as meson would."""

    def __init__(self, top):
        self.root, self.build = top, top / "build"
        self.objects = {}
        (top / "dataplane").mkdir()
        (top / "dataplane/meson.build").write_text("dataplane_rooms = [\n  'frame',\n  'core',\n]\n")
        self.put("dataplane", "frame", "frame", FRAME)
        self.put("dataplane", "core", "core", CORE)
        self.put("dataplane", "", "start", START)

    def put(self, folder, room, file, text):
        where = self.build / folder
        where.mkdir(parents=True, exist_ok=True)
        source, member = where / f"{file}.c", where / f"{room + '_' if room else ''}{file}.c.o"
        source.write_text(text)
        subprocess.run(["cc", "-c", "-o", str(member), str(source)], check=True)
        self.objects.setdefault(folder, {})[room] = member
        library = where / f"lib{folder}{'_' + room if room else ''}.a"
        library.unlink(missing_ok=True)
        # the folder's own library has the objects of all rooms, as link_whole makes it
        members = [member] if room else list(self.objects[folder].values())
        subprocess.run(["ar", "crs", str(library), *map(str, members)], check=True)

    def violations(self):
        return calls.violations(self.build, self.root)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_calls_of_rooms_before_are_right(tree):
    tree.put("dataplane", "core", "core", CORE + call("frame_new"))
    tree.put("dataplane", "", "start", START + call("core_new"))
    assert tree.violations() == []


def test_a_call_of_a_later_room_is_found(tree):
    tree.put("dataplane", "frame", "frame", FRAME + call("core_new"))
    assert tree.violations() == [("dataplane/frame/frame.c", "core_new", "dataplane/core/core.c")]


def test_a_variable_of_a_later_room_is_found(tree):
    tree.put("dataplane", "core", "core", CORE + "int core_limit = 3;\n")
    tree.put("dataplane", "frame", "frame", FRAME + "extern int core_limit;\nint frame_limit(void) { return core_limit; }\n")
    assert tree.violations() == [("dataplane/frame/frame.c", "core_limit", "dataplane/core/core.c")]


def test_a_call_of_what_is_of_no_room_is_found(tree):
    tree.put("dataplane", "core", "core", CORE + call("start"))
    assert tree.violations() == [("dataplane/core/core.c", "start", "dataplane/start.c")]


@pytest.mark.parametrize("folder", ["control", "registry"])
def test_a_call_of_a_folder_that_joins_others_is_found(tree, folder):
    tree.put(folder, "", "other", "int other_new(void) { return 4; }\n")
    tree.put("dataplane", "", "start", START + call("other_new"))
    assert tree.violations() == [("dataplane/start.c", "other_new", f"{folder}/other.c")]


def test_control_may_call_the_dataplane(tree):
    tree.put("control", "", "main", call("start"))
    assert tree.violations() == []
