"""Docker with Sluice as its network and IPAM driver: real containers of a real dockerd, through a real switch."""

import json

import pytest

from rig import traffic, wait
from rig.daemon import ROOT
from rig.docker_world import DRIVER, Inside
from rig.dockerd import IMAGE
from rig.howto import run_page
from rig.process import open_files

OUTSIDE6 = "fd00:ffff::"


def addresses(docker, name):
    """{interface: [address with its prefix]} in a container."""
    found = {}
    for line in docker.exec(name, "ip", "-o", "-4", "addr", "show").stdout.splitlines():
        words = line.split()
        found.setdefault(words[1], []).append(words[3])
    return found


def routes(docker, name):
    return docker.exec(name, "ip", "route").stdout


def test_two_containers_talk_and_find_each_other_by_name(world):
    network = world.create("web", ipam=False)
    docker = world.docker
    first, second = docker.run("c1", "web"), docker.run("c2", "web")
    assert first != second
    for target in (second, "c2"):
        docker.wait_reaches("c1", target)
    docker.wait_reaches("c2", "c1")
    ports = world.ports(network)
    assert sorted(ip for port in ports for ip in port["ips"]) == sorted([first, second])
    assert all(port["state"] == "up" and port["rx_packets"] > 0 for port in ports)
    shown = docker.inspect("network", "web")
    assert {c["Name"]: c["IPv4Address"].split("/")[0] for c in shown["Containers"].values()} == {"c1": first, "c2": second}
    assert {c["MacAddress"] for c in shown["Containers"].values()} == {port["mac"] for port in ports}
    assert f"default via {shown['IPAM']['Config'][0]['Gateway']} dev eth0" in routes(docker, "c1")


def test_names_reach_containers_of_one_network_only(world):
    world.create("one")
    world.create("two")
    docker = world.docker
    docker.run("c1", "one")
    other = docker.run("c2", "two")
    assert not docker.reaches("c1", "c2") and not docker.reaches("c1", other)


def test_addresses_and_macs_that_a_user_asks_for(world):
    world.create("web", "--subnet", "10.91.0.0/24", "--gateway", "10.91.0.254", "--ip-range", "10.91.0.64/28",
                 "--aux-address", "printer=10.91.0.64")
    docker = world.docker
    assert docker.run("c1", "web") == "10.91.0.65"  # the first of the range is the printer's
    assert docker.run("c2", "web", "--ip", "10.91.0.9") == "10.91.0.9"
    assert "is taken" in docker.refused("run", "--network", "web", "--ip", "10.91.0.9", IMAGE, "true")
    assert "is taken" in docker.refused("run", "--network", "web", "--ip", "10.91.0.64", IMAGE, "true")
    assert "is taken" in docker.refused("run", "--network", "web", "--ip", "10.91.0.254", IMAGE, "true")
    docker.wait_reaches("c1", "10.91.0.9")
    docker.wait_reaches("c1", "10.91.0.254")
    assert "default via 10.91.0.254 dev eth0" in routes(docker, "c2")
    macs = {port["mac"] for port in world.ports()}
    docker.cli("rm", "--force", "c2")
    docker.run("c2", "web", "--ip", "10.91.0.9")
    assert len(macs - {port["mac"] for port in world.ports()}) == 1  # the address again, but not the MAC


def test_what_docker_cannot_have_is_refused_in_words(world):
    docker = world.docker
    create = ("network", "create", "--driver", DRIVER, "--ipam-driver", DRIVER)
    assert "option colour: unknown" in docker.refused(*create, "--opt", "colour=red", "n")
    assert "vni" in docker.refused(*create, "--opt", "vni=0", "n")
    assert "vni: must be a number" in docker.refused(*create, "--opt", "vni=ten", "n")
    assert "mode" in docker.refused(*create, "--opt", "mode=token-ring", "n")
    assert "vni: only for modes overlay and host" in docker.refused(*create, "--opt", "vni=9", "--opt", "mode=bridge", "n")
    assert "mtu" in docker.refused(*create, "--opt", "mtu=20", "n")
    assert 'no such network "lost"' in docker.refused(*create, "--opt", "sluice.network=lost", "n")
    assert "of IPv6 none is chosen: use --subnet" in docker.refused(*create, "--ipv6", "n")
    assert world.networks() == []
    assert "egress: host is not for mode bridge" in docker.refused(*create, "--opt", "egress=host", "--opt", "mode=bridge", "n")
    assert "this host has a route to 198.51.100.0/25" in docker.refused(*create, "--subnet", "198.51.100.0/25", "n")
    assert world.networks() == []


def test_options_reach_the_network(world):
    network = world.create("far", "--opt", "vni=4711", "--opt", "mtu=1300")
    shown, = world.networks()
    assert (shown["name"], shown["mode"], shown["vni"], shown["mtu"]) == (network, "overlay", 4711, 1300)
    world.docker.run("c1", "far")
    assert "mtu 1300" in world.docker.exec("c1", "ip", "link", "show", "eth0").stdout


def test_containers_in_a_network_of_the_daemon(world, stack):
    daemon, docker = world.daemon, world.docker
    daemon.rpc("network.add", name="lab", subnet="10.92.0.0/24", gateway="10.92.0.1")
    stack.callback(daemon.rpc, "network.del", name="lab")
    daemon.rpc("service.add", name="api", network="lab", vip="10.92.0.2", port=80, protocol="tcp")
    stack.callback(daemon.rpc, "service.del", name="api")
    stack.callback(docker.clear)
    assert "has subnet 10.92.0.0/24 and gateway 10.92.0.1" in docker.refused(
        "network", "create", "--driver", DRIVER, "--opt", "sluice.network=lab", "--subnet", "10.93.0.0/24", "lab")
    world.create("lab", "--opt", "sluice.network=lab", "--ipam-opt", "sluice.network=lab")
    config, = docker.inspect("network", "lab")["IPAM"]["Config"]
    assert config == {"Subnet": "10.92.0.0/24", "Gateway": "10.92.0.1"}
    assert docker.run("c1", "lab") == "10.92.0.3"  # the vip is the service's
    docker.run("c2", "lab")
    docker.wait_reaches("c1", "c2")
    docker.clear()
    assert [network["name"] for network in daemon.rpc("network.list")] == ["lab"]


def test_a_running_container_joins_and_leaves(world):
    docker = world.docker
    world.create("one")
    two = world.create("two", "--subnet", "10.94.0.0/24")
    docker.run("c1", "one")
    docker.run("c2", "two")
    docker.cli("network", "connect", "--ip", "10.94.0.77", "two", "c1")
    assert addresses(docker, "c1")["eth1"] == ["10.94.0.77/24"]
    docker.wait_reaches("c1", "c2")
    docker.cli("network", "disconnect", "two", "c1")
    assert "eth1" not in addresses(docker, "c1") and len(world.ports(two)) == 1
    docker.cli("network", "connect", "two", "c1")
    docker.wait_reaches("c1", "c2")
    docker.cli("stop", "--time", "0", "c1")
    docker.cli("kill", "c2")
    wait.until(lambda: not world.ports(), "the ports of both are gone")
    docker.cli("start", "c1", "c2")
    docker.wait_reaches("c1", "c2")
    assert "has active endpoints" in docker.refused("network", "rm", "two")


def test_a_container_without_a_way_out(world):
    world.create("closed", "--internal")
    world.docker.run("c1", "closed")
    world.docker.run("c2", "closed")
    world.docker.wait_reaches("c1", "c2")
    assert "default" not in routes(world.docker, "c1")
    assert list(addresses(world.docker, "c1")) == ["lo", "eth0"]


def test_both_families(world, stack):
    world.host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    for ns, link, address in ((world.host, "up0", f"{OUTSIDE6}1/64"), (world.outside, "eth0", f"{OUTSIDE6}2/64")):
        ns.run("ip", "addr", "add", address, "dev", link, "nodad")
        stack.callback(ns.run, "ip", "addr", "del", address, "dev", link)
    world.create("six", "--ipv6", "--subnet", "10.98.1.0/24", "--subnet", "fd00:98::/64")
    docker = world.docker
    docker.run("c1", "six")
    docker.run("c2", "six", "--ip6", "fd00:98::77")
    assert "is taken" in docker.refused("run", "--network", "six", "--ip6", "fd00:98::77", IMAGE, "true")
    shown = docker.inspect("container", "c1")["NetworkSettings"]["Networks"]["six"]
    first = shown["GlobalIPv6Address"]
    assert (first, shown["GlobalIPv6PrefixLen"], shown["IPv6Gateway"]) == ("fd00:98::2", 64, "fd00:98::1")
    assert {port["ips"][1] for port in world.ports()} == {first, "fd00:98::77"}
    for target in ("fd00:98::77", "fd00:98::1", "10.98.1.1", "c2", f"{OUTSIDE6}2"):  # the last under the host's address
        docker.wait_reaches("c1", target)
    assert not docker.reaches("c1", "fd00:98::78")
    wait.until(lambda: (world.daemon.state / "docker.log").read_text().count("ifname") >= 2, "names are known")
    world.daemon.wait_kept("eth0")
    restart(world, "killed")
    for target in ("fd00:98::77", "fd00:98::1", f"{OUTSIDE6}2", "10.98.1.1"):
        docker.wait_reaches("c1", target)
    docker.cli("rm", "--force", "c2")
    docker.run("c3", "six")
    assert docker.inspect("container", "c3")["NetworkSettings"]["Networks"]["six"]["GlobalIPv6Address"] == "fd00:98::3"


def test_containers_come_and_go_without_a_trace(world):
    docker, daemon = world.docker, world.daemon
    world.create("web", "--subnet", "10.95.0.0/29")

    def turn(n):
        docker.run(f"t{n}", "web")
        docker.cli("rm", "--force", f"t{n}")

    turn(0)
    files = open_files(daemon.process.pid)
    interfaces = world.links()
    for n in range(1, 7):  # in a subnet of 5 addresses
        turn(n)
    wait.until(lambda: not world.ports(), "no port is left")
    wait.until(lambda: open_files(daemon.process.pid) <= files, "the daemon has no more files open than before")
    assert world.links() == interfaces
    assert docker.namespaces() == []


def restart(world, how):
    if how == "killed":
        world.daemon.kill()
    else:
        world.daemon.stop()
    world.daemon.start()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_traffic_goes_on_after_the_daemon_is_back(world, stack, how):
    docker = world.docker
    world.create("one")
    world.create("two")
    docker.run("c1", "one")
    docker.cli("network", "connect", "two", "c1")
    docker.run("c2", "one")
    docker.run("c3", "two")
    before = {name: (addresses(docker, name), sorted(routes(docker, name).splitlines()[:1])) for name in ("c1", "c2", "c3")}
    wait.until(lambda: (world.daemon.state / "docker.log").read_text().count('ifname') >= 4, "names are known")
    docker.cli("exec", "--detach", "c2", "nc", "-l", "-p", "9000", "-e", "cat")
    talk = stack.enter_context(docker.pipe("c1", "nc", docker.address("c2", "one"), "9000"))
    assert talk("before") == "before"
    world.daemon.wait_kept("eth1")
    restart(world, how)
    for target in ("c2", "c3"):
        docker.wait_reaches("c1", target)
    assert talk("after") == "after"  # the same connection
    after = {name: (addresses(docker, name), sorted(routes(docker, name).splitlines()[:1])) for name in ("c1", "c2", "c3")}
    assert after == before
    assert {port["state"] for port in world.ports()} == {"up"}
    docker.run("c4", "one")  # and everything still can be done
    docker.wait_reaches("c4", "c1")
    docker.cli("network", "disconnect", "two", "c1")
    docker.clear()
    assert world.networks() == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_dockerd_comes_back(world, how):
    docker = world.docker
    world.create("web", "--subnet", "10.96.1.0/24")
    docker.run("c1", "web", "--ip", "10.96.1.9")
    getattr(docker, how)()
    docker.start()
    wait.until(lambda: not world.ports(), "the port of a container that Docker has ended is gone")
    docker.cli("start", "c1")
    assert docker.address("c1", "web") == "10.96.1.9"
    docker.run("c2", "web")
    docker.wait_reaches("c2", "c1")


@pytest.mark.parametrize("first", ["daemon", "docker"])
def test_both_are_killed(world, first):
    docker, daemon = world.docker, world.daemon
    world.create("web", "--subnet", "10.97.1.0/24")
    docker.run("c1", "web")
    docker.run("c2", "web")
    for one in ("daemon", "docker") if first == "daemon" else ("docker", "daemon"):
        getattr(world, one).kill()
    for one in ("daemon", "docker"):
        getattr(world, one).start()
    docker.cli("start", "c1", "c2")
    docker.wait_reaches("c1", "c2")
    assert len(world.ports()) == 2 and {port["state"] for port in world.ports()} == {"up"}


@pytest.fixture
def live_restore(world):
    """Docker with containers that outlive it."""
    usual = world.docker.flags
    world.docker.stop()
    world.docker.flags = (*usual, "--live-restore")
    world.docker.start()
    yield world
    world.docker.flags = usual


@pytest.mark.parametrize("first", ["daemon", "docker"])
def test_containers_that_outlive_docker(live_restore, stack, first):
    """Nothing is told again by who comes back: a connection goes on, and so does all else."""
    world = live_restore
    docker, daemon = world.docker, world.daemon
    network = world.create("web")
    docker.run("c1", "web")
    address = docker.run("c2", "web", "--publish", "8080:80")
    c1, c2 = Inside(world, "c1"), Inside(world, "c2")
    stack.enter_context(traffic.tcp_server(c2, 80))
    talk = stack.enter_context(traffic.EchoClient(c1, address, 80))
    daemon.wait_all_kept()
    docker.kill()
    talk.echo("Docker is away")
    daemon.kill()
    for one in (daemon, docker) if first == "daemon" else (docker, daemon):
        one.start()
    talk.echo("both are back")
    assert docker.address("c2", "web") == address and len(world.ports(network)) == 2
    with traffic.EchoClient(world.outside, world.address, 8080) as connection:
        connection.echo()
    docker.run("c3", "web")
    docker.wait_reaches("c3", "c1")
    docker.cli("rm", "--force", "c1")
    wait.until(lambda: len(world.ports(network)) == 2, "the port of c1 is gone")


def test_a_container_that_is_full_of_networks(world):
    """The default route follows the network that Docker gives it to, also after a restart."""
    docker = world.docker
    for name in ("one", "two", "three"):
        world.create(name)
    docker.run("c1", "one")
    docker.cli("network", "connect", "two", "c1")
    docker.cli("network", "connect", "three", "c1")
    docker.cli("network", "disconnect", "one", "c1")
    gateway = routes(docker, "c1").splitlines()[0]
    assert gateway.startswith("default via")
    wait.until(lambda: (world.daemon.state / "docker.log").read_text().count('eth2'), "names are known")
    world.daemon.wait_kept("eth2")
    restart(world, "killed")
    wait.until(lambda: {port["state"] for port in world.ports()} == {"up"}, "the ports are up")
    assert routes(docker, "c1").splitlines()[0].split()[:5] == gateway.split()[:5]
    assert json.loads(docker.out("network", "inspect", "one"))[0]["Containers"] == {}


def test_the_page_works(running, tmp_path):
    """docs/howto/docker.md, with a Docker of its own, where one runs at all."""
    run_page(ROOT / "docs/howto/docker.md", tmp_path)


# What the reader of the first page has: Docker, with an image of busybox, and the unit of systemd, here without systemd.
INSTALLED = """
mkdir -p /run/etc/new /run/etc/work /run/bin /run/box/bin
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/new,workdir=/run/etc/work none /etc
mkdir -p /etc/sluice
cat >/run/bin/systemctl <<'END'
#!/bin/sh
[ "$*" = "restart sluiced" ] || exit 1
sluiced --no-huge </dev/null >/run/sluiced.log 2>&1 &
until sluicectl status >/dev/null 2>&1; do sleep 0.1; done
END
chmod +x /run/bin/systemctl
PATH=/run/bin:$PATH
dockerd --storage-driver vfs >/run/dockerd.log 2>&1 &
until docker version >/dev/null 2>&1; do sleep 0.2; done
cp "$(command -v busybox)" /run/box/bin/busybox
for applet in sh ping sleep httpd wget; do ln -s busybox /run/box/bin/$applet; done
tar -C /run/box -c . | docker import - busybox
"""


def test_the_first_page_works(running, tmp_path, requires):
    """docs/README.md, beside a Docker as it is by default."""
    requires("curl", "iptables")
    said = run_page(ROOT / "docs/README.md", tmp_path, INSTALLED)
    answers = {words[1]: int(words[0]) for words in map(str.split, said.splitlines())
               if len(words) == 2 and words[1] in ("shop1", "shop2")}
    assert sum(answers.values()) == 150 and len(answers) == 2, (answers, said)
