"""Several ports of one vip: each leads to the same backends, at a port of its own there."""

import socket

import pytest

from rig import traffic, wait
from rig.services import VIP, add_service, backend, web_of


@pytest.fixture
def web(sluiced, container):
    return web_of(sluiced, container, 2)


def names(client, port, count=20):
    reached = set()
    for _ in range(count):
        with traffic.EchoClient(client, VIP, port) as connection:
            reached.add(connection.name)
    return reached


def test_each_port_has_a_target(web, stack):
    sluiced, client, servers = web
    for server in servers:
        for port in (8080, 8443, 9000):
            stack.enter_context(traffic.tcp_server(server, port, text=f"{server.name}:{port}"))
        stack.enter_context(traffic.udp_server(server, 5353))
    sluiced.ctl("service", "add", "api", "--network", "web", "--vip", VIP, "--port", "80", "--protocol", "tcp",
                "--ports", "name=https port=443 target_port=8443,port=9000,name=dns port=80 target_port=5353 protocol=udp")
    for server in servers:
        sluiced.ctl("backend", "add", "api", f"{server.ip}:8080")
    for port, target in ((80, 8080), (443, 8443), (9000, 9000)):
        assert names(client, port) == {f"{server.name}:{target}" for server in servers}
    answers = {traffic.udp_ask(client, VIP, 80, timeout_s=10) for _ in range(30)}
    assert answers == {server.name.encode() + b" hello" for server in servers}
    with pytest.raises(OSError):
        traffic.EchoClient(client, VIP, 8443, timeout_s=2)

    shown = sluiced.rpc("service.show", name="api")
    assert shown["ports"] == [
        {"name": "https", "port": 443, "target_port": 8443, "protocol": "tcp"},
        {"name": None, "port": 9000, "target_port": 9000, "protocol": "tcp"},
        {"name": "dns", "port": 80, "target_port": 5353, "protocol": "udp"}]
    with traffic.EchoClient(client, VIP, 80), traffic.EchoClient(client, VIP, 443):
        rows = sluiced.rpc("conn.list", service="api")
        assert {row["vip"] for row in rows if row["state"] == "established"} >= {f"{VIP}:80", f"{VIP}:443"}
    # what a backend did is told over all ports; two questions from the same port of the client are one connection
    assert 60 + 25 <= sum(row["opened"] for row in shown["backends"]) <= 60 + 30


def test_a_port_of_sctp(web, stack):
    sluiced, client, servers = web
    sluiced.ctl("service", "add", "diameter", "--network", "web", "--vip", VIP, "--port", "3868", "--protocol", "sctp")
    sluiced.ctl("backend", "add", "diameter", f"{servers[0].ip}:3869")
    assert sluiced.rpc("service.show", name="diameter")["protocol"] == "sctp"
    add_service(sluiced, servers, port=3868, ports=[{"port": 3869, "protocol": "sctp"}])
    try:
        listener = stack.enter_context(servers[0].socket(proto=socket.IPPROTO_SCTP))
    except OSError as error:
        pytest.skip(f"the kernel has no SCTP: {error}")
    listener.bind(("0.0.0.0", 3869))
    listener.listen()
    near = stack.enter_context(client.socket(proto=socket.IPPROTO_SCTP))
    near.settimeout(wait.PATIENCE_S)
    near.connect((VIP, 3868))
    far = stack.enter_context(listener.accept()[0])
    near.sendall(b"hello")
    assert far.recv(100) == b"hello"
    far.sendall(b"x" * 1000)
    assert len(near.recv(2000)) == 1000
    assert [row["protocol"] for row in sluiced.rpc("conn.list", service="diameter")] == ["sctp"]


def test_ports_come_and_go(web, stack):
    sluiced, client, servers = web
    for port in (8080, 8443):
        stack.enter_context(traffic.tcp_server(servers[0], port, text=str(port)))
    add_service(sluiced, servers[:1])
    kept = stack.enter_context(traffic.EchoClient(client, VIP, 80))
    sluiced.rpc("service.set", name="api", ports=[{"port": 443, "target_port": 8443}])
    assert names(client, 443, 3) == {"8443"}
    sluiced.rpc("service.set", name="api", port=443, ports=[{"port": 80, "target_port": 8443}])  # the other way round
    assert (names(client, 443, 3), names(client, 80, 3)) == ({"8080"}, {"8443"})
    sluiced.ctl("service", "set", "api", "--port", "80", "--ports", "")
    with pytest.raises(OSError):
        traffic.EchoClient(client, VIP, 443, timeout_s=2)
    assert names(client, 80, 3) == {"8080"}
    assert kept.name == "8080"
    sluiced.stop()
    sluiced.start()
    assert sluiced.rpc("service.show", name="api")["ports"] == []


def test_a_port_of_a_vip_is_one_services(web):
    sluiced, client, servers = web
    add_service(sluiced, servers, ports=[{"name": "https", "port": 443}])
    refused = sluiced.ctl("service", "add", "other", "--network", "web", "--vip", VIP, "--port", "443", "--protocol",
                          "tcp", check=False)
    assert refused.returncode and f"vip: {VIP}:443 is the vip of service api" in refused.stderr
    sluiced.rpc("service.add", name="other", network="web", vip=VIP, port=81, protocol="tcp")
    refused = sluiced.ctl("service", "set", "other", "--ports", "port=82,port=443", check=False)
    assert refused.returncode and f"vip: {VIP}:443 is the vip of service api" in refused.stderr
    assert sluiced.rpc("service.show", name="other")["ports"] == []
    sluiced.rpc("service.set", name="api", ports=[])
    sluiced.rpc("service.set", name="other", ports=[{"port": 443}])
    sluiced.rpc("service.del", name="other")
    sluiced.rpc("service.set", name="api", ports=[{"port": 443}])


def test_a_drained_backend_is_drained_on_all_ports(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8443))
    add_service(sluiced, servers, ports=[{"port": 443, "target_port": 8443}])
    sluiced.ctl("backend", "drain", "api", f"{servers[0].ip}:8080")
    assert names(client, 443) == {servers[1].name}
    assert backend(sluiced, servers[0])["health"] == "draining"


@pytest.mark.parametrize("text, why", [
    ("port=80", "ports[0].port: the service has 80 already"),
    ("port=none", "ports[0].port: "),
    ("name=https", "ports[0].port: missing"),
    ("port=81 size=9", "ports[0].size: unknown key"),
    ("port=81 protocol=icmp", "ports[0].protocol: "),
    ("81", "ports[0].81: unknown key"),
])
def test_refusals(web, text, why):
    sluiced, client, servers = web
    add_service(sluiced, servers)
    refused = sluiced.ctl("service", "set", "api", "--ports", text, check=False)
    assert refused.returncode == 1 and why in refused.stderr, refused
