"""One container plays its neighbour, the gateway, the vip and a DHCP server: refused and counted, the others go on."""

import socket
import struct

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.frames import BROADCAST, Wire, ethernet, ipv4, mac_bytes, udp
from rig.ports import free_port

GATEWAY, VIP, ROUTER_MAC = "10.1.0.1", "10.1.0.100", "02:53:4c:00:00:01"


@pytest.fixture
def web(start_sluiced, container):
    """A network with a gateway and a vip that the victim serves; attacker, victim and a peer of the victim's."""
    port = free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{port}"}})
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway=GATEWAY)
    attacker, victim, peer = (container(sluiced, "web", name, ip) for name, ip in (
        ("attacker", "10.1.0.66"), ("victim", "10.1.0.11"), ("peer", "10.1.0.12")))
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp")
    sluiced.rpc("backend.add", service="api", address=victim.ip, port=8080)
    traffic.http_server(victim, 8080, "victim")
    for address in (victim.ip, GATEWAY):
        traffic.wait_ping(peer, address)
    return sluiced, attacker, victim, peer, Consul(port)


def arp(src_mac, op, sender_mac, sender, target, dst=BROADCAST):
    return ethernet(dst, src_mac, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, op, mac_bytes(sender_mac),
                    socket.inet_aton(sender), b"\0" * 6, socket.inet_aton(target)), 0x0806)


def dhcp_offer(src_mac, src):
    """To a client that broadcasts: RFC 2131, with nothing but what a client looks at first."""
    message = bytes([2, 1, 6, 0]) + b"\0" * 232 + bytes([0x63, 0x82, 0x53, 0x63, 53, 1, 2, 255])
    return ethernet(BROADCAST, src_mac, ipv4(src, "255.255.255.255", 17, udp(67, 68, message)), 0x0800)


def refused(sluiced, attacker, reason, *frames):
    """Sends each, and waits until each is counted at the attacker's port under that reason and in `spoofed`."""
    drops, spoofed = sluiced.drops(reason, attacker.port), sluiced.rpc("port.show", name=attacker.port)["spoofed"]
    with Wire(attacker) as wire:
        for frame in frames:
            wire.send(frame)
    wait.until(lambda: sluiced.drops(reason, attacker.port) >= drops + len(frames), f"{reason} is counted")
    assert sluiced.drops(reason, attacker.port) == drops + len(frames)
    assert sluiced.rpc("port.show", name=attacker.port)["spoofed"] == spoofed + len(frames)


def neighbour(ns, address):
    """The MAC that a container's kernel has for an address."""
    words = ns.run("ip", "neigh", "show", address).stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def going_on(victim, peer):
    """The victim is where it was, for its peer, through the gateway's address and through the vip."""
    assert traffic.ping(peer, victim.ip, 5) == 5
    assert traffic.ping(peer, GATEWAY, 3) == 3
    assert traffic.http_get(peer, VIP) == "victim"
    assert neighbour(peer, victim.ip) == victim.eth0
    assert neighbour(peer, GATEWAY) == ROUTER_MAC and neighbour(peer, VIP) == ROUTER_MAC


def test_who_plays_its_neighbour(web):
    sluiced, attacker, victim, peer, _ = web
    going_on(victim, peer)
    with Wire(peer) as wire:
        mine = attacker.eth0
        refused(sluiced, attacker, "spoofed-ip",
                ethernet(peer.eth0, mine, ipv4(victim.ip, peer.ip, 17, udp(7, 7, b"spoof")), 0x0800))
        refused(sluiced, attacker, "spoofed-arp", arp(mine, 2, mine, victim.ip, peer.ip, peer.eth0),
                arp(mine, 1, mine, victim.ip, victim.ip), arp(mine, 2, mine, victim.ip, peer.ip))
        refused(sluiced, attacker, "spoofed-mac", ethernet(BROADCAST, victim.eth0, b"spoof"),
                arp(victim.eth0, 1, victim.eth0, victim.ip, peer.ip))
        going_on(victim, peer)
        spoofed = wire.waiting(lambda frame: b"spoof" in frame or frame[6:12] == mac_bytes(mine))
    assert not [frame for frame in spoofed if frame[12:14] in (b"\x08\x00", b"\x88\xb5", b"\x08\x06")]
    assert sluiced.fdb("web")[victim.eth0]["port"] == "victim"


def test_its_own_kernel_with_its_neighbours_address(web):
    """Not by raw frames: the container configures the address, and its kernel announces it, pings and asks for others."""
    sluiced, attacker, victim, peer, _ = web
    going_on(victim, peer)
    attacker.run("ip", "addr", "flush", "dev", "eth0")
    attacker.run("ip", "addr", "add", f"{victim.ip}/24", "dev", "eth0")
    assert traffic.ping(attacker, peer.ip, 2, check=False) == 0
    assert sluiced.drops("spoofed-arp", "attacker") > 0
    going_on(victim, peer)


@pytest.mark.parametrize("security", ["full", "mac", "off"])
def test_who_plays_gateway_vip_and_dhcp_server(web, security):
    sluiced, attacker, victim, peer, _ = web
    going_on(victim, peer)
    sluiced.ctl("port", "set", "attacker", "--security", security)
    mine = attacker.eth0
    with Wire(peer) as wire:
        for claimed in (GATEWAY, VIP):
            refused(sluiced, attacker, "spoofed-arp", arp(mine, 2, mine, claimed, peer.ip, peer.eth0),
                    arp(mine, 1, mine, claimed, claimed), arp(mine, 2, mine, claimed, claimed))
        refused(sluiced, attacker, "rogue-server", dhcp_offer(mine, attacker.ip))
        going_on(victim, peer)
        assert not wire.waiting(lambda frame: frame[6:12] == mac_bytes(mine) and frame[12:14] in (b"\x08\x00", b"\x08\x06"))
    assert sum(row["packets"] for row in sluiced.ctl_json("stats", "drops")
               if row["reason"] in ("spoofed-arp", "rogue-server") and row["port"] == "attacker") == 7


def test_one_that_is_trusted_may_serve(web):
    sluiced, attacker, victim, peer, _ = web
    refused(sluiced, attacker, "rogue-server", dhcp_offer(attacker.eth0, attacker.ip))
    sluiced.ctl("port", "set", "attacker", "--trusted", "true")
    with Wire(peer) as wire, Wire(attacker) as sender:
        sender.send(dhcp_offer(attacker.eth0, attacker.ip))
        assert wire.receive(lambda frame: frame[34:38] == struct.pack("!HH", 67, 68))
    going_on(victim, peer)


def test_an_address_is_allowed_while_it_is_listed(web):
    """A floating address: by `allow` it is answered for, without it not."""
    sluiced, attacker, victim, peer, _ = web
    attacker.run("ip", "addr", "add", "10.1.0.77/24", "dev", "eth0")
    assert traffic.ping(peer, "10.1.0.77", 1, check=False) == 0
    assert sluiced.drops("spoofed-arp", "attacker") > 0
    sluiced.ctl("port", "set", "attacker", "--allow", f"{attacker.eth0} 10.1.0.77/32")
    traffic.wait_ping(peer, "10.1.0.77")
    sluiced.rpc("port.set", name="attacker", allow=[])
    before = sluiced.rpc("port.show", name="attacker")["spoofed"]
    assert traffic.ping(peer, "10.1.0.77", 1, check=False) == 0
    assert sluiced.rpc("port.show", name="attacker")["spoofed"] > before
    going_on(victim, peer)


def test_the_metrics_page_has_what_was_refused(web):
    sluiced, attacker, _, _, http = web
    refused(sluiced, attacker, "spoofed-mac", *[ethernet(BROADCAST, "02:00:00:00:99:99", b"x")] * 3)
    shown = sluiced.rpc("port.show", name="attacker")["spoofed"]
    page = http.request("GET", "/metrics").text
    assert f'sluice_port_spoofed_frames_total{{port="attacker",network="web"}} {shown}\n' in page
    assert 'sluice_port_spoofed_frames_total{port="peer",network="web"} ' in page
