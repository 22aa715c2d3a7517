"""A daemon with Docker's driver, and Docker's side of it."""

import pytest

from rig.docker_plugin import GATEWAY, NET, SUBNET, Plugin


@pytest.fixture
def start(start_sluiced, tmp_path):
    """Starts a daemon with a plugin; returns it and Docker's side."""
    path = tmp_path / "plugins/sluice.sock"

    def begin(ns=None, **docker):
        return start_sluiced({"docker": {"plugin": str(path), **docker}}, ns=ns), Plugin(path)

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
