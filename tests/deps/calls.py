#!/usr/bin/python3
"""Which functions and variables a room uses that a room after it defines, from the symbols of the rooms' libraries.

    tests/deps/calls.py [BUILD]     prints each: "file that uses it: symbol", and who defines it
"""

import subprocess
import sys
from pathlib import Path

import rooms


ROOT = Path(__file__).resolve().parents[2]
# What each folder may call beside itself.
MAY_CALL = {"dataplane": (), "registry": (), "control": ("dataplane", "registry"), "bench": ()}


def symbols(archive):
    """[(member, symbol, whether the member defines it)] of what an archive's members show each other."""
    out = subprocess.run(["nm", "--print-file-name", "--extern-only", "--format=posix", str(archive)],
                         check=True, capture_output=True, text=True).stdout
    found = []
    for line in out.splitlines():
        where, _, rest = line.rpartition("]: ")
        symbol, kind = rest.split()[:2]
        found.append((where.rpartition("[")[2].rpartition("/")[2], symbol, kind not in "Uwv"))
    return found


def read_rooms(build, folder, order):
    """[(position, file, symbol, whether it is defined there)] of a folder; what is of no room comes after all rooms."""
    found, in_rooms = [], set()
    for at, room in enumerate(order):
        flat = room.replace("/", "_")
        for member, symbol, defined in symbols(Path(build, folder, f"lib{folder}_{flat}.a")):
            in_rooms.add(member)
            source = member.removeprefix(flat + "_").removesuffix(".o")
            found.append((at, f"{folder}/{room}/{source}", symbol, defined))
    top = Path(build, folder, f"lib{folder}.a")
    for member, symbol, defined in symbols(top) if top.is_file() else []:
        if member not in in_rooms:  # it has the rooms' members too
            found.append((len(order), f"{folder}/{member.removesuffix('.o')}", symbol, defined))
    return found


def backward(found):
    """[(file, symbol, file that defines it)] of what goes against the order, from {folder: read_rooms()}."""
    home = {symbol: (folder, at, name) for folder, lines in found.items() for at, name, symbol, defined in lines if defined}
    wrong = set()
    for folder, lines in found.items():
        for at, name, symbol, _ in lines:
            other, position, definer = home.get(symbol, (folder, at, name))
            if position > at if other == folder else other not in MAY_CALL[folder]:
                wrong.add((name, symbol, definer))
    return sorted(wrong)


def violations(build, root=ROOT):
    return backward({folder: read_rooms(build, folder, rooms.rooms(root, folder)) for folder in rooms.FOLDERS})


if __name__ == "__main__":
    for user, symbol, definer in violations(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build"):
        print(f"{user}: {symbol}\n    {definer}")
