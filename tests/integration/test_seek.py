"""Connections live through the loss of what their client's host knows of them, though the backends have changed meanwhile."""

import fcntl
import struct
import termios

import pytest

from rig import frames, half_stack, wait
from rig.hosts import Hosts
from rig.services import VIP, add_service, web_of
from rig.workers import Worker, ask

STREAMS = 12
ROUTER_MAC = "02:53:4c:00:00:01"
NOBODY = [f"10.1.0.{i}" for i in range(200, 210)]  # no address of a server


class World:
    """A client on host 1 and four servers on hosts 1 to 3; three of them are the service's at first."""

    def __init__(self, start_sluiced, stack, six):
        self.hosts = Hosts(start_sluiced, stack, 3, six=six)
        at = "fd00:1::{}" if six else "10.1.0.{}"
        self.stack, self.vip = stack, at.format(100)
        self.client = self.hosts.container(0, "client", [at.format(11)])
        self.servers = [self.hosts.container(i, f"s{n}", [at.format(21 + n)]) for n, i in enumerate((0, 1, 2, 2))]
        self.workers = [stack.enter_context(Worker(server)) for server in self.servers]
        self.near = self.hosts.daemons[0]

    def serve(self, policy):
        self.near.rpc("service.add", name="api", network="web", vip=self.vip, port=80, protocol="tcp", policy=policy)
        for server in self.servers[:3]:
            self.near.rpc("backend.add", service="api", address=server.ip, port=8080)

    def set(self, server, **fields):
        self.near.rpc("backend.set", service="api", address=server.ip, port=8080, **fields)

    def streams(self):
        """{socket: the server that it talks to}."""
        streams = {}
        for _ in range(STREAMS):
            sock = self.stack.enter_context(ask(self.client, self.vip))
            streams[sock] = sock.recv(64)
        return streams

    def lose(self, meanwhile=None):
        """The daemon of the client's host crashes and comes back without its connections."""
        self.near.wait_all_kept()
        self.near.kill()
        if meanwhile:
            meanwhile()
        self.near.start()
        for port in ("up0", "client", "s0"):
            self.near.wait_port(port)
        assert meanwhile or self.near.rpc("conn.count")["count"] == 0


@pytest.mark.parametrize("six, policy", [(False, "maglev"), (False, "least"), (True, "maglev")], ids=["maglev", "least", "over6"])
def test_streams_live_through_a_crash_and_other_backends(start_sluiced, stack, six, policy):
    world = World(start_sluiced, stack, six)
    world.serve(policy)
    streams = world.streams()
    assert len(set(streams.values())) > 1
    world.lose()
    world.near.rpc("backend.add", service="api", address=world.servers[3].ip, port=8080)
    world.set(world.servers[0], weight=0)  # what it has goes on
    world.set(world.servers[1], weight=5)
    for sock in streams:
        sock.sendall(b"again\n")
    assert {sock: sock.recv(64) for sock in streams} == streams
    for sock in streams:  # and nobody looks any more
        sock.sendall(b"and again\n")
    assert {sock: sock.recv(64) for sock in streams} == streams
    if policy == "maglev":
        assert world.near.drops("seeks") > 0


def is_acknowledged(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] == 0


@pytest.mark.parametrize("six", [False, True], ids=["over4", "over6"])
def test_answers_that_come_first_find_their_clients(start_sluiced, stack, six):
    """Clients that wait for an answer and have nothing to send again: what the server sends finds the way by itself."""
    world = World(start_sluiced, stack, six)
    world.serve("maglev")
    streams = world.streams()
    for worker in world.workers:
        worker.free.clear()
    for sock in streams:
        sock.sendall(b"again\n")
    wait.until(lambda: all(is_acknowledged(sock) for sock in streams), "the servers have all that was asked")

    def answer():
        for worker in world.workers:
            worker.free.set()

    world.lose(answer)
    assert {sock: sock.recv(64) for sock in streams} == streams
    for sock in streams:
        sock.sendall(b"and again\n")
    assert {sock: sock.recv(64) for sock in streams} == streams


def test_who_has_lost_its_backend_is_reset(start_sluiced, stack):
    """Nobody has the connection any more, and most of the backends are at addresses of nobody: its client is told, if not at once."""
    world = World(start_sluiced, stack, False)
    world.serve("maglev")
    sock, name = next(iter(world.streams().items()))
    server = next(server for server in world.servers if server.name.encode() == name.strip())
    world.lose()
    for address in NOBODY:
        world.near.rpc("backend.add", service="api", address=address, port=8080, weight=100)
    world.near.rpc("backend.del", service="api", address=server.ip, port=8080)
    sock.sendall(b"again\n")
    with pytest.raises(ConnectionResetError):
        sock.recv(64)
    wait.until(lambda: world.near.rpc("conn.count")["count"] <= 1, "nothing is left of it")


def test_segments_out_of_the_air_hurt_nobody(sluiced, container, stack):
    """A guest speaks as if it had connections with the vip: backends are asked for few of them, and others are served."""
    sluiced, client, servers = web_of(sluiced, container, 3)
    for server in servers:
        stack.enter_context(Worker(server))
    add_service(sluiced, servers)
    stream = stack.enter_context(ask(client, VIP))
    name = stream.recv(64)
    with frames.Wire(client) as wire:
        for _ in range(3):
            for port in range(1024, 4024):
                packet = half_stack.segment(client.ip, VIP, port, 80, port, 1, half_stack.ACK)
                wire.send(frames.ethernet(ROUTER_MAC, client.eth0, packet, 0x0800))
            assert ask(client, VIP).recv(64)
    wait.until(lambda: sluiced.drops("seeks") > 0, "they are sought")
    stream.sendall(b"again\n")
    assert stream.recv(64) == name
