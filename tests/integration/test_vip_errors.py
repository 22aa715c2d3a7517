"""Errors through a vip: ICMP's find the one they are for, and who is served by nobody hears of it."""

import socket

import pytest

from rig import traffic
from rig.vxlan_host import VxlanHost

VIP = "10.1.0.100"


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web", a client and a backend."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return sluiced, container(sluiced, "web", "client", "10.1.0.5"), container(sluiced, "web", "server", "10.1.0.11")


def add_service(sluiced, protocol, port, to):
    sluiced.ctl("service", "add", "api", "--network", "web", "--vip", VIP, "--port", str(port), "--protocol", protocol)
    sluiced.ctl("backend", "add", "api", f"10.1.0.11:{to}")


def assert_refused(client, port=53):
    """The vip's UDP port says that nobody listens there."""
    with client.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((VIP, port))
        sock.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)


def test_a_closed_port_is_heard_of(web):
    sluiced, client, server = web
    add_service(sluiced, "udp", 53, 5353)
    assert_refused(client)


def connect(client, port, timeout_s):
    with client.socket() as sock:
        sock.settimeout(timeout_s)
        sock.connect((VIP, port))


def test_a_vip_that_nobody_serves_refuses_at_once(web):
    sluiced, client, server = web
    sluiced.ctl("service", "add", "api", "--network", "web", "--vip", VIP, "--port", "80", "--protocol", "tcp")
    sluiced.ctl("service", "add", "dns", "--network", "web", "--vip", VIP, "--port", "53", "--protocol", "udp")
    assert sluiced.rpc("service.show", name="api")["no_backend"] == "reject"
    for port, reason in (80, "no-backend"), (81, "vip-miss"):
        before = sluiced.drops(reason)
        with pytest.raises(ConnectionRefusedError):
            connect(client, port, 20)
        assert sluiced.drops(reason) == before + 1
    assert_refused(client, 53)
    assert_refused(client, 54)


def test_a_vip_that_drops_has_its_clients_wait(web):
    sluiced, client, server = web
    args = ("service", "add", "api", "--network", "web", "--vip", VIP, "--port", "80", "--protocol", "tcp")
    sluiced.ctl(*args, "--no-backend", "drop")
    for port in 80, 81:
        with pytest.raises(TimeoutError):
            connect(client, port, 0.5)
    sluiced.ctl("service", "set", "api", "--no-backend", "reject")
    with pytest.raises(ConnectionRefusedError):
        connect(client, 80, 20)


def test_a_connection_outlives_a_moment_without_backends(web, stack):
    sluiced, client, server = web
    stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, "tcp", 80, 8080)
    with traffic.EchoClient(client, VIP, 80) as connection:
        connection.echo()
        sluiced.ctl("backend", "set", "api", "10.1.0.11:8080", "--weight", "0")
        with pytest.raises(ConnectionRefusedError):
            connect(client, 80, 20)
        connection.echo()


def route_by(container, far, near):
    """Namespace `far` lies behind `container`, on a link that carries 1300 bytes out and more in; `near` knows the way."""
    container.run("ip", "link", "add", "far0", "mtu", "1300", "type", "veth", "peer", "name", "eth0", "netns", far.name)
    container.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for ns, interface, address in ((container, "far0", "10.9.0.1/24"), (far, "eth0", "10.9.0.2/24")):
        ns.run("ip", "addr", "add", address, "dev", interface)
        ns.run("ip", "link", "set", interface, "up")
    far.run("ip", "link", "set", "eth0", "mtu", "1500")
    far.run("ip", "route", "add", "default", "via", "10.9.0.1")
    near.run("ip", "route", "add", "10.9.0.0/24", "via", container.ip)


def test_a_backend_finds_the_mtu_of_the_way_to_a_client(web, container, netns):
    """A client behind a router of its own: "fragmentation needed" comes to the vip, which sent the packet."""
    sluiced, _, server = web
    router, far = container(sluiced, "web", "router", "10.1.0.6", security="off"), netns("far")
    route_by(router, far, server)
    text = "a long page " * 20000
    traffic.http_server(server, 8080, text)
    add_service(sluiced, "tcp", 80, 8080)
    assert traffic.http_get(far, VIP, 80, timeout_s=30) == text
    assert "mtu 1300" in server.run("ip", "route", "get", "10.9.0.2").stdout
    assert sluiced.drops("vip-miss") == 0


def test_an_error_of_another_host_is_heard_of(sluiced, container, stack):
    """It comes through the tunnel; the switch that balances is the client's."""
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24")
    host.vxlan(100, "10.1.0.11/24")
    host.join(sluiced, "web")
    client = container(sluiced, "web", "client", "10.1.0.5")
    add_service(sluiced, "udp", 53, 5353)
    traffic.wait_ping(client, "10.1.0.11")
    assert_refused(client)
