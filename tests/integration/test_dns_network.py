"""DNS: names that recursors know, aliases, and the names of a network at its gateway."""

import os

import pytest

from rig import traffic
from rig.dns import Upstream, World, dig
from rig.ports import free_port
from rig.process import run

pytestmark = pytest.mark.control

VIP = "10.1.0.100"


@pytest.fixture(autouse=True)
def tools(requires):
    requires("dig", "kdig")


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


def test_programs_of_a_container_use_it(start_sluiced, container):
    world = World(start_sluiced)
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
