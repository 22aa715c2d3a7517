"""Who changes at run time what the configuration file has is told that the file has the last word."""

import pytest

from rig.daemon import Daemon

CONFIG = {
    "networks": [{"name": "web", "subnet": "10.1.0.0/24"}, {"name": "o", "mode": "overlay", "vni": 7}, {"name": "spare"}],
    "uplinks": [{"name": "up0", "type": "vhost-user", "address": "192.0.2.1/24"}],
    "vteps": [{"network": "o", "remote": "192.0.2.2"}],
    "ports": [{"name": "n1", "network": "web", "type": "null", "ips": ["10.1.0.9"]}],
    "fdb": [{"network": "web", "mac": "02:00:00:00:00:77", "port": "n1"}],
    "services": [{"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp"}],
    "backends": [{"service": "api", "address": "10.1.0.9", "port": 80},
                 {"service": "api", "address": "10.1.0.9", "port": 81, "id": "second"}],
}

CHANGES = [
    ("network.set", {"name": "web", "mtu": 1400}),
    ("port.set", {"name": "n1", "mtu": 1300}),
    ("uplink.set", {"name": "up0", "mtu": 1600}),
    ("service.set", {"name": "api", "port": 8080}),
    ("backend.set", {"service": "api", "address": "10.1.0.9", "port": 80, "weight": 2}),
    ("backend.del", {"service": "api", "address": "10.1.0.9", "port": 80}),
    ("backend.del", {"service": "api", "address": "10.1.0.9", "port": 81}),
    ("service.del", {"name": "api"}),
    ("fdb.del", {"network": "web", "mac": "02:00:00:00:00:77"}),
    ("port.del", {"name": "n1"}),
    ("vtep.del", {"network": "o", "remote": "192.0.2.2"}),
    ("uplink.del", {"name": "up0"}),
    ("network.del", {"name": "spare"}),
]


@pytest.fixture(scope="module")
def daemon():
    with Daemon(CONFIG) as running:
        yield running


@pytest.mark.parametrize("method,params", CHANGES, ids=[method for method, _ in CHANGES])
def test_what_the_file_has(daemon, method, params):
    assert "the configuration file has it" in daemon.rpc(method, params)["note"]


def test_the_next_start_brings_back_what_the_file_has(start_sluiced):
    daemon = start_sluiced(CONFIG)
    done = daemon.ctl("port", "set", "n1", "--mtu", "1300")
    assert done.stdout == "" and "the configuration file has it: the next start brings it back" in done.stderr
    daemon.ctl("port", "del", "n1")
    daemon.stop()
    daemon.start()
    assert daemon.port("n1")["mtu"] == 1500


def test_what_came_by_the_api_has_no_note(sluiced):
    sluiced.rpc("network.add", name="web")
    sluiced.rpc("port.add", name="n1", network="web", type="null")
    assert "note" not in sluiced.rpc("port.set", name="n1", mtu=1300)
    assert sluiced.ctl("port", "del", "n1").stderr == ""
    assert sluiced.rpc("network.del", name="web") == {}
