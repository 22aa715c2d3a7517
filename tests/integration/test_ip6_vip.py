"""Services over IPv6, and of both families: what test_vip.py asks of IPv4."""

import signal

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.daemon import RpcError
from rig.dns import dig
from rig.ports import free_port
from rig.process import run

VIP, VIP4 = "fd00:1::100", "10.1.0.100"
SUBNETS, GATEWAYS = ["10.1.0.0/24", "fd00:1::/64"], ["10.1.0.1", "fd00:1::1"]


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web" of both families, a client and three containers for backends."""
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    client = container(sluiced, "web", "client", ["10.1.0.5", "fd00:1::5"])
    servers = [container(sluiced, "web", f"s{i}", [f"10.1.0.1{i}", f"fd00:1::1{i}"]) for i in (1, 2, 3)]
    return sluiced, client, servers


def add_service(sluiced, servers, name="api", port=80, protocol="tcp", to=8080, **fields):
    vip = {} if "vips" in fields else {"vip": VIP}
    sluiced.rpc("service.add", name=name, network="web", port=port, protocol=protocol, **vip, **fields)
    for server in servers:
        sluiced.rpc("backend.add", service=name, address=server.ip6, port=to)


def backend(sluiced, address, service="api"):
    return next(row for row in sluiced.rpc("service.show", name=service)["backends"] if row["address"] == address)


def wait_health(sluiced, server, health):
    wait.until(lambda: backend(sluiced, server.ip6)["health"] == health, f"{server.ip6} {health}")


def names_reached(client, vip, count=30):
    names = set()
    for _ in range(count):
        with traffic.EchoClient(client, vip, 80) as connection:
            names.add(connection.name)
    return names


def test_http_is_spread_over_the_backends(web):
    sluiced, client, servers = web
    for server in servers:
        traffic.http_server(server)
    add_service(sluiced, servers)
    bodies, failed = traffic.http_many(client, VIP, 80, 90)
    assert failed == 0
    assert set(bodies) == {server.name for server in servers}
    assert min(bodies.values()) >= 10, bodies
    rows = [backend(sluiced, server.ip6) for server in servers]
    assert all(row["balanced"] and row["health"] == "passing" and row["packets"] > 0 for row in rows), rows
    shown = sluiced.rpc("service.show", name="api")
    assert (shown["vip"], shown["vips"]) == (VIP, [VIP])


def test_bulk_tcp_both_ways(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], port=5201, to=5201)
    traffic.tcp_carries(servers[0], client, VIP)
    traffic.tcp_carries(servers[0], client, VIP, reverse=True)


def test_bulk_tcp_of_a_backend_with_itself(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], port=5201, to=5201)
    traffic.tcp_carries(servers[0], servers[0], VIP)
    assert sluiced.drops("hairpin") == 0


def test_udp_is_spread_and_answered_from_the_vip(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.udp_server(server, 5353, six=True))
    add_service(sluiced, servers, name="dns", port=53, protocol="udp", to=5353)
    answers = {traffic.udp_ask(client, VIP, 53, timeout_s=10) for _ in range(60)}
    assert answers == {server.name.encode() + b" hello" for server in servers}


def test_the_vip_answers_ping_and_neighbours_at_the_asking_port(web):
    sluiced, client, servers = web
    add_service(sluiced, servers)
    traffic.ping(client, VIP)
    traffic.ping(client, VIP, size=1500 - 48)
    assert "02:53:4c:00:00:01" in client.run("ip", "neigh", "show", VIP).stdout


def test_connections_are_listed(web, stack):
    sluiced, client, servers = web
    stack.enter_context(traffic.tcp_server(servers[0], 8080, six=True))
    add_service(sluiced, servers[:1])
    with traffic.EchoClient(client, VIP, 80) as connection:
        connection.echo()
        (row,) = sluiced.rpc("conn.list", service="api")
        port = connection.sock.getsockname()[1]
        assert (row["client"], row["vip"]) == (f"[{client.ip6}]:{port}", f"[{VIP}]:80")
        assert (row["backend"], row["state"]) == (f"[{servers[0].ip6}]:8080", "established")
        assert len(sluiced.rpc("conn.list", client=client.ip6)) == 1
        assert f"[{VIP}]:80" in sluiced.ctl("conn", "list").stdout
    assert backend(sluiced, servers[0].ip6)["answered"] == 1


def test_a_client_stays_with_one_backend(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    add_service(sluiced, servers, affinity_s=60)
    first = names_reached(client, VIP)
    assert len(first) == 1
    sluiced.ctl("service", "set", "api", "--affinity-s", "0")
    assert len(names_reached(client, VIP)) > 1


def test_a_backend_whose_port_goes_down_is_out_at_once(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    add_service(sluiced, servers)
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(24)]
    victim = next(server for server in servers if server.name == kept[0].name)
    victim.run("ip", "link", "del", "eth0")
    sluiced.wait_port(victim.port, "down")
    assert backend(sluiced, victim.ip6)["health"] == "critical"
    assert names_reached(client, VIP) == {server.name for server in servers if server is not victim}
    survivors = [connection for connection in kept if connection.name != victim.name]
    assert survivors
    for connection in survivors:
        connection.echo()


def test_a_drained_backend_keeps_its_connections(web, stack):
    sluiced, client, servers = web
    for server in servers[:2]:
        stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    add_service(sluiced, servers[:2])
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(16)]
    drained = next(server for server in servers if server.name == kept[0].name)
    sluiced.ctl("backend", "drain", "api", f"[{drained.ip6}]:8080")
    assert drained.name not in names_reached(client, VIP)
    for connection in kept:
        connection.echo()


@pytest.mark.parametrize("check", ["tcp", "http"])
def test_a_failing_check_takes_a_backend_out_and_back(web, check):
    """From a socket in the gateway's namespace, over IPv6."""
    sluiced, client, servers = web
    running = {server.ip6: traffic.http_server(server) for server in servers}
    add_service(sluiced, servers, check={"type": check, "interval_ms": 100, "timeout_ms": 2000, "rise": 1, "fall": 2})
    for server in servers:
        wait_health(sluiced, server, "passing")
    victim = servers[1]
    running[victim.ip6].stop()
    wait_health(sluiced, victim, "critical")
    bodies, failed = traffic.http_many(client, VIP, 80, 40)
    assert failed == 0 and set(bodies) == {servers[0].name, servers[2].name}
    traffic.http_server(victim)
    wait_health(sluiced, victim, "passing")


def test_a_service_of_both_families(web, stack):
    """Each vip balances the backends of its family; one goes and comes back, the other stays."""
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    sluiced.ctl("service", "add", "api", "--network", "web", "--vips", f"{VIP},{VIP4}", "--port", "80", "--protocol", "tcp")
    for address in (servers[0].ip6, servers[1].ip6, servers[1].ip, servers[2].ip):
        sluiced.rpc("backend.add", service="api", address=address, port=8080)
    shown = sluiced.rpc("service.show", name="api")
    assert (shown["vip"], shown["vips"]) == (VIP4, [VIP4, VIP])
    assert all(row["balanced"] for row in shown["backends"])
    assert names_reached(client, VIP) == {servers[0].name, servers[1].name}
    assert names_reached(client, VIP4) == {servers[1].name, servers[2].name}
    with traffic.EchoClient(client, VIP4, 80) as connection:
        sluiced.ctl("service", "set", "api", "--vip", VIP4)
        with pytest.raises(OSError):
            traffic.EchoClient(client, VIP, 80, timeout_s=0.5)
        assert not backend(sluiced, servers[0].ip6)["balanced"]
        sluiced.ctl("service", "set", "api", "--vips", f"{VIP4},fd00:1::200")
        assert names_reached(client, "fd00:1::200") == {servers[0].name, servers[1].name}
        connection.echo()
    rows = {row["address"]: row["packets"] for row in sluiced.rpc("service.show", name="api")["backends"]}
    assert len(rows) == 4 and all(rows.values()), rows


def test_several_ports_of_both_vips(web, stack):
    sluiced, client, servers = web
    server = servers[0]
    for port in 8080, 8081:
        stack.enter_context(traffic.tcp_server(server, port, str(port), six=True))
    add_service(sluiced, [server], vips=[VIP4, VIP], ports=[{"name": "admin", "port": 81, "target_port": 8081}])
    sluiced.rpc("backend.add", service="api", address=server.ip, port=8080)
    for vip in VIP, VIP4:
        for port, name in (80, "8080"), (81, "8081"):
            with traffic.EchoClient(client, vip, port) as connection:
                assert connection.name == name
    assert all(row["answered"] == 2 for row in sluiced.rpc("service.show", name="api")["backends"])
    sluiced.ctl("service", "set", "api", "--vip", VIP)
    with traffic.EchoClient(client, VIP, 81) as connection:
        connection.echo()
    with pytest.raises(OSError):
        traffic.EchoClient(client, VIP4, 81, timeout_s=0.5)


def test_dns_answers_with_the_vips(start_sluiced, container, requires):
    requires("dig")
    port = free_port()
    sluiced = start_sluiced({"control": {"dns": f"127.0.0.1:{port}", "dns_ttl_s": 0}})
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    client = container(sluiced, "web", "client")
    add_service(sluiced, [], vips=[VIP4, VIP])
    add_service(sluiced, [], name="six", port=81)
    for kind, vips in ("A", [VIP4]), ("AAAA", [VIP]):
        assert dig(port, "api.virtual.consul", kind).data(kind) == vips
        for gateway in GATEWAYS:
            done = client.run("dig", "+short", f"@{gateway}", "api.web", kind)
            assert done.stdout.split() == vips
    assert dig(port, "six.virtual.consul", "AAAA").data("AAAA") == [VIP]
    assert dig(port, "six.virtual.consul", "A").data("A") == []


def test_what_registers_by_consuls_api_is_balanced(start_sluiced, container, stack):
    http = free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{http}"}})
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    client = container(sluiced, "web", "client", ["10.1.0.5", "fd00:1::5"])
    server = container(sluiced, "web", "server", ["10.1.0.11", "fd00:1::11"])
    stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    consul = Consul(http)
    consul.register("api", ID="six", Address=server.ip6, Port=8080)
    sluiced.ctl("service", "add", "api", "--network", "web", "--vips", f"{VIP4},{VIP}", "--port", "80", "--protocol", "tcp")
    with traffic.EchoClient(client, VIP, 80) as connection:
        assert connection.name == server.name
    with pytest.raises(ConnectionRefusedError):
        traffic.EchoClient(client, VIP4, 80)
    consul.register("api", ID="four", Address=server.ip, Port=8080)
    with traffic.EchoClient(client, VIP4, 80) as connection:
        assert connection.name == server.name
    told = {entry["Service"]["ID"]: entry["Service"]["Address"] for entry in consul.get("health/service/api").json}
    assert told == {"six": server.ip6, "four": server.ip}
    consul.deregister("six")
    with pytest.raises(ConnectionRefusedError):
        traffic.EchoClient(client, VIP, 80)


def web_config():
    return {"name": "web", "subnets": SUBNETS, "gateways": GATEWAYS}


REFUSED = [
    ({"vip": "fd00:2::1"}, "vip: fd00:2::1 is no host address of fd00:1::/64"),
    ({"vip": "fd00:1::1"}, "vip: fd00:1::1 is the gateway of network web"),
    ({"vip": "fd00:1::5"}, "vip: fd00:1::5 is taken by port client"),
    ({"vip": "fd00:1::"}, "vip: fd00:1:: is no host address"),
    ({"vips": [VIP4, "10.1.0.101"]}, "vips: one of IPv4 and one of IPv6 at most"),
    ({"vips": [VIP, "fd00:1::101"]}, "vips: one of IPv4 and one of IPv6 at most"),
    ({"vips": [VIP4, "fd00:1::1"]}, "vips: fd00:1::1 is the gateway of network web"),
    ({"vip": VIP, "vips": [VIP4]}, "vips: instead of vip, not beside it"),
    ({"vips": [VIP4, VIP, "fd00:1::102"]}, "vips: "),
    ({"vip": VIP, "network": "four"}, "vip: fd00:1::100: network four has no subnet of IPv6"),
]


def refusal(sluiced, method, **fields):
    with pytest.raises(RpcError) as refused:
        sluiced.rpc(method, **fields)
    return refused.value.message


def test_what_is_refused(web):
    sluiced, client, servers = web
    sluiced.rpc("network.add", name="four", subnet="10.1.0.0/24")
    for fields, why in REFUSED:
        whole = {"name": "api", "network": "web", "port": 80, "protocol": "tcp", **fields}
        assert why in refusal(sluiced, "service.add", **whole), fields
        sluiced.write_config({"networks": [web_config(), {"name": "four", "subnet": "10.1.0.0/24"}], "services": [whole]})
        if "port client" not in why:  # whose address the configuration does not know
            checked = run([*sluiced.argv(), "--check-config"], check=False)
            assert checked.returncode and f"services[0].{why.split()[0]} " in checked.stderr, fields
    add_service(sluiced, [])
    b = {"name": "b", "network": "web", "port": 80, "protocol": "tcp"}
    assert f"vip: [{VIP}]:80 is the vip of service api" in refusal(sluiced, "service.add", **b, vips=[VIP4, VIP])
    sluiced.rpc("service.add", **b, vip=VIP4)
    refused = refusal(sluiced, "port.add", name="late", network="web", type="tap", netns=client.name, ifname="eth1", ips=[VIP])
    assert f"ips: {VIP} is taken by service api" in refused


def test_it_comes_back_after_a_restart(start_sluiced, container, stack):
    """Also where it was made with one spelling and changed with the other."""
    sluiced = start_sluiced({})
    sluiced.rpc("network.add", name="web", subnets=SUBNETS, gateways=GATEWAYS)
    client, server = container(sluiced, "web", "client"), container(sluiced, "web", "s1")
    stack.enter_context(traffic.tcp_server(server, 8080, six=True))
    add_service(sluiced, [server])
    sluiced.rpc("backend.add", service="api", address=server.ip, port=8080)
    sluiced.ctl("service", "set", "api", "--vips", f"{VIP},{VIP4}")
    add_service(sluiced, [], name="other", port=81, vips=[VIP, VIP4])
    sluiced.ctl("service", "set", "other", "--vip", VIP)
    sluiced.stop()
    sluiced.start()
    assert sluiced.rpc("service.show", name="api")["vips"] == [VIP4, VIP]
    assert sluiced.rpc("service.show", name="other")["vips"] == [VIP]
    wait.until(lambda: backend(sluiced, server.ip6)["health"] == "passing", "the port is back")
    assert names_reached(client, VIP, 3) == names_reached(client, VIP4, 3) == {server.name}


def test_by_the_configuration(start_sluiced, container):
    service = {"name": "api", "network": "web", "vips": [VIP4, VIP], "port": 80, "protocol": "tcp"}
    config = {"networks": [web_config()], "services": [service],
              "backends": [{"service": "api", "address": "fd00:1::11", "port": 8080}]}
    sluiced = start_sluiced(config)
    client = container(sluiced, "web", "client", ["10.1.0.5", "fd00:1::5"])
    server = container(sluiced, "web", "s1", ["10.1.0.11", "fd00:1::11"])
    traffic.http_server(server)
    assert traffic.http_many(client, VIP, 80, 3) == ({server.name: 3}, 0)
    service["vips"] = [VIP4, "fd00:1::101"]
    sluiced.write_config(config)
    sluiced.process.send_signal(signal.SIGHUP)
    wait.until(lambda: sluiced.rpc("service.show", name="api")["vips"] == service["vips"], "the new vip")
    assert traffic.http_many(client, "fd00:1::101", 80, 3) == ({server.name: 3}, 0)
