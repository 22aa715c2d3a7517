"""VXLAN against the kernel's own vxlan device in a namespace that plays another host."""

import os

import pytest

from rig import frames, traffic, wait
from rig.process import run
from rig.vxlan_host import WHOLE, VxlanHost


@pytest.fixture(params=[4, 6], ids=["over4", "over6"])
def host(stack, request):
    return stack.enter_context(VxlanHost(six=request.param == 6))


@pytest.fixture
def overlay(sluiced, container, host):
    """The daemon with overlay network "web" (VNI 100), a container c1 in it, and 10.1.0.50 on the other host."""
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=host.mtu)
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web")
    return sluiced, container(sluiced, "web", "c1", "10.1.0.11"), host


def datagrams(host):
    return host.socket(traffic.family_of(host.address), frames.socket.SOCK_DGRAM)


def test_the_uplink_is_found_and_answers_ping(overlay):
    _, _, host = overlay
    traffic.ping(host, host.switch)
    traffic.ping(host, host.switch, size=1500 - (48 if host.six else 28))


def test_ping_both_ways_up_to_the_mtu(overlay):
    sluiced, c1, host = overlay
    traffic.wait_ping(c1, "10.1.0.50")
    traffic.ping(c1, "10.1.0.50")
    traffic.ping(host, c1.ip)
    assert f"mtu {host.mtu}" in c1.run("ip", "link", "show", "eth0").stdout
    traffic.ping(c1, "10.1.0.50", size=host.mtu - 28)
    traffic.ping(host, c1.ip, size=host.mtu - 28)
    remote = [entry for entry in sluiced.fdb("web").values() if entry.get("vtep") == host.address]
    assert remote, sluiced.fdb("web")
    assert [vtep["state"] for vtep in sluiced.rpc("vtep.list")] == ["up"]


@pytest.mark.parametrize("zero", [False, True], ids=["checksum", "zero"])
def test_the_checksum_over_ipv6_is_left_out_where_it_is_told_to_be(sluiced, container, stack, zero):
    """The peer takes both: whichever the one end sends, the other may send the other."""
    host = stack.enter_context(VxlanHost(six=True, checksum=zero))
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=host.mtu)
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web", zero_checksum=zero)
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    with frames.Wire(host, "up0") as wire:
        traffic.wait_ping(c1, "10.1.0.50")
        frame = wire.receive(lambda frame: frame[12:14] == b"\x86\xdd" and frame[20] == 17)
    assert (frame[60:62] == b"\0\0") == zero
    traffic.tcp_carries(host, c1, "10.1.0.50")
    traffic.tcp_carries(c1, host, c1.ip)
    assert sluiced.drops("malformed") == 0


def test_a_gateway_of_ipv6_leads_to_vteps_beyond_the_link(sluiced, container, stack):
    host = stack.enter_context(VxlanHost(six=True))
    far = "fd00:9::9"
    host.run("ip", "addr", "add", f"{far}/128", "dev", "lo", "nodad")
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=host.mtu)
    host.address = far  # as if it were behind a router, which is itself
    host.vxlan(100, "10.1.0.50/24")
    router = next(word for word in host.run("ip", "-6", "-o", "addr", "show", "dev", "up0", "scope", "link").stdout.split()
                  if word.startswith("fe80")).split("/")[0]
    host.join(sluiced, "web", gateway=router)
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    traffic.wait_ping(c1, "10.1.0.50")
    traffic.ping(host, c1.ip)
    shown = sluiced.ctl_json("uplink", "show", "up0")
    assert (shown["address"], shown["gateway"]) == (f"{host.switch}/{host.prefix}", router)
    assert [(n["ip"], n["state"]) for n in shown["neighbours"]] == [(router, "reachable")]


def test_tcp_and_udp_both_ways(overlay):
    sluiced, c1, host = overlay
    traffic.wait_ping(c1, "10.1.0.50")
    traffic.tcp_carries(host, c1, "10.1.0.50")
    traffic.tcp_carries(c1, host, c1.ip)
    for server, client, address in ((host, c1, "10.1.0.50"), (c1, host, c1.ip)):
        with traffic.udp_server(server, 7777):
            assert traffic.udp_ask(client, address, 7777, b"x" * 1000, timeout_s=10) == server.name.encode() + b" " + b"x" * 1000
    assert sluiced.drops("mtu") == 0


def test_an_unknown_vni_is_dropped_and_counted(overlay):
    sluiced, c1, host = overlay
    host.vxlan(999, "10.9.0.50/24", "vx1")
    before = sluiced.drops("unknown-vni")
    with frames.Wire(c1) as wire:
        assert traffic.ping(host, "10.9.0.51", count=1, check=False) == 0
        wait.until(lambda: sluiced.drops("unknown-vni") > before, "drops counted")
        traffic.wait_ping(host, c1.ip)
        nine = frames.socket.inet_aton("10.9.0.51")
        assert not wire.waiting(frames.carries(nine))


def test_a_remote_that_is_no_vtep_is_dropped(overlay):
    sluiced, c1, host = overlay
    other = "fd00:2::77" if host.six else "192.0.2.77"
    host.run("ip", "addr", "add", f"{other}/{host.prefix}", "dev", "up0", *(["nodad"] if host.six else []))
    inner = frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"forged")
    with frames.Wire(c1) as wire, datagrams(host) as sock:
        sock.bind((other, 0))
        # the first one may be lost while its sender asks for the switch's MAC
        wait.until(lambda: sock.sendto(frames.vxlan(100, inner), (host.switch, 4789)) and sluiced.drops("unknown-vtep"),
                   "the drop is counted", interval_s=0.1)
        traffic.wait_ping(host, c1.ip)
        assert not wire.waiting(frames.carries(b"forged"))
    assert "02:aa:00:00:00:01" not in sluiced.fdb("web")


def test_the_router_mac_is_not_taken_over_a_vtep(overlay):
    sluiced, c1, host = overlay
    with datagrams(host) as sock:
        sock.bind((host.address, 0))
        forged = frames.vxlan(100, frames.ethernet(c1.eth0, "02:53:4c:00:00:01", b"I am the router"))
        wait.until(lambda: sock.sendto(forged, (host.switch, 4789)) and sluiced.drops("source-mac"), "the drop is counted",
                   interval_s=0.1)


def test_a_vtep_that_goes_is_reached_no_more(overlay):
    sluiced, c1, host = overlay
    traffic.wait_ping(c1, "10.1.0.50")
    sluiced.rpc("vtep.del", network="web", remote=host.address)
    assert [entry for entry in sluiced.fdb("web").values() if entry.get("vtep")] == []
    assert traffic.ping(c1, "10.1.0.50", count=1, check=False) == 0
    sluiced.rpc("vtep.add", network="web", remote=host.address)
    traffic.wait_ping(c1, "10.1.0.50")


MTU, MTU_DISCOVER, MTU_DO = {4: 14, 6: 24}, {4: 10, 6: 23}, 2  # of IP_... and IPV6_..., which Python does not name


def path_mtu(ns, address, version, size):
    """Sends a datagram of `size` bytes that may not be fragmented until the kernel knows what the path carries."""
    level = frames.socket.IPPROTO_IP if version == 4 else frames.socket.IPPROTO_IPV6
    family = frames.socket.AF_INET if version == 4 else frames.socket.AF_INET6
    with ns.socket(family, frames.socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, MTU_DISCOVER[version], MTU_DO)
        sock.connect((address, 7777))

        def learned():
            try:
                sock.send(bytes(size))
            except OSError:  # EMSGSIZE: it knows; ECONNREFUSED: the datagram came through
                pass
            return sock.getsockopt(level, MTU[version]) < size

        wait.until(learned, f"a path MTU to {address}")
        return sock.getsockopt(level, MTU[version])


@pytest.mark.parametrize("version, near, far", [(4, "10.1.0.11", "10.1.0.50"), (6, "fd00:1::11", "fd00:1::50")])
def test_a_container_finds_out_what_the_underlay_carries(sluiced, container, host, requires, version, near, far):
    requires("ping")
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=9000)
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web")
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    sluiced.rpc("port.set", name="c1", allow=[f"{c1.eth0} fd00:1::11/128"])
    assert "mtu 9000" in c1.run("ip", "link", "show", "eth0").stdout
    if version == 6:
        for ns, address, device in ((c1, near, "eth0"), (host, far, "vx0")):
            ns.run("ip", "addr", "add", f"{address}/64", "dev", device, "nodad")
    # the other host would take long segments: nothing but the switch says that they do not get there
    host.run("ip", f"-{version}", "route", "add", near, "dev", "vx0", "advmss", "8900")
    ping = ["ping", "-n", "-c", "1", "-W", "1", far]
    wait.until(lambda: c1.run(*ping, check=False).returncode == 0, "the tunnel is up")
    traffic.tcp_carries(host, c1, far)
    assert sluiced.drops("mtu") > 0
    assert path_mtu(c1, far, version, 4000) == host.mtu
    assert "message too long" in c1.run(*ping, "-M", "do", "-s", "4000", check=False).stderr
    c1.run(*ping, "-M", "do", "-s", str(host.mtu - (28 if version == 4 else 48)))
    dropped = sluiced.drops("mtu")
    c1.run(*ping, "-s", "4000")  # in fragments that fit, since the kernel knows
    assert sluiced.drops("mtu") == dropped


@pytest.fixture
def cable(stack):
    """A veth, both of whose ends are here: the names."""
    ends = [f"slw{os.getpid()}{end}" for end in "ab"]
    run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]])
    stack.callback(run, ["ip", "link", "del", ends[0]])
    for end in ends:
        run(["sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1"])
        run(["ip", "link", "set", end, "up"])
    return ends


@pytest.mark.parametrize("underlay, uplink", [("192.0.2.{}", {}), ("fd00:2::{}", {}), ("fd00:2::{}", {"zero_checksum": True})],
                         ids=["over4", "over6", "over6-zero"])
def test_two_switches_carry_tcp_in_large_frames(start_sluiced, container, cable, underlay, uplink):
    ends = []
    for number, device in enumerate(cable, 1):
        daemon = start_sluiced()
        daemon.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=1430)
        daemon.rpc("uplink.add", {"name": "up0", "type": "af_packet", "device": device, "mac": f"02:00:00:00:99:0{number}",
                                  "address": underlay.format(number) + ("/64" if ":" in underlay else "/24"), **uplink})
        daemon.wait_port("up0")
        daemon.rpc("vtep.add", network="web", remote=underlay.format(3 - number))
        ends.append((daemon, container(daemon, "web", f"c{number}", f"10.1.0.1{number}")))
    (first, c1), (second, c2) = ends
    traffic.wait_ping(c1, c2.ip)
    traffic.tcp_carries(c2, c1, c2.ip)
    traffic.tcp_carries(c1, c2, c1.ip)
    assert first.drops("bad-offload") == second.drops("bad-offload") == 0
    sent, came = first.port("up0")["tx_packets"], second.port("up0")["rx_packets"]
    if WHOLE and ":" not in underlay:
        assert sent < traffic.BULK // 1400 and came < traffic.BULK // 1400  # as they are
    else:
        assert sent < came  # coalesced there, split here
