"""Backends that leave: drained until a deadline, and what becomes of connections and datagrams then."""

import socket

import pytest

from rig import traffic, wait
from rig.services import add_service, backend, both_families, family_wanted, web_of

HOUR_MS = 3600000


@pytest.fixture
def web(request, sluiced, container):
    return web_of(sluiced, container, version=family_wanted(request))


def drain(sluiced, server, *words, service="api", port=8080):
    sluiced.ctl("backend", "drain", service, server.at(port), *words)


def test_a_drain_without_a_deadline_never_ends(web, stack):
    sluiced, client, servers = web
    stack.enter_context(traffic.tcp_server(servers[0], 8080))
    add_service(sluiced, servers[:1])
    with traffic.EchoClient(client, client.vip, 80) as kept:
        drain(sluiced, servers[0])
        kept.echo()
        row = backend(sluiced, servers[0])
        assert (row["health"], row["connections"], row["drain_left_ms"]) == ("draining", 1, None)


@both_families
def test_what_is_left_is_shown_and_reset_at_the_deadline(web, stack):
    sluiced, client, servers = web
    stack.enter_context(traffic.tcp_server(servers[0], 8080))
    add_service(sluiced, servers[:1], drain_ms=HOUR_MS, drain_reset=True)
    kept = [stack.enter_context(traffic.EchoClient(client, client.vip, 80)) for _ in range(3)]
    drain(sluiced, servers[0])
    for connection in kept:
        connection.echo()
    row = backend(sluiced, servers[0])
    assert row["connections"] == 3
    assert 0 < row["drain_left_ms"] <= HOUR_MS
    assert "DRAIN_LEFT_MS" in sluiced.ctl("backend", "list", "api").stdout
    drain(sluiced, servers[0], "--deadline-ms", "1")
    wait.until(lambda: backend(sluiced, servers[0])["drain_left_ms"] == 0, "the deadline")
    for connection in kept:
        with pytest.raises(ConnectionResetError):
            connection.echo()
            connection.echo()
    wait.until(lambda: backend(sluiced, servers[0])["connections"] == 0, "no connection is left")


@both_families
def test_who_is_idle_is_reset_too(web, stack):
    """Neither end sends anything by itself: the switch makes each of them speak."""
    sluiced, client, servers = web
    family = traffic.family_of(client.ip)
    listener = stack.enter_context(servers[0].socket(family))
    listener.bind(("", 8080))
    listener.listen()
    add_service(sluiced, servers[:1], drain_reset=True)
    near = stack.enter_context(client.socket(family))
    near.settimeout(wait.PATIENCE_S)
    near.connect((client.vip, 80))
    far = stack.enter_context(listener.accept()[0])
    far.settimeout(wait.PATIENCE_S)
    drain(sluiced, servers[0], "--deadline-ms", "1")
    for end in (near, far):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    wait.until(lambda: backend(sluiced, servers[0])["connections"] == 0, "no connection is left")


def test_a_backend_comes_back_from_its_deadline(web, stack):
    sluiced, client, servers = web
    stack.enter_context(traffic.tcp_server(servers[0], 8080))
    add_service(sluiced, servers[:1], drain_ms=1)
    drain(sluiced, servers[0])
    wait.until(lambda: backend(sluiced, servers[0])["drain_left_ms"] == 0, "the deadline")
    with pytest.raises(OSError):
        traffic.EchoClient(client, client.vip, 80)
    sluiced.ctl("backend", "undrain", "api", servers[0].at(8080))
    assert backend(sluiced, servers[0])["drain_left_ms"] is None
    with traffic.EchoClient(client, client.vip, 80) as fresh:
        fresh.echo()


def test_a_deadline_outlives_the_daemon(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1])
    drain(sluiced, servers[0], "--deadline-ms", str(HOUR_MS))
    sluiced.stop()
    sluiced.start()
    row = backend(sluiced, servers[0])
    assert row["health"] == "draining"
    assert 0 < row["drain_left_ms"] <= HOUR_MS


class Asker:
    """A client of UDP that keeps its port."""

    def __init__(self, ns):
        self.sock, self.vip = ns.socket(traffic.family_of(ns.ip), socket.SOCK_DGRAM), ns.vip
        self.sock.settimeout(0.3)

    def ask(self):
        def answer():
            self.sock.sendto(b"hello", (self.vip, 53))
            try:
                return self.sock.recv(100)
            except OSError:
                return None
        return wait.until(answer, "an answer").split()[0].decode()


@pytest.fixture
def dns(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(traffic.udp_server(server, 5353))
    asker = Asker(client)
    stack.callback(asker.sock.close)
    return sluiced, asker, servers


@both_families
def test_datagrams_reach_another_when_their_backend_is_deleted(dns):
    sluiced, asker, servers = dns
    add_service(sluiced, servers, name="dns", port=53, protocol="udp", to=5353)
    first = asker.ask()
    assert asker.ask() == first
    gone = next(server for server in servers if server.name == first)
    sluiced.ctl("backend", "del", "dns", gone.at(5353))
    assert asker.ask() != first


@pytest.mark.parametrize("on_critical", ["keep", "end"])
def test_datagrams_of_a_backend_that_turns_critical(dns, on_critical):
    sluiced, asker, servers = dns
    add_service(sluiced, servers, name="dns", port=53, protocol="udp", to=5353, on_critical=on_critical,
                check={"type": "ttl", "interval_ms": 3600000})
    for server in servers:
        sluiced.ctl("backend", "check", "dns", server.at(5353), "--status", "passing")
    first = asker.ask()
    ill = next(server for server in servers if server.name == first)
    sluiced.ctl("backend", "check", "dns", ill.at(5353), "--status", "critical")
    assert (asker.ask() == first) == (on_critical == "keep")


def test_refusals(web):
    sluiced, client, servers = web
    add_service(sluiced, servers[:1])
    for value in ("-1", "86400001", "soon"):
        refused = sluiced.ctl("backend", "drain", "api", servers[0].at(8080), f"--deadline-ms={value}",
                              check=False)
        assert refused.returncode and "deadline" in refused.stderr, refused
    assert backend(sluiced, servers[0])["health"] == "passing"
