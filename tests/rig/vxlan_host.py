"""Another host of an overlay, played by a namespace whose kernel has a vxlan device."""

import os

from rig.netns import Netns

SWITCH, HOST, PREFIX = "192.0.2.1", "192.0.2.2", 24
SWITCH6, HOST6, PREFIX6 = "fd00:2::1", "fd00:2::2", 64
# packet sockets let large frames into a tunnel as they are from Linux 6.6 on
WHOLE = tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 6)
OUTER, OUTER6 = 50, 70  # what VXLAN takes of the underlay's MTU, Ethernet included, over IPv4 and over IPv6


class VxlanHost(Netns):
    """
    A namespace behind a veth. `device` is the switch's end, in the host's namespace, for an af_packet uplink with
    address SWITCH; inside, `up0` has HOST. The kernel's checksum and segmentation offloads stay on at both ends.
    `six`: the underlay is IPv6, with SWITCH6 and HOST6; `checksum`: the kernel sends VXLAN with a UDP checksum there (it
    takes both).
    """

    def __init__(self, label="peer", mtu=1500, six=False, checksum=True):
        super().__init__(label)
        self.device = f"slu{os.getpid()}"
        self.six, self.checksum = six, checksum
        self.switch, self.address, self.prefix = (SWITCH6, HOST6, PREFIX6) if six else (SWITCH, HOST, PREFIX)
        self.mtu = mtu - (OUTER6 if six else OUTER)  # of what is inside
        try:
            self.veth("up0", self.device, mtu)
            self.run("ip", "addr", "add", f"{self.address}/{self.prefix}", "dev", "up0", *(["nodad"] if six else []))
        except BaseException:
            self.close()
            raise

    def vxlan(self, vni, address, name="vx0", mtu=None, address6=None):
        """A kernel vxlan device towards the switch, with `address` (with its prefix) on it, and maybe one of IPv6."""
        self.run("ip", "link", "add", name, "type", "vxlan", "id", str(vni), "dstport", "4789", "local", self.address,
                 "remote", self.switch, "dev", "up0",
                 *(["udp6zerocsumrx", "udp6zerocsumtx" if not self.checksum else "noudp6zerocsumtx"] if self.six else []))
        self.run("ip", "link", "set", name, "mtu", str(mtu or self.mtu), "up")
        self.run("ip", "addr", "add", address, "dev", name)
        if address6:
            self.run("ip", "addr", "add", address6, "dev", name, "nodad")

    def join(self, daemon, network, **uplink):
        """The switch's side: an uplink up0 on the veth, and this host as a vtep of the network."""
        daemon.rpc("uplink.add", {"name": "up0", "type": "af_packet", "device": self.device,
                                  "address": f"{self.switch}/{self.prefix}", **uplink})
        daemon.wait_port("up0")
        daemon.rpc("vtep.add", network=network, remote=self.address)
