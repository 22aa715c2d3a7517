"""Containers that send single segments: their receivers get large frames, byte for byte, and nothing is sent twice."""

import pytest

from rig import traffic
from rig.vxlan_host import VxlanHost


def plain(namespace, device="eth0"):
    """Its kernel cuts and sums for itself."""
    namespace.run("ethtool", "-K", device, "tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off")


def counters(namespace, *names):
    """What the kernel of a namespace has counted."""
    lines = namespace.run("nstat", "-asz", *names).stdout.splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}


@pytest.fixture
def pair(sluiced, container, requires):
    requires("ethtool", "nstat")
    sluiced.rpc("network.add", name="web", mode="bridge", subnets=["10.1.0.0/24", "fd00:1::/64"])
    both = [container(sluiced, "web", f"c{i}", [f"10.1.0.1{i}", f"fd00:1::1{i}"]) for i in (1, 2)]
    for one in both:
        plain(one)
    return sluiced, *both


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_segments_are_merged_for_a_container(pair, six):
    sluiced, c1, c2 = pair
    address = "fd00:1::12" if six else c2.ip
    traffic.wait_ping(c1, address)
    before = sluiced.port("c2")
    traffic.tcp_carries(c2, c1, address)
    after = sluiced.port("c2")
    frames = after["tx_packets"] - before["tx_packets"]
    assert frames >= traffic.BULK // 1500, "frames are counted as their sender sent them"
    assert after["tx_bytes"] - before["tx_bytes"] > traffic.BULK
    assert after["tx_drops"] == before["tx_drops"]
    assert counters(c2, "TcpInCsumErrors", "TcpInErrs") == {"TcpInCsumErrors": 0, "TcpInErrs": 0}
    sent = counters(c1, "TcpRetransSegs", "TcpExtTCPLossProbes")
    assert sent["TcpRetransSegs"] <= sent["TcpExtTCPLossProbes"], "on a busy machine it asks after time, never for a loss"
    assert counters(c2, "TcpInSegs")["TcpInSegs"] < frames / 2, "its TCP is handed large ones"


def test_merged_out_of_a_tunnel(sluiced, container, stack, requires):
    """What another host's kernel cuts for the wire is put together again behind the tunnel."""
    requires("ethtool", "nstat")
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=host.mtu)
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web")
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    plain(host, "vx0")
    traffic.wait_ping(c1, "10.1.0.50")
    traffic.tcp_carries(c1, host, c1.ip)
    assert counters(c1, "TcpInCsumErrors", "TcpInErrs") == {"TcpInCsumErrors": 0, "TcpInErrs": 0}
    assert sluiced.drops("malformed") == sluiced.drops("bad-offload") == 0
