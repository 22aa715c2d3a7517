"""Services, backends and connections: what is made, shown and refused, and why."""

import pytest

from rig import traffic, wait
from rig.objects import EXISTS, INVALID, NOT_FOUND, given, names, refused

pytestmark = pytest.mark.control


def test_service_life(web):
    added = web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    assert added == {"name": "api", "network": "web", "vip": "10.1.0.100", "vips": ["10.1.0.100"], "port": 80, "end_port": None, "protocol": "tcp",
                     "ports": [], "policy": "maglev", "locality": "off", "weights": "set", "affinity_s": 0, "no_backend": "reject",
                     "on_critical": "keep", "slow_start_ms": 0, "drain_ms": 0, "drain_reset": False,
                     "generation": added["generation"], "check": None, "backends": [], "source": "api",
                     "scope": "host", "revision": None}
    web.rpc("backend.add", service="api", address="10.1.0.12", port=8080)
    web.rpc("backend.add", service="api", address="10.9.0.1", port=8080, weight=3)
    shown = web.rpc("service.show", name="api")
    assert shown["generation"] > added["generation"]
    keys = ("address", "port", "weight", "health", "balanced", "connections", "packets", "bytes")
    assert [tuple(backend[key] for key in keys) for backend in shown["backends"]] == [
        ("10.1.0.12", 8080, 1, "passing", True, 0, 0, 0), ("10.9.0.1", 8080, 3, "passing", False, 0, 0, 0)]
    assert [(row["name"], row["backends"], row["passing"]) for row in web.rpc("service.list")] == [("api", 2, 2)]

    changed = web.rpc("service.set", name="api", vip="10.1.0.101", port=81,
                      check={"type": "tcp", "interval_ms": 100, "timeout_ms": 50})
    assert (changed["vip"], changed["port"], changed["protocol"]) == ("10.1.0.101", 81, "tcp")
    assert changed["check"] == {"type": "tcp", "interval_ms": 100, "timeout_ms": 50, "rise": 1, "fall": 2}
    assert {backend["health"] for backend in changed["backends"]} == {"critical"}
    web.rpc("service.del", name="api")
    assert web.rpc("service.list") == []
    refused(web, "service.show", NOT_FOUND, 'name: no such service "api"', name="api")


def test_service_without_a_vip_is_discoverable_only(web):
    web.rpc("service.add", name="db")
    backend = web.rpc("backend.add", service="db", address="10.1.0.12", port=5432)
    assert (backend["balanced"], backend["health"]) == (False, "passing")
    shown = web.rpc("service.set", name="db", network="web", vip="10.1.0.100", port=5432, protocol="tcp")
    assert shown["backends"][0]["balanced"] is True


SERVICE_REFUSALS = [
    ({"name": "api"}, EXISTS, ""),
    ({"network": "none"}, NOT_FOUND, 'network: no such network "none"'),
    ({"network": None}, INVALID, "network: required with a vip"),
    ({"port": None}, INVALID, "port: required with a vip"),
    ({"protocol": None}, INVALID, "protocol: required with a vip"),
    ({"network": "bare"}, INVALID, "vip: network bare has no subnet"),
    ({"vip": "10.2.0.1"}, INVALID, "vip: 10.2.0.1 is no host address of 10.1.0.0/24"),
    ({"vip": "10.1.0.1"}, EXISTS, "vip: 10.1.0.1 is the gateway of network web"),
    ({"vip": "10.1.0.2"}, EXISTS, "vip: 10.1.0.2 is taken by port v1"),
    ({"vip": "10.1.0.100"}, EXISTS, "vip: "),
    ({"ports": [{"port": 80}]}, INVALID, "ports[0].port: the service has 80 already"),
    ({"ports": [{"port": 81}, {"port": 81, "target_port": 9}]}, INVALID, "ports[1].port: the service has 81 already"),
    ({"ports": [{"name": "a", "port": 81}, {"name": "a", "port": 82}]}, INVALID, "ports[1].name: a is there twice"),
    ({"ports": [{"name": "a" * 16, "port": 81}]}, INVALID, "ports[0].name: "),
    ({"ports": [{"port": 81, "target_port": 0}]}, INVALID, "ports[0].target_port: "),
    ({"ports": [{"name": "a"}]}, INVALID, "ports[0].port: missing"),
    ({"end_port": 79}, INVALID, "end_port: 79 is less than port"),
    ({"end_port": 65536}, INVALID, "end_port: "),
    ({"end_port": 120}, EXISTS, "vip: 10.1.0.99:100 is the vip of service range"),
    ({"port": 105}, EXISTS, "vip: 10.1.0.99:105 is the vip of service range"),
    ({"ports": [{"port": 90, "end_port": 89}]}, INVALID, "ports[0].end_port: 89 is less than port"),
    ({"ports": [{"port": 70, "end_port": 90}]}, INVALID, "ports[0].port: the service has 80 already"),
    ({"ports": [{"port": 84, "end_port": 86}, {"port": 85}]}, INVALID, "ports[1].port: the service has 85 already"),
    ({"ports": [{"port": 84, "end_port": 86, "target_port": 65534}]}, INVALID,
     "ports[0].end_port: 86 leads beyond port 65535 of a backend"),
    ({"vip": None, "port": None, "protocol": None, "network": None, "end_port": 9}, INVALID, "end_port: "),
    ({"ports": [{"port": 81, "to": 1}]}, INVALID, "ports[0].to: unknown key"),
    ({"ports": [{"port": 100 + i} for i in range(17)]}, INVALID, "ports: "),
    ({"weights": "measured"}, INVALID, "weights: measured needs the policy least"),
    ({"weights": "mine"}, INVALID, "weights: "),
    ({"slow_start_ms": 3600001}, INVALID, "slow_start_ms: "),
    ({"drain_ms": 86400001}, INVALID, "drain_ms: "),
    ({"on_critical": "maybe"}, INVALID, "on_critical: "),
    ({"check": {"type": "passive", "fall": 1}}, INVALID, "check.fall: "),
]


def test_service_refusals(web):
    web.rpc("network.add", name="bare", mode="bridge")
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("service.add", name="range", network="web", vip="10.1.0.99", port=100, end_port=110, protocol="tcp")
    whole = {"name": "new", "network": "web", "vip": "10.1.0.99", "port": 80, "protocol": "tcp"}
    for params, code, text in SERVICE_REFUSALS:
        refused(web, "service.add", code, text, **given({**whole, **params}))
        assert names(web.rpc("service.list")) == ["api", "range"]


def test_services_may_share_a_vip_on_different_ports(web):
    for port in (80, 81):
        web.rpc("service.add", name=f"s{port}", network="web", vip="10.1.0.100", port=port, protocol="tcp")
    web.rpc("service.add", name="dns", network="web", vip="10.1.0.100", port=80, protocol="udp")
    assert names(web.rpc("service.list")) == ["dns", "s80", "s81"]


def test_backend_life(web):
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    key = {"service": "api", "address": "10.1.0.12", "port": 8080}
    added = web.rpc("backend.add", **key, weight=2)
    assert (added["id"], added["weight"], added["health"]) == ("10.1.0.12:8080", 2, "passing")
    assert web.rpc("backend.set", **key, weight=5)["weight"] == 5
    assert web.rpc("backend.drain", **key)["health"] == "draining"
    assert web.rpc("backend.set", **key, weight=7)["health"] == "draining"
    assert web.rpc("backend.undrain", **key)["health"] == "passing"
    assert [(row["service"], row["address"], row["weight"]) for row in web.rpc("backend.list")] == [
        ("api", "10.1.0.12", 7)]
    assert web.rpc("backend.list", service="api") == web.rpc("backend.list")
    web.rpc("backend.del", **key)
    assert web.rpc("backend.list") == []


def test_backend_refusals(web):
    web.rpc("service.add", name="api")
    key = {"service": "api", "address": "10.1.0.12", "port": 8080}
    web.rpc("backend.add", **key)
    refused(web, "backend.add", EXISTS, "", **key)
    refused(web, "backend.add", NOT_FOUND, 'service: no such service "none"', **{**key, "service": "none"})
    for verb in ("set", "del", "drain", "undrain"):
        refused(web, f"backend.{verb}", NOT_FOUND, "address: service api has no backend 10.1.0.12:9",
                **{**key, "port": 9})
    refused(web, "backend.list", NOT_FOUND, 'service: no such service "none"', service="none")


def test_backend_follows_its_port(web, netns):
    """Down with the port, at once; up again with a port that has the address."""
    c1 = netns()
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("backend.add", service="api", address="10.1.0.12", port=8080)

    def health():
        return web.rpc("service.show", name="api")["backends"][0]["health"]

    assert health() == "passing"
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name, ips=["10.1.0.12"])
    assert health() == "passing"
    web.rpc("port.set", name="c1", ips=["10.1.0.13"])
    assert health() == "critical"
    web.rpc("port.set", name="c1", ips=["10.1.0.12"])
    assert health() == "passing"
    web.rpc("port.del", name="c1")
    assert health() == "critical"


def test_checks_start_inside_the_network(web, netns):
    """Two networks with the same addresses: each service's check reaches the backend of its own network."""
    web.rpc("network.add", name="other", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    served, silent = netns(), netns()
    for network, ns in (("web", served), ("other", silent)):
        web.rpc("port.add", name=f"c-{network}", network=network, type="tap", netns=ns.name, ips=["10.1.0.2"])
    with traffic.tcp_server(served, 8080):
        for network in ("web", "other"):
            web.rpc("service.add", name=f"s-{network}", network=network, vip="10.1.0.100", port=80, protocol="tcp",
                    check={"type": "tcp", "interval_ms": 50, "timeout_ms": 500})
            web.rpc("backend.add", service=f"s-{network}", address="10.1.0.2", port=8080)

        def health(service):
            return web.rpc("service.show", name=service)["backends"][0]["health"]

        wait.until(lambda: health("s-web") == "passing", "the server is found")
        wait.until(lambda: "refused" in web.rpc("service.show", name="s-other")["backends"][0]["output"].lower(),
                   "the other container refuses")
        assert health("s-other") == "critical"
    wait.until(lambda: health("s-web") == "critical", "the server is missed")


def test_no_connections_yet(web):
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    assert web.rpc("conn.count") == {"count": 0}
    assert web.rpc("conn.list", service="api", client="10.1.0.2") == []
    refused(web, "conn.list", NOT_FOUND, 'service: no such service "none"', service="none")
