"""Ports of containers and guests: what is made, shown and refused, and why."""

import stat

import pytest

from rig import traffic, wait
from rig.objects import EXISTS, IN_USE, INVALID, NOT_FOUND, given, names, refused

pytestmark = pytest.mark.control


def test_port_life(web, netns):
    c1 = netns()
    added = web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    assert added.items() >= {
        "name": "c1", "network": "web", "type": "tap", "state": "up", "mac": "02:3c:fd:f0:db:f9",
        "ips": ["10.1.0.2"], "mtu": 1500, "queues": 1, "rx_packets": added["rx_packets"],
        "rx_bytes": added["rx_bytes"], "tx_packets": added["tx_packets"], "tx_bytes": added["tx_bytes"],
        "rx_drops": 0, "tx_drops": 0, "source": "api"}.items()
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
    ({"netns": None}, INVALID, "netns: the host's own namespace is for ports of a network of mode host"),
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


def test_port_waits_when_its_namespace_goes(web, netns):
    """A TAP does not hold its container's namespace: when that ends, the port waits and its backend is critical."""
    c1 = netns()
    web.rpc("port.add", name="c1", network="web", type="tap", netns=c1.name)
    web.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    web.rpc("backend.add", service="api", address="10.1.0.2", port=8080)
    assert web.rpc("service.show", name="api")["backends"][0]["health"] == "passing"
    c1.close()
    web.wait_port("c1", "waiting")
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
