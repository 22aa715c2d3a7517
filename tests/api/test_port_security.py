"""What a port may send from: `security`, `allow`, `trusted` given, shown, changed, kept, refused."""

import pytest

from rig.daemon import Daemon, RpcError


@pytest.fixture(scope="module")
def daemon():
    with Daemon({"networks": [{"name": "web", "mode": "bridge", "subnet": "10.1.0.0/24"}]}) as running:
        yield running


@pytest.fixture
def port(daemon):
    daemon.rpc("port.add", name="n1", network="web", type="null", ips=["10.1.0.5"])
    yield "n1"
    daemon.rpc("port.del", name="n1")


def shown(daemon, name):
    row = daemon.rpc("port.show", name=name)
    return row["security"], row["allow"], row["trusted"]


def entries(n):
    return [f"02:00:00:00:01:{i:02x} 10.2.{i}.0/24" for i in range(n)]


def test_default_follows_the_addresses(daemon, port):
    assert shown(daemon, port) == ("full", [], False)
    assert daemon.rpc("port.show", name=port)["spoofed"] == 0
    daemon.rpc("network.add", name="flat", mode="bridge")
    daemon.rpc("port.add", name="n2", network="flat", type="null")
    assert shown(daemon, "n2") == ("off", [], False)
    daemon.rpc("port.del", name="n2")
    daemon.rpc("network.del", name="flat")


def test_each_is_set_alone_and_stays(daemon, port):
    allow = ["02:00:00:00:01:01", "00:00:5e:00:01:01 10.1.0.9/32", "02:00:00:00:01:02 fd00:1::/64"]
    daemon.rpc("port.set", name=port, security="mac")
    daemon.rpc("port.set", name=port, allow=allow)
    daemon.rpc("port.set", name=port, trusted=True)
    assert shown(daemon, port) == ("mac", allow, True)
    daemon.rpc("port.set", name=port, mtu=1400)
    assert shown(daemon, port) == ("mac", allow, True)
    daemon.rpc("port.set", name=port, allow=[], trusted=False, security="off")
    assert shown(daemon, port) == ("off", [], False)


def test_the_command_line_sets_and_shows_them(daemon, port):
    daemon.ctl("port", "set", port, "--security", "mac", "--trusted", "true", "--allow",
               "02:00:00:00:01:01,00:00:5e:00:01:01 10.1.0.9/32")
    row = daemon.ctl_json("port", "show", port)
    assert (row["security"], row["trusted"]) == ("mac", True)
    assert row["allow"] == ["02:00:00:00:01:01", "00:00:5e:00:01:01 10.1.0.9/32"]
    text = daemon.ctl("port", "show", port).stdout
    assert "security" in text and "00:00:5e:00:01:01 10.1.0.9/32" in text and "spoofed" in text
    refused = daemon.ctl("port", "set", port, "--allow", "02:00:00:00:01:01,nonsense", check=False)
    assert refused.returncode != 0 and "allow[1]" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize("bad", [
    "", " ", "nonsense", "02:00:00:00:01", "02:00:00:00:01:01:01", "10.1.0.9/32", "02:00:00:00:01:01 ",
    "02:00:00:00:01:01  10.1.0.9/32", "02:00:00:00:01:01 10.1.0.9/33", "02:00:00:00:01:01 10.1.0.9/-1",
    "02:00:00:00:01:01 10.1.0.9/", "02:00:00:00:01:01 10.1.0.9/x", "02:00:00:00:01:01 10.1.0.0/8",
    "02:00:00:00:01:01 fd00::1/129", "02:00:00:00:01:01 fd00::1/64", "02:00:00:00:01:01 10.1.0/24",
    "02:00:00:00:01:01 10.1.0.9/32 10.1.0.8/32", "01:00:00:00:01:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
    "02:53:4c:00:00:01", 7, None, ["02:00:00:00:01:01"]])
def test_a_bad_entry_is_named(daemon, port, bad):
    before = daemon.rpc("port.show", name=port)
    good = "02:00:00:00:01:01 10.1.0.9/32"
    for method, fields in (("port.set", {"name": port}), ("port.add", {"name": "n2", "network": "web", "type": "null"})):
        with pytest.raises(RpcError, match=r"allow\[1\]"):
            daemon.rpc(method, allow=[good, bad], **fields)
    assert daemon.rpc("port.show", name=port) == before
    assert [row["name"] for row in daemon.rpc("port.list")] == [port]


@pytest.mark.parametrize("field, value", [
    ("security", "none"), ("security", ""), ("security", 1), ("trusted", "yes"), ("trusted", 2), ("allow", 7),
    ("allow", "02:00:00:00:01:01"), ("allow", {})])
def test_what_is_no_value_is_refused(daemon, port, field, value):
    before = daemon.rpc("port.show", name=port)
    with pytest.raises(RpcError, match=field):
        daemon.rpc("port.set", name=port, **{"mtu": 1300, field: value})
    assert daemon.rpc("port.show", name=port) == before


def test_sixty_four_entries_and_one_more(daemon, port):
    daemon.rpc("port.set", name=port, allow=entries(64))
    assert daemon.rpc("port.show", name=port)["allow"] == entries(64)
    for method, fields in (("port.set", {"name": port}), ("port.add", {"name": "n2", "network": "web", "type": "null"})):
        with pytest.raises(RpcError, match=r"allow: .*64"):
            daemon.rpc(method, allow=entries(65), **fields)
    assert daemon.rpc("port.show", name=port)["allow"] == entries(64)
    assert [row["name"] for row in daemon.rpc("port.list")] == [port]


def test_they_come_back_after_a_restart(start_sluiced):
    daemon = start_sluiced()
    daemon.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24")
    for name, fields in (("n1", {"security": "mac"}), ("n2", {"allow": entries(64), "trusted": True}), ("n3", {})):
        daemon.rpc("port.add", name=name, network="web", type="null", **fields)
    daemon.rpc("port.set", name="n1", allow=["02:00:00:00:01:01", "02:00:00:00:01:02 fd00:1::/64"])
    daemon.rpc("port.set", name="n3", security="off")
    daemon.stop()
    daemon.start()
    assert shown(daemon, "n1") == ("mac", ["02:00:00:00:01:01", "02:00:00:00:01:02 fd00:1::/64"], False)
    assert shown(daemon, "n2") == ("full", entries(64), True)
    assert shown(daemon, "n3") == ("off", [], False)
