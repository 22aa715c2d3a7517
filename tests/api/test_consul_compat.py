"""What programs written for Consul rely on beside the great lines: small fields, odd spellings, refusals by name."""

import json
from urllib.parse import quote

import pytest


# URLs and addresses of checks: what is asked for, and what is shown of it
TARGETS = [
    ({"HTTP": "http://[192.0.2.7]:80/health"}, {"HTTP": "http://192.0.2.7:80/health"}),
    ({"HTTP": "http://[192.0.2.7]/"}, {"HTTP": "http://192.0.2.7:80/"}),
    ({"HTTP": "https://[192.0.2.7]"}, {"HTTP": "https://192.0.2.7:443"}),
    ({"TCP": "[192.0.2.7]:22"}, {"TCP": "192.0.2.7:22"}),
    ({"GRPC": "[192.0.2.7]:50051/svc"}, {"GRPC": "192.0.2.7:50051/svc"}),
]
NO_TARGETS = ["http://[192.0.2.7:80/", "http://192.0.2.7]:80/", "http://[192.0.2.7]x:80/", "http://[]:80/",
              "http://[192.0.2.7]:/", "http://[192.0.2.7]:-1/", "http://[192.0.2.7]: 80/", "http://[192.0.2.7]:65536/",
              "http://[[192.0.2.7]]:80/", "http://[192.0.2.7]80/", "http://[", "http://"]


def test_targets_of_checks_in_brackets(consul):
    consul.register("web")
    for i, (target, shown) in enumerate(TARGETS):
        assert consul.put("agent/check/register", {"ID": f"c{i}", "Name": "c", "Interval": "1h", **target}).status == 200
        definition = next(check for check in consul.get("health/node/edge1").json if check["CheckID"] == f"c{i}")["Definition"]
        assert {**definition, **shown} == definition, (target, definition)
    for url in NO_TARGETS:
        reply = consul.put("agent/check/register", {"Name": "bad", "Interval": "1h", "HTTP": url})
        assert reply.status == 400 and reply.text.startswith("HTTP: "), (url, reply)
    assert "bad" not in consul.get("agent/checks").json


# durations: what is sent, and what is shown; a number is one of nanoseconds, as Go's library sends it
DURATIONS = [("30s", "30s"), (30_000_000_000, "30s"), (90_000_000_000.0, "1m30s"), (1_500_000_000, "1.5s"), (10_000_000, "10ms")]


def test_a_ttl_may_be_a_number_of_nanoseconds(consul):
    for i, (ttl, shown) in enumerate(DURATIONS):
        assert consul.put("agent/check/register", {"ID": f"c{i}", "Name": "c", "TTL": ttl}).status == 200, ttl
        checks = {check["CheckID"]: check for check in consul.get("health/node/edge1").json}
        assert checks[f"c{i}"]["Definition"]["TTL"] == shown
    for ttl in (-1, 30, 999_999, 1e19, 2**63 - 1):
        reply = consul.put("agent/check/register", {"Name": "bad", "TTL": ttl})
        assert reply.status == 400 and reply.text.startswith(("TTL: ", "check.interval_ms: ")), (ttl, reply)
    assert "Must define one of" in consul.put("agent/check/register", {"Name": "bad", "TTL": 0}).text
    assert consul.put("agent/check/register", {"Name": "bad", "TTL": True}).text == "TTL: must be a string"
    consul.register("web", Check={"TCP": "192.0.2.1:1", "Interval": 5_000_000_000, "Timeout": 2_000_000_000,
                                  "DeregisterCriticalServiceAfter": 3_600_000_000_000})
    definition = consul.get("health/checks/web").json[0]["Definition"]
    assert definition == {"TCP": "192.0.2.1:1", "Interval": "5s", "Timeout": "2s", "DeregisterCriticalServiceAfter": "1h0m0s"}


# what would make the instance another thing than Consul makes of it
MESH = [
    ({"Kind": "connect-proxy"}, "Kind: "), ({"kind": "mesh-gateway"}, "Kind: "), ({"Kind": 5}, "Kind: "),
    ({"Connect": {"Native": True}}, "Connect: "), ({"connect": {"sidecar_service": {}}}, "Connect: "),
    ({"Connect": {"SidecarService": {"Port": 20000}}}, "Connect: "),
    ({"Proxy": {"DestinationServiceName": "db"}}, "Proxy: "), ({"Proxy": {"Upstreams": [{"DestinationName": "db"}]}}, "Proxy: "),
    ({"SocketPath": "/run/x.sock"}, "SocketPath: "), ({"PeerName": "east"}, "PeerName: "),
    ({"Namespace": "team"}, "Namespace: "), ({"Partition": "team"}, "Partition: "), ({"Partition": ["default"]}, "Partition: "),
]
PLAIN = [{"Kind": ""}, {"Kind": None}, {"Connect": None}, {"Connect": {}}, {"Connect": {"Native": False, "SidecarService": None}},
         {"Proxy": {}}, {"Proxy": {"MeshGateway": {}, "Expose": {"Checks": False}, "Upstreams": []}}, {"SocketPath": ""},
         {"Namespace": "default", "Partition": "default"}, {"Token": "x"}, {"Locality": {"Region": "r"}}]


def test_what_is_of_the_service_mesh_is_refused_by_name(consul):
    for fields, text in MESH:
        reply = consul.put("agent/service/register", {"Name": "web", **fields})
        assert reply.status == 400 and reply.text.startswith(text), (fields, reply)
        reply = consul.put("catalog/register", {"Node": "n", "Address": "192.0.2.9", "Service": {"Service": "web", **fields}})
        assert reply.status == 400 and reply.text.startswith(text), (fields, reply)
    assert consul.get("catalog/services").json == {"consul": []}
    assert len(consul.get("catalog/nodes").json) == 1, "a node was half registered"
    for fields in PLAIN:
        consul.register("web", **fields)


# parameters and headers that choose data that is not there
ELSEWHERE = [({"ns": "team"}, {}, '"ns"'), ({"partition": "p"}, {}, '"partition"'), ({"peer": "east"}, {}, '"peer"'),
             ({"sg": "g"}, {}, '"sg"'), ({}, {"X-Consul-Namespace": "team"}, '"X-Consul-Namespace"'),
             ({}, {"X-Consul-Partition": "p"}, '"X-Consul-Partition"')]


def test_what_chooses_other_data_is_refused_by_name(consul):
    for query, headers, name in ELSEWHERE:
        for path in ("health/service/web", "catalog/nodes", "kv/a", "agent/services"):
            reply = consul.request("GET", path, headers=headers, **query)
            assert reply.status == 400 and name in reply.text, (path, query, headers, reply)
    assert consul.get("health/service/web", ns="", partition="", peer="").status == 200


DEFINITION = {"HTTP": "http://192.0.2.9/health", "Header": {"X-Probe": ["a"]}, "Method": "POST", "Body": "{}",
              "TLSSkipVerify": True, "Interval": "1m0s", "Timeout": "2s", "DeregisterCriticalServiceAfter": "1h0m0s",
              "OutputMaxSize": 1024}


@pytest.mark.parametrize("instance", ["", "web-1"], ids=["node", "instance"])
def test_the_definition_of_a_check_in_the_catalog_is_kept(start_consul, instance):
    daemon, consul = start_consul()
    given = {**DEFINITION, "Interval": 60_000_000_000, "Timeout": "2000ms", "TCP": "", "ScriptArgs": [], "Unknown": 1}
    entry = {"Node": "n1", "Address": "192.0.2.9", "Service": {"ID": "web-1", "Service": "web"},
             "Check": {"CheckID": "c", "Name": "c", "Status": "passing", "Type": "http", "ServiceID": instance, "Definition": given}}
    assert consul.put("catalog/register", entry).status == 200

    def shown():
        return next(check for check in consul.get("health/node/n1").json if check["CheckID"] == "c")

    assert shown()["Definition"] == DEFINITION and shown()["Type"] == "http" and shown()["ServiceID"] == instance
    index = consul.get("health/service/web").index
    assert consul.put("catalog/register", entry, durable=None).status == 200
    assert consul.get("health/service/web").index == index, "the same again is a change"
    daemon.kill()
    daemon.start()
    assert shown()["Definition"] == DEFINITION and shown()["Type"] == "http"
    for field, value in (("HTTP", 5), ("Header", {"a": "b"}), ("ScriptArgs", "x"), ("Interval", "soon"), ("TLSSkipVerify", 1),
                         ("OutputMaxSize", -1), ("Body", "x" * 8193)):
        spoiled = {**entry, "Check": {**entry["Check"], "Definition": {field: value}}, "Address": "192.0.2.10"}
        reply = consul.put("catalog/register", spoiled)
        assert reply.status == 400 and (field in reply.text or "longer than 8192" in reply.text), (field, reply)
    assert shown()["Definition"] == DEFINITION
    assert consul.get("catalog/node/n1").json["Node"]["Address"] == "192.0.2.9", "half of a refused entry was taken"


def test_the_index_at_which_the_own_node_was_made_stays(consul):
    created = consul.get("catalog/node/edge1").json["Node"]["CreateIndex"]
    assert created > 0
    consul.register("web", Check={"TTL": "1h"})
    consul.put("agent/check/register", {"Name": "c", "TTL": "1h"})
    consul.put("agent/maintenance", enable="true")
    node = consul.get("catalog/node/edge1").json["Node"]
    assert node["CreateIndex"] == created and node["ModifyIndex"] > created


def test_the_sum_of_an_instance_in_maintenance(consul):
    consul.register("web", Check={"TTL": "1h", "Status": "passing"})
    assert consul.get("agent/health/service/id/web").json["AggregatedStatus"] == "passing"
    consul.put("agent/service/maintenance/web", enable="true")
    for path in ("agent/health/service/id/web", "agent/health/service/name/web"):
        reply = consul.get(path)
        shown = reply.json if isinstance(reply.json, dict) else reply.json[0]
        assert reply.status == 503 and shown["AggregatedStatus"] == "maintenance"
        assert consul.get(path, format="text").text == "maintenance"
    consul.put("agent/service/maintenance/web", enable="false")
    assert consul.get("agent/health/service/name/web", format="text").text == "passing"


def test_what_the_agent_says_of_itself(consul):
    consul.register("web")
    self_ = consul.get("agent/self").json
    assert self_["Stats"]["agent"]["services"] == "1" and self_["Stats"]["consul"]["server"] == "true"
    assert all(isinstance(value, str) for group in self_["Stats"].values() for value in group.values())
    version = consul.get("agent/version").json
    assert version["HumanVersion"] == self_["Config"]["Version"] == self_["Stats"]["build"]["version"]
    metrics = consul.get("agent/metrics").json
    assert list(metrics) == ["Timestamp", "Gauges", "Points", "Counters", "Samples"]
    gauges = {gauge["Name"]: gauge["Value"] for gauge in metrics["Gauges"]}
    assert gauges["sluice.registry.services"] == 1 and gauges["sluice.http.connections"] >= 1
    for query, headers in (({"format": "prometheus"}, {}), ({}, {"Accept": "application/openmetrics-text;version=1.0.0,*/*"})):
        reply = consul.request("GET", "agent/metrics", headers=headers, **query)
        assert reply.status == 200 and "# TYPE sluice_" in reply.text and reply.headers["Content-Type"].startswith("text/plain")
    assert consul.get("agent/metrics", format="json").json["Gauges"]


# each says what there is instead
REFUSED = [("GET", "agent/host", "sluicectl status"), ("PUT", "agent/reload", "SIGHUP"), ("GET", "agent/monitor", "log"),
           ("GET", "agent/metrics/stream", "/metrics"), ("PUT", "agent/join/192.0.2.2", "no cluster"),
           ("GET", "discovery-chain/web", "no service mesh"), ("GET", "exported-services", "no peering"),
           ("GET", "internal/ui/services", "Consul's own"), ("GET", "acl/tokens", "control.http_token"),
           ("GET", "operator/raft/configuration", "no servers"), ("GET", "snapshot", "state directory"),
           ("GET", "namespaces", "Enterprise"), ("GET", "query", "no prepared queries")]


def test_refusals_say_what_there_is_instead(consul):
    for method, path, text in REFUSED:
        reply = consul.request(method, path)
        assert reply.status == 501 and reply.text.startswith("not served by Sluice: ") and text in reply.text, (path, reply)


# names as clients choose them: every one is a service's, an instance's, a check's and a node's
NAMES = ["a/b", "a#b", "a:b", "_web", "a b", "-a", ".", "..", "a%2Fb", "a?b&c=d", 'a"b\\c', "ü", "日本", "service/web",
         "maintenance/web", "x" * 64, "x" * 118, "_nomad-task-8d6dd4f7-1f1d-3b2c-9d5e-0123456789ab-group-cache-redis-cache-db"]


@pytest.mark.parametrize("name", NAMES)
def test_names_as_clients_choose_them(start_consul, name):
    daemon, consul = start_consul()
    part = quote(name, safe="")
    check = f"{name} check"
    consul.register(name, ID=name, Address="192.0.2.5", Port=80, Check={"CheckID": check, "Name": "c", "TTL": "1h"})
    entry = {"Node": name, "Address": "192.0.2.9", "Service": {"Service": name, "ID": name, "Port": 81},
             "Check": {"CheckID": check, "Name": "c", "Status": "passing", "ServiceID": name}}
    assert consul.put("catalog/register", entry).status == 200
    assert consul.put(f"agent/check/pass/{quote(check, safe='')}", durable=None).status == 200
    daemon.kill()
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": [], name: []}
    instances = consul.get(f"health/service/{part}", passing=None).json
    assert sorted(instance["Node"]["Node"] for instance in instances) == sorted(["edge1", name])
    assert [instance["Service"]["ID"] for instance in instances] == [name, name]
    assert consul.get(f"agent/service/{part}").json["Service"] == name
    assert consul.get(f"agent/health/service/id/{part}").status == 200
    assert list(consul.get(f"catalog/node/{part}").json["Services"]) == [name]
    assert [check_["CheckID"] for check_ in consul.get(f"health/checks/{part}").json] == [check, check]
    assert consul.get("catalog/services", filter=f"ServiceName == {json.dumps(name, ensure_ascii=False)}" if "\\" not in name else "").json[name] == []
    shown = daemon.ctl_json("service", "show", name) if name[0] != "-" else daemon.rpc("service.show", name=name)
    assert shown["name"] == name and len(shown["backends"]) == 2
    assert f'service="{name}"'.replace("\\", "\\\\").replace('a"b', 'a\\"b') in consul.request("GET", "/metrics").text
    assert consul.put(f"agent/service/maintenance/{part}", enable="true").status == 200
    assert consul.put(f"agent/service/deregister/{part}").status == 200
    assert consul.put("catalog/deregister", {"Node": name, "ServiceID": name}).status == 200
    assert consul.get("catalog/services").json == {"consul": []}
    assert consul.put("catalog/deregister", {"Node": name}, durable=None).status == 200
    assert len(consul.get("catalog/nodes").json) == 1
    daemon.kill()
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": []} and len(consul.get("catalog/nodes").json) == 1


# bytes of a name: all that are taken, and one more
LIMITS = [("PUT", "agent/service/register", lambda n: {"Name": "n" * n, "ID": "i"}, 255),
          ("PUT", "agent/service/register", lambda n: {"Name": "web", "ID": "i" * n}, 255),
          ("PUT", "agent/check/register", lambda n: {"Name": "c", "ID": "c" * n, "TTL": "1h"}, 255),
          ("PUT", "catalog/register", lambda n: {"Node": "n" * n, "Address": "192.0.2.9"}, 255),
          ("PUT", "catalog/register", lambda n: {"Node": "n", "Address": "192.0.2.9", "Service": {"Service": "s" * n, "ID": "i"}}, 255),
          ("PUT", "catalog/register", lambda n: {"Node": "m", "Address": "192.0.2.9", "Service": {"Service": "s", "ID": "i" * n}}, 253)]


def test_how_long_a_name_may_be(consul):
    for method, path, body, most in LIMITS:
        assert consul.request(method, path, body(most)).status == 200, (path, body(most))
        reply = consul.request(method, path, body(most + 1))
        assert reply.status == 400 and ("longer than 255 bytes" in reply.text or "1 to 255 bytes" in reply.text), (path, reply)
    for name in ("", "a\nb", "a\x7fb", "@any"):
        assert consul.put("agent/service/register", {"Name": name}).status == 400, name
        assert consul.put("catalog/register", {"Node": name, "Address": "192.0.2.9"}).status == 400, name


def test_a_slash_may_stand_in_a_path_as_it_is(consul):
    consul.register("a/b", ID="id/1")
    assert len(consul.get("health/service/a/b").json) == 1
    assert consul.get("agent/service/id/1").json["Service"] == "a/b"
    assert consul.get("agent/service/maintenance/id").status == 405, "a path of another method is no name"
    assert consul.put("agent/service/deregister/id/1").status == 200
    assert consul.get("health/service/a/b").json == []


def test_two_that_would_have_one_key_are_kept_apart(start_consul):
    daemon, consul = start_consul()
    for node, service, instance in (("b", "a", "c/d"), ("c", "a/b", "d")):  # catalog/a/b/c/d, each of them
        assert consul.put("catalog/register", {"Node": node, "Address": "192.0.2.9", "Service": {"Service": service, "ID": instance}}, durable=None).status == 200
    daemon.kill()
    daemon.start()
    assert consul.get("catalog/services").json == {"a": [], "a/b": [], "consul": []}
    for node, instance, status in (("x/y", "z", 200), ("x", "y/z", 409)):
        reply = consul.put("catalog/register", {"Node": node, "Address": "192.0.2.9", "Service": {"Service": "web", "ID": instance}})
        assert reply.status == status, reply
    consul.register("web", ID="own/1")
    assert consul.put("catalog/register", {"Node": "own", "Address": "192.0.2.9", "Service": {"Service": "web", "ID": "1"}}).status == 409
    assert consul.put("agent/service/register", {"Name": "web", "ID": "x/y/z"}).status == 409
    assert {entry["Node"]["Node"]: entry["Service"]["ID"] for entry in consul.get("health/service/web").json} == {"x/y": "z", "edge1": "own/1"}
