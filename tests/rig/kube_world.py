"""A node with a daemon that follows Kubernetes, pods on it, and `world` outside: what the tests of Services stand on."""

from rig import traffic, wait
from rig.container import Container
from rig.daemon import Daemon
from rig.kube_api import SERVICES, SLICES, KubeApi, endpoint, endpoint_slice, service
from rig.kube_server import KubeServer, is_asked_for
from rig.netns import Netns
from rig.router import HOST, WORLD, connect_outside

VIP6, HOST6, WORLD6 = "fd00:96::10", "2001:db8::1", "2001:db8::2"
VIP, VIP2 = "10.96.0.10", "10.96.0.11"
NODE = "n1"


class Node:
    """`host` is the node's own namespace, `world` is outside. `pods`: p1 and p2, on network "pods"."""

    def __init__(self, daemon, api, host, world, stack):
        self.daemon, self.api, self.host, self.world, self.stack = daemon, api, host, world, stack
        self.pods = [self.pod(f"p{n}", [f"10.244.0.1{n}", f"fd00:244::1{n}"]) for n in (1, 2)]
        self.marks = 0

    def pod(self, name, ip):
        return self.stack.enter_context(Container(self.daemon, "pods", name, ip))

    def status(self):
        return self.daemon.rpc("status")["kubernetes"]

    def put(self, *objects):
        self.api.put(*objects)

    def slice(self, *endpoints, name="web-1", of="web", ports=(("http", 8080),)):
        self.api.put(endpoint_slice(name, of, list(endpoints), ports))

    def leads(self, ways):
        """All that was told is in effect, and so many ways lead in."""
        self.settled()
        wait.until(lambda: (self.status()["ways"], self.status()["ways_why"]) == (ways, None),
                   f"{ways} ways lead in: {self.status()}")

    def settled(self):
        """All that was told is in effect: what is told after it is, both as a Service and as a slice."""
        self.marks += 1
        port = 20000 + self.marks
        mark = (service("mark", ["10.96.9.9"], [("m", port)]),
                endpoint_slice("mark-1", "mark", [endpoint("10.244.9.9")], [("m", port)]))
        self.api.put(*mark)

        def there():
            of = next((one for one in self.daemon.rpc("service.list") if one["name"] == "m.mark.default"), None)
            ports = [one["port"] for one in self.daemon.rpc("backend.list") if one["service"] == "m.mark.default"]
            return of and of["port"] == port and ports == [port] and not self.status()["ways_due"]

        def gone():
            names = [one["name"] for one in self.daemon.rpc("service.list")]
            return "m.mark.default" not in names and not self.status()["ways_due"]

        wait.until(there, "what was told is in effect")
        self.api.delete(*mark)
        wait.until(gone, "the mark is gone")

    def clear(self):
        """No Service is left."""
        for path in (SERVICES, SLICES):
            self.api.delete(*list(self.api.objects[path].values()))
        wait.until(lambda: not self.daemon.rpc("service.list") and not self.status()["slices"], "all Services are gone")


def local(pod, **conditions):
    """An endpoint of this node."""
    return endpoint(pod.ip, node=NODE, **conditions)


def web(kind="NodePort", port=80, node_port=30080, protocol="TCP", name="web", vip=VIP, **spec):
    """The Service "web" of port http."""
    one = service(name, [vip], [("http", port, protocol)], type=kind, **spec)
    if node_port:
        one["spec"]["ports"][0]["nodePort"] = node_port
    return one


def balanced(ips, **spec):
    """The same, behind a load balancer of these addresses."""
    one = web("LoadBalancer", **spec)
    one["status"] = {"loadBalancer": {"ingress": [ip if isinstance(ip, dict) else {"ip": ip, "ipMode": "VIP"} for ip in ips]}}
    return one


def answer(client, address, port):
    """The name of the pod that answers a connection by TCP."""
    with traffic.EchoClient(client, address, port) as connection:
        connection.echo()
        return connection.name


def answers(client, address, port, names, times=30):
    """They, and nobody else, answer."""
    found = {answer(client, address, port) for _ in range(times)}
    assert found == {one.name for one in names}, found


def node_config(api, authority, **more):
    return {"control": {"http": "127.0.0.1:8500"},
            "networks": [{"name": "pods", "mode": "host", "subnets": ["10.244.0.0/16", "fd00:244::/64"],
                          "gateways": ["10.244.0.1", "fd00:244::1"], "egress": "masquerade"}],
            "kubernetes": {"api": api.url, "ca": str(authority.cert), "token_file": str(api.token_file), "network": "pods",
                           "node": NODE, "healthz": "0.0.0.0:10256", **more}}


def start(stack, authority, tmp_path, **more):
    """A node, its API server inside of it, until the stack is closed."""
    host, world = stack.enter_context(Netns("host")), stack.enter_context(Netns("world"))
    connect_outside(host, world)
    host.run("ip", "route", "add", "default", "via", WORLD)
    host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    for ns, link, address in ((host, "up0", HOST6), (world, "eth0", WORLD6)):
        ns.run("ip", "addr", "add", f"{address}/64", "dev", link, "nodad")
    host.run("ip", "route", "add", "default", "via", WORLD6)
    make = KubeServer if is_asked_for() else KubeApi
    api = stack.enter_context(make(authority, tmp_path / "token", ns=host))
    api.put({"kind": "Node", "metadata": {"name": NODE}})
    return Node(stack.enter_context(Daemon(node_config(api, authority, **more), ns=host)), api, host, world, stack)
