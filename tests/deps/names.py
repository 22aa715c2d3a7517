#!/usr/bin/python3
"""
Whether what a room shows the others is named after where it is: a function or variable begins with the name of its
file, of a folder that the file lies in, or with a prefix that the room's meson.build lists (CONTRIBUTING.md, "Code").

    tests/deps/names.py [BUILD]     prints each that is not
"""

import sys
from pathlib import Path

import calls


# What a whole folder shows the others begins so.
PUBLIC = {"dataplane": "dp", "registry": "reg"}


def prefixes(root, room):
    """The prefixes of a room: room_prefixes in its meson.build."""
    build = Path(root, room, "meson.build")
    return calls.rooms.listed(build.read_text(), "room_prefixes") if build.is_file() else []


def begins(symbol, word):
    """"port_add", "ports_new" and "port" begin with "port" and with "ports"."""
    one = word.removesuffix("s")
    return symbol in (one, one + "s") or symbol.startswith((one + "_", one + "s_"))


def violations(build, root=calls.ROOT):
    """[(file, symbol)] of names that say another place; [(room, prefix)] of prefixes that nothing needs."""
    wrong, needed = [], set()
    for folder in calls.rooms.FOLDERS:
        for _, name, symbol, defined in calls.read_rooms(build, folder, calls.rooms.rooms(root, folder)):
            if not defined:
                continue
            path = Path(name)
            room = path.parent.as_posix()
            if any(begins(symbol, word) for word in (path.stem, *path.parent.parts, PUBLIC.get(folder, path.stem))):
                continue
            fits = [(room, prefix) for prefix in prefixes(root, room) if begins(symbol, prefix)]
            needed.update(fits)
            if not fits:
                wrong.append((name, symbol))
    rooms = {f"{folder}/{room}".removesuffix("/") for folder in calls.rooms.FOLDERS
             for room in ("", *calls.rooms.rooms(root, folder))}
    idle = {(room, prefix) for room in rooms for prefix in prefixes(root, room)} - needed
    return sorted(wrong), sorted(idle)


if __name__ == "__main__":
    for lines in violations(sys.argv[1] if len(sys.argv) > 1 else calls.ROOT / "build"):
        for where, name in lines:
            print(f"{where}: {name}")
