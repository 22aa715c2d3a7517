"""Two Patronis on two hosts, each of which speaks to its own daemon, are one PostgreSQL by the keys that the daemons share."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from rig import wait
from rig.cluster import Cluster
from rig.consul import There
from rig.patroni import ELECTION_S, Member, account, leader


@contextlib.contextmanager
def members(hosts, user):
    """One on each host."""
    folder = Path(tempfile.mkdtemp(prefix=f"sluice-patroni-{os.getpid()}-", dir="/tmp"))
    os.chmod(folder, 0o755)
    both = [Member(f"m{n + 1}", host, folder, user, ns=host.daemon.ns, address=f"10.99.0.{n + 1}") for n, host in enumerate(hosts)]
    try:
        yield both
    except BaseException:
        for member in both:
            print(f"--- {member.name} ---\n{member.process.output() if member.process else 'not begun'}")
        raise
    finally:
        for member in both:
            member.close()
        shutil.rmtree(folder, ignore_errors=True)


def becomes(member, role):
    wait.until(lambda: member.role() == role, f"{member.name} is {role}", ELECTION_S, 0.2)


def test_the_other_host_s_member_is_primary_when_the_first_host_s_daemon_is_killed():
    user = account()
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack, members=3)
        h1, h2 = hosts = [There(cluster.host()) for _ in range(2)]
        for host in hosts:
            wait.until(lambda host=host: host.get("kv/nothing").status == 404, "it has etcd's keys", ELECTION_S)
        m1, m2 = stack.enter_context(members(hosts, user))
        m1.start()
        becomes(m1, "master")
        m2.start()
        becomes(m2, "replica")
        assert leader(h2)[0] == leader(h1)[0] == "m1"
        assert m1.sql("create table t as select 1 as n") is not None
        wait.until(lambda: m2.sql("select n from t") == "1", "the copy has the row", ELECTION_S, 0.2)
        h1.daemon.kill()
        wait.until(lambda: m1.sql("insert into t values (9)") is None, "who cannot renew its lock takes nothing", ELECTION_S, 0.2)
        wait.until(lambda: (leader(h2) or [None])[0] == "m2", "the other one has the lock", ELECTION_S, 0.2)
        becomes(m2, "master")
        assert m2.sql("insert into t values (2)") is not None
        h1.daemon.start()
        wait.until(lambda: m1.role() == "replica" and m1.sql("select count(*) from t where n = 2") == "1", "the first one follows",
                   ELECTION_S, 0.2)
        assert leader(h1)[0] == "m2"
