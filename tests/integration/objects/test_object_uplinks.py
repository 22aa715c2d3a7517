"""Uplinks, vteps and the MAC table: what is made, shown and refused, and why."""

import pytest

from rig import traffic, wait
from rig.objects import EXISTS, IN_USE, INVALID, NOT_FOUND, names, refused

pytestmark = pytest.mark.control


def test_uplink_and_vtep_life(sluiced, netns):
    other = netns()
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100)
    added = sluiced.rpc("uplink.add", name="up0", type="tap", netns=other.name, ifname="under",
                        address="192.0.2.1/24", gateway="192.0.2.254")
    assert (added["network"], added["address"], added["gateway"], added["vxlan_port"], added["mtu"]) == (
        None, "192.0.2.1/24", "192.0.2.254", 4789, 1500)
    assert added["mac"].startswith("02:") and added["neighbours"] == [] and added["ips"] == []
    assert names(sluiced.rpc("uplink.list")) == ["up0"]
    assert [(port["name"], port["network"]) for port in sluiced.rpc("port.list")] == [("up0", None)]

    vtep = sluiced.rpc("vtep.add", network="web", remote="192.0.2.2")
    assert (vtep["network"], vtep["remote"], vtep["mac"]) == ("web", "192.0.2.2", None)
    other.run("ip", "link", "set", "under", "up")
    other.run("ip", "addr", "add", "192.0.2.2/24", "dev", "under")
    up = wait.until(lambda: next((row for row in sluiced.rpc("vtep.list") if row["state"] == "up"), None), "vtep up")
    assert up["mac"] == other.mac("under")
    neighbour = sluiced.rpc("uplink.show", name="up0")["neighbours"][0]
    assert (neighbour["ip"], neighbour["mac"], neighbour["state"]) == ("192.0.2.2", up["mac"], "reachable")
    traffic.ping(other, "192.0.2.1")

    refused(sluiced, "network.del", IN_USE, "name: network web has vtep 192.0.2.2", name="web")
    sluiced.rpc("vtep.del", network="web", remote="192.0.2.2")
    assert sluiced.rpc("vtep.list") == []
    sluiced.rpc("uplink.set", name="up0", mtu=1400)
    assert sluiced.rpc("uplink.show", name="up0")["mtu"] == 1400
    assert "mtu 1400" in other.run("ip", "link", "show", "under").stdout
    sluiced.rpc("uplink.del", name="up0")
    assert sluiced.rpc("uplink.list") == []


def test_uplink_and_vtep_refusals(web, netns):
    other = netns()
    web.rpc("network.add", name="over", mode="overlay", vni=100)
    tap = {"type": "tap", "netns": other.name, "ifname": "under"}
    web.rpc("uplink.add", name="up0", address="192.0.2.1/24", **tap)
    refused(web, "uplink.add", EXISTS, 'name: there is a port "up0" already', name="up0", **tap)
    refused(web, "uplink.add", EXISTS, "address: 192.0.2.1/24 is taken by uplink up0", name="up1",
            address="192.0.2.1/24", **tap)
    refused(web, "uplink.add", INVALID, "address: 198.51.100.0/24 is no host", name="up1",
            address="198.51.100.0/24", **tap)
    refused(web, "uplink.add", INVALID, "gateway: 192.0.3.1 is no other host", name="up1",
            address="198.51.100.1/24", gateway="192.0.3.1", **tap)
    refused(web, "uplink.add", INVALID, "gateway: needs an address", name="up1", gateway="192.0.3.1", **tap)
    refused(web, "port.del", NOT_FOUND, 'name: no such port "up0"', name="up0")
    refused(web, "uplink.del", NOT_FOUND, 'name: no such uplink "up1"', name="up1")
    refused(web, "vtep.add", INVALID, "network: web is no overlay", network="web", remote="192.0.2.2")
    refused(web, "vtep.add", INVALID, "remote: 192.0.2.1 is the address of uplink up0", network="over",
            remote="192.0.2.1")
    refused(web, "vtep.add", INVALID, "remote: 224.0.0.1 is no unicast address", network="over", remote="224.0.0.1")
    web.rpc("vtep.add", network="over", remote="192.0.2.2")
    refused(web, "vtep.add", EXISTS, "remote: network over has vtep 192.0.2.2 already", network="over",
            remote="192.0.2.2")
    refused(web, "vtep.del", NOT_FOUND, "remote: network over has no vtep 192.0.2.3", network="over",
            remote="192.0.2.3")


def test_fdb_life(web, netns):
    c1, c2 = netns(), netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("port.add", name="c2", network="web", type="tap", netns=c2.name)
    traffic.ping(c1, "10.1.0.3")
    learned = wait.until(lambda: web.fdb("web").get(c2.mac()), "c2 is learned")
    assert (learned["port"], learned["static"], "vtep" in learned) == ("c2", False, False)

    web.rpc("fdb.add", network="web", mac="02:00:00:00:00:aa", port="c1")
    assert web.fdb("web")["02:00:00:00:00:aa"]["static"] is True
    web.rpc("fdb.flush", network="web")
    assert list(web.fdb("web")) == ["02:00:00:00:00:aa"]
    web.rpc("fdb.del", network="web", mac="02:00:00:00:00:aa")
    assert "02:00:00:00:00:aa" not in web.fdb("web")
    refused(web, "fdb.del", NOT_FOUND, "mac: no 02:00:00:00:00:aa in network web", network="web",
            mac="02:00:00:00:00:aa")


def test_static_entries_go_with_their_port_and_vtep(web):
    web.rpc("network.add", name="over", mode="overlay", vni=100)
    web.rpc("vtep.add", network="over", remote="192.0.2.2")
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    web.rpc("fdb.add", network="web", mac="02:00:00:00:00:aa", port="v1")
    web.rpc("fdb.add", network="over", mac="02:00:00:00:00:bb", vtep="192.0.2.2")
    assert web.fdb("over")["02:00:00:00:00:bb"]["vtep"] == "192.0.2.2"
    web.rpc("port.del", name="v1")
    web.rpc("vtep.del", network="over", remote="192.0.2.2")
    assert [row for row in web.rpc("fdb.list") if row["static"]] == []


def test_fdb_refusals(web):
    web.rpc("network.add", name="other", mode="bridge")
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    entry = {"network": "web", "mac": "02:00:00:00:00:aa"}
    refused(web, "fdb.add", INVALID, "port: give either a port or a vtep", **entry)
    refused(web, "fdb.add", INVALID, "port: give either a port or a vtep", **entry, port="v1", vtep="192.0.2.2")
    refused(web, "fdb.add", NOT_FOUND, 'port: no port "v9" in network web', **entry, port="v9")
    refused(web, "fdb.add", NOT_FOUND, 'port: no port "v1" in network other', **{**entry, "network": "other"},
            port="v1")
    refused(web, "fdb.add", NOT_FOUND, "vtep: no vtep 192.0.2.2 in network web", **entry, vtep="192.0.2.2")
    web.rpc("fdb.add", **entry, port="v1")
    refused(web, "fdb.add", EXISTS, "mac: 02:00:00:00:00:aa is static in network web already", **entry, port="v1")
