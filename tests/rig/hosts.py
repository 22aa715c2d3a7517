"""Several hosts on one underlay, each a namespace with a daemon of its own, without a store: all is said to each of them."""

from rig.container import Container
from rig.netns import Netns


class Hosts:
    """`count` daemons behind a bridge, each a vtep of the others in network "web". Further configuration by name."""

    def __init__(self, start_sluiced, stack, count, six=False, **config):
        self.stack, self.six = stack, six
        self.fabric = stack.enter_context(Netns("under"))
        self.fabric.run("ip", "link", "add", "under", "type", "bridge")
        self.fabric.run("ip", "link", "set", "under", "up")
        self.addresses = [f"fd00:2::{i}" if six else f"192.0.2.{i}" for i in range(1, count + 1)]
        self.spaces = [self._space(i) for i in range(count)]
        self.daemons = [start_sluiced(ns=self.spaces[i], config={**self._config(i), **config}) for i in range(count)]
        for daemon in self.daemons:
            daemon.wait_port("up0")

    def _space(self, i):
        space = self.stack.enter_context(Netns(f"h{i + 1}"))
        self.fabric.run("ip", "link", "add", f"u{i}", "type", "veth", "peer", "name", "up0", "netns", space.name)
        self.fabric.run("ip", "link", "set", f"u{i}", "master", "under", "up")
        space.run("ip", "link", "set", "up0", "up")
        return space

    def _config(self, i):
        prefix = 64 if self.six else 24
        return {
            "networks": [{"name": "web", "mode": "overlay", "vni": 100, "subnets": ["10.1.0.0/24", "fd00:1::/64"], "mtu": 1400}],
            "uplinks": [{"name": "up0", "type": "af_packet", "device": "up0", "address": f"{self.addresses[i]}/{prefix}"}],
            "vteps": [{"network": "web", "remote": other} for other in self.addresses if other != self.addresses[i]]}

    def container(self, i, name, ip, **fields):
        return self.stack.enter_context(Container(self.daemons[i], "web", name, ip, **fields))

    def everywhere(self, method, **fields):
        for daemon in self.daemons:
            daemon.rpc(method, **fields)
