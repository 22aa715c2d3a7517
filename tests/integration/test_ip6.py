"""Instances with an IPv6 address: registered, found by HTTP and DNS, checked from the host over IPv6."""

import json
import socket

import pytest

from rig import wait
from rig.consul import Consul
from rig.dns import dig
from rig.health import GrpcHealth, HttpHealth
from rig.ports import free_port

OFTEN = {"Interval": "30ms", "Timeout": "5s"}
# Spelled in another way than it would be written: a client that compares wants it back as it gave it.
THERE, ODD = "2001:db8::12", "2001:DB8:0::0012"


class World:
    """A daemon in a host with 2001:db8::1, and a neighbour that has 2001:db8::12."""

    def __init__(self, start_sluiced, host, other, **config):
        self.host, self.other, self.http, self.dns = host, other, free_port(), free_port()
        control = {"http": f"127.0.0.1:{self.http}", "dns": f"127.0.0.1:{self.dns}", "node": "edge1", "dns_ttl_s": 0,
                   "node_address": "2001:db8::1"}
        self.daemon = start_sluiced({"control": control, **config}, ns=host)

    def put(self, path, body=None):
        return self.host.do(lambda: Consul(self.http).put(path, body, durable=None))

    def get(self, path, **query):
        return self.host.do(lambda: Consul(self.http).get(path, **query)).json

    def dig(self, name, kind, *options):
        return dig(self.dns, name, kind, *options, netns=self.host)

    def register(self, name, address, port, **check):
        reply = self.put("agent/service/register", {"Name": name, "Address": address, "Port": port,
                                                    **({"Check": {**OFTEN, **check}} if check else {})})
        assert reply.status == 200, reply

    def status(self, name, status, text=""):
        def there():
            found = self.get("agent/checks")[f"service:{name}"]
            return found["Status"] == status and text in found["Output"]

        wait.until(there, f"{name} is {status}: {text}")


@pytest.fixture
def hosts(netns, requires):
    requires("ip", "dig")
    host, other = netns("host"), netns("lan")
    host.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", other.name)
    for ns, link, address in ((host, "lan0", "2001:db8::1/64"), (other, "eth0", f"{THERE}/64")):
        ns.run("ip", "addr", "add", address, "dev", link, "nodad")
        ns.run("ip", "link", "set", link, "up")
    return host, other


@pytest.fixture
def world(start_sluiced, hosts):
    return World(start_sluiced, *hosts)


def test_found_by_http_and_dns(world):
    world.register("web", ODD, 8080)
    world.register("tidy", THERE, 80)
    assert world.get("health/service/web")[0]["Service"]["Address"] == ODD
    assert world.get("catalog/service/web")[0]["ServiceAddress"] == ODD
    assert world.get("catalog/service/tidy")[0]["ServiceAddress"] == THERE
    assert world.get("agent/service/web")["Address"] == ODD
    assert world.dig("web.service.consul", "AAAA").data("AAAA") == [THERE]
    assert world.dig("web.service.consul", "A").data("A") == []
    srv = world.dig("web.service.consul", "SRV")
    label = socket.inet_pton(socket.AF_INET6, THERE).hex()
    assert srv.data("SRV") == [f"1 1 8080 {label}.addr.dc1.consul."]
    assert [record[3:] for record in srv.additional if record[3] == "AAAA"] == [["AAAA", THERE]]
    assert world.dig(f"{label}.addr.consul", "AAAA").data("AAAA") == [THERE]
    name = ".".join(reversed(label)) + ".ip6.arpa"
    assert world.dig(name, "PTR").data("PTR") == ["tidy.service.dc1.consul.", "web.service.dc1.consul."]
    assert world.dig(".".join(reversed(socket.inet_pton(socket.AF_INET6, "2001:db8::1").hex())) + ".ip6.arpa",
                     "PTR").data("PTR") == ["edge1.node.dc1.consul."]
    assert world.dig(".".join("0" * 32) + ".ip6.arpa", "PTR").status == "NXDOMAIN"


def test_an_ipv4_address_in_ipv6_is_that_address(world):
    world.register("mapped", "::ffff:192.0.2.7", 80)
    world.register("four", "192.0.2.7", 80)
    for name in ("mapped", "four"):
        message = world.dig(f"{name}.service.consul", "ANY", "+tcp")
        assert message.data("A") == ["192.0.2.7"] and message.data("AAAA") == []
    assert world.dig("7.2.0.192.in-addr.arpa", "PTR").data("PTR") == ["four.service.dc1.consul.",
                                                                      "mapped.service.dc1.consul."]


@pytest.mark.parametrize("address, why", [("::", ":: is not a unicast address"), ("ff02::1", "ff02::1 is not a unicast"),
                                          ("0::0", ":: is not a unicast"), ("::ffff:224.0.0.1", "224.0.0.1 is not a unicast"),
                                          ("::ffff:0.0.0.0", "0.0.0.0 is not a unicast")])
def test_nobody_is_there(world, address, why):
    reply = world.put("agent/service/register", {"Name": "web", "Address": address, "Port": 80})
    assert reply.status == 400 and why in reply.text
    assert world.get("catalog/services") == {"consul": []}


def test_checked_over_ipv6(world, stack):
    web = stack.enter_context(HttpHealth(world.other, six=True))
    world.register("http", THERE, web.port, HTTP=f"http://[{THERE}]:{web.port}/there")
    world.register("tcp", THERE, web.port, TCP=f"[{ODD}]:{web.port}")
    world.status("http", "passing", "HTTP 200")
    world.status("tcp", "passing", "connected")
    assert web.paths[0] == "/there" and web.requests[0][1]["Host"] == f"[{THERE}]:{web.port}"
    assert world.get("health/checks/http")[0]["Definition"]["HTTP"] == f"http://[{THERE}]:{web.port}/there"
    assert world.get("health/checks/tcp")[0]["Definition"]["TCP"] == f"[{THERE}]:{web.port}"
    assert len(world.get("health/service/tcp", passing="1")) == 1
    web.status = 500
    world.status("http", "critical", "HTTP 500")
    web.close()
    world.status("tcp", "critical", "Connection refused")
    assert world.get("health/service/tcp", passing="1") == []
    assert world.dig("tcp.service.consul", "AAAA").status == "NXDOMAIN"
    again = stack.enter_context(HttpHealth(world.other, web.port, six=True))
    world.status("tcp", "passing")
    again.close()
    world.other.run("ip", "link", "set", "eth0", "down")
    world.register("away", "2001:db8:9::1", 80, TCP="[2001:db8:9::1]:80")
    world.status("away", "critical", "Network is unreachable")


def test_checked_by_grpc(world, stack):
    pytest.importorskip("grpc")
    health = stack.enter_context(GrpcHealth(world.other))
    world.register("grpc", THERE, 50051, GRPC=f"[{THERE}]:50051/db")
    world.status("grpc", "passing", "SERVING")
    health.set("NOT_SERVING", "db")
    world.status("grpc", "critical", "NOT_SERVING")


@pytest.mark.parametrize("target", ["::1:80", "[::1]", "[::1]:0", "[::1]:65536", "[::1", "[::1]80", "[]:80", "[::]:80",
                                    "[fe80::1%eth0]:80", "[::1]:80x", "[::1]:", "[::1]:-1", "[[::1]]:80"])
def test_where_no_check_can_go(world, target):
    for check in ({"TCP": target}, {"GRPC": target}):
        reply = world.put("agent/service/register", {"Name": "web", "Port": 80, "Check": {**OFTEN, **check}})
        assert reply.status == 400 and "is not at an address and port" in reply.text, (check, reply)
    assert world.get("catalog/services") == {"consul": []}


def test_what_was_registered_is_there_after_a_crash(world):
    world.register("web", ODD, 8080, TCP=f"[{THERE}]:8080")
    world.put("catalog/register", {"Node": "far", "Address": "2001:db8::99", "Service": {"Service": "db", "Address": THERE,
                                                                                       "Port": 5}})
    world.daemon.kill()
    world.daemon.start()
    assert world.get("catalog/service/web")[0]["ServiceAddress"] == ODD
    assert world.get("catalog/service/db")[0]["ServiceAddress"] == THERE
    assert world.dig("db.service.consul", "AAAA").data("AAAA") == [THERE]
    assert world.dig("far.node.consul", "AAAA").data("AAAA") == ["2001:db8::99"]


def test_the_command_line(world, stack):
    """An address is the same however it is spelled, also for what is kept over a restart."""
    web = stack.enter_context(HttpHealth(world.other, six=True))
    ctl = world.daemon.ctl
    ctl("service", "add", "api", "--check-type", "http", "--check-interval-ms", "30")
    ctl("backend", "add", "api", f"[{ODD}]:{web.port}", "--weight", "3")
    ctl("backend", "add", "api", "fd00::7", "80")
    shown = json.loads(ctl("--json", "service", "show", "api").stdout)["backends"]
    assert [(b["id"], b["address"], b["weight"], b["balanced"]) for b in shown] == [
        (f"[{THERE}]:{web.port}", THERE, 3, False), ("[fd00::7]:80", "fd00::7", 1, False)]
    wait.until(lambda: world.daemon.rpc("service.show", name="api")["backends"][0]["health"] == "passing", "it is probed")
    twice = ctl("backend", "add", "api", f"[{THERE}]:{web.port}", check=False)
    assert twice.returncode == 1 and f"has a backend [{THERE}]:{web.port} already" in twice.stderr
    missing = ctl("backend", "del", "api", "[fd00::8]:80", check=False)
    assert missing.returncode == 1 and "service api has no backend [fd00::8]:80" in missing.stderr
    for word in ("fe80::1%eth0", "[fd00::1]", "fd00::/64"):
        refused = ctl("backend", "add", "api", word, "80", check=False)
        assert refused.returncode == 1 and "address: must be an IP address" in refused.stderr
    ctl("backend", "drain", "api", "[FD00:0::7]:80")
    ctl("backend", "del", "api", "[fd00::0007]:80")
    world.daemon.stop()
    world.daemon.start()
    assert [b["address"] for b in world.daemon.rpc("service.show", name="api")["backends"]] == [THERE]


def test_a_configuration(start_sluiced, hosts):
    world = World(start_sluiced, *hosts, services=[{"name": "api"}],
                  backends=[{"service": "api", "address": ODD, "port": 80}, {"service": "api", "address": "10.1.0.9", "port": 80}])
    assert [b["id"] for b in world.daemon.rpc("service.show", name="api")["backends"]] == ["10.1.0.9:80", f"[{THERE}]:80"]
    assert world.dig("api.service.consul", "AAAA").data("AAAA") == [THERE]


NET = {"name": "n", "mode": "bridge", "subnet": "10.1.0.0/24"}
VIP = {"name": "web", "network": "n", "vip": "fd00::1", "port": 80, "protocol": "tcp"}


def test_what_the_workers_cannot_do_yet_is_refused(world):
    daemon = world.daemon
    daemon.rpc("network.add", **NET)
    port = {"name": "p", "network": "n", "type": "null"}
    answer = daemon.connection().request("service.add", {**VIP, "vip": "2001:DB8::a01:1"})
    assert answer["error"]["message"] == "vip: 2001:db8::a01:1: network n has no subnet of IPv6"
    for noun in ("service", "port"):
        assert daemon.rpc(f"{noun}.list") == []
    made = daemon.rpc("port.add", **port, ips=["::ffff:10.1.0.9"], allow=["02:00:00:00:00:11 FD00::/64", "02:00:00:00:00:12 fd00::7",
                                                                         "02:00:00:00:00:13 10.2.0.0/16", "02:00:00:00:00:14"])
    assert made["ips"] == ["10.1.0.9"]
    assert daemon.rpc("port.show", name="p")["allow"] == [
        "02:00:00:00:00:11 fd00::/64", "02:00:00:00:00:12 fd00::7/128", "02:00:00:00:00:13 10.2.0.0/16", "02:00:00:00:00:14"]
    daemon.rpc("port.del", name="p")
    daemon.rpc("service.add", **{**VIP, "vip": "::ffff:10.1.0.100"})
    assert daemon.rpc("service.show", name="web")["vip"] == "10.1.0.100"
    answer = daemon.connection().request("service.set", {"name": "web", "vip": "fd00::1"})
    assert answer["error"]["message"] == "vip: fd00::1: network n has no subnet of IPv6"
    # beside the vip an instance of the other family is found, and not balanced
    daemon.rpc("backend.add", service="web", address="fd00::9", port=80)
    daemon.rpc("backend.add", service="web", address="10.1.0.9", port=80)
    assert {b["address"]: b["balanced"] for b in daemon.rpc("service.show", name="web")["backends"]} == {
        "10.1.0.9": True, "fd00::9": False}
    assert world.dig("web.service.consul", "AAAA").data("AAAA") == ["fd00::9"]


def test_a_network_without_ipv6(world, stack):
    """What a service of a network probes starts at its gateway, which reaches nothing of the host's by IPv6 either."""
    web = stack.enter_context(HttpHealth(world.host, six=True))
    lan = stack.enter_context(HttpHealth(world.other, web.port, six=True))
    world.daemon.rpc("network.add", **NET, gateway="10.1.0.1")
    for kind in ("tcp", "http"):
        world.daemon.rpc("service.add", name=kind, network="n", check={"type": kind, "interval_ms": 30})
        for address in ("::1", "2001:db8::1", THERE, "fe80::1"):
            world.daemon.rpc("backend.add", service=kind, address=address, port=web.port)

        def outputs():
            return {b["address"]: (b["health"], b["output"]) for b in world.daemon.rpc("service.show", name=kind)["backends"]}

        wait.until(lambda: all(output != "no result yet" for _, output in outputs().values()), f"each {kind} check has ended once")
        found = outputs()
        assert found["::1"] == ("critical", "Connection refused")
        assert found[THERE] == found["2001:db8::1"] == ("critical", "Network is unreachable")
        assert found["fe80::1"][0] == "critical"
    assert web.requests == lan.requests == []
