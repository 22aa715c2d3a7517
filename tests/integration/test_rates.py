"""Limits of ports, set through the command line while real traffic flows: what passes is bounded, others notice nothing."""

import time

from rig import traffic, wait
from rig.consul import Consul
from rig.frames import BROADCAST, Wire, ethernet
from rig.ports import free_port

FRAME = 65550 + 256 * 100  # the largest, in its segments: the last one may leave a bucket in debt


class Counted:
    """What a port's counters gained while the clock ran; `most` is what a rate allows in that time."""

    def __init__(self, daemon, port):
        self._daemon, self._port = daemon, port
        self._since, self._was = time.monotonic(), daemon.port(port)

    def __call__(self, field):
        return self._daemon.port(self._port)[field] - self._was[field]

    def most(self, a_second, burst):
        """Read the counters before."""
        return a_second * (time.monotonic() - self._since) + burst


def storm(container, seen, frames):
    """Broadcasts as fast as the kernel takes it, until the switch has seen that many frames of the port."""
    frame = ethernet(BROADCAST, container.eth0, b"storm")
    with Wire(container) as wire:
        while seen("rx_packets") < frames:
            for _ in range(500):
                try:
                    wire.send(frame)
                except OSError:
                    pass  # the interface's queue is full


def test_a_storm_is_bounded_at_its_port(pair, container):
    sluiced, c1, c2 = pair
    c3 = container(sluiced, "web", "c3", "10.1.0.13")
    traffic.wait_ping(c2, c3.ip)
    assert all(row["storm_pps"] == 10000 and row["storm_drops"] == 0 for row in sluiced.rpc("port.list"))
    sluiced.ctl("port", "set", "c1", "--storm-pps", "100")
    seen, heard = Counted(sluiced, "c1"), Counted(sluiced, "c2")
    storm(c1, seen, 3000)
    delivered = heard("tx_packets")
    assert delivered <= heard.most(100, 32) + 50  # and a few of the others' own
    sent, dropped = seen("rx_packets"), seen("storm_drops")
    assert dropped >= sent - seen.most(100, 32) - 50
    assert sluiced.drops("storm", "c1") >= dropped
    assert traffic.ping(c2, c3.ip, 20) == 20
    assert traffic.ping(c1, c2.ip, 20) == 20  # it is only what is flooded that is bounded
    sluiced.ctl("port", "set", "c1", "--storm-pps", "0")
    seen = Counted(sluiced, "c1")
    storm(c1, seen, 1000)
    assert seen("storm_drops") == 0


def test_what_a_guest_sends_is_bounded(pair, requires):
    requires("iperf3")
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    sluiced.ctl("port", "set", "c1", "--rate-in", "10M", "--burst-in", "64K")
    sent, got = Counted(sluiced, "c1"), Counted(sluiced, "c2")
    traffic.udp_flood(c2, c1, c2.ip, rate="100M")
    carried = got("tx_bytes")
    assert carried <= got.most(10e6 / 8, 64000 + FRAME) + 64000  # and a few of the switch's own to c2
    assert sent("rate_drops") == sluiced.drops("rate", "c1") > 0
    assert sent("rx_drops") >= sent("rate_drops") and got("rate_drops") == 0
    sluiced.ctl("port", "set", "c1", "--rate-in", "0")
    free = Counted(sluiced, "c1")
    traffic.udp_flood(c2, c1, c2.ip, rate="50M")
    assert free("rate_drops") == 0


def test_what_is_delivered_is_bounded(pair, requires):
    requires("iperf3")
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    sluiced.ctl("port", "set", "c2", "--rate-out", "20M", "--burst-out", "100K")
    sent, got = Counted(sluiced, "c1"), Counted(sluiced, "c2")
    traffic.udp_flood(c2, c1, c2.ip, rate="100M")
    carried = got("tx_bytes")
    assert carried <= got.most(20e6 / 8, 100000 + FRAME)
    assert got("rate_drops") == sluiced.drops("rate", "c2") > 0
    assert got("tx_drops") >= got("rate_drops") and sent("rate_drops") == 0


def test_tcp_goes_on_at_a_bounded_rate(pair):
    """In large frames, which are counted whole: segments, and each one's headers."""
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    sluiced.ctl("port", "set", "c1", "--rate-in", "80M")
    got = Counted(sluiced, "c2")
    traffic.tcp_carries(c2, c1, c2.ip)
    carried = got("tx_bytes")
    assert carried <= got.most(80e6 / 8, 2.5e6 + FRAME) + 64000
    sluiced.ctl("port", "set", "c2", "--pps-out", "2000", "--packet-burst-out", "100")
    got = Counted(sluiced, "c2")
    traffic.tcp_carries(c2, c1, c2.ip)
    carried = got("tx_bytes")
    assert carried <= got.most(2000 * 1514, 100 * 1514 + FRAME)


def test_drops_are_on_the_metrics_page(start_sluiced, container):
    port = free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{port}"}})
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24")
    c1 = container(sluiced, "web", "c1", "10.1.0.11", storm_pps=1, pps_in=100)
    container(sluiced, "web", "c2", "10.1.0.12")
    storm(c1, Counted(sluiced, "c1"), 1000)
    wait.until(lambda: sluiced.drops("storm", "c1") and sluiced.drops("rate", "c1"), "both drop")
    page = Consul(port).request("GET", "/metrics").text
    for name in ("storm", "receive_rate"):
        assert f'sluice_port_{name}_drops_total{{port="c1",network="web"}} 0\n' not in page
        assert f'sluice_port_{name}_drops_total{{port="c1",network="web"}} ' in page
    assert 'sluice_port_transmit_rate_drops_total{port="c2",network="web"} 0\n' in page
