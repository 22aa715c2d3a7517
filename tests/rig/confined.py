"""
Runs a program with what a unit of systemd leaves it, where systemd itself does not run:
  confined.py UNIT PROGRAM ARGUMENT...
Capabilities, new privileges, system calls, namespaces, address families and executable memory are as the unit says; its
view of the file system and its devices are not.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE, MASKED_EQ, EQ = 0x7fff0000, 0x00050000, 7, 4  # of libseccomp
NAMESPACES = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
              "pid": 0x20000000, "net": 0x40000000}
FAMILIES = 46
PR_SET_MDWE, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 65, 38, 24


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """libseccomp's, in so far as it is used here."""

    def __init__(self):
        self.lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.filter = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(ALLOW)))

    def refuse(self, call, *compares, error=errno.EPERM):
        number = self.lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # of other processors
        all_of = (Compare * len(compares))(*compares)
        rc = self.lib.seccomp_rule_add_array(self.filter, ctypes.c_uint32(REFUSE | error), number, len(compares), all_of)
        assert rc == 0, (call, rc)

    def load(self):
        assert self.lib.seccomp_load(self.filter) == 0


def settings(unit):
    """{key: all its words} of a unit's text."""
    out = {}
    for line in unit.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            out.setdefault(key, []).extend(value.split())
    return out


def calls(group):
    """The system calls of @group, those of groups in it too."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", group], check=True, capture_output=True, text=True).stdout
    for word in (line.strip() for line in said.splitlines()[1:]):
        if word.startswith("@"):
            yield from calls(word)
        elif word and not word.startswith("#"):
            yield word


def system_calls(unit):
    out = Filter()
    for word in unit["SystemCallFilter"]:
        for call in calls(word.lstrip("~")):
            out.refuse(call)
    out.refuse("setns", Compare(1, EQ, 0, 0))
    for name, flag in NAMESPACES.items():
        if name not in unit["RestrictNamespaces"]:
            out.refuse("unshare", Compare(0, MASKED_EQ, flag, flag))
            out.refuse("clone", Compare(0, MASKED_EQ, flag, flag))
            out.refuse("setns", Compare(1, MASKED_EQ, flag, flag))
    allowed = [getattr(socket, name, 44) for name in unit["RestrictAddressFamilies"]]  # 44: AF_XDP
    for family in set(range(FAMILIES)) - set(allowed):
        out.refuse("socket", Compare(0, EQ, family, 0), error=errno.EAFNOSUPPORT)
    return out


def drop_capabilities(libc, unit):
    names = subprocess.run(["setpriv", "--list-caps"], check=True, capture_output=True, text=True).stdout.split()
    kept = {name.removeprefix("CAP_").lower() for name in unit["CapabilityBoundingSet"]}
    for number, name in enumerate(names):
        if name not in kept:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def main(path, *argv):
    unit = settings(Path(path).read_text())
    libc = ctypes.CDLL(None, use_errno=True)
    filters = system_calls(unit)
    drop_capabilities(libc, unit)
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # Linux 6.3
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    filters.load()
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
