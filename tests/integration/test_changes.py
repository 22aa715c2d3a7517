"""Changes of a service at random, under load: no connection of a backend that lives is broken. SLUICE_CHANGES: how many; SLUICE_SEED: which."""

import os
import random
import threading

import pytest

from rig.hosts import Hosts
from rig.services import add_service, web_of
from rig.workers import Worker, ask

CHANGES = int(os.environ.get("SLUICE_CHANGES", 100))
STREAMS = 24
OTHERS = [f"10.1.0.{i}" for i in range(200, 230)]  # nobody is there: each comes without a share, and may go at any time


class Load(threading.Thread):
    """Streams that ask again and again, each of whom its server is to answer as before."""

    def __init__(self, client, vip, stack):
        super().__init__(daemon=True)
        self.streams, self.rounds, self.broken, self.over = {}, 0, [], threading.Event()
        for _ in range(STREAMS):
            sock = stack.enter_context(ask(client, vip))
            self.streams[sock] = sock.recv(64)

    def run(self):
        while not self.over.is_set() and not self.broken:
            for sock in self.streams:
                self._try(sock.sendall, b"again\n", None, sock)
            for sock, name in self.streams.items():
                self._try(sock.recv, 64, name, sock)
                if self.broken:  # each more would wait for its time to be over
                    return
            self.rounds += 1

    def _try(self, call, argument, expected, sock):
        try:
            answer = call(argument)
        except OSError as error:
            answer = error
        if answer != expected:
            self.broken.append((sock.getsockname(), self.streams[sock], answer))

    def finish(self):
        rounds = self.rounds
        while self.is_alive() and self.rounds < rounds + 2 and not self.broken:
            self.over.wait(0.05)
        self.over.set()
        self.join()


def change(dice, daemon, servers, others):
    """One change, of any kind."""
    kind = dice.randrange(6)
    if kind == 0:
        server = dice.choice(servers)
        daemon.rpc("backend.set", service="api", address=server.ip, port=8080, weight=dice.choice((0, 1, 1, 3, 100)))
    elif kind == 1:
        daemon.rpc("service.set", name="api", policy=dice.choice(("maglev", "least")))
    elif kind == 2:
        daemon.rpc("service.set", name="api", affinity_s=dice.choice((0, 10)), slow_start_ms=dice.choice((0, 1000)))
    elif kind == 3:
        server = dice.choice(servers)
        daemon.rpc(dice.choice(("backend.drain", "backend.undrain")), service="api", address=server.ip, port=8080)
    elif others and dice.randrange(2):
        daemon.rpc("backend.del", service="api", address=others.pop(dice.randrange(len(others))), port=8080)
    elif free := [address for address in OTHERS if address not in others]:
        others.append(dice.choice(free))
        daemon.rpc("backend.add", service="api", address=others[-1], port=8080, weight=dice.choice((0, 1, 2)))


@pytest.mark.parametrize("policy", ["maglev", "least"])
def test_changes_break_no_connection(sluiced, container, stack, policy):
    sluiced, client, servers = web_of(sluiced, container, 4)
    for server in servers:
        stack.enter_context(Worker(server))
    add_service(sluiced, servers, policy=policy)
    load = Load(client, client.vip, stack)
    assert len(set(load.streams.values())) > 1
    dice, others = random.Random(int(os.environ.get("SLUICE_SEED", 7))), []
    load.start()
    for _ in range(CHANGES):
        change(dice, sluiced, servers, others)
    load.finish()
    assert not load.broken, load.broken
    assert load.rounds > 2


def test_changes_and_a_crash_on_several_hosts(start_sluiced, stack):
    """Servers on three hosts; the client's host changes at random, and loses its connections in the middle of it."""
    hosts = Hosts(start_sluiced, stack, 3)
    near = hosts.daemons[0]
    client = hosts.container(0, "client", ["10.1.0.11"])
    servers = [hosts.container(i, f"s{n}", [f"10.1.0.{21 + n}"]) for n, i in enumerate((0, 1, 2, 2))]
    for server in servers:
        stack.enter_context(Worker(server))
        server.vip = client.vip = "10.1.0.100"
    add_service(near, servers)
    load = Load(client, client.vip, stack)
    assert len(set(load.streams.values())) > 1
    seed = int(os.environ.get("SLUICE_SEED", 0)) or random.randrange(1, 1 << 32)
    print(f"SLUICE_SEED={seed}")
    dice, others = random.Random(seed), []
    load.start()
    for turn in range(2):
        for _ in range(CHANGES // 2):
            change(dice, near, servers, others)
        if turn == 0:
            near.wait_all_kept()
            near.kill()
            near.start()
            for port in ("up0", "client", "s0"):
                near.wait_port(port)
    load.finish()
    assert not load.broken, (seed, load.broken)
    assert load.rounds > 2
