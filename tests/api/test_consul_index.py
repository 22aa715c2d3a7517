"""
The index of each view: never lower than it was, never the same for something else, and at least 1, from the first answer
on and across ends and crashes of the daemon. Who asks with one that he was given is answered if there is anything new, and
waits if not.
"""

import os
import random
import re

import pytest

from rig.consul import Waiting

ROUNDS = int(os.environ.get("SLUICE_ROUNDS", "150"))

VIEWS = {
    "health/service/web": {}, "health/service/gone": {}, "health/checks/web": {}, "health/state/any": {}, "health/node/edge1": {},
    "catalog/services": {}, "catalog/service/web": {}, "catalog/nodes": {}, "catalog/node/edge1": {},
    "kv/": {"recurse": None}, "kv/a": {}, "kv/b": {"raw": None}, "/v1/kv/": {"keys": None}, "kv/none": {}, "session/list": {}, "session/node/edge1": {},
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_fresh_daemon_has_its_askers_wait_for_the_first_change(consul, view):
    index = consul.get(view, **VIEWS[view]).index
    assert index >= 1
    waiting = Waiting(consul, view, index=index, wait="500ms", **VIEWS[view])
    assert waiting.waits()
    assert waiting.result().index == index


def test_the_first_change_is_not_slept_through(consul):
    seen = {view: consul.get(view, **options) for view, options in VIEWS.items()}
    consul.register("web", ID="w1", Port=80, Check={"TTL": "60s"})
    consul.put("kv/a", "1")
    consul.put("session/create")
    for view, options in VIEWS.items():
        now = consul.get(view, **options)
        if now.body != seen[view].body:
            assert now.index > seen[view].index, view
            assert consul.get(view, index=seen[view].index, wait="60s", **options).index > seen[view].index, view


def without_output(reply):
    """What a check last said is no change of its health: nobody is woken for it, here as with Consul."""
    return re.sub(rb'"Output":"[^"]*"', b"", reply.body)


class Watcher:
    """Holds what it is told of one view against all that it was told of it before."""

    def __init__(self, view):
        self.view, self.options, self.told, self.last = view, VIEWS[view], {}, None

    def look(self, consul):
        reply = consul.get(self.view, **self.options)
        reply.body = without_output(reply)
        assert reply.index >= 1
        assert self.told.setdefault(reply.index, reply.body) == reply.body, \
            f"{self.view}: index {reply.index} was given to something else"
        if self.last:
            assert reply.index >= self.last.index, f"{self.view}: the index fell"
            if reply.body != self.last.body:  # a query that waits must have seen that
                later = consul.get(self.view, index=self.last.index, wait="60s", **self.options)
                assert later.index > self.last.index
        self.last = reply


def instance(draw):
    return f"w{draw.randrange(4)}"


def transact(draw, consul):
    """Some operations on keys, which may fail together."""
    session = draw.choice([one["ID"] for one in consul.get("session/list").json] or ["none"])
    ops = []
    for _ in range(draw.randrange(1, 5)):
        verb = draw.choice(("set", "set", "delete", "delete-tree", "cas", "lock", "unlock", "get-tree", "check-not-exists"))
        ops.append({"KV": {"Verb": verb, "Key": draw.choice("abc"), "Value": draw.choice(("MA==", "MQ==")), "Session": session}})
    assert consul.put("txn", ops).status in (200, 409)


def make_session(draw, consul):
    """One that depends on nothing, or on what the other changes make critical, leave and take."""
    checks = draw.choice(({}, {"ServiceChecks": [{"ID": f"service:{instance(draw)}"}]}, {"Node": "edge2"}))
    behavior = draw.choice(("release", "delete"))
    assert consul.put("session/create", {"Behavior": behavior, "LockDelay": "0s", **checks}).status in (200, 500)


def change(draw, daemon, consul):
    """Does something; says what."""
    what = draw.choice(("register", "register", "deregister", "pass", "fail", "put", "put", "delete", "txn", "txn", "session", "session", "lock", "lock", "destroy",
                        "maintenance", "catalog", "uncatalog", "restart", "crash"))
    if what == "register":
        consul.put("agent/service/register", {"Name": draw.choice(("web", "web", "db")), "ID": instance(draw),
                                              "Port": draw.randrange(1, 9), "Check": {"TTL": "600s"}}, durable=None)
    elif what == "deregister":
        consul.deregister(instance(draw))
    elif what in ("pass", "fail"):
        consul.put(f"agent/check/{what}/service:{instance(draw)}", note=draw.choice("xyz"))
    elif what == "put":
        consul.put(f"kv/{draw.choice('abc')}", str(draw.randrange(3)))
    elif what == "delete":
        consul.request("DELETE", f"kv/{draw.choice('abc')}")
    elif what == "txn":
        transact(draw, consul)
    elif what == "session":
        make_session(draw, consul)
    elif what == "lock":
        if sessions := consul.get("session/list").json:
            consul.put(f"kv/{draw.choice('abc')}", draw.choice("xy"), **{draw.choice(("acquire", "release")): draw.choice(sessions)["ID"]})
    elif what == "destroy":
        for one in consul.get("session/list").json[::2]:
            consul.put(f"session/destroy/{one['ID']}")
    elif what == "maintenance":
        consul.put(f"agent/service/maintenance/{instance(draw)}", enable=draw.choice(("true", "false")))
    elif what == "catalog":
        consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "Service": {"Service": "web", "ID": "c1"}})
    elif what == "uncatalog":
        consul.put("catalog/deregister", {"Node": "edge2"})
    elif what == "restart":
        daemon.stop()
        daemon.start()
    else:
        daemon.kill()
        daemon.start()
    return what


@pytest.mark.parametrize("seed", range(2))
def test_an_index_says_one_thing_for_ever(start_consul, seed):
    draw, (daemon, consul) = random.Random(seed), start_consul()
    watchers, done = [Watcher(view) for view in VIEWS], []
    try:
        for _ in range(ROUNDS):
            for watcher in watchers:
                watcher.look(consul)
            done.append(change(draw, daemon, consul))
        for watcher in watchers:
            watcher.look(consul)
    finally:
        print(f"seed {seed}:", *done)
    assert {"restart", "crash", "register", "put", "txn", "session", "lock"} <= set(done)
