"""A daemon that serves Consul's HTTP API."""

import pytest

from rig.consul import Consul
from rig.ports import free_port


@pytest.fixture
def start_consul(start_sluiced):
    """Starts a daemon that serves the API: start_consul(http_token="x") -> (daemon, client)."""

    def start(config=None, **control):
        port = free_port()
        control = {"http": f"127.0.0.1:{port}", "node": "edge1", "node_address": "192.0.2.1", **control}
        daemon = start_sluiced({**(config or {}), "control": control})
        return daemon, Consul(port, control.get("http_token"))

    return start


@pytest.fixture
def consul(start_consul):
    return start_consul()[1]
