"""Filters of Consul's API: every selector that its documentation names for an endpoint finds its field here."""

import random

import pytest

from rig.consul import Waiting

# What holds for the one instance of `web`, by selector: documented for each shape that an answer has.
NODE = ['Address == "192.0.2.2"', "Datacenter == dc1", 'ID == "4dd9c1d2-7a4f-4f3f-9d0f-0a1b2c3d4e5f"', "Node == edge2",
        "Meta is not empty", "rack in Meta", 'Meta.rack == "7"', "TaggedAddresses is not empty", "wan in TaggedAddresses",
        'TaggedAddresses.wan == "198.51.100.2"']

PROXY = ['DestinationServiceID == ""', 'DestinationServiceName == ""', 'LocalServiceAddress == ""',
         "LocalServicePort == 0", 'Mode == ""', "TransparentProxy.OutboundListenerPort == 0", 'MeshGateway.Mode == ""',
         "Upstreams is empty"]

UPSTREAM = ["Datacenter == x", "DestinationName == x", "DestinationNamespace == x", "DestinationType == x",
            "LocalBindAddress == x", "LocalBindPort == 1", "MeshGateway.Mode != x"]  # there is none: never true

SERVICE = ['Address == "10.1.0.7"', "Connect.Native == false", "EnableTagOverride == true", "ID == w7", 'Kind == ""',
           "Meta is not empty", "zone in Meta", "Meta.zone == a", "Port == 8080", *(f"Proxy.{text}" for text in PROXY),
           "Service == web", "TaggedAddresses is not empty", "wan in TaggedAddresses",
           'TaggedAddresses.wan.Address == "198.51.100.7"', "TaggedAddresses.wan.Port == 80", "v1 in Tags",
           "Tags is not empty", "Weights.Passing == 10", "Weights.Warning == 2"]

CATALOG = [text if text.startswith(("Address", "Datacenter", "ID", "Node", "Tagged")) else f"Node{text}"
           for text in NODE if " in " not in text]
CATALOG += ["rack in NodeMeta", "wan in TaggedAddresses", "ServiceName == web", "zone in ServiceMeta",
            "wan in ServiceTaggedAddresses", "v1 in ServiceTags"]
CATALOG += [f"Service{text}" for text in SERVICE if " in " not in text and not text.startswith("Service ")]

CHECK = ["CheckID == c7", "Name == alive", "Node == edge1", 'Notes == "say so"', 'Output == "is well"',
         "ServiceID == w7", "ServiceName == web", "v1 in ServiceTags", "ServiceTags is not empty", "Status == passing"]

ENTRY = [f"Node.{text}" for text in NODE if " in " not in text]
ENTRY += [f"Service.{text}" for text in SERVICE if " in " not in text]
ENTRY += ["Checks is not empty", *(f"Checks.{text}" for text in CHECK if " in " not in text), "v1 in Checks.ServiceTags",
          "rack in Node.Meta", "wan in Node.TaggedAddresses", "zone in Service.Meta", "v1 in Service.Tags",
          "wan in Service.TaggedAddresses"]

# of an instance on the agent's own node, which has no metadata
HERE = [text for text in ENTRY if not text.startswith("Node.") and " in Node." not in text]
HERE += ["Node.Node == edge1", 'Node.Address == "192.0.2.1"', "Node.Datacenter == dc1", 'Node.ID == ""',
         "Node.Meta is empty", 'Node.TaggedAddresses.lan == "192.0.2.1"']
ELSEWHERE = [text for text in ENTRY if not text.startswith("Checks") and " in Checks" not in text]

DOCUMENTED = {"catalog/nodes": NODE, "agent/services": SERVICE, "agent/checks": CHECK, "health/node/edge1": CHECK,
              "health/checks/web": CHECK, "health/state/any": CHECK, "health/service/web": HERE,
              "health/service/far": [text.replace("Service == web", "Service == far") for text in ELSEWHERE],
              "catalog/service/far": [text.replace("ServiceName == web", "ServiceName == far") for text in CATALOG],
              "catalog/services": [text.replace("ServiceName == web", "ServiceName == far") for text in CATALOG],
              "catalog/node/edge1": SERVICE, "catalog/node-services/edge1": SERVICE}

WEB = {"ID": "w7", "Tags": ["v1"], "Address": "10.1.0.7", "Port": 8080, "Meta": {"zone": "a"}, "EnableTagOverride": True,
       "Weights": {"Passing": 10, "Warning": 2}, "TaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 80}}}


@pytest.fixture
def world(consul):
    consul.register("web", **WEB, Check={"CheckID": "c7", "Name": "alive", "Notes": "say so", "TTL": "10m"})
    consul.put("agent/check/update/c7", {"Status": "passing", "Output": "is well"})
    consul.put("catalog/register", {
        "ID": "4dd9c1d2-7a4f-4f3f-9d0f-0a1b2c3d4e5f", "Node": "edge2", "Address": "192.0.2.2", "NodeMeta": {"rack": "7"},
        "TaggedAddresses": {"wan": "198.51.100.2"}, "Service": {"Service": "far", **WEB}})
    return consul


NEVER = {"agent/services": "Proxy", "health/service/web": "Service.Proxy", "catalog/service/far": "ServiceProxy",
         "catalog/services": "ServiceProxy", "catalog/node/edge1": "Proxy", "catalog/node-services/edge1": "Proxy"}


def found(reply):
    """What a filter left: rows of a list, keys of an object, services of a node."""
    return len(reply.json.get("Services", reply.json)) if isinstance(reply.json, dict) else len(reply.json)


def test_every_documented_selector_finds_its_field(world):
    for path, expressions in DOCUMENTED.items():
        for text in expressions:
            reply = world.get(path, filter=text)
            assert reply.status == 200 and found(reply) >= 1, (path, text, reply)
            reply = world.get(path, filter=f"not ({text})")
            assert reply.status == 200 and found(reply) < found(world.get(path)), (path, text, reply)
    for path, prefix in NEVER.items():
        for text in UPSTREAM:
            reply = world.get(path, filter=f"{prefix}.Upstreams.{text}")
            assert reply.status == 200 and found(reply) == 0, (path, text, reply)


def test_what_is_no_field_is_named(world):
    for path in DOCUMENTED:
        for text in ("Nothing == 1", "Proxy.Nothing == 1", "Address.Nothing is empty", "Node =="):
            reply = world.get(path, filter=text)
            assert reply.status == 400, (path, text, reply)
            assert "Failed to create boolean expression evaluator" in reply.text, (path, text, reply)


CHOOSES = [
    ({}, {"consul": [], "far": ["v1"], "web": ["v1", "v2"]}),
    ({"filter": "ServiceName == web"}, {"web": ["v1", "v2"]}),
    ({"filter": "v2 in ServiceTags"}, {"web": ["v2"]}),
    ({"filter": "ServiceName matches `^(far|web)$` and ServicePort == 8080"}, {"far": ["v1"], "web": ["v1"]}),
    ({"filter": "Node == edge2"}, {"far": ["v1"]}),
    ({"filter": "ServiceName == nobody"}, {}),
    ({"node-meta": "rack:7"}, {"far": ["v1"]}),
    ({"node-meta": "rack:7", "filter": "v2 in ServiceTags"}, {}),
]


def test_names_of_services_by_their_instances(world):
    world.register("web", ID="w8", Tags=["v2"])
    for query, names in CHOOSES:
        shown = world.get("catalog/services", **query).json
        assert {name: sorted(tags) for name, tags in shown.items()} == names, query


def test_names_are_those_of_now_whatever_changed(consul):
    """The answer that is kept against one that is made each time."""
    dice = random.Random(7)
    for _ in range(150):
        name, instance = dice.choice("abc"), dice.choice("123")
        if dice.random() < 0.6:
            consul.register(name, ID=name + instance, Tags=dice.sample(["x", "y", "z"], dice.randrange(3)))
        else:
            consul.deregister(name + instance)
        made = consul.get("catalog/services", filter='ServiceName != ""').json
        assert consul.get("catalog/services").json == {"consul": [], **made}


def test_names_with_a_condition_wait_for_all_that_it_can_be_about(world):
    query = {"filter": "ServicePort == 81", "wait": "60s"}
    reply = world.get("catalog/services", **query)
    assert reply.json == {}
    waiting = Waiting(world, "catalog/services", index=reply.index, **query)
    world.register("web", **{**WEB, "Port": 81})
    assert waiting.result().json == {"web": ["v1"]}
