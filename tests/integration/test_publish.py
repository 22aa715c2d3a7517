"""Ports of the host's that lead to containers and services: from outside, from the host itself, and from containers."""

import json
import signal

import pytest

from rig import sctp, traffic, wait
from rig.process import run
from rig.router import HOST, WORLD


def network(router, number, *words):
    net = f"10.{number}.0"
    router.daemon.ctl("network", "add", f"net{number}", "--mode", "host", "--subnet", f"{net}.0/24", "--gateway",
                      f"{net}.1", *words)


@pytest.fixture
def web(router, container, stack):
    """Network net1 with c1 and c2, which answer on port 8080."""
    network(router, 1, "--egress", "masquerade")
    ends = [container(router.daemon, "net1", f"c{n}", f"10.1.0.1{n}") for n in (1, 2)]
    for end in ends:
        stack.enter_context(traffic.tcp_server(end, 8080))
    return router, *ends


def publish(router, name, *words, check=True):
    return router.daemon.ctl("publish", "add", name, *words, check=check)


def answers(client, address, port):
    with traffic.EchoClient(client, address, port) as connection:
        connection.echo()
        return connection.name


def refused(client, address, port):
    with pytest.raises(OSError):
        traffic.EchoClient(client, address, port, timeout_s=1)


def test_from_everywhere(web, container):
    router, c1, c2 = web
    network(router, 2, "--egress", "masquerade")
    c3 = container(router.daemon, "net2", "c3", "10.2.0.11")
    publish(router, "p1", "--port", "7000", "--to", "10.1.0.11:8080")
    assert answers(router.world, HOST, 7000) == c1.name
    for address in (HOST, "127.0.0.1", "127.8.9.1", "10.1.0.1"):
        assert answers(router.host, address, 7000) == c1.name, address
    for client in (c1, c2, c3):  # c1 comes back to itself
        assert answers(client, HOST, 7000) == c1.name, client.name
    router.daemon.ctl("publish", "del", "p1")
    for client, address in ((router.world, HOST), (router.host, "127.0.0.1"), (c2, HOST)):
        refused(client, address, 7000)


HOST6, WORLD6 = "2001:db8::1", "2001:db8::2"


@pytest.fixture
def web6(router, container, stack):
    """A network of both families with c1, which answers on port 8080 over both, and c2; the world has IPv6 too."""
    for ns, link, address in ((router.host, "up0", HOST6), (router.world, "eth0", WORLD6)):
        ns.run("ip", "addr", "add", f"{address}/64", "dev", link, "nodad")
    router.daemon.ctl("network", "add", "net1", "--mode", "host", "--subnets", "10.1.0.0/24,fd00:1::/64", "--gateways",
                      "10.1.0.1,fd00:1::1", "--egress", "masquerade")
    c1 = container(router.daemon, "net1", "c1", ["10.1.0.11", "fd00:1::11"])
    stack.enter_context(traffic.tcp_server(c1, 8080, six=True))
    return router, c1, container(router.daemon, "net1", "c2", ["10.1.0.12", "fd00:1::12"])


def test_over_ip6(web6, container):
    router, c1, c2 = web6
    router.host.run("sysctl", "-qw", "net.ipv6.conf.up0.accept_ra=1")
    publish(router, "p4", "--port", "7000", "--to", "10.1.0.11:8080")
    publish(router, "p6", "--port", "7000", "--to", "[fd00:1::11]:8080")
    publish(router, "one", "--port", "7001", "--to", "[fd00:1::11]:8080", "--address", HOST6)
    rows = [(row["name"], row["address"], row["to"], row["now"]) for row in router.daemon.rpc("publish.list")]
    assert rows == [("p4", "0.0.0.0", *["10.1.0.11:8080"] * 2), ("p6", "::", *["[fd00:1::11]:8080"] * 2),
                    ("one", HOST6, *["[fd00:1::11]:8080"] * 2)]
    for client, address in ((router.world, HOST6), (router.host, HOST6), (router.host, "fd00:1::1"), (c1, HOST6), (c2, HOST6),
                            (router.world, HOST)):
        assert answers(client, address, 7000) == c1.name, (client.name, address)
    assert answers(router.world, HOST6, 7001) == c1.name
    refused(router.host, "fd00:1::1", 7001)
    with pytest.raises(ConnectionRefusedError):  # at once: who asks for localhost goes on with 127.0.0.1
        traffic.EchoClient(router.host, "::1", 7000, timeout_s=5)
    accept_ra = router.host.run("cat", "/proc/sys/net/ipv6/conf/up0/accept_ra").stdout
    assert accept_ra.strip() == "2"  # the host forwards now, and believes its routers as before
    again = publish(router, "no", "--port", "7001", "--to", "[fd00:1::12]:80", check=False)
    assert "port: 7001 is published as one already" in again.stderr
    router.daemon.ctl("publish", "del", "p6")
    refused(router.world, HOST6, 7000)
    assert answers(router.world, HOST, 7000) == c1.name


def test_a_service_has_a_port_of_each_family(web6):
    router, c1, _ = web6
    router.daemon.ctl("service", "add", "api", "--network", "net1", "--vips", "10.1.0.100,fd00:1::100", "--port", "80",
                      "--protocol", "tcp")
    for address in ("10.1.0.11:8080", "[fd00:1::11]:8080"):
        router.daemon.ctl("backend", "add", "api", address)
    publish(router, "p4", "--port", "7000", "--to", "service api")
    publish(router, "p6", "--port", "7000", "--to", "service api", "--address", "::")
    assert [row["now"] for row in router.daemon.rpc("publish.list")] == ["10.1.0.100:80", "[fd00:1::100]:80"]
    for address in (HOST, HOST6):
        assert answers(router.world, address, 7000) == c1.name


def test_sctp(web):
    router, c1, _ = web
    publish(router, "p1", "--port", "7000", "--to", "10.1.0.11:8080", "--protocol", "sctp")
    publish(router, "p2", "--port", "7000", "--to", "10.1.0.11:8080")
    assert sctp.associates(router.world, c1, HOST, 7000, 8080) == (WORLD, 5000)


def test_containers_do_not_reach_the_loopback(web, stack):
    router, c1, _ = web
    publish(router, "p1", "--port", "7000", "--to", "10.1.0.11:8080")
    stack.enter_context(traffic.tcp_server(router.host, 7777))
    c1.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    c1.run("ip", "rule", "add", "pref", "100", "lookup", "local")
    c1.run("ip", "rule", "del", "pref", "0")
    c1.run("ip", "rule", "add", "pref", "50", "to", "127.9.9.9", "lookup", "77")
    c1.run("ip", "route", "add", "127.9.9.9", "via", "10.1.0.1", "src", "10.1.0.11", "table", "77")
    with pytest.raises(OSError):
        traffic.EchoClient(c1, "127.9.9.9", 7777, timeout_s=1)
    router.host.run("nft", "flush", "chain", "inet", "sl-net1", "loopback")
    assert answers(c1, "127.9.9.9", 7777) == router.host.name  # the attack works where nothing is in its way


def test_udp_and_one_address(web, stack):
    router, c1, _ = web
    stack.enter_context(traffic.udp_server(c1, 5353))
    publish(router, "dns", "--port", "5300", "--to", "10.1.0.11:5353", "--protocol", "udp", "--address", HOST)
    assert traffic.udp_ask(router.world, HOST, 5300, timeout_s=20) == b"%s hello" % c1.name.encode()
    publish(router, "web", "--port", "5300", "--to", "10.1.0.11:8080", "--address", HOST)
    assert answers(router.world, HOST, 5300) == c1.name
    refused(router.host, "127.0.0.1", 5300)


def test_a_service_is_followed(web):
    router, c1, c2 = web
    service = ("--network", "net1", "--port", "80", "--protocol", "tcp")
    router.daemon.ctl("service", "add", "api", *service, "--vip", "10.1.0.100")
    for end in (c1, c2):
        router.daemon.ctl("backend", "add", "api", f"{end.ip}:8080")
    publish(router, "api", "--port", "7000", "--to", "service api")
    assert {answers(router.world, HOST, 7000) for _ in range(40)} == {c1.name, c2.name}
    assert answers(router.host, "127.0.0.1", 7000) in (c1.name, c2.name)
    router.daemon.ctl("service", "set", "api", "--vip", "10.1.0.101")
    row = router.daemon.rpc("publish.list")[0]
    assert (row["to"], row["now"], row["network"]) == ("service api", "10.1.0.101:80", "net1")
    assert answers(router.world, HOST, 7000) in (c1.name, c2.name)
    router.daemon.ctl("backend", "set", "api", f"{c1.ip}:8080", "--weight", "0")
    assert {answers(router.world, HOST, 7000) for _ in range(20)} == {c2.name}
    router.daemon.ctl("service", "del", "api")
    assert router.daemon.rpc("publish.list")[0]["now"] is None
    refused(router.world, HOST, 7000)
    router.daemon.ctl("service", "add", "api", *service, "--vip", "10.1.0.102")
    router.daemon.ctl("backend", "add", "api", f"{c1.ip}:8080")
    assert answers(router.world, HOST, 7000) == c1.name


def test_the_client_keeps_its_address(web):
    router, c1, _ = web
    publish(router, "p1", "--port", "7000", "--to", "10.1.0.11:7001")
    with c1.socket() as server:
        server.settimeout(20)
        server.bind(("10.1.0.11", 7001))
        server.listen()
        with router.world.socket() as client:
            client.settimeout(20)
            client.connect((HOST, 7000))
            assert server.accept()[1][0] == WORLD


def test_it_outlives_a_crash(web):
    router, c1, _ = web
    router.daemon.ctl("service", "add", "api", "--network", "net1", "--port", "80", "--protocol", "tcp", "--vip", "10.1.0.100")
    router.daemon.ctl("backend", "add", "api", "10.1.0.11:8080")
    publish(router, "p1", "--port", "7000", "--to", "10.1.0.11:8080")
    publish(router, "p2", "--port", "7001", "--to", "service api")
    router.daemon.wait_kept("p1", "p2")
    router.daemon.kill()
    router.daemon.start()
    router.daemon.wait_port("c1")
    for port in (7000, 7001):
        wait.until(lambda: answers(router.world, HOST, port) == c1.name, f"port {port} leads there")
    assert [row["name"] for row in router.daemon.rpc("publish.list")] == ["p1", "p2"]


@pytest.mark.parametrize("words, why", [
    (("--port", "7000", "--to", "10.1.0.11"), 'to: "10.1.0.11" is neither'),
    (("--port", "7000", "--to", "10.1.0.11:0"), "to: "),
    (("--port", "7000", "--to", "10.1.0.11:65536"), "to: "),
    (("--port", "7000", "--to", "10.1.0.11:80x"), "to: "),
    (("--port", "7000", "--to", ":80"), "to: "),
    (("--port", "7000", "--to", "service "), "to: "),
    (("--port", "7000", "--to", "10.9.0.11:80"), "to: 10.9.0.11:80 is in no network with a gateway, or in several"),
    (("--port", "7000", "--to", "service nobody"), 'to: no such service "nobody"'),
    (("--port", "7000", "--to", "[10.1.0.11]:80"), "to: "),
    (("--port", "7000", "--to", "fd00::1:80"), "to: "),
    (("--port", "7000", "--to", "[fd00::1]:80"), "to: [fd00::1]:80 is in no network with a gateway"),
    (("--port", "7000", "--to", "10.1.0.11:80", "--address", "::"), "address: :: is of another family than `to`"),
    (("--port", "7000", "--to", "[fd00::1]:80", "--address", "::1"), "address: ::1 cannot be published: the kernel takes"),
    (("--port", "7000", "--to", "service bare"), "to: service bare has no tcp vip of IPv4 in a network with a gateway"),
    (("--port", "0", "--to", "10.1.0.11:80"), "port: "),
    (("--port", "6000", "--to", "10.1.0.11:80"), "port: 6000 is published as first already"),
    (("--port", "6000", "--to", "10.1.0.11:80", "--address", "127.0.0.1"), "port: 6000 is published as first already"),
    (("--port", "6001", "--to", "10.1.0.11:80"), "port: a program of this host has 6001 already"),
    (("--port", "7000", "--to", "10.1.0.11:80", "--address", "203.0.113.9"), "address: this host has no such address"),
])
def test_what_is_refused(web, words, why):
    router, _, _ = web
    router.daemon.ctl("service", "add", "bare")
    publish(router, "first", "--port", "6000", "--to", "10.1.0.11:8080")
    with traffic.tcp_server(router.host, 6001):
        process = publish(router, "p", *words, check=False)
    assert process.returncode and why in process.stderr, process.stderr
    assert [row["name"] for row in router.daemon.rpc("publish.list")] == ["first"]


def test_a_network_that_something_leads_to_stays(web):
    router, _, _ = web
    network(router, 2)
    publish(router, "p1", "--port", "7000", "--to", "10.2.0.11:80")
    process = router.daemon.ctl("network", "del", "net2", check=False)
    assert process.returncode and "what is published as p1" in process.stderr
    router.daemon.ctl("publish", "del", "p1")
    router.daemon.ctl("network", "del", "net2")
    assert router.tables() == ["sl-net1"]


CONFIG = {
    "networks": [{"name": "net1", "mode": "host", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}],
    "services": [{"name": "api", "network": "net1", "vip": "10.1.0.100", "port": 80, "protocol": "tcp"}],
    "publish": [{"name": "p1", "port": 7000, "to": "10.1.0.11:80"}, {"name": "p2", "port": 7001, "to": "service api"}],
}


def with_publish(*objects):
    return {**CONFIG, "publish": list(objects)}


def test_the_configuration_file_has_it(router):
    router.daemon.stop()
    router.daemon.write_config(CONFIG)
    router.daemon.start()
    rows = {row["name"]: row for row in router.daemon.rpc("publish.list")}
    assert rows["p1"]["now"] == "10.1.0.11:80" and rows["p2"]["now"] == "10.1.0.100:80"
    assert {row["source"] for row in rows.values()} == {"config"}
    router.daemon.write_config(with_publish({"name": "p1", "port": 7002, "to": "10.1.0.12:80"}))
    router.daemon.process.send_signal(signal.SIGHUP)
    wait.until(lambda: [(row["port"], row["now"]) for row in router.daemon.rpc("publish.list")] ==
               [(7002, "10.1.0.12:80")], "the file's change holds")
    rules = json.loads(router.host.run("nft", "--json", "list", "table", "inet", "sl-net1").stdout)
    assert "7002" in json.dumps(rules) and "7001" not in json.dumps(rules)


@pytest.mark.parametrize("objects, why", [
    ([{"name": "p", "port": 1, "to": "10.9.0.1:1"}], "is in no network with a gateway, or in several"),
    ([{"name": "p", "port": 1, "to": "service no"}], "no such service"),
    ([{"name": "p", "port": 1, "to": "service api", "protocol": "udp"}], "has no udp vip of IPv4"),
    ([{"name": "p", "port": 1, "to": "10.1.0.9:1"}, {"name": "q", "port": 1, "to": "10.1.0.8:1"}], "is taken by publish[0]"),
    ([{"name": "p", "port": 1, "to": "10.1.0.9:1", "address": "127.0.0.1"}, {"name": "q", "port": 1, "to": "10.1.0.8:1"}],
     "is taken by publish[0]"),
    ([{"name": "p", "port": 1, "to": "10.1.0.9:1"}, {"name": "p", "port": 2, "to": "10.1.0.8:1"}], "publish[1]"),
])
def test_a_configuration_is_checked(router, objects, why):
    router.daemon.write_config(with_publish(*objects))
    done = run([*router.daemon.argv(), "--check-config"], check=False)
    assert done.returncode and why in done.stderr, done.stderr
