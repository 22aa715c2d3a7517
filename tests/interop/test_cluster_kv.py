"""Consul's keys and sessions of three hosts that share an etcd of three members: one store for all."""

import base64
import concurrent.futures
import contextlib
import threading
import time

import pytest

from rig import wait
from rig.cluster import Cluster
from rig.consul import There, Waiting

LONG_S = wait.PATIENCE_S * 3


def ready(*hosts):
    for host in hosts:
        wait.until(lambda host=host: host.get("kv/nothing").status == 404, "it has etcd's keys", timeout_s=LONG_S)


@pytest.fixture(scope="module")
def three():
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack, members=3)
        hosts = [There(cluster.host()) for _ in range(3)]
        ready(*hosts)
        yield cluster, *hosts


def test_what_one_host_puts_another_one_has(three):
    cluster, a, b, c = three
    assert a.put("kv/app/one", "first", flags=7).json is True
    row = b.value("app/one", consistent=None)
    assert (row["Value"], row["Flags"], row["LockIndex"]) == ("first", 7, 0)
    assert row["CreateIndex"] == row["ModifyIndex"] == a.value("app/one")["ModifyIndex"]
    index = b.get("kv/app/one").index
    asked = Waiting(b, "kv/app/one", index=index, wait="60s")
    assert asked.waits()
    assert c.put("kv/app/one", "second").json is True
    assert base64.b64decode(asked.result().json[0]["Value"]) == b"second" and asked.result().index > index
    assert a.put("kv/app/one", "third", cas=index).json is False
    assert a.put("kv/app/one", "third", cas=asked.result().json[0]["ModifyIndex"]).json is True
    assert c.value("app/one", consistent=None)["CreateIndex"] == row["CreateIndex"]
    for name in ("app/two", "app/deep/er", "apple"):
        assert b.put(f"kv/{name}", name).json is True
    assert c.get("kv/app/", keys=None, separator="/", consistent=None).json == ["app/deep/", "app/one", "app/two"]
    assert [row["Key"] for row in c.get("kv/app/", recurse=None).json] == ["app/deep/er", "app/one", "app/two"]
    assert a.request("DELETE", "kv/app/", recurse=None).json is True
    assert c.get("kv/", keys=None, consistent=None).json == ["apple"]
    assert a.request("DELETE", "kv/apple").json is True
    assert b.get("kv/apple", consistent=None).status == 404
    assert a.put("kv/big", "x" * (512 * 1024 + 1)).status == 413
    assert a.put("kv/big", "x" * (512 * 1024)).json is True
    assert len(b.value("big", consistent=None)["Value"]) == 512 * 1024
    a.request("DELETE", "kv/big")


def test_no_increment_of_three_hosts_is_lost(three):
    cluster, *hosts = three
    each = 1000 // 3 + 1

    def count_up(host):
        done = 0
        while done < each:
            row = host.value("count", consistent=None) or {"Value": "0", "ModifyIndex": 0}
            reply = host.put("kv/count", str(int(row["Value"]) + 1), cas=row["ModifyIndex"])
            assert reply.status == 200, reply
            done += reply.json
        return done

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = sum(pool.map(count_up, hosts))
    assert {host.value("count", consistent=None)["Value"] for host in hosts} == {str(done)}


def test_a_transaction_is_made_whole_or_not_at_all(three):
    cluster, a, b, c = three
    both = [{"KV": {"Verb": "set", "Key": f"txn/{n}", "Value": base64.b64encode(b"v").decode()}} for n in range(2)]
    made = a.put("txn", [*both, {"KV": {"Verb": "get", "Key": "txn/0"}}])
    assert made.status == 200, made
    index = b.value("txn/0", consistent=None)["ModifyIndex"]
    assert {row["KV"]["ModifyIndex"] for row in made.json["Results"]} == {index}
    stale = [{"KV": {"Verb": "delete", "Key": "txn/0"}}, {"KV": {"Verb": "check-index", "Key": "txn/1", "Index": index - 1}}]
    refused = b.put("txn", stale)
    assert refused.status == 409 and refused.json["Errors"][0]["OpIndex"] == 1
    assert c.value("txn/0", consistent=None)["ModifyIndex"] == index
    assert c.put("txn", [{"KV": {"Verb": "delete-tree", "Key": "txn/"}}]).status == 200
    assert a.get("kv/txn/", keys=None, consistent=None).status == 404


def test_a_lock_is_one_host_s_and_goes_on_when_it_lets_go(three):
    cluster, a, b, c = three
    mine, yours = a.session(Name="mine", LockDelay="2s"), b.session(Name="yours", TTL="10s")
    assert b.get(f"session/info/{mine}", consistent=None).json[0]["Node"] == "h1"
    assert {row["ID"] for row in c.get("session/list", consistent=None).json} == {mine, yours}
    assert [row["ID"] for row in c.get("session/node/h2").json] == [yours]
    assert b.put("kv/lock", "b", acquire=mine).json is True  # by any host
    row = c.value("lock", consistent=None)
    assert row["Session"] == mine and row["LockIndex"] == 1
    assert a.put("kv/lock", "a", acquire=yours).json is False
    assert b.put("kv/lock", "", release=mine).json is True
    assert a.put("kv/lock", "a", acquire=yours).json is True
    assert a.value("lock")["LockIndex"] == 2
    assert c.put(f"session/renew/{yours}").json[0]["ID"] == yours
    assert c.put("kv/lock", "", release=yours).json is True
    assert a.put("kv/lock", "a", acquire=mine).json is True
    assert c.put(f"session/destroy/{mine}").json is True
    assert a.value("lock", consistent=None).get("Session") is None
    assert a.put("kv/lock", "b", acquire=yours).json is False, "nobody may have it for a while"
    wait.until(lambda: a.put("kv/lock", "b", acquire=yours).json is True, "the delay is over", timeout_s=LONG_S)
    forget = c.session(Behavior="delete", LockDelay="0s")
    assert a.put("kv/gone", "x", acquire=forget).json is True
    assert b.put(f"session/destroy/{forget}").json is True
    assert c.get("kv/gone", consistent=None).status == 404
    assert a.put("kv/gone", "x", acquire=forget).status == 500
    assert a.put(f"session/renew/{forget}").status == 404
    check = {"ID": "ill", "Name": "ill", "TTL": "10m", "Status": "passing"}
    assert a.put("agent/check/register", check).status == 200
    ends = a.session(NodeChecks=["serfHealth", "ill"])
    a.put("agent/check/fail/ill")
    wait.until(lambda: b.get(f"session/info/{ends}").json == [], "it ends with its check", timeout_s=LONG_S)
    a.put("agent/check/deregister/ill")
    b.put(f"session/destroy/{yours}")


def test_writes_go_on_when_etcd_s_leader_is_killed_and_each_is_made_once(three):
    cluster, *hosts = three
    end = threading.Event()

    def count_up(number, host):
        """(how many were made, how many are not known)"""
        done = unknown = 0
        while not end.is_set():
            row = host.get(f"kv/leader/{number}", stale=None)
            index = row.json[0]["ModifyIndex"] if row.status == 200 else 0
            value = int(base64.b64decode(row.json[0]["Value"])) if index else 0
            reply = host.put(f"kv/leader/{number}", str(value + 1), cas=index)
            assert reply.status == 200 or "etcd" in reply.text, reply
            done += reply.status == 200 and reply.json
            unknown += "may be made" in reply.text
        return done, unknown

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        counts = [pool.submit(count_up, number, host) for number, host in enumerate(hosts)]
        try:
            wait.until(lambda: all(host.value(f"leader/{n}") for n, host in enumerate(hosts)), "each has begun", timeout_s=LONG_S)
            killed = cluster.etcd.leader()
            cluster.etcd.kill(killed)
            before = {n: host.value(f"leader/{n}", stale=None)["ModifyIndex"] for n, host in enumerate(hosts)}
            wait.until(lambda: all(host.value(f"leader/{n}", stale=None)["ModifyIndex"] > before[n] for n, host in enumerate(hosts)),
                       "each goes on", timeout_s=LONG_S)
        finally:
            end.set()
        counts = [count.result() for count in counts]
    cluster.etcd.start(killed)
    ready(*hosts)
    for number, (done, unknown) in enumerate(counts):
        assert done <= int(hosts[0].value(f"leader/{number}", consistent=None)["Value"]) <= done + unknown


def test_without_etcd_what_was_known_is_read_by_stale_and_nothing_is_half_done(three):
    cluster, a, b, c = three
    assert a.put("kv/away/0", "kept").json is True
    session = a.session(TTL="10s")
    wait.until(lambda: b.value("away/0"), "b has it", timeout_s=LONG_S)
    cluster.etcd.kill_all()
    refused = wait.until(lambda: (lambda reply: reply.status == 500 and reply)(b.get("kv/away/0")), "etcd is missed", timeout_s=LONG_S)
    assert "No cluster leader" in refused.text and "?stale" in refused.text
    reply = b.get("kv/away/0", stale=None)
    assert base64.b64decode(reply.json[0]["Value"]) == b"kept"
    assert reply.headers["X-Consul-Knownleader"] == "false" and int(reply.headers["X-Consul-Lastcontact"]) > 1000
    txn = [{"KV": {"Verb": "set", "Key": f"away/{n}", "Value": "eA=="}} for n in range(3)]
    for reply in (b.put("kv/away/0", "lost"), b.put("txn", txn), b.put("session/create", {}), b.request("DELETE", "kv/away", recurse=None),
                  b.put(f"session/destroy/{session}"), b.get("kv/away/0", consistent=None)):
        assert reply.status == 500 and "etcd is away" in reply.text, reply
    cluster.etcd.start_all()
    ready(*(host for host in (a, b, c)))
    rows = c.get("kv/away", recurse=None, consistent=None).json
    assert [(row["Key"], base64.b64decode(row["Value"])) for row in rows] == [("away/0", b"kept")]
    reply = c.get("kv/away/0")
    assert (reply.headers["X-Consul-Knownleader"], reply.headers["X-Consul-Lastcontact"]) == ("true", "0")
    assert b.get(f"session/info/{session}").json, "a lease does not end while etcd is away"


def test_what_is_no_key_or_session_in_etcd_is_left_out(three):
    cluster, a, b, c = three
    base = "/sluice/v1-kv/"
    for key, value in (("k/bad", "no json"), ("k/bad2", "[]"), ("k/bad3", '["*"]'), ("s/x", "{}"), ("s/" + "a" * 36, '{"Node": 7}'),
                       ("s/" + "b" * 36, '{"Node": "h1", "Owner": "h1", "TTL": "x"}'), ("st/x", ""), ("sh/x", ""), ("d/x", "99999999999999999999"),
                       ("z/x", ""), ("k/" + "y" * 600, '["eA==",0,0,0,0,""]')):
        cluster.etcd.put(base + key, value)
    cluster.etcd.put(base + "k/good", '["eA==",0,0,0,0,"nobody"]')
    wait.until(lambda: a.value("good"), "one is as it should be", timeout_s=LONG_S)
    assert a.value("good")["Value"] == "x" and a.get("kv/bad", keys=None).status == 404
    assert a.put("kv/good", "y").json is True
    cluster.etcd.put(base + "k/good", "no json")
    wait.until(lambda: b.get("kv/good").status == 404, "it is not what it was before, either", timeout_s=LONG_S)
    cluster.etcd.ctl("del", "--prefix", base + "k/")
    wait.until(lambda: a.get("kv/", keys=None).json == [], "all are gone", timeout_s=LONG_S)


def test_a_killed_holder_s_lock_is_free_after_its_time(three):
    cluster, a, b, c = three
    holder = There(cluster.host(alive_s=4))
    ready(holder)
    there, ttl = holder.session(LockDelay="1s"), holder.session(NodeChecks=[], TTL="10s", LockDelay="1s")
    assert holder.put("kv/by/host", "", acquire=there).json is True
    assert holder.put("kv/by/ttl", "", acquire=ttl).json is True
    mine = b.session()
    assert [b.put(f"kv/by/{what}", "", acquire=mine).json for what in ("host", "ttl")] == [False, False]
    began = time.monotonic()
    holder.daemon.kill()
    for what in ("host", "ttl"):
        wait.until(lambda what=what: b.put(f"kv/by/{what}", "", acquire=mine).json is True, f"the lock is free by {what}", timeout_s=LONG_S)
    assert time.monotonic() - began > 20, "a session lasts twice its TTL"
    assert {c.value(f"by/{what}", consistent=None)["Session"] for what in ("host", "ttl")} == {mine}
    wait.until(lambda: c.get(f"session/info/{ttl}").json == c.get(f"session/info/{there}").json == [], "both are over", timeout_s=LONG_S)
