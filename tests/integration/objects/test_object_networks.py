"""Networks and their gateways: what is made, shown and refused, and why."""

import os
import socket

import pytest

from rig import traffic
from rig.objects import EXISTS, IN_USE, INVALID, NOT_FOUND, refused
from rig.process import run

pytestmark = pytest.mark.control


def test_network_life(sluiced):
    assert sluiced.rpc("network.list") == []
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", gateway="10.1.0.1")
    assert sluiced.rpc("network.list") == [
        {"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24", "gateway": "10.1.0.1",
         "subnets": ["10.1.0.0/24"], "gateways": ["10.1.0.1"], "ranges": [], "egress": "none",
         "mtu": 1450, "age_s": 300, "mac_limit": 0, "mac_moves": 10, "ports": 0, "source": "api", "scope": "host",
         "revision": None}]
    shown = sluiced.rpc("network.set", name="web", mtu=1400, age_s=10)
    assert (shown["mtu"], shown["age_s"]) == (1400, 10)
    assert sluiced.rpc("network.show", name="web")["mtu"] == 1400
    sluiced.rpc("network.del", name="web")
    assert sluiced.rpc("network.list") == []
    refused(sluiced, "network.show", NOT_FOUND, 'name: no such network "web"', name="web")


def test_network_defaults(sluiced):
    shown = sluiced.rpc("network.add", name="plain", mode="bridge")
    assert shown == {"name": "plain", "mode": "bridge", "vni": None, "subnet": None, "gateway": None, "subnets": [], "gateways": [],
                     "ranges": [], "egress": "none",
                     "mtu": 1500, "age_s": 300, "mac_limit": 0, "mac_moves": 10, "ports": 0, "source": "api", "scope": "host",
         "revision": None}


NETWORK_REFUSALS = [
    ({"mode": "overlay"}, INVALID, "vni: required for mode overlay"),
    ({"mode": "bridge", "vni": 5}, INVALID, "vni: only for modes overlay and host"),
    ({"mode": "overlay", "vni": 100}, EXISTS, "vni: 100 is taken by network web"),
    ({"mode": "bridge", "gateway": "10.2.0.1"}, INVALID, "gateway: needs a subnet"),
    ({"mode": "bridge", "subnet": "10.2.0.0/24", "gateway": "10.3.0.1"}, INVALID, "gateway: 10.3.0.1 is no host"),
    ({"mode": "bridge", "subnet": "10.2.0.0/24", "gateway": "10.2.0.255"}, INVALID, "gateway: 10.2.0.255 is no host"),
    ({"mode": "bridge", "subnet": "10.0.0.0/7"}, INVALID, "subnet: "),
    ({"subnet": "10.2.0.0/24", "ranges": ["10.2.1.0/24"]}, INVALID, "ranges: 10.2.1.0/24 is no part of a subnet"),
    ({"subnet": "10.2.0.0/24", "ranges": ["10.0.0.0/8"]}, INVALID, "ranges: 10.0.0.0/8 is no part of a subnet"),
    ({"subnet": "10.2.0.0/24", "ranges": ["10.2.0.0/25", "10.2.0.128/25"]}, INVALID, "ranges: 10.2.0.128/25: there is one range of IPv4"),
    ({"mode": "host", "subnet": "10.2.0.0/24"}, INVALID, "gateway: required for mode host"),
    ({"mode": "p2p", "subnet": "10.2.0.0/24", "gateway": "10.2.0.1"}, INVALID, "gateway: not for mode p2p"),
    ({"mode": "bridge", "name": "web"}, EXISTS, 'name: there is a network "web" already'),
]


def test_ports_get_addresses_of_the_networks_ranges(sluiced):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/16", ranges=["10.1.2.0/30"])
    given = [sluiced.rpc("port.add", name=f"p{n}", network="web", type="vhost-user", socket=str(sluiced.vhost / f"p{n}"))["ips"]
             for n in range(2)]
    assert given == [["10.1.2.1"], ["10.1.2.2"]]
    refused(sluiced, "port.add", IN_USE, "ips: no free address left in 10.1.2.0/30", name="more", network="web",
            type="vhost-user", socket=str(sluiced.vhost / "more"))


def test_a_host_that_is_alone_has_nothing_global(sluiced):
    refused(sluiced, "network.add", NOT_FOUND, "scope: the configuration names no etcd, so this host is alone",
            name="web", mode="overlay", vni=100, scope="global")
    refused(sluiced, "network.add", INVALID, "scope: ", name="web", scope="all")
    assert sluiced.rpc("network.add", name="web", scope="host")["scope"] == "host"
    refused(sluiced, "network.del", NOT_FOUND, "scope: the configuration names no etcd", name="web", scope="global")
    sluiced.rpc("network.del", name="web", scope="host")


def test_a_gateway_takes_every_mtu(sluiced):
    """Below 1280 the kernel has no IPv6 on an interface, which must not matter."""
    for mtu in (68, 1279, 1280, 9000):
        sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24", gateway="10.1.0.1", mtu=mtu)
        assert sluiced.rpc("network.show", name="web")["mtu"] == mtu
        sluiced.rpc("network.del", name="web")


def test_network_refusals(sluiced):
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100)
    before = sluiced.rpc("network.list")
    for params, code, text in NETWORK_REFUSALS:
        refused(sluiced, "network.add", code, text, **{"name": "new", **params})
        assert sluiced.rpc("network.list") == before


def test_network_in_use(web):
    web.rpc("port.add", name="n1", network="web", type="vhost-user", socket=str(web.vhost / "n1.sock"))
    refused(web, "network.del", IN_USE, "name: network web has port n1", name="web")
    web.rpc("port.del", name="n1")
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    refused(web, "network.del", IN_USE, "name: network web has service api", name="web")
    web.rpc("service.del", name="api")
    web.rpc("network.del", name="web")


def test_gateway_answers(web, netns):
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    traffic.ping(c1, "10.1.0.1")
    shown = web.rpc("network.show", name="web")
    assert (shown["gateway_state"], shown["ports"]) == ("up", 1)
    web.rpc("network.set", name="web", mtu=1300)
    traffic.ping(c1, "10.1.0.1", size=1300 - 28)


def test_subnets_of_two_networks_may_overlap(web, netns):
    web.rpc("network.add", name="other", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    for network in ("web", "other"):
        ns = netns()
        web.rpc("port.add", name=f"c-{network}", network=network, type="tap", netns=ns.name, ips=["10.1.0.9"])
        traffic.ping(ns, "10.1.0.1")


def test_host_network_is_joined_with_the_host(sluiced, netns):
    """The gateway's interface stands in the host's namespace, under the network's name, and goes with it."""
    pid, subnet = os.getpid(), f"198.18.{os.getpid() % 256}"
    name = f"n{pid}"
    sluiced.rpc("network.add", name=name, mode="host", subnet=f"{subnet}.0/24", gateway=f"{subnet}.1")
    ifname = sluiced.rpc("network.show", name=name)["gateway_interface"]
    assert ifname == f"sl-{name}"
    assert ifname in [each for _, each in socket.if_nameindex()]
    ns = netns()
    sluiced.rpc("port.add", name="c1", network=name, type="tap", netns=ns.name, ips=[f"{subnet}.2"])
    traffic.ping(ns, f"{subnet}.1")
    sluiced.rpc("port.del", name="c1")
    sluiced.rpc("network.del", name=name)
    assert ifname not in [each for _, each in socket.if_nameindex()]


def test_host_interface_name_is_taken(sluiced):
    """Then the network's interface gets another name, made of its name and a hash."""
    name = f"n{os.getpid()}"
    run(["ip", "tuntap", "add", f"sl-{name}", "mode", "tap"])
    try:
        sluiced.rpc("network.add", name=name, mode="host", subnet="198.18.7.0/30", gateway="198.18.7.1")
        ifname = sluiced.rpc("network.show", name=name)["gateway_interface"]
        assert ifname.startswith(f"sl-{name[:7]}-") and len(ifname) <= 15
    finally:
        run(["ip", "link", "del", f"sl-{name}"])


def test_long_names_of_host_networks(sluiced):
    long = f"n{os.getpid()}-a-rather-long-name"
    for i in (1, 2):
        sluiced.rpc("network.add", name=f"{long}-{i}", mode="host", subnet=f"198.18.{i}.0/30",
                    gateway=f"198.18.{i}.1")
    ifnames = {sluiced.rpc("network.show", name=f"{long}-{i}")["gateway_interface"] for i in (1, 2)}
    assert len(ifnames) == 2 and all(len(ifname) == 15 for ifname in ifnames)
