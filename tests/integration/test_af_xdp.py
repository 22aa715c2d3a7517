"""AF_XDP: an interface that the switch shares with the host's own traffic, and a veth as a container's port."""

import os
import socket

import pytest

from rig import traffic, wait
from rig.daemon import RpcError
from rig.process import run
from rig.vxlan_host import HOST, PREFIX, SWITCH, VxlanHost

class _Here:
    """The namespace of the tests themselves."""

    def run(self, *command):
        return run(command)


HERE = _Here()
SINGLE_NIC = {"networks": [{"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24"}]}


def xdp_on(ns, device):
    """Does the interface have an XDP program?"""
    return "prog/xdp" in ns.run("ip", "-d", "link", "show", "dev", device).stdout


@pytest.fixture
def machine(netns):
    """The namespace that the daemon runs in, with a network of its own to be spared."""
    return netns("host")


@pytest.fixture
def peer(stack, machine, request):
    """Another host with a vxlan device; `peer.device` is the machine's only interface, where it has its own address."""
    peer = stack.enter_context(VxlanHost(six=getattr(request, "param", 4) == 6))
    run(["ip", "link", "set", peer.device, "netns", machine.name])
    machine.run("ip", "link", "set", peer.device, "up")
    if peer.six:
        machine.run("sysctl", "-qw", f"net.ipv6.conf.{peer.device}.disable_ipv6=0")
    machine.run("ip", "addr", "add", f"{peer.switch}/{peer.prefix}", "dev", peer.device, *(["nodad"] if peer.six else []))
    peer.vxlan(100, "10.1.0.50/24")
    return peer


@pytest.fixture
def start(start_sluiced, machine):
    """Starts the daemon on the machine with an uplink on the device."""
    def start(device, address=f"{SWITCH}/{PREFIX}", remote=HOST):
        uplink = {"name": "up0", "type": "af_xdp", "device": device, "address": address}
        sluiced = start_sluiced({**SINGLE_NIC, "vteps": [{"network": "web", "remote": remote}], "uplinks": [uplink]}, ns=machine)
        sluiced.wait_port("up0")
        assert xdp_on(machine, device)
        return sluiced

    return start


def overlay_carries(peer, c1):
    traffic.wait_ping(c1, "10.1.0.50")
    traffic.ping(peer, c1.ip)
    traffic.ping(c1, "10.1.0.50", size=peer.mtu - 28)
    traffic.tcp_carries(peer, c1, "10.1.0.50")
    traffic.tcp_carries(c1, peer, c1.ip)


def host_carries(machine, peer):
    """The machine's own ping and TCP over the interface that the switch has its uplink on."""
    traffic.ping(machine, peer.address)
    traffic.ping(peer, peer.switch)
    traffic.tcp_carries(peer, machine, peer.address)
    traffic.tcp_carries(machine, peer, peer.switch)


@pytest.mark.parametrize("peer", [4, 6], ids=["over4", "over6"], indirect=True)
def test_an_uplink_on_the_hosts_only_interface(start, container, machine, peer):
    sluiced = start(peer.device, f"{peer.switch}/{peer.prefix}", peer.address)
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    overlay_carries(peer, c1)
    host_carries(machine, peer)
    assert sluiced.rpc("uplink.list")[0]["mac"] == machine.mac(peer.device)
    assert [vtep["state"] for vtep in sluiced.rpc("vtep.list")] == ["up"]
    for reason in ("not-for-us", "bad-offload", "malformed"):
        assert sluiced.drops(reason) == 0
    sluiced.rpc("uplink.del", name="up0")
    assert not xdp_on(machine, peer.device)
    host_carries(machine, peer)


def test_the_host_keeps_its_interface_when_the_daemon_is_killed(start, container, machine, peer):
    sluiced = start(peer.device)
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    traffic.wait_ping(c1, "10.1.0.50")
    saved = sluiced.state / "state.log"
    wait.until(lambda: saved.exists() and "c1" in saved.read_text(), "the container's port is on the disk")
    sluiced.kill()
    wait.until(lambda: not xdp_on(machine, peer.device), "the kernel takes the program off")
    host_carries(machine, peer)
    sluiced.start()
    sluiced.wait_port("up0")
    assert xdp_on(machine, peer.device)
    overlay_carries(peer, c1)
    host_carries(machine, peer)


def test_only_vxlan_to_the_uplink_is_taken_from_the_host(start, machine, peer):
    machine.run("ip", "addr", "add", "192.0.2.77/24", "dev", peer.device)
    sluiced = start(peer.device)
    with traffic.udp_server(machine, 4790):
        assert traffic.udp_ask(peer, SWITCH, 4790, timeout_s=10)
    with traffic.udp_server(machine, 4789):
        before = sluiced.port("up0")["rx_packets"]
        with pytest.raises(TimeoutError):
            traffic.udp_ask(peer, SWITCH, 4789, timeout_s=0.3)
        wait.until(lambda: sluiced.port("up0")["rx_packets"] > before, "the switch has it")
        before = sluiced.port("up0")["rx_packets"]
        with peer.socket(kind=socket.SOCK_DGRAM) as sock:  # the answer comes from the machine's first address
            sock.settimeout(10)
            sock.sendto(b"to another address", ("192.0.2.77", 4789))
            assert b"to another address" in sock.recv(100)
        assert sluiced.port("up0")["rx_packets"] == before


def test_a_bridge_has_no_xdp_of_its_own_and_is_served_all_the_same(start, container, machine, peer, requires):
    requires("ethtool")
    peer.run("ethtool", "-K", "vx0", "tso", "off", "gso", "off")  # a wire would not carry large frames either
    machine.run("ip", "addr", "flush", "dev", peer.device)
    machine.run("ip", "link", "add", "br0", "type", "bridge")
    machine.run("ip", "link", "set", peer.device, "master", "br0")
    machine.run("ip", "link", "set", "br0", "up")
    machine.run("ip", "addr", "add", f"{SWITCH}/{PREFIX}", "dev", "br0")
    sluiced = start("br0")
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    overlay_carries(peer, c1)
    host_carries(machine, peer)


def test_a_veth_as_a_containers_port(sluiced, container, netns):
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24")
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    ns, device = netns("veth"), f"slv{os.getpid()}"
    ns.veth("eth0", device)
    ns.run("ip", "addr", "add", "10.1.0.20/24", "dev", "eth0")
    sluiced.rpc("port.add", name="v1", network="web", type="af_xdp", device=device, ips=["10.1.0.20"], mac=ns.mac("eth0"))
    sluiced.wait_port("v1")
    traffic.wait_ping(c1, "10.1.0.20")
    traffic.ping(ns, c1.ip)
    traffic.tcp_carries(ns, c1, "10.1.0.20")
    traffic.tcp_carries(c1, ns, c1.ip)
    with traffic.udp_server(ns, 7777):
        assert traffic.udp_ask(c1, "10.1.0.20", 7777, timeout_s=10)
    run(["ip", "link", "set", device, "down"])
    sluiced.wait_port("v1", "down")
    run(["ip", "link", "set", device, "up"])
    sluiced.wait_port("v1")
    traffic.wait_ping(c1, "10.1.0.20")
    sluiced.rpc("port.del", name="v1")
    assert not xdp_on(HERE, device)


def test_what_is_refused(sluiced, netns):
    ns, device = netns("veth"), f"slv{os.getpid()}"
    ns.veth("eth0", device)
    wanted = {"name": "up0", "type": "af_xdp", "device": device, "address": "192.0.2.1/24"}
    with pytest.raises(RpcError, match="^mac: that of the interface is used"):
        sluiced.rpc("uplink.add", {**wanted, "mac": "02:00:00:00:00:01"})
    with pytest.raises(RpcError, match="^mtu: at most 3822 with af_xdp"):
        sluiced.rpc("uplink.add", {**wanted, "mtu": 9000})
    sluiced.rpc("uplink.add", wanted)
    with pytest.raises(RpcError, match="^mac: that of the interface is used"):
        sluiced.rpc("uplink.set", name="up0", mac="02:00:00:00:00:01")
    sluiced.rpc("uplink.del", name="up0")
    assert not xdp_on(HERE, device)
