"""Keys, sessions and locks of Consul's HTTP API."""

import base64
import json
import re

import pytest

from rig import journal
from rig.consul import Waiting


def value(reply):
    return base64.b64decode(reply.json[0]["Value"])


def test_keys(consul):
    assert consul.get("kv/a").status == 404
    assert consul.put("kv/a/b", b"\x00one\xff", flags=7).json is True
    reply = consul.get("kv/a/b")
    entry = reply.json[0]
    assert value(reply) == b"\x00one\xff" and entry["Flags"] == 7 and entry["Key"] == "a/b"
    assert entry["CreateIndex"] == entry["ModifyIndex"] == reply.index
    assert consul.get("kv/a/b", raw=None).body == b"\x00one\xff"
    consul.put("kv/a/c", b"two")
    consul.put("kv/a/d/e", b"")
    assert [entry["Key"] for entry in consul.get("kv/a/", recurse=None).json] == ["a/b", "a/c", "a/d/e"]
    assert consul.get("kv/a/d/e").json[0]["Value"] is None
    assert consul.get("kv/a/", keys=None).json == ["a/b", "a/c", "a/d/e"]
    assert consul.get("kv/a/", keys=None, separator="/").json == ["a/b", "a/c", "a/d/"]
    assert consul.request("DELETE", "kv/a/b").json is True
    assert consul.get("kv/a/b").status == 404
    assert consul.request("DELETE", "kv/a", recurse=None).json is True
    assert consul.get("kv/", recurse=None).status == 404


def test_keys_compare_and_set(consul):
    assert consul.put("kv/a", b"1", cas=5).json is False
    assert consul.put("kv/a", b"1", cas=0).json is True
    assert consul.put("kv/a", b"2", cas=0).json is False
    modified = consul.get("kv/a").json[0]["ModifyIndex"]
    assert consul.put("kv/a", b"2", cas=modified).json is True
    assert consul.request("DELETE", "kv/a", cas=modified).json is False
    assert value(consul.get("kv/a")) == b"2"


def test_what_compares_with_nothing_deletes_nothing(consul):
    consul.put("kv/a", b"1")
    assert consul.request("DELETE", "kv/a", cas=0).json is False
    for method in ("PUT", "DELETE"):
        reply = consul.request(method, "kv/a?cas=", b"2" if method == "PUT" else None)
        assert (reply.status, reply.text) == (400, 'Invalid cas: "" is no number')
    assert value(consul.get("kv/a")) == b"1"
    assert consul.request("DELETE", "kv/b", cas=3).json is True  # it is not there: as it should be


def test_a_key_must_be_named(consul):
    consul.put("kv/a", b"1")
    for method in ("GET", "DELETE"):
        reply = consul.request(method, "kv/")
        assert (reply.status, reply.text) == (400, "Missing key name")
    assert consul.request("PUT", "kv/", b"x").text == "Missing key name"
    assert consul.get("kv/", keys=None).json == ["a"]
    assert [entry["Key"] for entry in consul.get("kv/", recurse=None).json] == ["a"]
    assert consul.request("DELETE", "kv/", recurse=None).json is True  # all of them
    assert consul.get("kv/", recurse=None).status == 404
    assert consul.get("kv/", keys=None).json == []
    assert consul.get("kv/b", keys=None).status == 404


def test_what_cannot_be_meant_together_is_refused(consul):
    session = consul.put("session/create").json["ID"]
    for query in (f"cas=0&acquire={session}", f"acquire={session}&release={session}", f"release={session}&cas=0"):
        reply = consul.request("PUT", f"kv/a?{query}", b"x")
        assert reply.status == 400 and reply.text.startswith("Conflicting flags"), (query, reply)
    assert consul.get("kv/a").status == 404
    consul.put("kv/a/b", b"x")
    assert consul.request("DELETE", "kv/a?recurse&cas=0").status == 400
    assert consul.get("kv/a/b").status == 200


@pytest.mark.parametrize("flags", [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 0xe0f69a2baa414de0, 2**64 - 1])
def test_flags_have_64_bits(start_consul, flags):
    """0xe0f69a2baa414de0 is what marks a semaphore of Consul's own client."""
    daemon, consul = start_consul()
    assert consul.put("kv/a", b"x", flags=flags, durable=None).json is True
    for options in ({}, {"pretty": None}, {"recurse": None}, {"recurse": None, "pretty": None}):
        assert consul.get("kv/a", **options).json[0]["Flags"] == flags
    daemon.kill()
    daemon.start()
    assert consul.get("kv/a").json[0]["Flags"] == flags


@pytest.mark.parametrize("flags", [2**64, -1, "1x", "", "0x1", "1.0"])
def test_what_are_no_flags(consul, flags):
    reply = consul.request("PUT", f"kv/a?flags={flags}", b"x")
    assert reply.status == 400 and "Invalid flags" in reply.text
    assert consul.get("kv/a").status == 404


def test_pretty_is_the_same_in_lines(consul):
    consul.put("kv/a", 'say "{[,:]}" \\ twice')
    consul.put('kv/b%22%5C%7B', b"")
    for query in ("kv/a?", "kv/?recurse", "kv/?keys"):
        short, pretty = consul.get(query), consul.get(f"{query}&pretty")
        assert json.loads(short.body) == json.loads(pretty.body)
        assert pretty.text == json.dumps(short.json, indent=4)


def test_what_is_there_already_changes_nothing(consul):
    consul.put("kv/a", b"1", flags=3)
    before = consul.get("kv/a")
    assert consul.put("kv/a", b"1", flags=3).json is True
    assert consul.get("kv/a").body == before.body
    assert consul.put("kv/a", b"1", flags=4).json is True
    assert consul.get("kv/a").index > before.index


def test_a_key_has_its_own_index(consul):
    """What is deleted elsewhere does not wake who waits for it."""
    consul.put("kv/a", b"1")
    consul.put("kv/b", b"1")
    index = consul.get("kv/a").index
    waiting = Waiting(consul, "kv/a", index=index, wait="60s")
    consul.request("DELETE", "kv/b")
    assert waiting.waits()
    assert consul.get("kv/a").index == index
    consul.put("kv/a", b"2")
    assert waiting.result().index > index


def test_a_raw_query_waits(consul):
    consul.put("kv/a", b"1")
    reply = consul.get("kv/a", raw=None)
    assert reply.body == b"1" and reply.headers["Content-Type"] == "application/octet-stream"
    waiting = Waiting(consul, "kv/a", raw=None, index=reply.index, wait="60s")
    assert waiting.waits()
    consul.put("kv/a", b"2")
    now = waiting.result()
    assert now.body == b"2" and now.index > reply.index
    waiting = Waiting(consul, "kv/a", raw=None, index=now.index, wait="60s")
    consul.request("DELETE", "kv/a")
    assert waiting.result().status == 404


def test_keys_are_bounded(consul):
    assert consul.put("kv/a", b"x" * (512 * 1024 + 1)).status == 413
    assert consul.put("kv/a", b"x" * (512 * 1024)).json is True
    assert consul.put("kv/" + "k" * 512, b"x").json is True
    for length in (513, 10_000):
        reply = consul.put("kv/" + "k" * length, b"x")
        assert reply.status == 400 and "longer than 512 bytes" in reply.text
    assert consul.put("kv/", b"x").status == 400


def test_a_query_waits_for_its_key(consul):
    consul.put("kv/a/b", b"1")
    seen = consul.get("kv/a/b").index
    waiting = Waiting(consul, "kv/a/b", index=seen, wait="60s")
    consul.put("kv/x", b"1")
    assert waiting.waits()
    consul.put("kv/a/b", b"2")
    reply = waiting.result()
    assert value(reply) == b"2" and reply.index > seen
    waiting = Waiting(consul, "kv/a/", index=reply.index, wait="60s", recurse=None)
    consul.request("DELETE", "kv/a/b")
    assert waiting.result().status == 404


def test_locks(consul):
    first, second = (consul.put("session/create", {"Name": name, "LockDelay": "0s"}).json["ID"] for name in "ab")
    assert consul.put("kv/lock", b"1", acquire=first).json is True
    assert consul.put("kv/lock", b"2", acquire=second).json is False
    entry = consul.get("kv/lock").json[0]
    assert entry["Session"] == first and entry["LockIndex"] == 1
    assert consul.put("kv/lock", b"1", release=second).json is False
    assert consul.put("kv/lock", b"1", release=first).json is True
    assert consul.put("kv/lock", b"2", acquire=second).json is True
    assert consul.put("kv/lock", b"2", acquire="nosuch").status == 500
    assert consul.get(f"session/info/{second}").json[0]["Name"] == "b"
    assert len(consul.get("session/list").json) == len(consul.get("session/node/edge1").json) == 2
    assert consul.put(f"session/renew/{second}").json[0]["ID"] == second
    assert consul.put(f"session/destroy/{second}").json is True
    assert "Session" not in consul.get("kv/lock").json[0]
    assert consul.put(f"session/renew/{second}").status == 404
    third = consul.put("session/create", {"Behavior": "delete"}).json["ID"]
    assert consul.put("kv/lock", b"3", acquire=third).json is True
    consul.put(f"session/destroy/{third}")
    assert consul.get("kv/lock").status == 404


def test_keys_survive_a_crash(start_consul):
    daemon, consul = start_consul()
    for length in range(5):
        consul.put(f"kv/{length}", b"\x00" * length, flags=length)
    consul.put("kv/gone", b"x")
    consul.request("DELETE", "kv/gone", durable=None)
    daemon.kill()
    daemon.start()
    for length in range(5):
        assert consul.get(f"kv/{length}", raw=None).body == b"\x00" * length
        assert consul.get(f"kv/{length}").json[0]["Flags"] == length


INDEXES = ("CreateIndex", "ModifyIndex", "LockIndex")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_indexes_of_keys_survive(start_consul, end):
    daemon, consul = start_consul()
    session = consul.put("session/create", {"Name": "holder", "Behavior": "delete"}).json["ID"]
    for key in ("same", "changed", "locked"):
        consul.put(f"kv/{key}", b"1")
    before = consul.get("kv/changed").json[0]["ModifyIndex"]
    consul.put("kv/changed", b"2")
    consul.put("kv/locked", b"2", acquire=session, durable=None)
    told = {entry["Key"]: entry for entry in consul.get("kv/", recurse=None).json}
    index = consul.get("kv/", recurse=None).index
    getattr(daemon, end)()
    daemon.start()
    now = {entry["Key"]: entry for entry in consul.get("kv/", recurse=None).json}
    assert now == told and now["locked"]["LockIndex"] == 1 and now["locked"]["Session"] == session
    assert consul.get("kv/", recurse=None).index > index  # of what this life may have lost
    assert consul.put("kv/changed", b"3", cas=before).json is False
    assert consul.put("kv/same", b"3", cas=told["same"]["ModifyIndex"]).json is True
    after = consul.get("kv/same").json[0]
    assert after["CreateIndex"] == told["same"]["CreateIndex"] and after["ModifyIndex"] > index
    assert consul.put("kv/locked", b"3", release=session).json is True  # the session is still there, and holds it


def test_what_is_kept_without_indexes_is_read(start_consul):
    """Records of earlier versions: the value and the flags, above 2^63 as a negative number."""
    daemon, consul = start_consul()
    consul.put("kv/x", b"x", durable=None)
    daemon.kill()
    journal.append(daemon.state / "registry.log", ("kv/x", '["MQ==",-1]'))
    daemon.start()
    entry = consul.get("kv/x").json[0]
    assert (base64.b64decode(entry["Value"]), entry["Flags"]) == (b"1", 2**64 - 1)
    assert entry["CreateIndex"] == entry["ModifyIndex"] > 0
    daemon.kill()
    daemon.start()
    assert consul.get("kv/x").json == [entry]


def kv_gauges(consul):
    page = consul.request("GET", "/metrics").text
    return [int(float(re.search(rf"^sluice_kv_{name} (\S+)$", page, re.M)[1])) for name in ("keys", "bytes", "limit_bytes")]


def test_all_keys_and_values_together_are_bounded(start_consul):
    daemon, consul = start_consul(kv_mb=1)
    assert kv_gauges(consul) == [0, 0, 1 << 20]
    assert consul.put("kv/a", b"x" * 500_000).status == consul.put("kv/b", b"x" * 500_000).status == 200
    reply = consul.put("kv/c", b"x" * 100_000)
    assert reply.status == 507 and "control.kv_mb" in reply.text, reply
    assert consul.get("kv/c").status == 404
    assert consul.put("kv/a", b"x" * 500_001).status == 200  # within what is left
    assert consul.put("kv/a", b"y" * 400_000).status == 200
    assert consul.put("kv/c", b"x" * 100_000).status == 200
    before = kv_gauges(consul)
    assert before[0] == 3 and 1_000_000 < before[1] <= before[2]
    consul.request("DELETE", "kv/", recurse=None)
    assert kv_gauges(consul) == [0, 0, 1 << 20]


def test_keys_count_and_not_only_values(start_consul):
    _, consul = start_consul(kv_mb=1)
    taken = next(i for i in range(10_000) if consul.put(f"kv/{'k' * 490}{i:05}").status == 507)
    assert 1000 < taken < 2000
    assert kv_gauges(consul)[0] == taken
    assert consul.put(f"kv/{'k' * 490}{0:05}").status == 200  # no larger than it is


def test_what_is_kept_stays_when_the_bound_becomes_smaller(start_consul):
    daemon, consul = start_consul(kv_mb=2)
    for key in "abc":
        assert consul.put(f"kv/{key}", b"x" * 500_000, durable=None).status == 200
    daemon.stop()
    daemon.write_config({"control": {"http": f"127.0.0.1:{consul.port}", "kv_mb": 1}})
    daemon.start()
    assert [len(consul.get(f"kv/{key}", raw=None).body) for key in "abc"] == [500_000] * 3
    assert consul.put("kv/d", b"x").status == 507
    assert consul.put("kv/a", b"x").status == 200
    assert consul.put("kv/d", b"x").status == 200
