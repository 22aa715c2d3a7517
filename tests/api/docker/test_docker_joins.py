"""Containers that join and leave, and what is left of them after a crash of either side."""

import os

import pytest

from rig import wait
from rig.docker_plugin import EP, EP2, NET, crash, endpoint, join, own_id, port_of, take_interface
from rig.netns import Netns


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
    assert "is of mode bridge, whose ports lead in from uplinks, and there is none" in plugin.refused(
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
        assert plugin.pool() != pool
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
    plugin.call("Plugin.Activate")
    fresh = own_id("f6")
    endpoint(plugin, fresh, "10.1.0.11/24")
    join(plugin, "/run/netns/not-there-yet", fresh)  # Docker makes a sandbox afterwards
    wait.until(lambda: port_of() not in [port["name"] for port in daemon.rpc("port.list")], "it is swept", timeout_s=60)
    assert {port["name"] for port in daemon.rpc("port.list")} == {port_of(EP2), port_of(fresh)}
    assert "no such endpoint" in plugin.refused("NetworkDriver.EndpointOperInfo", NetworkID=NET, EndpointID=EP)
