"""A tree of rooms that is built by hand, as meson would, to plant in it what a check must find."""

import subprocess

FRAME, CORE, START = "int frame_new(void) { return 1; }\n", "int core_new(void) { return 2; }\n", "int start(void) { return 3; }\n"


def call(name):
    return f"int {name}(void);\nint calls_{name}(void) {{ return {name}(); }}\n"


class Tree:
    """Rooms frame and core, in this order, and what is of no room, each of one file at first."""

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
        self.objects.setdefault(folder, {}).setdefault(room, {})[file] = member
        self.archive(folder, room, self.objects[folder][room].values())
        # the folder's own library has the objects of all rooms, as link_whole makes it
        self.archive(folder, "", [one for files in self.objects[folder].values() for one in files.values()])

    def archive(self, folder, room, members):
        library = self.build / folder / f"lib{folder}{'_' + room if room else ''}.a"
        library.unlink(missing_ok=True)
        subprocess.run(["ar", "crs", str(library), *map(str, members)], check=True)
