"""What a port costs its worker: shown, and counted in /metrics."""

import pytest

from rig.daemon import Daemon


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"networks": [{"name": "web", "mode": "bridge"}]}) as running:
        yield running


def test_a_port_that_never_waited_says_so(daemon):
    daemon.rpc("port.add", name="n1", network="web", type="null")
    assert daemon.port("n1")["throttled"] == 0
    assert daemon.rpc("port.show", name="n1")["throttled"] == 0
    daemon.rpc("port.del", name="n1")
