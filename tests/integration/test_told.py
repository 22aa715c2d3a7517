"""The policy `least` over several hosts: each tells the others how busy its backends are, and nobody can lie of another's."""

import os
import socket
import struct

import pytest

from rig import traffic, wait
from rig.hosts import Hosts
from rig.vxlan_host import VxlanHost
from rig.workers import Worker, ask


class World:
    """Clients on hosts 1 and 2, a server on each of hosts 2 and 3."""

    def __init__(self, start_sluiced, stack, six=False):
        self.hosts = Hosts(start_sluiced, stack, 3, six=six)
        at = "fd00:1::{}" if six else "10.1.0.{}"
        self.stack, self.vip = stack, at.format(100)
        self.clients = [self.hosts.container(i, f"c{i + 1}", [at.format(11 + i)]) for i in (0, 1)]
        self.servers = [self.hosts.container(i, f"s{i + 1}", [at.format(21 + i)]) for i in (1, 2)]
        self.workers = [stack.enter_context(Worker(server)) for server in self.servers]
        self.hosts.everywhere("service.add", name="api", network="web", vip=self.vip, port=80, protocol="tcp", policy="least")
        for server in self.servers:
            self.hosts.everywhere("backend.add", service="api", address=server.ip, port=8080)

    def leave_out(self, daemon, server):
        """The daemon chooses it no more."""
        daemon.rpc("backend.set", service="api", address=server.ip, port=8080, weight=0)

    def hold(self):
        for worker in self.workers:
            worker.free.clear()

    def asks(self, i, count):
        """Requests of a client."""
        return [self.stack.enter_context(ask(self.clients[i], self.vip)) for _ in range(count)]


def row(daemon, server):
    return next(row for row in daemon.rpc("service.show", name="api")["backends"] if row["address"] == server.ip)


def told(daemon, server):
    return row(daemon, server)["told_in_flight"]


@pytest.fixture(params=[4, 6], ids=["over4", "over6"])
def world(request, start_sluiced, stack):
    return World(start_sluiced, stack, request.param == 6)


def test_a_host_tells_what_its_backends_have_from_everybody(world):
    busy, idle = world.servers
    near, far = world.hosts.daemons[:2]
    world.hold()
    for daemon in (near, far):
        world.leave_out(daemon, idle)
    asked = world.asks(0, 2) + world.asks(1, 5)
    wait.until(lambda: (row(near, busy)["in_flight"], told(near, busy)) == (2, 7), "it is told of all seven")
    assert row(near, busy)["told_age_ms"] <= 200
    wait.until(lambda: told(far, busy) == 7, "its own host knows of the two")
    assert row(far, busy)["in_flight"] == 5
    assert near.ctl("service", "show", "api").stdout

    world.workers[0].free.set()
    assert {sock.recv(64).decode().strip() for sock in asked} == {busy.name}
    world.asks(0, 1)  # so that it is told still
    wait.until(lambda: told(near, busy) == 0, "they are answered")
    far.kill()
    wait.until(lambda: told(near, busy) is None and row(near, busy)["told_age_ms"] is None, "nobody tells any more")


def test_who_looks_for_a_connection_asks_for_nothing(start_sluiced, stack):
    """A host that forgot its connections asks each backend whether it has them: that is no request."""
    world = World(start_sluiced, stack)
    near, far = world.hosts.daemons[:2]
    streams = {sock: sock.recv(64) for sock in world.asks(0, 6)}
    assert len(set(streams.values())) == 2
    near.wait_all_kept()
    near.kill()
    near.start()
    for port in ("up0", "c1"):
        near.wait_port(port)
    world.leave_out(near, world.servers[0])  # the hash leads all of them to the other one, which resets most
    for sock in streams:
        sock.sendall(b"again\n")
    assert {sock: sock.recv(64) for sock in streams} == streams
    assert near.drops("seeks") > 0
    wait.until(lambda: told(near, world.servers[0]) == told(near, world.servers[1]) == 0, "nothing is under way")


def test_who_is_busy_with_others_is_left_alone(start_sluiced, stack):
    """The first host has a request under way to neither: it is the other's that make the difference."""
    world = World(start_sluiced, stack)
    busy, idle = world.servers
    near, far = world.hosts.daemons[:2]
    for sock in world.asks(0, 20):  # it uses both, and is told of both
        assert sock.recv(64)
    world.hold()
    world.leave_out(far, idle)
    world.asks(1, 40)

    def both_told():
        rows = [row(near, server) for server in world.servers]
        return [one["in_flight"] for one in rows] == [0, 0] and rows[0]["told_in_flight"] == 40 and rows[1]["told_in_flight"] == 0

    wait.until(both_told, "it is told")
    world.asks(0, 16)
    assert row(near, busy)["in_flight"] <= 3  # eight by the hash alone


@pytest.mark.parametrize("six", [False, True], ids=["ip4", "ip6"])
def test_a_backend_with_ports_in_a_row_is_told_of(start_sluiced, stack, six):
    """Requests to any of its ports count, and those to others beside them do not."""
    hosts = Hosts(start_sluiced, stack, 2, six=six)
    at = "fd00:1::{}" if six else "10.1.0.{}"
    near, far = hosts.daemons
    clients = [hosts.container(i, f"c{i + 1}", [at.format(11 + i)]) for i in (0, 1)]
    server, vip = hosts.container(1, "s1", [at.format(21)]), at.format(100)
    hosts.everywhere("service.add", name="api", network="web", vip=vip, port=80, end_port=82, protocol="tcp", policy="least")
    hosts.everywhere("backend.add", service="api", address=server.ip, port=8075)
    worker = stack.enter_context(Worker(server))
    worker.free.clear()
    traffic.wait_ping(clients[0], server.ip)
    for _ in range(4):
        stack.enter_context(ask(clients[0], server.ip, 8080))
    hosts.everywhere("service.set", name="api", end_port=89)
    for client, count in ((clients[0], 3), (clients[1], 2)):
        for _ in range(count):
            stack.enter_context(ask(client, vip, 85))
    wait.until(lambda: told(far, server) == 5, "its own host counts five")
    wait.until(lambda: told(near, server) == 5, "it is told of them")
    assert row(far, server)["in_flight"] == 2


TURN = 64 * 7  # backends that a host is told of at once: packets, and how many fit one over IPv4


def test_hundreds_of_backends_of_a_host_are_all_told_of(start_sluiced, stack):
    """What fills a turn to the last entry, one more, and what takes three turns."""
    hosts = Hosts(start_sluiced, stack, 2)
    client, server = hosts.container(0, "c1", ["10.1.0.11"]), hosts.container(1, "s1", ["10.1.0.21"])
    hosts.everywhere("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp", policy="least")
    near, have = hosts.daemons[0], 0

    def all_told():
        with client.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect_ex(("10.1.0.100", 80))  # nobody listens, but it is a request
        rows = near.rpc("service.show", name="api")["backends"]
        return len(rows) == have and all(row["told_in_flight"] is not None and row["told_age_ms"] <= 200 for row in rows)

    for count in (TURN, TURN + 1, 1000):
        for port in range(have, count):
            hosts.everywhere("backend.add", service="api", address=server.ip, port=8000 + port)
        have = count
        wait.until(all_told, f"all {count} are told of")


NUMBER = 1 << 20


def packet(number, *entries, protocol=socket.IPPROTO_TCP, family=4, count=None, several=0, vni=100):
    """What one host tells another (dataplane/overlay/load.h); entries are (address, port, in flight, units of 16 us)."""
    body = b"".join(socket.inet_aton(entry[0]) + struct.pack("!HHH", *entry[1:]) for entry in entries)
    head = struct.pack("!BBHIIBBBB", 0, ord("L"), 0, vni << 8, number, protocol, family, len(entries) if count is None else count, several)
    return head + body


class Liar:
    """A host that has 10.1.0.50 behind it, beside a daemon with a client and a backend of its own, 10.1.0.12."""

    def __init__(self, sluiced, container, stack):
        self.daemon, self.host = sluiced, stack.enter_context(VxlanHost())
        sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=self.host.mtu)
        self.host.vxlan(100, "10.1.0.50/24")
        self.host.join(sluiced, "web")
        self.client, self.own = (container(sluiced, "web", name, ip) for name, ip in (("c1", "10.1.0.11"), ("c2", "10.1.0.12")))
        sluiced.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp", policy="least")
        for address in ("10.1.0.50", "10.1.0.12"):
            sluiced.rpc("backend.add", service="api", address=address, port=8080)
        traffic.wait_ping(self.client, "10.1.0.50")
        traffic.wait_ping(self.client, self.own.ip)
        self.sock = stack.enter_context(self.host.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sock.bind((self.host.address, 0))
        self.said = NUMBER

    def say(self, *entries, sock=None, number=None, **fields):
        self.said += 1
        (sock or self.sock).sendto(packet(number or self.said, *entries, **fields), (self.host.switch, 4789))

    def told(self, address):
        return next(row["told_in_flight"] for row in self.daemon.rpc("service.show", name="api")["backends"]
                    if row["address"] == address)

    def is_refused(self, *entries, reason="load-refused", **fields):
        before = self.daemon.drops(reason)
        self.say(*entries, **fields)
        wait.until(lambda: self.daemon.drops(reason) > before, f"it is dropped as {reason}")


@pytest.fixture
def liar(sluiced, container, stack):
    return Liar(sluiced, container, stack)


def say_until(liar, *entries, told):
    def heard():
        liar.say(*entries)
        return liar.told("10.1.0.50") == told
    wait.until(heard, "it is believed")


def test_a_host_is_believed_about_what_is_behind_it_and_no_more(liar, stack):
    theirs, ours = ("10.1.0.50", 8080, 7, 100), ("10.1.0.12", 8080, 60000, 60000)
    say_until(liar, theirs, told=7)
    liar.is_refused(ours)
    liar.is_refused(("10.1.0.50", 8080, 9, 9), ours)
    assert liar.told("10.1.0.12") in (None, 0)  # None until the daemon tells itself
    say_until(liar, ("10.1.0.77", 8080, 1, 1), ("10.1.0.50", 9999, 1, 1), ("10.1.0.50", 8080, 8, 1), told=8)  # nobody's, and its own

    liar.host.run("ip", "addr", "add", "192.0.2.77/24", "dev", "up0")
    other = stack.enter_context(liar.host.socket(socket.AF_INET, socket.SOCK_DGRAM))
    other.bind(("192.0.2.77", 0))
    wait.until(lambda: liar.say(theirs, sock=other) or liar.daemon.drops("unknown-vtep"), "who is no vtep is dropped")
    liar.is_refused(theirs, vni=999, reason="unknown-vni")


def test_what_is_old_or_makes_no_sense_is_refused(liar):
    theirs = ("10.1.0.50", 8080, 7, 100)
    say_until(liar, theirs, told=7)

    def replayed():
        before = liar.daemon.drops("load-refused")
        liar.say(theirs)
        liar.say(("10.1.0.50", 8080, 1, 1), number=liar.said)
        liar.say(("10.1.0.50", 8080, 1, 1), number=liar.said - 1000)
        return liar.daemon.drops("load-refused") >= before + 2

    wait.until(replayed, "what was said before is refused")
    for wrong in ({"count": 0}, {"count": 2}, {"count": 255}, {"family": 0}, {"family": 6}, {"several": 2}, {"several": 255}):
        liar.is_refused(theirs, **wrong)
    for data in (b"", b"\0L", packet(1)[:8].replace(b"L", b"M"), packet(1).replace(b"L", b"M")):
        before = liar.daemon.drops("malformed")
        liar.sock.sendto(data, (liar.host.switch, 4789))
        wait.until(lambda: liar.daemon.drops("malformed") > before, f"{data} is malformed")


def test_a_flood_of_news_is_cut_and_hurts_nobody(liar, stack):
    theirs = ("10.1.0.50", 8080, 7, 100)
    say_until(liar, theirs, told=7)
    sent = int(os.environ.get("SLUICE_NEWS", 30000))
    with Worker(liar.own):
        before = liar.daemon.drops("load-refused") + liar.daemon.drops("rx-overrun")
        for _ in range(sent):
            liar.say(theirs)
        liar.daemon.rpc("backend.set", service="api", address="10.1.0.50", port=8080, weight=0)
        assert ask(liar.client, "10.1.0.100").recv(64).decode().strip() == liar.own.name
    assert liar.daemon.drops("load-refused") + liar.daemon.drops("rx-overrun") > before
