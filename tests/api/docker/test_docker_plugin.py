"""Docker's driver, asked by somebody who lies, repeats himself, stalls and does not know when to stop."""

import json
import os
import socket
import stat

import pytest

from rig import wait
from rig.daemon import Daemon
from rig.docker_plugin import EP, EP2, GATEWAY, LOST, NET, OTHER, SUBNET, endpoint
from rig.process import open_files, run

CALLS = [f"NetworkDriver.{verb}" for verb in (
    "CreateNetwork", "DeleteNetwork", "CreateEndpoint", "EndpointOperInfo", "DeleteEndpoint", "Join", "Leave",
    "ProgramExternalConnectivity", "RevokeExternalConnectivity")] + [f"IpamDriver.{verb}" for verb in (
        "RequestPool", "ReleasePool", "RequestAddress", "ReleaseAddress")]
FIELDS = ("NetworkID", "EndpointID", "SandboxKey", "Interface", "Options", "IPv4Data", "IPv6Data", "PoolID", "Pool", "SubPool",
          "AddressSpace", "Address")


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
            plugin.call("NetworkDriver.CreateNetwork", NetworkID=OTHER, IPv4Data=[entry],
                        Options={"com.docker.network.generic": {"mode": "bridge"}, field: value})
            plugin.network("DeleteNetwork", NetworkID=OTHER)
        for field in ("sluice.network", "mode", "vni", "mtu", "egress"):
            bridge = {} if field == "sluice.network" else {"mode": "bridge"}
            plugin.call("NetworkDriver.CreateNetwork", NetworkID=OTHER, IPv4Data=[entry],
                        Options={"com.docker.network.generic": {**bridge, field: value}})
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
    ({"Address": "10.1.0.9"}, "must be an address of IPv4 with its prefix"),
    ({"AddressIPv6": "fd00::2/64"}, "is no host address of a network without a subnet"),
    ({"AddressIPv6": "10.1.0.9/24"}, "Interface.AddressIPv6: must be an address of IPv6"),
    ({"Address": "fd00::2/64"}, "Interface.Address: must be an address of IPv4"),
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
