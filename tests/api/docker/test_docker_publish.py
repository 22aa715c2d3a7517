"""Published ports (`-p`) as Docker asks for them: wrong, twice, too many, and through crashes."""

import pytest

from rig.docker_plugin import EP, EP2, NET, crash, endpoint, port_of

PORTMAP = "com.docker.network.portmap"


class World:
    def __init__(self, daemon, plugin):
        self.daemon, self.plugin = daemon, plugin

    def program(self, *portmap, endpoint_id=EP):
        return self.plugin.network("ProgramExternalConnectivity", NetworkID=NET, EndpointID=endpoint_id,
                                   Options={PORTMAP: list(portmap)})

    def refused(self, portmap, endpoint_id=EP):
        return self.plugin.refused("NetworkDriver.ProgramExternalConnectivity", NetworkID=NET, EndpointID=endpoint_id,
                                   Options={PORTMAP: portmap})

    def revoke(self, endpoint_id=EP):
        return self.plugin.network("RevokeExternalConnectivity", NetworkID=NET, EndpointID=endpoint_id)

    def told(self, endpoint_id=EP):
        """What Docker is told of it: (protocol, address, port of the host, port)."""
        value = self.plugin.network("EndpointOperInfo", NetworkID=NET, EndpointID=endpoint_id)["Value"]
        return [(one["Proto"], one["HostIP"], one["HostPort"], one["Port"]) for one in value.get(PORTMAP, [])]

    def published(self):
        return {entry["name"]: (entry["port"], entry["to"]) for entry in self.daemon.rpc("publish.list")}


def binding(port=80, host_port=8080, **fields):
    return {"Proto": 6, "IP": "", "Port": port, "HostIP": "", "HostPort": host_port, "HostPortEnd": host_port, **fields}


@pytest.fixture
def world(start, netns, requires):
    """A network of mode host, in a host of its own, with two endpoints."""
    requires("ip", "nft")
    daemon, plugin = start(ns=netns("host"))
    plugin.create(NET, "10.1.0.0/24", "10.1.0.1/24", {"mode": "host"})
    endpoint(plugin)
    endpoint(plugin, EP2, "10.1.0.10/24")
    return World(daemon, plugin)


def test_what_docker_asks_for_is_what_it_is_told(world):
    world.program(binding(), binding(53, 5300, Proto=17, HostIP="127.0.0.1"), binding(81, 0))
    first, second, third = world.told()
    assert (first, second) == ((6, "0.0.0.0", 8080, 80), (17, "127.0.0.1", 5300, 53)) and third[3] == 81
    assert world.published() == {f"{port_of()}-0": (8080, "10.1.0.9:80"), f"{port_of()}-1": (5300, "10.1.0.9:53"),
                                 f"{port_of()}-2": (third[2], "10.1.0.9:81")}
    for _ in range(2):
        world.revoke()
        assert world.told() == [] and world.published() == {}


def test_it_repeats_itself_and_changes_its_mind(world):
    world.program(binding(), binding(81, 0))
    told = world.told()
    for _ in range(3):
        world.program(binding(), binding(81, 0))
        assert world.told() == told  # a port that was chosen stays
    world.program(binding(82, 8082))
    assert world.told() == [(6, "0.0.0.0", 8082, 82)] and len(world.published()) == 1
    world.program()
    assert world.told() == [] and world.published() == {}
    for _ in range(10):
        world.program(binding())
        world.revoke()
    assert world.published() == {}


@pytest.mark.parametrize("portmap, line", [
    (7, f"{PORTMAP}: must be a list"),
    ({"Port": 80}, f"{PORTMAP}: must be a list"),
    ([7], f"{PORTMAP}: must hold objects"),
    ([{}], "Port: of a published port must be 1..65535"),
    ([binding("80")], "Port: of a published port must be"),
    ([binding(65536)], "Port: of a published port must be"),
    ([binding(-1)], "Port: of a published port must be"),
    ([binding(80, 65536)], "HostPort: of a published port must be 0..65535"),
    ([binding(80, 1 << 40)], "HostPort: of a published port must be 0..65535"),
    ([binding(HostPortEnd=80)], "HostPortEnd: is below HostPort"),
    ([binding(80, 0, HostPortEnd=80)], "HostPortEnd: is below HostPort"),
    ([binding(HostPortEnd=[])], "HostPortEnd: of a published port must be"),
    ([binding(Proto=1)], "port 80: of TCP, UDP and SCTP can be published, of protocol 1 not"),
    ([binding(Proto="tcp")], "of TCP, UDP and SCTP can be published"),
    ([binding(HostIP=7)], "HostIP: must be a string"),
    ([binding(HostIP="localhost")], "HostIP: must be an IP address"),
    ([binding(HostIP="::")], "port 80: the container has no address of the family of the host's"),
    ([binding(HostIP="192.0.2.77")], "this host has no such address"),
    ([binding()] * 257, "at most 256 published ports"),
    ([binding(), binding()], "port: 8080 is published as docker-"),
    ([binding(), binding(81, 8081), binding(82, 0, Proto=99)], "protocol 99"),
    ([binding(80, 8080, HostPortEnd=8081)] * 3, "port 80: none of the host's 8080 to 8081 is free"),
])
def test_what_cannot_be_is_refused_whole(world, portmap, line):
    assert line in world.refused(portmap)
    assert world.published() == {} and world.told() == []
    world.program(binding())


def test_both_families_at_one_port(start, netns, requires):
    requires("ip", "nft")
    daemon, plugin = start(ns=netns("host"))
    data = [{"AddressSpace": "SluiceLocal", "Pool": pool, "Gateway": gateway, "AuxAddresses": {}}
            for pool, gateway in (("10.1.0.0/24", "10.1.0.1/24"), ("fd00:1::/64", "fd00:1::1/64"))]
    plugin.network("CreateNetwork", NetworkID=NET, IPv4Data=data[:1], IPv6Data=data[1:],
                   Options={"com.docker.network.generic": {"mode": "host"}, "com.docker.network.enable_ipv6": True})
    endpoint(plugin, AddressIPv6="fd00:1::9/64")
    world = World(daemon, plugin)
    daemon.ctl("publish", "add", "taken", "--port", "8080", "--to", "[fd00:1::9]:1")
    assert "8080 is published as taken" in world.refused([binding()])
    assert list(world.published()) == ["taken"]  # what was made of IPv4 is gone again
    world.program(binding(80, 8080, HostPortEnd=8081), binding(81, 8080, HostIP="0.0.0.0"), binding(82, 0, HostIP="::"),
                  binding(83, 8083, Proto=132))
    told = world.told()
    chosen = told[3][2]
    assert told == [(6, "0.0.0.0", 8081, 80), (6, "::", 8081, 80), (6, "0.0.0.0", 8080, 81), (6, "::", chosen, 82),
                    (132, "0.0.0.0", 8083, 83), (132, "::", 8083, 83)]
    assert world.published()[f"{port_of()}-1"] == (8081, "[fd00:1::9]:80")
    before = world.published()
    daemon.wait_kept(f"{port_of()}-5")
    daemon.kill()
    (daemon.state / "state.log").unlink()
    daemon.start()
    before.pop("taken")
    assert (world.published(), world.told()) == (before, told)
    world.revoke()
    assert world.published() == {}


def test_as_many_as_there_may_be(world):
    world.program(*(binding(1 + n, 10000 + n) for n in range(256)))
    assert len(world.published()) == 256 and world.told()[-1] == (6, "0.0.0.0", 10255, 256)
    assert "10100 is published as" in world.refused([binding(80, 10100)], EP2)
    world.revoke()
    assert world.published() == {}


def test_all_of_the_hosts_ports_are_taken(world):
    host = world.daemon.ns
    host.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40002")
    world.program(*(binding(80 + n, 0) for n in range(3)))
    assert sorted(port for _, _, port, _ in world.told()) == [40000, 40001, 40002]
    assert world.refused([binding(80, 0)], EP2) == "port 80: none of the host's 40000 to 40002 is free"
    world.program(binding(80, 0, Proto=17), endpoint_id=EP2)  # UDP has its own
    world.revoke()
    world.program(binding(80, 0))


@pytest.mark.parametrize("way", ["Leave", "DeleteEndpoint"])
def test_a_container_that_leaves_without_a_revoke(world, netns, way):
    world.plugin.network("Join", NetworkID=NET, EndpointID=EP, SandboxKey=netns("box").path, Options={})
    world.program(binding(), binding(81, 0))
    world.plugin.network(way, NetworkID=NET, EndpointID=EP)
    assert world.published() == {}


@pytest.mark.parametrize("lost", [None, "state.log", "docker.log"])
def test_through_a_crash(world, lost):
    """A file that is lost stands for a change that one file had at the crash, and the other had not."""
    world.program(binding(), binding(81, 0))
    before = (world.published(), world.told())
    world.daemon.wait_kept(f"{port_of()}-1")
    world.daemon.kill()
    if lost:
        (world.daemon.state / lost).unlink()
    world.daemon.start()
    if lost == "docker.log":
        assert world.published() == {} and world.daemon.rpc("network.list") == []
    else:
        assert (world.published(), world.told()) == before
        world.revoke()
        assert world.published() == {}


def test_a_revoke_holds_through_a_crash_at_once(world):
    world.program(binding())
    world.daemon.wait_kept(f"{port_of()}-0")
    world.revoke()
    crash(world.daemon)
    assert world.published() == {} and world.told() == []


def test_what_the_user_takes_away_himself(world):
    world.program(binding())
    world.daemon.rpc("publish.del", name=f"{port_of()}-0")
    world.revoke()
    assert world.told() == []
