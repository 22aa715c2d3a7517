"""Where a check may go that starts in the host, and what it may tell: whoever registers does not borrow the host's eyes."""

import os

import pytest

from rig import wait
from rig.consul import Consul
from rig.health import HttpHealth
from rig.ports import free_port

pytestmark = pytest.mark.control

SECRET = "the operator's own"
OFTEN = {"Interval": "30ms", "Timeout": "5s"}


@pytest.fixture
def host(netns, requires):
    """A host of its own, with address 192.0.2.1 and a neighbour 192.0.2.2: (host, neighbour)."""
    requires("ip")
    host, other = netns("host"), netns("lan")
    host.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", other.name)
    for ns, link, address in ((host, "lan0", "192.0.2.1/24"), (other, "eth0", "192.0.2.2/24")):
        ns.run("ip", "addr", "add", address, "dev", link)
        ns.run("ip", "link", "set", link, "up")
    for ns, link, address in ((host, "lan0", "2001:db8::1/64"), (other, "eth0", "2001:db8::2/64")):
        ns.run("ip", "addr", "add", address, "dev", link, "nodad")
    host.run("ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
    host.run("ip", "route", "add", "local", "2001:db8:7::/64", "dev", "lo")
    host.run("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo")  # whatever is there is the host's
    return host, other


def register(consul, name, **check):
    reply = consul.put("agent/service/register", {"Name": name, "Port": 1, "Check": {**OFTEN, **check}})
    assert reply.status == 200, reply


def row(consul, name):
    return consul.get("agent/checks").json[f"service:{name}"]


def find(daemon_ns, consul_port, work):
    """`work(client)` on a thread inside the host."""
    return daemon_ns.do(lambda: work(Consul(consul_port)))


def start(start_sluiced, host, **control):
    port = free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{port}", **control}}, ns=host)
    return sluiced, port


def output(host, port, name, status, text):
    def there():
        found = find(host, port, lambda consul: row(consul, name))
        return found["Status"] == status and text in found["Output"] and found

    return wait.until(there, f"{name} is {status}: {text}")


FORBIDDEN = [("127.0.0.1", "of the loopback"), ("127.9.9.9", "of the loopback"), ("localhost", "of the loopback"),
             ("169.254.169.254", "link-local"), ("169.254.1.1", "link-local"), ("192.0.2.1", "this host's own"),
             ("192.0.2.255", "this host's own"), ("198.51.100.7", "this host's own"),
             ("[::1]", "of the loopback"), ("[0:0::0001]", "of the loopback"), ("[fe80::1]", "link-local"),
             ("[febf::1]", "link-local"), ("[2001:db8::1]", "this host's own"), ("[2001:db8:7::7]", "this host's own"),
             # however an IPv4 address is dressed up
             ("[::ffff:127.0.0.1]", "of the loopback"), ("[::ffff:0:0]", "of the loopback"),
             ("[::ffff:a9fe:a9fe]", "link-local"), ("[64:ff9b::127.0.0.1]", "of the loopback"),
             ("[64:ff9b::169.254.169.254]", "link-local"), ("[64:ff9b::192.0.2.1]", "this host's own"),
             # the metadata of clouds
             ("[fd00:ec2::254]", "a cloud's own"), ("[fd20:ce::254]", "a cloud's own"),
             ("[fd00:c1::a9fe:a9fe]", "a cloud's own")]


def test_the_host_itself_is_not_probed(start_sluiced, host, stack):
    host, _ = host
    health = stack.enter_context(HttpHealth(host))
    six = stack.enter_context(HttpHealth(host, health.port, six=True))
    health.text = six.text = SECRET
    _, port = start(start_sluiced, host)
    for i, (address, why) in enumerate(FORBIDDEN):
        for kind, target in (("http", {"HTTP": f"http://{address}:{health.port}/"}), ("tcp", {"TCP": f"{address}:{health.port}"}),
                             ("grpc", {"GRPC": f"{address}:{health.port}"})):
            find(host, port, lambda consul: register(consul, f"{kind}{i}", **target))
    for i, (address, why) in enumerate(FORBIDDEN):
        for kind in ("http", "tcp", "grpc"):
            found = output(host, port, f"{kind}{i}", "critical", why)
            assert "control.check_targets" in found["Output"] and SECRET not in found["Output"]
    assert health.requests == [] and six.requests == []


def test_an_instance_without_an_address_is_not_the_loopback(start_sluiced, host, stack):
    """0.0.0.0 is what an instance has that is known by a host name; a connection to it goes to the loopback."""
    host, _ = host
    health = stack.enter_context(HttpHealth(host))
    _, port = start(start_sluiced, host)
    for name, target in (("zero", "0.0.0.0"), ("some", "0.0.0.9")):
        body = {"Name": name, "Address": "name.example", "Port": health.port,
                "Check": {"HTTP": f"http://{target}:{health.port}/", **OFTEN}}
        assert find(host, port, lambda consul: consul.put("agent/service/register", body)).status == 200
        output(host, port, name, "critical", "of the loopback")
    assert health.requests == []


def test_what_is_allowed_is_probed_and_tells_its_status_alone(start_sluiced, host, stack):
    host, other = host
    health = [stack.enter_context(HttpHealth(ns)) for ns in (host, other)]
    for server in health:
        server.text = SECRET
    _, port = start(start_sluiced, host, check_targets=["127.0.0.1/32", "192.0.2.1/32"])
    targets = {"loop": ("127.0.0.1", health[0]), "own": ("192.0.2.1", health[0]), "lan": ("192.0.2.2", health[1])}
    for name, (address, server) in targets.items():
        find(host, port, lambda consul: register(consul, name, HTTP=f"http://{address}:{server.port}/"))
    find(host, port, lambda consul: register(consul, "beside", HTTP=f"http://127.0.0.2:{health[0].port}/"))
    for name in targets:
        assert output(host, port, name, "passing", "HTTP 200")["Output"] == "HTTP 200"
    output(host, port, "beside", "critical", "of the loopback")


def test_what_is_allowed_is_of_one_family(start_sluiced, host, stack):
    """::/0 allows all of IPv6, and nothing of IPv4; a prefix of one address allows no other."""
    host, other = host
    four, six, lan = HttpHealth(host), HttpHealth(host, six=True), HttpHealth(other, six=True)
    for server in (four, six, lan):
        stack.enter_context(server)
    _, port = start(start_sluiced, host, check_targets=["::1/128"])
    _, wide = start(start_sluiced, host, check_targets=["::/0"])
    for at in (port, wide):
        find(host, at, lambda consul: register(consul, "loop", HTTP=f"http://[::1]:{six.port}/"))
        find(host, at, lambda consul: register(consul, "own", HTTP=f"http://[2001:db8::1]:{six.port}/"))
        find(host, at, lambda consul: register(consul, "lan", HTTP=f"http://[2001:db8::2]:{lan.port}/"))
        find(host, at, lambda consul: register(consul, "four", HTTP=f"http://127.0.0.1:{four.port}/"))
        for name in ("loop", "lan"):
            output(host, at, name, "passing", "HTTP 200")
        output(host, at, "four", "critical", "of the loopback")
    output(host, port, "own", "critical", "this host's own")
    output(host, wide, "own", "passing", "HTTP 200")
    assert four.requests == []


def test_a_redirect_is_not_followed(start_sluiced, host, stack):
    host, other = host
    inside, outside = stack.enter_context(HttpHealth(host)), stack.enter_context(HttpHealth(other))
    outside.status, outside.headers = 302, {"Location": f"http://127.0.0.1:{inside.port}/"}
    _, port = start(start_sluiced, host)
    find(host, port, lambda consul: register(consul, "lan", HTTP=f"http://192.0.2.2:{outside.port}/"))
    output(host, port, "lan", "critical", "HTTP 302")
    assert inside.requests == []


def test_an_address_that_becomes_the_hosts_is_probed_no_longer(start_sluiced, host, stack):
    host, other = host
    stack.enter_context(HttpHealth(other, 8080))
    stack.enter_context(HttpHealth(host, 8080))
    _, port = start(start_sluiced, host)
    find(host, port, lambda consul: register(consul, "lan", HTTP="http://192.0.2.2:8080/"))
    output(host, port, "lan", "passing", "HTTP 200")
    host.run("ip", "addr", "add", "192.0.2.2/32", "dev", "lan0")
    output(host, port, "lan", "critical", "this host's own")


def test_a_network_of_mode_host_is_the_host(start_sluiced, host, stack):
    """Its gateway is in the host: so are the probes that start there. In other networks nothing changes."""
    host, _ = host
    health = stack.enter_context(HttpHealth(host))
    sluiced, _ = start(start_sluiced, host)
    sluiced.rpc("network.add", name="flat", mode="host", subnet="10.1.0.0/24", gateway="10.1.0.1")
    sluiced.rpc("service.add", name="api", network="flat", check={"type": "http", "interval_ms": 30})
    sluiced.rpc("backend.add", service="api", address="10.1.0.1", port=health.port)
    wait.until(lambda: "this host's own" in sluiced.rpc("service.show", name="api")["backends"][0]["output"], "it says why")
    assert health.requests == []


def test_in_a_network_the_body_is_told(sluiced, container, stack):
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    server = container(sluiced, "web", "s1", "10.1.0.11")
    stack.enter_context(HttpHealth(server, 8080)).text = "fine"
    sluiced.rpc("service.add", name="api", network="web", check={"type": "http", "interval_ms": 30})
    sluiced.rpc("backend.add", service="api", address="10.1.0.11", port=8080)
    wait.until(lambda: sluiced.rpc("service.show", name="api")["backends"][0]["output"] == "HTTP 200: fine", "it is told")
    # the namespace of the gateway has nothing of the host's
    sluiced.rpc("service.add", name="loop", network="web", check={"type": "tcp", "interval_ms": 30})
    sluiced.rpc("backend.add", service="loop", address="127.0.0.1", port=22)
    wait.until(lambda: sluiced.rpc("service.show", name="loop")["backends"][0]["output"] == "Connection refused", "it is empty")


def test_a_prefix_that_is_none_is_named(start_sluiced):
    for value, text in (["10.0.0.0"], "control.check_targets[0]"), ("10.0.0.0/8", "control.check_targets"):
        with pytest.raises(AssertionError, match=text.replace("[", r"\[")):
            start_sluiced({"control": {"check_targets": value}})
