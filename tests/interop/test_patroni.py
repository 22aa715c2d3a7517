"""Two Patronis, unchanged, elect a PostgreSQL primary by sessions, locks and checks of Consul's API."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from rig import wait
from rig.consul import Consul
from rig.patroni import ELECTION_S, Member, account, leader
from rig.ports import free_port


def check(name):
    """Of a member."""
    return f"{name}-check"


@pytest.fixture
def cluster(start_sluiced):
    """(daemon, API, members); `first` is the primary and `second` its copy."""
    port = free_port()
    daemon = start_sluiced({"control": {"http": f"127.0.0.1:{port}", "node": "edge1"}})
    consul, folder = Consul(port), Path(tempfile.mkdtemp(prefix=f"sluice-patroni-{os.getpid()}-", dir="/tmp"))
    os.chmod(folder, 0o755)
    members = [Member(name, consul, folder, account(), checks=[check(name)]) for name in ("first", "second")]
    try:
        for member in members:
            consul.put("agent/check/register", {"Name": check(member.name), "TTL": "1h", "Status": "passing"})
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

        consul.put(f"agent/check/fail/{check('first')}")
        assert leader(consul) != before  # the session has ended, and the lock with it
        wait.until(lambda: (leader(consul) or [None])[0] == "second", "the other one has the lock", ELECTION_S, 0.2)
        wait.until(lambda: second.role() == "master", "the other one is primary", ELECTION_S, 0.2)
        assert second.sql("insert into t values (2)") is not None
        wait.until(lambda: first.sql("insert into t values (3)") is None, "the first one takes nothing", ELECTION_S, 0.2)
        assert consul.put("session/create", {"Checks": [check("first")]}).status == 500

        consul.put(f"agent/check/pass/{check('first')}")
        wait.until(lambda: first.sql("select count(*) from t") == "2", "the first one follows", ELECTION_S, 0.2)

        second.kill()
        wait.until(lambda: (leader(consul) or [None])[0] == "first", "the first one has the lock again", ELECTION_S, 0.2)
        wait.until(lambda: first.sql("insert into t values (4)") is not None, "it is primary again", ELECTION_S, 0.2)
        assert first.sql("select string_agg(n::text, ' ' order by n) from t") == "1 2 4"
    except BaseException:
        for member in (first, second):
            print(f"--- {member.name} ---\n{member.process.output()}")
        raise
