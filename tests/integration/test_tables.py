"""Tables that networks and ports share, through the command line while real traffic flows: nobody's share is another's."""

import json
import socket

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.daemon import Connection, RpcError, program
from rig.frames import BROADCAST, Wire, ethernet
from rig.ports import free_port
from rig.process import Process


def mac(n):
    return f"02:77:00:00:{n >> 8 & 255:02x}:{n & 255:02x}"


def send_from(container, first, count):
    with Wire(container) as wire:
        for n in range(first, first + count):
            wire.send(ethernet(BROADCAST, mac(n), b"here"))


def entries(sluiced, network):
    return {row["mac"]: row["port"] for row in sluiced.rpc("fdb.list", network=network)}


def test_macs_over_the_limit_are_dropped(pair):
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    sluiced.ctl("port", "set", "c1", "--mac-limit", "20", "--storm-pps", "0", "--security", "off")
    send_from(c1, 0, 100)
    wait.until(lambda: sluiced.port("c1")["mac_limit_drops"] >= 80, "what is over the limit is dropped")
    shown = sluiced.rpc("port.show", name="c1")
    assert shown["macs"] == 20 and sluiced.drops("mac-limit", "c1") == shown["mac_limit_drops"]
    assert sum(port == "c1" for port in entries(sluiced, "web").values()) == 20
    assert traffic.ping(c1, c2.ip, 5) == 5  # its own MAC is known
    sluiced.ctl("port", "set", "c1", "--mac-action", "flood")
    before = sluiced.port("c1")["unlearned"]
    send_from(c1, 200, 50)
    wait.until(lambda: sluiced.port("c1")["unlearned"] >= before + 50, "they go on unlearned")
    sluiced.ctl("port", "set", "c1", "--mac-limit", "0")
    send_from(c1, 200, 50)
    wait.until(lambda: sluiced.port("c1")["macs"] >= 70, "without a limit they are learned")


def test_a_port_s_own_mac_is_not_stolen(pair):
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    for row in ("c1", "c2"):
        sluiced.ctl("port", "set", row, "--storm-pps", "0")
    with Wire(c1) as wire:
        for _ in range(200):
            wire.send(ethernet(BROADCAST, c2.eth0, b"it is me"))
    wait.until(lambda: sluiced.port("c1")["rx_packets"] >= 200, "the switch has seen them")
    assert entries(sluiced, "web")[c2.eth0] == "c2"
    assert traffic.ping(c1, c2.ip, 5) == 5


def test_moves_are_counted_told_and_held(pair):
    sluiced, c1, c2 = pair
    for name in ("c1", "c2"):
        sluiced.ctl("port", "set", name, "--security", "off")
    traffic.wait_ping(c1, c2.ip)
    with Wire(c1) as one, Wire(c2) as other:
        frame = ethernet(BROADCAST, mac(1), b"here and there")
        for _ in range(300):
            one.send(frame)
            other.send(frame)
    wait.until(lambda: sluiced.rpc("network.show", name="web")["moves_held"] > 0, "it is held")
    assert 0 < sluiced.rpc("network.show", name="web")["moves"] <= 600
    wait.until(lambda: f"network web: {mac(1)} moved from port c1 to port c2" in sluiced.log(), "the log says so")


def test_one_network_leaves_another_its_part(start_sluiced, container):
    http = free_port()
    sluiced = start_sluiced({"dataplane": {"fdb_size": 1024}, "control": {"http": f"127.0.0.1:{http}"}})
    for name, subnet in (("web", "10.1.0.0/24"), ("own", "10.2.0.0/24")):
        sluiced.rpc("network.add", name=name, mode="bridge", subnet=subnet)
    c1 = container(sluiced, "web", "c1", "10.1.0.11", mac_limit=0, storm_pps=0, security="off")
    a, b = container(sluiced, "own", "a", "10.2.0.11"), container(sluiced, "own", "b", "10.2.0.12")
    send_from(c1, 0, 3000)
    wait.until(lambda: sluiced.rpc("network.show", name="web")["unlearned"] > 0, "the network has had its share")
    shown = sluiced.rpc("network.show", name="web")
    assert shown["macs_share"] == 256 and shown["macs"] == 768
    traffic.wait_ping(a, b.ip)
    assert entries(sluiced, "own")[a.eth0] == "a" and entries(sluiced, "own")[b.eth0] == "b"
    page = Consul(http).request("GET", "/metrics").text
    assert 'sluice_network_unlearned_frames_total{network="web"} 0\n' not in page
    assert 'sluice_network_unlearned_frames_total{network="own"} 0\n' in page
    assert 'sluice_network_connections{network="own"} 0\n' in page


ASK_MANY = """
import socket, sys
for port in range(20000, 20000 + int(sys.argv[2])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", port))
        s.sendto(b"hello", (sys.argv[1], 7000))
"""


def test_one_network_s_connections_leave_another_its_own(start_sluiced, container, stack):
    sluiced = start_sluiced({"dataplane": {"conn_size": 1024}})
    made = {}
    for name, subnet in (("web", "10.1.0"), ("own", "10.2.0")):
        sluiced.rpc("network.add", name=name, mode="bridge", subnet=f"{subnet}.0/24")
        made[name] = [container(sluiced, name, f"{name}-{i}", f"{subnet}.1{i}") for i in range(3)]
        sluiced.rpc("service.add", name=f"of-{name}", network=name, vip=f"{subnet}.100", port=7000, protocol="udp")
        for server in made[name][1:]:
            stack.enter_context(traffic.udp_server(server, 7000))
            sluiced.rpc("backend.add", service=f"of-{name}", address=server.ip, port=7000)
    client = made["web"][0]
    wait.until(lambda: traffic.udp_ask(client, "10.1.0.100", 7000), "the vip answers")
    # far more than there is room for, established ones: their backends answer
    client.run("python3", "-c", ASK_MANY, "10.1.0.100", "4000")
    shown = sluiced.rpc("network.show", name="web")
    assert shown["connections_share"] == 256 and shown["connections"] <= 768
    wait.until(lambda: sluiced.rpc("network.show", name="web")["connections"] > 600, "it has far more than its part")
    client = made["own"][0]
    with client.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(("10.2.0.100", 7000))
        answers = set()
        for _ in range(20):
            sock.send(b"who")
            answers.add(sock.recv(100))
        assert len(answers) == 1  # it keeps its backend
    for _ in range(50):
        traffic.udp_ask(client, "10.2.0.100", 7000, timeout_s=10)
    # each from a port that the kernel drew, now and then the same one
    assert sluiced.rpc("network.show", name="own")["connections"] >= 45
    assert len(sluiced.rpc("conn.list", service="of-own")) >= 45


def told(watch):
    """What `sluicectl --json fdb watch` has printed, behind the empty list that it begins with."""
    return [json.loads(line) for line in watch.output().splitlines()[1:]]


@pytest.fixture
def watch(stack):
    def start(daemon, *words):
        process = Process([program("sluicectl"), "--socket", daemon.socket, "--json", "fdb", "watch", *words])
        stack.callback(process.kill)
        wait.until(lambda: process.output() == "[]\n", "it watches")
        return process

    return start


def seen_at(one, other, source, times):
    with Wire(one) as here, Wire(other) as there:
        frame = ethernet(BROADCAST, source, b"here and there")
        for _ in range(times):
            here.send(frame)
            there.send(frame)


def test_moves_are_told_to_who_watches(pair, container, watch):
    sluiced, c1, c2 = pair
    sluiced.rpc("network.add", name="own", mode="bridge")
    for name in ("c1", "c2"):
        sluiced.ctl("port", "set", name, "--security", "off")
    of_web, of_all, of_own = watch(sluiced, "--network", "web"), watch(sluiced), watch(sluiced, "--network", "own")
    sluiced.rpc("network.set", name="web", mac_moves=3)
    seen_at(c1, c2, mac(1), 100)
    wait.until(lambda: any(row["what"] == "held" for row in told(of_web)), "that it is held is told")
    rows = told(of_web)
    assert {row["network"] for row in rows} == {"web"} and {row["mac"] for row in rows} == {mac(1)}
    assert {"c1", "c2"} == {rows[0]["from_port"], rows[0]["to_port"]} and rows[0]["what"] == "moved"
    wait.until(lambda: told(of_all) == told(of_web), "who watches all hears the same")
    assert told(of_own) == []


def test_a_watch_shows_what_a_sticky_port_keeps(pair, watch):
    sluiced, c1, c2 = pair
    for name in ("c1", "c2"):
        sluiced.ctl("port", "set", name, "--security", "off")
    sluiced.ctl("port", "set", "c1", "--mac-action", "sticky")
    listener = watch(sluiced)
    with Wire(c1) as wire:
        wire.send(ethernet(BROADCAST, mac(1), b"mine"))
    wait.until(lambda: mac(1) in entries(sluiced, "web"), "it is learned")
    with Wire(c2) as wire:
        wire.send(ethernet(BROADCAST, mac(1), b"no, mine"))
        wire.send(ethernet(BROADCAST, c1.eth0, b"this one, too"))
    wait.until(lambda: len(told(listener)) == 2, "both are told")
    sticky, owned = sorted(told(listener), key=lambda row: row["what"], reverse=True)
    assert sticky == {"network": "web", "mac": mac(1), "what": "sticky", "from_port": "c1", "to_port": "c2", "left_out": 0}
    assert owned == {**sticky, "mac": c1.eth0, "what": "owned"}
    assert entries(sluiced, "web")[mac(1)] == "c1"


def test_moves_beyond_a_few_a_second_are_counted(pair, watch):
    sluiced, c1, c2 = pair
    for name in ("c1", "c2"):
        sluiced.ctl("port", "set", name, "--security", "off")
    listener = watch(sluiced)
    for i in range(200):
        seen_at(c1, c2, mac(i), 2)
    wait.until(lambda: sluiced.rpc("network.show", name="web")["moves"] > 200, "they have moved")

    def left_out():
        seen_at(c1, c2, mac(1), 1)
        return sum(row["left_out"] for row in told(listener))

    wait.until(left_out, "it is told how many were left out", interval_s=0.3)


def test_what_a_watch_of_moves_refuses(pair):
    """A second one on its connection, and one of no network."""
    sluiced, _, _ = pair
    with Connection(sluiced.socket) as client:
        with pytest.raises(RpcError, match="network"):
            client.call("fdb.watch", {"network": "none"})
        assert client.call("fdb.watch") == []
        assert "already" in client.request("fdb.watch")["error"]["message"]
        assert client.call("service.watch") == []
    assert sluiced.rpc("version")
