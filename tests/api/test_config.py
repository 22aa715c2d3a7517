"""The configuration file: what is refused and where, and what a reload touches."""

import copy
import json
import os
import signal
import subprocess
import time

import pytest

from rig import traffic, wait
from rig.daemon import Daemon, program
from rig.ports import free_port

NET = {"name": "web", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}
PORT = {"name": "n1", "network": "web", "type": "null"}
SERVICE = {"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp"}

OVERLAY = {"name": "o", "mode": "overlay", "vni": 7}
UPLINK = {"name": "up", "type": "vhost-user", "address": "192.0.2.1/24"}
ETCD = {"etcd": ["http://192.0.2.7:2379"]}
BACKEND = {"service": "api", "address": "10.1.0.9", "port": 80}

# The sample of the documentation: every kind of object.
SAMPLE = {
    "dataplane": {"main_core": 0, "cores": [1], "memory_mb": 512, "hugepages": "auto", "idle": "adaptive",
                  "fdb_size": 65536, "conn_size": 262144},
    "control": {"socket": "/run/sluice/control.sock", "http": "127.0.0.1:8500", "dns": "127.0.0.1:8600"},
    "networks": [{"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24", "gateway": "10.1.0.1",
                  "mtu": 1450, "age_s": 300}],
    "uplinks": [{"name": "up0", "type": "af_packet", "device": "eth1", "address": "192.0.2.1/24",
                 "gateway": "192.0.2.254", "vxlan_port": 4789, "mtu": 1500}],
    "vteps": [{"network": "web", "remote": "192.0.2.2"}],
    "ports": [{"name": "c1", "network": "web", "type": "vhost-user", "socket": "/run/sluice/vhost/c1.sock",
               "mac": "02:00:00:00:00:11", "ips": ["10.1.0.11"]},
              {"name": "c2", "network": "web", "type": "tap", "netns": "c2", "ifname": "eth0", "ips": ["10.1.0.12"]}],
    "services": [{"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp",
                  "policy": "maglev",
                  "check": {"type": "tcp", "interval_ms": 1000, "timeout_ms": 500, "rise": 1, "fall": 2}}],
    "backends": [{"service": "api", "address": "10.1.0.12", "port": 8080, "weight": 1}],
}

WRONG = [
    ({"colour": "red"}, "colour: unknown key"),
    ({"ports": {}}, "ports: must be a list"),
    ({"dataplane": []}, "dataplane: must be an object"),
    ({"dataplane": {"cores": [-1]}}, "dataplane.cores"),
    ({"dataplane": {"memory_mb": "much"}}, "dataplane.memory_mb: must be an integer"),
    ({"dataplane": {"idle": "never"}}, "dataplane.idle: must be one of"),
    ({"control": {"socket": "relative"}}, "control.socket: must be an absolute path"),
    ({"networks": [NET, NET]}, "networks[1].name: the same as networks[0]"),
    ({"networks": [{"name": "Bad"}]}, "networks[0].name: must match"),
    ({"networks": [dict(NET, gateway="10.2.0.1")]}, "networks[0].gateway: 10.2.0.1 is no host address of"),
    ({"networks": [{"name": "o", "mode": "overlay"}]}, "networks[0].vni: required"),
    ({"networks": [dict(NET, vni=5)]}, "networks[0].vni: only for"),
    ({"networks": [NET], "ports": [PORT, dict(PORT, vni=7, name="n2")]}, "ports[1].vni: unknown key"),
    ({"networks": [NET], "ports": [dict(PORT, network="wbe")]}, 'ports[0].network: nothing in networks is called "wbe"'),
    ({"networks": [NET], "ports": [{"name": "n1", "type": "null"}]}, "ports[0].network: missing"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.2.0.5"])]}, "ports[0].ips: 10.2.0.5 is no host address of"),
    ({"networks": [NET], "ports": [dict(PORT, mtu=10)]}, "ports[0].mtu: out of range"),
    ({"networks": [NET], "ports": [dict(PORT, rate_in="7K")]}, "ports[0].rate_in: out of range 8K..1000G"),
    ({"networks": [NET], "ports": [dict(PORT, services=["db", "db:0"])]}, "ports[0].services[1]: "),
    ({"networks": [NET], "ports": [dict(PORT, burst_out="64K")]}, "ports[0].burst_out: needs rate_out"),
    ({"networks": [NET], "services": [dict(SERVICE, vip="10.2.0.100")]}, "services[0].vip"),
    ({"networks": [NET], "services": [dict(SERVICE, check={"type": "tcp", "interval_ms": 1})]},
     "services[0].check.interval_ms: out of range"),
    ({"backends": [{"service": "api", "address": "10.1.0.9", "port": 80}]},
     'backends[0].service: nothing in services is called "api"'),
    ({"vteps": [{"network": "web", "remote": "192.0.2.2"}]}, "vteps[0].network"),
    ({"networks": [dict(NET, subnet="10.0.0.0/7")]}, "networks[0].subnet: "),
    ({"networks": [{"name": "h", "mode": "host", "subnet": "10.1.0.0/24"}]}, "networks[0].gateway: required for mode host"),
    ({"networks": [OVERLAY, dict(OVERLAY, name="o2")]}, "networks[1].vni: 7 is taken by networks[0]"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.1"])]}, "ports[0].ips: 10.1.0.1 is taken by networks[0]"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.5"]), dict(PORT, name="n2", ips=["10.1.0.5"])]},
     "ports[1].ips: 10.1.0.5 is taken by ports[0]"),
    ({"networks": [{"name": "web"}], "ports": [dict(PORT, ips=["10.1.0.5"])]}, "ports[0].ips: network web has no subnet"),
    ({"networks": [NET], "ports": [dict(PORT, mac="02:00:00:00:00:aa"), dict(PORT, name="n2", mac="02:00:00:00:00:AA")]},
     "ports[1].mac: 02:00:00:00:00:AA is taken by ports[0]"),
    ({"networks": [NET], "ports": [dict(PORT, socket="/tmp/x")]}, "ports[0].socket: not for type null"),
    ({"networks": [NET], "ports": [dict(PORT, type="pcap")]}, "ports[0].file: required for type pcap"),
    ({"networks": [NET], "ports": [dict(PORT, type="vhost-user", socket_mode="999")]}, "ports[0].socket_mode: "),
    ({"networks": [NET], "ports": [dict(PORT, mtu=9000)]}, "ports[0].mtu: 9000 is more than the 1500 of network web"),
    ({"networks": [NET], "ports": [dict(PORT, name="gateway")]}, "ports[0].name: "),
    ({"networks": [{"name": "web", "mode": "p2p"}], "ports": [dict(PORT, name=f"n{i}") for i in range(3)]},
     "ports[2].network: web joins two ports already"),
    ({"networks": [NET], "uplinks": [dict(UPLINK, name="n1")], "ports": [PORT]}, "ports[0].name: the same as uplinks[0]"),
    ({"uplinks": [dict(UPLINK, gateway="198.51.100.1")]}, "uplinks[0].gateway: 198.51.100.1 is no other host of"),
    ({"networks": [NET], "vteps": [{"network": "web", "remote": "192.0.2.2"}]}, "vteps[0].network: web is no overlay"),
    ({"networks": [OVERLAY], "uplinks": [UPLINK], "vteps": [{"network": "o", "remote": "192.0.2.1"}]},
     "vteps[0].remote: 192.0.2.1 is the address of uplinks[0]"),
    ({"networks": [NET], "fdb": [{"network": "web", "mac": "02:00:00:00:00:05", "port": "n9"}]},
     'fdb[0].port: nothing in ports is called "n9"'),
    ({"networks": [NET], "fdb": [{"network": "web", "mac": "02:00:00:00:00:05"}]}, "fdb[0].port: give either"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.100"])], "services": [SERVICE]},
     "services[0].vip: 10.1.0.100 is taken by ports[0]"),
    ({"networks": [NET], "services": [SERVICE, dict(SERVICE, name="b")]},
     "services[1].vip: 10.1.0.100:80 is the vip of service api"),
    ({"networks": [NET], "services": [{"name": "api", "network": "web", "vip": "10.1.0.100"}]}, "services[0].port: "),
    ({"services": [{"name": "api", "check": {"type": "passive", "fall": 2}}]},
     "services[0].check.fall: 2 is out of range 3..100 for passive"),
    ({"services": [{"name": "api"}], "backends": [dict(BACKEND, id="a"), dict(BACKEND, port=81, id="a")]}, "backends[1].id: "),
    # one address, however it is spelled
    ({"services": [{"name": "api"}], "backends": [dict(BACKEND, address="fd00::1"), dict(BACKEND, address="FD00:0::1")]},
     "backends[1].service: the same as backends[0]"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.5", "::ffff:10.1.0.5"])]}, "ports[0].ips[1]: is there twice"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.5"]), dict(PORT, name="n2", ips=["::ffff:a01:5"])]},
     "ports[1].ips: 10.1.0.5 is taken by ports[0]"),
    ({"services": [{"name": "api"}], "backends": [dict(BACKEND, address="fe80::1%eth0")]}, "backends[0].address: must be an IP address"),
    ({"control": {"check_targets": ["fd00::1/64"]}}, "control.check_targets[0]: has bits set beyond its prefix length"),
    ({"control": {"check_targets": ["::1"]}}, "control.check_targets[0]: must be a prefix like"),
    # what the workers cannot do for IPv6 yet
    ({"networks": [NET], "services": [dict(SERVICE, vip="fd00::1")]}, "services[0].vip: fd00::1: network web has no subnet of IPv6"),
    ({"networks": [NET], "ports": [dict(PORT, ips=["fd00::a01:5"])]}, "ports[0].ips: fd00::a01:5: network web has no subnet of IPv6"),
    ({"networks": [OVERLAY], "vteps": [{"network": "o", "remote": "ff02::1"}]}, "vteps[0].remote: ff02::1 is no unicast address"),
    ({"networks": [OVERLAY], "vteps": [{"network": "o", "remote": "fd00::2"}, {"network": "o", "remote": "FD00:0::2"}]},
     "vteps[1].network: the same as vteps[0]"),
    ({"networks": [OVERLAY], "uplinks": [dict(UPLINK, address="fd00::1/64")], "vteps": [{"network": "o", "remote": "fd00:0::1"}]},
     "vteps[0].remote: fd00::1 is the address of uplinks[0]"),
    ({"uplinks": [dict(UPLINK, gateway="fd00::1")]}, "uplinks[0].gateway: fd00::1 is no other host of"),
    ({"uplinks": [dict(UPLINK, address="fd00::1/64", gateway="192.0.2.254")]}, "uplinks[0].gateway: 192.0.2.254 is no other host of"),
    ({"uplinks": [dict(UPLINK, address="fd00::/64")]}, "uplinks[0].address: fd00::/64 is no host address of its prefix"),
    ({"uplinks": [dict(UPLINK, address="ff02::1/64")]}, "uplinks[0].address: ff02::1/64 is no host address of its prefix"),
    ({"uplinks": [dict(UPLINK, zero_checksum=True)]}, "uplinks[0].zero_checksum: is for an address of IPv6"),
    ({"networks": [dict(NET, subnet="fd00::/64")]}, "networks[0].gateway: 10.1.0.1 needs a subnet of IPv4"),
    ({"networks": [dict(NET, gateway="fd00::1")]}, "networks[0].gateway: fd00::1 needs a subnet of IPv6"),
]


# What a start refuses for want of it on this host, --check-config refuses too.
WRONG += [
    ({"dataplane": {"cores": [999]}}, "dataplane.cores: no CPU 999"),
    ({"dataplane": {"cores": [0, 0]}}, "dataplane.cores"),
    ({"dataplane": {"main_core": 999}}, "dataplane.main_core: no CPU 999"),
    ({"dataplane": {"memory_mb": 1048576, "hugepages": "off"}}, "dataplane.memory_mb: 1048576 is more than the"),
    ({"control": {"http": "nonsense"}}, "control.http: nonsense: must be ADDRESS:PORT"),
    ({"control": {"http": "0.0.0.0:8500"}}, "control.http: 0.0.0.0:8500 is not a loopback address: it needs a token"),
    ({"control": {"http": "192.0.2.77:8500", "http_token": "x"}}, "control.http: 192.0.2.77:8500: Cannot assign"),
    ({"control": {"http": "", "http_tls_cert": "/nonexistent/cert", "http_tls_key": "/nonexistent/key"}},
     "control.http_tls_cert"),
    ({"control": {"dns": "127.0.0.1"}}, "control.dns: 127.0.0.1: must be ADDRESS:PORT"),
    ({"control": {"dns": "192.0.2.77:53"}}, "control.dns: 192.0.2.77:53: Cannot assign"),
    ({"control": {"dns_recursors": ["nobody"]}}, "control.dns: recursors: nobody"),
    ({"control": {"dns_domain": "a b"}}, "control.dns: domain: a b is none"),
    ({"networks": [NET], "ports": [dict(PORT, type="tap")]}, "ports[0].netns: the host's own namespace"),
    ({"cluster": {"host": "h1"}}, "cluster.etcd: missing"),
    ({"cluster": {"etcd": ["192.0.2.7:2379"]}}, "cluster.etcd[0]: must be http:// or https://, a host and maybe a port"),
    ({"cluster": {"etcd": ["http://192.0.2.7:2379/v3"]}}, "cluster.etcd[0]: must be"),
    ({"cluster": dict(ETCD, host="No")}, "cluster.host: "),
    ({"cluster": dict(ETCD, prefix="/a/")}, "cluster.prefix: must not end with a slash"),
    ({"cluster": dict(ETCD, ca="/nonexistent/ca")}, "cluster.ca: /nonexistent/ca: No such file"),
    ({"cluster": dict(ETCD, cert="/nonexistent/cert")}, "cluster.key: missing"),
    ({"cluster": dict(ETCD, user="u")}, "cluster.password_file: missing"),
    ({"cluster": dict(ETCD, user="u", password_file="/dev/null")}, "cluster.password_file: /dev/null: its first line is empty"),
    ({"cluster": dict(ETCD, alive_s=10, lease_s=9)}, "cluster.alive_s: must not be above lease_s"),
    ({"cluster": dict(ETCD, alive_s=1)}, "cluster.alive_s: out of range"),
]


def check(path):
    done = subprocess.run([program("sluiced"), "--check-config", "--config", path], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("config,line", WRONG, ids=[line for _, line in WRONG])
def test_wrong_configurations(tmp_path, config, line):
    path = tmp_path / "sluice.json"
    path.write_text(json.dumps(config))
    code, text = check(path)
    assert code == 1 and len(text.splitlines()) == 1 and f"{path}: {line}" in text, text
    start = subprocess.run([program("sluiced"), "--no-huge", "--config", path, "--socket", tmp_path / "s",
                            "--state", tmp_path / "state"], capture_output=True, text=True, timeout=20)
    assert start.returncode == 1 and line in start.stderr
    assert not (tmp_path / "s").exists() and not (tmp_path / "state").exists()


def test_a_socket_in_no_folder(tmp_path):
    path = tmp_path / "sluice.json"
    for socket, line in ((tmp_path / "no/such/folder/s", "there is no such folder"), (path, "is there and no socket")):
        path.write_text(json.dumps({"control": {"socket": str(socket)}}))
        code, text = check(path)
        assert code == 1 and "control.socket: " in text and line in text, text


def test_a_running_daemon_is_in_its_own_way_no_more(start_sluiced):
    """Its addresses are in use and its socket is served; its file is right all the same."""
    control = {"http": f"127.0.0.1:{free_port()}", "dns": f"127.0.0.1:{free_port()}"}
    daemon = start_sluiced({"control": control, "networks": [NET], "ports": [PORT]})
    assert check(daemon.config_file) == (0, "")


@pytest.mark.parametrize("text,place", [("{", ":1:"), ('{"a": 1,\n "b" 2}', ":2:"), ('{"a": 1, "a": 2}', ":1:"), ("[]", ": ")])
def test_wrong_syntax(tmp_path, text, place):
    path = tmp_path / "sluice.json"
    path.write_text(text)
    code, error = check(path)
    assert code == 1 and f"{path}{place}" in error, error


def test_missing_file(tmp_path):
    assert check(tmp_path / "none")[0] == 1


def test_the_sample_is_right(tmp_path):
    path = tmp_path / "sluice.json"
    path.write_text(json.dumps(SAMPLE))
    assert check(path) == (0, "")


def test_what_the_host_lacks_ends_the_start_whole(tmp_path, requires):
    requires("ip")
    config = {"networks": [dict(NET, mode="host")],
              "ports": [dict(PORT, name="t1", type="af_packet", device=f"none{os.getpid()}")]}
    with Daemon(config, start=False) as daemon:
        done = subprocess.run([str(a) for a in daemon.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "ports[0].device: " in done.stderr, done.stderr
        assert not daemon.socket.exists()
    links = subprocess.run(["ip", "-o", "link", "show", "sl-web"], capture_output=True, text=True)
    assert links.returncode != 0, "the host's gateway interface was left behind"


def reload(daemon, config):
    daemon.write_config(config)
    before = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    wait.until(lambda: "reloaded" in daemon.log()[before:] or "nothing changed" in daemon.log()[before:], "the reload is logged")


def test_reload_touches_what_differs(netns, start_sluiced, requires):
    requires("ip", "ping")
    a, b = netns("a"), netns("b")
    config = {"networks": [NET, {"name": "old"}],
              "ports": [{"name": "pa", "network": "web", "type": "tap", "netns": a.name, "ips": ["10.1.0.11"]},
                        {"name": "pb", "network": "web", "type": "tap", "netns": b.name, "ips": ["10.1.0.12"]},
                        {"name": "gone", "network": "old", "type": "null"}],
              "services": [SERVICE]}
    daemon = start_sluiced(config)
    traffic.wait_ping(a, "10.1.0.12")
    daemon.rpc("port.add", name="mine", network="web", type="null", ips=[])
    before = daemon.port("pa")
    changed = copy.deepcopy(config)
    changed["networks"] = [dict(NET, age_s=77), {"name": "fresh"}]
    changed["ports"] = [config["ports"][0], dict(config["ports"][1], ips=["10.1.0.13"]),
                        {"name": "born", "network": "fresh", "type": "null"}]
    changed["services"] = [dict(SERVICE, port=8080)]
    reload(daemon, changed)
    networks = {n["name"]: n for n in daemon.rpc("network.list")}
    ports = {p["name"]: p for p in daemon.rpc("port.list")}
    assert set(networks) == {"web", "fresh"} and set(ports) == {"pa", "pb", "born", "mine"}
    assert ports["pb"]["ips"] == ["10.1.0.13"] and ports["mine"]["source"] == "api"
    assert ports["pa"]["rx_packets"] >= before["rx_packets"] > 0, "an untouched port was made anew"
    assert daemon.rpc("service.show", name="api")["port"] == 8080
    traffic.wait_ping(a, "10.1.0.13")


def test_reload_of_a_bad_file_changes_nothing(start_sluiced):
    daemon = start_sluiced({"networks": [NET], "ports": [PORT]})
    before = daemon.rpc("network.list"), daemon.rpc("port.list")
    reload(daemon, {"networks": [], "ports": [dict(PORT, colour="red")]})
    assert "ports[0].colour: unknown key; nothing changed" in daemon.log()
    assert (daemon.rpc("network.list"), daemon.rpc("port.list")) == before


def test_who_names_no_address_gets_one_that_nobody_names(start_sluiced):
    daemon = start_sluiced({"networks": [NET],
                            "ports": [{"name": f"n{i}", "network": "web", "type": "null"} for i in range(3)]
                            + [dict(PORT, name="fixed", ips=["10.1.0.3"])],
                            "services": [dict(SERVICE, vip="10.1.0.2")]})
    assert daemon.port("fixed")["ips"] == ["10.1.0.3"]
    assert [daemon.port(f"n{i}")["ips"] for i in range(3)] == [["10.1.0.4"], ["10.1.0.5"], ["10.1.0.6"]]


def test_reload_keeps_what_it_cannot_change(start_sluiced):
    """A port of the API holds the network: it stays as it was, and goes with the first reload that finds it free."""
    daemon = start_sluiced({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.11"])]})
    daemon.rpc("port.add", name="mine", network="web", type="null", ips=["10.1.0.12"])
    reload(daemon, {"networks": [dict(NET, subnet="10.1.0.0/16")], "ports": [dict(PORT, ips=["10.1.0.11"])]})
    assert "reload: network del: name: network web has port mine" in daemon.log()
    assert daemon.rpc("network.list")[0]["subnet"] == "10.1.0.0/24"
    assert daemon.port("n1")["ips"] == ["10.1.0.11"]
    daemon.rpc("port.del", name="mine")
    reload(daemon, {"networks": [dict(NET, subnet="10.1.0.0/16")], "ports": [dict(PORT, ips=["10.1.0.11"])]})
    assert daemon.rpc("network.list")[0]["subnet"] == "10.1.0.0/16"
    assert daemon.port("n1")["ips"] == ["10.1.0.11"]


def test_reload_remakes_a_network_that_is_published_from(start_sluiced, requires):
    requires("nft")
    net = dict(NET, mode="host")
    port = dict(PORT, ips=["10.1.0.11"])
    published = {"name": "web", "port": 18080, "to": "10.1.0.11:80"}
    daemon = start_sluiced({"networks": [net], "ports": [port], "publish": [published]})
    reload(daemon, {"networks": [dict(net, subnet="10.1.0.0/16")], "ports": [port], "publish": [published]})
    assert "reload: network" not in daemon.log()
    assert daemon.rpc("network.list")[0]["subnet"] == "10.1.0.0/16"
    assert [(p["name"], p["now"]) for p in daemon.rpc("publish.list")] == [("web", "10.1.0.11:80")]


@pytest.mark.parametrize("fresh", [NET, dict(NET, subnet="10.1.0.0/16")], ids=["service", "network"])
def test_reload_keeps_instances_of_others_in_a_service_that_is_remade(start_sluiced, fresh):
    service = dict(SERVICE, affinity_s=10)
    config = {"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.11"], services=["api:80"])], "services": [service],
              "backends": [{"service": "api", "address": "10.1.0.12", "port": 80}]}
    daemon = start_sluiced(config)
    daemon.rpc("backend.add", service="api", address="10.1.0.13", port=80)
    reload(daemon, dict(config, networks=[fresh], services=[SERVICE]))
    for again in (False, True):
        shown = daemon.rpc("service.show", name="api")
        assert (shown["affinity_s"], shown["source"]) == (0, "config")
        assert sorted((b["address"], b["source"], b["balanced"]) for b in shown["backends"]) == [
            ("10.1.0.11", "port", True), ("10.1.0.12", "config", True), ("10.1.0.13", "api", True)]
        if not again:
            daemon.stop()
            daemon.start()


def test_reload_brings_back_what_cannot_be_remade(start_sluiced):
    daemon = start_sluiced({"networks": [NET], "ports": [PORT]})
    before = daemon.port("n1")["type"]
    reload(daemon, {"networks": [NET], "ports": [dict(PORT, type="pcap", file="/nonexistent/sluice.pcap")]})
    assert "reload: ports[0]" in daemon.log() and daemon.port("n1")["type"] == before
    reload(daemon, {"networks": [NET], "ports": [dict(PORT, type="vhost-user")]})
    assert daemon.port("n1")["type"] == "vhost-user"


def test_reload_tries_a_refused_change_again(start_sluiced):
    daemon = start_sluiced({"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.11"])]})
    daemon.rpc("port.add", name="mine", network="web", type="null", ips=["10.1.0.12"])
    wanted = {"networks": [NET], "ports": [dict(PORT, ips=["10.1.0.12"])]}
    reload(daemon, wanted)
    assert daemon.port("n1")["ips"] == ["10.1.0.11"] and "is taken by port mine" in daemon.log()
    daemon.rpc("port.del", name="mine")
    reload(daemon, wanted)
    assert daemon.port("n1")["ips"] == ["10.1.0.12"]


@pytest.mark.plain
def test_sigterm_ends_clean_within_two_seconds(netns, requires):
    requires("ip")
    a = netns("a")
    config = {"networks": [dict(NET, mode="host")],
              "ports": [{"name": "pa", "network": "web", "type": "tap", "netns": a.name},
                        {"name": "v", "network": "web", "type": "vhost-user"}]}
    with Daemon(config) as daemon:
        assert "eth0" in a.interfaces()
        begun = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begun < 2
        assert not daemon.socket.exists() and not list(daemon.vhost.iterdir())
        assert "eth0" not in a.interfaces()
        assert subprocess.run(["ip", "-o", "link", "show", "sl-web"], capture_output=True).returncode != 0


def test_systemd_is_told(tmp_path, monkeypatch):
    import socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with Daemon() as daemon:
            assert notify.recv(100) == b"READY=1"
            daemon.process.send_signal(signal.SIGHUP)
            assert notify.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert notify.recv(100) == b"READY=1"
            daemon.stop()
            assert notify.recv(100) == b"STOPPING=1"


def test_a_socket_that_is_served_is_not_taken():
    with Daemon() as daemon, Daemon(start=False) as second:
        second.socket = daemon.socket
        done = subprocess.run([str(a) for a in second.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "another process serves it" in done.stderr
        assert daemon.rpc("version")


def test_what_is_no_socket_is_not_removed(tmp_path):
    with Daemon(start=False) as daemon:
        daemon.socket = tmp_path / "precious"
        daemon.socket.write_text("kept")
        done = subprocess.run([str(a) for a in daemon.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "no socket" in done.stderr
        assert daemon.socket.read_text() == "kept"
