"""A daemon in a host of its own, which may forward packets, with one neighbour outside."""

import json

WORLD, HOST = "198.51.100.2", "198.51.100.1"


def connect_outside(host, world):
    """A link between the two; the host forwards nothing yet."""
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", world.name)
    for ns, link, address in ((host, "up0", HOST), (world, "eth0", WORLD)):
        ns.run("ip", "addr", "add", f"{address}/24", "dev", link)
        ns.run("ip", "link", "set", link, "up")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=0")


class Router:
    """A daemon in a host that has one neighbour outside, `world`, which knows no way to the networks inside."""

    def __init__(self, start_sluiced, host, world, **config):
        self.host, self.world = host, world
        self.daemon = start_sluiced(config, ns=host)

    def tables(self):
        return sorted(entry["table"]["name"] for entry in
                      json.loads(self.host.run("nft", "--json", "list", "tables").stdout)["nftables"] if "table" in entry)

    def forwarding(self):
        return self.host.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip()
