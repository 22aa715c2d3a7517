"""Several ports of one vip: each leads to the same backends, at a port of its own there."""

import socket

import pytest

from rig import sctp, traffic, wait
from rig.services import VIP, add_service, backend, both_families, family_wanted, web_of


@pytest.fixture
def web(sluiced, container, request):
    return web_of(sluiced, container, 2, family_wanted(request))


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
        {"name": "https", "port": 443, "end_port": None, "target_port": 8443, "protocol": "tcp"},
        {"name": None, "port": 9000, "end_port": None, "target_port": 9000, "protocol": "tcp"},
        {"name": "dns", "port": 80, "end_port": None, "target_port": 5353, "protocol": "udp"}]
    with traffic.EchoClient(client, VIP, 80), traffic.EchoClient(client, VIP, 443):
        rows = sluiced.rpc("conn.list", service="api")
        assert {row["vip"] for row in rows if row["state"] == "established"} >= {f"{VIP}:80", f"{VIP}:443"}
    # what a backend did is told over all ports; two questions from the same port of the client are one connection
    assert 60 + 25 <= sum(row["opened"] for row in shown["backends"]) <= 60 + 30


@both_families
def test_a_port_of_sctp(web):
    sluiced, client, servers = web
    vip = client.vip
    sluiced.ctl("service", "add", "diameter", "--network", "web", "--vip", vip, "--port", "3868", "--protocol", "sctp")
    sluiced.rpc("backend.add", service="diameter", address=servers[0].ip, port=3869)
    assert sluiced.rpc("service.show", name="diameter")["protocol"] == "sctp"
    add_service(sluiced, servers, port=3868, ports=[{"port": 3869, "protocol": "sctp"}])
    assert sctp.associates(client, servers[0], vip, 3868, 3869) == (client.ip, 5000)
    assert [row["protocol"] for row in sluiced.rpc("conn.list", service="diameter")] == ["sctp"]


@both_families
def test_the_kernels_sctp(web, stack):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], port=3868, protocol="sctp", to=3869)
    family = traffic.family_of(client.vip)
    try:
        listener = stack.enter_context(servers[0].socket(family, proto=socket.IPPROTO_SCTP))
    except OSError as error:
        pytest.skip(f"the kernel has no SCTP: {error}")
    listener.bind(("", 3869))
    listener.listen()
    near = stack.enter_context(client.socket(family, proto=socket.IPPROTO_SCTP))
    near.settimeout(wait.PATIENCE_S)
    near.connect((client.vip, 3868))
    far = stack.enter_context(listener.accept()[0])
    near.sendall(b"hello")
    assert far.recv(100) == b"hello"
    far.sendall(b"x" * 1000)
    assert len(near.recv(2000)) == 1000


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


def test_ports_in_a_row(sluiced, container, stack):
    """Ranges, of both families: each port leads as far behind the backend's; they grow, shrink, and outlive the daemon."""
    vip6 = "fd00:1::100"
    sluiced.rpc("network.add", name="web", subnets=["10.1.0.0/24", "fd00:1::/64"], gateways=["10.1.0.1", "fd00:1::1"])
    client = container(sluiced, "web", "client", ["10.1.0.5", "fd00:1::5"])
    server = container(sluiced, "web", "server", ["10.1.0.11", "fd00:1::11"])
    for port in (18000, 18050, 18099, 18120, 7005):
        stack.enter_context(traffic.tcp_server(server, port, text=str(port), six=True))
    sluiced.ctl("service", "add", "api", "--network", "web", "--vips", f"{VIP},{vip6}", "--port", "8000", "--end-port", "8099",
                "--protocol", "tcp", "--ports", "port=9000 end_port=9009 target_port=7000")
    for address in (server.ip, f"[{server.ip6}]"):
        sluiced.ctl("backend", "add", "api", f"{address}:18000")

    def leads(port):
        reached = set()
        for vip in (VIP, vip6):
            with traffic.EchoClient(client, vip, port) as connection:
                connection.echo()
                reached.add(connection.name)
        return reached

    assert [leads(port) for port in (8000, 8050, 8099, 9005)] == [{"18000"}, {"18050"}, {"18099"}, {"7005"}]
    for port in (7999, 8100, 9010):
        for vip in (VIP, vip6):
            with pytest.raises(OSError):
                traffic.EchoClient(client, vip, port, timeout_s=10)
    kept = stack.enter_context(traffic.EchoClient(client, VIP, 8050))
    rows = sluiced.rpc("conn.list", service="api")
    assert (f"{VIP}:8050", f"{server.ip}:18050") in {(row["vip"], row["backend"]) for row in rows}
    sluiced.ctl("service", "set", "api", "--end-port", "8060")
    sluiced.ctl("service", "set", "api", "--end-port", "8120", "--ports", "")
    assert leads(8120) == {"18120"}
    kept.echo()
    shown = sluiced.rpc("service.show", name="api")
    assert (shown["port"], shown["end_port"], shown["ports"]) == (8000, 8120, [])
    # a backend that has not as many ports behind its own is not balanced
    assert not sluiced.rpc("backend.add", service="api", address="10.1.0.12", port=65500)["balanced"]
    sluiced.stop()
    sluiced.start()
    assert sluiced.rpc("service.show", name="api")["end_port"] == 8120
    wait.until(lambda: leads(8120) == {"18120"}, "it leads there again")


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
