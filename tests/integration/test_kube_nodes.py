"""
Pods of several nodes: each node a namespace with a daemon, which learns of the others by their Node objects alone. The
network reaches over them by VXLAN; a pod's address says at which node it is.
"""

import contextlib
import socket

import pytest

from rig import traffic, wait
from rig.certs import Authority
from rig.cluster import Fabric
from rig.container import Container
from rig.daemon import Daemon
from rig.kube_api import NODES, SERVICES, SLICES, KubeApi, endpoint, endpoint_slice, service
from rig.netns import Netns

pytestmark = pytest.mark.control

API, VIP, VIP6 = "10.99.0.100", "10.96.0.10", "fd00:96::10"


def node_object(number, pods=None, **metadata):
    """What Kubernetes says of node `number`."""
    pods = pods or [f"10.244.{number}.0/24", f"fd00:244:0:{number}::/64"]
    return {"kind": "Node", "metadata": {"name": f"n{number}", **metadata}, "spec": {"podCIDR": pods[0], "podCIDRs": pods},
            "status": {"addresses": [{"type": "Hostname", "address": f"n{number}"},
                                     {"type": "InternalIP", "address": f"192.0.2.{number}"}]}}


class Nodes:
    """The API server, and nodes as they are asked for. Each has a pod: its last byte is 11."""

    def __init__(self, stack, path):
        self.stack, self.authority = stack, Authority(path, "kube-ca")
        self.fabric = stack.enter_context(Fabric([API]))
        self.api = stack.enter_context(KubeApi(self.authority, path / "token", ns=self.fabric, address=API))
        self.hosts, self.pods = {}, {}

    def config(self, number):
        ranges = node_object(number)["spec"]["podCIDRs"]
        return {"networks": [{"name": "pods", "mode": "host", "vni": 7, "subnets": ["10.244.0.0/16", "fd00:244::/48"],
                              "gateways": [f"10.244.{number}.1", f"fd00:244:0:{number}::1"], "ranges": ranges,
                              "egress": "masquerade"}],
                "uplinks": [{"name": "up0", "type": "af_packet", "device": "up0", "address": f"192.0.2.{number}/24"}],
                "kubernetes": {"api": self.api.url, "ca": str(self.authority.cert), "token_file": str(self.api.token_file),
                               "network": "pods", "node": f"n{number}"}}

    def node(self, number, **more):
        """`more`: further parts of its configuration."""
        ns = self.stack.enter_context(Netns(f"n{number}"))
        self.fabric.link(ns, number, "mgmt", "eth0")
        self.fabric.link(ns, number, "under", "up0")
        ns.run("ip", "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
        self.api.put(node_object(number))
        daemon = self.stack.enter_context(Daemon({**self.config(number), **more}, ns=ns))
        self.hosts[number] = daemon
        self.pods[number] = self.pod(number, f"p{number}", None)
        return daemon

    def pod(self, number, name, ip):
        return self.stack.enter_context(Container(self.hosts[number], "pods", name, ip))

    def status(self, number):
        return self.hosts[number].rpc("status")["kubernetes"]

    def vteps(self, number):
        return sorted(one["remote"] for one in self.hosts[number].rpc("vtep.list"))

    def near(self, number):
        """To where pods go under their own addresses, of IPv4 and IPv6, as nft has it."""
        lines = self.hosts[number].ns.run("nft", "list", "table", "inet", "sl-pods").stdout.splitlines()
        return " ".join(line.split(" daddr ")[1].rsplit(" return", 1)[0] for line in lines if line.endswith(" return"))

    def wait_vteps(self, number, *remotes):
        wait.until(lambda: self.vteps(number) == sorted(remotes), f"node {number} has tunnels to {remotes}")

    def wait_why(self, number, text):
        wait.until(lambda: text in (self.status(number)["nodes_why"] or ""), f"node {number} says {text}")

    def wait_well(self, number):
        wait.until(lambda: self.status(number)["nodes_why"] is None, f"node {number} reaches all")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Three nodes; pods answer on port 8080."""
    with contextlib.ExitStack() as stack:
        nodes = Nodes(stack, tmp_path_factory.mktemp("kube"))
        for number in (1, 2, 3):
            nodes.node(number)
            stack.enter_context(traffic.tcp_server(nodes.pods[number], 8080, six=True))
        yield nodes


@pytest.fixture
def nodes(shared, requires):
    requires("ip", "nft", "nsenter")
    shared.api.put(*(node_object(number) for number in (1, 2, 3)))
    for number in (1, 2, 3):
        shared.wait_vteps(number, *(f"192.0.2.{other}" for other in (1, 2, 3) if other != number))
        shared.wait_well(number)
    yield shared
    for path in (SERVICES, SLICES):
        shared.api.delete(*shared.api.objects[path].values())


def test_pods_have_addresses_of_their_nodes_range(nodes):
    for number, pod in nodes.pods.items():
        assert pod.ip.startswith(f"10.244.{number}.") and pod.ip6.startswith(f"fd00:244:0:{number}:")


def test_pods_of_all_nodes_reach_each_other(nodes):
    for number, pod in nodes.pods.items():
        for other in nodes.pods.values():
            for address in (other.ip, other.ip6) if other is not pod else ():
                traffic.wait_ping(pod, address)
                with traffic.EchoClient(pod, address, 8080) as connection:
                    connection.echo()
                    assert connection.name == other.name


def test_a_node_and_pods_of_another_reach_each_other(nodes):
    """The kubelet's probes, and pods that ask what runs on a node: by the gateways, under their own addresses."""
    one, pod = nodes.hosts[1].ns, nodes.pods[2]
    for address in (pod.ip, pod.ip6):
        traffic.wait_ping(one, address)
        with traffic.EchoClient(one, address, 8080) as connection:
            connection.echo()
    for address in ("10.244.1.1", "fd00:244:0:1::1"):
        traffic.wait_ping(pod, address)


def source_seen(pod, ns, address):
    """By what address a connection of the pod's to this one of the node's comes, and its answer comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ns.socket(family) as listener, pod.socket(family) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 9000))
        listener.listen()
        client.settimeout(wait.PATIENCE_S)
        client.connect((address, 9000))
        seen, peer = listener.accept()
        with seen:
            seen.sendall(b"x")
            assert client.recv(1) == b"x"
        return peer[0]


def test_pods_reach_other_nodes_under_their_own_addresses(nodes):
    """Whatever the nodes' filter of reverse paths; a node that has another address, or is gone, is the world outside."""
    pod, nodes_own = nodes.pods[1], {number: [f"10.99.0.{number}", f"fd00:99::{number}"] for number in (1, 2)}
    for number, (_, six) in nodes_own.items():
        host = nodes.hosts[number].ns
        host.run("ip", "addr", "replace", f"{six}/64", "dev", "eth0", "nodad")
        host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.eth0.rp_filter=1")
    two = nodes.hosts[2].ns
    assert source_seen(pod, two, nodes_own[2][0]) == nodes_own[1][0]
    for number, ips in nodes_own.items():
        one = node_object(number, annotations={"sluice.vtep": f"192.0.2.{number}"})
        one["status"]["addresses"] = [{"type": "InternalIP", "address": ip} for ip in ips]
        nodes.api.put(one)
    wait.until(lambda: "10.99.0.2" in nodes.near(1), "node 2 is known")
    wait.until(lambda: two.run("sysctl", "-n", "net.ipv4.conf.eth0.rp_filter").stdout == "2\n", "node 2 takes its packets")
    assert "rp_filter 2" in nodes.hosts[2].log()
    assert [source_seen(pod, two, ip) for ip in nodes_own[2]] == [pod.ip, pod.ip6]
    nodes.api.delete(node_object(2))
    nodes.wait_vteps(1, "192.0.2.3")
    wait.until(lambda: "10.99.0.2" not in nodes.near(1), "node 2 is gone")
    with two.socket() as listener, pod.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((nodes_own[2][0], 9000))
        listener.listen()
        client.settimeout(wait.PATIENCE_S)
        client.connect((nodes_own[2][0], 9000))
        assert listener.accept()[1][0] == nodes_own[1][0]


def test_a_service_with_its_endpoint_at_another_node(nodes):
    pod, client = nodes.pods[2], nodes.pods[1]
    for vip, address, name in ((VIP, pod.ip, "four"), (VIP6, pod.ip6, "six")):
        nodes.api.put(service(name, [vip], [("http", 80)]),
                      endpoint_slice(f"{name}-1", name, [endpoint(address, node="n2")], [("http", 8080)]))
        host, of = nodes.hosts[1], f"http.{name}.default"
        wait.until(lambda: any(of == one["service"] for one in host.rpc("backend.list")), "the Service is known")
        wait.until(lambda: any(one["balanced"] for one in host.rpc("service.show", name=of)["backends"]), "the workers have it")
        with traffic.EchoClient(client, vip, 80) as connection:
            connection.echo()
            assert connection.name == pod.name


def test_a_nodes_filter_of_reverse_paths_is_put_back(stack, tmp_path, requires):
    """When the node has no such address any more, or another, and when the daemon ends; not what somebody else set since."""
    requires("ip", "nft", "nsenter")
    nodes = Nodes(stack, tmp_path)
    daemon = nodes.node(1)
    ns = daemon.ns
    ns.run("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
    ns.run("ip", "addr", "add", "10.98.0.1/24", "dev", "eth9")

    def put(*addresses):
        one = node_object(1, annotations={"sluice.vtep": "192.0.2.1"})
        one["status"]["addresses"] = [{"type": "InternalIP", "address": ip} for ip in addresses]
        nodes.api.put(one)

    def filters(**values):
        for ifname, value in values.items():
            ns.run("sysctl", "-qw", f"net.ipv4.conf.{ifname}.rp_filter={value}")

    def wait_filters(*values):
        wait.until(lambda: [ns.run("sysctl", "-n", f"net.ipv4.conf.{ifname}.rp_filter").stdout.strip()
                            for ifname in ("eth0", "eth9")] == list(values), f"filters are {values}")

    filters(all=0, eth0=1, eth9=1)
    put("10.99.0.1")
    wait_filters("2", "1")
    put("10.98.0.1")
    wait_filters("1", "2")
    filters(all=1, eth0=0)
    put("10.99.0.1")
    wait_filters("2", "1")
    put("10.97.0.1")  # no interface has it
    wait_filters("0", "1")
    put("10.98.0.1")
    wait_filters("0", "2")
    filters(eth9=0)
    put("10.99.0.1")
    wait_filters("2", "0")
    nodes.api.delete(node_object(1))
    wait_filters("0", "0")
    assert "rp_filter of eth0 is 0 again" in daemon.log()
    put("10.99.0.1")
    wait_filters("2", "0")
    daemon.stop()
    wait_filters("0", "0")


def test_a_network_that_is_not_masqueraded_leaves_the_filter_alone(stack, tmp_path, requires):
    requires("ip", "nft", "nsenter")
    nodes = Nodes(stack, tmp_path)
    daemon = nodes.node(1)
    daemon.ns.run("sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=1")
    daemon.rpc("network.set", name="pods", egress="host")
    for address in ("10.99.0.1", "10.99.0.77"):
        one = node_object(1, annotations={"sluice.vtep": "192.0.2.1"})
        one["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
        nodes.api.put(one, node_object(int(address[-1]) + 1))
        nodes.wait_vteps(1, *(f"192.0.2.{n}" for n in ((2,) if address[-1] == "1" else (2, 8))))
        assert daemon.ns.run("sysctl", "-n", "net.ipv4.conf.eth0.rp_filter").stdout == "1\n"


def test_a_node_that_says_it_is_where_no_node_is(nodes):
    """What goes there is translated as before."""
    for n, address in enumerate(("10.244.3.11", "10.244.1.1", "127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
                                 "0.0.0.0/0", "10.99.0.2/8", "x", "fd00:244:0:3::11", "::", "::1", "fe80::1", "ff02::1", "::/0")):
        one = node_object(2, annotations={"sluice.vtep": f"192.0.2.{20 + n}"})
        one["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
        nodes.api.put(one)
        nodes.wait_vteps(1, f"192.0.2.{20 + n}", "192.0.2.3")
        assert nodes.near(1) == "192.0.2.3", address


def test_a_node_that_moves_and_one_that_goes(nodes):
    traffic.wait_ping(nodes.pods[1], nodes.pods[2].ip)
    moved = node_object(2, annotations={"sluice.vtep": "192.0.2.22"})
    nodes.api.put(moved)
    nodes.wait_vteps(1, "192.0.2.22", "192.0.2.3")
    nodes.api.put(node_object(2))
    nodes.wait_vteps(1, "192.0.2.2", "192.0.2.3")
    traffic.wait_ping(nodes.pods[1], nodes.pods[2].ip)
    nodes.api.delete(node_object(2))
    nodes.wait_vteps(1, "192.0.2.3")
    wait.until(lambda: not traffic.ping(nodes.pods[1], nodes.pods[2].ip, 1, check=False), "nobody answers for the node that is gone")
    nodes.api.put(node_object(2))
    traffic.wait_ping(nodes.pods[1], nodes.pods[2].ip)


@pytest.mark.parametrize("pods, why", [
    (["10.244.1.128/25"], "has addresses of this node"), (["10.244.0.0/16"], "has addresses of this node"),
    (["10.96.0.0/24"], "is not within network pods"), (["10.244.3.128/25"], "is of two nodes")])
def test_a_node_that_claims_what_is_not_its_own(nodes, pods, why):
    """It gets none of it, and the others go on."""
    nodes.api.put(node_object(2, pods))
    nodes.wait_why(1, why)
    traffic.wait_ping(nodes.pods[1], nodes.pods[3].ip)
    nodes.api.put(node_object(2))
    nodes.wait_well(1)
    traffic.wait_ping(nodes.pods[1], nodes.pods[2].ip)


def test_nothing_is_flooded_to_other_nodes(nodes):
    with nodes.pods[2].socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as sock:
        sock.bind(("eth0", 0x0806))
        assert not traffic.ping(nodes.pods[1], "10.244.9.9", 1, check=False)  # of no node
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while frame := sock.recv(2048):
                assert socket.inet_aton("10.244.9.9") not in frame


def test_the_daemon_is_killed_and_the_tunnels_are_there_again(nodes):
    nodes.hosts[1].kill()
    nodes.hosts[1].start()
    nodes.wait_vteps(1, "192.0.2.2", "192.0.2.3")
    traffic.wait_ping(nodes.pods[1], nodes.pods[2].ip)


def test_a_node_that_found_no_room_gets_it_when_there_is_some(stack, tmp_path, requires):
    """2,400 nodes, and fewer MACs: those left out are tried again, also those that were refused before."""
    requires("ip", "nft", "nsenter")
    nodes = Nodes(stack, tmp_path)
    daemon = nodes.node(1, dataplane={"fdb_size": 1024})
    others = [{**node_object(2, [f"10.244.{16 + n // 16}.{n % 16 * 16}/28"]), "metadata": {"name": f"far{n}"},
               "status": {"addresses": [{"type": "InternalIP", "address": f"198.18.{n // 250}.{n % 250 + 1}"}]}} for n in range(2400)]
    nodes.api.put(*others)
    nodes.wait_why(1, "found no room")
    wait.until(lambda: nodes.status(1)["nodes"] == 2401, "all are heard of")
    nodes.api.delete(*others[::2])

    def reached():
        return sum(bool(one.get("vtep")) for one in daemon.fdb("pods").values())

    wait.until(lambda: reached() == 1200, "all that are left are reached")
    nodes.wait_well(1)


def test_the_configuration_needs_the_nodes_name(netns):
    config = {"networks": [{"name": "pods", "mode": "host", "vni": 7, "subnet": "10.244.0.0/16", "gateway": "10.244.1.1"}],
              "kubernetes": {"api": "https://127.0.0.1:1", "network": "pods"}}
    with pytest.raises(AssertionError, match="kubernetes.node: required: network pods has a vni"):
        Daemon(config, ns=netns("n1"))
