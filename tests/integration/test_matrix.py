"""
Every kind of port to every other: bulk TCP over IPv4 and IPv6, its content compared. Whatever a receiver does not take
(partial checksums, large frames) must have been done for it on the way, and what both take is left whole.
"""

import hashlib
import itertools
import os
import shutil
from contextlib import ExitStack

import pytest

from rig import uml, wait
from rig.container import Container
from rig.daemon import Daemon
from rig.netns import Netns
from rig.vxlan_host import VxlanHost

pytestmark = pytest.mark.alone

BYTES = 4 << 20
KINDS = ("vhost", "vhost-plain", "tap", "af_packet", "af_xdp", "vxlan")
PAIRS = [pair for pair in itertools.product(KINDS, KINDS) if pair != ("vxlan", "vxlan")]  # not through the switch
GUEST_PAIRS = [pair for pair in PAIRS if any(kind.startswith("vhost") for kind in pair)]
OFFLOADS = ["csum", "guest_csum", "guest_tso4", "guest_tso6", "host_tso4", "host_tso6", "mrg_rxbuf"]
SHELL = 7000
MTU = 1450
LONGEST_FRAME = 14 + MTU

AGENT = """
httpd -p 80 -h /www
nc -ll -p {port} -e /bin/sh &
echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
ip addr add {address6} dev eth0
echo guest-serves
""".replace("{port}", str(SHELL))


class Node:
    """One end: its two addresses, its port if it has one, and commands run at it."""

    def __init__(self, number, port):
        self.ip4, self.ip6, self.port = f"10.1.0.{number}", f"fd00:1::{number}", port

    def sum_of(self, address):
        """The sum of what `address` serves, as it arrives here."""
        host = f"[{address}]" if ":" in address else address
        return self.run(f"busybox wget -q -O - http://{host}/blob | busybox sha256sum").split()[0]

    def pings(self, address, size):
        """Does `address` answer an echo request of `size` bytes?"""
        said = self.run(f"busybox ping -c 1 -W {int(wait.PATIENCE_S)} -s {size} {address} || true")
        return " 1 packets received" in said


class Namespace(Node):
    """A node that is a namespace."""

    def __init__(self, number, port, ns, device, www):
        super().__init__(number, port)
        self.ns = ns
        ns.run("ip", "addr", "add", f"{self.ip6}/64", "dev", device, "nodad")
        ns.start("busybox", "httpd", "-f", "-p", "80", "-h", www)

    def run(self, command):
        return self.ns.run("sh", "-c", command).stdout


class Guest(Node):
    """A node that is a User-Mode Linux guest, whose shell is reached from `via` through the switch."""

    def __init__(self, number, via, guest):
        super().__init__(number, f"vm{number}")
        self.via, self.guest = via, guest

    def run(self, command):
        with self.via.ns.socket() as sock:
            sock.settimeout(wait.PATIENCE_S)
            sock.connect((self.ip4, SHELL))
            sock.sendall(f"{command}; exit\n".encode())
            answer = b""
            while part := sock.recv(65536):
                answer += part
        return answer.decode()


class World:
    """A daemon with two nodes of every kind in one overlay network, and one on another host of it."""

    def __init__(self, stack, folder):
        self.stack, self.www = stack, folder
        blob = os.urandom(BYTES)
        (folder / "blob").write_bytes(blob)
        self.sum = hashlib.sha256(blob).hexdigest()
        self.daemon = stack.enter_context(Daemon())
        self.daemon.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24", mtu=MTU)
        self.nodes = {kind: [] for kind in KINDS}
        guests = [self._boot(kind, number) for kind, number in
                  (("vhost", 11), ("vhost", 12), ("vhost-plain", 13), ("vhost-plain", 14))]
        for number in (21, 22):
            self._tap(number)
            self._veth(number + 10, "af_packet")
            self._veth(number + 20, "af_xdp")
        self._remote(51)
        for kind, number, guest in guests:
            wait.until(lambda: guest.says("guest-serves"), "the guest boots")
            self.nodes[kind].append(Guest(number, self.nodes["tap"][0], guest))

    def _boot(self, kind, number):
        name = f"vm{number}"
        path = self.daemon.vhost / f"{name}.sock"
        mask = uml.MASK + (OFFLOADS if kind == "vhost-plain" else [])
        self.daemon.rpc("port.add", {"name": name, "network": "web", "type": "vhost-user", "socket": str(path),
                                     "ips": [f"10.1.0.{number}"], "mask": mask, "security": "off"})  # its MAC is random
        script = AGENT.format(address6=f"fd00:1::{number}/64")
        guest = self.stack.enter_context(uml.Guest(path, f"10.1.0.{number}/24", script, mtu=MTU,
                                                   files={"/www/blob": self.www / "blob"}))
        return kind, number, guest

    def _tap(self, number):
        ns = self.stack.enter_context(Container(self.daemon, "web", f"c{number}", f"10.1.0.{number}"))
        self._allow_ip6(f"c{number}", ns.eth0, number)
        self.nodes["tap"].append(Namespace(number, f"c{number}", ns, "eth0", self.www))

    def _allow_ip6(self, port, mac, number):
        self.daemon.rpc("port.set", name=port, allow=[f"{mac} fd00:1::{number}/128"])

    def _veth(self, number, kind):
        ns, device = self.stack.enter_context(Netns("veth")), f"slv{os.getpid()}{number}"
        ns.veth("eth0", device, MTU)
        ns.run("ip", "addr", "add", f"10.1.0.{number}/24", "dev", "eth0")
        self.daemon.rpc("port.add", name=f"v{number}", network="web", type=kind, device=device,
                        ips=[f"10.1.0.{number}"], mac=ns.mac("eth0"))
        self.daemon.wait_port(f"v{number}")
        self._allow_ip6(f"v{number}", ns.mac("eth0"), number)
        self.nodes[kind].append(Namespace(number, f"v{number}", ns, "eth0", self.www))

    def _remote(self, number):
        host = self.stack.enter_context(VxlanHost())
        host.vxlan(100, f"10.1.0.{number}/24", mtu=MTU)
        host.join(self.daemon, "web")
        self.nodes["vxlan"].append(Namespace(number, None, host, "vx0", self.www))

    def pair(self, source, sink):
        """A node of each kind, two of them if it is the same."""
        return self.nodes[source][0], self.nodes[sink][-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    for program in ("ip", "nsenter", "linux.uml", "cpio", "busybox"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, which is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, TAP interfaces")
    with ExitStack() as stack:
        yield World(stack, tmp_path_factory.mktemp("www"))


@pytest.mark.parametrize("source, sink", PAIRS, ids=lambda kind: kind)
def test_tcp_arrives_as_it_was_sent(world, source, sink):
    source, sink = world.pair(source, sink)
    for address in (source.ip4, source.ip6):
        assert sink.sum_of(address) == world.sum, address


@pytest.mark.parametrize("source, sink", GUEST_PAIRS, ids=lambda kind: kind)
def test_guests_ping_and_are_pinged(world, source, sink):
    source, sink = world.pair(source, sink)
    for address, longest in ((sink.ip4, MTU - 28), (sink.ip6, MTU - 48)):
        assert source.pings(address, 56), address
        assert source.pings(address, longest), address


@pytest.mark.parametrize("source, sink, whole", [
    ("vhost", "vhost", True), ("vhost", "tap", True), ("tap", "vhost", True),
    ("vhost-plain", "vhost", False), ("vhost", "vhost-plain", False), ("tap", "vhost-plain", False)])
def test_large_frames_stay_whole_where_both_ends_take_them(world, source, sink, whole):
    source, sink = world.pair(source, sink)
    for address in (source.ip4, source.ip6):
        before = world.daemon.port(sink.port)
        assert sink.sum_of(address) == world.sum, address
        after = world.daemon.port(sink.port)
        frames, octets = (after[field] - before[field] for field in ("tx_packets", "tx_bytes"))
        assert octets > BYTES
        assert (octets / frames > LONGEST_FRAME) == whole, f"{octets} bytes in {frames} frames"


def test_guests_have_the_offloads_that_they_are_meant_to_have(world):
    for kind, offered in (("vhost", "1"), ("vhost-plain", "0")):
        for guest in world.nodes[kind]:
            features = guest.run("cat /sys/class/net/eth0/device/features")
            assert features[0] == features[1] == features[7] == features[11] == offered, features


def test_nothing_was_dropped_for_what_it_asked(world):
    for reason in ("bad-offload", "malformed", "mtu", "bad-ring"):
        assert world.daemon.drops(reason) == 0, world.daemon.rpc("stats.drops")
