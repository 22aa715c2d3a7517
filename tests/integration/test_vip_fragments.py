"""Datagrams in fragments through a vip, of both families: in their order, and with the first one late."""

import socket

import pytest

from rig import traffic, wait
from rig.frames import ROUTER_MAC, Wire, ethernet, fragments

SUBNETS, GATEWAYS = ["10.1.0.0/24", "fd00:1::/64"], ["10.1.0.1", "fd00:1::1"]
ETHERTYPE = {4: 0x0800, 6: 0x86DD}


class World:
    """The daemon with a service of one backend, DNS's port, over one family; a client, a wire into each container."""

    def __init__(self, version, sluiced, client, server, stack):
        self.version, self.sluiced, self.client, self.server = version, sluiced, client, server
        self.vip = "fd00:1::100" if version == 6 else "10.1.0.100"
        self.client_ip, self.server_ip = (client.ip6, server.ip6) if version == 6 else (client.ip, server.ip)
        self.family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self.wires = {c.name: stack.enter_context(Wire(c)) for c in (client, server)}
        sluiced.rpc("service.add", name="dns", network="web", vip=self.vip, port=53, protocol="udp")
        sluiced.rpc("backend.add", service="dns", address=self.server_ip, port=5353)

    def send(self, ns, to_mac, packets):
        for packet in packets:
            self.wires[ns.name].send(ethernet(to_mac, ns.eth0, packet, ETHERTYPE[self.version]))


@pytest.fixture(params=[4, 6], ids=["ip4", "ip6"])
def world(request, sluiced, container, stack):
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    client = container(sluiced, "web", "client", ["10.1.0.5", "fd00:1::5"])
    server = container(sluiced, "web", "server", ["10.1.0.11", "fd00:1::11"])
    return World(request.param, sluiced, client, server, stack)


def test_a_datagram_in_fragments_goes_both_ways(world, stack):
    stack.enter_context(traffic.udp_server(world.server, 5353, "x" * 4000, six=True))
    assert len(traffic.udp_ask(world.client, world.server_ip, 5353, timeout_s=20)) == 4006  # directly, in fragments
    for wire in world.wires.values():
        wire.waiting(lambda frame: True)
    for _ in range(20):
        assert len(traffic.udp_ask(world.client, world.vip, 53, timeout_s=20)) == 4006
    backend = socket.inet_pton(world.family, world.server_ip)
    source = slice(26, 30) if world.version == 4 else slice(22, 38)
    assert not world.wires[world.client.name].waiting(lambda frame: frame[source] == backend and frame[14] >> 4 == world.version
                                                      and frame[20 if world.version == 6 else 23] in (17, 44))
    with world.client.socket(world.family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(b"y" * 9000, (world.vip, 53))
        assert sock.recvfrom(10000)[1][:2] == (world.vip, 53)
    assert world.sluiced.drops("fragment") == 0


def test_the_first_fragment_is_the_last_to_come(world):
    """Both kernels put together what the switch has kept, asking and answering."""
    with world.client.socket(world.family, socket.SOCK_DGRAM) as asks, \
            world.server.socket(world.family, socket.SOCK_DGRAM) as answers:
        for sock, port in (asks, 4321), (answers, 5353):
            sock.bind(("", port))
            sock.settimeout(20)
        asks.sendto(b"hello", (world.vip, 53))
        assert answers.recvfrom(100)[1][:2] == (world.client_ip, 4321)
        for ident in range(1, 5):
            question, answer = bytes([ident]) * 5000, bytes([ident + 100]) * 5000
            world.send(world.client, ROUTER_MAC, reversed(fragments(world.client_ip, world.vip, 4321, 53, question, ident)))
            assert answers.recvfrom(10000)[0] == question
            world.send(world.server, world.client.eth0,
                       reversed(fragments(world.server_ip, world.client_ip, 5353, 4321, answer, ident)))
            data, source = asks.recvfrom(10000)
            assert data == answer and source[:2] == (world.vip, 53)
    assert world.sluiced.drops("fragment") == 0


def test_one_that_never_comes_is_waited_for_in_bounds(world):
    """Whoever sends the rest alone, without end, takes nothing from others, and all of it is counted."""
    for ident in range(500):
        world.send(world.client, ROUTER_MAC, fragments(world.client_ip, world.vip, 4321, 53, b"z" * 2000, 1000 + ident)[1:])
    wait.until(lambda: world.sluiced.drops("fragment") == 500, "all are counted")
    with world.server.socket(world.family, socket.SOCK_DGRAM) as answers, \
            world.client.socket(world.family, socket.SOCK_DGRAM) as asks:
        answers.bind(("", 5353))
        answers.settimeout(20)
        asks.sendto(b"y" * 3000, (world.vip, 53))
        assert len(answers.recvfrom(10000)[0]) == 3000
