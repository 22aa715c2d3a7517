"""Docker's IPAM driver: subnets and addresses."""

import pytest

from rig import wait
from rig.docker_plugin import EP, GATEWAY, LOST, NET, OTHER, SUBNET, crash, endpoint


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
        "IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool="10.160.2.0/25")
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


def test_networks_with_one_subnet(world):
    daemon, plugin = world
    pools = []
    for network in (NET, OTHER, LOST):
        pools.append(plugin.pool(Pool="10.1.0.0/24"))
        assert plugin.pool(Pool="10.1.0.0/24") == pools[-1]  # had no answer
        gateway = {"PoolID": pools[-1], "Address": "10.1.0.1", "Options": {"RequestAddressType": "com.docker.network.gateway"}}
        plugin.ipam("RequestAddress", **gateway)
        assert "overlaps with pool" in plugin.refused("IpamDriver.RequestPool", AddressSpace="SluiceLocal", Pool="10.1.0.0/24")
        plugin.create(network, SUBNET, GATEWAY)
    assert len(set(pools)) == 3 and len(daemon.rpc("network.list")) == 3
    for pool in pools:  # each has all addresses
        assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] == "10.1.0.2/24"
    crash(daemon)
    for pool in pools:  # an address that no endpoint has is not kept before the answer
        assert plugin.ipam("RequestAddress", PoolID=pool)["Address"] in ("10.1.0.2/24", "10.1.0.3/24")
    plugin.network("DeleteNetwork", NetworkID=OTHER)
    plugin.ipam("ReleasePool", PoolID=pools[1])
    assert plugin.pool(Pool="10.1.0.0/24") == pools[1]


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
