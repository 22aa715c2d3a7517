"""TCP checks of targets inside a network: half a handshake, answered by kernels and by who would deceive them."""

import re

import pytest

from rig import traffic, wait
from rig.half_stack import ACK, RST, SYN, HalfStack

PORT, NOBODY = 8080, "10.1.0.77"
OFTEN = {"type": "tcp", "interval_ms": 40, "timeout_ms": 5000, "fall": 1}
OPEN = lambda syn: [syn.answer(SYN | ACK)]


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web" and a container in it."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return sluiced, container(sluiced, "web", "s1", "10.1.0.11")


@pytest.fixture
def faked(web, stack):
    """The same with a backend whose address somebody in the container answers for by hand."""
    sluiced, server = web
    sluiced.rpc("port.set", name="s1", security="off")  # the address is not the port's own
    fake = stack.enter_context(HalfStack(server, NOBODY))
    fake.reply = OPEN
    checked(sluiced, NOBODY)
    return sluiced, fake


def checked(sluiced, address, **check):
    sluiced.rpc("service.add", name="api", network="web", check={**OFTEN, **check})
    sluiced.rpc("backend.add", service="api", address=address, port=PORT)


def backend(sluiced):
    return sluiced.rpc("backend.list")[0]


def wait_output(sluiced, health, output):
    def there():
        row = backend(sluiced)
        return row["health"] == health and output in row["output"]

    wait.until(there, f"{health}: {output}")


def wait_more(fake, syns=3):
    """Until so many more SYNs have come and were answered."""
    enough = fake.syns + syns
    wait.until(lambda: fake.syns >= enough, f"{syns} more probes")


def test_a_backend_that_comes_and_goes(web):
    sluiced, server = web
    checked(sluiced, server.ip)
    for _ in range(2):
        wait_output(sluiced, "critical", "Connection refused")
        with traffic.tcp_server(server, PORT):
            wait_output(sluiced, "passing", "the port is open")
    assert server.run("ss", "-Htan", "state", "syn-recv").stdout == ""


def test_nobody_answers(web):
    sluiced, _ = web
    checked(sluiced, NOBODY, timeout_ms=200)
    wait_output(sluiced, "critical", "timed out after 200 ms")
    sluiced.rpc("service.set", name="api", check={**OFTEN, "timeout_ms": 60000})
    wait_output(sluiced, "critical", "No route to host")  # the gateway's kernel has given up asking for it


def test_the_connection_is_reset(faked):
    sluiced, fake = faked
    asked = []
    fake.reply = lambda syn: asked.append(syn.number) or OPEN(syn)
    wait_output(sluiced, "passing", "the port is open")
    # RFC 9293, 3.10.7.1: a reset fits that has the number which was acknowledged
    wait.until(lambda: any((number + 1) & 0xFFFFFFFF in fake.resets for number in asked), "a reset that fits")


def test_false_answers_do_not_pass(faked):
    sluiced, fake = faked
    false = {
        "acknowledges nothing": lambda syn: syn.answer(SYN | ACK, ack=0),
        "acknowledges too much": lambda syn: syn.answer(SYN | ACK, ack=2),
        "another address": lambda syn: syn.answer(SYN | ACK, src="10.1.0.78"),
        "another port": lambda syn: syn.answer(SYN | ACK, port=PORT + 1),
        "no SYN": lambda syn: syn.answer(ACK),
        "no ACK": lambda syn: syn.answer(SYN),
        "RST too": lambda syn: syn.answer(SYN | ACK | RST),
        "cut": lambda syn: syn.answer(SYN | ACK, length=16),
    }
    sluiced.rpc("service.set", name="api", check={**OFTEN, "timeout_ms": 80})
    fake.reply = lambda syn: []
    wait_output(sluiced, "critical", "timed out")
    generation = sluiced.rpc("status")["generation"]
    for text, answer in false.items():
        fake.reply = lambda syn, answer=answer: [answer(syn)]
        wait_more(fake)
        assert sluiced.rpc("status")["generation"] == generation, text  # it stayed critical throughout
    fake.reply = OPEN
    wait_output(sluiced, "passing", "the port is open")


def test_false_refusals_do_not_fail(faked):
    sluiced, fake = faked
    wait_output(sluiced, "passing", "the port is open")
    false = (lambda syn: syn.answer(RST | ACK, ack=2), lambda syn: syn.answer(RST), lambda syn: syn.unreachable(syn.number + 1),
             lambda syn: syn.answer(RST | ACK, src="10.1.0.78"))
    generation = sluiced.rpc("status")["generation"]
    for refusal in false:
        fake.reply = lambda syn, refusal=refusal: [refusal(syn), syn.answer(SYN | ACK)]
        wait_more(fake)
    assert backend(sluiced)["health"] == "passing"
    assert sluiced.rpc("status")["generation"] == generation  # nor was it anything else between
    fake.reply = lambda syn: [syn.answer(RST | ACK)]
    wait_output(sluiced, "critical", "Connection refused")
    fake.reply = OPEN
    wait_output(sluiced, "passing", "the port is open")
    fake.reply = lambda syn: [syn.unreachable()]
    wait_output(sluiced, "critical", "No route to host")


def test_a_lost_frame_is_no_failure(faked):
    sluiced, fake = faked
    wait_output(sluiced, "passing", "the port is open")
    seen = set()

    def second_time(syn):
        if syn.number in seen:
            return OPEN(syn)
        seen.add(syn.number)
        return []

    sluiced.rpc("service.set", name="api", check={**OFTEN, "timeout_ms": 4000})
    generation = sluiced.rpc("status")["generation"]
    fake.reply = second_time
    wait_more(fake, 4)
    assert len(seen) >= 2 and sluiced.rpc("status")["generation"] == generation
    assert backend(sluiced)["health"] == "passing"


def test_through_a_firewall_that_tracks_connections(web, requires):
    """Probes have the same two ends each time; a tracker must take each for a new connection."""
    requires("nft")
    sluiced, server = web
    tracked = server.run("nft", "add table ip f; add chain ip f in { type filter hook input priority 0; policy drop; }; "
                         f"add rule ip f in ct state new tcp dport {PORT} counter accept; add rule ip f in ct state established accept; "
                         "add rule ip f in icmp type echo-request accept", check=False)
    if tracked.returncode != 0:
        pytest.skip(f"the kernel does not track connections: {tracked.stderr.strip()}")
    checked(sluiced, server.ip, timeout_ms=300)
    with traffic.tcp_server(server, PORT):
        wait_output(sluiced, "passing", "the port is open")
        generation = sluiced.rpc("status")["generation"]
        counted = re.compile(r"counter packets (\d+)")
        wait.until(lambda: int(counted.search(server.run("nft", "list", "ruleset").stdout)[1]) >= 20, "twenty new connections")
        assert sluiced.rpc("status")["generation"] == generation  # of which each passed
        server.run("nft", f"insert rule ip f in tcp dport {PORT} drop")
        wait_output(sluiced, "critical", "timed out after 300 ms")
        server.run("nft", "flush chain ip f in; add rule ip f in accept")
        wait_output(sluiced, "passing", "the port is open")


def test_who_is_gone_holds_up_nobody(faked):
    """What waits for neighbours that never answer leaves room for the SYNs to others."""
    sluiced, fake = faked
    sluiced.rpc("service.add", name="gone", network="web", check={**OFTEN, "timeout_ms": 200})
    for address in range(100, 110):
        for port in range(1, 21):
            sluiced.rpc("backend.add", service="gone", address=f"10.1.0.{address}", port=port)

    def outputs(service):
        return {row["output"] for row in sluiced.rpc("service.show", name=service)["backends"]}

    wait.until(lambda: outputs("gone") == {"timed out after 200 ms"}, "all of them are given up")
    wait_more(fake, 40)
    assert outputs("gone") == {"timed out after 200 ms"} and outputs("api") == {"the port is open"}


def test_a_flood_of_answers_ends_half_handshakes(faked):
    """Nobody's answers drown those of others: whole handshakes take over, with a socket each."""
    sluiced, fake = faked
    server = fake.container
    with traffic.tcp_server(server, PORT):
        sluiced.rpc("backend.del", service="api", address=NOBODY, port=PORT)
        sluiced.rpc("backend.add", service="api", address=server.ip, port=PORT)
        wait_output(sluiced, "passing", "the port is open")
        checked_fake = {"service": "fake", "address": NOBODY, "port": PORT}
        sluiced.rpc("service.add", name="fake", network="web", check={**OFTEN, "timeout_ms": 60000})
        fake.reply = lambda syn: [syn.answer(SYN | ACK, ack=3)] * 2000
        for _ in range(60):  # retransmissions alone would take long
            sluiced.rpc("backend.add", **checked_fake)
            wait_more(fake, 1)
            sluiced.rpc("backend.del", service="fake", address=NOBODY, port=PORT)
            if sluiced.rpc("service.show", name="api")["backends"][0]["output"] == "connected":
                break
        shown = sluiced.rpc("service.show", name="api")["backends"][0]
        assert (shown["health"], shown["output"]) == ("passing", "connected")
    assert "network web: somebody sends false answers" in sluiced.log()


class WithoutRawSockets:
    """Where the daemon may run that has lost CAP_NET_RAW."""

    @staticmethod
    def argv(*command):
        return ["setpriv", "--bounding-set=-net_raw", "--", *command]


def test_without_raw_sockets_handshakes_are_whole(start_sluiced, container, requires):
    requires("setpriv")
    sluiced = start_sluiced(ns=WithoutRawSockets)
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    server = container(sluiced, "web", "s1", "10.1.0.11")
    checked(sluiced, server.ip)
    wait_output(sluiced, "critical", "Connection refused")
    with traffic.tcp_server(server, PORT):
        wait_output(sluiced, "passing", "connected")
