"""Another host of an overlay, played by a namespace whose kernel has a vxlan device."""

import os

from rig.netns import Netns

SWITCH, HOST, PREFIX = "192.0.2.1", "192.0.2.2", 24


class VxlanHost(Netns):
    """
    A namespace behind a veth. `device` is the switch's end, in the host's namespace, for an af_packet uplink with
    address SWITCH; inside, `up0` has HOST. The kernel's checksum and segmentation offloads stay on at both ends.
    """

    def __init__(self, label="peer", mtu=1500):
        super().__init__(label)
        self.device = f"slu{os.getpid()}"
        try:
            self.veth("up0", self.device, mtu)
            self.run("ip", "addr", "add", f"{HOST}/{PREFIX}", "dev", "up0")
        except BaseException:
            self.close()
            raise

    def vxlan(self, vni, address, name="vx0", mtu=1450, address6=None):
        """A kernel vxlan device towards the switch, with `address` (with its prefix) on it, and maybe one of IPv6."""
        self.run("ip", "link", "add", name, "type", "vxlan", "id", str(vni), "dstport", "4789", "local", HOST,
                 "remote", SWITCH, "dev", "up0")
        self.run("ip", "link", "set", name, "mtu", str(mtu), "up")
        self.run("ip", "addr", "add", address, "dev", name)
        if address6:
            self.run("ip", "addr", "add", address6, "dev", name, "nodad")

    def join(self, daemon, network, **uplink):
        """The switch's side: an uplink up0 on the veth, and this host as a vtep of the network."""
        daemon.rpc("uplink.add", {"name": "up0", "type": "af_packet", "device": self.device,
                                  "address": f"{SWITCH}/{PREFIX}", **uplink})
        daemon.wait_port("up0")
        daemon.rpc("vtep.add", network=network, remote=HOST)
