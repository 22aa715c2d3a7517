"""Many who wait for one change: each is told what it asked for, whoever else waits."""

import http.client
import json

import pytest

from rig.consul import Consul
from rig.ports import free_port
from rig.wait import until

# What distinguishes the answers; each of them is asked for by several, in turn.
QUESTIONS = ["health/service/web", "health/service/web?pretty", "health/service/web?passing",
             "health/service/web?passing=false", "health/service/web?tag=blue", "health/service/web?tag=green",
             "health/service/web?filter=Service.Port==81", "health/service/web?filter=Service.Port!=81",
             "health/service/web?near=_agent&tag=blue", "health/checks/web", "catalog/service/web",
             "catalog/service/web?tag=blue", "catalog/service/web?tag=b%6Cue"]
# ... and what does not.
ALIKE = ["", "&stale", "&consistent", "&wait=61s"]
EACH = 3


@pytest.fixture
def consul(start_sluiced):
    port = free_port()
    start_sluiced({"control": {"http": f"127.0.0.1:{port}", "node": "edge1"}})
    return Consul(port)


def parked(consul):
    metrics = consul.get("/metrics").text
    return next(int(line.split()[1]) for line in metrics.splitlines() if line.startswith("sluice_http_parked_queries "))


def ask(consul, question, index, alike):
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=30)
    connection.request("GET", f"/v1/{question}{'&' if '?' in question else '?'}index={index}&wait=60s{alike}")
    return connection


def test_each_of_many_is_told_what_it_asked_for(consul):
    consul.register("web", ID="a", Address="10.1.0.1", Port=80, Tags=["blue"])
    consul.register("web", ID="b", Address="10.1.0.2", Port=81, Tags=["green"],
                    Checks=[{"TTL": "1h"}])
    index = consul.get("health/service/web").index
    asked = [(question, alike) for _ in range(EACH) for alike in ALIKE for question in QUESTIONS]
    waiting = [ask(consul, question, index, alike) for question, alike in asked]
    try:
        until(lambda: parked(consul) == len(asked), "all wait")
        consul.register("web", ID="c", Address="10.1.0.3", Port=82, Tags=["blue", "green"])
        answers = [connection.getresponse() for connection in waiting]
        told = [(answer.status, int(answer.headers["X-Consul-Index"]), answer.headers["X-Consul-Effective-Consistency"],
                 answer.read()) for answer in answers]
    finally:
        for connection in waiting:
            connection.close()
    now = consul.get("health/service/web").index
    assert now > index
    fresh = {question: consul.get(question).body for question in QUESTIONS}
    for (question, alike), answer in zip(asked, told):
        consistency = alike[1:] if alike in ("&stale", "&consistent") else "leader"
        assert answer == (200, now, consistency, fresh[question]), (question, alike)
    assert len(json.loads(fresh["health/service/web?tag=blue"])) == 2
    assert len(set(fresh.values())) >= 8  # the questions do differ


def test_who_waits_again_is_told_the_next_change(consul):
    consul.register("web", ID="a", Port=80)
    for port in (81, 82, 83):
        index = consul.get("health/service/web").index
        waiting = [ask(consul, "health/service/web", index, "") for _ in range(20)]
        try:
            until(lambda: parked(consul) == 20, "all wait")
            consul.register("web", ID="a", Port=port)
            for connection in waiting:
                assert json.loads(connection.getresponse().read())[0]["Service"]["Port"] == port
        finally:
            for connection in waiting:
                connection.close()
