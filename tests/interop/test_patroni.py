"""
Two Patronis, unchanged, elect a PostgreSQL primary by sessions, locks and checks of Consul's API, as in Debian's packages
`patroni` and `postgresql`. PostgreSQL does not run as root: they are run as the user `postgres` of its package.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from rig import wait
from rig.consul import Consul
from rig.ports import free_port
from rig.process import Process

ELECTION_S = 120  # a session of 10 s runs out after 20; PostgreSQL and Patroni begin and end in seconds


def bin_dir():
    """Where the newest PostgreSQL is, None: nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@pytest.fixture
def account():
    """(user, group) that PostgreSQL may run as."""
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
    """One Patroni with its PostgreSQL."""

    def __init__(self, name, consul, folder, account):
        self.name, self.account, self.folder = name, account, folder / name
        self.port, self.rest = free_port(), free_port()
        self.folder.mkdir()
        config = self.folder / "patroni.json"
        config.write_text(json.dumps(self.config(consul)))
        for path in (self.folder, config):
            os.chown(path, *account)
        self.process = None

    @property
    def check(self):
        return f"{self.name}-check"

    def config(self, consul):
        login = {"superuser": {"username": "postgres", "password": "x"}, "replication": {"username": "copy", "password": "x"}}
        parameters = {"unix_socket_directories": str(self.folder), "fsync": "off", "max_connections": 20, "shared_buffers": "16MB"}
        return {
            "scope": "pg", "name": self.name, "log": {"level": "INFO"},
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "consul": {"host": f"127.0.0.1:{consul.port}", "checks": [self.check]},
            "bootstrap": {"dcs": {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "postgresql": {"use_pg_rewind": True}},
                          "initdb": ["data-checksums", {"encoding": "UTF8"}],
                          "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]},
            "postgresql": {"listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                           "data_dir": str(self.folder / "data"), "bin_dir": str(bin_dir()), "pgpass": str(self.folder / "pgpass"),
                           "authentication": login, "parameters": parameters},
        }

    def start(self):
        user, group = self.account
        self.process = Process(["patroni", self.folder / "patroni.json"], user=user, group=group, extra_groups=[],
                               cwd=self.folder, env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"})

    def role(self):
        """As it says itself: "master", "replica" or what else; None: it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=5) as reply:
                state = json.load(reply)
        except OSError as error:
            if not hasattr(error, "read"):
                return None
            state = json.load(error)  # 503, with the same body
        return state.get("role") if state.get("state") == "running" else state.get("state")

    def sql(self, statement):
        """The answer's only column; None: it did not take it."""
        done = subprocess.run([bin_dir() / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-tAc", statement],
                              capture_output=True, text=True, timeout=30)
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


@pytest.fixture
def cluster(start_sluiced, account):
    """(daemon, API, members); `first` is the primary and `second` its copy."""
    port = free_port()
    daemon = start_sluiced({"control": {"http": f"127.0.0.1:{port}", "node": "edge1"}})
    consul, folder = Consul(port), Path(tempfile.mkdtemp(prefix=f"sluice-patroni-{os.getpid()}-", dir="/tmp"))
    os.chmod(folder, 0o755)
    members = [Member(name, consul, folder, account) for name in ("first", "second")]
    try:
        for member in members:
            consul.put("agent/check/register", {"Name": member.check, "TTL": "1h", "Status": "passing"})
            member.start()
            role = "master" if member is members[0] else "replica"
            wait.until(lambda: member.role() == role, f"{member.name} is {role}", ELECTION_S, 0.2)
        yield daemon, consul, members
    except BaseException:
        for member in members:
            print(f"--- {member.name} ---\n{member.process.output() if member.process else 'not begun'}")
        raise
    finally:
        for member in members:
            member.close()
        shutil.rmtree(folder, ignore_errors=True)


def leader(consul):
    """(who, of which session), None: nobody."""
    reply = consul.get("kv/service/pg/leader")
    if reply.status != 200 or "Session" not in reply.json[0]:
        return None
    return consul.get("kv/service/pg/leader", raw=None).text, reply.json[0]["Session"]


def test_a_primary_is_elected_by_checks_and_by_silence(cluster):
    daemon, consul, (first, second) = cluster
    try:
        assert leader(consul)[0] == "first"
        assert first.sql("create table t as select 1 as n") is not None
        wait.until(lambda: second.sql("select n from t") == "1", "the copy has the row", ELECTION_S, 0.2)

        before = leader(consul)
        daemon.stop()
        daemon.start()
        assert leader(consul) == before  # a new daemon is no reason for an election

        consul.put(f"agent/check/fail/{first.check}")
        assert leader(consul) != before  # the session has ended, and the lock with it
        wait.until(lambda: (leader(consul) or [None])[0] == "second", "the other one has the lock", ELECTION_S, 0.2)
        wait.until(lambda: second.role() == "master", "the other one is primary", ELECTION_S, 0.2)
        assert second.sql("insert into t values (2)") is not None
        wait.until(lambda: first.sql("insert into t values (3)") is None, "the first one takes nothing", ELECTION_S, 0.2)
        assert consul.put("session/create", {"Checks": [first.check]}).status == 500

        consul.put(f"agent/check/pass/{first.check}")
        wait.until(lambda: first.sql("select count(*) from t") == "2", "the first one follows", ELECTION_S, 0.2)

        second.kill()
        wait.until(lambda: (leader(consul) or [None])[0] == "first", "the first one has the lock again", ELECTION_S, 0.2)
        wait.until(lambda: first.sql("insert into t values (4)") is not None, "it is primary again", ELECTION_S, 0.2)
        assert first.sql("select string_agg(n::text, ' ' order by n) from t") == "1 2 4"
    except BaseException:
        for member in (first, second):
            print(f"--- {member.name} ---\n{member.process.output()}")
        raise
