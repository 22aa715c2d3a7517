"""What Consul's HTTP API refuses: wrong fields, unknown paths, no token, torn and spoiled bodies."""

import json
import random
import socket

import pytest

from rig.consul import WEB, Consul
from rig.ports import free_port


REFUSED = [
    ("PUT", "agent/service/register", b"{", 400, "Request decode failed"),
    ("PUT", "agent/service/register", b"[]", 400, "must be a JSON object"),
    ("PUT", "agent/service/register", b"", 400, "Request decode failed"),
    ("PUT", "agent/service/register", {"ID": "x"}, 400, "Missing service name"),
    ("PUT", "agent/service/register", {"Name": ""}, 400, "Missing service name"),
    ("PUT", "agent/service/register", {"Name": 5}, 400, "Name: must be a string"),
    ("PUT", "agent/service/register", {"Name": "a\tb", "ID": "i"}, 400, "name: must be printable"),
    ("PUT", "agent/service/register", {"Name": "x", "Port": 70000}, 400, "Port: must be a number in 0..65535"),
    ("PUT", "agent/service/register", {"Name": "x", "Port": "80"}, 400, "Port: must be a number"),
    ("PUT", "agent/service/register", {"Name": "x", "Address": "0.0.0.0"}, 400, "not a unicast address"),
    ("PUT", "agent/service/register", {"Name": "x", "Tags": "a"}, 400, "Tags: must be a list"),
    ("PUT", "agent/service/register", {"Name": "x", "Tags": ["a"] * 65}, 400, "at most 64"),
    ("PUT", "agent/service/register", {"Name": "x", "Meta": {"a": 1}}, 400, "Meta: must be an object of strings"),
    ("PUT", "agent/service/register", {"Name": "x", "Meta": {"a": "b" * 513}}, 400, "longer than 512"),
    ("PUT", "agent/service/register", {"Name": "x", "Weights": {"Passing": -1}}, 400, "Passing"),
    ("PUT", "agent/service/register", {"Name": "x", "ID": "i" * 256}, 400, "ID: longer than 255"),
    ("PUT", "agent/service/register", {"Name": "n" * 256, "ID": "i"}, 400, "name: longer than 255"),
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
    ("PUT", "kv/a?dc=elsewhere", "x", 500, "No path to datacenter"),
    ("DELETE", "kv/a?dc=elsewhere", None, 500, "No path to datacenter"),
    ("PUT", "session/create?dc=elsewhere", None, 500, "No path to datacenter"),
    ("PUT", "catalog/register?dc=elsewhere", {"Node": "x", "Address": "192.0.2.9"}, 500, "No path to datacenter"),
    ("PUT", "catalog/register", {"Node": "x", "Address": "192.0.2.9", "Datacenter": "elsewhere"}, 500, "No path to datacenter"),
    ("PUT", "catalog/deregister", {"Node": "x", "Datacenter": "elsewhere"}, 500, "No path to datacenter"),
    ("GET", "health/service/web?passing=maybe", None, 400, "Invalid value for ?passing"),
    ("GET", "health/service/web?filter=Service.Port", None, 400, "Failed to create boolean expression evaluator"),
    ("GET", "health/state/odd", None, 400, "Invalid state"),
    ("PUT", "catalog/register", {"Node": "x"}, 400, "Must provide node and address"),
    ("PUT", "catalog/deregister", {}, 400, "Must provide node"),
    ("GET", "acl/tokens", None, 501, "not served by Sluice"),
    ("PUT", "txn", [{"Node": {"Verb": "get", "Node": {"Node": "edge1"}}}], 501, "Node operations are not served by Sluice"),
    ("PUT", "txn", [{"KV": {"Verb": "get", "Key": "a"}}, {"Check": {}}], 501, "op 1: Check operations are not served"),
    ("PUT", "agent/maintenance", None, 400, "Missing value for enable"),
    ("PUT", "agent/maintenance?enable=maybe", None, 400, "Missing value for enable"),
    ("GET", "connect/ca/roots", None, 501, "not served by Sluice"),
    ("PUT", "kv/%ff", b"x", 400, "not UTF-8"),
    ("PUT", "kv/a%00b", b"x", 400, "not UTF-8, or has a zero"),
    ("PUT", "agent/maintenance?enable=true&reason=%c0%af", None, 400, "not UTF-8"),
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
        "session/create": {"Name": "s", "TTL": "10s", "LockDelay": 5, "Behavior": "delete", "Node": "edge1", "Checks": ["c"],
                           "NodeChecks": ["serfHealth"], "ServiceChecks": [{"ID": "service:base"}]},
        "txn": [{"KV": {"Verb": "set", "Key": "a", "Value": "AAAA", "Flags": 5, "Index": 3, "Session": "s"}},
                {"KV": {"Verb": "get", "Key": "a"}}],
    }
    consul.register("base")
    taken = 0
    for _ in range(600):
        path = dice.choice(list(bodies))
        text = json.dumps(spoiled(dice, bodies[path])).encode()
        if dice.random() < 0.2:
            text = text[:dice.randrange(len(text) + 1)]
        reply = consul.put(path, text)
        told = path == "session/create" and reply.text.startswith(("Invalid ", "Session TTL ", "Missing ", "Check "))
        assert reply.status in (200, 400, 404, 409) or (reply.status == 500 and told), (path, text, reply)
        taken += reply.status == 200
    assert taken > 20
    for path in ("health/state/any", "catalog/services", "catalog/nodes", "agent/services", "agent/checks"):
        assert consul.get(path).status == 200
