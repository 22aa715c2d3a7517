"""DNS: Consul's names, by dig and kdig."""

import random
import socket
import struct

import pytest

from rig import wait
from rig.dns import World

pytestmark = pytest.mark.control

VIP = "10.1.0.100"


@pytest.fixture(autouse=True)
def tools(requires):
    requires("dig", "kdig")


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


def ask(sock, name, flags=0x0100, edns=None):
    """The answer's id, flags, question, count of answers, and the bytes of its OPT record."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    asked = labels + b"\0\0\1\0\1"
    number = random.randrange(65536)
    sock.send(struct.pack("!6H", number, flags, 1, 0, 0, edns is not None) + asked + (edns or b""))
    data = sock.recv(65536)
    got, answered, _, answers, _, extra = struct.unpack("!6H", data[:12])
    assert got == number and data[12:12 + len(asked)] == asked
    assert extra == (edns is not None)
    return answered, answers, data[-11:] if extra else b""


def opt(size, flags, options=b""):
    return struct.pack("!BHHIH", 0, 41, size, flags, len(options)) + options


def test_a_kept_answer_is_given_as_it_is_asked_for(world):
    """Whoever asks next has the case of the name, the flags and the size of one's own."""
    world.many("many", 60)
    cookie = struct.pack("!2H", 10, 8) + b"a cookie"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait.PATIENCE_S)
        sock.connect(("127.0.0.1", world.port))
        for _ in range(2):
            for name in ("many.service.consul", "mAnY.SERVICE.cOnSuL"):
                assert ask(sock, name) == (0x8700, 29, b"")  # AA, TC and RD; of 512 bytes
                assert ask(sock, name, flags=0x0010) == (0x8610, 29, b"")  # CD
                for size, answers in ((512, 29), (100, 29), (700, 40), (4096, 60), (65535, 60)):
                    for flags in (0, 0x8000):  # DO
                        answered, n, end = ask(sock, name, edns=opt(size, flags, cookie if size > 600 else b""))
                        assert (answered & 0x0200 == 0, n) == (answers == 60, answers)
                        assert end == opt(1232, flags)


BROKEN = [  # the counts of a header and what is behind the question: response code
    ((1, 0, 0, 1), opt(1232, 0)[:-1], 1),
    ((1, 0, 0, 1), b"", 1),
    ((1, 0, 0, 2), 2 * opt(1232, 0), 1),  # RFC 6891, section 6.1.1
    ((1, 0, 0, 1), b"\1a" + opt(1232, 0), 1),
    ((1, 0, 0, 1), opt(1232, 0, b"\0\x0a\0\x09a cookie"), 1),
    ((1, 0, 0, 1), opt(1232, 0, b"\0\x0a\0"), 1),
    ((2, 0, 0, 0), b"\xc0\x0c\0\1\0\1", 1),
    ((0, 0, 0, 0), b"", 1),
    ((1, 65535, 65535, 65535), 300 * (b"\xc0\x0c" + bytes(10)), 1),
    ((1, 100, 100, 101), 300 * (b"\xc0\x0c" + bytes(10)) + opt(1232, 0), 0),
    ((1, 0, 0, 0), b"more", 0),
    ((1, 0, 0, 1), opt(1232, 0x10000), 0),  # BADVERS: its lower bits
]


def test_broken_messages_are_told_so(world):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait.PATIENCE_S)
        sock.connect(("127.0.0.1", world.port))
        for counts, behind, code in BROKEN:
            sock.send(struct.pack("!6H", 7, 0, *counts) + b"\3web\7service\6consul\0\0\1\0\1" + behind)
            data = sock.recv(65536)
            assert data[:2] == b"\0\7" and data[3] & 15 == code, (counts, behind)
        for name in (b"\x40" + 64 * b"a" + b"\0", b"\xc0\x0c", b"\x80\0", 128 * b"\1a" + b"\0", b"\5abc"):
            sock.send(struct.pack("!6H", 8, 0, 1, 0, 0, 0) + name + b"\0\1\0\1")
            data = sock.recv(65536)
            assert data[:2] == b"\0\x08" and data[3] & 15 == 1, name


def test_a_tag_of_one_of_many_instances_is_found_as_soon_as_it_has_it(world):
    world.many("big", 40)
    for _ in range(2):
        assert world.dig("late.big.service.consul").status == "NXDOMAIN"
        world.consul.register("big", ID="tagged", Address="10.8.0.1", Port=1, Tags=["Early", "Late"])
        for name in ("late.big.service.consul", "_big._LATE.service.consul", "early.big.service.consul"):
            assert world.dig(name).data("A") == ["10.8.0.1"]
        world.consul.register("big", ID="tagged", Address="10.8.0.1", Port=1, Tags=["Early"])
        assert world.dig("late.big.service.consul").status == "NXDOMAIN"
        assert world.dig("early.big.service.consul").data("A") == ["10.8.0.1"]
        world.consul.deregister("tagged")
        assert world.dig("early.big.service.consul").status == "NXDOMAIN"


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


def test_a_bad_option_is_named(start_sluiced):
    for control, text in [({"dns_ttl_s": -1}, "control.dns_ttl_s"), ({"dns_recursors": "x"}, "control.dns_recursors"),
                          ({"dns_recursors": ["nowhere"], "dns": "127.0.0.1:0"}, "recursors: nowhere: must be"),
                          ({"dns_domain": "a b", "dns": "127.0.0.1:0"}, "domain: a b is none"),
                          ({"dns": "here"}, "control.dns: here: must be ADDRESS:PORT")]:
        with pytest.raises(AssertionError, match=text.replace(".", r"\.")):
            start_sluiced({"control": control})
