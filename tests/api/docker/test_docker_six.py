"""Docker's networks with IPv6: pools whose host part nobody can search through, and endpoints of both families."""

import pytest

from rig import wait
from rig.docker_plugin import EP, EP2, NET, OTHER, crash, endpoint, join, port_of, take_interface

V4, V6 = "10.1.0.0/24", "fd00:1::/64"
ENTRY = {"AddressSpace": "SluiceLocal", "Pool": V4, "Gateway": "10.1.0.1/24"}
ENTRY6 = {"AddressSpace": "SluiceLocal", "Pool": V6, "Gateway": "fd00:1::1/64"}
GATEWAY = {"RequestAddressType": "com.docker.network.gateway"}


def create(plugin, network=NET, entry=ENTRY, entry6=ENTRY6, options=None, call=None):
    call = call or (lambda **fields: plugin.network("CreateNetwork", **fields))
    return call(NetworkID=network, IPv4Data=[entry] if entry else [], IPv6Data=[entry6] if entry6 else [],
                Options={"com.docker.network.generic": options or {"mode": "bridge"}, "com.docker.network.enable_ipv6": True})


@pytest.fixture
def joined(world):
    """(daemon, plugin, pool of IPv6): network NET, both pools of which are Sluice's."""
    daemon, plugin = world
    pools = [plugin.pool(Pool=V4), plugin.pool(Pool=V6, V6=True)]
    assert [plugin.ipam("RequestAddress", PoolID=pool, Options=GATEWAY)["Address"] for pool in pools] == \
        ["10.1.0.1/24", "fd00:1::1/64"]
    for _ in range(2):  # had no answer
        create(plugin)
    return daemon, plugin, pools[1]


def addresses(plugin, pool, count):
    return [plugin.ipam("RequestAddress", PoolID=pool)["Address"] for _ in range(count)]


def test_pools(world):
    _, plugin = world
    assert plugin.pool(Pool="fd00:1::7/64", V6=True) == "SluiceLocal/fd00:1::/64"
    for fields, line in (({"Pool": "fd00:2::/64", "V6": False}, "Pool: is not of IPv4"), ({"Pool": V4}, "Pool: is not of IPv6"),
                         ({"Pool": "fd00::/15"}, "prefix length of 16 to 127"),
                         ({"Pool": "fd00:2::1/128"}, "prefix length of 16 to 127"),
                         ({"Pool": "fd00:2::1/129"}, "Pool: must be"), ({"Pool": ""}, "use --subnet"),
                         ({"Pool": "fd00:2::/64", "SubPool": "10.1.0.0/25"}, "SubPool: is not of IPv6"),
                         ({"Pool": "fd00:2::/64", "SubPool": "fd00:3::/80"}, "SubPool: is not inside"),
                         ({"Pool": "fd00:1::/80"}, f"overlaps with pool {V6}"),
                         ({"Pool": "", "Options": {"sluice.network": "lost"}}, 'no network "lost" with a subnet of IPv6')):
        assert line in plugin.refused("IpamDriver.RequestPool", **{"AddressSpace": "SluiceLocal", "V6": True, **fields})


def test_addresses(joined):
    daemon, plugin, pool = joined
    daemon.rpc("port.add", name="p", network=f"docker-{NET[:12]}", type="null", ips=["fd00:1::3"])
    assert addresses(plugin, pool, 3) == ["fd00:1::2/64", "fd00:1::4/64", "fd00:1::5/64"]  # the other is a port's
    for address, line in (("fd00:1::3", "is taken in network"), ("fd00:1::", "is no host address"),
                          ("fd00:2::1", "is no host address"), ("10.1.0.9", "is no host address"), ("x", "must be an IP address")):
        assert line in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address=address)
    last = "fd00:1::ffff:ffff:ffff:ffff"
    assert plugin.ipam("RequestAddress", PoolID=pool, Address=last)["Address"] == f"{last}/64"
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="fd00:1::5")
    assert addresses(plugin, pool, 1) == ["fd00:1::6/64"]  # that one rests
    crash(daemon)
    assert addresses(plugin, pool, 1)[0] not in ("fd00:1::1/64", "fd00:1::3/64", "fd00:1::")


def test_hundreds_of_addresses(joined):
    _, plugin, pool = joined
    assert len(set(addresses(plugin, pool, 600))) == 600


def test_a_range_that_is_full(world):
    _, plugin = world
    pool = plugin.pool(Pool=V6, SubPool="fd00:1::8/126", V6=True)
    assert addresses(plugin, pool, 4) == [f"fd00:1::{n}/64" for n in ("8", "9", "a", "b")]
    assert plugin.refused("IpamDriver.RequestAddress", PoolID=pool) == "no address is free in fd00:1::8/126"
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="fd00:1::a")
    assert addresses(plugin, pool, 1) == ["fd00:1::a/64"]


def test_an_endpoint_of_both_families(joined, netns):
    daemon, plugin, pool = joined
    sandbox, = [netns("box")]
    address = addresses(plugin, pool, 1)[0]
    for _ in range(2):
        endpoint(plugin, AddressIPv6=address)
    with pytest.raises(AssertionError, match="and it is another"):
        endpoint(plugin, AddressIPv6="fd00:1::99/64")
    assert f"{address} is taken by endpoint {EP[:12]}" in plugin.refused(
        "NetworkDriver.CreateEndpoint", NetworkID=NET, EndpointID=EP2, Interface={"AddressIPv6": address})
    answer = join(plugin, sandbox.path)
    assert (answer["Gateway"], answer["GatewayIPv6"]) == ("10.1.0.1", "fd00:1::1")
    take_interface(answer["InterfaceName"]["SrcName"], sandbox.name, "10.1.0.9/24")
    sandbox.run("ip", "addr", "add", address, "dev", "eth0", "nodad")
    daemon.wait_port(port_of())
    assert daemon.port(port_of())["ips"] == ["10.1.0.9", "fd00:1::2"]
    plugin.network("ProgramExternalConnectivity", NetworkID=NET, EndpointID=EP, Options={})
    wait.until(lambda: "eth0" in (daemon.state / "docker.log").read_text(), "its name is known")
    daemon.wait_kept("eth0")
    crash(daemon)
    daemon.wait_port(port_of())
    assert address in sandbox.run("ip", "-6", "addr", "show", "eth0").stdout
    assert "default via fd00:1::1" in sandbox.run("ip", "-6", "route").stdout
    assert "is taken" in plugin.refused("IpamDriver.RequestAddress", PoolID=pool, Address="fd00:1::2")
    plugin.network("DeleteEndpoint", NetworkID=NET, EndpointID=EP)
    plugin.ipam("ReleaseAddress", PoolID=pool, Address="fd00:1::2")
    plugin.network("DeleteNetwork", NetworkID=NET)
    for one in (pool, f"SluiceLocal/{V4}"):
        plugin.ipam("ReleasePool", PoolID=one)
    assert daemon.rpc("network.list") == daemon.rpc("port.list") == []
    assert plugin.pool(Pool="fd00:1::/48", V6=True)  # nothing is in its way


def test_an_endpoint_without_ipv6_has_no_gateway_of_it(joined, netns):
    _, plugin, _ = joined
    endpoint(plugin)
    assert "GatewayIPv6" not in join(plugin, netns("box").path)


def test_a_network_of_ipv6_alone(world):
    daemon, plugin = world
    create(plugin, entry=None)
    shown, = daemon.rpc("network.list")
    assert (shown["subnets"], shown["gateways"]) == ([V6], ["fd00:1::1"])
    plugin.network("CreateEndpoint", NetworkID=NET, EndpointID=EP, Interface={"AddressIPv6": "fd00:1::9/64"})


def test_a_network_that_is_there(world):
    daemon, plugin = world
    daemon.rpc("network.add", name="lab", subnets=[V4, "fd00:2::/64"], gateways=["10.1.0.1", "fd00:2::1"])
    daemon.rpc("network.add", name="old", subnet=V4)
    options = {"sluice.network": "lab"}
    pool = plugin.pool(V6=True, Options=options)
    assert pool == "SluiceLocal/fd00:2::/64"
    assert plugin.ipam("RequestAddress", PoolID=pool, Options=GATEWAY)["Address"] == "fd00:2::1/64"

    def refused(**fields):
        return plugin.refused("NetworkDriver.CreateNetwork", **fields)
    assert "network lab has subnet fd00:2::/64 and gateway fd00:2::1: use --subnet and --gateway" in create(
        plugin, options=options, call=refused)
    assert "network old has no subnet of IPv6" in create(plugin, options={"sluice.network": "old"}, call=refused)
    create(plugin, entry6={**ENTRY6, "Pool": "fd00:2::/64", "Gateway": "fd00:2::1/64"}, options=options)


@pytest.mark.parametrize("entry6, line", [
    (None, "--ipv6: needs a --subnet of IPv6"),
    ({**ENTRY6, "Pool": V4}, "IPv6Data[0].Pool: must be an address of IPv6"),
    ({**ENTRY6, "Gateway": "10.1.0.1"}, "IPv6Data[0].Gateway: must be an address"),
    ({**ENTRY6, "Gateway": "fd00:9::1"}, "fd00:9::1 is no host address of fd00:1::/64"),
    ({**ENTRY6, "Pool": "fe80::/64", "Gateway": ""}, "fe80::/64 is no prefix of addresses that hosts have"),
])
def test_what_cannot_be_is_refused_whole(world, entry6, line):
    daemon, plugin = world
    pools = [plugin.pool(Pool=V4), plugin.pool(Pool=V6, V6=True)]
    assert line in create(plugin, entry6=entry6, call=lambda **fields: plugin.refused("NetworkDriver.CreateNetwork", **fields))
    assert daemon.rpc("network.list") == []
    create(plugin, OTHER)  # both pools are nobody's
    for pool in pools:
        plugin.ipam("ReleasePool", PoolID=pool)
    assert daemon.rpc("network.list") == []
