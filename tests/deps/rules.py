"""What each folder may include; the rules of docs/architecture.md, "Dependency rules"."""

import re
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^">]+)[">]', re.MULTILINE)

DPDK = r"rte_|ethdev|bus_\w*driver"
DAEMON_LIBRARIES = r"jansson|event2?[./]|evhttp|curl/"

# folder: (includes that it must not have, those among them that it may)
RULES = {
    "addr": (rf"dataplane/|registry/|control/|tools/|bench/|{DPDK}|{DAEMON_LIBRARIES}", r"(?!)"),
    "dataplane": (rf"control/|registry/|tools/|bench/|{DAEMON_LIBRARIES}", r"(?!)"),
    "registry": (rf"dataplane/|control/|tools/|bench/|{DPDK}|bpf/|xdp/", r"(?!)"),
    "control": (rf"dataplane/|tools/|bench/|{DPDK}", r"dataplane/dataplane\.h$"),
    "tools/ctl": (rf"dataplane/|registry/|control/|bench/|{DPDK}|event2?[./]|curl/", r"(?!)"),
}


def violations(root):
    """One line for each include that breaks a rule, and for each of the project's own not spelled from the root."""
    found = []
    for folder, (banned, allowed) in RULES.items():
        for path in sorted(Path(root, folder).rglob("*.[ch]")):
            for name in INCLUDE.findall(path.read_text(errors="replace")):
                where = f"{path.relative_to(root)}: includes {name}"
                if re.match(banned, name) and not re.match(allowed, name):
                    found.append(f"{where}, which {folder} must not know")
                elif "/" not in name and (path.parent / name).is_file():
                    found.append(f'{where}, to be spelled from the root: "{path.parent.relative_to(root)}/{name}"')
    return found
