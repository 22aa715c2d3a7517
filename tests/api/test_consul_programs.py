"""
Requests as programs send them, byte by byte where that matters, and what they read of the answers: Go's api (and what
is built on it: consul-template, fabio, HAProxy's data plane), Patroni (python-consul), npm's consul, Ruby's diplomat.
"""

import json
import socket

import pytest

from rig import wait


def raw(consul, line, headers=(), body=b""):
    """Status, headers and body of a request whose first line is sent as it is, by HTTP/1.0."""
    with socket.create_connection(("127.0.0.1", consul.port)) as sock:
        sock.settimeout(wait.PATIENCE_S)
        head = [f"{line} HTTP/1.0", "Host: localhost:8500", *headers, *([f"Content-Length: {len(body)}"] if body else [])]
        sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        got = b""
        while (part := sock.recv(65536)):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body.decode()


# Go's api spells out what is not set: null, "", 0, "0s", false
GO_CHECK = {"CheckID": "", "ID": "", "Name": "", "Status": "passing", "Notes": "", "Interval": "10s", "Timeout": "0s", "TTL": "",
            "HTTP": "http://192.0.2.5:80/health", "Header": None, "Method": "", "Body": "", "TCP": "", "TCPUseTLS": False, "UDP": "",
            "GRPC": "", "GRPCUseTLS": False, "H2PING": "", "H2PingUseTLS": False, "OSService": "", "AliasNode": "", "AliasService": "",
            "Args": None, "DockerContainerID": "", "Shell": "", "TLSServerName": "", "TLSSkipVerify": False, "OutputMaxSize": 0,
            "SuccessBeforePassing": 0, "FailuresBeforeWarning": 0, "FailuresBeforeCritical": 0, "DeregisterCriticalServiceAfter": "0s"}
GO_SERVICE = {"Kind": "", "ID": "redis1", "Name": "redis", "Tags": None, "Port": 8000, "Address": "", "SocketPath": "",
              "TaggedAddresses": None, "EnableTagOverride": False, "Meta": None, "Weights": None, "Check": GO_CHECK, "Checks": None,
              "Proxy": None, "Connect": None, "Namespace": "", "Partition": "", "Locality": None}
GO_CATALOG = {"ID": "", "Node": "foobar", "Address": "192.0.2.9", "TaggedAddresses": None, "NodeMeta": None, "Datacenter": "dc1",
              "Service": {"Kind": "", "ID": "redis1", "Service": "redis", "Tags": None, "Meta": None, "Port": 8000, "Address": "",
                          "SocketPath": "", "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False, "CreateIndex": 0,
                          "ModifyIndex": 0, "Proxy": None, "Connect": None, "PeerName": "", "Datacenter": "dc1"},
              "Check": {"Node": "foobar", "CheckID": "service:redis1", "Name": "Redis", "Status": "passing", "Notes": "", "Output": "",
                        "ServiceID": "redis1", "ServiceName": "", "ServiceTags": None, "Type": "",
                        "Definition": {"HTTP": "", "Header": None, "Method": "", "Body": "", "TLSServerName": "", "TLSSkipVerify": False,
                                       "TCP": "192.0.2.9:8000", "TCPUseTLS": False, "UDP": "", "GRPC": "", "OSService": "",
                                       "GRPCUseTLS": False, "Interval": "5s", "Timeout": "0s", "DeregisterCriticalServiceAfter": "0s"},
                        "CreateIndex": 0, "ModifyIndex": 0},
              "Checks": None, "SkipNodeUpdate": False}


def test_what_gos_library_spells_out(consul):
    assert consul.put("agent/service/register?replace-existing-checks=true", GO_SERVICE).status == 200
    assert consul.put("catalog/register", GO_CATALOG).status == 200
    assert consul.put("agent/check/register", {**GO_CHECK, "Name": "web", "ServiceID": "redis1", "HTTP": "", "Interval": "", "TTL": "15s"}).status == 200
    shown = consul.get("health/service/redis", stale="", wait="60000ms").json
    by_node = {entry["Node"]["Node"]: entry["Checks"] for entry in shown}
    assert set(by_node) == {"edge1", "foobar"}
    definition = next(check for check in by_node["foobar"] if check["CheckID"] == "service:redis1")["Definition"]
    assert definition == {"TCP": "192.0.2.9:8000", "Interval": "5s"}
    assert consul.put("agent/check/register", {"Name": "x", "TTL": "0s"}).status == 400
    assert consul.put("agent/check/register", {"Name": "x", "TCP": "192.0.2.5:80", "Interval": "0s"}).status == 400


# what Go's api sends to deregister, and what is left of a node with two instances: its instances, and the checks of the node
GO_DEREGISTERED = [({"ServiceID": "a"}, ["b"], ["disk", "serfHealth"]), ({"CheckID": "disk"}, ["a", "b"], ["serfHealth"]),
                   ({"ServiceID": "b", "CheckID": "disk"}, ["a"], ["disk", "serfHealth"]), ({}, None, None)]


@pytest.mark.parametrize("fields,instances,checks", GO_DEREGISTERED, ids=[str(fields) for fields, _, _ in GO_DEREGISTERED])
def test_what_gos_library_spells_out_to_deregister(consul, fields, instances, checks):
    node = {"Node": "far", "Address": "192.0.2.9"}
    for name in ("a", "b"):
        assert consul.put("catalog/register", {**node, "Service": {"ID": name, "Service": name}}).status == 200
    assert consul.put("catalog/register", {**node, "Check": {"CheckID": "disk", "Name": "disk", "ServiceID": "", "Status": "passing"}}).status == 200
    empty = {"Address": "", "Datacenter": "", "ServiceID": "", "CheckID": "", "Namespace": "", "Partition": ""}
    assert consul.put("catalog/deregister", {**empty, "Node": "far", **fields}).json is True
    shown = consul.get("catalog/node/far").json
    assert (sorted(shown["Services"]) if shown else None) == instances
    if shown:
        assert sorted(check["CheckID"] for check in consul.get("health/node/far").json) == checks
    for field in ("Node", "Address"):
        reply = consul.put("catalog/register", {**node, field: ""})
        assert (reply.status, reply.text) == (400, "Must provide node and address")
    assert consul.put("catalog/deregister", {**empty, "Node": ""}).text == "Must provide node"


# (program, method and path as it sends them, body, status, what it reads of the answer)
ASKED = [
    ("consul-template", "GET /v1/health/service/web?passing=1&stale=&wait=60000ms", None, 200, lambda r: r[0]["Service"]["ID"] == "web/1"),
    ("consul-template", "GET /v1/catalog/services?stale=&wait=60000ms", None, 200, lambda r: r["web"] == ["v1"]),
    ("consul-template", "GET /v1/kv/none?recurse=&stale=&wait=60000ms", None, 404, None),
    ("consul-template", "GET /v1/catalog/nodes?near=_agent&stale=", None, 200, lambda r: r[0]["Node"] == "edge1"),
    ("fabio", "GET /v1/agent/self", None, 200, lambda r: r["Config"]["Datacenter"] == "dc1" and r["Member"]["Addr"]),
    ("fabio", "GET /v1/health/state/any", None, 200, lambda r: {c["CheckID"] for c in r} >= {"serfHealth", "service:web/1"}),
    ("fabio", "GET /v1/catalog/service/web?tag=v1", None, 200, lambda r: r[0]["ServiceAddress"] == "192.0.2.5"),
    ("fabio", "PUT /v1/agent/service/register", {
        "ID": "fabio-edge1-9998", "Name": "fabio", "Tags": None, "Port": 9998, "Address": "192.0.2.6", "Checks": None,
        "Check": {"Interval": "1s", "Timeout": "3s", "HTTP": "http://[192.0.2.6]:9998/health", "TLSSkipVerify": False,
                  "DeregisterCriticalServiceAfter": "90m"}}, 200, None),
    ("Patroni", "PUT /v1/agent/service/register", {
        "name": "batman", "id": "batman/pg 1", "address": "192.0.2.7", "port": 5432, "tags": ["primary"], "enabletagoverride": True,
        "check": {"http": "http://192.0.2.7:8008/primary", "interval": "5s", "DeregisterCriticalServiceAfter": "150.0s"}}, 200, None),
    ("Patroni", "GET /v1/agent/services", None, 200, lambda r: r["batman/pg 1"]["Tags"] == ["primary"]),
    ("Patroni", "PUT /v1/agent/service/deregister/batman/pg%201", None, 200, None),
    ("HAProxy", "GET /v1/catalog/services", None, 200, lambda r: "web" in r),
    ("HAProxy", "GET /v1/health/service/web?passing=false", None, 200, lambda r: len(r) == 1),
    ("HAProxy", "GET /v1/health/service/web?passing=true", None, 200, lambda r: r[0]["Service"]["Port"] == 80),
    ("npm consul", "PUT /v1/agent/service/register", {
        "name": "example", "checks": [{"name": "a", "ttl": "5s", "notes": "n"}, {"http": "http://127.0.0.1:1/", "interval": "10s"}]}, 200, None),
    ("npm consul", "GET /v1/health/service/example?near=_agent&index=0&wait=60s", None, 200, lambda r: len(r[0]["Checks"]) == 3),
    ("npm consul", "PUT /v1/agent/maintenance?enable=true&reason=because", None, 200, None),
    ("npm consul", "PUT /v1/agent/maintenance?enable=false", None, 200, None),
    ("diplomat", "PUT /v1/agent/service/register", {"ID": "d1", "Name": "d", "Tags": ["x"], "Port": 1, "Check": {"TTL": "15s"}}, 200, None),
    ("diplomat", "PUT /v1/agent/check/pass/service:d1?note=fine", None, 200, None),
    ("diplomat", "PUT /v1/agent/check/update/service:d1", {"Status": "warning", "Output": "o"}, 200, None),
    ("diplomat", "GET /v1/health/checks/d", None, 200, lambda r: r[0]["Status"] == "warning" and r[0]["Output"] == "o"),
    ("diplomat", "PUT /v1/kv/foo/bar?cas=0", "value", 200, lambda r: r is True),
    ("diplomat", "GET /v1/kv/foo?recurse", None, 200, lambda r: r[0]["Key"] == "foo/bar"),
    ("diplomat", "GET /v1/kv/foo?keys&separator=/", None, 200, lambda r: r == ["foo/"]),
    ("diplomat", "PUT /v1/event/fire/deploy?node=edge1", "payload", 200, lambda r: r["Name"] == "deploy"),
    ("diplomat", "GET /v1/status/leader", None, 200, lambda r: r == "192.0.2.1:8300"),
    ("diplomat", "PUT /v1/agent/service/deregister/d1", None, 200, None),
    ("Nomad", "GET /v1/agent/self", None, 200, lambda r: r["Config"]["Server"] is True and r["Config"]["Version"]),
    ("Prometheus", "GET /v1/agent/metrics?format=prometheus", None, 200, None),
    ("registrator", "GET /v1/agent/services", None, 200, lambda r: "web/1" in r),
]


def test_programs_get_what_they_read(consul):
    consul.register("web", ID="web/1", Address="192.0.2.5", Port=80, Tags=["v1"], Check={"TTL": "1h", "Status": "passing"})
    for program, line, body, status, read in ASKED:
        data = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        got, headers, text = raw(consul, line, ["Accept: */*", "User-Agent: x", "Content-Type: application/json"], data)
        assert got == status, (program, line, got, text)
        if read:
            assert read(json.loads(text)), (program, line, text[:500])


@pytest.mark.parametrize("spelling", ["X-Consul-Token: s3cret", "x-consul-token: s3cret", "Authorization: Bearer s3cret"])
def test_headers_of_any_case(start_consul, spelling):
    consul = start_consul(http_token="s3cret")[1]
    status, headers, _ = raw(consul, "GET /v1/health/service/web", [spelling])
    assert status == 200 and int(headers["x-consul-index"]) > 0 and headers["x-consul-knownleader"] == "true"
