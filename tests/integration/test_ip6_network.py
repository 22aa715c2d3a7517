"""Networks with IPv6: addresses, gateways, neighbour discovery, and traffic in each mode."""

import os
import re
import signal
import socket
import struct

import pytest

from rig import traffic, wait
from rig.dns import dig
from rig.frames import Wire, checksum, ethernet, mac_bytes
from rig.health import HttpHealth
from rig.ports import free_port
from rig.process import run
from rig.vxlan_host import HOST, VxlanHost

ROUTER_MAC = "02:53:4c:00:00:01"
SUBNETS, GATEWAYS = ["10.1.0.0/24", "fd00:1::/64"], ["10.1.0.1", "fd00:1::1"]
ALL, ALL_MAC = "ff02::1", "33:33:00:00:00:01"


def addresses(ns):
    """The addresses of a container's eth0 that are not link-local, with their flags."""
    shown = ns.run("ip", "-o", "addr", "show", "dev", "eth0").stdout
    return {words[3]: line for line in shown.splitlines() if (words := line.split())[3][:4] != "fe80"}


@pytest.fixture
def dual(sluiced, container):
    """Bridge network "web" of both families with gateways, and two containers."""
    sluiced.ctl("network", "add", "web", "--subnets", ",".join(SUBNETS), "--gateways", ",".join(GATEWAYS))
    return sluiced, container(sluiced, "web", "c1"), container(sluiced, "web", "c2")


def test_addresses_are_given_out_and_configured(dual):
    sluiced, c1, c2 = dual
    shown = sluiced.rpc("network.show", name="web")
    assert (shown["subnet"], shown["gateway"]) == ("10.1.0.0/24", "10.1.0.1")
    assert (shown["subnets"], shown["gateways"]) == (SUBNETS, GATEWAYS)
    assert sluiced.port("c1")["ips"] == ["10.1.0.2", "fd00:1::2"]
    assert sluiced.port("c2")["ips"] == ["10.1.0.3", "fd00:1::3"]
    there = addresses(c1)
    assert sorted(there) == ["10.1.0.2/24", "fd00:1::2/64"]
    assert "tentative" not in there["fd00:1::2/64"] and "nodad" in there["fd00:1::2/64"]
    assert "default via 10.1.0.1" in c1.run("ip", "route").stdout
    assert "default via fd00:1::1" in c1.run("ip", "-6", "route").stdout


def test_ping_tcp_and_udp_between_containers(dual):
    sluiced, c1, c2 = dual
    traffic.ping(c1, c2.ip6)
    traffic.ping(c1, c2.ip6, size=1500 - 48)
    traffic.ping(c2, c1.ip)
    traffic.tcp_carries(c2, c1, c2.ip6)
    traffic.tcp_carries(c2, c1, c2.ip6, reverse=True)
    with traffic.udp_server(c2, 7777, six=True):
        for size in (1, 1000, 4000):  # the last one in fragments
            data = b"x" * size
            assert traffic.udp_ask(c1, c2.ip6, 7777, data, timeout_s=20) == c2.name.encode() + b" " + data
    assert sluiced.drops("spoofed-ip") == sluiced.drops("spoofed-arp") == sluiced.drops("rogue-server") == 0


def test_the_gateway_answers_neighbour_discovery_and_ping(dual):
    sluiced, c1, c2 = dual
    with Wire(c2) as wire:
        traffic.ping(c1, "fd00:1::1")
        traffic.ping(c1, "fd00:1::1", size=1500 - 48)
        assert ROUTER_MAC in c1.run("ip", "neigh", "show", "fd00:1::1").stdout
        target = socket.inet_pton(socket.AF_INET6, "fd00:1::1")
        assert not wire.waiting(lambda frame: frame[54:55] == b"\x87" and frame[62:78] == target)
    assert ROUTER_MAC not in sluiced.fdb("web")


def test_ipv6_alone(sluiced, container):
    sluiced.ctl("network", "add", "six", "--subnet", "fd00:6::/64", "--gateway", "fd00:6::1")
    shown = sluiced.rpc("network.show", name="six")
    assert (shown["subnet"], shown["gateway"]) == ("fd00:6::/64", "fd00:6::1")
    assert (shown["subnets"], shown["gateways"]) == (["fd00:6::/64"], ["fd00:6::1"])
    c1, c2 = container(sluiced, "six", "c1"), container(sluiced, "six", "c2", "fd00:6::ABCD")
    assert sluiced.port("c1")["ips"] == ["fd00:6::2"] and sluiced.port("c2")["ips"] == ["fd00:6::abcd"]
    traffic.ping(c1, c2.ip6)
    traffic.ping(c1, "fd00:6::1")
    traffic.tcp_carries(c1, c2, c1.ip6)


def test_a_container_without_ipv6_gets_it_on_this_interface(sluiced, netns):
    sluiced.rpc("network.add", name="web", subnets=SUBNETS)
    off = netns("off")
    off.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    sluiced.rpc("port.add", name="off", network="web", type="tap", netns=off.name)
    assert "fd00:1::1/64" in addresses(off)
    assert off.run("sysctl", "-n", "net.ipv6.conf.all.disable_ipv6").stdout.strip() == "1"


def test_addresses_of_a_port_change(dual):
    sluiced, c1, c2 = dual
    sluiced.ctl("port", "set", "c1", "--ips", "10.1.0.50,fd00:1::50,fd00:1::51")
    assert sorted(addresses(c1)) == ["10.1.0.50/24", "fd00:1::50/64", "fd00:1::51/64"]
    for address in ("fd00:1::50", "fd00:1::51"):
        traffic.wait_ping(c2, address)
    sluiced.ctl("port", "set", "c1", "--ips", "10.1.0.50")
    assert sorted(addresses(c1)) == ["10.1.0.50/24"]
    sluiced.ctl("port", "set", "c1", "--ips", "fd00:1::52")
    assert sorted(addresses(c1)) == ["fd00:1::52/64"]
    traffic.ping(c1, c2.ip6)


def test_what_was_made_is_there_after_a_crash(dual):
    sluiced, c1, c2 = dual
    before = sluiced.rpc("network.list"), [port["ips"] for port in sluiced.rpc("port.list")]
    sluiced.wait_kept("web", "c1", "c2")
    sluiced.kill()
    sluiced.start()
    assert (sluiced.rpc("network.list"), [port["ips"] for port in sluiced.rpc("port.list")]) == before
    for name in ("c1", "c2"):
        sluiced.wait_port(name)
    traffic.wait_ping(c1, c2.ip6)
    traffic.ping(c1, "fd00:1::1")


def test_a_configuration_and_its_change(start_sluiced, netns):
    one, two = netns("one"), netns("two")

    def config(last):
        return {"networks": [{"name": "web", "subnets": SUBNETS, "gateways": GATEWAYS}],
                "ports": [{"name": "c1", "network": "web", "type": "tap", "netns": one.name, "ips": ["fd00:1::11"]},
                          {"name": "c2", "network": "web", "type": "tap", "netns": two.name, "ips": ["10.1.0.12", last]}]}

    sluiced = start_sluiced(config("fd00:1::12"))
    for name in ("c1", "c2"):
        sluiced.wait_port(name)
    traffic.wait_ping(one, "fd00:1::12")
    made = sluiced.rpc("network.show", name="web")
    sluiced.write_config(config("fd00:1::13"))
    sluiced.process.send_signal(signal.SIGHUP)
    wait.until(lambda: sluiced.port("c2")["ips"] == ["10.1.0.12", "fd00:1::13"], "the port has its new address")
    traffic.wait_ping(one, "fd00:1::13")
    assert traffic.ping(one, "fd00:1::12", count=1, check=False) == 0
    assert sluiced.rpc("network.show", name="web")["gateways"] == made["gateways"]


def test_an_overlay_carries_ipv6(sluiced, container, stack):
    """The kernel's vxlan device at the other end; each host answers for the gateway itself."""
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnets=SUBNETS, gateways=GATEWAYS)
    host.vxlan(100, "10.1.0.50/24", address6="fd00:1::50/64")
    host.join(sluiced, "web")
    c1 = container(sluiced, "web", "c1", ["10.1.0.11", "fd00:1::11"])
    traffic.wait_ping(c1, "fd00:1::50")
    traffic.ping(c1, "fd00:1::50", size=1450 - 48)
    traffic.ping(host, c1.ip6)
    traffic.tcp_carries(host, c1, "fd00:1::50")
    traffic.tcp_carries(c1, host, c1.ip6)
    for server, client, address in ((host, c1, "fd00:1::50"), (c1, host, c1.ip6)):
        with traffic.udp_server(server, 7777, six=True):
            assert traffic.udp_ask(client, address, 7777, timeout_s=20) == server.name.encode() + b" hello"
    assert [e["vtep"] for e in sluiced.fdb("web").values() if "vtep" in e] == [HOST]
    traffic.ping(c1, "fd00:1::1")
    assert traffic.ping(host, "fd00:1::1", count=1, check=False) == 0


def test_host_mode_joins_the_host(sluiced, container):
    net = f"fd{os.getpid() >> 16 & 255:02x}:{os.getpid() & 0xffff:x}:1"
    subnet4 = f"10.{150 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    sluiced.rpc("network.add", name="hostsix", mode="host", subnets=[f"{subnet4}.0/24", f"{net}::/64"],
                gateways=[f"{subnet4}.1", f"{net}::1"])
    c1 = container(sluiced, "hostsix", "c1")
    assert re.search(rf"{net}::1/64", run(["ip", "-6", "addr"]).stdout)
    traffic.ping(c1, f"{net}::1")
    traffic.ping(None, c1.ip6)
    traffic.ping(None, c1.ip)
    traffic.tcp_carries(None, c1, f"{net}::1")
    sluiced.rpc("port.del", name="c1")
    sluiced.rpc("network.del", name="hostsix")
    assert net not in run(["ip", "-6", "addr"]).stdout


def ip6(src_mac, dst_mac, src, dst, payload, hops=255):
    """A frame of ICMPv6 with its checksum."""
    pseudo = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    total = checksum(pseudo + struct.pack("!II", len(payload), 58) + payload)
    message = payload[:2] + struct.pack("!H", total) + payload[4:]
    return ethernet(dst_mac, src_mac, struct.pack("!IHBB", 6 << 28, len(message), 58, hops) + pseudo + message, 0x86DD)


def advert(mac, target, option_mac=None, src=None):
    """That `target` is at `option_mac`, to all."""
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + socket.inet_pton(socket.AF_INET6, target)
    return ip6(mac, ALL_MAC, src or target, ALL, body + b"\x02\x01" + mac_bytes(option_mac or mac))


def solicit(mac, src, target):
    """Whose option would teach receivers that `src` is at `mac`."""
    body = struct.pack("!BBHI", 135, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, target)
    return ip6(mac, ALL_MAC, src, ALL, body + b"\x01\x01" + mac_bytes(mac))


def router_advert(mac, src):
    return ip6(mac, ALL_MAC, src, ALL, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + b"\x01\x01" + mac_bytes(mac))


def refused(sluiced, attacker, reason, frame):
    """Each of three is dropped, and counted once."""
    before = sluiced.drops(reason, attacker.port)
    with Wire(attacker) as wire:
        for _ in range(3):
            wire.send(frame)
    wait.until(lambda: sluiced.drops(reason, attacker.port) == before + 3, f"{reason} is counted")


@pytest.mark.parametrize("security", ["full", "mac", "off"])
def test_a_container_that_lies(sluiced, container, security):
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    bad = container(sluiced, "web", "bad", security=security)
    victim, peer = container(sluiced, "web", "victim"), container(sluiced, "web", "peer")
    for address in (victim.ip6, "fd00:1::1"):
        traffic.wait_ping(peer, address)
    # whatever its security: it is no gateway and no router
    refused(sluiced, bad, "spoofed-arp", advert(bad.eth0, "fd00:1::1"))
    refused(sluiced, bad, "spoofed-arp", advert(bad.eth0, "fd00:1::1", src=bad.ip6))
    refused(sluiced, bad, "spoofed-arp", solicit(bad.eth0, "fd00:1::1", victim.ip6))
    refused(sluiced, bad, "rogue-server", router_advert(bad.eth0, bad.ip6))
    if security == "full":
        refused(sluiced, bad, "spoofed-arp", advert(bad.eth0, victim.ip6, src=bad.ip6))
        refused(sluiced, bad, "spoofed-arp", advert(bad.eth0, bad.ip6, option_mac=victim.eth0))
        refused(sluiced, bad, "spoofed-ip", solicit(bad.eth0, victim.ip6, peer.ip6))
        refused(sluiced, bad, "spoofed-ip", ip6(bad.eth0, victim.eth0, peer.ip6, victim.ip6,
                                                struct.pack("!BBHI", 128, 0, 0, 1)))
    neighbours = peer.run("ip", "-6", "neigh").stdout
    assert not [line for line in neighbours.splitlines() if line.startswith("fd00:1::1 ") and bad.eth0 in line]
    if security == "full":
        assert not [line for line in neighbours.splitlines() if line.startswith(victim.ip6 + " ") and bad.eth0 in line]
    assert "default via fd00:1::1" in peer.run("ip", "-6", "route").stdout
    assert bad.ip6 not in peer.run("ip", "-6", "route").stdout
    traffic.ping(bad, victim.ip6)
    traffic.ping(peer, victim.ip6)
    traffic.ping(peer, "fd00:1::1")


REFUSALS = [
    ({"subnets": ["fd00:1::/64", "fd00:2::/64"]}, "subnets: fd00:2::/64: a network has one subnet of IPv6"),
    ({"subnets": ["10.1.0.0/24", "10.2.0.0/24"]}, "subnets: 10.2.0.0/24: a network has one subnet of IPv4"),
    ({"subnets": SUBNETS + ["10.2.0.0/24"]}, "subnets: "),
    ({"subnet": "10.1.0.0/24", "subnets": ["fd00:1::/64"]}, "subnets: instead of subnet, not beside it"),
    ({"subnets": SUBNETS, "gateway": "10.1.0.1", "gateways": GATEWAYS}, "gateways: instead of gateway, not beside it"),
    ({"subnets": SUBNETS, "gateways": ["fd00:1::1", "fd00:1::2"]}, "gateways: fd00:1::2: a network has one gateway of IPv6"),
    ({"subnet": "10.1.0.0/24", "gateway": "fd00:1::1"}, "gateway: fd00:1::1 needs a subnet of IPv6"),
    ({"subnets": SUBNETS, "gateways": ["fd00:2::1"]}, "gateways: fd00:2::1 is no host address of fd00:1::/64"),
    ({"subnets": SUBNETS, "gateways": ["fd00:1::"]}, "gateways: fd00:1:: is no host address of fd00:1::/64"),
    ({"gateways": ["fd00:1::1"]}, "gateway: needs a subnet"),
    ({"subnet": "fd00:1::1/64"}, "subnet: has bits set beyond its prefix length"),
    ({"subnet": "fd00::/15"}, "subnet: \"fd00::/15\" has a prefix length outside 16..128"),
    ({"subnet": "fe80::/64"}, "subnet: fe80::/64 is no prefix of addresses that hosts have"),
    ({"subnet": "ff02::/16"}, "subnet: ff02::/16 is no prefix of addresses that hosts have"),
    ({"subnet": "::/64"}, "subnet: ::/64 is no prefix of addresses that hosts have"),
    ({"subnet": "::ffff:10.1.0.0/120"}, "subnet: "),
    ({"subnet": "fd00:1::/64", "mtu": 1279}, "mtu: 1279 is less than the 1280 that IPv6 needs, for fd00:1::/64"),
    ({"mode": "host", "subnets": SUBNETS}, "gateway: required for mode host"),
]


@pytest.mark.parametrize("fields, text", REFUSALS)
def test_networks_that_are_refused(sluiced, fields, text):
    """By the API, and in a configuration in the same words."""
    answer = sluiced.connection().request("network.add", {"name": "new", **fields})
    assert answer["error"]["message"].startswith(text), answer
    assert sluiced.rpc("network.list") == []


def test_ports_that_are_refused(sluiced):
    sluiced.rpc("network.add", name="web", subnets=["10.1.0.0/24", "fd00:1::/126"], gateways=GATEWAYS)
    sluiced.rpc("network.add", name="four", subnet="10.1.0.0/24")
    sluiced.rpc("port.add", name="first", network="web", type="null", ips=["fd00:1::2"])

    def no(text, method="port.add", **fields):
        answer = sluiced.connection().request(method, fields)
        assert answer["error"]["message"].startswith(text), answer

    port = {"name": "p", "network": "web", "type": "null"}
    no("ips: fd00:1::2 is taken by port first", **port, ips=["FD00:1:0::2"])
    no("ips: fd00:1::1 is taken by the gateway", **port, ips=["fd00:1::1"])
    no("ips: fd00:1::4 is no host address of fd00:1::/126", **port, ips=["fd00:1::4"])
    no("ips: fd00:1:: is no host address of fd00:1::/126", **port, ips=["fd00:1::"])
    no("ips[1]: is there twice", **port, ips=["fd00:1::3", "fd00:1::0003"])
    no("ips: fd00:1::3: network four has no subnet of IPv6", **{**port, "network": "four"}, ips=["fd00:1::3"])
    no("mtu: 1279 is less than the 1280 that IPv6 needs", **port, mtu=1279)
    no("mtu: 1279 is less than the 1280 that IPv6 needs", "network.set", name="web", mtu=1279)
    assert sluiced.rpc("port.add", **port)["ips"] == ["10.1.0.2", "fd00:1::3"]
    no("ips: no free address left in fd00:1::/126", name="q", network="web", type="null")
    no("ips: fd00:1::3 is taken by port p", "port.set", name="first", ips=["fd00:1::3"])
    assert sluiced.port("first")["ips"] == ["fd00:1::2"]


def test_a_port_with_as_many_addresses_as_it_may_have(sluiced, container):
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    many = ["10.1.0.11"] + [f"fd00:1::1{i}" for i in range(7)]
    c1, c2 = container(sluiced, "web", "c1", many), container(sluiced, "web", "c2")
    answer = sluiced.connection().request("port.set", {"name": "c1", "ips": many + ["fd00:1::99"]})
    assert answer["error"]["message"].startswith("ips: "), answer
    for address in many:
        traffic.wait_ping(c2, address)


def test_dns_at_both_gateways(start_sluiced, container, requires):
    requires("dig")
    sluiced = start_sluiced({"control": {"dns": f"127.0.0.1:{free_port()}"}})
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    sluiced.rpc("network.add", name="six", subnet="fd00:6::/64", gateway="fd00:6::1")
    c1, c6 = container(sluiced, "web", "c1"), container(sluiced, "six", "c6")
    sluiced.rpc("service.add", name="db")
    sluiced.rpc("backend.add", service="db", address="fd00:1::9", port=80)
    for client, gateway in ((c1, "10.1.0.1"), (c1, "fd00:1::1"), (c6, "fd00:6::1")):
        for transport in ("+notcp", "+tcp"):
            found = dig(53, "db.service.consul", "AAAA", transport, netns=client, server=gateway)
            assert found.data("AAAA") == ["fd00:1::9"], found.text
    sluiced.rpc("port.del", name="c1")
    sluiced.rpc("network.del", name="web")
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    again = container(sluiced, "web", "c1")
    for gateway in GATEWAYS:
        assert dig(53, "db.service.consul", "AAAA", netns=again, server=gateway).data("AAAA") == ["fd00:1::9"]


def test_checks_go_into_the_network(dual, stack):
    sluiced, c1, _ = dual
    web = stack.enter_context(HttpHealth(c1, six=True))
    for kind in ("tcp", "http"):
        sluiced.rpc("service.add", name=kind, network="web", check={"type": kind, "interval_ms": 30})
        sluiced.rpc("backend.add", service=kind, address=c1.ip6, port=web.port)

    def health(kind):
        return sluiced.rpc("service.show", name=kind)["backends"][0]["health"]

    for kind in ("tcp", "http"):
        wait.until(lambda: health(kind) == "passing", f"the {kind} check passes")
    assert web.requests[0][1]["Host"] == f"[{c1.ip6}]:{web.port}"
    web.close()
    for kind in ("tcp", "http"):
        wait.until(lambda: health(kind) == "critical", f"the {kind} check fails")


def test_an_address_that_goes_to_another_container(dual, container):
    """Whoever spoke to the one before reaches the next one at once."""
    sluiced, c1, c2 = dual
    address = c2.ip6
    traffic.ping(c1, address)
    with traffic.udp_server(c1, 7777, six=True):
        traffic.udp_ask(c2, c1.ip6, 7777)
    sluiced.rpc("port.del", name="c2")
    c3 = container(sluiced, "web", "c3", address)
    traffic.wait_ping(c1, address)
    assert c3.eth0 in c1.run("ip", "neigh", "show", address).stdout


def test_too_long_packets_are_told_of(sluiced, container):
    """The gateway says how long a packet may be; the sender then sends shorter ones."""
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    c1, c2 = container(sluiced, "web", "c1"), container(sluiced, "web", "c2", mtu=1300)
    traffic.wait_ping(c1, c2.ip6)
    assert traffic.ping(c1, c2.ip6, count=1, check=False, size=1500 - 48) == 0
    wait.until(lambda: "mtu 1300" in c1.run("ip", "-6", "route", "get", c2.ip6).stdout, "the sender knows the MTU")
    traffic.tcp_carries(c2, c1, c2.ip6)


def test_a_flood_of_questions_leaves_the_others_alone(dual, container):
    """Each asks for the gateway, or for nobody: answered at the port, or flooded and within its bounds."""
    sluiced, c1, c2 = dual
    bad = container(sluiced, "web", "bad", storm_pps=100)
    known = solicit(bad.eth0, bad.ip6, "fd00:1::1")
    nobody = [solicit(bad.eth0, bad.ip6, f"fd00:1::{i:x}") for i in range(0x1000, 0x1800)]
    with Wire(c2) as wire, Wire(bad) as own:
        before = sluiced.port("bad")["storm_drops"]
        for frame in nobody:
            own.send(known)
            own.send(frame)
        wait.until(lambda: sluiced.port("bad")["storm_drops"] > before, "the storm is bounded")
        assert own.receive(lambda frame: frame[54:55] == b"\x88" and frame[6:12] == mac_bytes(ROUTER_MAC))
        target = socket.inet_pton(socket.AF_INET6, "fd00:1::1")
        assert not wire.waiting(lambda frame: frame[62:78] == target)
    traffic.ping(c1, c2.ip6)
    traffic.ping(c1, "fd00:1::1")


def test_a_published_port_is_of_one_family(sluiced):
    net = f"10.{100 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    sluiced.rpc("network.add", name="hostpub", mode="host", subnets=[f"{net}.0/24", "fd00:9::/64"],
                gateways=[f"{net}.1", "fd00:9::1"])
    for fields in ({"to": "[fd00:9::2]:80", "address": f"{net}.1"}, {"to": f"{net}.2:80", "address": "fd00:9::1"}):
        answer = sluiced.connection().request("publish.add", {"name": "p", "protocol": "tcp", "port": 18080, **fields})
        assert answer["error"]["message"].startswith(("to: ", "address: ")), answer
    assert sluiced.rpc("publish.list") == []


def test_the_host_forwards_ipv6_as_egress_says(router, container):
    """Both ways beyond the gateway: the host's kernel asks for a container that it has not heard of."""
    for ns, link, address in ((router.host, "up0", "2001:db8::1/64"), (router.world, "eth0", "2001:db8::2/64")):
        ns.run("ip", "addr", "add", address, "dev", link, "nodad")
    router.world.run("ip", "route", "add", "fd00:1::/64", "via", "2001:db8::1")
    router.host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    daemon = router.daemon
    daemon.rpc("network.add", name="out", mode="host", subnets=SUBNETS, gateways=GATEWAYS)
    assert "network out: this host forwards packets" in daemon.log()
    c1 = container(daemon, "out", "c1")
    traffic.wait_ping(router.world, c1.ip6)
    traffic.ping(c1, "2001:db8::2")
    traffic.tcp_carries(router.world, c1, "2001:db8::2")
    daemon.ctl("network", "set", "out", "--egress", "none")
    for ns, address in ((c1, "2001:db8::2"), (router.world, c1.ip6)):
        assert traffic.ping(ns, address, count=1, check=False) == 0
    traffic.ping(c1, "fd00:1::1")
    daemon.ctl("network", "set", "out", "--egress", "host")
    traffic.ping(c1, "2001:db8::2")
