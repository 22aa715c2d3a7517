"""Hosts that share an etcd: each a namespace with a daemon, on one underlay, and the store in a namespace of its own."""

from rig import wait
from rig.container import Container
from rig.daemon import Daemon
from rig.etcd import Etcd
from rig.netns import Netns

NETWORK = {"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24"}
TIMES = {"alive_s": 20, "lease_s": 60, "bfd": {"interval_ms": 0}}  # nobody is down because the machine is busy
SHORT = {"alive_s": 2, "lease_s": 5}  # as short as etcd and the configuration allow


class Fabric(Netns):
    """Where the store runs, and two bridges: `mgmt`, by which hosts reach it, and `under`, which carries VXLAN."""

    def __init__(self, members):
        super().__init__("fab")
        try:
            for bridge in ("mgmt", "under"):
                self.run("ip", "link", "add", bridge, "type", "bridge")
                self.run("ip", "link", "set", bridge, "up")
            for address in members:
                self.run("ip", "addr", "add", f"{address}/24", "dev", "mgmt")
        except BaseException:
            self.close()
            raise

    def link(self, ns, number, bridge, inside):
        """A veth from the bridge to `ns`, as `inside` there."""
        outside = f"{bridge}{number}"
        self.run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", ns.name)
        self.run("ip", "link", "set", outside, "master", bridge, "up")
        ns.run("ip", "link", "set", inside, "up")

    def set_link(self, number, bridge, state):
        """"down" cuts a host off, "up" brings it back."""
        self.run("ip", "link", "set", f"{bridge}{number}", state)


class Cluster:
    """The store, and hosts as they are asked for."""

    def __init__(self, stack, members=1, authority=None, options=()):
        addresses = [f"10.99.0.{101 + index}" for index in range(members)]
        self.stack = stack
        self.fabric = stack.enter_context(Fabric(addresses))
        self.etcd = stack.enter_context(Etcd(self.fabric, addresses, authority, options))
        self.hosts = []

    def part(self, number, **fields):
        return {"etcd": self.etcd.urls, "host": f"h{number}", **TIMES, **(self.etcd.tls or {}), **fields}

    def host(self, networks=(NETWORK,), start=True, parts=None, under="192.0.2.{}/24", **fields):
        """A daemon in a host of its own, with an uplink, these networks and `parts` of the configuration; more fields of its
        "cluster" by name. `under`: the uplink's address, with the host's number."""
        number = len(self.hosts) + 1
        ns = self.stack.enter_context(Netns(f"h{number}"))
        self.fabric.link(ns, number, "mgmt", "eth0")
        self.fabric.link(ns, number, "under", "up0")
        ns.run("ip", "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
        uplink = {"name": "up0", "type": "af_packet", "device": "up0", "address": under.format(number)}
        config = {"networks": list(networks), "uplinks": [uplink], "cluster": self.part(number, **fields),
                  "control": {"http": "127.0.0.1:8500"}, **(parts or {})}  # of its own namespace
        daemon = self.stack.enter_context(Daemon(config, ns=ns, start=start))
        daemon.number = number
        self.hosts.append(daemon)
        return daemon

    def container(self, daemon, name, ip, network="web", **fields):
        return self.stack.enter_context(Container(daemon, network, name, ip, **fields))

    @staticmethod
    def knows(daemon, *macs, network="web"):
        """Waits until the daemon has these MACs of other hosts, and no others."""
        wait.until(lambda: sorted(mac for mac, entry in daemon.fdb(network).items() if entry.get("vtep") and entry["static"])
                   == sorted(macs), f"{macs} are known", timeout_s=wait.PATIENCE_S * 2)
