"""BFD between hosts: what a dead host, a link of one direction, an end in order, lies and floods do, and do not do."""

import signal

import pytest

from rig import bfd, traffic, wait
from rig.container import Container
from rig.objects import INVALID, NOT_FOUND, refused
from rig.process import run
from rig.vxlan_host import HOST, SWITCH, VxlanHost

ADDRESSES = ("192.0.2.1", "192.0.2.2")
BFD = {"interval_ms": 100, "multiplier": 20}  # two seconds: no busy machine is taken for a dead one


def vtep(daemon, remote):
    return next(row for row in daemon.rpc("vtep.list") if row["remote"] == remote)


def wait_state(daemon, remote, state):
    wait.until(lambda: vtep(daemon, remote)["bfd_state"] == state, f"BFD with {remote} {state}")


class Hosts:
    """Two hosts, each a namespace with a daemon of its own and a container, on one cable."""

    def __init__(self, start_sluiced, stack, netns, watched=(BFD, BFD), addresses=ADDRESSES):
        self.spaces = [netns("h1"), netns("h2")]
        run(["ip", "link", "add", "up0", "netns", self.spaces[0].name, "type", "veth", "peer", "name", "up0", "netns",
             self.spaces[1].name])
        self.daemons, self.containers, self.addresses = [], [], addresses
        prefix = 64 if ":" in addresses[0] else 24
        for i, space in enumerate(self.spaces):
            space.run("ip", "link", "set", "up0", "up")
            daemon = start_sluiced(ns=space, config={
                "networks": [{"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24"}],
                "uplinks": [{"name": "up0", "type": "af_packet", "device": "up0", "address": f"{addresses[i]}/{prefix}"}],
                "vteps": [{"network": "web", "remote": addresses[1 - i],
                           **({"bfd": watched[i]} if watched[i] else {})}]})
            self.daemons.append(daemon)
            self.containers.append(stack.enter_context(Container(daemon, "web", f"c{i + 1}", f"10.1.0.{11 + i}")))

    def wait_up(self):
        for i in (0, 1):
            wait_state(self.daemons[i], self.addresses[1 - i], "up")


@pytest.fixture
def hosts(start_sluiced, stack, netns):
    both = Hosts(start_sluiced, stack, netns)
    both.wait_up()
    return both


def test_a_host_that_is_killed_is_cut_and_back_at_once(hosts):
    near, far = hosts.daemons
    c1, c2 = hosts.containers
    traffic.wait_ping(c1, c2.ip)
    shown = vtep(near, ADDRESSES[1])
    assert (shown["state"], shown["bfd"]["interval_ms"], shown["bfd"]["multiplier"]) == ("up", 100, 20)
    wait.until(lambda: vtep(near, ADDRESSES[1])["bfd"]["detect_ms"] == 2000, "the interval is agreed on")
    assert near.rpc("status")["peers"] == {"peers": 1, "up": 1, "lost": 0, "cut": 0, "hold": False}

    far.kill()
    wait_state(near, ADDRESSES[1], "down")
    shown = vtep(near, ADDRESSES[1])
    assert (shown["state"], shown["bfd"]["downs"], shown["bfd"]["held"]) == ("down", 1, False)
    assert shown["bfd"]["why"] == "nothing came for the detection time"
    assert near.rpc("status")["peers"]["cut"] == 1
    assert f"vtep {ADDRESSES[1]} of web is down: its host does not answer (BFD)" in near.ctl("status").stdout
    for address in (c2.ip, "10.1.0.99"):  # the second is asked for: flooded to nobody
        before = near.drops("peer-down")
        assert traffic.ping(c1, address, count=1, check=False) == 0
        wait.until(lambda: near.drops("peer-down") > before, f"what is for {address} is dropped as such")

    def adds_up():
        count = {row["network"]: row for row in near.rpc("stats.show")}["web"]
        return count["rx"] + count["generated"] + count["copies"] == count["tx"] + count["drops"] + count["consumed"]

    wait.until(adds_up, "each copy is counted once")

    far.start()
    hosts.wait_up()
    assert vtep(near, ADDRESSES[1])["state"] == "up"


def test_a_host_that_ends_in_order_says_so(hosts):
    near, far = hosts.daemons
    far.stop()
    wait_state(near, ADDRESSES[1], "admin-down")
    shown = vtep(near, ADDRESSES[1])
    assert shown["state"] == "down" and shown["bfd"]["why"] == "the peer says that its session is down"


def test_bfd_that_is_set_otherwise_cuts_nobody(hosts):
    near, far = hosts.daemons
    traffic.wait_ping(hosts.containers[0], hosts.containers[1].ip)
    far.ctl("vtep", "set", "--network", "web", "--remote", ADDRESSES[0], "--bfd-interval-ms", "0")
    assert vtep(far, ADDRESSES[0])["bfd"] is None
    wait.until(lambda: vtep(near, ADDRESSES[1])["bfd_state"] != "up", "the other side hears of it")
    assert vtep(near, ADDRESSES[1])["state"] == "up"
    traffic.ping(hosts.containers[0], hosts.containers[1].ip)
    far.rpc("vtep.set", network="web", remote=ADDRESSES[0], bfd=BFD)
    hosts.wait_up()

    downs = [vtep(daemon, ADDRESSES[1 - i])["bfd"]["downs"] for i, daemon in enumerate(hosts.daemons)]
    far.ctl("vtep", "set", "--network", "web", "--remote", ADDRESSES[0], "--bfd-interval-ms", "200", "--bfd-multiplier", "15")
    wait.until(lambda: vtep(near, ADDRESSES[1])["bfd"]["detect_ms"] == 3000, "near hears less often")
    wait.until(lambda: vtep(far, ADDRESSES[0])["bfd"]["detect_ms"] == 4000, "far hears as often as near now may")
    assert downs == [vtep(daemon, ADDRESSES[1 - i])["bfd"]["downs"] for i, daemon in enumerate(hosts.daemons)]


def test_links_and_daemons_that_stop_and_go_on(hosts, requires):
    """The cable out and in again; a daemon stopped and continued; a link of one direction, where the kernel can make one."""
    near, far = hosts.daemons
    hosts.spaces[1].run("ip", "link", "set", "up0", "down")
    for i, daemon in enumerate(hosts.daemons):
        wait.until(lambda: vtep(daemon, ADDRESSES[1 - i])["state"] == "down", f"host {i + 1} notices")
    hosts.spaces[1].run("ip", "link", "set", "up0", "up")
    hosts.wait_up()

    far.process.send_signal(signal.SIGSTOP)
    try:
        wait_state(near, ADDRESSES[1], "down")
    finally:
        far.process.send_signal(signal.SIGCONT)
    hosts.wait_up()
    traffic.wait_ping(hosts.containers[0], hosts.containers[1].ip)

    requires("tc")
    if hosts.spaces[1].run("tc", "qdisc", "add", "dev", "up0", "root", "tbf", "rate", "8bit", "burst", "1", "limit", "1",
                           check=False).returncode:
        pytest.skip("needs sch_tbf in the kernel to lose what is sent in one direction")
    wait_state(near, ADDRESSES[1], "down")
    wait.until(lambda: vtep(far, ADDRESSES[0])["state"] == "down", "far is told")
    hosts.spaces[1].run("tc", "qdisc", "del", "dev", "up0", "root")
    hosts.wait_up()


def test_backends_of_a_dead_host_leave_the_vip(hosts):
    near, far = hosts.daemons
    c1, c2 = hosts.containers
    near.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    near.rpc("backend.add", service="api", address=c2.ip, port=80)
    traffic.wait_ping(c1, c2.ip)

    def health():
        return [backend["health"] for backend in near.rpc("service.show", name="api")["backends"]]

    assert health() == ["passing"]
    # until control has heard which MAC the address has, it cannot tell behind which host that is
    wait.until(lambda: any(entry.get("vtep") for entry in near.fdb("web").values()), "c2 is learned")
    far.process.send_signal(signal.SIGSTOP)
    try:
        wait.until(lambda: health() == ["critical"], "its backend is critical")
    finally:
        far.process.send_signal(signal.SIGCONT)
    wait.until(lambda: health() == ["passing"], "and passes again with the host")


def test_over_ip6(start_sluiced, stack, netns):
    both = Hosts(start_sluiced, stack, netns, addresses=("fd00:2::1", "fd00:2::2"))
    both.wait_up()
    traffic.wait_ping(both.containers[0], both.containers[1].ip)
    both.daemons[1].kill()
    wait_state(both.daemons[0], "fd00:2::2", "down")
    assert vtep(both.daemons[0], "fd00:2::2")["state"] == "down"


def test_a_peer_that_never_spoke_is_not_cut(start_sluiced, stack, netns):
    both = Hosts(start_sluiced, stack, netns, watched=(BFD, None))
    traffic.wait_ping(both.containers[0], both.containers[1].ip)
    assert vtep(both.daemons[0], ADDRESSES[1])["bfd_state"] == "down"
    assert vtep(both.daemons[0], ADDRESSES[1])["state"] == "up"


@pytest.fixture
def host(stack):
    return stack.enter_context(VxlanHost())


def far_away(host, n):
    """Addresses of n hosts that one namespace plays."""
    addresses = [f"192.0.2.{10 + i}" for i in range(n)]
    for address in addresses:
        host.run("ip", "addr", "add", f"{address}/24", "dev", "up0")
    return addresses


def join(daemon, host, addresses):
    daemon.rpc("network.add", name="web", mode="overlay", vni=100)
    daemon.rpc("uplink.add", name="up0", type="af_packet", device=host.device, address=f"{SWITCH}/24")
    daemon.wait_port("up0")
    for address in addresses:
        daemon.rpc("vtep.add", network="web", remote=address, bfd=BFD)


def test_many_lost_at_once_are_held(sluiced, host):
    addresses = far_away(host, 8)
    join(sluiced, host, addresses)

    def peers():
        return sluiced.rpc("status")["peers"]

    with bfd.Speakers(host, SWITCH, addresses) as hosts:
        wait.until(lambda: peers()["up"] == 8, "all are up")
        hosts.silence(*addresses[:2])
        wait.until(lambda: peers()["cut"] == 2, "two are cut")
        hosts.silence(*addresses[:6])
        held = wait.until(lambda: peers() if peers()["lost"] == 6 else None, "six are lost")
        assert held["hold"] and held["up"] == 2
        # the two may have been cut for so long that they count as lost alone
        wait.until(lambda: peers()["cut"] in (0, 2), "the others are held")
        assert vtep(sluiced, addresses[5])["state"] == "up" and vtep(sluiced, addresses[5])["bfd"]["held"]
        assert "6 of 8 hosts are lost at once (BFD)" in sluiced.ctl("status").stdout
        hosts.silence()
        wait.until(lambda: peers() == {"peers": 8, "up": 8, "lost": 0, "cut": 0, "hold": False}, "all are back")


def test_lies_and_floods_take_no_session_down(sluiced, host):
    host.run("ip", "addr", "add", "192.0.2.66/24", "dev", "up0")
    join(sluiced, host, [HOST])
    with bfd.Speakers(host, SWITCH, [HOST]) as hosts:
        wait_state(sluiced, HOST, "up")
        mine = hosts.heard[HOST]["mine"]
        lies = [
            (HOST, 255, bfd.packet(bfd.DOWN, mine=9, yours=mine ^ 1)),  # to somebody else
            (HOST, 254, bfd.packet(bfd.DOWN, mine=9, yours=mine)),  # from behind a router
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=0, yours=mine)),
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine, multiplier=0)),
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine, version=0)),
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine, flags=4)),  # authenticated
            (HOST, 255, bfd.packet(bfd.UP, mine=9, yours=mine, flags=2)),  # demand mode
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine, flags=1)),  # multipoint
            (HOST, 255, bfd.packet(bfd.UP, mine=9, yours=0)),
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine, length=200)),
            (HOST, 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine)[:20]),
            (HOST, 255, b""),
            ("192.0.2.66", 255, bfd.packet(bfd.ADMIN_DOWN, mine=9, yours=mine)),  # no peer
        ]
        for address, ttl, lie in lies:
            before = sluiced.drops("bfd-refused")
            with bfd.sender(host, address, ttl) as sock:
                wait.until(lambda: sock.sendto(lie, (SWITCH, bfd.PORT)) + 1 and sluiced.drops("bfd-refused") > before,
                           f"a lie of {address} is counted: {lie.hex()}", interval_s=0.05)
        with bfd.sender(host, "192.0.2.66") as stranger, bfd.sender(host, HOST) as peer:
            for _ in range(20000):
                stranger.sendto(bfd.packet(), (SWITCH, bfd.PORT))
            wait.until(lambda: sluiced.drops("bfd-refused") > 1000, "the stranger's are refused")
            flood = bfd.packet(bfd.UP, mine=hosts.hosts[HOST]["mine"], yours=mine, poll=True, multiplier=20)
            wait.until(lambda: [peer.sendto(flood, (SWITCH, bfd.PORT)) for _ in range(200)] and sluiced.drops("bfd-flood"),
                       "of a peer's own only its share gets in", interval_s=0.01)
        shown = vtep(sluiced, HOST)
        assert (shown["bfd_state"], shown["bfd"]["downs"]) == ("up", 0)


def test_refusals(sluiced):
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100)
    for ms in (1, 9):
        refused(sluiced, "vtep.add", INVALID, "bfd.interval_ms: out of range 10..60000, and not 0", network="web",
                remote=HOST, bfd={"interval_ms": ms})
    refused(sluiced, "vtep.add", INVALID, "bfd.multiplier: out of range 1..255", network="web", remote=HOST,
            bfd={"multiplier": 0})
    refused(sluiced, "vtep.set", NOT_FOUND, f"remote: network web has no vtep {HOST}", network="web", remote=HOST,
            bfd={"interval_ms": 100})
    sluiced.rpc("vtep.add", network="web", remote=HOST)
    assert (vtep(sluiced, HOST)["bfd"], vtep(sluiced, HOST)["bfd_state"]) == (None, "off")
    shown = sluiced.rpc("vtep.set", network="web", remote=HOST, bfd={})
    assert (shown["bfd"]["interval_ms"], shown["bfd"]["multiplier"], shown["bfd_state"]) == (100, 3, "down")
    refused(sluiced, "vtep.set", INVALID, "bfd.interval_ms: out of range 10..60000, and not 0", network="web", remote=HOST,
            bfd={"interval_ms": 5})
    assert sluiced.rpc("vtep.set", network="web", remote=HOST, bfd={"multiplier": 7})["bfd"]["interval_ms"] == 100


def test_it_is_kept_over_a_restart_and_counted(start_sluiced):
    daemon = start_sluiced({"control": {"http": "127.0.0.1:0"}})
    daemon.rpc("network.add", name="web", mode="overlay", vni=100)
    daemon.rpc("network.add", name="two", mode="overlay", vni=200)
    for network, ms in (("web", 300), ("two", 50)):
        daemon.rpc("vtep.add", network=network, remote=HOST, bfd={"interval_ms": ms})
    assert [row["bfd"]["interval_ms"] for row in daemon.rpc("vtep.list")] == [50, 50]  # one host, one session
    assert daemon.rpc("status")["peers"]["peers"] == 1
    daemon.rpc("vtep.set", network="two", remote=HOST, bfd={"interval_ms": 70, "multiplier": 9})
    daemon.wait_all_kept()
    daemon.kill()
    daemon.start()
    assert [(row["bfd"]["interval_ms"], row["bfd"]["multiplier"]) for row in daemon.rpc("vtep.list")] == [(70, 9), (70, 9)]
    daemon.rpc("vtep.del", network="two", remote=HOST)
    assert [row["bfd"]["interval_ms"] for row in daemon.rpc("vtep.list")] == [300]
    daemon.rpc("vtep.del", network="web", remote=HOST)
    assert daemon.rpc("status")["peers"]["peers"] == 0
