"""User events of Consul's API: fired, kept by the agent that they are for, listed, waited for."""

import base64
import re

import pytest

from rig.consul import Waiting


def index_of(event):
    """The index that clients make of an event's id by themselves."""
    digits = event["ID"].replace("-", "")
    return int(digits[:16], 16) ^ int(digits[16:], 16)


def names(consul, **query):
    return [event["Name"] for event in consul.get("event/list", **query).json]


def test_an_event_is_told_as_it_was_fired(consul):
    assert consul.get("event/list").json == [] and consul.get("event/list").index == 1
    fired = consul.put("event/fire/deploy", b"\x00v2\xff", node="edge").json
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", fired["ID"])
    assert {key: fired[key] for key in fired if key != "ID"} == {
        "Name": "deploy", "Payload": base64.b64encode(b"\x00v2\xff").decode(), "NodeFilter": "edge",
        "ServiceFilter": "", "TagFilter": "", "Version": 1, "LTime": 1}
    assert consul.put("event/fire/a/b%20c").json["Payload"] is None
    reply = consul.get("event/list")
    assert reply.json[0] == fired and [event["Name"] for event in reply.json] == ["deploy", "a/b c"]
    assert reply.index == index_of(reply.json[1])
    assert consul.get("event/list", name="deploy").index == index_of(fired)
    assert names(consul, name="deploy") == ["deploy"] and names(consul, name="deplo") == []


FOR_US = [  # filters, kept by this agent?
    ({}, True),
    ({"node": "^edge1$"}, True),
    ({"node": "edge2"}, False),
    ({"service": "^we"}, True),
    ({"service": "^eb"}, False),
    ({"service": "db"}, False),  # only elsewhere
    ({"service": "web", "tag": "^v[12]$"}, True),
    ({"service": "web", "tag": "v3"}, False),
    ({"node": "edge", "service": "api:?", "tag": "^$"}, False),
]


def test_filters_decide_who_keeps_it(consul):
    consul.register("web", ID="x", Tags=["v2", "blue"])
    consul.register("api")
    consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "Service": {"Service": "db", "ID": "d"}})
    for filters, kept in FOR_US:
        fired = consul.put("event/fire/x", b"1", **filters)
        assert fired.status == 200
        assert (fired.json in consul.get("event/list").json) == kept, filters


REFUSED = [  # path, body, query, status, text
    ("event/fire/", None, {}, 400, "Missing name"),
    ("event/fire/_rexec", None, {}, 400, "begin with _"),
    ("event/fire/%ff", None, {}, 400, "UTF-8"),
    ("event/fire/x", None, {"tag": "a"}, 400, "Cannot provide tag filter without service filter"),
    ("event/fire/x", None, {"node": "("}, 400, "Invalid node filter"),
    ("event/fire/x", None, {"service": "["}, 400, "Invalid service filter"),
    ("event/fire/x", None, {"service": "a", "tag": "*"}, 400, "Invalid tag filter"),
    ("event/fire/x", b"x" * 512, {}, 413, "exceeds limit of 512 bytes"),
    ("event/fire/x", b"x" * 510, {"node": "ed"}, 413, "exceeds limit of 512 bytes"),
    ("event/fire/x", None, {"dc": "elsewhere"}, 500, "No path to datacenter"),
]


def test_what_is_refused_is_not_kept(consul):
    for path, body, query, status, text in REFUSED:
        reply = consul.put(path, body, **query)
        assert reply.status == status and text in reply.text, (path, query, reply)
    assert consul.get("event/fire/x").status == 405
    assert names(consul) == []
    assert consul.put("event/fire/x", b"x" * 511).status == 200


def test_a_filter_that_takes_too_long_is_refused(consul):
    for i in range(50):  # it is tried once, not on each of them
        consul.register("a" * 40 + f"b{i}")
    costly = "^(a|aa|aaa)*$"
    reply = consul.put("event/fire/x", b"1", service=costly)
    assert reply.status == 400 and "takes too long to match" in reply.text
    reply = consul.get("catalog/services", filter=f"ServiceName matches `{costly}`")
    assert reply.status == 400 and "takes too long to match" in reply.text
    assert names(consul) == []


def test_the_last_256_are_kept(consul):
    for i in range(300):
        assert consul.put(f"event/fire/e{i}").status == 200
    assert names(consul) == [f"e{i}" for i in range(44, 300)]
    assert consul.get("event/list").json[-1]["LTime"] == 300


@pytest.mark.parametrize("seen", [0, 1], ids=["none-yet", "one"])
def test_a_query_waits_for_an_event_of_its_name(consul, seen):
    for _ in range(seen):
        consul.put("event/fire/deploy", b"old")
    index = consul.get("event/list", name="deploy").index
    waiting = Waiting(consul, "event/list", name="deploy", index=index, wait="60s")
    consul.put("event/fire/other")
    consul.put("event/fire/deploy", b"not for us", node="^nobody$")
    assert waiting.waits()
    fired = consul.put("event/fire/deploy", b"new").json
    reply = waiting.result()
    assert reply.json[-1] == fired and len(reply.json) == seen + 1 and reply.index == index_of(fired)


def test_an_event_wakes_nobody_else_and_no_index_jumps(consul):
    consul.register("web")
    index = consul.get("catalog/service/web").index
    waiting = Waiting(consul, "health/state/any", index=consul.get("health/state/any").index, wait="60s")
    consul.put("event/fire/x")
    consul.get("event/list")
    assert waiting.waits()
    consul.register("web", Port=1)
    assert index < waiting.result().index < index + 100
