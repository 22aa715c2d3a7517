"""Patroni and PostgreSQL as in Debian's packages. PostgreSQL does not run as root: they are run as its package's user `postgres`."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from rig.ports import free_port
from rig.process import Process

ELECTION_S = 120  # a session of 10 s runs out after 20; PostgreSQL and Patroni begin and end in seconds


def bin_dir():
    """Where the newest PostgreSQL is, None: nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def account():
    """(user, group) that PostgreSQL may run as; skips without."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run PostgreSQL as another user")
    for there, package in ((shutil.which("patroni"), "patroni"), (bin_dir(), "postgresql")):
        if not there:
            pytest.skip(f"needs Debian's package {package}, which is not installed")
    pytest.importorskip("consul", reason="needs python3-consul, which is not installed")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("needs the user postgres of Debian's package postgresql")
    return user.pw_uid, user.pw_gid


class Member:
    """One Patroni with its PostgreSQL, in a namespace or here; `checks`: names of those that its session depends on."""

    def __init__(self, name, consul, folder, account, ns=None, address="127.0.0.1", checks=None):
        self.name, self.account, self.folder = name, account, folder / name
        self.ns, self.address, self.checks = ns, address, checks
        self.port, self.rest = free_port(), free_port()
        self.folder.mkdir()
        config = self.folder / "patroni.json"
        config.write_text(json.dumps(self.config(consul.port)))
        for path in (self.folder, config):
            os.chown(path, *account)
        self.process = None

    def config(self, port):
        login = {"superuser": {"username": "postgres", "password": "x"}, "replication": {"username": "copy", "password": "x"}}
        parameters = {"unix_socket_directories": str(self.folder), "fsync": "off", "max_connections": 20, "shared_buffers": "16MB"}
        return {
            "scope": "pg", "name": self.name, "log": {"level": "INFO"},
            "restapi": {"listen": f"{self.address}:{self.rest}", "connect_address": f"{self.address}:{self.rest}"},
            "consul": {"host": f"127.0.0.1:{port}", **({} if self.checks is None else {"checks": self.checks})},
            "bootstrap": {"dcs": {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "postgresql": {"use_pg_rewind": True}},
                          "initdb": ["data-checksums", {"encoding": "UTF8"}],
                          "pg_hba": [f"host {what} all {self.address}/24 trust" for what in ("all", "replication")]},
            "postgresql": {"listen": f"{self.address}:{self.port}", "connect_address": f"{self.address}:{self.port}",
                           "data_dir": str(self.folder / "data"), "bin_dir": str(bin_dir()), "pgpass": str(self.folder / "pgpass"),
                           "authentication": login, "parameters": parameters},
        }

    def start(self):
        user, group = self.account
        argv = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "patroni", self.folder / "patroni.json"]
        self.process = Process(self.ns.argv(*argv) if self.ns else argv, cwd=self.folder,
                               env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"})

    def _ask(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}:{self.rest}/patroni", timeout=5) as reply:
                return json.load(reply)
        except OSError as error:
            return json.load(error) if hasattr(error, "read") else None  # 503, with the same body

    def role(self):
        """As it says itself: "master", "replica" or what else; None: it does not answer."""
        state = self.ns.do(self._ask) if self.ns else self._ask()
        return state and (state.get("role") if state.get("state") == "running" else state.get("state"))

    def sql(self, statement):
        """The answer's only column; None: it did not take it."""
        argv = [bin_dir() / "psql", "-h", self.address, "-p", str(self.port), "-U", "postgres", "-tAc", statement]
        done = subprocess.run(self.ns.argv(*argv) if self.ns else argv, capture_output=True, text=True, timeout=30)
        return done.stdout.strip() if done.returncode == 0 else None

    def kill(self):
        """As a machine that loses power: neither of its programs says a word."""
        self.process.kill()
        self.kill_server(signal.SIGKILL)

    def kill_server(self, number):
        try:
            os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), number)
        except (OSError, ValueError, IndexError):
            pass  # it has ended

    def close(self):
        if self.process and self.process.running():
            self.process.stop(timeout_s=30)
        self.kill_server(signal.SIGQUIT)


def leader(consul):
    """(who, of which session), None: nobody."""
    reply = consul.get("kv/service/pg/leader")
    if reply.status != 200 or "Session" not in reply.json[0]:
        return None
    return consul.get("kv/service/pg/leader", raw=None).text, reply.json[0]["Session"]
