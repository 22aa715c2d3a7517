"""DNS: Consul's names by dig and kdig, and the names of a network at its gateway."""

import os
import random
import re
import socket
import struct
import threading

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.dns import dig
from rig.ports import free_port
from rig.process import run

VIP = "10.1.0.100"


@pytest.fixture(autouse=True)
def tools(requires):
    requires("dig", "kdig")


class World:
    """A daemon with HTTP API and DNS on free ports."""

    def __init__(self, start_sluiced, **control):
        http, self.port = free_port(), free_port()
        self.daemon = start_sluiced({"control": {
            "http": f"127.0.0.1:{http}", "dns": f"127.0.0.1:{self.port}", "node": "edge1",
            "node_address": "192.0.2.9", **control}})
        self.consul = Consul(http)

    def dig(self, name, kind="A", *options, **more):
        return dig(self.port, name, kind, *options, **more)

    def many(self, name, count):
        for i in range(count):
            self.consul.register(name, ID=f"{name}{i}", Address=f"10.9.{i // 250}.{i % 250 + 1}", Port=1000 + i)


@pytest.fixture
def world(start_sluiced):
    world = World(start_sluiced, dns_ttl_s=7, dns_node_ttl_s=8, dns_negative_ttl_s=9)
    world.consul.register("web", ID="w1", Address="10.1.0.11", Port=8081, Tags=["v1", "a.b"],
                          Weights={"Passing": 5, "Warning": 2})
    world.consul.register("web", ID="w2", Address="10.1.0.12", Port=8082, Tags=["V2"])
    world.consul.register("sick", ID="s1", Address="10.1.0.13", Port=80, Check={"TTL": "10m"})
    world.consul.register("six", ID="x1", Address="2001:db8::1", Port=80)
    world.consul.register("far", ID="f1", Address="far.example.org", Port=443)
    world.consul.register("Capital", ID="c1", Address="10.1.0.14", Port=80)
    world.consul.register("here", ID="h1", Port=90)
    world.consul.put("catalog/register", {"Node": "db7", "Address": "192.0.2.7", "NodeMeta": {
        "rack": "r 1", "rfc1035-note": "a=`b", " a=`b ": "c=`d"}})
    world.consul.put("catalog/register", {"Node": "db8", "Address": "2001:DB8::8"})
    world.consul.put("catalog/register", {"Node": "db9", "Address": "db9.example.org", "NodeMeta": {"rack": "2"}})
    world.daemon.rpc("network.add", name="n", mode="bridge", subnet="10.1.0.0/24")
    world.daemon.rpc("service.add", name="web", network="n", vip=VIP, port=80, protocol="tcp")
    return world


ANSWERS = [  # name, type, data
    ("web.service.consul", "A", ["10.1.0.11", "10.1.0.12"]),
    ("WEB.Service.CONSUL", "A", ["10.1.0.11", "10.1.0.12"]),
    ("web.service.dc1.consul", "A", ["10.1.0.11", "10.1.0.12"]),
    ("v1.web.service.consul", "A", ["10.1.0.11"]),
    ("a.b.web.service.consul", "A", ["10.1.0.11"]),
    ("v2.web.service.dc1.consul", "A", ["10.1.0.12"]),
    ("_web._tcp.service.consul", "A", ["10.1.0.11", "10.1.0.12"]),
    ("_web._v1.service.consul", "SRV", ["1 5 8081 0a01000b.addr.dc1.consul."]),
    ("_web._tcp.consul", "SRV", ["1 1 8082 0a01000c.addr.dc1.consul.", "1 5 8081 0a01000b.addr.dc1.consul."]),
    ("web.service.consul", "SRV", ["1 1 8082 0a01000c.addr.dc1.consul.", "1 5 8081 0a01000b.addr.dc1.consul."]),
    ("six.service.consul", "AAAA", ["2001:db8::1"]),
    ("six.service.consul", "SRV", ["1 1 80 20010db8000000000000000000000001.addr.dc1.consul."]),
    ("far.service.consul", "CNAME", ["far.example.org."]),
    ("far.service.consul", "SRV", ["1 1 443 far.example.org."]),
    ("capital.service.consul", "A", ["10.1.0.14"]),
    ("here.service.consul", "SRV", ["1 1 90 edge1.node.dc1.consul."]),
    ("here.service.consul", "A", ["192.0.2.9"]),
    ("web.virtual.consul", "A", [VIP]),
    ("edge1.node.consul", "A", ["192.0.2.9"]),
    ("db7.node.dc1.consul", "A", ["192.0.2.7"]),
    ("DB7.node.consul", "TXT", ['"` a`=``b` =c=``d"', '"a=`b"', '"rack=r 1"']),
    ("db8.node.consul", "AAAA", ["2001:db8::8"]),
    ("db9.node.consul", "CNAME", ["db9.example.org."]),
    ("db9.node.consul", "TXT", ['"rack=2"']),
    ("web.service.dc1.dc.consul", "A", ["10.1.0.11", "10.1.0.12"]),
    ("_web._v1.service.dc1.dc.consul", "SRV", ["1 5 8081 0a01000b.addr.dc1.consul."]),
    ("web.virtual.dc1.dc.consul", "A", [VIP]),
    ("db7.node.dc1.dc.consul", "A", ["192.0.2.7"]),
    ("0a01020f.addr.dc1.dc.consul", "A", ["10.1.2.15"]),
    ("0a01020f.addr.consul", "A", ["10.1.2.15"]),
    ("0A01020F.addr.dc1.consul", "A", ["10.1.2.15"]),
    ("20010db8000000000000000000000001.addr.consul", "AAAA", ["2001:db8::1"]),
    ("7.2.0.192.in-addr.arpa", "PTR", ["db7.node.dc1.consul."]),
    ("12.0.1.10.in-addr.arpa", "PTR", ["web.service.dc1.consul."]),
    ("8." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa", "PTR", ["db8.node.dc1.consul."]),
    ("1." + "0." * 23 + "8.B.D.0.1.0.0.2.IP6.Arpa", "PTR", ["six.service.dc1.consul."]),
    ("consul", "NS", ["edge1.node.dc1.consul."]),
]


def test_names_of_every_form(world):
    ways = [("dig", "+noedns"), ("kdig", "+edns=0"), ("dig", "+tcp"), ("kdig", "+tcp")]
    for i, (name, kind, data) in enumerate(ANSWERS):
        for tool, transport in (ways[i % 2], ways[2 + i % 2]):
            message = world.dig(name, kind, transport, tool=tool)
            assert (message.status, message.data(kind)) == ("NOERROR", data), (name, message.text)
            assert "aa" in message.flags and "tc" not in message.flags
            assert message.answer[0][0] == name.lower() + "."


def test_any_has_what_there_is(world):
    message = world.dig("web.service.consul", "ANY", "+tcp")
    assert len(message.data("A")) == 2 and len(message.data("SRV")) == 2
    apex = world.dig("consul", "ANY", "+tcp")
    assert apex.data("SOA") and apex.data("NS")


def test_srv_comes_with_addresses_and_ttls(world):
    message = world.dig("web.service.consul", "SRV")
    assert sorted(record[0] + " " + record[4] for record in message.additional) == [
        "0a01000b.addr.dc1.consul. 10.1.0.11", "0a01000c.addr.dc1.consul. 10.1.0.12"]
    assert {record[1] for record in message.answer} == {"7"}
    assert world.dig("edge1.node.consul").answer[0][1] == "8"
    assert world.dig("consul", "NS").additional[0][4] == "192.0.2.9"


NOTHING = [  # name, type, status
    ("web.service.consul", "AAAA", "NOERROR"),
    ("web.service.consul", "TXT", "NOERROR"),
    ("edge1.node.consul", "AAAA", "NOERROR"),
    ("0a01020f.addr.consul", "AAAA", "NOERROR"),
    ("web.virtual.consul", "AAAA", "NOERROR"),
    ("consul", "A", "NOERROR"),
    ("service.consul", "A", "NOERROR"),
    ("node.dc1.consul", "A", "NOERROR"),
    ("dc1.consul", "A", "NOERROR"),
    ("nobody.service.consul", "A", "NXDOMAIN"),
    ("sick.service.consul", "A", "NXDOMAIN"),
    ("sick.service.consul", "SRV", "NXDOMAIN"),
    ("v9.web.service.consul", "A", "NXDOMAIN"),
    ("web.service.dc9.consul", "A", "NXDOMAIN"),
    ("web.service.dc9.dc.consul", "A", "NXDOMAIN"),
    ("web.service.default.ns.consul", "A", "NXDOMAIN"),  # of Consul Enterprise alone
    ("web.service.default.ns.default.ap.dc1.dc.consul", "A", "NXDOMAIN"),
    ("web.service.other.peer.consul", "A", "NXDOMAIN"),
    ("web.query.consul", "A", "NXDOMAIN"),
    ("web.connect.consul", "A", "NXDOMAIN"),
    ("web.ingress.consul", "A", "NXDOMAIN"),
    ("dc1.dc.consul", "A", "NOERROR"),
    ("web.consul", "A", "NXDOMAIN"),
    ("nobody.node.consul", "A", "NXDOMAIN"),
    ("here.virtual.consul", "A", "NXDOMAIN"),
    ("0a0102zz.addr.consul", "A", "NXDOMAIN"),
    ("0a01.addr.consul", "A", "NXDOMAIN"),
    ("web\\000.service.consul", "A", "NXDOMAIN"),
    ("web\\.service.consul", "A", "NXDOMAIN"),
    ("1.1.1.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    ("2." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa", "PTR", "NXDOMAIN"),
]


def test_what_is_not_there_comes_with_the_soa(world):
    for name, kind, status in NOTHING:
        message = world.dig(name, kind)
        assert (message.status, message.answer) == (status, []), message.text
        soa = message.authority[0]
        assert soa[1] == "9" and soa[3] == "SOA"
        if name.endswith("consul"):
            assert soa[0] == "consul."


REFUSED = [
    (("example.org", "A"), "REFUSED"),
    ((".", "NS"), "REFUSED"),
    (("web.notconsul", "A"), "REFUSED"),
    (("web.service.consul", "A", "+opcode=status"), "NOTIMP"),
    (("web.service.consul", "A", "-c", "CH"), "REFUSED"),
    (("web.service.consul", "A", "+edns=1", "+noednsnegotiation"), "BADVERS"),
]


def test_what_is_refused(world):
    for words, status in REFUSED:
        message = world.dig(*words, check=False)
        assert message.status == status and not message.answer, message.text
    assert "NOTIMP" in world.dig("consul", "AXFR", tool="kdig", check=False).text


def test_health_is_followed_at_once(world):
    world.consul.put("agent/check/pass/service:s1")
    assert world.dig("sick.service.consul").data("A") == ["10.1.0.13"]
    world.consul.put("agent/check/warn/service:s1")
    assert world.dig("sick.service.consul").data("A") == ["10.1.0.13"]
    world.consul.put("agent/check/fail/service:s1")
    assert world.dig("sick.service.consul").status == "NXDOMAIN"
    world.consul.deregister("w1")
    assert world.dig("web.service.consul").data("A") == ["10.1.0.12"]
    world.consul.deregister("w2")
    assert world.dig("web.service.consul").status == "NXDOMAIN"
    assert world.dig("web.virtual.consul").data("A") == [VIP]
    world.consul.register("nobody", Address="10.1.0.15", Port=1)
    assert world.dig("nobody.service.consul").data("A") == ["10.1.0.15"]


def test_only_passing_and_another_domain(start_sluiced):
    world = World(start_sluiced, dns_only_passing=True, dns_domain="sluice.test", datacenter="east")
    world.consul.register("web", ID="w1", Address="10.1.0.11", Port=80, Check={"TTL": "10m"})
    world.consul.put("agent/check/warn/service:w1")
    assert world.dig("web.service.east.sluice.test").status == "NXDOMAIN"
    world.consul.put("agent/check/pass/service:w1")
    assert world.dig("web.service.east.sluice.test").data("A") == ["10.1.0.11"]
    assert world.dig("web.service.consul").status == "REFUSED"


def test_answers_are_shuffled(world):
    assert len({world.dig("web.service.consul").answer[0][4] for _ in range(40)}) == 2


def test_what_does_not_fit_is_marked_and_comes_by_tcp(world):
    world.many("big", 300)
    plain = world.dig("big.service.consul", "A", "+noedns", "+ignore")
    assert "tc" in plain.flags and 20 < len(plain.answer) < 32
    large = world.dig("big.service.consul", "A", "+bufsize=4096", "+ignore")
    assert "tc" in large.flags and 200 < len(large.answer) < 300
    whole = world.dig("big.service.consul", "A", "+noedns")
    assert len(set(whole.data("A"))) == 300 and "tc" not in whole.flags
    srv = world.dig("big.service.consul", "SRV", "+tcp")
    assert len(srv.answer) == 300 and len(srv.additional) == 300


def test_as_consul_cuts_answers(start_sluiced):
    world = World(start_sluiced, dns_truncate=False, dns_udp_answers=3)
    world.many("big", 40)
    message = world.dig("big.service.consul", "A", "+noedns")
    assert len(message.answer) == 3 and "tc" not in message.flags
    assert len(world.dig("big.service.consul", "A", "+bufsize=4096").answer) == 40


class Upstream:
    """A name server for example.org on UDP and TCP: 198.51.100.1; no gone.example.org, and for slow.example.org nothing."""

    def __init__(self):
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.asked = []
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=self.until_closed, args=[work], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()
        self.tcp.close()

    @staticmethod
    def until_closed(work):
        try:
            while True:
                work()
        except OSError:
            pass

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        self.asked.append(query[12:end])
        if query[12:].startswith(b"\x04slow"):
            return None
        if query[12:].startswith(b"\x04gone"):
            return query[:2] + b"\x81\x83" + struct.pack("!4H", 1, 0, 0, 0) + query[12:end]
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes([198, 51, 100, 1])
        return query[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0) + query[12:end] + record

    def serve_udp(self):
        query, peer = self.udp.recvfrom(4096)
        reply = self.answer(query)
        if reply:
            self.udp.sendto(b"\0\0" + reply[2:], peer)  # another id: not believed
            self.udp.sendto(reply, peer)

    def serve_tcp(self):
        client, _ = self.tcp.accept()
        with client:
            data = client.recv(4096)
            reply = self.answer(data[2:]) if data else None
            if reply:
                client.sendall(struct.pack("!H", len(reply)) + reply)


def test_other_names_go_to_the_recursors(start_sluiced, stack):
    upstream = stack.enter_context(Upstream())
    world = World(start_sluiced, dns_recursors=[f"127.0.0.1:{free_port()}", f"127.0.0.1:{upstream.port}"],
                  dns_recursor_timeout_ms=300)
    for transport in ("+notcp", "+tcp"):
        message = world.dig("www.example.org", "A", transport)
        assert message.data("A") == ["198.51.100.1"] and "ra" in message.flags, message.text
    assert world.dig("slow.example.org").status == "SERVFAIL"
    assert world.dig("www.example.org", "A", "+norecurse").status == "REFUSED"
    before = len(upstream.asked)
    assert world.dig("nobody.service.consul").status == "NXDOMAIN"
    assert len(upstream.asked) == before


ALIASES = [  # name, type, options, status, answers: types and data in their order
    ("far.service.consul", "A", [], "NOERROR", ["CNAME far.example.org.", "A 198.51.100.1"]),
    ("db9.node.consul", "A", [], "NOERROR", ["CNAME db9.example.org.", "A 198.51.100.1"]),
    ("far.service.consul", "A", ["+norecurse"], "NOERROR", ["CNAME far.example.org."]),
    ("far.service.consul", "CNAME", [], "NOERROR", ["CNAME far.example.org."]),
    ("far.service.consul", "ANY", ["+notcp"], "NOERROR", ["SRV 1 1 443 far.example.org."]),  # nothing beside a CNAME
    ("slow.service.consul", "A", [], "NOERROR", ["CNAME slow.example.org."]),
    ("gone.service.consul", "A", [], "NXDOMAIN", ["CNAME gone.example.org."]),
    ("near.service.consul", "A", [], "NOERROR", ["CNAME web.service.consul.", "A 10.1.0.11"]),
    ("near.service.consul", "AAAA", [], "NOERROR", ["CNAME web.service.consul."]),
    ("lost.service.consul", "A", [], "NXDOMAIN", ["CNAME nobody.service.consul."]),
    ("loop.service.consul", "A", [], "NOERROR", ["CNAME loop.service.consul.", "CNAME loop.service.consul."]),
]


def test_aliases_are_followed(start_sluiced, stack):
    upstream = stack.enter_context(Upstream())
    world = World(start_sluiced, dns_recursors=[f"127.0.0.1:{upstream.port}"], dns_recursor_timeout_ms=300)
    for name, address in (("far", "far.example.org"), ("slow", "slow.example.org"), ("gone", "gone.example.org"),
                          ("web", "10.1.0.11"), ("near", "web.service.consul"), ("lost", "nobody.service.consul"),
                          ("loop", "loop.service.consul")):
        world.consul.register(name, Address=address, Port=443)
    world.consul.put("catalog/register", {"Node": "db9", "Address": "db9.example.org"})
    for name, kind, options, status, answers in ALIASES:
        for transport in (["+noedns"], ["+tcp"]):
            message = world.dig(name, kind, *transport, *options)
            found = [" ".join(record[3:]) for record in message.answer]
            assert (message.status, found) == (status, answers), message.text
    assert world.dig("web.service.consul").data("A") == ["10.1.0.11"]


def test_a_network_resolves_at_its_gateway(start_sluiced, stack, container):
    upstream = stack.enter_context(Upstream())
    world = World(start_sluiced, dns_recursors=[f"127.0.0.1:{upstream.port}"])
    daemon = world.daemon
    daemon.rpc("network.add", name="shop", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    daemon.rpc("network.add", name="other", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    c1, c2 = container(daemon, "shop", "c1", "10.1.0.11"), container(daemon, "shop", "c2", "10.1.0.12")
    o1 = container(daemon, "other", "o1", "10.1.0.13")
    daemon.rpc("service.add", name="api", network="shop", vip=VIP, port=80, protocol="tcp")
    daemon.rpc("backend.add", service="api", address="10.1.0.12", port=8080)

    def ask(name, kind="A", *options, who=c1):
        return dig(53, name, kind, *options, netns=who, server="10.1.0.1")

    for name, kind, data in [
            ("api", "A", [VIP]), ("api.shop", "A", [VIP]), ("c2", "A", ["10.1.0.12"]), ("C2.Shop", "A", ["10.1.0.12"]),
            ("api.service.consul", "A", ["10.1.0.12"]), ("api", "SRV", ["1 1 8080 0a01000c.addr.dc1.consul."]),
            ("11.0.1.10.in-addr.arpa", "PTR", ["c1.shop."]), ("www.example.org", "A", ["198.51.100.1"])]:
        for transport in ("+notcp", "+tcp"):
            assert ask(name, kind, transport).data(kind) == data, name
    for name in ("o1", "nobody", "nobody.shop"):
        assert ask(name).status == "NXDOMAIN", name
    assert ask("c2", "AAAA").status == "NOERROR"
    assert ask("c2", who=o1).status == ask("api", who=o1).status == "NXDOMAIN"
    assert ask("o1", who=o1).data("A") == ["10.1.0.13"]
    assert "aa" not in world.dig("c2").flags  # no name of ours outside

    daemon.rpc("port.del", name="c2")
    assert ask("c2").status == "NXDOMAIN"
    assert ask("api.service.consul").status == "NXDOMAIN"
    daemon.rpc("port.del", name="o1")
    daemon.rpc("network.del", name="other")
    assert ask("c1").data("A") == ["10.1.0.11"]


def test_programs_of_a_container_use_it(world, container):
    world.daemon.rpc("network.add", name="shop", mode="bridge", subnet="10.2.0.0/24", gateway="10.2.0.1")
    c1, c2 = container(world.daemon, "shop", "c1", "10.2.0.11"), container(world.daemon, "shop", "c2", "10.2.0.12")
    folder = f"/etc/netns/{c1.name}"  # what `ip netns exec` shows as /etc
    os.makedirs(folder)
    try:
        with open(f"{folder}/resolv.conf", "w") as file:
            file.write("nameserver 10.2.0.1\nsearch shop\n")
        traffic.http_server(c2, 8080, "found")
        done = run(["ip", "netns", "exec", c1.name, "curl", "-sS", "--max-time", "20", "--noproxy", "*",
                    "http://c2.shop:8080/"])
        assert "found" in done.stdout
    finally:
        os.unlink(f"{folder}/resolv.conf")
        os.removedirs(folder)  # and /etc/netns, when nothing else is there


def test_hostile_messages_leave_it_serving(world):
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


def test_a_bad_option_is_named(start_sluiced):
    for control, text in [({"dns_ttl_s": -1}, "control.dns_ttl_s"), ({"dns_recursors": "x"}, "control.dns_recursors"),
                          ({"dns_recursors": ["nowhere"], "dns": "127.0.0.1:0"}, "recursors: nowhere: must be"),
                          ({"dns_domain": "a b", "dns": "127.0.0.1:0"}, "domain: a b is none"),
                          ({"dns": "here"}, "control.dns: here: must be ADDRESS:PORT")]:
        with pytest.raises(AssertionError, match=text.replace(".", r"\.")):
            start_sluiced({"control": control})


def metric(world, name, network):
    page = world.consul.request("GET", "/metrics").text
    return int(float(re.search(rf'^{name}{{network="{network}"}} (\S+)$', page, re.M)[1]))


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
    assert 0 < metric(world, "sluice_dns_forwards", "shop") <= 64
    assert metric(world, "sluice_dns_refused_forwards_total", "shop") > 1000
    assert metric(world, "sluice_dns_refused_forwards_total", "other") == 0
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
    assert metric(world, "sluice_dns_connections", "shop") <= 17
    assert metric(world, "sluice_dns_closed_connections_total", "shop") > 100
    assert metric(world, "sluice_dns_closed_connections_total", "other") == 0
    for sock in held:
        sock.close()
    wait.until(lambda: metric(world, "sluice_dns_connections", "shop") == 0, "they are gone")
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
    assert metric(world, "sluice_dns_full_total", "shop") >= 1
    for sock in (*held, late, elsewhere):
        sock.close()
