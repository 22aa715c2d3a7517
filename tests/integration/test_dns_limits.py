"""DNS: clients that send nonsense, ask for too much, or hold what others need."""

import os
import random
import re
import signal
import socket
import struct

import pytest

from rig import wait
from rig.dns import Upstream, World, dig

pytestmark = pytest.mark.control


@pytest.fixture(autouse=True)
def tools(requires):
    requires("dig", "kdig")


def test_hostile_messages_leave_it_serving(start_sluiced):
    world = World(start_sluiced)
    world.many("web", 2)
    rng = random.Random(2605)
    good = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03web\x07service\x06consul\0\0\x01\0\x01\0\0\x29\x10\0\0\0\0\0\0\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", world.port))
        sock.settimeout(0)
        for _ in range(3000):
            data = bytearray(good)
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            sock.send(bytes(data[:rng.randint(0, len(data))]) if rng.random() < 0.3 else bytes(data))
            try:
                assert len(sock.recv(65536)) <= 4096
            except BlockingIOError:
                pass
        sock.send(bytes([0x12, 0x34, 0x80]) + good[3:])  # an answer is not answered
    for data in (b"\0", b"\0\x05hello", b"\xff\xff" + bytes(100), b"\0\x20" + bytes(10)):
        with socket.create_connection(("127.0.0.1", world.port)) as conn:
            conn.sendall(data)
    with socket.create_connection(("127.0.0.1", world.port)) as conn:  # several at once, then no more
        query = good[:11] + b"\0" + good[12:-11]
        conn.sendall(3 * (struct.pack("!H", len(query)) + query))
        conn.shutdown(socket.SHUT_WR)
        conn.settimeout(wait.PATIENCE_S)
        replies = b"".join(iter(lambda: conn.recv(65536), b""))
        assert replies.count(query[12:]) == 3
    assert len(world.dig("web.service.consul").data("A")) == 2


@pytest.fixture
def shared(start_sluiced, stack, container):
    """Two networks whose containers ask one daemon with one recursor: (world, two of shop's, one of other's)."""
    upstream = stack.enter_context(Upstream())
    world = World(start_sluiced, dns_recursors=[f"127.0.0.1:{upstream.port}"], dns_recursor_timeout_ms=20000)
    for network in ("shop", "other"):
        world.daemon.rpc("network.add", name=network, mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return world, [container(world.daemon, network, name, ip) for network, name, ip in
                   (("shop", "c1", "10.1.0.11"), ("shop", "c2", "10.1.0.12"), ("other", "o1", "10.1.0.13"))]


def everybody_else_is_served(world, others):
    for transport in ("+notcp", "+tcp"):
        for who in others:
            message = dig(53, "www.example.org", "A", transport, netns=who, server="10.1.0.1")
            assert message.data("A") == ["198.51.100.1"], message.text
        assert world.dig("www.example.org", "A", transport).data("A") == ["198.51.100.1"]


def test_a_container_that_asks_ten_thousand_names_leaves_the_others_served(shared):
    world, (c1, *others) = shared
    flood = c1.socket(kind=socket.SOCK_DGRAM)
    flood.connect(("10.1.0.1", 53))
    tail = b"\x07example\x03org\0\0\x01\0\x01"
    for i in range(10000):
        name = b"slow%d" % i
        try:
            flood.send(struct.pack("!6H", i, 0x0100, 1, 0, 0, 0) + b"\x04slow" + bytes([len(name)]) + name + tail)
        except OSError:  # what the queues don't hold is lost on the way
            pass
        if i % 500 == 499:
            everybody_else_is_served(world, others[:1] if i < 9000 else others)
    assert 0 < world.metric("sluice_dns_forwards", network="shop") <= 64
    assert world.metric("sluice_dns_refused_forwards_total", network="shop") > 1000
    assert world.metric("sluice_dns_refused_forwards_total", network="other") == 0
    everybody_else_is_served(world, others)
    flood.close()


def test_a_container_that_connects_ten_thousand_times_leaves_the_others_served(shared):
    world, (c1, *others) = shared

    def connect_many():
        taken = []
        for i in range(10000):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("10.1.0.1", 53))
            taken.append(sock)
            if len(taken) > 500:
                taken.pop(17 * (i % 2)).close()
        return taken

    held = c1.do(connect_many)
    everybody_else_is_served(world, others)
    assert world.metric("sluice_dns_connections", network="shop") <= 17
    assert world.metric("sluice_dns_closed_connections_total", network="shop") > 100
    assert world.metric("sluice_dns_closed_connections_total", network="other") == 0
    for sock in held:
        sock.close()
    wait.until(lambda: world.metric("sluice_dns_connections", network="shop") == 0, "they are gone")
    assert dig(53, "www.example.org", "A", "+tcp", netns=c1, server="10.1.0.1").data("A") == ["198.51.100.1"]


def test_connections_at_a_gateway_are_bounded(start_sluiced, container):
    """At the limit further ones wait, and are served when others end; other networks have theirs."""
    world = World(start_sluiced, dns_network_connections=3)
    for network in ("shop", "other"):
        world.daemon.rpc("network.add", name=network, mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    c1, o1 = container(world.daemon, "shop", "c1", "10.1.0.11"), container(world.daemon, "other", "o1", "10.1.0.13")
    question = struct.pack("!7H", 24, 7, 0x0100, 1, 0, 0, 0) + b"\x06consul\0\0\x06\0\x01"

    def connect(who):
        sock = who.socket()
        sock.settimeout(wait.PATIENCE_S)
        sock.connect(("10.1.0.1", 53))
        sock.sendall(question)
        return sock

    held = [connect(c1) for _ in range(3)]
    assert all(sock.recv(1000) for sock in held)
    late, elsewhere = connect(c1), connect(o1)
    assert elsewhere.recv(1000)
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.recv(1000)
    held.pop().close()
    late.settimeout(wait.PATIENCE_S)
    assert late.recv(1000)
    assert world.metric("sluice_dns_full_total", network="shop") >= 1
    for sock in (*held, late, elsewhere):
        sock.close()


def question(name, kind=1, number=0, edns=None, flags=0x0100):
    """A query's bytes; `edns`: (size, flags)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    data = struct.pack("!6H", number, flags, 1, 0, 0, edns is not None) + labels + b"\0" + struct.pack("!2H", kind, 1)
    return data if edns is None else data + struct.pack("!BHHIH", 0, 41, edns[0], edns[1], 0)


def ask_all(sock, questions):
    """All questions, then all answers, by their number."""
    for data in questions:
        sock.send(data)
    answers = [sock.recv(65536) for _ in questions]
    return {struct.unpack("!H", data[:2])[0]: data for data in answers}


def udp(port, server="127.0.0.1", who=None):
    sock = who.socket(kind=socket.SOCK_DGRAM) if who else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(wait.PATIENCE_S)
    sock.connect((server, port))
    return sock


RCVBUFFORCE = 33  # SO_RCVBUFFORCE, which Python does not name
FLOOD = ["nobody%d.service.consul", "node%d.node.consul", "tag%d.web1.service.consul", "%d.example.org",
         "_web2._tag%d.service.consul", "web%d.virtual.consul", "%d.0.0.10.in-addr.arpa"]


def test_a_hundred_thousand_names_neither_grow_it_nor_push_out_what_is_asked_for(start_sluiced):
    world = World(start_sluiced)
    for i in range(40):
        world.many(f"web{i}", 20 if i == 1 else 3)
    hot = [question(f"web{i}.service.consul", number=i) for i in range(40)]
    with udp(world.port) as sock:
        ask_all(sock, hot)
        ask_all(sock, hot)
        before = rss_kb(world.daemon.process.pid)
        for first in range(0, 100000, 100):
            flood = [question(FLOOD[i % len(FLOOD)] % i, number=i % 65536) for i in range(first, first + 100)]
            flood[0] = question(f"{first:08x}.addr.consul", number=first % 65536)
            assert len(ask_all(sock, flood)) == 100
        cached = world.metric("sluice_dns_cached_answers_total")
        answers = ask_all(sock, hot)
    assert world.metric("sluice_dns_cached_answers_total") == cached + 40
    assert [struct.unpack("!H", answers[i][6:8])[0] for i in range(40)] == [3, 20, *38 * [3]]
    assert 40 <= world.metric("sluice_dns_kept_answers") <= 16384
    assert world.metric("sluice_dns_kept_bytes") < 32 << 20
    assert rss_kb(world.daemon.process.pid) - before < 16 << 10


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def many_at_once(sock):
    """Names of every length and both families, so that lengths of answers differ."""
    names = [f"{'x' * (i % 40)}web{i % 3}.service.consul" for i in range(120)]
    asked = [question(name, (1, 28, 33)[i % 3], i, (1232, 0) if i % 2 else None) for i, name in enumerate(names)]
    answers = ask_all(sock, asked)
    for i, data in enumerate(asked):
        end = data.index(b"\0", 12) + 5
        assert answers[i][12:end] == data[12:end]
    return answers


def test_many_questions_of_one_socket_are_each_answered(start_sluiced, container):
    world = World(start_sluiced)
    for i in range(3):
        world.many(f"web{i}", 3)
    world.daemon.rpc("network.add", name="shop", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    c1 = container(world.daemon, "shop", "c1", "10.1.0.11")
    with udp(world.port) as sock:
        outside = many_at_once(sock)
    with udp(53, "10.1.0.1", c1) as sock:
        ask_all(sock, [question("consul")])  # then the gateway knows the container's MAC, and holds nothing back
        inside = many_at_once(sock)
    assert [data[3:12] for data in outside.values()] == [inside[i][3:12] for i in outside]  # code and counts
    assert outside[0][6:8] == b"\0\3"


def test_questions_that_come_too_fast_are_counted(start_sluiced):
    world = World(start_sluiced)
    sent = 40000
    with udp(world.port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 64 << 20)
        os.kill(world.daemon.process.pid, signal.SIGSTOP)
        try:
            for i in range(sent):
                sock.send(question("nobody.service.consul", number=i % 65536))
        finally:
            os.kill(world.daemon.process.pid, signal.SIGCONT)
        wait.until(lambda: world.metric("sluice_dns_answers_total", transport="udp", code="nxdomain") +
                   world.metric("sluice_dns_dropped_queries_total", network="") == sent, "all are accounted for")
        dropped = world.metric("sluice_dns_dropped_queries_total", network="")
        assert 0 < dropped < sent - 4000
        for got in range(sent - dropped):
            assert struct.unpack("!H", sock.recv(512)[:2])[0] == got % 65536  # the first that came, in their order
    assert world.dig("consul", "SOA").data("SOA")


def test_questions_piled_up_on_many_connections_are_all_answered(start_sluiced):
    world = World(start_sluiced)
    world.many("big", 400)
    query = question("big.service.consul", 33)
    piled = 60 * (struct.pack("!H", len(query)) + query)
    conns = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(40)]
    for conn in conns:
        conn.settimeout(wait.PATIENCE_S)
        conn.sendall(piled)
        conn.shutdown(socket.SHUT_WR)
    for conn in conns:
        with conn:
            data = b"".join(iter(lambda: conn.recv(1 << 20), b""))  # pylint: disable=cell-var-from-loop
        assert data.count(query[12:]) == 60
