"""Consul's keys and sessions of three hosts that share an etcd of three members: one store for all."""

import base64
import concurrent.futures
import contextlib
import json
import time

import pytest

from rig import wait
from rig.cluster import Cluster
from rig.consul import Consul, Waiting

LONG_S = wait.PATIENCE_S * 3


class There(Consul):
    """The API of a daemon in its namespace."""

    def __init__(self, daemon):
        super().__init__(8500)
        self.daemon = daemon

    def request(self, *args, **fields):
        return self.daemon.ns.do(lambda: super(There, self).request(*args, **fields))

    def value(self, key, **query):
        """The row of a key, with its value as text; None: there is none."""
        reply = self.get(f"kv/{key}", **query)
        if reply.status == 404:
            return None
        assert reply.status == 200, reply
        row = reply.json[0]
        return {**row, "Value": base64.b64decode(row["Value"] or "").decode()}

    def session(self, **fields):
        reply = self.put("session/create", fields)
        assert reply.status == 200, reply
        return reply.json["ID"]


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
