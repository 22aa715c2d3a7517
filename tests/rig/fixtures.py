"""Fixtures of tests that attach kernels, drivers and applications to the daemon (tests/integration, tests/interop)."""

import pytest

from rig.container import Container
from rig.router import Router, connect_outside


@pytest.fixture(autouse=True)
def as_root(requires):
    requires("ip", "nsenter")


@pytest.fixture
def container(stack):
    """Makes a namespace with a TAP port: container(daemon, "web", "c1", "10.1.0.11", **port_fields)."""
    return lambda *args, **fields: stack.enter_context(Container(*args, **fields))


@pytest.fixture
def pair(sluiced, container):
    """The daemon with a bridge network "web" and two containers in it."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24")
    return sluiced, container(sluiced, "web", "c1", "10.1.0.11"), container(sluiced, "web", "c2", "10.1.0.12")


@pytest.fixture
def router(start_sluiced, netns, requires):
    """A daemon in a host of its own that forwards nothing yet, with `world` outside, which knows no way to what is inside."""
    requires("ip", "nft")
    host, world = netns("host"), netns("world")
    connect_outside(host, world)
    return Router(start_sluiced, host, world)
