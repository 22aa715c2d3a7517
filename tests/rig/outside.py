"""The world outside: a kernel on the link of an uplink of the switch's, which knows no way to the networks inside."""

import os
import socket

from rig import traffic, wait
from rig.netns import Netns

WORLD, SWITCH, BEYOND = "192.0.2.2", "192.0.2.1", "198.51.100.7"
WORLD6, SWITCH6, BEYOND6 = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:2::7"


class World(Netns):
    """
    A kernel outside, on the link of the switch's uplink `up0`, with WORLD as the switch's gateway and BEYOND behind it, or the
    same of IPv6. It knows no way to the networks inside.
    """

    def __init__(self, mtu=1500):
        super().__init__("world")
        self.device = f"sln{os.getpid()}"
        try:
            self.veth("up0", self.device, mtu)
            self.run("ip", "addr", "add", f"{WORLD}/24", "dev", "up0")
            self.run("ip", "addr", "add", f"{BEYOND}/32", "dev", "lo")
            self.run("ip", "addr", "add", f"{WORLD6}/64", "dev", "up0", "nodad")
            self.run("ip", "addr", "add", f"{BEYOND6}/128", "dev", "lo")
        except BaseException:
            self.close()
            raise

    def join(self, daemon, six=False, **uplink):
        daemon.rpc("uplink.add", {"name": "up0", "type": "af_packet", "device": self.device,
                                  "address": f"{SWITCH6}/64" if six else f"{SWITCH}/24",
                                  "gateway": WORLD6 if six else WORLD, **uplink})
        daemon.wait_port("up0")
        wait.until(lambda: daemon.rpc("uplink.show", name="up0")["neighbours"],
                   "the gateway is known")


def exchange(world, guest, peer, seen_as, port=7001, size=9):
    """A datagram of the guest's to `peer` comes under the address `seen_as`, and its answer back. A long one in fragments."""
    family = traffic.family_of(peer)
    with world.socket(family, socket.SOCK_DGRAM) as server, guest.socket(family, socket.SOCK_DGRAM) as client:
        server.settimeout(1)
        client.settimeout(1)
        server.bind((peer, port))

        def exchanged():
            """Asked again when nothing comes: a kernel may drop a datagram, of which a lost fragment is enough."""
            try:
                client.sendto(b"?" * size, (peer, port))
                data, seen = server.recvfrom(10000)
                assert data == b"?" * size and seen[0] == seen_as and seen[1] >= 16384
                server.sendto(b"!" * size, seen)
                return client.recv(10000) == b"!" * size
            except TimeoutError:
                return False

        wait.until(exchanged, "a datagram and its answer")


def drops(daemon, reason):
    return sum(row["packets"] for row in daemon.rpc("stats.drops") if row["reason"] == reason)


def answered(ns, address, port):
    """Within a second: the server has other datagrams before it."""
    try:
        return bool(traffic.udp_ask(ns, address, port, timeout_s=1.0))
    except TimeoutError:
        return False
