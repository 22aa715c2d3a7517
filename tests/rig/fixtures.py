"""Fixtures of tests that attach kernels, drivers and applications to the daemon (tests/integration, tests/interop)."""

import pytest

from rig.container import Container


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
