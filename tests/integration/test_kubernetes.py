"""Kubernetes' Services at a server that is asked over TLS: pods reach them, and what the server does wrong costs nothing."""

import json
import os
import random

import pytest

from rig import traffic, wait
from rig.certs import Authority
from rig.daemon import ROOT, Daemon, program
from rig.kube_api import NO_PROGRESS, NODES, SERVICES, SLICES, KubeApi, endpoint, endpoint_slice, service
from rig.process import run

pytestmark = pytest.mark.control

VIP, VIP6 = "10.96.0.10", "fd00:96::10"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("kube"), "kube-ca")


class World:
    def __init__(self, daemon, api):
        self.daemon, self.api = daemon, api

    def instances(self, name):
        """{address: draining} of a service, {} when there is none."""
        found = [one for one in self.daemon.rpc("backend.list") if one["service"] == name]
        return {f"{one['address']}:{one['port']}": one["health"] == "draining" for one in found}

    def wait(self, name, expected):
        wait.until(lambda: self.instances(name) == expected, f"{name} has {expected}, not {self.instances(name)}")

    def services(self):
        return {one["name"] for one in self.daemon.rpc("service.list") if one["source"] == "kubernetes"}

    def status(self):
        return self.daemon.rpc("status")["kubernetes"]


def config_of(api, authority, **more):
    return {"networks": [{"name": "pods", "mode": "bridge", "subnet": "10.244.0.0/16", "gateway": "10.244.0.1"}],
            "kubernetes": {"api": api.url, "ca": str(authority.cert), "token_file": str(api.token_file), "network": "pods",
                           **more}}


@pytest.fixture
def world(start_sluiced, authority, stack, tmp_path):
    """world(marks=True, **kubernetes): the daemon follows a server."""
    def make(marks=True, objects=(), refuse=(), **more):
        api = stack.enter_context(KubeApi(authority, tmp_path / "token", marks))
        api.put(*objects)
        api.refuse = {path: (503, ()) for path in refuse}
        return World(start_sluiced(config_of(api, authority, **more)), api)

    return make


def web(*addresses, ports=(("http", 8080),), name="web-1", **more):
    return endpoint_slice(name, "web", [endpoint(one, **more) for one in addresses], ports)


WEB = service("web", [VIP], [("http", 80)])
NAME = "http.web.default"


def test_pods_reach_a_service_as_its_endpoints_come_and_go(world, container):
    w = world()
    pods = [container(w.daemon, "pods", f"pod{i}", f"10.244.0.1{i}") for i in range(3)]
    for pod in pods[1:]:
        traffic.http_server(pod)
    w.api.put(WEB, web(pods[1].ip))
    w.wait(NAME, {f"{pods[1].ip}:8080": False})
    bodies, failed = traffic.http_many(pods[0], VIP, 80, 10)
    assert (set(bodies), failed) == ({pods[1].name}, 0)
    w.api.put(web(pods[1].ip, pods[2].ip))
    w.wait(NAME, {f"{pods[1].ip}:8080": False, f"{pods[2].ip}:8080": False})
    bodies, failed = traffic.http_many(pods[0], VIP, 80, 60)
    assert (set(bodies), failed) == ({pods[1].name, pods[2].name}, 0)
    w.api.put(web(pods[2].ip))
    w.wait(NAME, {f"{pods[2].ip}:8080": False})
    bodies, failed = traffic.http_many(pods[0], VIP, 80, 10)
    assert (set(bodies), failed) == ({pods[2].name}, 0)
    w.api.delete(WEB)
    wait.until(lambda: not w.services(), "the service is gone")


@pytest.mark.parametrize("marks", [True, False, NO_PROGRESS], ids=["marks", "pages", "no-progress"])
def test_all_that_there_is_at_the_start(world, marks):
    """A server without sendInitialEvents, or one whose etcd cannot, is asked for pages, of which several make the list."""
    services = [service(f"s{i}", [f"10.96.1.{i}"], [("", 80)]) for i in range(1, 8)]
    slices = [endpoint_slice(f"s{i}-x", f"s{i}", [endpoint(f"10.244.0.{i}")], [("", 8080)]) for i in range(1, 8)]
    w = world(marks, [*services, *slices])
    for i in range(1, 8):
        w.wait(f"s{i}.default", {f"10.244.0.{i}:8080": False})
    status = w.status()
    assert (status["synced"], status["why"]) == (True, None)
    assert [status[key] for key in ("services", "slices", "endpoints")] == [7, 7, 7]
    assert "7 services, 7 endpoints in 7 slices" in w.daemon.ctl("status").stdout
    w.api.delete(services[0], slices[0])
    w.wait("s1.default", {})
    assert any("continue" in query for _, query in w.api.asked) is (marks is not True)


def test_ports_protocols_and_both_families(world):
    slices = [endpoint_slice("dns-4", "dns", [endpoint("10.244.0.5")], [("dns", 53, "UDP"), ("dns-tcp", 5353), ("metrics", 9153)]),
              endpoint_slice("dns-6", "dns", [endpoint("fd00:244::5")], [("dns", 53, "UDP"), ("dns-tcp", 5353)])]
    w = world(objects=[service("dns", [VIP6, VIP], [("dns", 53, "UDP"), ("dns-tcp", 53)], namespace="default",
                               sessionAffinity="ClientIP",
                               sessionAffinityConfig={"clientIP": {"timeoutSeconds": 600}}), *slices])
    w.wait("dns.dns.default", {"10.244.0.5:53": False, "fd00:244::5:53": False})
    w.wait("dns-tcp.dns.default", {"10.244.0.5:5353": False, "fd00:244::5:5353": False})
    shown = w.daemon.rpc("service.show", name="dns.dns.default")
    assert (shown["vips"], shown["port"], shown["protocol"], shown["affinity_s"]) == ([VIP, VIP6], 53, "udp", 600)
    w.api.put(service("dns", [VIP6, VIP], [("dns-tcp", 53), ("metrics", 9153)]))
    wait.until(lambda: w.services() == {"dns-tcp.dns.default", "metrics.dns.default"}, "the ports are others")
    assert w.daemon.rpc("service.show", name="dns-tcp.dns.default")["affinity_s"] == 0


def test_what_has_no_address_or_is_none_of_ours(world):
    w = world(objects=[service("headless", ["None"], [("", 80)]), {**service("far", [VIP], [("", 80)]), "spec": {
        "type": "ExternalName", "externalName": "example.org"}}, service("odd", ["10.96.0.300", "224.0.0.1"], [("", 80)]),
        service("ports", [VIP], [("", 0), ("UPPER", 80), ("", 70000), ("ok", 81, "DCCP"), ("good", 82)]), WEB])
    wait.until(lambda: w.services() == {NAME, "good.ports.default"}, "the sound ones are there")
    assert all("service-proxy-name" in query["labelSelector"] for path, query in w.api.asked if path != NODES)


def test_which_endpoints_are_chosen(world):
    """Ready ones; else those that still serve while they end. One that was chosen drains while it is there."""
    a, b, c = "10.244.0.1", "10.244.0.2", "10.244.0.3"
    w = world(objects=[WEB, web(a, b)])
    w.wait(NAME, {f"{a}:8080": False, f"{b}:8080": False})
    ending = endpoint(b, ready=False, serving=True, terminating=True)
    one = {**web(a), "endpoints": [endpoint(a), ending, endpoint(c, ready=False)]}
    w.api.put(one)
    w.wait(NAME, {f"{a}:8080": False, f"{b}:8080": True})
    one["endpoints"] = [endpoint(a, ready=False), ending, endpoint(c, ready=False)]
    w.api.put(one)
    w.wait(NAME, {f"{a}:8080": True, f"{b}:8080": False})
    one["endpoints"] = [endpoint(c, ready=False)]
    w.api.put(one)
    w.wait(NAME, {})
    twice = endpoint_slice("web-2", "web", [endpoint(c, ready=False)], [("http", 8080)])
    one["endpoints"] = [endpoint(c)]
    w.api.put(one, twice)
    w.wait(NAME, {f"{c}:8080": False})


def test_endpoints_of_this_node_and_zone(world):
    near, far = endpoint("10.244.0.1", node="n1"), endpoint("10.244.0.2", node="n2")
    hinted = [{**one, "hints": {"forZones": [{"name": zone}]}} for one, zone in ((near, "a"), (far, "b"))]
    node = {"kind": "Node", "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}}
    of = {**web(), "addressType": "IPv4"}
    w = world(objects=[WEB, {**of, "endpoints": hinted}, node], node="n1")
    w.wait(NAME, {"10.244.0.1:8080": False})
    node["metadata"]["labels"]["topology.kubernetes.io/zone"] = "b"
    w.api.put(node)
    wait.until(lambda: w.instances(NAME).get("10.244.0.2:8080") is False, "the other zone's is taken")
    w.api.put({**of, "endpoints": [hinted[0], far]})  # one without a hint: none counts
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.2:8080": False})
    w.api.put({**of, "endpoints": [near, far]}, service("web", [VIP], [("http", 80)], internalTrafficPolicy="Local"))
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.2:8080": True})
    assert w.daemon.rpc("service.show", name=NAME)["no_backend"] == "drop"
    w.api.put({**of, "endpoints": [far]})
    w.wait(NAME, {"10.244.0.2:8080": True})


def test_a_break_goes_on_from_the_last_version(world):
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    before = len(w.api.asked)
    w.api.hang_up()
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})
    wait.until(lambda: not w.status()["why"], "it is heard again")
    assert all("resourceVersion" in query for _, query in w.api.asked[before:])


@pytest.mark.parametrize("marks", [True, False], ids=["marks", "pages"])
def test_versions_that_are_forgotten(world, marks):
    """Everything comes again; what went meanwhile goes, and nothing else does even for a moment."""
    w = world(marks, [WEB, web("10.244.0.1"), service("old", ["10.96.0.11"], [("", 80)])])
    w.wait(NAME, {"10.244.0.1:8080": False})
    wait.until(lambda: "old.default" in w.services(), "the other one is there")
    created = w.daemon.rpc("service.show", name=NAME)["backends"][0]["connections"]
    w.api.delete(service("old", ["10.96.0.11"], [("", 80)]))
    w.api.forget()
    wait.until(lambda: w.services() == {NAME}, "the one that went is gone")
    assert w.instances(NAME) == {"10.244.0.1:8080": False} and created == 0


def test_a_bookmark_is_where_it_goes_on(world):
    """What was forgotten is only what a bookmark was behind: nothing comes again."""
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    version = w.api.bookmark(SLICES)
    w.api.put(web("10.244.0.2"))  # heard behind the bookmark
    w.wait(NAME, {"10.244.0.2:8080": False})
    w.api.bookmark(SLICES)
    w.api.say(SLICES, json.dumps({"type": "MODIFIED", "object": {**web("10.244.0.3"), "metadata": {
        **web()["metadata"], "resourceVersion": str(w.api.version)}}}).encode() + b"\n")
    w.wait(NAME, {"10.244.0.3:8080": False})
    before = len(w.api.asked)
    w.api.hang_up()
    w.api.put(web("10.244.0.4"))
    w.wait(NAME, {"10.244.0.4:8080": False})
    asked = [query for path, query in w.api.asked[before:] if path == SLICES]
    assert all(int(query["resourceVersion"]) > version for query in asked), asked


def test_a_list_that_is_lost_between_two_pages(world):
    """410 for a page: the list begins anew, and is whole in the end."""
    w = world(marks=False, objects=[WEB, web("10.244.0.1")], refuse=[SERVICES])
    names = [f"s{n}" for n in range(5)]
    w.api.put(*(service(name, [f"10.96.1.{n + 1}"], [("", 80)]) for n, name in enumerate(names)))
    w.api.lose_page = True
    w.api.refuse = {}
    wait.until(lambda: w.services() == {NAME, *(f"{name}.default" for name in names)}, "all are there")
    assert not w.api.lose_page
    w.wait(NAME, {"10.244.0.1:8080": False})


def test_a_server_that_says_when_to_come_again(world):
    """Retry-After holds, which is longer than the first pause would be."""
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    before = len(w.api.asked_at)
    w.api.refuse = {SLICES: (429, [("Retry-After", "4")])}
    w.api.hang_up()

    def refused():
        return [at for path, at in w.api.asked_at[before:] if path == SLICES]

    wait.until(lambda: len(refused()) >= 2, "it comes again")
    assert refused()[1] - refused()[0] > 3.9
    w.api.refuse = {}
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})


def test_an_authority_that_rotates(start_sluiced, authority, stack, tmp_path):
    """The file has another one, and the server a certificate of it: no restart is needed."""
    ca, other = tmp_path / "ca.crt", Authority(tmp_path, "next")
    ca.write_bytes(authority.cert.read_bytes())
    api = stack.enter_context(KubeApi(authority, tmp_path / "token"))
    api.put(WEB, web("10.244.0.1"))
    config = config_of(api, authority)
    config["kubernetes"]["ca"] = str(ca)
    w = World(start_sluiced(config), api)
    w.wait(NAME, {"10.244.0.1:8080": False})
    ca.write_bytes(other.cert.read_bytes())
    api.certify(other)
    api.hang_up()
    api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})


def test_a_server_that_refuses(world):
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.refuse = {SLICES: (429, [("Retry-After", "1")]), SERVICES: (500, ())}
    w.api.hang_up()
    wait.until(lambda: w.status()["why"] in ("HTTP status 429", "HTTP status 500"), "status says why")
    assert "is not heard: HTTP status" in w.daemon.ctl("status").stdout
    w.api.refuse = {}
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})
    wait.until(lambda: not w.status()["why"], "it is heard again")


@pytest.mark.parametrize("line", [b"no JSON\n", b'{"type":"ADDED"}\n', b"[" * 100000 + b"\n",
                                  b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is away"}}\n'],
                         ids=["no-json", "no-object", "deep", "error"])
def test_a_line_that_ends_the_watch(world, line):
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.say(SLICES, line)
    wait.until(lambda: w.status()["why"], "status says why")
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})


def test_objects_that_are_none(world):
    """They are left out, and what comes after them is heard."""
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    metadata = [{"namespace": "../..", "name": "x"}, {"namespace": "n" * 10000, "name": "x"}, {"name": 7}, [], None,
                {"namespace": "default", "name": "web-9", "labels": {"kubernetes.io/service-name": "a" * 64}}]
    for of in [*({"metadata": one} for one in metadata), [], 7, {"metadata": {}, "spec": []}]:
        line = json.dumps({"type": "MODIFIED", "object": of}).encode() + b"\n"
        w.api.say(SLICES, line)
        w.api.say(SERVICES, line)
    w.api.put({**web(), "endpoints": [{"addresses": []}, {"addresses": ["10.244.0.0.1"]}, {}, 7, endpoint("224.0.0.1"),
                                      {**endpoint("10.244.0.2"), "hints": 7, "conditions": []}]})
    w.wait(NAME, {"10.244.0.2:8080": False})
    assert w.status()["why"] is None and w.services() == {NAME}


def test_a_token_that_rotates(world):
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.rotate("second")
    w.api.hang_up()
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})


def test_a_server_of_another_authority_is_not_believed(start_sluiced, authority, stack, tmp_path):
    api = stack.enter_context(KubeApi(Authority(tmp_path, "other"), tmp_path / "token"))
    api.put(WEB)
    w = World(start_sluiced(config_of(api, authority)), api)
    wait.until(lambda: w.status()["why"], "status says why")
    assert "certificate" in w.status()["why"] and not w.services() and not api.asked


def test_an_address_that_another_service_has(world):
    """It is taken as soon as that one is gone."""
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.put(service("new", [VIP], [("http", 80)]),
              endpoint_slice("new-1", "new", [endpoint("10.244.0.9")], [("http", 8080)]))
    wait.until(lambda: "http.new.default" in w.daemon.log(), "the log says that it is refused")
    w.api.delete(WEB)
    w.wait("http.new.default", {"10.244.0.9:8080": False})


@pytest.mark.parametrize("fields, error", [
    ({"node": "n1"}, "kubernetes.api: required by what is beside it, or else kubeconfig"),
    ({"api": "http://10.0.0.1:6443", "network": "pods"}, "kubernetes.api: must be https://HOST[:PORT]"),
    ({"api": "https://10.0.0.1:6443/api", "network": "pods"}, "kubernetes.api: must be https://HOST[:PORT]"),
    ({"api": "https://10.0.0.1:6443"}, "kubernetes.network: required"),
    ({"api": "https://10.0.0.1:6443", "network": "pods", "nodes": "n1"}, "kubernetes.nodes: unknown key"),
])
def test_a_configuration_that_cannot_be(fields, error):
    daemon = Daemon({"kubernetes": fields}, start=False)
    try:
        done = run([*daemon.argv(), "--check-config"], check=False)
    finally:
        daemon.close()
    assert done.returncode == 1 and error in done.stderr


def chosen(slices):
    """What a port named http is to have: {address:port} of those that are ready, else of those that serve while they end."""
    every = [(f"{one['addresses'][0]}:{port['port']}", one["conditions"]) for of in slices for port in of["ports"]
             if port["name"] == "http" for one in of["endpoints"]]
    ready = {name for name, conditions in every if conditions["ready"]}
    return ready or {name for name, conditions in every if conditions["serving"] and conditions["terminating"]}


@pytest.mark.parametrize("seed", range(int(os.environ.get("SLUICE_ROUNDS", "2"))))
def test_random_changes_end_where_the_server_is(world, seed):
    """Services and slices come, go and change, the connection breaks and versions are forgotten."""
    rng = random.Random(seed)
    w = world(marks=rng.random() < 0.5)
    services, slices = {}, {}

    def some_slice(n):
        of, first = f"s{n % 6}", rng.randrange(8)
        endpoints = [endpoint(f"10.244.1.{n % 6 * 40 + k}", ready=rng.random() < 0.6, serving=rng.random() < 0.7,
                              terminating=rng.random() < 0.5) for k in range(first, first + rng.randrange(1, 5))]
        return endpoint_slice(f"{of}-{n}", of, endpoints, [("http", 8080 + rng.randrange(2)), ("other", 9090)])

    for _ in range(150):
        n, what = rng.randrange(18), rng.random()
        if what < 0.2:
            one = services[n % 6] = service(f"s{n % 6}", [f"10.96.2.{n % 6 + 1}"], [("http", 80 + rng.randrange(2))])
            w.api.put(one)
        elif what < 0.3 and n % 6 in services:
            w.api.delete(services.pop(n % 6))
        elif what < 0.8:
            slices[n] = some_slice(n)
            w.api.put(slices[n])
        elif what < 0.95 and n in slices:
            w.api.delete(slices.pop(n))
        elif what < 0.97:
            w.api.hang_up()
        elif what < 0.98:
            w.api.forget()
    wanted = {f"http.s{n}.default": {**dict.fromkeys(chosen([of for k, of in slices.items() if k % 6 == n]), False)}
              for n in services}

    def there():
        """What gets new connections."""
        found = {name: {} for name in w.services()}
        for one in w.daemon.rpc("backend.list"):
            if one["health"] != "draining":
                found.setdefault(one["service"], {})[f"{one['address']}:{one['port']}"] = False
        return found

    wait.until(lambda: there() == wanted, "all is as the server has it", timeout_s=90)


def test_the_configuration_of_the_page_is_one(tmp_path):
    config = json.loads((ROOT / "docs/howto/kubernetes.md").read_text().split("```json\n")[1].split("```")[0])
    config["networks"][0].pop("gateway"), config["networks"][0].update(mode="bridge")  # no interface of the host's is looked for
    (tmp_path / "sluice.json").write_text(json.dumps(config))
    run([program("sluiced"), "--check-config", "--no-huge", "--config", tmp_path / "sluice.json"])


def test_what_others_take_away_comes_back(world):
    """And what they add stays theirs, whatever the server says later."""
    w = world(objects=[WEB, web("10.244.0.1", "10.244.0.2")])
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.2:8080": False})
    w.daemon.rpc("backend.del", service=NAME, address="10.244.0.2", port=8080)
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.2:8080": False})
    w.daemon.rpc("service.del", name=NAME)
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.2:8080": False})
    assert w.daemon.rpc("service.show", name=NAME)["vips"] == [VIP]
    w.daemon.rpc("backend.add", service=NAME, address="10.244.0.9", port=9000)
    w.api.put(web("10.244.0.1", "10.244.0.9", ports=[("http", 9000)]))
    w.wait(NAME, {"10.244.0.1:9000": False, "10.244.0.9:9000": False})
    w.api.put(web("10.244.0.1"))
    w.wait(NAME, {"10.244.0.1:8080": False, "10.244.0.9:9000": False})
    w.api.delete(WEB)
    w.wait(NAME, {"10.244.0.9:9000": False})
    assert not w.services()


def test_ports_of_one_name(world):
    """No server has them; if one did, nothing would be left of them."""
    w = world(objects=[service("web", [VIP], [("http", 80), ("http", 81)]), web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.put(service("web", [VIP], [("http", 81), ("http", 80)]))
    wait.until(lambda: w.daemon.rpc("service.show", name=NAME)["port"] == 81, "the first counts")
    w.api.delete(WEB)
    wait.until(lambda: not w.services(), "it is gone")


def test_a_server_that_has_always_forgotten(world):
    """It is not asked without a pause."""
    w = world(objects=[WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.refuse = {SLICES: (410, ()), SERVICES: (410, ())}
    w.api.hang_up()
    wait.until(lambda: w.status()["why"] == "HTTP status 410", "status says why")
    assert len(w.api.asked) < 30
    assert w.instances(NAME) == {"10.244.0.1:8080": False}


@pytest.mark.parametrize("marks", [False, NO_PROGRESS], ids=["pages", "no-progress"])
def test_a_server_that_forgets_each_version_that_it_gives(world, marks):
    """It is not asked for lists without a pause either."""
    w = world(marks, [WEB, web("10.244.0.1")])
    w.wait(NAME, {"10.244.0.1:8080": False})
    w.api.forgets = True
    w.api.hang_up()
    wait.until(lambda: w.status()["why"] == "it forgets the version that it gave", "status says why")
    assert len(w.api.asked) < 60
    w.api.forgets = False
    w.api.put(web("10.244.0.2"))
    w.wait(NAME, {"10.244.0.2:8080": False})
    wait.until(lambda: not w.status()["why"], "it goes well")


def test_as_many_ports_and_endpoints_as_there_may_be_and_one_more(world):
    """100 ports of a Service, 1,000 endpoints of a slice: what is over is left out, and the next Service is whole."""
    many = [(f"p{n}", n + 1) for n in range(101)]
    w = world(objects=[service("many", ["10.96.0.11"], many), WEB,
                       {**web(), "endpoints": [endpoint(f"10.244.{n // 250}.{n % 250 + 1}") for n in range(1001)]}])
    wait.until(lambda: w.services() == {NAME, *(f"p{n}.many.default" for n in range(100))}, "a hundred ports are there")
    wait.until(lambda: len(w.instances(NAME)) == 1000, "a thousand endpoints are there")
    assert w.status()["endpoints"] == 1000
    w.api.put(web("10.244.0.9"))
    w.wait(NAME, {"10.244.0.9:8080": False})


@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_daemon_that_starts_while_the_server_is_away(world, how):
    """It knows what the server said last, endpoints of its zone too; what went meanwhile goes when the server is back."""
    far = {**endpoint("10.244.0.2"), "hints": {"forZones": [{"name": "b"}]}}
    near = {**endpoint("10.244.0.1"), "hints": {"forZones": [{"name": "a"}]}}
    node = {"kind": "Node", "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}}
    w = world(objects=[node, WEB, {**web("10.244.0.1"), "endpoints": [near, far]}, service("old", [VIP6], [("", 80)])], node="n1")
    w.wait(NAME, {"10.244.0.1:8080": False})
    wait.until(lambda: "old.default" in w.services(), "the other one is there")
    path = w.daemon.state / "kubernetes.journal"
    wait.until(lambda: path.exists() and all(one in path.read_bytes() for one in (b"old", b"10.244.0.2", b"whole")), "it is on disk")
    w.api.refuse = {path: (503, ()) for path in (SERVICES, SLICES, NODES)}
    w.api.hang_up()
    w.api.delete(service("old", [VIP6], [("", 80)]))
    w.daemon.stop() if how == "end" else w.daemon.kill()
    w.daemon.start()
    w.wait(NAME, {"10.244.0.1:8080": False})
    assert w.services() == {NAME, "old.default"} and not w.status()["synced"]
    w.api.refuse = {}
    wait.until(lambda: w.services() == {NAME}, "the one that went is gone")
    wait.until(lambda: w.status()["synced"], "all of it is heard")
    assert w.instances(NAME) == {"10.244.0.1:8080": False}


def test_what_was_heard_in_part_is_not_in_effect(world):
    """A daemon that ended before it had heard of all there is waits for that, as at its first start."""
    w = world(objects=[WEB, web("10.244.0.1")], refuse=[SLICES])
    path = w.daemon.state / "kubernetes.journal"
    wait.until(lambda: path.exists() and b"default/web" in path.read_bytes(), "the Service is on disk")
    w.daemon.kill()
    w.daemon.start()
    assert w.services() == set()
    w.api.refuse = {}
    w.wait(NAME, {"10.244.0.1:8080": False})


def test_the_bench_measures(requires, tmp_path):
    """bench/kubernetes, as short as it goes."""
    requires("nft")
    run([ROOT / "bench/kubernetes", "--build", program("sluiced").parent, "--services", "20", "--endpoints", "2", "--changes", "5",
         "--connections", "5", "--turns", "1", "--rules", "2", "--json", tmp_path / "out"], timeout_s=600)
    rows = json.loads((tmp_path / "out").read_text())
    assert [(one["name"], one["services"], one["endpoints"]) for one in rows] == [("sluice", 20, 40), ("nftables", 20, 40)]
    assert all(one["first_us"] > 0 and one["round_us"] > 0 and one["event_ms"]["p50"] > 0 for one in rows), rows
    assert rows[0]["cycles"] > 0


def test_more_backends_than_there_is_room_for(start_sluiced, authority, stack, tmp_path):
    """The log names the Service that has no room, and what to ask for; it is balanced by the next change with room."""
    api = stack.enter_context(KubeApi(authority, tmp_path / "token"))
    w = World(start_sluiced({**config_of(api, authority), "dataplane": {"backends": 1024}}), api)
    endpoints = [endpoint(f"10.244.{n // 250 + 1}.{n % 250 + 1}") for n in range(1000)]
    w.api.put(WEB, {**web(), "endpoints": endpoints})
    wait.until(lambda: len(w.instances(NAME)) == 1000, "a thousand are there")
    w.api.put(service("big", ["10.96.0.11"], [("", 80)]), endpoint_slice("big-1", "big", endpoints[:100], [("", 80)]))
    line = "service big.default: the dataplane keeps its old backends: no room for more than 32768 services or 1024 backends"
    wait.until(lambda: line in w.daemon.log(), "the log says that there is no room")
    assert "(dataplane.backends)" in w.daemon.log()
    w.api.put(web("10.244.1.1"))
    w.wait(NAME, {"10.244.1.1:8080": False})

    def shown():
        w.api.put(endpoint_slice("big-1", "big", endpoints[:3], [("", 80)]))
        return [one for one in w.daemon.rpc("service.show", name="big.default")["backends"] if one["balanced"]]

    wait.until(lambda: len(shown()) == 3, "the next change has room")


def test_more_services_than_there_is_room_for(world):
    """The first 32,768 are known; the log names the first that is not, and status counts them, each once."""
    w = world()
    line = json.dumps({"type": "ADDED", "object": endpoint_slice("s-@", "s-@", [], [])})
    w.api.say(SLICES, "".join(line.replace("@", str(n)) + "\n" for n in range(32768 + 3)).encode())
    wait.until(lambda: w.status()["left_out"], "some are left out")
    w.api.put(WEB)
    wait.until(lambda: w.status()["left_out"] == 4, "and then another")
    assert w.status()["services"] == 32768
    assert "room for 32768 Services" in w.daemon.log()
    assert "4 Services and slices are left out" in w.daemon.ctl("status").stdout
    for _ in range(3):
        w.api.put(WEB)
    w.api.put(web("10.244.0.9"))
    wait.until(lambda: w.status()["left_out"] == 5, "a slice more, and no Service is counted twice")
    w.api.delete(WEB, web("10.244.0.9"))
    wait.until(lambda: w.status()["left_out"] == 3, "those that are gone are not left out any more")
    w.api.say(SLICES, line.replace("@", "1").replace("ADDED", "DELETED").encode() + b"\n")
    wait.until(lambda: w.status()["services"] == 32767, "one has gone")
    w.api.put(WEB, web("10.244.0.9"))
    w.wait(NAME, {"10.244.0.9:8080": False})
    assert w.status()["left_out"] == 3
