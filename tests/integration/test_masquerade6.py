"""What leaves a network by an uplink over IPv6, and what is published there: under the uplink's address, by the dataplane."""

import errno
import socket

import pytest

from rig import sctp, traffic, wait
from rig.outside import BEYOND6, SWITCH6, WORLD6, World, answered, drops, exchange

DUAL = {"subnets": ["10.1.0.0/24", "fd00:1::/64"], "gateways": ["10.1.0.1", "fd00:1::1"], "egress": "masquerade"}


@pytest.fixture
def world(stack):
    return stack.enter_context(World())


@pytest.fixture
def net(sluiced, world):
    """The daemon with a network "net1" of both families that masquerades, and an uplink of IPv6."""
    sluiced.rpc("network.add", name="net1", **DUAL)
    world.join(sluiced, six=True)
    return sluiced


@pytest.fixture
def c1(net, container):
    return container(net, "net1", "c1", ["10.1.0.11", "fd00:1::11"])


def test_it_leaves_under_the_uplinks_address(net, c1, world, stack):
    stack.enter_context(traffic.tcp_server(world, 7000, six=True))
    for peer in (WORLD6, BEYOND6):
        traffic.wait_ping(c1, peer)  # the first packet to a neighbour waits for nobody
        assert traffic.ping(c1, peer) == 3
        with traffic.EchoClient(c1, peer, 7000) as connection:
            connection.echo()
    exchange(world, c1, BEYOND6, SWITCH6)
    exchange(world, c1, BEYOND6, SWITCH6, size=5000)
    c1.run("ping", "-c", "2", "-W", "20", "-s", "4000", BEYOND6)  # in fragments
    assert traffic.ping(world, SWITCH6) == 3  # the switch itself is a host there as before
    traffic.tcp_carries(world, c1, BEYOND6)
    traffic.tcp_carries(world, c1, BEYOND6, reverse=True)
    assert sctp.associates(c1, world, WORLD6, 7002, 7002)[0] == SWITCH6


def test_errors_about_it_come_back(net, c1, world):
    far = "2001:db8:9::9"
    world.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    world.run("ip", "link", "add", "far", "mtu", "1300", "type", "veth", "peer", "name", "farther")
    world.run("ip", "addr", "add", "2001:db8:9::1/64", "dev", "far", "nodad")
    world.run("ip", "link", "set", "farther", "up")
    world.run("ip", "link", "set", "far", "up")
    world.run("ip", "neigh", "add", far, "lladdr", "02:00:00:00:00:99", "dev", "far")
    traffic.wait_ping(c1, BEYOND6)
    told = c1.run("ping", "-M", "do", "-c", "2", "-W", "5", "-s", "1400", far, check=False).stdout
    assert "Packet too big: mtu=1300" in told or "mtu = 1300" in told or "mtu=1300" in told, told
    for ttl, hop in ((1, "fd00:1::1"), (2, WORLD6)):
        told = c1.run("ping", "-t", str(ttl), "-c", "1", "-W", "5", far, check=False).stdout
        assert f"From {hop}" in told and "Hop limit" in told, told
    with c1.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect((BEYOND6, 7999))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def test_nothing_comes_in(net, c1, world, stack):
    world.run("ip", "route", "add", "fd00:1::/64", "via", SWITCH6)
    stack.enter_context(traffic.tcp_server(c1, 7002, six=True))
    before = drops(net, "not-for-us")
    for address in ("fd00:1::11", SWITCH6):
        with pytest.raises(TimeoutError), world.socket(socket.AF_INET6) as sock:
            sock.settimeout(0.5)
            sock.connect((address, 7002))
    wait.until(lambda: drops(net, "not-for-us") >= before + 2, "both are dropped")


def test_a_family_without_an_uplink_is_refused_at_once(net, c1, container, world):
    """So that a program of both families goes on with the other."""
    with c1.socket() as client, pytest.raises(OSError) as error:
        client.settimeout(20)
        client.connect(("198.51.100.7", 7000))
    assert error.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) and drops(net, "no-uplink")


def test_ports_lead_in(net, c1, world, stack):
    for protocol in ("tcp", "udp", "sctp"):
        net.ctl("publish", "add", protocol, "--port", "7000", "--protocol", protocol, "--to", "[fd00:1::11]:7001")
    net.ctl("publish", "add", "one", "--port", "7005", "--to", "[fd00:1::11]:7001", "--address", SWITCH6)
    stack.enter_context(traffic.udp_server(c1, 7001, six=True))
    with c1.socket(socket.AF_INET6) as server:
        server.settimeout(20)
        server.bind(("fd00:1::11", 7001))
        server.listen()
        for port in (7000, 7005):
            with world.socket(socket.AF_INET6) as client:
                client.settimeout(20)
                client.connect((SWITCH6, port))
                near, seen = server.accept()
                assert seen[:2] == (WORLD6, client.getsockname()[1])
                near.sendall(b"hello")
                assert client.recv(100) == b"hello"
                near.close()
    wait.until(lambda: answered(world, SWITCH6, 7000), "UDP is answered")
    assert sctp.associates(world, c1, SWITCH6, 7000, 7001) == (WORLD6, 5000)
    net.ctl("publish", "del", "tcp")
    with pytest.raises(TimeoutError), world.socket(socket.AF_INET6) as sock:
        sock.settimeout(0.5)
        sock.connect((SWITCH6, 7000))


def test_a_service_is_published(net, c1, world, stack):
    stack.enter_context(traffic.tcp_server(c1, 8080, six=True))
    net.ctl("service", "add", "api", "--network", "net1", "--vip", "fd00:1::100", "--port", "80", "--protocol", "tcp")
    net.ctl("backend", "add", "api", "[fd00:1::11]:8080")
    net.ctl("publish", "add", "api", "--port", "7000", "--to", "service api", "--address", "::")
    with traffic.EchoClient(world, SWITCH6, 7000) as connection:
        assert connection.name == c1.name


def test_a_guest_has_its_share(start_sluiced, world, container, stack):
    net = start_sluiced({"dataplane": {"conn_size": 1024}})
    net.rpc("network.add", name="net1", **DUAL)
    world.join(net, six=True)
    c1 = container(net, "net1", "c1", "fd00:1::11")
    traffic.wait_ping(c1, BEYOND6)
    for _ in range(300):
        with c1.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", (BEYOND6, 7001))
    wait.until(lambda: drops(net, "nat-ports"), "it has all that it may have")
    assert net.rpc("network.show", name="net1")["egress_connections"] <= 256
    c2 = container(net, "net1", "c2", "fd00:1::12")
    traffic.wait_ping(c2, BEYOND6)
