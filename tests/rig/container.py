"""Containers: a namespace with a TAP port of the switch as its eth0."""

from rig.netns import Netns


class Container(Netns):
    """Joins `network` as port `name`; `ip` None leaves the choice to the switch, and may be a list. More port fields by name."""

    def __init__(self, daemon, network, name, ip=None, **fields):
        super().__init__(name[:6])
        self.daemon, self.port = daemon, name
        try:
            if ip is not None:
                fields["ips"] = ip if isinstance(ip, list) else [ip]
            daemon.rpc("port.add", name=name, network=network, type="tap", netns=self.name, ifname="eth0", **fields)
            shown = daemon.port(name)
            self.ip = shown["ips"][0] if shown["ips"] else None
            self.ip6 = next((ip for ip in shown["ips"] if ":" in ip), None)
            self.eth0 = shown["mac"]
            daemon.wait_port(name)
        except BaseException:
            self.close()
            raise

    def at(self, port):
        """Its first address with a port."""
        return f"[{self.ip}]:{port}" if ":" in self.ip else f"{self.ip}:{port}"
