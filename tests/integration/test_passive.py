"""Passive checks: the switch takes out a backend that it sees answer nobody, and lets it in again."""

import select
import socket
import struct

import pytest

from rig import traffic, wait

VIP, PORT = "10.1.0.100", 8080
PASSIVE = {"type": "passive", "interval_ms": 100, "timeout_ms": 300}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web", a client and three containers for backends."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client = container(sluiced, "web", "client", "10.1.0.5")
    return sluiced, client, [container(sluiced, "web", f"s{i}", f"10.1.0.1{i}") for i in (1, 2, 3)]


def add_service(sluiced, servers, protocol="tcp", **check):
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol=protocol, check={**PASSIVE, **check})
    for server in servers:
        sluiced.rpc("backend.add", service="api", address=server.ip, port=PORT)


def backend(sluiced, server):
    return next(row for row in sluiced.rpc("service.show", name="api")["backends"] if row["address"] == server.ip)


def knock(client, count=12):
    """Begins `count` connections to the vip at once, each reset as soon as it is there or given up after a while."""
    socks = [client.socket() for _ in range(count)]
    for sock in socks:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.connect_ex((VIP, 80))
    select.select([], socks, [], 0.2)
    for sock in socks:
        sock.close()


def ask(client, count=12):
    """The same by datagrams, whose answers nobody waits for."""
    socks = [client.socket(kind=socket.SOCK_DGRAM) for _ in range(count)]
    for sock in socks:
        sock.sendto(b"hello", (VIP, 80))
    select.select(socks, [], [], 0.2)
    for sock in socks:
        sock.close()


def wait_seen(sluiced, server, health, output, busy=lambda: None):
    """Waits for the health and for the check to say so, while `busy` makes traffic."""
    def there():
        busy()
        row = backend(sluiced, server)
        return row["health"] == health and output in row["output"] and row

    return wait.until(there, f"{server.ip} {health}: {output}")


def names_without(sluiced, client, victim):
    """Who answers while the victim is out; None when it was not all the time."""
    def out():
        return backend(sluiced, victim)["health"] == "critical"

    if not out():
        return None
    names = set()
    for _ in range(12):
        try:
            with traffic.EchoClient(client, VIP, 80, timeout_s=1.0) as connection:
                names.add(connection.name)
        except OSError:
            names.add(None)
    return names if out() else None


def test_a_killed_server_is_out_until_it_is_back(web, stack):
    sluiced, client, servers = web
    running = {server: traffic.tcp_server(server, PORT) for server in servers}
    for server in servers[1:]:
        stack.callback(running[server].close)
    add = "service add api --network web --port 80 --protocol tcp --check-type passive --check-interval-ms 100"
    sluiced.ctl(*add.split(), "--vip", VIP, "--check-timeout-ms", "300")
    for server in servers:
        sluiced.ctl("backend", "add", "api", f"{server.ip}:{PORT}")
        row = backend(sluiced, server)
        assert (row["health"], row["output"]) == ("passing", "no connection yet")
    for server in servers:
        wait_seen(sluiced, server, "passing", "connections are answered", lambda: knock(client))
    victim = servers[0]
    running[victim].close()
    row = wait_seen(sluiced, victim, "critical", "connections refused, out for", lambda: knock(client))
    assert row["refused"] >= 5 and not row["balanced"]
    assert "connections refused, out for" in sluiced.ctl("service", "show", "api").stdout
    names = wait.until(lambda: knock(client) or names_without(sluiced, client, victim), "a time without the victim")
    assert names == {server.name for server in servers[1:]}
    stack.enter_context(traffic.tcp_server(victim, PORT))
    wait_seen(sluiced, victim, "passing", "connections are answered", lambda: knock(client))
    assert all(backend(sluiced, server)["health"] == "passing" for server in servers)


def test_a_silent_server_is_out_until_it_speaks(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, PORT))
    add_service(sluiced, servers)
    victim = servers[1]
    victim.run("ip", "route", "add", "blackhole", f"{client.ip}/32")
    row = wait_seen(sluiced, victim, "critical", "connections unanswered, out for", lambda: knock(client))
    assert row["refused"] == 0
    assert all(backend(sluiced, server)["health"] == "passing" for server in servers if server is not victim)
    victim.run("ip", "route", "del", "blackhole", f"{client.ip}/32")
    wait_seen(sluiced, victim, "passing", "connections are answered", lambda: knock(client))


def test_datagrams_without_an_answer(web, stack):
    sluiced, client, servers = web
    for server in servers[:2]:
        stack.enter_context(traffic.udp_server(server, PORT))
    add_service(sluiced, servers, protocol="udp")
    wait_seen(sluiced, servers[2], "critical", "connections unanswered, out for", lambda: ask(client))
    waiting = {stack.enter_context(client.socket(kind=socket.SOCK_DGRAM)) for _ in range(24)}

    def all_answered():  # each asks again from the same port, as QUIC does, until it gets another backend
        ask(client)
        for sock in waiting:
            sock.sendto(b"hello", (VIP, 80))
        waiting.difference_update(select.select(list(waiting), [], [], 0.1)[0])
        return not waiting

    wait.until(all_answered, "everybody is answered by somebody")
    stack.enter_context(traffic.udp_server(servers[2], PORT))
    wait_seen(sluiced, servers[2], "passing", "connections are answered", lambda: ask(client))


def test_half_of_a_service_is_left_in(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:2])  # and nobody listens

    def settled():
        knock(client)
        rows = [backend(sluiced, server) for server in servers[:2]]
        return sorted(row["health"] for row in rows) == ["critical", "passing"] and \
            any("too few others" in row["output"] for row in rows if row["health"] == "passing")

    wait.until(settled, "one of two is out")
    sluiced.ctl("backend", "set", "api", f"{servers[0].ip}:{PORT}", "--check-type", "tcp", "--check-interval-ms", "50")
    wait_seen(sluiced, servers[0], "critical", "refused")

    def left_in():
        knock(client)
        row = backend(sluiced, servers[1])
        return row["health"] != "critical" and "too few others" in row["output"]

    wait.until(left_in, "the last one is in, or in again")


def test_clients_that_give_up_take_nobody_out(start_sluiced, container, stack):
    sluiced = start_sluiced({
        "networks": [{"name": "web", "mode": "bridge", "subnet": "10.1.0.0/24"}],
        "services": [{"name": "api", "network": "web", "vip": VIP, "port": 80, "protocol": "tcp", "check": PASSIVE}],
        "backends": [{"service": "api", "address": f"10.1.0.1{i}", "port": PORT} for i in (1, 2)]})
    client = container(sluiced, "web", "client", "10.1.0.5")
    servers = [container(sluiced, "web", f"s{i}", f"10.1.0.1{i}") for i in (1, 2)]
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, PORT))
    shown = sluiced.rpc("service.show", name="api")["check"]
    assert shown["type"] == "passive" and (shown["fall"], shown["timeout_ms"]) == (5, 300)
    client.run("ip", "route", "add", "blackhole", VIP, "table", "7")
    client.run("ip", "rule", "add", "iif", "eth0", "lookup", "7")  # it hears no answer, and asks again and again

    def opened():
        knock(client)
        return min(backend(sluiced, server)["opened"] for server in servers) >= 20

    wait.until(opened, "twenty attempts each")
    for server in servers:
        wait.until(lambda server=server: backend(sluiced, server)["answered"] >= 20, "answers")
        row = backend(sluiced, server)
        assert row["health"] == "passing" and row["refused"] == 0, row
