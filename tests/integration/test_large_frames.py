"""Containers that send single segments: their receivers get large frames, byte for byte, and nothing is sent twice."""

import pytest

from rig import traffic, wait
from rig.process import run
from rig.vxlan_host import WHOLE, VxlanHost

whole = pytest.mark.skipif(not WHOLE, reason="large frames enter a tunnel whole from Linux 6.6 on")


def plain(namespace, device="eth0"):
    """Its kernel cuts and sums for itself."""
    namespace.run("ethtool", "-K", device, "tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off")


def counters(namespace, *names):
    """What the kernel of a namespace has counted."""
    lines = namespace.run("nstat", "-asz", *names).stdout.splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}


def nothing_was_missed(sender):
    """On a busy machine a sender sends again because time has passed: it asks by a probe, or is told, soon, that it need not have."""
    def excused():
        sent = counters(sender, "TcpRetransSegs", "TcpExtTCPLossProbes", "TcpExtTCPDSACKRecvSegs")
        return sent["TcpRetransSegs"] <= sent["TcpExtTCPLossProbes"] + sent["TcpExtTCPDSACKRecvSegs"]

    wait.until(excused, "each segment that was sent again need not have been")


def books(sluiced):
    row = next(row for row in sluiced.rpc("stats.show") if row["network"] == "web")
    return row["rx"] + row["generated"] + row["copies"], row["tx"] + row["drops"] + row["consumed"]


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
    nothing_was_missed(c1)
    assert counters(c2, "TcpInSegs")["TcpInSegs"] < frames * 3 / 4, "its TCP is handed large ones"


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


@pytest.fixture
def tunnel(sluiced, container, stack, requires):
    """A container that sends large frames, and another host behind VXLAN, which the test has yet to join."""
    requires("ethtool", "nstat")
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnets=["10.1.0.0/24", "fd00:1::/64"],
                mtu=host.mtu)
    host.vxlan(100, "10.1.0.50/24", address6="fd00:1::50/64")
    return sluiced, container(sluiced, "web", "c1", ["10.1.0.11", "fd00:1::11"]), host


def segmentation(host, state):
    """Does the device of the uplink take large frames inside VXLAN?"""
    run(["ethtool", "-K", host.device, "tx-udp_tnl-segmentation", state])


def carries(c1, host):
    """How many frames the other host's TCP was handed, of either family."""
    for address in ("10.1.0.50", "fd00:1::50"):
        traffic.wait_ping(c1, address)
    before = counters(host, "TcpInSegs")["TcpInSegs"]
    for address in ("10.1.0.50", "fd00:1::50"):
        traffic.tcp_carries(host, c1, address)
    assert counters(host, "TcpInCsumErrors", "TcpInErrs") == {"TcpInCsumErrors": 0, "TcpInErrs": 0}
    nothing_was_missed(c1)
    return counters(host, "TcpInSegs")["TcpInSegs"] - before


@whole
def test_large_frames_go_through_a_tunnel_whole(tunnel):
    sluiced, c1, host = tunnel
    host.join(sluiced, "web")
    frames = sluiced.port("up0")["tx_packets"]
    assert carries(c1, host) < 2 * traffic.BULK // 1400 // 8
    assert sluiced.port("up0")["tx_packets"] - frames < 2 * traffic.BULK // 1400 // 4
    assert sluiced.port("up0")["tx_drops"] == 0


@whole
def test_a_device_that_no_longer_takes_them_has_the_kernel_cut(tunnel):
    """Each packet on the way is one of the underlay's MTU."""
    sluiced, c1, host = tunnel
    host.join(sluiced, "web")
    segmentation(host, "off")
    carries(c1, host)
    assert sluiced.port("up0")["tx_drops"] == 0


def test_a_device_that_takes_none_gets_segments(tunnel):
    sluiced, c1, host = tunnel
    segmentation(host, "off")
    host.join(sluiced, "web")
    carries(c1, host)
    assert sluiced.port("up0")["tx_drops"] == 0


@whole
def test_segments_are_merged_for_a_tunnel(tunnel):
    sluiced, c1, host = tunnel
    plain(c1)
    host.join(sluiced, "web")
    before = sluiced.port("up0")
    handed = carries(c1, host)
    after = sluiced.port("up0")
    assert handed < 2 * traffic.BULK // 1400 / 2
    assert after["tx_packets"] - before["tx_packets"] >= 2 * traffic.BULK // 1450, "frames are counted as they were sent"
    assert after["tx_drops"] == 0
    wait.until(lambda: len(set(books(sluiced))) == 1, "the books balance once traffic rests")
