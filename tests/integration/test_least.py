"""The policy `least`: a backend that does not get on with its requests is given few, and what is measured of it is shown."""

import select

import pytest

from rig import wait
from rig.consul import Consul
from rig.dns import dig
from rig.objects import INVALID, refused
from rig.ports import free_port
from rig.services import add_service, backend, both_families, family_wanted, web_of
from rig.workers import Worker
from rig.workers import ask as ask_vip

HELD, FRESH = 6, 60


@pytest.fixture
def web(request, sluiced, container):
    return web_of(sluiced, container, version=family_wanted(request))


def ask(client):
    return ask_vip(client, client.vip)


def whole(client):
    with ask(client) as sock:
        return sock.recv(64)


def in_flight(sluiced, servers):
    return [backend(sluiced, server)["in_flight"] for server in servers]


def waits(sock):
    return not select.select([sock], [], [], 0)[0]


@both_families
def test_who_does_not_get_on_is_given_few(web, stack):
    sluiced, client, servers = web
    stuck, *_ = [stack.enter_context(Worker(server)) for server in servers]
    add_service(sluiced, servers[:1])
    assert in_flight(sluiced, servers[:1]) == [None]
    sluiced.ctl("service", "set", "api", "--policy", "least")
    assert sluiced.rpc("service.show", name="api")["policy"] == "least"
    stuck.free.clear()
    held = [stack.enter_context(ask(client)) for _ in range(HELD)]
    for server in servers[1:]:
        sluiced.ctl("backend", "add", "api", server.at(8080))
    assert in_flight(sluiced, servers) == [HELD, 0, 0]

    for _ in range(FRESH):  # one after the other, so that the two others are idle each time
        sock = stack.enter_context(ask(client))
        wait.until(lambda: not waits(sock) or in_flight(sluiced, servers)[0] > len(held), "it is answered, or stuck")
        if waits(sock):
            held.append(sock)
        else:
            assert sock.recv(64).decode().strip() in (servers[1].name, servers[2].name)
            sock.close()
    assert len(held) - HELD <= FRESH / 4  # a third by the hash alone
    wait.until(lambda: in_flight(sluiced, servers) == [len(held), 0, 0], "the two others are idle")
    rows = [backend(sluiced, server) for server in servers]
    assert rows[0]["latency_us"] is None and all(row["latency_us"] > 0 for row in rows[1:]), rows

    stuck.free.set()
    assert {sock.recv(64).decode().strip() for sock in held} == {servers[0].name}
    wait.until(lambda: in_flight(sluiced, servers) == [0, 0, 0], "nobody waits")
    assert backend(sluiced, servers[0])["latency_us"] > 0


def test_a_connection_asks_again_and_again(web, stack):
    sluiced, client, servers = web
    workers = [stack.enter_context(Worker(server)) for server in servers]
    add_service(sluiced, servers, policy="least")
    with ask(client) as sock:
        for _ in range(20):
            name = sock.recv(64)
            wait.until(lambda: sum(in_flight(sluiced, servers)) == 0, "it is answered")
            for worker in workers:
                worker.free.clear()
            sock.sendall(b"again\n")
            wait.until(lambda: sum(in_flight(sluiced, servers)) == 1, "it has asked")
            for worker in workers:
                worker.free.set()
        assert sock.recv(64) == name
        sock.sendall(b"and is gone\n")
    wait.until(lambda: sum(in_flight(sluiced, servers)) == 0, "nobody waits")
    assert sum(backend(sluiced, server)["opened"] for server in servers) == 1


def test_all_are_used_when_all_get_on(web, stack):
    sluiced, client, servers = web
    for server in servers:
        stack.enter_context(Worker(server))
    add_service(sluiced, servers, policy="least")
    reached = set()

    def one_more():
        reached.add(whole(client).decode().strip())
        return len(reached) == len(servers)

    wait.until(one_more, "each was reached")


def test_who_is_much_slower_than_the_others_warns(web, stack):
    sluiced, client, servers = web
    slow, *_ = [stack.enter_context(Worker(server)) for server in servers]
    slow.takes_s = 2
    add_service(sluiced, servers, policy="least", check={"type": "passive", "interval_ms": 20, "fall": 3})

    def seen(health, output):
        whole(client)
        row = backend(sluiced, servers[0])
        return row["health"] == health and output in row["output"]

    wait.until(lambda: seen("warning", "ms are usual"), "it is told")  # each is tried once, before it is known
    slow.takes_s = 0
    for server in servers[1:]:  # of all that come it gets one now and then: it shall have them all
        sluiced.ctl("backend", "set", "api", server.at(8080), "--weight", "0")
    wait.until(lambda: seen("passing", "connections are answered"), "it is as quick as it was")


def test_weights_are_told_by_how_soon_each_answers(start_sluiced, container, stack, requires):
    """By DNS and Consul's API; the slow one is told of as a quarter at the least."""
    requires("dig")
    http, dns = free_port(), free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{http}", "dns": f"127.0.0.1:{dns}"}})
    sluiced, client, servers = web_of(sluiced, container)
    slow, *_ = [stack.enter_context(Worker(server)) for server in servers]
    slow.takes_s = 0.5
    add_service(sluiced, servers, policy="least")

    def told():
        shown = {row["address"]: row["told_weight"] for row in sluiced.rpc("service.show", name="api")["backends"]}
        return [shown[server.ip] for server in servers]

    assert told() == [1, 1, 1]
    sluiced.ctl("service", "set", "api", "--weights", "measured")

    def weights():
        entries = Consul(http).get("health/service/api").json
        return {entry["Service"]["Address"]: entry["Service"]["Weights"]["Passing"] for entry in entries}

    assert set(weights().values()) == {100}  # nothing is known yet: this answer is not to be kept
    wait.until(lambda: whole(client) and told()[0] == 25, "each was tried, and the first is slow")
    wait.until(lambda: weights()[servers[0].ip] == 25, "Consul's API says so")
    assert all(25 < weights()[server.ip] <= 400 for server in servers[1:]), weights()
    assert min(int(record.split()[1]) for record in dig(dns, "api.service.consul", "SRV").data("SRV")) == 25
    sluiced.ctl("service", "set", "api", "--weights", "set")
    assert told() == [1, 1, 1]


@pytest.mark.parametrize("policy", ["most", "", 1])
def test_what_is_no_policy_is_refused(web, policy):
    sluiced, _, servers = web
    add_service(sluiced, servers)
    refused(sluiced, "service.set", INVALID, "policy: ", name="api", policy=policy)
    assert sluiced.rpc("service.show", name="api")["policy"] == "maglev"
