"""Consul's HTTP API: what was registered is shown and found; each by a table over real HTTP."""

import pytest

from rig.consul import WEB


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


def test_lists_begin_with_what_is_near(fleet):
    for path in ("catalog/nodes", "catalog/service/web", "health/state/any"):
        far = [row["Node"] for row in fleet.get(path, near="edge2").json]
        near = [row["Node"] for row in fleet.get(path, near="_agent").json]
        assert set(near) == {"edge1", "edge2"} and near == sorted(far) and far == sorted(near, reverse=True), path


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
