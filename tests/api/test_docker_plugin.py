"""Docker's driver, asked by somebody who lies, repeats himself, stalls and does not know when to stop."""

import json
import os
import socket
import stat
import time

import pytest

from rig import wait
from rig.daemon import Daemon
from rig.docker_plugin import Plugin, take_interface
from rig.netns import Netns
from rig.process import open_files, run

NET, OTHER, LOST = ("a1" * 32, "b2" * 32, "c3" * 32)
EP, EP2 = ("d4" * 32, "e5" * 32)
SUBNET, GATEWAY = "10.1.0.0/24", "10.1.0.1/24"

CALLS = [f"NetworkDriver.{verb}" for verb in (
    "CreateNetwork", "DeleteNetwork", "CreateEndpoint", "EndpointOperInfo", "DeleteEndpoint", "Join", "Leave",
    "ProgramExternalConnectivity", "RevokeExternalConnectivity")] + [f"IpamDriver.{verb}" for verb in (
        "RequestPool", "ReleasePool", "RequestAddress", "ReleaseAddress")]
FIELDS = ("NetworkID", "EndpointID", "SandboxKey", "Interface", "Options", "IPv4Data", "IPv6Data", "PoolID", "Pool", "SubPool",
          "AddressSpace", "Address")


@pytest.fixture
def start(start_sluiced, tmp_path):
    """Starts a daemon with a plugin; returns it and Docker's side."""
    path = tmp_path / "plugins/sluice.sock"

    def begin(**docker):
        return start_sluiced({"docker": {"plugin": str(path), **docker}}), Plugin(path)

    return begin


@pytest.fixture
def world(start):
    return start()


@pytest.fixture
def joined(world):
    """(daemon, plugin) with network NET, whose subnet is of a pool of Sluice's."""
    daemon, plugin = world
    pool = plugin.pool(Pool=SUBNET)
    plugin.ipam("RequestAddress", PoolID=pool, Address="10.1.0.1", Options={"RequestAddressType": "com.docker.network.gateway"})
    plugin.create(NET, SUBNET, GATEWAY)
    return daemon, plugin


def endpoint(plugin, endpoint_id=EP, address="10.1.0.9/24", network=NET, **fields):
    return plugin.network("CreateEndpoint", NetworkID=network, EndpointID=endpoint_id, Options={},
                          Interface={"Address": address, "AddressIPv6": "", "MacAddress": "", **fields})


def join(plugin, sandbox, endpoint_id=EP, network=NET):
    return plugin.network("Join", NetworkID=network, EndpointID=endpoint_id, SandboxKey=str(sandbox), Options={})


def crash(daemon):
    daemon.kill()
    daemon.start()


def port_of(endpoint_id=EP):
    return f"docker-{endpoint_id[:12]}"


def test_what_it_says_of_itself(world):
    _, plugin = world
    assert plugin.call("Plugin.Activate") == {"Implements": ["NetworkDriver", "IpamDriver"]}
    assert plugin.network("GetCapabilities") == {"Scope": "local", "ConnectivityScope": "global"}
    assert plugin.ipam("GetCapabilities") == {"RequiresMACAddress": False, "RequiresRequestReplay": False}
    assert set(plugin.ipam("GetDefaultAddressSpaces").values()) == {"SluiceLocal", "SluiceGlobal"}
    for verb in ("DiscoverNew", "DiscoverDelete"):
        assert plugin.network(verb, DiscoveryType=1, DiscoveryData={"Address": "192.0.2.9", "Self": False}) == {}
    assert "swarm" in plugin.refused("NetworkDriver.AllocateNetwork", NetworkID=NET)
    assert plugin.post("NetworkDriver.Dance", {})[0] == 404
    assert plugin.post("", {})[0] == 404


def test_the_socket(start, start_sluiced, tmp_path):
    daemon, plugin = start()
    assert stat.S_IMODE(os.stat(plugin.path).st_mode) == 0o660
    assert daemon.rpc("status")["not_listening"] == []
    second = start_sluiced({"docker": {"plugin": plugin.path}})
    told, = second.rpc("status")["not_listening"]
    assert (told["server"], told["address"], told["why"]) == ("docker", plugin.path, "Address already in use")
    daemon.kill()  # which leaves its socket
    wait.until(lambda: not second.rpc("status")["not_listening"], "it has the socket")
    assert "Implements" in plugin.call("Plugin.Activate")
    second.stop()
    assert not os.path.exists(plugin.path)


def test_without_it_nothing_is_kept_for_docker(start_sluiced):
    daemon = start_sluiced()
    assert daemon.rpc("status")["not_listening"] == []
    assert "docker.log" not in os.listdir(daemon.state)


@pytest.mark.parametrize("docker, line", [
    ({"plugin": "sluice.sock"}, "docker.plugin"),
    ({"plugin": "/tmp/" + "x" * 200}, "docker.plugin"),
    ({"plug": "/tmp/x"}, "docker.plug: unknown key"),
    ({"pool": "10.0.0.0/25"}, "docker.pool: must have a prefix length of 8 to 24"),
    ({"pool": "10.0.0.0/7"}, "docker.pool"),
    ({"pool": "10.0.0.1/16"}, "docker.pool"),
    ([], "docker"),
])
def test_a_configuration_that_is_refused(docker, line):
    daemon = Daemon({"docker": docker}, start=False)
    try:
        done = run([*daemon.argv(), "--check-config"], check=False)
    finally:
        daemon.close()
    assert done.returncode == 1 and line in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_file_at_the_path_is_left_alone(start_sluiced, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(AssertionError, match="docker.plugin: .*is there and no socket"):
        start_sluiced({"docker": {"plugin": str(path)}})
    assert path.read_text() == "mine"


def test_noise(world):
    daemon, plugin = world
    files = open_files(daemon.process.pid)
    for noise in (b"", b"\0" * 10000, b"\xff\xfe\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST /Plugin.Activate HTTP/9.9\r\n\r\n",
                  b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: -1\r\n\r\n", os.urandom(100000),
                  b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                  b"POST /Plugin.Activate HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
                  b"POST /Plugin.Activate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"):
        assert b"Implements" not in plugin.raw(noise)
    for body in (b"{", b"[]", b"null", b"7", b'"x"', b"{} {}", b'{"a":1,"a":2}', b"\xff", b"[" * 100000, b'{"a":"\\u0000"}'):
        for path, field in (("NetworkDriver.CreateNetwork", "Err"), ("IpamDriver.RequestPool", "Error")):
            status, answer = plugin.post(path, body)
            assert status == 200 and json.loads(answer)[field].startswith("a request is one JSON object"), answer
    assert plugin.post("NetworkDriver.CreateNetwork", b" " * (10 << 20))[0] == 413
    assert "Err" in plugin.call("NetworkDriver.CreateNetwork", NetworkID=NET, 
                              Options={"com.docker.network.generic": {"x": "y" * 900000}})
    assert plugin.call("Plugin.Activate")["Implements"] and daemon.rpc("network.list") == []
    wait.until(lambda: open_files(daemon.process.pid) <= files, "its connections are closed")


def test_many_who_say_nothing(world, stack):
    daemon, plugin = world
    silent = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(150)]
    for sock in silent:
        sock.connect(plugin.path)
    assert daemon.rpc("network.list") == []
    for sock in silent:
        sock.close()
    assert plugin.call("Plugin.Activate")["Implements"]


@pytest.mark.parametrize("call", CALLS)
def test_fields_that_are_nothing_of_the_kind(joined, call):
    daemon, plugin = joined
    endpoint(plugin)
    before = (daemon.rpc("network.list"), daemon.rpc("port.list"))
    good = {"NetworkID": OTHER, "EndpointID": EP2, "SandboxKey": "/x", "Interface": {}, "Options": {}, "IPv4Data": [],
            "IPv6Data": [], "PoolID": "none", "Pool": "10.7.0.0/24", "SubPool": "", "AddressSpace": "SluiceLocal", "Address": ""}
    for field in FIELDS:
        for value in (7, "\u00e9" * 3000, "/", [[]], [7], {"a": {}}, True, ""):
            plugin.call(call, **{**good, field: value})
            plugin.call("NetworkDriver.DeleteNetwork", NetworkID=OTHER)
            plugin.call("IpamDriver.ReleasePool", PoolID="SluiceLocal/10.7.0.0/24")
    plugin.call(call)
    assert (daemon.rpc("network.list"), daemon.rpc("port.list")) == before


def test_fields_inside_of_others(joined):
    daemon, plugin = joined
    networks = daemon.rpc("network.list")
    entry = {"AddressSpace": "SluiceLocal", "Pool": "10.7.0.0/24", "Gateway": "10.7.0.1/24", "AuxAddresses": {}}
    for value in (7, None, [], {"a": []}, True, "", "x" * 5000, "0.0.0.0/0", "10.7.0.1/33"):
        for field in entry:
            plugin.call("NetworkDriver.CreateNetwork", NetworkID=OTHER, Options={}, IPv4Data=[{**entry, field: value}])
            plugin.network("DeleteNetwork", NetworkID=OTHER)
        for field in ("Address", "AddressIPv6", "MacAddress"):
            plugin.call("NetworkDriver.CreateEndpoint", NetworkID=NET, EndpointID=EP, Interface={field: value})
            plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
        for field in ("com.docker.network.generic", "com.docker.network.internal", "com.docker.network.enable_ipv6"):
            plugin.call("NetworkDriver.CreateNetwork", NetworkID=OTHER, Options={field: value}, IPv4Data=[entry])
            plugin.network("DeleteNetwork", NetworkID=OTHER)
        for field in ("sluice.network", "mode", "vni", "mtu", "egress"):
            plugin.call("NetworkDriver.CreateNetwork", NetworkID=OTHER, IPv4Data=[entry],
                        Options={"com.docker.network.generic": {field: value}})
            plugin.network("DeleteNetwork", NetworkID=OTHER)
    assert daemon.rpc("network.list") == networks


def test_networks_that_are_not_there(world):
    _, plugin = world
    for call in ("CreateEndpoint", "EndpointOperInfo", "Join", "ProgramExternalConnectivity"):
        assert plugin.refused(f"NetworkDriver.{call}", NetworkID=LOST, EndpointID=EP, SandboxKey="/x") == \
            f"NetworkID: no such network {LOST[:12]}"
    # what is not there is deleted already: Docker repeats itself
    for call in ("DeleteNetwork", "DeleteEndpoint", "Leave", "RevokeExternalConnectivity"):
        assert plugin.network(call, NetworkID=LOST, EndpointID=EP) == {}
    for network in ("", "short", "A" * 64, "x" * 65, "../../../etc/passwd", "a b c d e f g h"):
        assert plugin.refused("NetworkDriver.CreateNetwork", NetworkID=network).startswith("NetworkID: must be")


def test_a_network_twice(joined):
    daemon, plugin = joined
    plugin.create(NET, SUBNET, GATEWAY)
    assert len(daemon.rpc("network.list")) == 1
    assert "it is another" in plugin.refused(
        "NetworkDriver.CreateNetwork", NetworkID=NET, Options={},
        IPv4Data=[{"AddressSpace": "SluiceLocal", "Pool": "10.9.0.0/24", "Gateway": "10.9.0.1/24"}])
    # its first twelve letters are another's
    assert "already" in plugin.refused("NetworkDriver.CreateNetwork", NetworkID=NET[:12] + "f" * 20, Options={}, IPv4Data=[])
    assert "another" not in plugin.call("NetworkDriver.DeleteNetwork", NetworkID=NET).get("Err", "")
    assert daemon.rpc("network.list") == []


def test_a_network_that_is_used_stays(joined):
    daemon, plugin = joined
    endpoint(plugin)
    assert plugin.refused("NetworkDriver.DeleteNetwork", NetworkID=NET) == \
        f"NetworkID: network {NET[:12]} has endpoint {EP[:12]}"
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
    daemon.rpc("service.add", name="api", network=f"docker-{NET[:12]}", vip="10.1.0.100", port=80, protocol="tcp")
    assert "has service api" in plugin.refused("NetworkDriver.DeleteNetwork", NetworkID=NET)
    daemon.rpc("service.del", name="api")
    for _ in range(2):
        plugin.network("DeleteNetwork", NetworkID=NET)


def test_an_endpoint_twice(joined):
    _, plugin = joined
    first = endpoint(plugin)
    assert endpoint(plugin) == first and set(first["Interface"]) == {"MacAddress"}
    for fields in ({"address": "10.1.0.10/24"}, {"MacAddress": "02:00:00:00:00:01"}):
        with pytest.raises(AssertionError, match="and it is another"):
            endpoint(plugin, **fields)
    with pytest.raises(AssertionError, match=f"is taken by endpoint {EP[:12]}"):
        endpoint(plugin, EP2)
    assert endpoint(plugin, EP2, "10.1.0.10/24", MacAddress="02:00:00:00:00:07") == {"Interface": {}}


@pytest.mark.parametrize("interface, line", [
    ({"Address": "10.2.0.9/24"}, "is no host address of 10.1.0.0/24"),
    ({"Address": "10.1.0.9/16"}, "is no host address of 10.1.0.0/24"),
    ({"Address": "10.1.0.0/24"}, "is no host address of 10.1.0.0/24"),
    ({"Address": "10.1.0.255/24"}, "is no host address of 10.1.0.0/24"),
    ({"Address": "10.1.0.1/24"}, "is taken by the gateway"),
    ({"Address": "10.1.0.50/24"}, "is taken by port p"),
    ({"Address": "10.1.0.9"}, "must be an address with its prefix"),
    ({"AddressIPv6": "fd00::2/64"}, "no IPv6 addresses yet"),
    ({"MacAddress": "01:00:00:00:00:01"}, "must be a unicast MAC"),
    ({"MacAddress": "00:00:00:00:00:00"}, "must be a unicast MAC"),
    ({"MacAddress": "02:00:00:00:00:50"}, "is taken in network"),
    ({"MacAddress": 7}, "must be a string"),
])
def test_an_endpoint_that_cannot_be(joined, interface, line):
    daemon, plugin = joined
    daemon.rpc("port.add", name="p", network=f"docker-{NET[:12]}", type="null", ips=["10.1.0.50"], mac="02:00:00:00:00:50")
    assert line in plugin.refused("NetworkDriver.CreateEndpoint", NetworkID=NET, EndpointID=EP, Interface=interface)
    assert "no such endpoint" in plugin.refused("NetworkDriver.Join", NetworkID=NET, EndpointID=EP, SandboxKey="/x")


def test_joins(joined, netns):
    daemon, plugin = joined
    sandbox = netns("box")
    assert "no such endpoint" in plugin.refused("NetworkDriver.Join", NetworkID=NET, EndpointID=EP, SandboxKey="/x")
    endpoint(plugin)
    for path in ("", "relative", "/" + "x" * 5000):
        assert plugin.refused("NetworkDriver.Join", NetworkID=NET, EndpointID=EP, SandboxKey=path).startswith("SandboxKey:")
    answer = join(plugin, sandbox.path)
    assert answer == join(plugin, sandbox.path)  # had no answer
    source = answer["InterfaceName"]["SrcName"]
    assert answer["Gateway"] == "10.1.0.1" and answer["InterfaceName"]["DstPrefix"] == "eth" and len(source) <= 15
    assert daemon.port(port_of())["state"] == "down" and os.path.exists(f"/sys/class/net/{source}")
    take_interface(source, sandbox.name, "10.1.0.9/24", "eth3")
    daemon.wait_port(port_of())
    wait.until(lambda: "eth3" in (daemon.state / "docker.log").read_text(), "its name is known")
    assert "cannot be published" in plugin.refused(
        "NetworkDriver.ProgramExternalConnectivity", NetworkID=NET, EndpointID=EP,
        Options={"com.docker.network.portmap": [{"Proto": 6, "Port": 80, "HostPort": 80}]})
    for _ in range(2):
        plugin.network("ProgramExternalConnectivity", NetworkID=NET, EndpointID=EP, Options={"com.docker.network.portmap": []})
    daemon.wait_kept("eth3")
    crash(daemon)
    daemon.wait_port(port_of())
    assert "10.1.0.9/24" in sandbox.run("ip", "addr", "show", "eth3").stdout
    assert "default via 10.1.0.1" in sandbox.run("ip", "route").stdout
    for _ in range(2):
        plugin.network("Leave", NetworkID=NET, EndpointID=EP)
        assert daemon.rpc("port.list") == []
    assert plugin.network("EndpointOperInfo", NetworkID=NET, EndpointID=EP) == {"Value": {}}
    join(plugin, sandbox.path)
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)  # without a Leave
    assert daemon.rpc("port.list") == [] and not os.path.exists(f"/sys/class/net/{source}")


def test_a_join_elsewhere_without_a_leave(joined, netns):
    daemon, plugin = joined
    first, second = netns("one"), netns("two")
    endpoint(plugin)
    take_interface(join(plugin, first.path)["InterfaceName"]["SrcName"], first.name, "10.1.0.9/24")
    take_interface(join(plugin, second.path)["InterfaceName"]["SrcName"], second.name, "10.1.0.9/24")
    daemon.wait_port(port_of())
    assert "eth0" not in first.run("ip", "link").stdout and len(daemon.rpc("port.list")) == 1


def test_a_port_between_two_namespaces_at_a_crash(joined, netns):
    """The interface goes with the daemon; Docker finds it gone, and the container may join again."""
    daemon, plugin = joined
    sandbox = netns("box")
    endpoint(plugin)
    source = join(plugin, sandbox.path)["InterfaceName"]["SrcName"]
    crash(daemon)
    assert not os.path.exists(f"/sys/class/net/{source}")
    plugin.network("Leave", NetworkID=NET, EndpointID=EP)
    take_interface(join(plugin, sandbox.path)["InterfaceName"]["SrcName"], sandbox.name, "10.1.0.9/24")
    daemon.wait_port(port_of())


def test_pools(world):
    daemon, plugin = world
    daemon.rpc("network.add", name="mine", subnet="10.160.0.0/23")
    pool = plugin.pool()
    assert pool == "SluiceLocal/10.160.2.0/24"  # the first that nobody has
    assert plugin.pool(Pool="10.160.2.0/24") == pool  # had no answer
    for subnet in ("10.160.2.128/25", "10.160.0.0/12", "10.0.0.0/8"):
        assert "overlaps with pool 10.160.2.0/24" in plugin.refused(
            "IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool=subnet)
    plugin.create(NET, "10.160.2.0/24", "10.160.2.1/24")
    assert f"which network {NET[:12]} has" in plugin.refused(
        "IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool="10.160.2.0/24")
    for fields, line in (({"Pool": "10.0.0.0/32"}, "prefix length"), ({"Pool": "10.0.0.0/7"}, "prefix length"),
                         ({"Pool": "10.0.0.0"}, "Pool: must be"), ({"SubPool": "10.0.0.0/24"}, "SubPool: needs a Pool"),
                         ({"Pool": "10.5.0.0/24", "SubPool": "10.6.0.0/25"}, "SubPool: is not inside"),
                         ({"Pool": "10.5.0.0/24", "SubPool": "10.5.0.0/16"}, "SubPool: is not inside"),
                         ({"V6": True}, "IPv6"), ({"Options": {"x": "y"}}, "IPAM option x: unknown"),
                         ({"Options": {"sluice.network": "lost"}}, 'no network "lost"'),
                         ({"AddressSpace": "Mars"}, "AddressSpace: must be")):
        assert line in plugin.refused("IpamDriver.RequestPool", **{"AddressSpace": "SluiceLocal", **fields})
    for _ in range(2):
        plugin.network("DeleteNetwork", NetworkID=NET)
        plugin.ipam("ReleasePool", PoolID=pool)
    assert plugin.pool() == pool


def test_all_pools_are_taken(start):
    _, plugin = start(pool="10.200.0.0/22")
    pools = []
    for number in range(4):
        pools.append(plugin.pool())
        plugin.create(f"{number:012d}", pools[-1].partition("/")[2], "")
    assert len(set(pools)) == 4
    assert plugin.refused("IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool="") == \
        "Pool: no subnet is free in 10.200.0.0/22 (docker.pool): use --subnet"


def test_an_exhausted_subnet(world):
    _, plugin = world
    pool = plugin.pool(Pool="10.1.0.0/30")
    plugin.ipam("RequestAddress", PoolID=pool, Address="", Options={"RequestAddressType": "com.docker.network.gateway"})
    plugin.create(NET, "10.1.0.0/30", "10.1.0.1/30")
    assert plugin.ipam("RequestAddress", PoolID=pool, Address="", Options={})["Address"] == "10.1.0.2/30"
    assert plugin.refused("IpamDriver.RequestAddress", PoolID=pool) == "no address is free in 10.1.0.0/30"
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="10.1.0.2")
    assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] == "10.1.0.2/30"  # it rests, but there is no other
    for address in ("10.1.0.0", "10.1.0.3", "10.1.0.4", "10.2.0.1"):
        assert "is no host address" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address=address)
    assert "no such pool" in plugin.refused("IpamDriver.RequestAddress", PoolID="SluiceLocal/1.0.0.0/8")


def test_addresses_rest_also_through_a_crash(joined):
    daemon, plugin = joined
    pool = "SluiceLocal/10.1.0.0/24"
    given = [plugin.ipam("RequestAddress", PoolID=pool)["Address"] for _ in range(3)]
    assert given == ["10.1.0.2/24", "10.1.0.3/24", "10.1.0.4/24"]
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="10.1.0.3")
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="10.1.0.3")
    endpoint(plugin, address="10.1.0.2/24")
    wait.until(lambda: "freed" in (daemon.state / "docker.log").read_text(), "that it rests is kept")
    crash(daemon)
    assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] == "10.1.0.5/24"
    assert plugin.ipam("RequestAddress", PoolID=pool, Address="10.1.0.3")["Address"] == "10.1.0.3/24"  # who asks for it


def test_an_address_twice(joined):
    _, plugin = joined
    pool = "SluiceLocal/10.1.0.0/24"
    for _ in range(2):  # nobody has it yet: Docker had no answer
        plugin.ipam("RequestAddress", PoolID=pool, Address="10.1.0.9")
    endpoint(plugin)
    assert plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="10.1.0.9") == "Address: 10.1.0.9 is taken"
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="10.1.0.9")  # for the one who was refused
    assert "is taken" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="10.1.0.9")
    assert "is taken" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="10.1.0.1")
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
    plugin.ipam("RequestAddress", PoolID=pool, Address="10.1.0.9")


def test_a_pool_of_another_drivers_network(world):
    """Sluice hears nothing of its containers, and takes no address for abandoned."""
    _, plugin = world
    pool = plugin.pool(Pool="10.1.0.0/30")
    assert plugin.pool(Pool="10.1.0.0/30") == pool
    gateway = {"PoolID": pool, "Address": "10.1.0.1", "Options": {"RequestAddressType": "com.docker.network.gateway"}}
    for _ in range(2):
        plugin.ipam("RequestAddress", **gateway)
    plugin.ipam("RequestAddress", PoolID=pool, Address="10.1.0.2")
    assert "is taken" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="10.1.0.2")
    assert "no address is free" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool)
    assert "overlaps" in plugin.refused("IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool="10.1.0.0/30")
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="10.1.0.2")
    assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] == "10.1.0.2/30"


def test_addresses_of_others_in_the_network(joined):
    daemon, plugin = joined
    daemon.rpc("port.add", name="p", network=f"docker-{NET[:12]}", type="null")
    assert daemon.port("p")["ips"] == ["10.1.0.2"]
    pool = "SluiceLocal/10.1.0.0/24"
    assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] == "10.1.0.3/24"
    assert "is taken in network" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="10.1.0.2")


def test_a_network_that_docker_gave_up_without_a_word(joined):
    daemon, plugin = joined
    endpoint(plugin)
    assert "has endpoint" in plugin.refused("IpamDriver.ReleasePool", PoolID="SluiceLocal/10.1.0.0/24")
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
    plugin.ipam("ReleasePool", PoolID="SluiceLocal/10.1.0.0/24")
    assert daemon.rpc("network.list") == []


@pytest.mark.parametrize("lost", ["state.log", "docker.log"])
def test_the_two_files_disagree(joined, netns, lost):
    """As after a crash in the moment that a change is written to the one and not yet to the other."""
    daemon, plugin = joined
    sandbox = netns("box")
    endpoint(plugin)
    take_interface(join(plugin, sandbox.path)["InterfaceName"]["SrcName"], sandbox.name, "10.1.0.9/24")
    daemon.wait_port(port_of())
    daemon.wait_kept(port_of(), "eth0")
    daemon.kill()
    (daemon.state / lost).unlink()
    daemon.start()
    if lost == "state.log":
        daemon.wait_port(port_of())
        assert daemon.port(port_of())["ips"] == ["10.1.0.9"]
        assert [network["source"] for network in daemon.rpc("network.list")] == ["docker"]
    else:
        assert daemon.rpc("port.list") == daemon.rpc("network.list") == []


def test_what_docker_was_told_survives_a_kill_at_once(world):
    daemon, plugin = world
    for number in range(5):
        network = f"{number:012d}"
        pool = plugin.pool()
        plugin.create(network, pool.partition("/")[2], "")
        crash(daemon)
        assert plugin.refused("IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool=pool.partition("/")[2])
        assert f"docker-{network}" in {found["name"] for found in daemon.rpc("network.list")}


def test_a_deleted_endpoint_stays_deleted_after_a_kill_at_once(joined, netns):
    """Docker does not say it twice, and the network could never be deleted."""
    daemon, plugin = joined
    endpoint(plugin)
    join(plugin, netns("box").path)
    daemon.wait_kept(port_of())
    plugin.network("Leave", NetworkID=NET, EndpointID=EP)
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
    crash(daemon)
    plugin.network("DeleteNetwork", NetworkID=NET)
    assert daemon.rpc("port.list") == []


def test_what_a_killed_docker_has_forgotten_is_swept(joined, netns):
    daemon, plugin = joined
    with Netns("gone") as gone:
        endpoint(plugin)
        take_interface(join(plugin, gone.path)["InterfaceName"]["SrcName"], gone.name, "10.1.0.9/24")
    alive = netns("box")
    endpoint(plugin, EP2, "10.1.0.10/24")
    take_interface(join(plugin, alive.path, EP2)["InterfaceName"]["SrcName"], alive.name, "10.1.0.10/24")
    daemon.wait_port(port_of(EP2))
    time.sleep(1.1)  # the records have seconds
    plugin.call("Plugin.Activate")
    fresh = "f6" * 32
    endpoint(plugin, fresh, "10.1.0.11/24")
    join(plugin, "/run/netns/not-there-yet", fresh)  # Docker makes a sandbox afterwards
    wait.until(lambda: port_of() not in [port["name"] for port in daemon.rpc("port.list")], "it is swept", timeout_s=60)
    assert {port["name"] for port in daemon.rpc("port.list")} == {port_of(EP2), port_of(fresh)}
    assert "no such endpoint" in plugin.refused("NetworkDriver.EndpointOperInfo", NetworkID=NET, EndpointID=EP)
