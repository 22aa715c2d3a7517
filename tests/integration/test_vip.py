"""Services: a vip is balanced over backends, and a backend that fails is out at once while the others go on."""

import struct
import time

import pytest

from rig import traffic, wait
from rig.frames import ROUTER_MAC, Wire, ethernet, ipv4
from rig.services import VIP, VIP6, add_service, backend, both_families, family_wanted, wait_health, web_of


@pytest.fixture
def web(request, sluiced, container):
    """The daemon with network "web", a client and three containers for backends."""
    return web_of(sluiced, container, version=family_wanted(request))


def test_http_is_spread_over_the_backends(web):
    sluiced, client, servers = web
    for server in servers:
        traffic.http_server(server)
    add_service(sluiced, servers)
    bodies, failed = traffic.http_many(client, VIP, 80, 90)
    assert failed == 0
    assert set(bodies) == {server.name for server in servers}
    assert min(bodies.values()) >= 10, bodies
    rows = [backend(sluiced, server) for server in servers]
    assert all(row["balanced"] and row["health"] == "passing" and row["packets"] > 0 for row in rows), rows


def test_bulk_tcp_and_udp_through_the_vip(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], port=5201, to=5201)
    traffic.tcp_carries(servers[0], client, VIP)
    traffic.tcp_carries(servers[0], client, VIP, reverse=True)


def test_udp_is_spread_and_answered_from_the_vip(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.udp_server(server, 5353))
    add_service(sluiced, servers, name="dns", port=53, protocol="udp", to=5353)
    answers = {traffic.udp_ask(client, VIP, 53, timeout_s=10) for _ in range(60)}
    assert answers == {server.name.encode() + b" hello" for server in servers}


def test_a_client_stays_with_one_backend(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, servers, affinity_s=60)

    def reached(count=30):
        names = set()
        for _ in range(count):
            with traffic.EchoClient(client, VIP, 80) as connection:
                names.add(connection.name)
        return names

    first = reached()
    assert len(first) == 1
    others = [server for server in servers if server.name not in first]
    sluiced.ctl("backend", "set", "api", f"{others[0].ip}:8080", "--weight", "100")
    assert reached() == first
    assert sluiced.rpc("service.show", name="api")["affinity_s"] == 60
    sluiced.ctl("service", "set", "api", "--affinity-s", "0")
    assert others[0].name in reached()
    refused = sluiced.ctl("service", "set", "api", "--affinity-s", "86401", check=False)
    assert refused.returncode and "affinity" in refused.stderr


@both_families
def test_the_only_backend_reaches_its_own_service(web, stack):
    sluiced, client, servers = web
    server = servers[0]
    stack.enter_context(traffic.tcp_server(server, 8080))
    stack.enter_context(traffic.udp_server(server, 5353))
    add_service(sluiced, [server])
    add_service(sluiced, [server], name="dns", port=53, protocol="udp", to=5353)
    with traffic.EchoClient(server, client.vip, 80) as own, traffic.EchoClient(client, client.vip, 80) as other:
        assert own.name == other.name == server.name
        for _ in range(20):
            own.echo()
            other.echo()
    assert traffic.udp_ask(server, client.vip, 53, timeout_s=10) == server.name.encode() + b" hello"
    assert sluiced.drops("hairpin") == 0


def test_bulk_tcp_of_a_backend_with_itself(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], port=5201, to=5201)
    traffic.tcp_carries(servers[0], servers[0], VIP)


def test_the_vip_answers_nothing_else(web):
    sluiced, client, servers = web
    add_service(sluiced, servers)
    with pytest.raises(OSError):
        traffic.http_get(client, VIP, 81, timeout_s=0.5)
    assert sluiced.drops("vip-miss") > 0


def test_a_backend_whose_port_goes_down_is_out_at_once(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, servers)
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(24)]
    victim = next(server for server in servers if server.name == kept[0].name)
    victim.run("ip", "link", "del", "eth0")
    sluiced.wait_port(victim.port, "down")
    assert backend(sluiced, victim)["health"] == "critical"
    names = set()
    for _ in range(30):
        with traffic.EchoClient(client, VIP, 80) as fresh:
            names.add(fresh.name)
    assert names == {server.name for server in servers if server is not victim}
    survivors = [connection for connection in kept if connection.name != victim.name]
    assert survivors
    for connection in survivors:
        connection.echo()


def test_a_failing_tcp_check_takes_a_backend_out_and_back(web):
    sluiced, client, servers = web
    running = {server.ip: traffic.http_server(server) for server in servers}
    add_service(sluiced, servers, check={"type": "tcp", "interval_ms": 100, "timeout_ms": 500, "rise": 1, "fall": 2})
    for server in servers:
        wait_health(sluiced, server, "passing")
    victim = servers[1]
    running[victim.ip].stop()
    wait_health(sluiced, victim, "critical")
    bodies, failed = traffic.http_many(client, VIP, 80, 40)
    assert failed == 0 and set(bodies) == {servers[0].name, servers[2].name}
    traffic.http_server(victim)
    wait_health(sluiced, victim, "passing")
    bodies, failed = traffic.http_many(client, VIP, 80, 60)
    assert failed == 0 and victim.name in bodies


def test_a_checked_backend_is_out_until_its_first_success(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1], check={"type": "tcp", "interval_ms": 100, "timeout_ms": 500})
    with pytest.raises(OSError):
        traffic.http_get(client, VIP, 80, timeout_s=0.5)
    wait.until(lambda: sluiced.drops("no-backend") > 0, "drops counted")
    traffic.http_server(servers[0])
    wait_health(sluiced, servers[0], "passing")
    assert traffic.http_get(client, VIP, 80) == servers[0].name


def test_drain_keeps_connections_and_gives_no_new_ones(web, stack):
    sluiced, client, servers = web
    for server in servers[:2]:
        stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, servers[:2])
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(16)]
    drained = next(server for server in servers if server.name == kept[0].name)
    sluiced.rpc("backend.drain", service="api", address=drained.ip, port=8080)
    assert backend(sluiced, drained)["health"] == "draining"
    for connection in kept:
        connection.echo()
    for _ in range(20):
        with traffic.EchoClient(client, VIP, 80) as fresh:
            assert fresh.name != drained.name
    sluiced.rpc("backend.undrain", service="api", address=drained.ip, port=8080)
    names = set()
    for _ in range(40):
        with traffic.EchoClient(client, VIP, 80) as fresh:
            names.add(fresh.name)
    assert drained.name in names


def test_a_flood_of_syns_leaves_the_others_alone(start_sluiced, container, stack):
    """The table of connections is full of what nobody answers; those that are there go on, and new ones come through."""
    sluiced, client, servers = web_of(start_sluiced({"dataplane": {"conn_size": 1024}}), container, 2)
    flooder = container(sluiced, "web", "flooder", "10.1.0.66", security="off")
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, servers)
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(8)]
    syn = struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 1024, 0, 0)  # its checksum is wrong: no backend has to deal with it
    with Wire(flooder) as wire:
        for n in range(5000):
            wire.send(ethernet(ROUTER_MAC, flooder.eth0, ipv4(f"10.1.0.{200 + n % 50}", VIP, 6, struct.pack("!HH", 1024 + n, 80) + syn),
                               0x0800))
    wait.until(lambda: sluiced.rpc("network.show", name="web")["connections"] > 900, "the table is full")
    names = set()
    for _ in range(20):
        for connection in kept:
            connection.echo()
        with traffic.EchoClient(client, VIP, 80) as fresh:
            fresh.echo()
            names.add(fresh.name)
    assert names == {server.name for server in servers}


def test_a_backend_that_comes_is_given_more_and_more(web, stack):
    """The share of a newcomer beside one that is there for long, early on and when the time of slow_start_ms is over."""
    sluiced, client, servers = web
    for server in servers[:2]:
        stack.enter_context(traffic.tcp_server(server, 8080))
    add_service(sluiced, servers[:1], slow_start_ms=1500)
    time.sleep(1.6)
    sluiced.ctl("backend", "add", "api", servers[1].at(8080))
    began, early, late = time.monotonic(), [], []
    while len(late) < 40:
        with traffic.EchoClient(client, VIP, 80) as connection:
            passed = time.monotonic() - began
            if passed < 0.5 or passed > 1.5:
                (early if passed < 0.5 else late).append(connection.name == servers[1].name)
    assert sum(late) >= 8  # a half, by chance
    assert not early or sum(early) <= len(early) * 0.3 + 2, early  # an eighth


def test_connections_are_listed(web, stack):
    sluiced, client, servers = web
    stack.enter_context(traffic.tcp_server(servers[0], 8080))
    add_service(sluiced, servers[:1])
    with traffic.EchoClient(client, VIP, 80) as connection:
        connection.echo()
        rows = sluiced.rpc("conn.list", service="api")
        assert [(row["client"].split(":")[0], row["backend"]) for row in rows] == [(client.ip, f"{servers[0].ip}:8080")]
        assert rows[0]["packets"] > 0


@pytest.mark.parametrize("vip, subnet, near, far", [(VIP, "10.1.0.0/24", "10.1.0.5", "10.1.0.50"),
                                                    (VIP6, "fd00:1::/64", "fd00:1::5", "fd00:1::50")], ids=["ip4", "ip6"])
def test_a_vip_over_the_overlay(sluiced, container, stack, vip, subnet, near, far):
    from rig.vxlan_host import VxlanHost
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet=subnet)
    host.vxlan(100, f"{far}/{subnet.split('/')[1]}")
    host.join(sluiced, "web")
    client = container(sluiced, "web", "client", near)
    traffic.http_server(host, 8080, "the other host")
    sluiced.rpc("service.add", name="api", network="web", vip=vip, port=80, protocol="tcp")
    sluiced.rpc("backend.add", service="api", address=far, port=8080)
    traffic.wait_ping(client, far)
    bodies, failed = traffic.http_many(client, vip, 80, 20)
    assert (bodies, failed) == ({"the other host": 20}, 0)
    row = sluiced.rpc("service.show", name="api")["backends"][0]
    assert row["opened"] == row["answered"] == 20 and row["refused"] == 0, row
