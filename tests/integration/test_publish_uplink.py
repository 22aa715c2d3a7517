"""Ports of an uplink's address that lead into networks of mode bridge, by the dataplane."""

import socket

import pytest

from rig import traffic, wait
from rig.outside import SWITCH, WORLD, World, answered


@pytest.fixture
def world(stack):
    return stack.enter_context(World())


@pytest.fixture
def net(sluiced, world):
    """The daemon with a network "net1" from which nothing leaves by itself, and the world outside."""
    sluiced.ctl("network", "add", "net1", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1")
    world.join(sluiced)
    return sluiced


@pytest.fixture
def c1(net, container):
    return container(net, "net1", "c1", "10.1.0.11")


def refuses(world, port):
    """Nobody answers there."""
    with pytest.raises(TimeoutError), world.socket() as sock:
        sock.settimeout(0.5)
        sock.connect((SWITCH, port))
    return True


def test_tcp_and_udp_lead_to_a_container_which_sees_the_client(net, c1, world, stack):
    net.ctl("publish", "add", "web", "--port", "7000", "--to", "10.1.0.11:7001")
    net.ctl("publish", "add", "talk", "--port", "7000", "--protocol", "udp", "--to", "10.1.0.11:7001", "--address", SWITCH)
    stack.enter_context(traffic.udp_server(c1, 7001))
    with c1.socket() as server:
        server.settimeout(20)
        server.bind(("10.1.0.11", 7001))
        server.listen()
        with world.socket() as client:
            client.settimeout(20)
            client.connect((SWITCH, 7000))
            near, seen = server.accept()
            near.settimeout(20)
            assert seen == (WORLD, client.getsockname()[1])
            client.sendall(b"ask")
            assert near.recv(100) == b"ask"
            near.sendall(b"answer")
            assert client.recv(100) == b"answer"
            near.close()
    wait.until(lambda: answered(world, SWITCH, 7000), "UDP is answered")
    assert traffic.ping(c1, WORLD, 1, check=False) == 0
    net.ctl("publish", "del", "web")
    assert refuses(world, 7000)


def test_a_service_is_balanced_and_followed(net, c1, world, container, stack):
    c2 = container(net, "net1", "c2", "10.1.0.12")
    for c in (c1, c2):
        stack.enter_context(traffic.tcp_server(c, 8080))
    net.ctl("service", "add", "api", "--network", "net1", "--vip", "10.1.0.100", "--port", "80", "--protocol", "tcp")
    for c in (c1, c2):
        net.ctl("backend", "add", "api", f"{c.ip}:8080")
    net.ctl("publish", "add", "api", "--port", "7000", "--to", "service api")
    names = set()

    def both_answer():
        with traffic.EchoClient(world, SWITCH, 7000) as connection:
            connection.echo()
            names.add(connection.name)
        return len(names) == 2

    wait.until(both_answer, "both backends are reached")
    net.ctl("backend", "del", "api", f"{c2.ip}:8080")
    with traffic.EchoClient(world, SWITCH, 7000) as connection:
        assert connection.name == c1.name


def test_it_outlives_a_crash(net, c1, world, stack):
    stack.enter_context(traffic.tcp_server(c1, 7001))
    net.ctl("publish", "add", "web", "--port", "7000", "--to", "10.1.0.11:7001")
    net.wait_kept("net1", "up0", "c1", "web")
    net.kill()
    net.start()
    net.wait_port("c1")
    net.wait_port("up0")
    with traffic.EchoClient(world, SWITCH, 7000) as connection:
        connection.echo()


def test_strangers_use_up_nobodys_way_out(start_sluiced, world, container, stack):
    """Connections that are begun from outside do not count as the guest's own."""
    net = start_sluiced({"dataplane": {"conn_size": 1024}})
    net.ctl("network", "add", "net1", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1", "--egress", "masquerade")
    world.join(net)
    c1 = container(net, "net1", "c1", "10.1.0.11")
    net.ctl("publish", "add", "talk", "--port", "7000", "--protocol", "udp", "--to", "10.1.0.11:7001")

    def open_some():
        """How many connections of the network there are after 300 that nobody answers."""
        for _ in range(300):
            with world.socket(kind=socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", (SWITCH, 7000))
        return net.rpc("network.show", name="net1")["egress_connections"]

    wait.until(lambda: open_some() >= 200, "strangers have what they may")
    for _ in range(3):
        assert open_some() <= 256  # a fourth of the table: the next takes the place of one of theirs
    traffic.wait_ping(c1, WORLD)


@pytest.mark.parametrize("words, why", [
    (("--port", "7000", "--to", "10.9.0.11:80"), "is in no network with a gateway, or in several"),
    (("--port", "7000", "--to", "10.2.0.11:80"), "is in no network with a gateway, or in several"),
    (("--port", "6000", "--to", "10.1.0.11:80"), "port: 6000 is published as first already"),
    (("--port", "4789", "--protocol", "udp", "--to", "10.1.0.11:80"), "port: 4789 is that of VXLAN on uplink up0"),
    (("--port", "7000", "--to", "10.1.0.11:80", "--address", "203.0.113.9"), "address: no uplink has this address"),
])
def test_what_is_refused(net, words, why):
    for name in ("net2", "net3"):
        net.ctl("network", "add", name, "--subnet", "10.2.0.0/24", "--gateway", "10.2.0.1")
    net.ctl("publish", "add", "first", "--port", "6000", "--to", "10.1.0.11:8080")
    refused = net.ctl("publish", "add", "p", *words, check=False)
    assert refused.returncode and why in refused.stderr
    assert [row["name"] for row in net.rpc("publish.list")] == ["first"]
    refused = net.ctl("network", "del", "net1", check=False)
    assert refused.returncode and "published as first" in refused.stderr
