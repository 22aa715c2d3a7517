"""Errors through a vip, over both families: ICMP's find the one they are for, and who is served by nobody hears of it."""

import socket

import pytest

from rig import traffic, wait
from rig.services import VIP, VIP6, both_families, family_wanted, web_of
from rig.vxlan_host import VxlanHost


@pytest.fixture
def web(request, sluiced, container):
    """The daemon with network "web", a client and a backend."""
    sluiced, client, servers = web_of(sluiced, container, 1, family_wanted(request))
    return sluiced, client, servers[0]


def service_add(client, name, protocol, port, *words):
    client.daemon.ctl("service", "add", name, "--network", "web", "--vip", client.vip, "--port", str(port), "--protocol",
                      protocol, *words)


def add_service(client, server, protocol, port, to):
    service_add(client, "api", protocol, port)
    client.daemon.ctl("backend", "add", "api", server.at(to))


def assert_refused(client, port=53):
    """The vip's UDP port says that nobody listens there."""
    with client.socket(traffic.family_of(client.vip), socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((client.vip, port))

        def refused():
            """Asked again when nothing comes: a kernel sends so many ICMP errors a second, to all of its namespaces together."""
            try:
                sock.send(b"anybody?")
                sock.recv(100)
            except TimeoutError:
                return False
            except ConnectionRefusedError:
                return True
            raise AssertionError("somebody answers")

        wait.until(refused, "the client hears that nobody listens")


@both_families
def test_a_closed_port_is_heard_of(web):
    sluiced, client, server = web
    add_service(client, server, "udp", 53, 5353)
    assert_refused(client)


def connect(client, port, timeout_s):
    with client.socket(traffic.family_of(client.vip)) as sock:
        sock.settimeout(timeout_s)
        sock.connect((client.vip, port))


@both_families
def test_a_vip_that_nobody_serves_refuses_at_once(web):
    sluiced, client, server = web
    service_add(client, "api", "tcp", 80)
    service_add(client, "dns", "udp", 53)
    assert sluiced.rpc("service.show", name="api")["no_backend"] == "reject"
    for port, reason in (80, "no-backend"), (81, "vip-miss"):
        before = sluiced.drops(reason)
        with pytest.raises(ConnectionRefusedError):
            connect(client, port, 20)
        assert sluiced.drops(reason) == before + 1
    assert_refused(client, 53)
    assert_refused(client, 54)


@both_families
def test_a_vip_that_drops_has_its_clients_wait(web):
    sluiced, client, server = web
    service_add(client, "api", "tcp", 80, "--no-backend", "drop")
    for port in 80, 81:
        with pytest.raises(TimeoutError):
            connect(client, port, 0.5)
    sluiced.ctl("service", "set", "api", "--no-backend", "reject")
    with pytest.raises(ConnectionRefusedError):
        connect(client, 80, 20)


@both_families
def test_a_connection_outlives_a_moment_without_backends(web, stack):
    sluiced, client, server = web
    stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(client, server, "tcp", 80, 8080)
    with traffic.EchoClient(client, client.vip, 80) as connection:
        connection.echo()
        sluiced.ctl("backend", "set", "api", server.at(8080), "--weight", "0")
        with pytest.raises(ConnectionRefusedError):
            connect(client, 80, 20)
        connection.echo()


# what the kernel is told to forward by; the address of the link behind a router, of its two ends
BEYOND = {4: ("net.ipv4.ip_forward", "10.9.0.0/24", "10.9.0.1", "10.9.0.2"),
          6: ("net.ipv6.conf.all.forwarding", "fd00:9::/64", "fd00:9::1", "fd00:9::2")}


def route_by(router, far, near, version):
    """Namespace `far` lies behind `router`, on a link that carries 1300 bytes out and more in; `near` knows the way."""
    forward, subnet, here, there = BEYOND[version]
    router.run("ip", "link", "add", "far0", "mtu", "1300", "type", "veth", "peer", "name", "eth0", "netns", far.name)
    router.run("sysctl", "-qw", f"{forward}=1")
    for ns, interface, address in ((router, "far0", here), (far, "eth0", there)):
        ns.run("ip", "addr", "add", f"{address}/{subnet.split('/')[1]}", "dev", interface, *(["nodad"] if version == 6 else []))
        ns.run("ip", "link", "set", interface, "up")
    far.run("ip", "link", "set", "eth0", "mtu", "1500")
    far.run("ip", f"-{version}", "route", "add", "default", "via", here)
    near.run("ip", f"-{version}", "route", "add", subnet, "via", router.ip)
    return there


@both_families
def test_a_backend_finds_the_mtu_of_the_way_to_a_client(web, container, netns):
    """A client behind a router of its own: "too big" comes to the vip, which sent the packet."""
    sluiced, client, server = web
    version = 6 if ":" in client.ip else 4
    router, far = container(sluiced, "web", "router", client.ip[:-1] + "6", security="off"), netns("far")
    there = route_by(router, far, server, version)
    text = "a long page " * 20000
    traffic.http_server(server, 8080, text)
    add_service(client, server, "tcp", 80, 8080)
    assert traffic.http_get(far, client.vip, 80, timeout_s=30) == text
    assert "mtu 1300" in server.run("ip", f"-{version}", "route", "get", there).stdout
    assert sluiced.drops("vip-miss") == 0


@pytest.mark.parametrize("vip, subnet, near, far", [(VIP, "10.1.0.0/24", "10.1.0.5", "10.1.0.11"),
                                                    (VIP6, "fd00:1::/64", "fd00:1::5", "fd00:1::11")], ids=["ip4", "ip6"])
def test_an_error_of_another_host_is_heard_of(sluiced, container, stack, vip, subnet, near, far):
    """It comes through the tunnel; the switch that balances is the client's."""
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet=subnet)
    host.vxlan(100, f"{far}/{subnet.split('/')[1]}")
    host.join(sluiced, "web")
    client = container(sluiced, "web", "client", near)
    client.vip = vip
    service_add(client, "api", "udp", 53)
    sluiced.rpc("backend.add", service="api", address=far, port=5353)
    traffic.wait_ping(client, far)
    assert_refused(client)
