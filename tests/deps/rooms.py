"""The rooms of each folder, in the order of its meson.build, and what each may include (docs/architecture.md, "Rooms")."""

import re
from pathlib import Path

FOLDERS = ("dataplane", "registry", "control", "bench")
# What every room of a folder may include: what the folder is to others.
PUBLIC = ("dataplane/dataplane.h", "registry/registry.h")
# Programs that measure the inside of rooms, as tests do.
NO_ROOMS = {"bench": ("tables", "lines", "hosts", "peers")}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def listed(text, name):
    """What a meson.build lists under a name."""
    found = re.search(rf"^{name} = (?:files\(|\[)(.*?)[\])]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"'([^']+)'", found[1]) if found else []


def rooms(root, folder):
    """The folder's rooms in their order."""
    build = Path(root, folder, "meson.build")
    return listed(build.read_text(), f"{folder}_rooms") if build.is_file() else []


def _room(path):
    folder, _, rest = path.partition("/")
    return folder, rest.rpartition("/")[0]


def _lists(root, folder, room):
    """What a room's meson.build says: its sources, and the headers that are its own."""
    build = Path(root, folder, room, "meson.build")
    text = build.read_text() if build.is_file() else ""
    return listed(text, "room_sources"), listed(text, "room_private")


def violations(root):
    """[(file, header, what is wrong)] of each include; the header is "" where the room itself is wrong."""
    root = Path(root)
    order = {folder: rooms(root, folder) for folder in FOLDERS}
    private = {f"{folder}/{room}/{header}" for folder in FOLDERS for room in order[folder]
               for header in _lists(root, folder, room)[1]}
    found = []
    for folder in FOLDERS:
        at = {room: i for i, room in enumerate(order[folder])}
        for path in sorted(Path(root, folder).rglob("*.[ch]")):
            name = path.relative_to(root).as_posix()
            room = _room(name)[1]
            if room in NO_ROOMS.get(folder, ()):
                continue
            if room and room not in at:
                found.append((name, "", f"lies in no room that {folder}/meson.build lists"))
                continue
            for header in INCLUDE.findall(path.read_text(errors="replace")):
                other_folder, other = _room(header)
                if other_folder not in FOLDERS or (other_folder, other) == (folder, room):
                    continue
                if header in private:
                    found.append((name, header, "which is that room's own"))
                elif room and other_folder == folder and header not in PUBLIC and at.get(other, len(at)) > at[room]:
                    found.append((name, header, "of a room that comes later"))
    for folder in FOLDERS:
        for room in order[folder]:
            listed = _lists(root, folder, room)[0]
            there = sorted(p.name for p in Path(root, folder, room).glob("*.c"))
            if listed and sorted(listed) != there:
                found.append((f"{folder}/{room}/meson.build", "", f"does not list {sorted(set(listed) ^ set(there))} rightly"))
    return found


def known(path):
    """The includes that go against the order today: lines "file: header" in tests/deps/backward, each with its remedy."""
    return [tuple(line.split(": ", 1)) for line in Path(path).read_text().splitlines()
            if line and not line.startswith((" ", "#"))]
