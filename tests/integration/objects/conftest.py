"""Every noun of the API against the real daemon."""

import pytest


@pytest.fixture(autouse=True)
def as_root(requires):
    requires("ip", "ping")


@pytest.fixture
def web(sluiced):
    """A daemon with a bridge network `web`, 10.1.0.0/24 with gateway 10.1.0.1."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return sluiced
