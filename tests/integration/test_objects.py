"""Every noun of the API against the real daemon: what it makes, what it shows, what it refuses and why."""

import os
import socket
import stat

import pytest

from rig import traffic, wait
from rig.daemon import RpcError
from rig.process import run

INVALID, NOT_FOUND, EXISTS, IN_USE = -32602, -32001, -32002, -32003


@pytest.fixture(autouse=True)
def as_root(requires):
    requires("ip", "ping")


def refused(daemon, method, code, text, **params):
    """The call is refused with that code, and its line begins with `text`."""
    with pytest.raises(RpcError) as refusal:
        daemon.rpc(method, **params)
    assert (refusal.value.code, refusal.value.message[:len(text)]) == (code, text), refusal.value.message


def given(params):
    """Without those that are None."""
    return {key: value for key, value in params.items() if value is not None}


def names(rows):
    return [row["name"] for row in rows]


@pytest.fixture
def web(sluiced):
    """A daemon with a bridge network `web`, 10.1.0.0/24 with gateway 10.1.0.1."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return sluiced


# network


def test_network_life(sluiced):
    assert sluiced.rpc("network.list") == []
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", gateway="10.1.0.1")
    assert sluiced.rpc("network.list") == [
        {"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "mtu": 1450,
         "age_s": 300, "ports": 0, "source": "api"}]
    shown = sluiced.rpc("network.set", name="web", mtu=1400, age_s=10)
    assert (shown["mtu"], shown["age_s"]) == (1400, 10)
    assert sluiced.rpc("network.show", name="web")["mtu"] == 1400
    sluiced.rpc("network.del", name="web")
    assert sluiced.rpc("network.list") == []
    refused(sluiced, "network.show", NOT_FOUND, 'name: no such network "web"', name="web")


def test_network_defaults(sluiced):
    shown = sluiced.rpc("network.add", name="plain", mode="bridge")
    assert shown == {"name": "plain", "mode": "bridge", "vni": None, "subnet": None, "gateway": None, "mtu": 1500,
                     "age_s": 300, "ports": 0, "source": "api"}


NETWORK_REFUSALS = [
    ({"mode": "overlay"}, INVALID, "vni: required for mode overlay"),
    ({"mode": "bridge", "vni": 5}, INVALID, "vni: only for mode overlay"),
    ({"mode": "overlay", "vni": 100}, EXISTS, "vni: 100 is taken by network web"),
    ({"mode": "bridge", "gateway": "10.2.0.1"}, INVALID, "gateway: needs a subnet"),
    ({"mode": "bridge", "subnet": "10.2.0.0/24", "gateway": "10.3.0.1"}, INVALID, "gateway: 10.3.0.1 is no host"),
    ({"mode": "bridge", "subnet": "10.2.0.0/24", "gateway": "10.2.0.255"}, INVALID, "gateway: 10.2.0.255 is no host"),
    ({"mode": "bridge", "subnet": "10.0.0.0/7"}, INVALID, "subnet: "),
    ({"mode": "host", "subnet": "10.2.0.0/24"}, INVALID, "gateway: required for mode host"),
    ({"mode": "p2p", "subnet": "10.2.0.0/24", "gateway": "10.2.0.1"}, INVALID, "gateway: not for mode p2p"),
    ({"mode": "bridge", "name": "web"}, EXISTS, 'name: there is a network "web" already'),
]


def test_a_gateway_takes_every_mtu(sluiced):
    """Below 1280 the kernel has no IPv6 on an interface, which must not matter."""
    for mtu in (68, 1279, 1280, 9000):
        sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24", gateway="10.1.0.1", mtu=mtu)
        assert sluiced.rpc("network.show", name="web")["mtu"] == mtu
        sluiced.rpc("network.del", name="web")


def test_network_refusals(sluiced):
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100)
    before = sluiced.rpc("network.list")
    for params, code, text in NETWORK_REFUSALS:
        refused(sluiced, "network.add", code, text, **{"name": "new", **params})
        assert sluiced.rpc("network.list") == before


def test_network_in_use(web):
    web.rpc("port.add", name="n1", network="web", type="vhost-user", socket=str(web.vhost / "n1.sock"))
    refused(web, "network.del", IN_USE, "name: network web has port n1", name="web")
    web.rpc("port.del", name="n1")
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    refused(web, "network.del", IN_USE, "name: network web has service api", name="web")
    web.rpc("service.del", name="api")
    web.rpc("network.del", name="web")


def test_gateway_answers(web, netns):
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    traffic.ping(c1, "10.1.0.1")
    shown = web.rpc("network.show", name="web")
    assert (shown["gateway_state"], shown["ports"]) == ("up", 1)
    web.rpc("network.set", name="web", mtu=1300)
    traffic.ping(c1, "10.1.0.1", size=1300 - 28)


def test_subnets_of_two_networks_may_overlap(web, netns):
    web.rpc("network.add", name="other", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    for network in ("web", "other"):
        ns = netns()
        web.rpc("port.add", name=f"c-{network}", network=network, type="tap", netns=ns.name, ips=["10.1.0.9"])
        traffic.ping(ns, "10.1.0.1")


def test_host_network_is_joined_with_the_host(sluiced, netns):
    """The gateway's interface stands in the host's namespace, under the network's name, and goes with it."""
    pid, subnet = os.getpid(), f"198.18.{os.getpid() % 256}"
    name = f"n{pid}"
    sluiced.rpc("network.add", name=name, mode="host", subnet=f"{subnet}.0/24", gateway=f"{subnet}.1")
    ifname = sluiced.rpc("network.show", name=name)["gateway_interface"]
    assert ifname == f"sl-{name}"
    assert ifname in [each for _, each in socket.if_nameindex()]
    ns = netns()
    sluiced.rpc("port.add", name="c1", network=name, type="tap", netns=ns.name, ips=[f"{subnet}.2"])
    traffic.ping(ns, f"{subnet}.1")
    sluiced.rpc("port.del", name="c1")
    sluiced.rpc("network.del", name=name)
    assert ifname not in [each for _, each in socket.if_nameindex()]


def test_host_interface_name_is_taken(sluiced):
    """Then the network's interface gets another name, made of its name and a hash."""
    name = f"n{os.getpid()}"
    run(["ip", "tuntap", "add", f"sl-{name}", "mode", "tap"])
    try:
        sluiced.rpc("network.add", name=name, mode="host", subnet="198.18.7.0/30", gateway="198.18.7.1")
        ifname = sluiced.rpc("network.show", name=name)["gateway_interface"]
        assert ifname.startswith(f"sl-{name[:7]}-") and len(ifname) <= 15
    finally:
        run(["ip", "link", "del", f"sl-{name}"])


def test_long_names_of_host_networks(sluiced):
    long = f"n{os.getpid()}-a-rather-long-name"
    for i in (1, 2):
        sluiced.rpc("network.add", name=f"{long}-{i}", mode="host", subnet=f"198.18.{i}.0/30",
                    gateway=f"198.18.{i}.1")
    ifnames = {sluiced.rpc("network.show", name=f"{long}-{i}")["gateway_interface"] for i in (1, 2)}
    assert len(ifnames) == 2 and all(len(ifname) == 15 for ifname in ifnames)


# port


def test_port_life(web, netns):
    c1 = netns()
    added = web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    assert added == {
        "name": "c1", "network": "web", "type": "tap", "state": "up", "mac": "02:3c:fd:f0:db:f9",
        "ips": ["10.1.0.2"], "mtu": 1500, "queues": 1, "rx_packets": added["rx_packets"],
        "rx_bytes": added["rx_bytes"], "tx_packets": added["tx_packets"], "tx_bytes": added["tx_bytes"],
        "rx_drops": 0, "tx_drops": 0, "source": "api"}
    assert names(web.rpc("port.list")) == ["c1"]
    assert web.rpc("port.show", name="c1")["netns"] == c1.name
    assert web.rpc("network.show", name="web")["ports"] == 1
    web.rpc("port.del", name="c1")
    assert web.rpc("port.list") == []
    assert c1.interfaces() == ["lo"]
    refused(web, "port.del", NOT_FOUND, 'name: no such port "c1"', name="c1")


def test_tap_is_configured(web, netns):
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.path, ifname="net7", mtu=1400, queues=4,
            mac="02:00:00:00:00:11", ips=["10.1.0.11", "10.1.0.12"])
    link = c1.run("ip", "-o", "addr", "show", "net7").stdout
    assert "10.1.0.11/24" in link and "10.1.0.12/24" in link
    assert "mtu 1400" in c1.run("ip", "link", "show", "net7").stdout
    assert c1.mac("net7") == "02:00:00:00:00:11"
    assert "default via 10.1.0.1 dev net7" in c1.run("ip", "route").stdout


def test_tap_is_left_alone_when_told_so(web, netns):
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name, configure=False)
    assert c1.run("ip", "-4", "-o", "addr", "show", "eth0").stdout == ""
    assert c1.run("ip", "route").stdout == ""
    assert "state DOWN" in c1.run("ip", "link", "show", "eth0").stdout


def test_port_set(web, netns):
    """MAC, addresses and MTU change in the container as well as in the switch."""
    c1, c2 = netns(), netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("port.add", name="c2", network="web", type="tap", netns=c2.name)
    shown = web.rpc("port.set", name="c1", mac="02:00:00:00:00:77", ips=["10.1.0.78", "10.1.0.77"], mtu=1300)
    assert (shown["mac"], shown["ips"], shown["mtu"]) == ("02:00:00:00:00:77", ["10.1.0.78", "10.1.0.77"], 1300)
    assert c1.mac() == "02:00:00:00:00:77"
    assert "mtu 1300" in c1.run("ip", "link", "show", "eth0").stdout
    addresses = c1.run("ip", "-4", "-o", "addr", "show", "eth0").stdout
    assert "10.1.0.77/24" in addresses and "10.1.0.78/24" in addresses and "10.1.0.2/24" not in addresses
    assert "default via 10.1.0.1" in c1.run("ip", "route").stdout
    traffic.wait_ping(c2, "10.1.0.77")
    refused(web, "port.set", EXISTS, "ips: 10.1.0.3 is taken by port c2", name="c1", ips=["10.1.0.3"])
    refused(web, "port.set", INVALID, "mtu: 1501 is more than the 1500", name="c1", mtu=1501)
    refused(web, "port.set", EXISTS, "mac: ", name="c2", mac="02:00:00:00:00:77")
    assert web.rpc("port.show", name="c1")["ips"] == ["10.1.0.78", "10.1.0.77"]


def test_ports_follow_the_mtu_of_their_network(web, netns):
    c1, c2 = netns(), netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("port.add", name="c2", network="web", type="tap", netns=c2.name, mtu=1200)
    refused(web, "network.set", IN_USE, "mtu: port c2 has its own of 1200", name="web", mtu=1199)
    web.rpc("network.set", name="web", mtu=1300)
    assert "mtu 1300" in c1.run("ip", "link", "show", "eth0").stdout
    assert "mtu 1200" in c2.run("ip", "link", "show", "eth0").stdout
    assert {port["name"]: port["mtu"] for port in web.rpc("port.list")} == {"c1": 1300, "c2": 1200}


def test_addresses_are_given_out_in_order(web):
    def add(name, **params):
        path = str(web.vhost / f"{name}.sock")
        return web.rpc("port.add", name=name, network="web", type="vhost-user", socket=path, **params)["ips"]

    assert add("a") == ["10.1.0.2"]
    assert add("b", ips=["10.1.0.4", "10.1.0.9"]) == ["10.1.0.4", "10.1.0.9"]
    assert add("c") == ["10.1.0.3"]
    web.rpc("service.add", name="api", network="web", vip="10.1.0.5", port=80, protocol="tcp")
    assert add("d") == ["10.1.0.6"]
    assert add("e", ips=[]) == []
    web.rpc("port.del", name="a")
    assert add("f") == ["10.1.0.2"]


def test_no_address_left(sluiced):
    sluiced.rpc("network.add", name="small", mode="bridge", subnet="10.1.0.0/30", gateway="10.1.0.1")
    sluiced.rpc("port.add", name="a", network="small", type="vhost-user", socket=str(sluiced.vhost / "a.sock"))
    refused(sluiced, "port.add", IN_USE, "ips: no free address left in 10.1.0.0/30", name="b", network="small",
            type="vhost-user", socket=str(sluiced.vhost / "b.sock"))


PORT_REFUSALS = [
    ({"network": "none"}, NOT_FOUND, 'network: no such network "none"'),
    ({"name": "c1"}, EXISTS, 'name: there is a port "c1" already'),
    ({"name": "gateway"}, INVALID, 'name: "gateway" stands for'),
    ({"netns": "no-such-ns"}, NOT_FOUND, 'netns: no such namespace "no-such-ns"'),
    ({"netns": "/etc/passwd"}, INVALID, 'netns: "/etc/passwd" is no network namespace'),
    ({"ifname": "eth0"}, EXISTS, 'ifname: there is an interface "eth0" already'),
    ({"ifname": "a/b"}, INVALID, 'ifname: "a/b" is no name for an interface'),
    ({"ips": ["10.1.0.1"]}, EXISTS, "ips: 10.1.0.1 is taken by the gateway"),
    ({"ips": ["10.1.0.2"]}, EXISTS, "ips: 10.1.0.2 is taken by port c1"),
    ({"ips": ["10.1.0.100"]}, EXISTS, "ips: 10.1.0.100 is taken by service api"),
    ({"ips": ["10.1.0.255"]}, INVALID, "ips: 10.1.0.255 is no host address of 10.1.0.0/24"),
    ({"ips": ["10.2.0.2"]}, INVALID, "ips: 10.2.0.2 is no host address of 10.1.0.0/24"),
    ({"mac": "02:3c:fd:f0:db:f9"}, EXISTS, "mac: 02:3c:fd:f0:db:f9 is taken by port c1"),
    ({"mtu": 1501}, INVALID, "mtu: 1501 is more than the 1500 of network web"),
    ({"socket": "/tmp/x.sock"}, INVALID, "socket: not for type tap"),
    ({"type": "af_packet", "netns": None, "ifname": None}, INVALID, "device: required for type af_packet"),
    ({"type": "af_packet", "netns": None, "ifname": None, "device": "no-such-dev"}, NOT_FOUND,
     'device: no interface "no-such-dev"'),
    ({"type": "af_xdp", "netns": None, "ifname": None}, INVALID, "device: required for type af_xdp"),
    ({"type": "pcap", "netns": None, "ifname": None}, INVALID, "file: required for type pcap"),
    ({"type": "eth", "netns": None, "ifname": None}, INVALID, "devargs: required for type eth"),
    ({"type": "vhost-user", "netns": None, "ifname": None, "socket_mode": "0980"}, INVALID, "socket_mode: "),
    ({"type": "vhost-user", "netns": None, "ifname": None, "socket": "SOCKET"}, EXISTS, "socket: "),
]


def test_port_refusals_leave_nothing_behind(web, netns):
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    whole = {"name": "new", "network": "web", "type": "tap", "netns": c1.name, "ifname": "eth1"}
    for params, code, text in PORT_REFUSALS:
        if params.get("socket") == "SOCKET":
            params = {**params, "socket": str(web.vhost / "v1.sock")}
        refused(web, "port.add", code, text, **given({**whole, **params}))
        assert names(web.rpc("port.list")) == ["c1", "v1"]
        assert sorted(c1.interfaces()) == ["eth0", "lo"]


def test_vhost_socket_is_where_and_how_it_was_asked_for(web):
    path = web.vhost / "mine.sock"
    shown = web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(path), socket_mode="0600",
                    mask=["mrg_rxbuf", "csum"])
    assert shown["state"] == "down"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert web.rpc("port.show", name="v1")["mask"] == ["mrg_rxbuf", "csum"]
    web.rpc("port.del", name="v1")
    assert not path.exists()


def test_p2p_joins_two_ports(sluiced, netns):
    sluiced.rpc("network.add", name="wire", mode="p2p", subnet="10.4.0.0/30")
    a, b = netns(), netns()
    for ns, name in ((a, "a"), (b, "b")):
        sluiced.rpc("port.add", name=name, network="wire", type="tap", netns=ns.name)
    traffic.ping(a, "10.4.0.2")
    refused(sluiced, "port.add", IN_USE, "network: wire joins two ports already", name="c", network="wire",
            type="vhost-user", ips=[], socket=str(sluiced.vhost / "c.sock"))


def test_port_goes_down_with_its_namespace(web, netns):
    """A TAP does not hold its container's namespace: when that ends, the port is down and so is its backend."""
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("backend.add", service="api", address="10.1.0.2", port=8080)
    assert web.rpc("service.show", name="api")["backends"][0]["health"] == "passing"
    c1.close()
    web.wait_port("c1", "down")
    wait.until(lambda: web.rpc("service.show", name="api")["backends"][0]["health"] == "critical", "backend critical")
    web.rpc("port.del", name="c1")


def test_everything_comes_back_after_a_crash(web, netns):
    """kill -9, and the TAP is made again in its namespace with the same MAC and addresses."""
    c1, c2 = netns(), netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("port.add", name="c2", network="web", type="tap", netns=c2.name)
    web.rpc("port.del", name="c1")
    web.rpc("port.add", name="c3", network="web", type="tap", netns=c1.name)
    web.rpc("port.set", name="c3", ips=["10.1.0.30"])
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("backend.add", service="api", address="10.1.0.30", port=8080)
    web.rpc("backend.drain", service="api", address="10.1.0.30", port=8080)
    web.rpc("fdb.add", network="web", mac="02:00:00:00:00:aa", port="c2")
    identity = ("name", "network", "type", "mac", "ips", "source")
    wait.until(lambda: "02:00:00:00:00:aa" in "".join(file.read_text() for file in web.state.iterdir()), "the state is written")

    def shown():
        return [{key: port[key] for key in identity} for port in web.rpc("port.list")], web.rpc("network.list")

    before = shown()
    web.kill()
    web.start()
    assert shown() == before
    assert web.rpc("service.show", name="api")["backends"][0]["health"] == "draining"
    assert web.fdb("web")["02:00:00:00:00:aa"]["port"] == "c2"
    traffic.wait_ping(c2, "10.1.0.30")


# uplink, vtep


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


# fdb


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


# service, backend, conn


def test_service_life(web):
    added = web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    assert added == {"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp",
                     "policy": "maglev", "generation": added["generation"], "check": None, "backends": [],
                     "source": "api"}
    web.rpc("backend.add", service="api", address="10.1.0.12", port=8080)
    web.rpc("backend.add", service="api", address="10.9.0.1", port=8080, weight=3)
    shown = web.rpc("service.show", name="api")
    assert shown["generation"] > added["generation"]
    keys = ("address", "port", "weight", "health", "balanced", "connections", "packets", "bytes")
    assert [tuple(backend[key] for key in keys) for backend in shown["backends"]] == [
        ("10.1.0.12", 8080, 1, "passing", True, 0, 0, 0), ("10.9.0.1", 8080, 3, "passing", False, 0, 0, 0)]
    assert [(row["name"], row["backends"], row["passing"]) for row in web.rpc("service.list")] == [("api", 2, 2)]

    changed = web.rpc("service.set", name="api", vip="10.1.0.101", port=81,
                      check={"type": "tcp", "interval_ms": 100, "timeout_ms": 50})
    assert (changed["vip"], changed["port"], changed["protocol"]) == ("10.1.0.101", 81, "tcp")
    assert changed["check"] == {"type": "tcp", "interval_ms": 100, "timeout_ms": 50, "rise": 1, "fall": 2}
    assert {backend["health"] for backend in changed["backends"]} == {"critical"}
    web.rpc("service.del", name="api")
    assert web.rpc("service.list") == []
    refused(web, "service.show", NOT_FOUND, 'name: no such service "api"', name="api")


def test_service_without_a_vip_is_discoverable_only(web):
    web.rpc("service.add", name="db")
    backend = web.rpc("backend.add", service="db", address="10.1.0.12", port=5432)
    assert (backend["balanced"], backend["health"]) == (False, "passing")
    shown = web.rpc("service.set", name="db", network="web", vip="10.1.0.100", port=5432, protocol="tcp")
    assert shown["backends"][0]["balanced"] is True


SERVICE_REFUSALS = [
    ({"name": "api"}, EXISTS, ""),
    ({"network": "none"}, NOT_FOUND, 'network: no such network "none"'),
    ({"network": None}, INVALID, "network: required with a vip"),
    ({"port": None}, INVALID, "port: required with a vip"),
    ({"protocol": None}, INVALID, "protocol: required with a vip"),
    ({"network": "bare"}, INVALID, "vip: network bare has no subnet"),
    ({"vip": "10.2.0.1"}, INVALID, "vip: 10.2.0.1 is no host address of 10.1.0.0/24"),
    ({"vip": "10.1.0.1"}, EXISTS, "vip: 10.1.0.1 is the gateway of network web"),
    ({"vip": "10.1.0.2"}, EXISTS, "vip: 10.1.0.2 is taken by port v1"),
    ({"vip": "10.1.0.100"}, EXISTS, "vip: "),
    ({"check": {"type": "passive", "fall": 1}}, INVALID, "check.fall: "),
]


def test_service_refusals(web):
    web.rpc("network.add", name="bare", mode="bridge")
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    whole = {"name": "new", "network": "web", "vip": "10.1.0.99", "port": 80, "protocol": "tcp"}
    for params, code, text in SERVICE_REFUSALS:
        refused(web, "service.add", code, text, **given({**whole, **params}))
        assert names(web.rpc("service.list")) == ["api"]


def test_services_may_share_a_vip_on_different_ports(web):
    for port in (80, 81):
        web.rpc("service.add", name=f"s{port}", network="web", vip="10.1.0.100", port=port, protocol="tcp")
    web.rpc("service.add", name="dns", network="web", vip="10.1.0.100", port=80, protocol="udp")
    assert names(web.rpc("service.list")) == ["dns", "s80", "s81"]


def test_backend_life(web):
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    key = {"service": "api", "address": "10.1.0.12", "port": 8080}
    added = web.rpc("backend.add", **key, weight=2)
    assert (added["id"], added["weight"], added["health"]) == ("10.1.0.12:8080", 2, "passing")
    assert web.rpc("backend.set", **key, weight=5)["weight"] == 5
    assert web.rpc("backend.drain", **key)["health"] == "draining"
    assert web.rpc("backend.set", **key, weight=7)["health"] == "draining"
    assert web.rpc("backend.undrain", **key)["health"] == "passing"
    assert [(row["service"], row["address"], row["weight"]) for row in web.rpc("backend.list")] == [
        ("api", "10.1.0.12", 7)]
    assert web.rpc("backend.list", service="api") == web.rpc("backend.list")
    web.rpc("backend.del", **key)
    assert web.rpc("backend.list") == []


def test_backend_refusals(web):
    web.rpc("service.add", name="api")
    key = {"service": "api", "address": "10.1.0.12", "port": 8080}
    web.rpc("backend.add", **key)
    refused(web, "backend.add", EXISTS, "", **key)
    refused(web, "backend.add", NOT_FOUND, 'service: no such service "none"', **{**key, "service": "none"})
    for verb in ("set", "del", "drain", "undrain"):
        refused(web, f"backend.{verb}", NOT_FOUND, "address: service api has no backend 10.1.0.12:9",
                **{**key, "port": 9})
    refused(web, "backend.list", NOT_FOUND, 'service: no such service "none"', service="none")


def test_backend_follows_its_port(web, netns):
    """Down with the port, at once; up again with a port that has the address."""
    c1 = netns()
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("backend.add", service="api", address="10.1.0.12", port=8080)

    def health():
        return web.rpc("service.show", name="api")["backends"][0]["health"]

    assert health() == "passing"
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name, ips=["10.1.0.12"])
    assert health() == "passing"
    web.rpc("port.set", name="c1", ips=["10.1.0.13"])
    assert health() == "critical"
    web.rpc("port.set", name="c1", ips=["10.1.0.12"])
    assert health() == "passing"
    web.rpc("port.del", name="c1")
    assert health() == "critical"


def test_checks_start_inside_the_network(web, netns):
    """Two networks with the same addresses: each service's check reaches the backend of its own network."""
    web.rpc("network.add", name="other", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    served, silent = netns(), netns()
    for network, ns in (("web", served), ("other", silent)):
        web.rpc("port.add", name=f"c-{network}", network=network, type="tap", netns=ns.name, ips=["10.1.0.2"])
    with traffic.tcp_server(served, 8080):
        for network in ("web", "other"):
            web.rpc("service.add", name=f"s-{network}", network=network, vip="10.1.0.100", port=80, protocol="tcp",
                    check={"type": "tcp", "interval_ms": 50, "timeout_ms": 500})
            web.rpc("backend.add", service=f"s-{network}", address="10.1.0.2", port=8080)

        def health(service):
            return web.rpc("service.show", name=service)["backends"][0]["health"]

        wait.until(lambda: health("s-web") == "passing", "the server is found")
        wait.until(lambda: "refused" in web.rpc("service.show", name="s-other")["backends"][0]["output"].lower(),
                   "the other container refuses")
        assert health("s-other") == "critical"
    wait.until(lambda: health("s-web") == "critical", "the server is missed")


def test_no_connections_yet(web):
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    assert web.rpc("conn.count") == {"count": 0}
    assert web.rpc("conn.list", service="api", client="10.1.0.2") == []
    refused(web, "conn.list", NOT_FOUND, 'service: no such service "none"', service="none")


# stats, status


def test_stats_add_up(web, netns):
    """rx + generated + copies = tx + drops + consumed, for real traffic through flooding, learning and the gateway."""
    c1, c2 = netns(), netns()
    for ns, name in ((c1, "c1"), (c2, "c2")):
        web.rpc("port.add", name=name, network="web", type="tap", netns=ns.name)
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    traffic.ping(c1, "10.1.0.3", count=10)
    traffic.ping(c1, "10.1.0.1")

    def balance():
        row = web.rpc("stats.show")[0]
        assert row["network"] == "web" and row["rx"] > 20
        return row["rx"] + row["generated"] + row["copies"] == row["tx"] + row["drops"] + row["consumed"]

    wait.until(balance, "the counters add up")
    assert web.drops("link-down", "v1") > 0
    assert {row["network"] for row in web.rpc("stats.drops")} == {"web"}


def test_workers_and_status(web):
    worker = web.rpc("stats.workers")[0]
    assert worker["state"] in ("busy", "asleep") and worker["core"] == min(1, os.cpu_count() - 1)
    assert {stage["name"] for stage in worker["stages"]} >= {"learn", "service", "lookup"}
    assert all(0 < gap["up_to_us"] and gap["ms"] > 0 for gap in worker["gaps"]) and worker["gaps"]
    status = web.rpc("status")
    assert set(status) == {"version", "uptime_s", "workers", "memory_mb", "generation"}
    assert set(status["workers"][0]) >= {"core", "state", "busy_pct", "packets", "cycles_per_packet"}
    assert status["memory_mb"] > 0
    assert web.rpc("version") == {"version": status["version"]}
