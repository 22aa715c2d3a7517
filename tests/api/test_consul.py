"""Consul's HTTP API: fields, codes, headers, queries that wait; each by a table over real HTTP."""

import base64
import http.client
import json
import os
import random
import socket
import threading
import time

import pytest

from rig.consul import Consul, Waiting
from rig.ports import free_port


WEB = {"ID": "web-1", "Name": "web", "Tags": ["primary", "v2"], "Address": "10.1.0.1", "Port": 8080,
       "Meta": {"zone": "a"}, "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": True,
       "TaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 80}}}
SNAKE = {"id": "web-1", "name": "web", "tags": ["primary", "v2"], "address": "10.1.0.1", "port": 8080,
         "meta": {"zone": "a"}, "weights": {"passing": 10, "warning": 2}, "enable_tag_override": True,
         "tagged_addresses": {"wan": {"address": "198.51.100.7", "port": 80}}}


@pytest.mark.parametrize("body", [WEB, SNAKE], ids=["camel", "snake"])
def test_a_registration_is_shown_as_it_came(consul, body):
    assert consul.put("agent/service/register", body).status == 200
    shown = consul.get("health/service/web").json
    assert len(shown) == 1
    service = shown[0]["Service"]
    created, modified = service.pop("CreateIndex"), service.pop("ModifyIndex")
    assert created == modified > 0
    assert service == {"ID": "web-1", "Service": "web", "Tags": ["primary", "v2"], "Address": "10.1.0.1",
                       "TaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 80}}, "Meta": {"zone": "a"},
                       "Port": 8080, "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": True}
    node = shown[0]["Node"]
    assert (node["Node"], node["Address"], node["Datacenter"]) == ("edge1", "192.0.2.1", "dc1")
    assert node["TaggedAddresses"]["lan"] == "192.0.2.1"
    assert [check["CheckID"] for check in shown[0]["Checks"]][0] == "serfHealth"

    entry = consul.get("catalog/service/web").json[0]
    assert {key: entry[key] for key in ("Node", "ServiceID", "ServiceName", "ServiceAddress", "ServicePort",
                                        "ServiceTags", "ServiceMeta", "ServiceWeights")} == {
        "Node": "edge1", "ServiceID": "web-1", "ServiceName": "web", "ServiceAddress": "10.1.0.1",
        "ServicePort": 8080, "ServiceTags": ["primary", "v2"], "ServiceMeta": {"zone": "a"},
        "ServiceWeights": {"Passing": 10, "Warning": 2}}
    assert consul.get("catalog/services").json == {"consul": [], "web": ["primary", "v2"]}
    agent = consul.get("agent/services").json
    assert list(agent) == ["web-1"] and agent["web-1"]["Service"] == "web" and agent["web-1"]["Datacenter"] == "dc1"


def test_defaults(consul):
    consul.register("my_service")
    service = consul.get("agent/service/my_service").json
    assert service["ID"] == "my_service" and service["Address"] == "" and service["Port"] == 0
    assert service["Weights"] == {"Passing": 1, "Warning": 1} and service["Tags"] == [] and service["Meta"] == {}
    assert consul.get("catalog/service/my_service").json[0]["Address"] == "192.0.2.1"


REFUSED = [
    ("PUT", "agent/service/register", b"{", 400, "Request decode failed"),
    ("PUT", "agent/service/register", b"[]", 400, "must be a JSON object"),
    ("PUT", "agent/service/register", b"", 400, "Request decode failed"),
    ("PUT", "agent/service/register", {"ID": "x"}, 400, "Missing service name"),
    ("PUT", "agent/service/register", {"Name": ""}, 400, "Missing service name"),
    ("PUT", "agent/service/register", {"Name": 5}, 400, "Name: must be a string"),
    ("PUT", "agent/service/register", {"Name": "a b"}, 400, "name: must match"),
    ("PUT", "agent/service/register", {"Name": "x", "Port": 70000}, 400, "Port: must be a number in 0..65535"),
    ("PUT", "agent/service/register", {"Name": "x", "Port": "80"}, 400, "Port: must be a number"),
    ("PUT", "agent/service/register", {"Name": "x", "Address": "0.0.0.0"}, 400, "not a unicast address"),
    ("PUT", "agent/service/register", {"Name": "x", "Tags": "a"}, 400, "Tags: must be a list"),
    ("PUT", "agent/service/register", {"Name": "x", "Tags": ["a"] * 65}, 400, "at most 64"),
    ("PUT", "agent/service/register", {"Name": "x", "Meta": {"a": 1}}, 400, "Meta: must be an object of strings"),
    ("PUT", "agent/service/register", {"Name": "x", "Meta": {"a": "b" * 513}}, 400, "longer than 512"),
    ("PUT", "agent/service/register", {"Name": "x", "Weights": {"Passing": -1}}, 400, "Passing"),
    ("PUT", "agent/service/register", {"Name": "x", "ID": "i" * 128}, 400, "ID: longer than 127"),
    ("PUT", "agent/service/register", {"Name": "n" * 64}, 400, "name: longer than 63"),
    ("PUT", "agent/service/deregister/nosuch", None, 404, 'Unknown service ID "nosuch"'),
    ("GET", "agent/service/nosuch", None, 404, "unknown service ID: nosuch"),
    ("GET", "agent/health/service/id/nosuch", None, 404, "nosuch"),
    ("GET", "agent/health/service/name/nosuch", None, 404, "nosuch"),
    ("POST", "agent/service/register", {"Name": "x"}, 405, "method not allowed"),
    ("GET", "agent/service/deregister/web", None, 405, "method not allowed"),
    ("GET", "health/service/web?index=abc", None, 400, "Invalid index"),
    ("GET", "health/service/web?wait=soon", None, 400, "Invalid wait"),
    ("GET", "health/service/web?wait=10", None, 400, "Invalid wait"),
    ("GET", "health/service/web?stale&consistent", None, 400, "conflicting semantics"),
    ("GET", "health/service/web?dc=elsewhere", None, 500, "No path to datacenter"),
    ("GET", "health/service/web?passing=maybe", None, 400, "Invalid value for ?passing"),
    ("GET", "health/service/web?filter=Service.Port", None, 400, "Failed to create boolean expression evaluator"),
    ("GET", "health/state/odd", None, 400, "Invalid state"),
    ("PUT", "catalog/register", {"Node": "x"}, 400, "Must provide node and address"),
    ("PUT", "catalog/deregister", {}, 400, "Must provide node"),
    ("GET", "acl/tokens", None, 501, "not served by Sluice"),
    ("PUT", "txn", [], 501, "not served by Sluice"),
    ("PUT", "agent/maintenance?enable=true", None, 501, "maintenance of a whole node"),
    ("GET", "connect/ca/roots", None, 501, "not served by Sluice"),
    ("GET", "nosuch", None, 404, "Invalid URL path"),
]


def test_what_is_refused(consul):
    for method, path, body, status, text in REFUSED:
        reply = consul.request(method, path, body)
        assert reply.status == status and text in reply.text, (method, path, body, reply)
        assert reply.headers["Content-Type"].startswith("text/plain"), (path, reply)
    assert consul.get("catalog/services").json == {"consul": []}


def test_allowed_methods_are_told(consul):
    reply = consul.request("OPTIONS", "catalog/register")
    assert reply.status == 200 and reply.headers["Allow"] == "PUT,OPTIONS"
    assert consul.request("HEAD", "catalog/services").status == 200


def test_changes_by_get_when_asked_for(start_consul):
    consul = start_consul(http_changes_by_get=True)[1]
    consul.register("web")
    assert consul.get("agent/service/deregister/web").status == 200
    assert consul.get("agent/services").json == {}


def test_headers_of_a_query(consul):
    reply = consul.get("health/service/web")
    assert reply.json == [] and reply.index > 0
    assert reply.headers["X-Consul-KnownLeader"] == "true" and reply.headers["X-Consul-LastContact"] == "0"
    assert reply.headers["X-Consul-Effective-Consistency"] == "leader"
    assert consul.get("health/service/web", stale=None).headers["X-Consul-Effective-Consistency"] == "stale"
    assert consul.get("health/service/web", pretty=None).text == "[]"
    assert "\n    " in consul.get("catalog/nodes", pretty=None).text


# headers that clients read, beside those of every query
CACHED = [
    ("health/service/web", {"cached": None}, 200, "HIT"),
    ("catalog/services", {"cached": None}, 200, "HIT"),
    ("catalog/service/web", {"cached": None, "stale": None}, 200, "HIT"),
    ("catalog/datacenters", {"cached": None}, 200, "HIT"),
    ("health/service/web", {}, 200, None),
    ("health/node/edge1", {"cached": None}, 200, None),  # Consul has no cache of those
    ("kv/x", {"cached": None}, 404, None),
    ("health/service/web", {"cached": None, "consistent": None}, 400, None),
]


def test_answers_as_from_an_agents_cache(start_consul):
    daemon, consul = start_consul()
    for path, query, status, cache in CACHED:
        reply = consul.get(path, **query)
        assert (reply.status, reply.headers["X-Cache"]) == (status, cache), (path, query, reply)
        assert reply.headers["Age"] == (cache and "0"), (path, query)
        assert reply.headers["X-Consul-Default-ACL-Policy"] == "allow"
    assert consul.get("health/service/web").headers["X-Consul-Query-Backend"] == "blocking-query"
    assert "X-Consul-Translate-Addresses" not in consul.get("health/service/web").headers
    closed = start_consul(http_token="s3cret")[1]
    assert closed.get("status/leader").headers["X-Consul-Default-ACL-Policy"] == "deny"


@pytest.fixture
def fleet(consul):
    """Three instances of `web`, one elsewhere; one of `db`."""
    consul.register("web", ID="w1", Address="10.1.0.1", Port=80, Tags=["v1", "blue"], Meta={"zone": "a"})
    consul.register("web", ID="w2", Address="10.1.0.2", Port=80, Tags=["v2"], Meta={"zone": "b"})
    assert consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "NodeMeta": {"rack": "7"},
                                           "Service": {"ID": "w3", "Service": "web", "Tags": ["v2", "blue"],
                                                       "Port": 81}}).json is True
    consul.register("db", Address="db.example.org", Port=5432)
    return consul


QUERIES = [
    ({}, "w1 w2 w3"),
    ({"tag": "blue"}, "w1 w3"),
    ({"tag": ["blue", "v2"]}, "w3"),
    ({"node-meta": "rack:7"}, "w3"),
    ({"node-meta": "rack:8"}, ""),
    ({"near": "edge2"}, "w3 w1 w2"),
    ({"near": "_agent"}, "w1 w2 w3"),
    ({"dc": "dc1"}, "w1 w2 w3"),
    ({"passing": None}, "w1 w2 w3"),
    ({"filter": 'Service.Port == 81'}, "w3"),
    ({"filter": '"v2" in Service.Tags and Node.Node != edge2'}, "w2"),
    ({"filter": 'Service.Meta["zone"] == a or Service.Meta.zone == b'}, "w1 w2"),
    ({"filter": 'Service.Meta is empty'}, "w3"),
    ({"filter": 'not (Service.ID matches "^w[12]$")'}, "w3"),
    ({"filter": 'Service.Tags not contains blue'}, "w2"),
    ({"filter": 'Checks.Status == passing'}, "w1 w2 w3"),
    ({"filter": 'Checks.Status != passing'}, ""),
]


def test_queries_choose(fleet):
    for query, ids in QUERIES:
        reply = fleet.get("health/service/web", **query)
        assert reply.status == 200, (query, reply)
        found = [entry["Service"]["ID"] for entry in reply.json]
        assert (found if "near" in query else sorted(found)) == ids.split(), query


def test_catalog_of_nodes(fleet):
    assert [node["Node"] for node in fleet.get("catalog/nodes").json] == ["edge1", "edge2"]
    assert [node["Node"] for node in fleet.get("catalog/nodes", **{"node-meta": "rack:7"}).json] == ["edge2"]
    assert sorted(fleet.get("catalog/node/edge1").json["Services"]) == ["db", "w1", "w2"]
    assert [row["ID"] for row in fleet.get("catalog/node-services/edge2").json["Services"]] == ["w3"]
    assert fleet.get("catalog/node/nosuch").json is None
    assert fleet.get("catalog/service/web").json[0]["ServiceAddress"] == ""
    assert fleet.get("catalog/service/db").json[0]["ServiceAddress"] == "db.example.org"
    assert fleet.get("catalog/datacenters").json == ["dc1"]
    assert [check["CheckID"] for check in fleet.get("health/node/edge2").json][0] == "serfHealth"
    assert "w3" not in fleet.get("agent/services").json
    assert fleet.put("catalog/deregister", {"Node": "edge2"}).json is True
    assert [node["Node"] for node in fleet.get("catalog/nodes").json] == ["edge1"]
    assert len(fleet.get("health/service/web").json) == 2
    assert fleet.put("catalog/deregister", {"Node": "edge1", "ServiceID": "w1"}).json is True
    assert [entry["Service"]["ID"] for entry in fleet.get("health/service/web").json] == ["w2"]


def test_the_agent(consul):
    own = consul.get("agent/self").json
    assert own["Config"]["NodeName"] == "edge1" and own["Config"]["Datacenter"] == "dc1"
    assert own["Member"]["Addr"] == "192.0.2.1"
    assert [member["Name"] for member in consul.get("agent/members").json] == ["edge1"]
    assert consul.get("status/leader").json == "192.0.2.1:8300"
    assert consul.get("status/peers").json == ["192.0.2.1:8300"]


def test_an_id_with_another_name_moves(consul):
    consul.register("web", ID="x")
    consul.register("shop", ID="x")
    assert consul.get("catalog/services").json == {"consul": [], "shop": []}
    assert consul.deregister("x").status == 200
    assert consul.get("catalog/services").json == {"consul": []}


def test_names_with_capitals_are_taken_everywhere(start_consul):
    daemon, consul = start_consul()
    consul.register("Web.API", Address="192.0.2.7", Port=80)
    assert daemon.ctl_json("service", "show", "Web.API")["backends"][0]["address"] == "192.0.2.7"
    assert [row["service"] for row in daemon.ctl_json("backend", "list", "Web.API")] == ["Web.API"]
    refused = daemon.ctl("service", "add", "Web.API", check=False)
    assert refused.returncode == 1 and "must match [a-z0-9]" in refused.stderr


def test_ids_may_hold_anything_printable(consul):
    consul.register("web", ID="a/b c%ü")
    assert list(consul.get("agent/services").json) == ["a/b c%ü"]
    assert consul.deregister("a/b c%ü").status == 200
    assert consul.get("agent/services").json == {}


def test_backends_of_other_doors_are_shown(start_consul):
    daemon, consul = start_consul()
    daemon.rpc("service.add", name="web")
    daemon.rpc("backend.add", service="web", address="10.1.0.9", port=80, weight=3)
    service = consul.get("health/service/web").json[0]["Service"]
    assert service["ID"] == "web:10.1.0.9:80" and service["Weights"]["Passing"] == 3
    assert consul.deregister("web:10.1.0.9:80").status == 404
    consul.register("web", ID="w1", Address="10.1.0.1", Port=80, Tags=["t"])
    rows = daemon.rpc("backend.list", service="web")
    assert [(row["id"], row["source"], row["tags"]) for row in rows] == [
        ("w1", "consul", ["t"]), ("10.1.0.9:80", "api", [])]


# --- queries that wait


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
            sock.sendall(f"GET /v1/health/service/web?index={seen}&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    consul.register("web", Port=1)
    assert consul.get("health/service/web").json[0]["Service"]["Port"] == 1


# --- who may ask, and how much


def test_a_token_is_demanded(start_consul):
    consul = start_consul(http_token="s3cret")[1]
    assert consul.get("catalog/services").status == 200
    other = Consul(consul.port)
    assert other.get("catalog/services").status == 403
    assert other.put("agent/service/register", {"Name": "web"}).status == 403
    assert other.get("catalog/services", token="s3cret").status == 200
    assert other.request("GET", "catalog/services", headers={"Authorization": "Bearer s3cret"}).status == 200
    for wrong in ("", "s3cre", "s3cret1", "S3cret"):
        assert other.request("GET", "catalog/services", headers={"X-Consul-Token": wrong}).status == 403
    assert other.request("GET", "/healthz").status == 200


def test_beyond_loopback_a_token_is_needed(start_consul):
    with pytest.raises(AssertionError, match="not a loopback address"):
        start_consul(http=f"0.0.0.0:{free_port()}")
    start_consul(http=f"0.0.0.0:{free_port()}", http_token="x")
    start_consul(http=f"0.0.0.0:{free_port()}", http_insecure=True)


def test_large_requests_are_refused(consul):
    requests = (lambda: consul.put("agent/service/register", {"Name": "x", "Meta": {"a": "b" * (2 << 20)}}),
                lambda: consul.request("GET", "catalog/services", headers={"X-Long": "x" * 20000}))
    for request in requests:
        try:
            assert request().status in (400, 413)
        except ConnectionError:  # cut off before all of it was sent
            pass
    assert consul.get("catalog/services").json == {"consul": []}


def test_rubbish_does_no_harm(consul):
    for data in (b"\x00" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PUT /v1/kv/a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                 b"GET /v1/%zz%/?%&=&a&=b HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", consul.port)) as sock:
            sock.settimeout(0.2)
            sock.sendall(data)
            try:
                sock.recv(1000)
            except OSError:
                pass
    assert consul.get("catalog/services").status == 200


def spoiled(dice, value):
    """`value` with something in it exchanged, taken away or torn."""
    odd = [None, True, -1, 10**30, 1.5, "", "x" * 300, "\u0000", "é", [], {}, [[]], {"": ""}, "10.1.0.1", "1h", "-1s"]
    if dice.random() < 0.3 or not isinstance(value, (dict, list)) or not value:
        return dice.choice(odd)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = dice.choice(keys)
    copy = value.copy()
    if dice.random() < 0.2:
        del copy[key]
    else:
        copy[key] = spoiled(dice, value[key])
    return copy


def test_spoiled_bodies_are_refused_or_taken(consul):
    dice = random.Random(20240502)
    bodies = {
        "agent/service/register": {**WEB, "Check": {"CheckID": "c", "TTL": "1h", "Status": "passing", "Notes": "n"}},
        "agent/check/register": {"Name": "c", "ServiceID": "base", "TTL": "1h"},
        "agent/check/update/service:base": {"Status": "passing", "Output": "o"},
        "catalog/register": {"Node": "edge2", "Address": "192.0.2.2", "NodeMeta": {"a": "b"},
                             "TaggedAddresses": {"lan": "192.0.2.2"}, "Service": {**WEB, "Service": "web"}},
        "catalog/deregister": {"Node": "edge2", "ServiceID": "web-1", "CheckID": "c"},
        "session/create": {"Name": "s", "TTL": "10s", "LockDelay": 5, "Behavior": "delete"},
    }
    consul.register("base")
    taken = 0
    for _ in range(600):
        path = dice.choice(list(bodies))
        text = json.dumps(spoiled(dice, bodies[path])).encode()
        if dice.random() < 0.2:
            text = text[:dice.randrange(len(text) + 1)]
        reply = consul.put(path, text)
        assert reply.status in (200, 400, 404, 409), (path, text, reply)
        taken += reply.status == 200
    assert taken > 20
    for path in ("health/state/any", "catalog/services", "catalog/nodes", "agent/services", "agent/checks"):
        assert consul.get(path).status == 200


# --- across restarts


def test_registrations_survive_a_crash(start_consul):
    daemon, consul = start_consul()
    consul.register("web", ID="w1", Address="10.1.0.1", Port=80, Tags=["t"])
    consul.register("gone")
    consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "Service": {"Service": "web", "ID": "w3"}})
    consul.deregister("gone")
    assert consul.put("agent/service/register", {"Name": "db"}, durable=None).status == 200
    daemon.kill()
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": [], "web": ["t"], "db": []}
    assert sorted(entry["Node"]["Node"] for entry in consul.get("health/service/web").json) == ["edge1", "edge2"]
    assert consul.deregister("w1").status == 200


def test_indexes_go_on_after_a_crash(start_consul):
    """Whoever waits with an index of the life before is answered, and never told a lower one."""
    daemon, consul = start_consul()
    for port in range(1, 20):
        consul.register("web", Port=port)
    seen = consul.get("health/service/web").index
    consul.put("agent/service/register", {"Name": "db"}, durable=None)
    daemon.kill()
    daemon.start()
    for port in range(1, 40):
        consul.register("db", Port=port)
    reply = consul.get("health/service/web", index=seen, wait="60s")
    assert reply.index > seen and reply.json[0]["Service"]["Port"] == 19


def test_a_torn_store_is_read_up_to_the_tear(start_consul):
    daemon, consul = start_consul()
    consul.register("web")
    assert consul.put("agent/service/register", {"Name": "db"}, durable=None).status == 200
    daemon.kill()
    store = daemon.state / "registry.log"
    with store.open("ab") as file:
        file.write(json.dumps(["service/x", '{"Name": "x"}']).encode()[:-3])
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": [], "web": [], "db": []}
    assert "was cut off" in daemon.log()
    consul.put("agent/service/register", {"Name": "late"}, durable=None)
    daemon.kill()
    daemon.start()
    assert set(consul.get("catalog/services").json) == {"consul", "web", "db", "late"}


def test_a_crash_at_any_moment_loses_no_durable_write(start_consul):
    """Several clients register and deregister until the daemon is killed; what it had promised to keep is there."""
    daemon, consul = start_consul()
    durable, rounds = set(), int(os.environ.get("SLUICE_CRASHES", 8))
    dice = random.Random(5)

    def busy(client, number):
        try:
            for turn in range(1000):
                name = f"r{number}-c{client}-{turn}"
                consul.register(name, Tags=["x" * 50])
                if turn % 3 == 0:
                    consul.deregister(name)
                elif consul.put("agent/service/register", {"Name": f"{name}-d"}, durable=None).status == 200:
                    durable.add(f"{name}-d")
        except (OSError, http.client.HTTPException):
            pass  # killed

    for number in range(rounds):
        threads = [threading.Thread(target=busy, args=(client, number)) for client in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(dice.random() * 0.4)
        daemon.kill()
        for thread in threads:
            thread.join()
        daemon.start()
        assert durable <= set(consul.get("catalog/services").json)
        assert "was refused" not in daemon.log()
    assert durable


# --- checks


def status(consul, service="web"):
    return [check["Status"] for entry in consul.get(f"health/service/{service}").json for check in entry["Checks"]
            if check["CheckID"] != "serfHealth"]


def test_a_ttl_check_begins_critical_and_follows_its_word(consul):
    consul.register("web", Check={"TTL": "10m", "Notes": "say so"})
    assert status(consul) == ["critical"] and consul.get("health/service/web", passing=None).json == []
    assert consul.get("agent/health/service/id/web").status == 503
    for word, code in (("pass", 200), ("warn", 429), ("fail", 503), ("pass", 200)):
        assert consul.put(f"agent/check/{word}/service:web", note=f"is {word}").status == 200
        reply = consul.get("agent/health/service/id/web")
        assert reply.status == code
        assert consul.get("agent/health/service/name/web").status == code
        assert reply.json["Checks"][0]["Output"] == f"is {word}"
    assert consul.get("agent/health/service/id/web", format="text").text == "passing"
    check = consul.get("agent/checks").json["service:web"]
    assert (check["ServiceID"], check["Name"], check["Notes"], check["Type"], check["Definition"]) == (
        "web", "Service 'web' check", "say so", "ttl", {"TTL": "10m0s"})
    assert consul.put("agent/check/update/service:web", {"Status": "warning", "Output": "slow"}).status == 200
    assert [row["Output"] for row in consul.get("health/checks/web").json] == ["slow"]
    assert [row["CheckID"] for row in consul.get("health/state/warning").json] == ["service:web"]


def test_a_ttl_runs_out(consul):
    consul.register("web", Check={"CheckID": "alive", "TTL": "100ms", "Status": "passing"})
    seen = consul.get("health/service/web").index
    reply = consul.get("health/service/web", index=seen, wait="20s")
    assert [check["Status"] for check in reply.json[0]["Checks"] if check["CheckID"] == "alive"] == ["critical"]
    assert "TTL expired" in consul.get("agent/checks").json["alive"]["Output"]
    assert consul.put("agent/check/pass/alive").status == 200


def test_registering_again_keeps_what_the_check_found(consul):
    web = {"Check": {"TTL": "10m"}, "Port": 80}
    consul.register("web", **web)
    consul.put("agent/check/pass/service:web")
    seen = consul.get("health/service/web").index
    consul.register("web", **web)
    assert status(consul) == ["passing"] and consul.get("health/service/web").index == seen


def test_a_check_may_come_later_and_go(consul):
    consul.register("web")
    check = {"Name": "alive", "ID": "c1", "ServiceID": "web", "TTL": "10m"}
    assert consul.put("agent/check/register", check).status == 200
    assert status(consul) == ["critical"]
    assert consul.put("agent/check/pass/c1").status == 200
    assert consul.put("agent/check/deregister/c1").status == 200
    assert status(consul) == [] and consul.get("health/service/web", passing="1").json != []
    assert consul.put("agent/check/deregister/c1").status == 404


BAD_CHECKS = [
    ({"Args": ["/bin/true"], "Interval": "1s"}, "run a program"),
    ({"Script": "true", "Interval": "1s"}, "run a program"),
    ({"DockerContainerID": "x", "Interval": "1s"}, "run a program"),
    ({"TTL": "soon"}, "no duration"),
    ({"TTL": "1ms"}, "out of range"),
    ({"TTL": 10}, "must be a string"),
    ({"TCP": "10.1.0.1:80"}, "Interval must be > 0"),
    ({"TCP": "name.example:80", "Interval": "1s"}, "names are not looked up"),
    ({"Name": "x"}, "Must define one of"),
    ({"TTL": "1s", "Status": "odd"}, "Status"),
]


def test_bad_checks_are_refused(consul):
    for check, text in BAD_CHECKS:
        reply = consul.put("agent/service/register", {"Name": "web", "Address": "10.1.0.1", "Port": 80, "Check": check})
        assert reply.status == 400 and text in reply.text, (check, reply)
    for word in ("pass", "warn", "fail"):
        assert consul.put(f"agent/check/{word}/nosuch").status == 404
    assert consul.put("agent/check/update/nosuch", {"Status": "odd"}).status == 400
    assert consul.get("catalog/services").json == {"consul": []}


def test_maintenance_drains(start_consul):
    daemon, consul = start_consul()
    consul.register("web", Address="10.1.0.1", Port=80, Check={"TTL": "10m", "Status": "passing"})
    assert consul.put("agent/service/maintenance/web").status == 400
    assert consul.put("agent/service/maintenance/nosuch", enable="true").status == 404
    assert consul.put("agent/service/maintenance/web", enable="true", reason="new disk", durable=None).status == 200
    assert daemon.rpc("backend.list", service="web")[0]["health"] == "draining"
    assert consul.get("health/service/web", passing=None).json == []
    checks = {check["CheckID"]: check for check in consul.get("health/checks/web").json}
    assert checks["_service_maintenance:web"]["Status"] == "critical"
    assert checks["_service_maintenance:web"]["Notes"] == "new disk"
    assert checks["service:web"]["Status"] == "passing"
    daemon.kill()
    daemon.start()
    assert consul.get("agent/checks").json["_service_maintenance:web"]["Notes"] == "new disk"
    assert consul.put("agent/service/maintenance/web", enable="false").status == 200
    consul.put("agent/check/pass/service:web")
    assert len(consul.get("health/service/web", passing=None).json) == 1


# --- keys and sessions


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


def test_keys_are_bounded(consul):
    assert consul.put("kv/a", b"x" * (512 * 1024 + 1)).status == 413
    assert consul.put("kv/" + "k" * 600, b"x").status == 400
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
    assert consul.put("session/create", {"TTL": "1s"}).status == 400


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
    assert consul.get("kv/gone").status == 404
