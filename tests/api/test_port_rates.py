"""The limits of a port: given, shown, changed, taken away, kept; and what is refused."""

import pytest

from rig.daemon import Daemon, RpcError

NONE = {"rate_in": "0", "burst_in": "0", "pps_in": 0, "packet_burst_in": 0,
        "rate_out": "0", "burst_out": "0", "pps_out": 0, "packet_burst_out": 0}


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"networks": [{"name": "web", "mode": "bridge"}]}) as running:
        yield running


@pytest.fixture
def port(daemon):
    daemon.rpc("port.add", name="n1", network="web", type="null")
    yield "n1"
    daemon.rpc("port.del", name="n1")


def limits(row):
    return {name: row[name] for name in NONE}


def test_a_port_is_bound_in_what_it_floods_and_nothing_else(daemon, port):
    row = daemon.port(port)
    assert row["storm_pps"] == 10000 and limits(row) == NONE
    assert row["storm_drops"] == row["rate_drops"] == 0


@pytest.mark.parametrize("given, shown", [
    ("1G", "1G"), ("2.5G", "2500M"), ("1500K", "1500K"), ("8000", "8K"), (64000, "64K"), ("0", "0"), (0, "0"),
    ("1000G", "1000G"), ("12345678", "12345678"), ("0.5M", "500K")])
def test_rates_are_numbers_with_units(daemon, port, given, shown):
    for field in ("rate_in", "rate_out"):
        assert daemon.rpc("port.set", name=port, **{field: given})[field] == shown
        assert daemon.rpc("port.show", name=port)[field] == shown


def test_each_limit_is_set_alone_and_stays(daemon, port):
    want = dict(NONE)
    for field, value in (("rate_in", "10M"), ("burst_in", "300K"), ("pps_out", 500), ("packet_burst_out", 7),
                         ("rate_out", "1G"), ("pps_in", 9), ("packet_burst_in", 1000000), ("burst_out", "4G")):
        want[field] = value
        assert limits(daemon.rpc("port.set", name=port, **{field: value})) == want
    daemon.rpc("port.set", name=port, mtu=1400)
    assert limits(daemon.port(port)) == want
    assert daemon.rpc("port.set", name=port, storm_pps=0)["storm_pps"] == 0


def test_a_burst_goes_with_its_rate(daemon, port):
    daemon.rpc("port.set", name=port, rate_in="1M", burst_in="64K", pps_in=10, packet_burst_in=5)
    row = daemon.rpc("port.set", name=port, rate_in="0", pps_in=0)
    assert limits(row) == NONE


@pytest.mark.parametrize("fields, line", [
    ({"rate_in": "fast"}, "rate_in: must be a whole number like 64K, 250M or 2.5G"),
    ({"rate_out": "1m"}, "rate_out: must be a whole number like 64K, 250M or 2.5G"),
    ({"rate_out": "1.0000000001G"}, "rate_out: must be a whole number like 64K, 250M or 2.5G"),
    ({"rate_in": "7999"}, "rate_in: out of range 8K..1000G, and not 0 for none"),
    ({"rate_in": "1001G"}, "rate_in: out of range 8K..1000G, and not 0 for none"),
    ({"rate_in": "1M", "burst_in": "1499"}, "burst_in: out of range 1500..4G, and not 0 for none"),
    ({"rate_in": "1M", "burst_in": "4.1G"}, "burst_in: out of range 1500..4G, and not 0 for none"),
    ({"burst_in": "64K"}, "burst_in: needs rate_in"),
    ({"burst_out": "64K", "rate_in": "1M"}, "burst_out: needs rate_out"),
    ({"packet_burst_in": 5}, "packet_burst_in: needs pps_in"),
    ({"pps_in": 1000000001}, "pps_in: out of range 0..1000000000"),
    ({"storm_pps": -1}, "storm_pps: out of range 0..1000000000"),
])
def test_what_is_refused(daemon, port, fields, line):
    before = daemon.port(port)
    for method, more in (("port.set", {"name": port}), ("port.add", {"name": "n2", "network": "web", "type": "null"})):
        with pytest.raises(RpcError) as refused:
            daemon.rpc(method, **more, **fields)
        assert refused.value.message == line
    assert daemon.port(port) == before
    assert [row["name"] for row in daemon.rpc("port.list")] == [port]


def test_uplinks_have_none(daemon):
    with pytest.raises(RpcError, match="storm_pps: unknown key"):
        daemon.rpc("uplink.add", name="up0", type="tap", storm_pps=5)


def test_limits_outlive_the_daemon():
    with Daemon() as daemon:
        daemon.rpc("network.add", name="web", mode="bridge")
        daemon.rpc("port.add", name="n1", network="web", type="null", rate_in="5M", storm_pps=7)
        daemon.rpc("port.set", name="n1", pps_out=80, rate_in="6M")
        was = daemon.port("n1")
        daemon.stop()
        daemon.start()
        now = daemon.port("n1")
        assert limits(now) == limits(was) and (now["rate_in"], now["storm_pps"], now["pps_out"]) == ("6M", 7, 80)
