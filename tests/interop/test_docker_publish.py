"""
`docker run -p`: ports of the host that lead to containers, of a real dockerd, without its iptables and its proxy. Beside them
are its own rules, which are there by default.
"""

import pytest

from rig import sctp, traffic, wait
from rig.docker_world import Inside, http, serve, wait_http
from rig.dockerd import IMAGE
from rig.process import open_files
from rig.router import WORLD


DOCKER_WORLD = {"rules": True}


def bound(world):
    """(protocol, address, port) of each that is published."""
    return sorted((entry["protocol"], entry["address"], entry["port"]) for entry in world.published())


def test_from_outside_from_the_host_and_from_containers(world):
    world.create("web")
    world.create("other")
    serve(world, "c1", "web", "--publish", "8080:80")
    world.docker.run("c2", "web")
    world.docker.run("c3", "other")
    wait_http(world.outside, 8080, "c1")
    for address in (world.address, "127.0.0.1"):
        assert http(world.host, 8080, address) == "c1", address
    for name in ("c1", "c2", "c3"):
        assert world.docker.exec(name, "wget", "-q", "-O", "-", f"http://{world.address}:8080/").stdout == "c1\n"
    entry, = world.published()
    assert (entry["source"], entry["to"]) == ("docker", f"{world.docker.address('c1', 'web')}:80")
    world.docker.cli("stop", "--time", "0", "c1")
    wait.until(lambda: world.published() == [], "nothing is published any longer")
    assert http(world.outside, 8080) is None
    world.docker.cli("start", "c1")
    wait_http(world.outside, 8080, "c1")


def test_the_way_out(world):
    world.create("web")
    world.docker.run("c1", "web")
    assert traffic.ping(world.outside, world.address, 1) == 1
    world.docker.wait_reaches("c1", WORLD)
    world.create("closed", "--internal")
    world.docker.run("c2", "closed")
    assert not world.docker.reaches("c2", WORLD)


def test_ports_that_are_chosen(world):
    world.create("web")
    serve(world, "c1", "web", "--publish", "80", "--publish", "127.0.0.1:81:80", "--publish", "7000-7001:80",
          "--expose", "90-91", "--publish-all")
    serve(world, "c2", "web", "--publish", "7000-7001:80", "--publish", "7100-7119:100-119/udp")
    chosen = bound(world)
    assert {("tcp", "127.0.0.1", 81), ("tcp", "0.0.0.0", 7000), ("tcp", "0.0.0.0", 7001)} <= set(chosen)
    assert [port for protocol, _, port in chosen if protocol == "udp"] == list(range(7100, 7120))
    low, high = map(int, world.host.run("cat", "/proc/sys/net/ipv4/ip_local_port_range").stdout.split())
    random = [port for _, _, port in chosen if low <= port <= high]
    assert len(set(random)) == 3  # 80, and what is exposed
    refused = world.docker.refused("run", "--network", "web", "--publish", "7000-7001:80", IMAGE, "true")
    assert "none of the host's 7000 to 7001 is free" in refused
    wait_http(world.outside, 7001, "c2")
    assert http(world.outside, 7000) == "c1" and http(world.outside, 81) is None
    assert http(world.host, 81, "127.0.0.1") == "c1"


def test_udp(world, stack):
    world.create("web")
    world.docker.run("c1", "web", "--publish", "5300:53/udp")
    stack.enter_context(traffic.udp_server(Inside(world, "c1"), 53))
    assert traffic.udp_ask(world.outside, world.address, 5300, b"hello") == b"c1 hello"


def test_ip6_and_sctp(world):
    """Both families at one port where nothing is said, and one of them by its own address."""
    world.create("six", "--ipv6", "--subnet", "10.16.0.0/24", "--subnet", "fd00:16::/64")
    host6 = "2001:db8:7::1"
    world.host.run("ip", "addr", "replace", f"{host6}/64", "dev", "up0", "nodad")
    world.outside.run("ip", "addr", "replace", "2001:db8:7::2/64", "dev", "eth0", "nodad")
    serve(world, "c1", "six", "--publish", "8080:80", "--publish", "[::]:8081:80", "--publish", "8082:80/sctp")
    assert bound(world) == [("sctp", "0.0.0.0", 8082), ("sctp", "::", 8082), ("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080),
                            ("tcp", "::", 8081)]
    wait_http(world.outside, 8080, "c1")
    for port in (8080, 8081):
        for ns in (world.outside, world.host):
            assert http(ns, port, host6) == "c1"
    assert http(world.outside, 8081) is None
    assert sctp.associates(world.outside, Inside(world, "c1"), world.address, 8082, 80)[0] == WORLD


def test_what_cannot_be_published_is_refused_in_words(world, stack):
    world.create("web")
    world.create("island", "--opt", "mode=bridge")
    docker = world.docker
    listener = stack.enter_context(world.host.socket())
    listener.bind(("0.0.0.0", 8100))
    listener.listen()
    serve(world, "c1", "web", "--publish", "8080:80")
    for words, line in ((("--publish", "8080:80"), "port: 8080 is published as docker-"),
                        (("--publish", "8100:80"), "a program of this host has 8100 already"),
                        (("--publish", "192.0.2.99:8200:80"), "this host has no such address"),
                        (("--publish", "[::]:8200:80"), "the container has no address of the family of the host's"),
                        (("--publish", "9000-9256:9000-9256"), "at most 256 published ports"),
                        (("--publish", "8300:80", "--publish", "8301:81", "--publish", "8080:82"), "8080 is published")):
        assert line in docker.refused("run", "--name", "no", "--network", "web", *words, IMAGE, "true"), words
        docker.cli("rm", "--force", "no")
    refused = docker.refused("run", "--network", "island", "--publish", "8200:80", IMAGE, "true")
    assert "is of mode bridge, whose ports lead in from uplinks, and there is none" in refused
    assert bound(world) == [("tcp", "0.0.0.0", 8080)]
    wait_http(world.outside, 8080, "c1")


def test_ports_of_a_network_beside_the_host_lead_in_from_uplinks(world, stack):
    """`--opt mode=bridge`: at the uplink's address, and the host's own ports stay free."""
    daemon = world.daemon
    daemon.rpc("uplink.add", name="out", type="tap", ifname="out0", address="192.0.2.1/24")
    stack.callback(daemon.rpc, "uplink.del", name="out")
    stack.callback(world.docker.clear)
    daemon.wait_port("out")
    world.host.run("ip", "addr", "add", "192.0.2.2/24", "dev", "out0")
    world.create("island", "--opt", "mode=bridge")
    serve(world, "c1", "island", "--publish", "8080:80", "--publish", "192.0.2.1:8081:80", "--publish", "80")
    for port in (8080, 8081, next(one["port"] for one in world.published() if one["port"] not in (8080, 8081))):
        wait_http(world.host, port, "c1", "192.0.2.1")
    assert "no uplink has this address" in world.docker.refused(
        "run", "--network", "island", "--publish", "192.0.2.9:8082:80", IMAGE, "true")
    assert http(world.host, 8080) is None  # of the host's own address


def test_ports_follow_the_network_with_the_default_route(world):
    world.create("one")
    world.create("two")
    serve(world, "c1", "one", "--publish", "8080:80")
    world.docker.cli("network", "connect", "two", "c1")
    world.docker.cli("network", "disconnect", "one", "c1")
    entry, = world.published()
    assert entry["to"] == f"{world.docker.address('c1', 'two')}:80"
    wait_http(world.outside, 8080, "c1")


@pytest.mark.parametrize("lost", [None, "state.log"])
def test_the_daemon_is_killed(world, lost):
    world.create("web")
    serve(world, "c1", "web", "--publish", "8080:80", "--publish", "80")
    serve(world, "c2", "web", "--publish", "8081:80")
    wait.until(lambda: (world.daemon.state / "docker.log").read_text().count("ifname") >= 2, "names are known")
    before = bound(world)
    world.daemon.wait_kept("eth0")
    world.daemon.kill()
    if lost:
        (world.daemon.state / lost).unlink()
    world.daemon.start()
    assert bound(world) == before
    for _, _, port in before:
        wait_http(world.outside, port, "c2" if port == 8081 else "c1")
    world.docker.cli("rm", "--force", "c1")
    assert bound(world) == [("tcp", "0.0.0.0", 8081)]


def test_docker_is_killed(world):
    world.create("web")
    serve(world, "c1", "web", "--publish", "8080:80")
    world.docker.kill()
    world.docker.start()
    world.docker.cli("start", "c1")
    wait_http(world.outside, 8080, "c1")
    assert bound(world) == [("tcp", "0.0.0.0", 8080)]


def test_containers_with_ports_come_and_go_without_a_trace(world):
    world.create("web")

    def turn(n):
        world.docker.run(f"t{n}", "web", "--publish", "8080:80", "--publish", "81", "--publish", "8082:82/udp")
        world.docker.cli("rm", "--force", f"t{n}")

    turn(0)
    files = open_files(world.daemon.process.pid)
    links = world.links()
    for n in range(1, 4):
        turn(n)
    wait.until(lambda: world.published() == [] and world.ports() == [], "nothing is left")
    wait.until(lambda: open_files(world.daemon.process.pid) <= files, "no more files are open than before")
    assert world.links() == links
    rules = world.host.run("nft", "list", "ruleset").stdout
    assert "dnat ip to" not in rules
