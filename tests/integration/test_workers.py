"""Two workers: whatever crosses from one to the other arrives, in its order, and is counted once."""

import json
import os
import socket
import struct
import subprocess
import threading

import pytest

from rig import frames, traffic, wait
from rig.daemon import BUILD
from rig.dpdk_app import DpdkApp
from rig.outside import World, WORLD
from rig.vxlan_host import HOST, VxlanHost

pytestmark = pytest.mark.alone

VIP = "10.1.0.100"


@pytest.fixture
def sluiced(start_sluiced):
    """A daemon with a worker on each of cores 0 and 1; queue q of the port with number p is worker (p + q) % 2's."""
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1, a worker on each")
    daemon = start_sluiced({"dataplane": {"cores": [0, 1]}})
    daemon.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24")
    return daemon


@pytest.fixture
def four(sluiced, container):
    """Four containers; ports are numbered as they are made, so c1 and c3 are one worker's, c2 and c4 the other's."""
    return sluiced, [container(sluiced, "web", f"c{i}", f"10.1.0.1{i}") for i in range(1, 5)]


def seen(sluiced):
    """Frames that each worker took so far."""
    return [worker["packets"] for worker in sluiced.rpc("stats.workers")]


def assert_both_work(sluiced, before):
    assert all(now > then for now, then in zip(seen(sluiced), before, strict=True)), (before, seen(sluiced))


def wait_balance(sluiced, network="web"):
    """Nothing is lost from the books: rx + generated + copies = tx + drops + consumed, once traffic rests."""
    def rows():
        row = next(row for row in sluiced.rpc("stats.show") if row["network"] == network)
        return row["rx"] + row["generated"] + row["copies"], row["tx"] + row["drops"] + row["consumed"]
    wait.until(lambda: len(set(rows())) == 1, f"the counters of {network} add up")


def entries(sluiced, network="web"):
    """The MACs of the network's table as listed, a second copy twice."""
    return sorted(entry["mac"] for entry in sluiced.rpc("fdb.list") if entry["network"] == network)


def vhost_port(sluiced, name, ip, network="web", **fields):
    path = sluiced.vhost / f"{name}.sock"
    sluiced.rpc("port.add", name=name, network=network, type="vhost-user", socket=str(path), ips=[ip], **fields)
    return path


def let_be_anybody(sluiced):
    """The four send from MACs that no port was given."""
    for i in range(1, 5):
        sluiced.rpc("port.set", name=f"c{i}", security="off")


class Background:
    """Repeats `step` on a thread while the body of `with` runs; an exception of it is raised at the end."""

    def __init__(self, step):
        self.rounds, self._error, self._over = 0, None, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(step,))

    def _run(self, step):
        try:
            while not self._over.is_set():
                step()
                self.rounds += 1
        except Exception as error:  # raised by __exit__
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        if self._error:
            raise self._error
        assert self.rounds > 0


def test_ping_and_bulk_tcp_between_workers_and_within_one(four):
    sluiced, (c1, c2, c3, _) = four
    before = seen(sluiced)
    for other in (c2, c3):
        traffic.ping(c1, other.ip, count=10)
        traffic.ping(other, c1.ip, size=1472)
        traffic.tcp_carries(other, c1, other.ip)
        traffic.tcp_carries(other, c1, other.ip, reverse=True)
    assert_both_work(sluiced, before)
    assert sluiced.drops("bad-offload") == 0 and sluiced.drops("malformed") == 0
    wait_balance(sluiced)


def test_a_vip_whose_client_and_backends_are_different_workers(four, stack):
    sluiced, (client, *servers) = four
    for server in servers:
        stack.enter_context(traffic.tcp_server(server, 8080))
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp")
    for server in servers:
        sluiced.rpc("backend.add", service="api", address=server.ip, port=8080)
    before = seen(sluiced)
    kept = [stack.enter_context(traffic.EchoClient(client, VIP, 80)) for _ in range(60)]
    for connection in kept:
        connection.echo()
    assert {connection.name for connection in kept} == {server.name for server in servers}
    assert_both_work(sluiced, before)

    rows = [row for row in sluiced.rpc("conn.list") if row["service"] == "api"]
    assert len(rows) == len(kept) and {row["state"] for row in rows} == {"established"}, rows
    assert len({row["client"] for row in rows}) == len(kept)

    # the bulk both ways: its other direction is the other worker's
    sluiced.rpc("service.add", name="bulk", network="web", vip=VIP, port=5201, protocol="tcp")
    sluiced.rpc("backend.add", service="bulk", address=servers[0].ip, port=5201)
    traffic.tcp_carries(servers[0], client, VIP)
    traffic.tcp_carries(servers[0], client, VIP, reverse=True)
    for connection in kept:
        connection.echo("and after it")
    wait_balance(sluiced)


def test_one_new_mac_seen_by_both_workers_at_once_is_listed_once(four):
    sluiced, (c1, c2, c3, c4) = four
    let_be_anybody(sluiced)
    macs = [f"02:bb:00:00:{i // 256:02x}:{i % 256:02x}" for i in range(1000)]

    def say(container, some):
        with frames.Wire(container) as wire:
            for mac in some:
                wire.send(frames.ethernet("02:cc:00:00:00:01", mac, b"here I am"))

    threads = [threading.Thread(target=say, args=args) for args in
               ((c1, macs), (c2, macs), (c3, macs[:500]), (c4, macs[500:]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait.until(lambda: set(macs) <= set(entries(sluiced)), "all of them are learned")
    heard = []

    def all_is_heard():
        heard.append([sluiced.port(name)["rx_packets"] for name in ("c1", "c2", "c3", "c4")])
        return heard[-2:-1] == heard[-1:]

    wait.until(all_is_heard, "nobody says more", interval_s=0.3)
    listed = entries(sluiced)
    assert len(listed) == len(set(listed)), [mac for mac in listed if listed.count(mac) > 1]
    sluiced.rpc("fdb.flush", network="web")
    assert not set(macs) & set(entries(sluiced))
    wait_balance(sluiced)


def numbers_received(receiver, sender, total, network_ip):
    """Sends `total` numbered datagrams and returns the numbers in the order of their arrival."""
    receive, send = receiver.socket(kind=socket.SOCK_DGRAM), sender.socket(kind=socket.SOCK_DGRAM)
    with receive, send:
        receive.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        receive.bind((network_ip, 9000))
        receive.settimeout(1)
        got = []

        def collect():
            try:
                while len(got) < total:
                    got.append(struct.unpack("!Q", receive.recv(64))[0])
            except TimeoutError:
                return  # the rest was lost: no matter here

        thread = threading.Thread(target=collect)
        thread.start()
        for number in range(total):
            send.sendto(struct.pack("!Q", number), (network_ip, 9000))
        thread.join()
    return got


def test_a_flow_keeps_its_order_between_workers(four):
    sluiced, (c1, c2, c3, c4) = four
    for one, other in ((c1, c2), (c4, c3)):
        traffic.wait_ping(one, other.ip)
    streams = {}

    def stream(sender, receiver):
        streams[sender.port] = numbers_received(receiver, sender, 20000, receiver.ip)

    threads = [threading.Thread(target=stream, args=pair) for pair in ((c1, c2), (c2, c1), (c3, c4), (c4, c3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, numbers in streams.items():
        assert len(numbers) > 1000, f"{name}: only {len(numbers)} arrived"
        assert all(a < b for a, b in zip(numbers, numbers[1:])), f"{name}: out of order, or twice"
    assert len(streams) == 4
    wait_balance(sluiced)


def test_the_bench_finds_nothing_late_or_wrong_between_workers(sluiced, tmp_path):
    sockets = [tmp_path / "a.sock", tmp_path / "b.sock"]
    for i, path in enumerate(sockets):
        sluiced.rpc("port.add", name=f"p{i}", network="web", type="vhost-user", socket=str(path), ips=[])
    before = seen(sluiced)
    done = subprocess.run(
        [BUILD / "sluice-bench", "l2", "--json", "--turns", "1", "--seconds", "1", "--warm-up", "0.1", "--sockets",
         ",".join(map(str, sockets)), "--control", sluiced.socket, "--huge-mb", "0", "--size", "64,1518", "--pairs",
         "1,1000"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    for trial in json.loads(done.stdout)["trials"]:
        assert trial["sent"] > 0 and (trial["late"], trial["wrong"]) == (0, 0), trial
    assert_both_work(sluiced, before)
    wait_balance(sluiced)


def test_an_overlay_whose_uplink_is_one_workers_and_containers_are_both(sluiced, container, stack):
    sluiced.rpc("network.add", name="far", mode="overlay", vni=100, subnet="10.2.0.0/24")
    host = stack.enter_context(VxlanHost())
    host.vxlan(100, "10.2.0.50/24")
    host.join(sluiced, "far")
    inside = [container(sluiced, "far", f"f{i}", f"10.2.0.1{i}") for i in (1, 2)]
    before = seen(sluiced)
    for one in inside:
        traffic.wait_ping(one, "10.2.0.50")
        traffic.ping(host, one.ip, count=10)
        traffic.tcp_carries(host, one, "10.2.0.50")
        traffic.tcp_carries(host, one, "10.2.0.50", reverse=True)
    traffic.ping(inside[0], inside[1].ip)
    assert_both_work(sluiced, before)
    assert HOST in {entry.get("vtep") for entry in sluiced.fdb("far").values()}
    wait_balance(sluiced, "far")


def test_ports_come_and_go_on_both_workers_under_traffic(four, netns):
    sluiced, (c1, c2, c3, c4) = four
    guests = [netns(f"g{i}") for i in range(2)]

    def churn():
        for i, guest in enumerate(guests):  # two: one for each worker
            sluiced.rpc("port.add", name=f"g{i}", network="web", type="tap", netns=guest.name, ifname="eth0", ips=[])
            vhost_port(sluiced, f"d{i}", f"10.1.0.6{i}")
        for i in range(2):
            sluiced.rpc("port.del", name=f"g{i}")
            sluiced.rpc("port.del", name=f"d{i}")

    traffic.wait_ping(c1, c2.ip)
    with Background(churn):
        for _ in range(8):
            traffic.tcp_carries(c2, c1, c2.ip)
            traffic.ping(c3, c4.ip, count=10, interval_s=0.01)
            traffic.tcp_carries(c3, c4, c3.ip)
    wait_balance(sluiced)


def test_a_receiver_deleted_while_it_is_sent_to(four, netns):
    sluiced, (c1, c2, _, _) = four
    let_be_anybody(sluiced)
    guest, mac = netns("gone"), "02:dd:00:00:00:01"

    def churn():
        sluiced.rpc("port.add", name="gone", network="web", type="tap", netns=guest.name, ifname="eth0",
                    mac=mac, ips=[])
        sluiced.rpc("fdb.add", network="web", mac=mac, port="gone")
        sluiced.rpc("port.del", name="gone")

    with frames.Wire(c1) as w1, frames.Wire(c2) as w2, Background(churn):
        for _ in range(5000):
            w1.send(frames.ethernet(mac, "02:aa:00:00:00:01", b"to who comes and goes"))
            w2.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:02", b"to everybody"))
    traffic.ping(c1, c2.ip)
    wait_balance(sluiced)


def test_the_queues_of_a_dpdk_application_are_both_workers(four, stack, requires):
    requires("dpdk-testpmd")
    sluiced, containers = four
    mac = "02:00:00:00:00:21"
    path = vhost_port(sluiced, "d1", "10.1.0.21", mac=mac, queues=4)
    stack.enter_context(DpdkApp(path, mac, queues=4))
    sluiced.wait_port("d1")
    assert sluiced.port("d1")["queues"] == 4
    before = seen(sluiced)
    for one in containers:
        traffic.wait_ping(one, "10.1.0.21")
        traffic.ping(one, "10.1.0.21", count=50, interval_s=0.01)
        traffic.ping(one, "10.1.0.21", size=1400)
    assert_both_work(sluiced, before)
    assert sluiced.drops("bad-ring") == 0
    wait_balance(sluiced)


def test_both_workers_give_out_ports_of_an_uplink(sluiced, container, stack):
    """Each of its own slice, and either takes what comes back."""
    world = stack.enter_context(World())
    sluiced.ctl("network", "add", "out", "--subnet", "10.3.0.0/24", "--gateway", "10.3.0.1", "--egress", "masquerade")
    world.join(sluiced)
    ends = [container(sluiced, "out", f"e{i}", f"10.3.0.1{i}") for i in (1, 2)]
    server = stack.enter_context(world.socket(kind=socket.SOCK_DGRAM))
    server.settimeout(wait.PATIENCE_S)
    server.bind((WORLD, 7001))
    ports = []
    for end in ends:
        traffic.wait_ping(end, WORLD)
        ports.append(set())
        for _ in range(40):
            client = stack.enter_context(end.socket(kind=socket.SOCK_DGRAM))
            client.settimeout(wait.PATIENCE_S)
            client.sendto(end.name.encode(), (WORLD, 7001))
            data, seen = server.recvfrom(100)
            assert data == end.name.encode()
            ports[-1].add(seen[1])
            server.sendto(b"you", seen)
            assert client.recv(100) == b"you"
    assert [len(each) for each in ports] == [40, 40]
    assert [len({port % 2 for port in each}) for each in ports] == [1, 1] and not ports[0] & ports[1]
    assert {port % 2 for port in ports[0] | ports[1]} == {0, 1}
    for end in ends:
        traffic.tcp_carries(world, end, WORLD)
    wait_balance(sluiced, "out")
