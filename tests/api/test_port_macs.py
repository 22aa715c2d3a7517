"""How many MACs a port and a network may have, and how much memory a guest may share: given, shown, changed, kept, refused."""

import pytest

from rig.daemon import Daemon, RpcError


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"networks": [{"name": "web", "mode": "bridge"}]}) as running:
        yield running


@pytest.fixture
def port(daemon):
    daemon.rpc("port.add", name="n1", network="web", type="null")
    yield "n1"
    daemon.rpc("port.del", name="n1")


@pytest.fixture
def guest(daemon):
    daemon.rpc("port.add", name="v1", network="web", type="vhost-user")
    yield "v1"
    daemon.rpc("port.del", name="v1")


def test_defaults(daemon, port):
    row = daemon.rpc("port.show", name=port)
    assert (row["mac_limit"], row["mac_action"]) == (4096, "drop")
    assert row["macs"] == row["mac_limit_drops"] == row["unlearned"] == row["punts_left_out"] == 0
    shown = daemon.rpc("network.show", name="web")
    assert (shown["mac_limit"], shown["mac_moves"]) == (0, 10)
    assert shown["macs"] == shown["unlearned"] == shown["moves"] == shown["moves_held"] == shown["connections"] == 0
    assert shown["macs_share"] == 4096 // 2 and shown["connections_share"] == 16384 // 2


def test_each_is_set_alone_and_stays(daemon, port):
    assert daemon.rpc("port.set", name=port, mac_limit=7)["mac_limit"] == 7
    row = daemon.rpc("port.set", name=port, mac_action="sticky")
    assert (row["mac_limit"], row["mac_action"]) == (7, "sticky")
    row = daemon.rpc("port.set", name=port, mtu=1400)
    assert (row["mac_limit"], row["mac_action"]) == (7, "sticky")
    assert daemon.rpc("port.set", name=port, mac_limit=0)["mac_limit"] == 0
    daemon.rpc("network.set", name="web", mac_limit=5)
    row = daemon.rpc("network.set", name="web", mac_moves=0)
    assert (row["mac_limit"], row["mac_moves"]) == (5, 0)
    row = daemon.rpc("network.set", name="web", mac_limit=0, mac_moves=30)
    assert (row["mac_limit"], row["mac_moves"]) == (0, 30)


@pytest.mark.parametrize("method, field, value", [
    ("port.set", "mac_limit", -1), ("port.set", "mac_limit", 16777217), ("port.set", "mac_action", "shut"),
    ("network.set", "mac_moves", 31), ("network.set", "mac_moves", -1), ("network.set", "mac_limit", -1)])
def test_what_is_out_of_range_is_refused(daemon, port, method, field, value):
    name = port if method == "port.set" else "web"
    before = daemon.rpc(method.replace("set", "show"), name=name)
    with pytest.raises(RpcError, match=field):
        daemon.rpc(method, name=name, **{field: value})
    assert daemon.rpc(method.replace("set", "show"), name=name) == before


def test_memory_is_for_guests(daemon, port, guest):
    shown = daemon.rpc("port.show", name=guest)
    assert shown["memory_mb"] >= 65536 and shown["memory_mapped_mb"] == 0
    daemon.rpc("port.set", name=guest, memory_mb=256)
    assert daemon.rpc("port.show", name=guest)["memory_mb"] == 256
    for method, fields in (("port.set", {"name": port}), ("port.add", {"name": "n2", "network": "web", "type": "null"})):
        with pytest.raises(RpcError, match="memory_mb"):
            daemon.rpc(method, memory_mb=256, **fields)
    assert [row["name"] for row in daemon.rpc("port.list")] == [port, guest]


def test_shares_follow_the_networks(daemon):
    daemon.rpc("network.add", name="other", mode="bridge")
    assert daemon.rpc("network.show", name="web")["macs_share"] == 4096 // 4
    daemon.rpc("network.del", name="other")
    assert daemon.rpc("network.show", name="web")["macs_share"] == 4096 // 2


def test_they_come_back_after_a_restart(start_sluiced):
    daemon = start_sluiced()
    daemon.rpc("network.add", name="web", mac_limit=9, mac_moves=3)
    daemon.rpc("port.add", name="v1", network="web", type="vhost-user", mac_limit=5, memory_mb=64)
    daemon.rpc("port.set", name="v1", mac_action="flood", memory_mb=128)
    daemon.stop()
    daemon.start()
    shown = daemon.rpc("port.show", name="v1")
    assert (shown["mac_limit"], shown["mac_action"], shown["memory_mb"]) == (5, "flood", 128)
    shown = daemon.rpc("network.show", name="web")
    assert (shown["mac_limit"], shown["mac_moves"]) == (9, 3)
