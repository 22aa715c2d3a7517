"""Queries of Consul's HTTP API that wait until what they ask for changes."""

import socket

from rig.consul import Waiting


def test_a_query_waits_for_its_service_only(consul):
    consul.register("web", Port=80)
    consul.register("db", Port=81)
    seen = consul.get("health/service/web").index
    waiting = Waiting(consul, "health/service/web", index=seen, wait="60s")
    consul.register("db", Port=82)
    assert waiting.waits()
    consul.register("web", Port=83)
    reply = waiting.result()
    assert reply.index > seen and reply.json[0]["Service"]["Port"] == 83


def test_a_query_for_names_waits_for_first_and_last_instances(start_consul):
    """A service that somebody else defined is listed while it has instances, with or without tags."""
    daemon, consul = start_consul()
    daemon.rpc("service.add", name="web")
    reply = consul.get("catalog/services")
    assert reply.json == {"consul": []}
    for change, listed in ((lambda: consul.register("web", ID="w1"), {"consul": [], "web": []}),
                           (lambda: consul.deregister("w1"), {"consul": []})):
        waiting = Waiting(consul, "catalog/services", index=reply.index, wait="60s")
        change()
        reply = waiting.result()
        assert reply.json == listed


def test_a_query_notices_that_its_service_is_gone_and_back(consul):
    consul.register("web")
    seen = consul.get("catalog/service/web").index
    waiting = Waiting(consul, "catalog/service/web", index=seen, wait="60s")
    consul.deregister("web")
    reply = waiting.result()
    assert reply.json == [] and reply.index > seen
    waiting = Waiting(consul, "catalog/service/web", index=reply.index, wait="60s")
    assert waiting.waits()
    consul.register("web")
    assert len(waiting.result().json) == 1


def test_catalog_services_waits_for_names_and_tags(consul):
    consul.register("web", Port=80, Tags=["a"])
    seen = consul.get("catalog/services").index
    waiting = Waiting(consul, "catalog/services", index=seen, wait="60s")
    consul.register("web", Port=81, Tags=["a"])
    consul.register("web", Port=81, Tags=["b"])
    assert waiting.result().json["web"] == ["b"]


def test_nodes_wait_for_nodes(consul):
    seen = consul.get("catalog/nodes").index
    waiting = Waiting(consul, "catalog/nodes", index=seen, wait="60s")
    consul.register("web")
    assert waiting.waits()
    consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2"})
    assert len(waiting.result().json) == 2


def test_a_query_ends_when_its_time_is_up(consul):
    consul.register("web")
    seen = consul.get("health/service/web").index
    reply = consul.get("health/service/web", index=seen, wait="50ms")
    assert reply.status == 200 and reply.index == seen


def test_an_index_of_another_time_is_answered_at_once(consul):
    assert consul.get("health/service/web", index=10**12, wait="600s").status == 200
    assert consul.get("health/service/web", index=0, wait="600s").status == 200


def test_agent_service_waits_by_hash(consul):
    consul.register("web", Port=80)
    reply = consul.get("agent/service/web")
    known = reply.headers["X-Consul-ContentHash"]
    assert known == reply.json["ContentHash"]
    waiting = Waiting(consul, "agent/service/web", hash=known, wait="60s")
    consul.register("db")
    assert waiting.waits()
    consul.register("web", Port=81)
    reply = waiting.result()
    assert reply.json["Port"] == 81 and reply.headers["X-Consul-ContentHash"] != known
    waiting = Waiting(consul, "agent/service/web", hash=reply.headers["X-Consul-ContentHash"], wait="60s")
    consul.deregister("web")
    assert waiting.result().status == 404


def test_who_hangs_up_is_forgotten(start_consul):
    daemon, consul = start_consul()
    consul.register("web")
    seen = consul.get("health/service/web").index
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", consul.port)) as sock:
            sock.sendall(f"GET /v1/health/service/web?index={seen}&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    consul.register("web", Port=1)
    assert consul.get("health/service/web").json[0]["Service"]["Port"] == 1
