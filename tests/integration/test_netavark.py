"""Netavark's plugin protocol, by hand: sluice-cni under the name "sluice", called as Netavark calls a plugin."""

import json
import os
import subprocess

import pytest

from rig import traffic
from rig.cni import left
from rig.daemon import program
from rig.router import HOST

pytestmark = pytest.mark.control


class Netavark:
    def __init__(self, daemon, folder):
        self.daemon, self.path = daemon, folder / "sluice"
        os.symlink(program("sluice-cni"), self.path)

    def network(self, name="web", **more):
        return {"name": name, "id": "5" * 64, "driver": "sluice", "network_interface": "sl0", "subnets": [],
                "ipv6_enabled": False, "internal": False, "dns_enabled": True, "ipam_options": {"driver": "host-local"},
                "options": {"socket": str(self.daemon.socket)}, **more}

    def container(self, network=None, ifname="eth0", **more):
        options = {"aliases": [], "interface_name": ifname, "static_ips": None, "static_mac": None}
        return {"container_id": "a" * 64, "container_name": "front", "port_mappings": None,
                "network": network or self.network(), "network_options": {**options, **more.pop("options", {})}, **more}

    def call(self, command, *words, text=None, **body):
        done = subprocess.run([self.path, command, *words], input=json.dumps(body) if text is None else text, text=True,
                              capture_output=True, timeout=60)
        answer = json.loads(done.stdout) if done.stdout.strip() else None
        assert (done.returncode != 0) == bool(answer and "error" in answer), done
        return answer

    def refused(self, command, *words, **body):
        error = self.call(command, *words, **body)["error"]
        assert "\n" not in error
        return error


@pytest.fixture
def netavark(sluiced, tmp_path, requires):
    requires("ip", "nsenter")
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24", gateway="10.1.0.1")
    yield Netavark(sluiced, tmp_path)
    assert left(sluiced) == []


def test_info(netavark):
    assert netavark.call("info", text="")["api_version"] == "1.0.0"


def test_create_completes_the_network(netavark):
    given = netavark.network()
    made = netavark.call("create", **given)
    assert made == {**given, "subnets": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}],
                    "ipam_options": {"driver": "none"}}
    assert netavark.call("create", **made) == made
    other = netavark.network("podnet", options={**given["options"], "sluice.network": "web"})
    assert netavark.call("create", **other)["name"] == "podnet"
    assert "no network" in netavark.refused("create", **netavark.network("lost"))
    assert "subnets[0].subnet" in netavark.refused("create", **netavark.network(subnets=[{"subnet": "10.9.0.0/24"}]))
    netavark.daemon.rpc("network.add", name="dual", subnets=["10.4.0.0/24", "fd00:4::/64"], gateways=["fd00:4::1"])
    assert netavark.call("create", **netavark.network("dual"))["subnets"] == [
        {"subnet": "10.4.0.0/24"}, {"subnet": "fd00:4::/64", "gateway": "fd00:4::1"}]
    assert "options.colour" in netavark.refused("create", **netavark.network(options={"colour": "red"}))


def test_a_container_comes_and_goes(netavark, netns):
    ns, other = netns(), netns()
    call = netavark.container(options={"aliases": ["api"], "static_ips": ["10.1.0.9"], "static_mac": "02:00:00:00:00:09"})
    assert netavark.call("setup", ns.path, **call) == {
        "dns_search_domains": [], "dns_server_ips": ["10.1.0.1"],
        "interfaces": {"eth0": {"mac_address": "02:00:00:00:00:09",
                                "subnets": [{"ipnet": "10.1.0.9/24", "gateway": "10.1.0.1"}]}}}
    second = netavark.container(container_id="b" * 64, container_name="back")
    assert netavark.call("setup", other.path, **second)["interfaces"]
    assert other.run("ping", "-c", "1", "-W", "5", "10.1.0.9").returncode == 0
    assert sorted({row["service"] for row in netavark.daemon.rpc("backend.list")}) == ["api", "back", "front"]
    assert "already" in netavark.refused("setup", ns.path, **call)
    for _ in range(2):
        assert netavark.call("teardown", ns.path, **call) is None
    assert ns.interfaces() == ["lo"]
    assert netavark.call("teardown", "/run/netns/gone", **second) is None


def test_published_ports(router, tmp_path, netns, stack):
    router.daemon.rpc("network.add", name="lan", mode="host", subnet="10.1.0.0/24", gateway="10.1.0.1", egress="masquerade")
    netavark, ns = Netavark(router.daemon, tmp_path), netns()
    mapping = {"container_port": 8080, "host_ip": "", "host_port": 7000, "protocol": "tcp,udp", "range": 2}
    call = netavark.container(netavark.network("lan"), port_mappings=[mapping])
    assert netavark.call("setup", ns.path, **call)["interfaces"]
    stack.enter_context(traffic.tcp_server(ns, 8081))
    with traffic.EchoClient(router.world, HOST, 7001) as connection:
        connection.echo()
    assert len(router.daemon.rpc("publish.list")) == 4
    taken = netavark.container(netavark.network("lan"), "eth1", container_id="b" * 64, port_mappings=[mapping])
    assert "port_mappings[0]: port: 7000 is published" in netavark.refused("setup", ns.path, **taken)
    assert netavark.call("teardown", ns.path, **call) is None
    assert left(router.daemon) == []


@pytest.mark.parametrize("begin, change", [
    ("container_id", {"container_id": "../x"}), ("container_id", {"container_id": 7}),
    ("network: missing", {"network": None}), ("network_options: missing", {"network_options": None}),
    ("network_options.interface_name", {"options": {"interface_name": ""}}),
    ("network_options.interface_name", {"options": {"interface_name": "x" * 16}}),
    ("network_options.interface_name", {"options": {"interface_name": "x" * 2000}}),
    ("network_options.interface_name", {"options": {"interface_name": "a/b"}}),
    ("network_options.static_ips", {"options": {"static_ips": ["host"]}}),
    ("network_options.static_ips", {"options": {"static_ips": "10.1.0.2"}}),
    ("network_options.static_mac", {"options": {"static_mac": "host"}}),
    ("network_options.aliases", {"options": {"aliases": ["a:b"]}}),
    ("port_mappings: must", {"port_mappings": 7}),
    ("port_mappings[0].host_port", {"port_mappings": [{"container_port": 1}]}),
    ("port_mappings[0].range", {"port_mappings": [{"container_port": 1, "host_port": 1, "range": 70000}]}),
    ("port_mappings[0].range", {"port_mappings": [{"container_port": 1, "host_port": 65535, "range": 2}]}),
    ("port_mappings[0]: protocol", {"port_mappings": [{"container_port": 1, "host_port": 1, "protocol": "dccp"}]})])
def test_what_is_wrong_is_named(netavark, netns, begin, change):
    ns = netns()
    call = {**netavark.container(options=change.get("options", {})), **change}
    call.pop("options", None)
    assert netavark.refused("setup", ns.path, **call).startswith(begin)
    if "interface_name" in begin:
        assert netavark.refused("teardown", ns.path, **call).startswith(begin)
    assert ns.interfaces() == ["lo"]


def test_other_calls_are_refused(netavark):
    for words, why in ((("frobnicate",), "none of create"), (("setup",), "path of a namespace"),
                       (("setup", "relative"), "path of a namespace"), (("setup", "/run/no/such"), "no")):
        assert why in netavark.refused(*words, **netavark.container())
    for text in ("", "[]", "{", "\x00"):
        assert "standard input" in netavark.refused("create", text=text)
    lost = netavark.network(options={"socket": "/run/no/such.sock"})
    assert "no daemon at" in netavark.refused("create", **lost)
