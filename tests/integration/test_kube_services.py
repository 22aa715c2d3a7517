"""
Services as pods, the node's own programs and clients outside of the node reach them. Tests are named after the items of
Kubernetes' sig-network conformance list (docs/howto/kubernetes.md has the table).
"""

import contextlib
import json
import os
import random
import re
import socket
import threading
import time

import pytest

from rig import kube_world as kube
from rig import traffic, wait
from rig.certs import Authority
from rig.kube_api import SERVICES, SLICES, endpoint, endpoint_slice, service
from rig.kube_world import HOST, VIP, VIP2, answer, answers, balanced, local, web
from rig.router import WORLD

pytestmark = pytest.mark.control

LB, EXTERNAL = "203.0.113.10", "203.0.113.20"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One node for all tests; p1 and p2 answer on port 8080 by TCP and 5353 by UDP."""
    with contextlib.ExitStack() as stack:
        path = tmp_path_factory.mktemp("kube")
        node = kube.start(stack, Authority(path, "kube-ca"), path)
        for pod in node.pods:
            stack.enter_context(traffic.tcp_server(pod, 8080, six=True))
            stack.enter_context(traffic.udp_server(pod, 5353))
        node.world.run("ip", "route", "add", "203.0.113.0/24", "via", HOST)
        node.world.run("ip", "route", "add", "2001:db8:1::/64", "via", kube.HOST6)
        yield node


@pytest.fixture
def node(shared, requires):
    requires("ip", "nft", "nsenter")
    yield shared
    shared.clear()


def refused(client, address, port):
    with pytest.raises(ConnectionRefusedError):
        traffic.EchoClient(client, address, port)


def dropped(client, address, port):
    with pytest.raises(TimeoutError):
        traffic.EchoClient(client, address, port, timeout_s=1)


def everywhere(node):
    return node.world, node.host, *node.pods


def test_nodeport_service_from_inside_and_outside(node):
    p1, p2 = node.pods
    node.put(web())
    node.slice(local(p1), local(p2))
    node.leads(1)
    for client in everywhere(node):
        answers(client, HOST, 30080, node.pods)
    answers(node.host, VIP, 80, node.pods)  # programs of the node reach the ClusterIP, too
    answers(node.host, "10.244.0.1", 30080, node.pods)  # any address of the node
    node.api.delete(web())
    node.leads(0)
    refused(node.world, HOST, 30080)
    assert "10.96" not in node.host.run("ip", "route").stdout


def test_service_of_both_families(node):
    """A node port of each, external addresses, ranges, and the ClusterIP from the node; each leads to endpoints of its family."""
    p1, p2 = node.pods
    ips = [LB, "2001:db8:1::10"]
    both = balanced(ips, loadBalancerSourceRanges=[f"{WORLD}/32", f"{kube.WORLD6}/128"])
    both["spec"]["clusterIPs"] = [VIP, kube.VIP6]
    node.put(both)
    node.slice(local(p1))
    node.slice(endpoint(p2.ip6, node=kube.NODE), name="web-6")
    node.leads(4)
    node.settled()
    for pod, host, lb, vip in ((p1, HOST, ips[0], VIP), (p2, kube.HOST6, ips[1], kube.VIP6)):
        for client in everywhere(node):
            answers(client, host, 30080, [pod], times=3)
        answers(node.world, lb, 80, [pod], times=3)
        answers(node.host, vip, 80, [pod], times=3)
        dropped(node.host, lb, 80)
    node.slice(endpoint(p2.ip6, node="elsewhere"), name="web-6")
    node.settled()
    answers(node.world, kube.HOST6, 30080, [p2], times=3)  # as the node
    node.api.delete(both)
    node.leads(0)
    assert "fd00:96" not in node.host.run("ip", "-6", "route").stdout


def test_service_with_no_endpoints_rejects(node):
    node.put(web(externalIPs=[EXTERNAL]))
    node.leads(2)
    page = node.host.run("curl", "-s", "http://127.0.0.1:8500/metrics").stdout
    assert re.findall(r"^sluice_kubernetes_(ways|ways_fail|left_out) (\d+)", page, re.M) == [
        ("left_out", "0"), ("ways", "2"), ("ways_fail", "0")]
    for client in (node.world, node.host, node.pods[0]):
        refused(client, HOST, 30080)
        refused(client, EXTERNAL, 80)
    for client in (node.host, node.pods[0]):
        refused(client, VIP, 80)


def test_service_udp_nodeport_and_server_that_cycles(node):
    """A client that keeps its port is answered by whoever serves now."""
    p1, p2 = node.pods
    node.put(web(protocol="UDP", port=53))
    node.slice(local(p1), ports=(("http", 5353, "UDP"),))
    node.leads(1)
    with node.world.socket(kind=socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect((HOST, 30080))

        def asked():
            client.send(b"hello")
            with contextlib.suppress(OSError):
                return client.recv(100).split()[0].decode()

        for pod in (p1, p2, p1):
            node.slice(local(pod), ports=(("http", 5353, "UDP"),))
            wait.until(lambda: asked() == pod.name, f"{pod.name} answers")  # noqa: B023


def test_service_same_port_for_tcp_and_udp(node):
    both = service("web", [VIP], [("tcp", 80), ("udp", 80, "UDP")], type="NodePort")
    for port in both["spec"]["ports"]:
        port["nodePort"] = 30080
    node.put(both)
    node.slice(local(node.pods[0]), ports=(("tcp", 8080), ("udp", 5353, "UDP")))
    node.leads(2)
    for client in (node.world, node.pods[1]):
        assert answer(client, HOST, 30080) == node.pods[0].name
        assert traffic.udp_ask(client, HOST, 30080, timeout_s=20).split()[0].decode() == node.pods[0].name


def test_service_type_changes(node):
    """ClusterIP to NodePort, to another port, to ExternalName and back."""
    node.slice(local(node.pods[0]))
    node.put(web("ClusterIP", node_port=0))
    node.leads(0)
    wait.until(lambda: node.daemon.rpc("service.list"), "it is there")
    refused(node.world, HOST, 30080)
    node.put(web())
    node.leads(1)
    assert answer(node.world, HOST, 30080) == node.pods[0].name
    node.put(web(node_port=30081))
    wait.until(lambda: traffic.tcp_opens(node.world, HOST, 30081), "the other port leads there")
    refused(node.world, HOST, 30080)
    node.put({"kind": "Service", "metadata": {"namespace": "default", "name": "web"},
              "spec": {"type": "ExternalName", "externalName": "example.org"}})
    node.leads(0)
    refused(node.world, HOST, 30081)
    node.put(web())
    node.leads(1)
    assert answer(node.world, HOST, 30080) == node.pods[0].name


def test_service_external_ips(node):
    """At the Service's own port; an address of the node itself, too."""
    odd = () if node.api.strict else ("127.0.0.1", "169.254.1.1", "nonsense", 7)
    node.put(web("ClusterIP", node_port=0, externalIPs=[EXTERNAL, HOST, *odd]))
    node.slice(*map(local, node.pods))
    node.leads(2)
    for client in everywhere(node):
        answers(client, EXTERNAL, 80, node.pods)
        answers(client, HOST, 80, node.pods)


def test_load_balancer_ingress_and_its_mode(node):
    """Packets for the address are led in here, unless the balancer wants to see them all (ipMode: Proxy)."""
    node.put(balanced([LB, {"ip": "203.0.113.11", "ipMode": "Proxy"}, {"hostname": "lb.example.org"}]))
    node.slice(*map(local, node.pods))
    node.leads(2)
    for client in everywhere(node):
        answers(client, LB, 80, node.pods)


def test_load_balancer_source_ranges(node):
    """They hold for the balancer's address and not for node ports; what is no range lets nobody in."""
    node.slice(local(node.pods[0]))
    odd = () if node.api.strict else ((["any"], []),)
    for ranges, clients in ((["10.0.0.0/8", "10.244.0.0/16"], node.pods[1:]), ([f"{WORLD}/32"], [node.world]),
                            (["0.0.0.0/0", "::/0"], [node.world, node.pods[1]]), (["fd00::/8"], []), (["2001:db8::/96"], []), *odd):
        node.put(balanced([LB], loadBalancerSourceRanges=ranges))
        node.settled()
        for client in (node.world, node.pods[1]):
            if client in clients:
                assert answer(client, LB, 80) == node.pods[0].name
            else:
                dropped(client, LB, 80)
        assert answer(node.world, HOST, 30080) == node.pods[0].name


def test_external_traffic_policy_local(node):
    """From outside only pods of this node, and none: dropped. Pods and the node itself get any (KEP-1669's rule, too)."""
    p1, p2 = node.pods
    node.put(balanced([LB], externalTrafficPolicy="Local"))
    node.slice(local(p1), endpoint(p2.ip, node="elsewhere"))
    node.leads(2)
    for address, port in ((HOST, 30080), (LB, 80)):
        answers(node.world, address, port, [p1])
        answers(node.host, address, port, [p1, p2])
        answers(p2, address, port, [p1, p2])
    answers(node.host, VIP, 80, [p1, p2])
    node.slice(local(p1, ready=False), endpoint(p2.ip, node="elsewhere"))
    node.settled()
    dropped(node.world, HOST, 30080)
    answers(node.host, HOST, 30080, [p2])
    node.slice(local(p1, ready=False, serving=True, terminating=True), endpoint(p2.ip, node="elsewhere"))
    node.settled()
    answers(node.world, HOST, 30080, [p1])
    answers(node.host, HOST, 30080, [p2])


def health(node, port, path="/"):
    """(status, answer) of a health check from outside."""
    done = node.world.run("curl", "-s", "-m", "20", "-w", "\\n%{http_code}", f"http://{HOST}:{port}{path}")
    body, code = done.stdout.rsplit("\n", 1)
    return int(code), json.loads(body)


def drip(socks, done):
    while not done.wait(1):
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.send(b"x")


def test_health_check_node_port(node):
    """200 while there are endpoints on this node, else 503; gone with the Service."""
    p1, p2 = node.pods
    node.put(balanced([LB], externalTrafficPolicy="Local", healthCheckNodePort=32100))
    node.slice(local(p1), local(p2), endpoint("10.244.7.7", node="elsewhere"))
    node.settled()
    expected = {"service": {"namespace": "default", "name": "web"}, "localEndpoints": 2, "serviceProxyHealthy": True}
    assert health(node, 32100) == (200, expected)
    node.slice(endpoint("10.244.7.7", node="elsewhere"))
    node.settled()
    assert health(node, 32100) == (503, {**expected, "localEndpoints": 0})
    with contextlib.ExitStack() as stack:  # who says little keeps nobody else from asking for long
        socks = [stack.enter_context(node.world.socket()) for _ in range(70)]
        for sock in socks:
            sock.setblocking(False)
            sock.connect_ex((HOST, 32100))
        done = threading.Event()
        dripping = threading.Thread(target=drip, args=(socks, done))
        dripping.start()
        stack.callback(dripping.join)
        stack.callback(done.set)
        assert health(node, 32100)[0] == 503
    node.put(balanced([LB]))
    node.settled()
    refused(node.world, HOST, 32100)


def test_health_of_the_node(node):
    """Cloud balancers with policy Cluster ask at 10256; a node that is to go says so, and lives on (KEP-3836)."""
    assert health(node, 10256, "/healthz") == (200, {"nodeEligible": True, "synced": True})
    there = {"kind": "Node", "metadata": {"name": kube.NODE}}
    node.put({**there, "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}})
    wait.until(lambda: health(node, 10256, "/healthz") == (503, {"nodeEligible": False, "synced": True}), "it says so")
    assert health(node, 10256, "/livez")[0] == 200
    node.put(there)
    wait.until(lambda: health(node, 10256, "/healthz")[0] == 200, "it stays")


def test_internal_traffic_policy_local(node):
    """Pods get those of this node alone; who comes from outside gets any."""
    p1, p2 = node.pods
    node.put(web(internalTrafficPolicy="Local"))
    node.slice(local(p1), endpoint(p2.ip, node="elsewhere"))
    node.leads(1)
    answers(node.host, VIP, 80, [p1])
    answers(node.world, HOST, 30080, [p1, p2])
    node.slice(endpoint(p2.ip, node="elsewhere"))
    node.settled()
    dropped(node.host, VIP, 80)
    assert answer(node.world, HOST, 30080) == p2.name


def test_fallback_to_terminating_endpoints(node):
    p1, p2 = node.pods
    node.put(web())
    node.slice(local(p1, ready=False, serving=True, terminating=True), local(p2, ready=False, serving=False, terminating=True))
    node.leads(1)
    for client in (node.world, node.host):
        answers(client, HOST, 30080, [p1])
    node.slice(local(p1, ready=False, serving=True, terminating=True), local(p2))
    node.settled()
    answers(node.world, HOST, 30080, [p2])


def sources(node, client, address, port):
    """Who p1 takes for its client."""
    with node.pods[0].socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(20)
        server.bind(("", 7001))
        server.listen()
        with client.socket() as sock:
            sock.settimeout(20)
            sock.connect((address, port))
            peer, at = server.accept()
            peer.close()
            return at[0]


def test_source_address_is_kept(node):
    """Where the pod is on this node. Where one of another node may answer, it is the node that asks."""
    p1, p2 = node.pods
    ports = (("http", 7001),)
    node.put(web())
    node.slice(local(p1), ports=ports)
    node.leads(1)
    assert sources(node, node.world, HOST, 30080) == WORLD
    assert sources(node, p2, VIP, 80) == p2.ip
    node.slice(local(p1), endpoint("10.244.7.7", node="elsewhere", ready=False), ports=ports)
    node.settled()
    assert sources(node, node.world, HOST, 30080) == WORLD
    node.slice(endpoint(p1.ip, node="elsewhere"), ports=ports)
    node.settled()
    assert sources(node, node.world, HOST, 30080) == "10.244.0.1"
    node.put(web(externalTrafficPolicy="Local"))
    node.slice(local(p1), endpoint("10.244.7.7", node="elsewhere"), ports=ports)
    node.settled()
    assert sources(node, node.world, HOST, 30080) == WORLD


def test_session_affinity_of_clusterip_and_nodeport_and_its_switching(node):
    affine = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}
    node.put(web(**affine))
    node.slice(*map(local, node.pods))
    node.leads(1)
    node.settled()
    for client, address, port in ((node.world, HOST, 30080), (node.host, VIP, 80), (node.host, HOST, 30080)):
        assert len({answer(client, address, port) for _ in range(20)}) == 1
    node.put(web())
    node.settled()
    answers(node.world, HOST, 30080, node.pods, times=40)
    answers(node.host, VIP, 80, node.pods, times=40)
    node.put(web(**affine))
    node.settled()
    assert len({answer(node.world, HOST, 30080) for _ in range(20)}) == 1


def test_pod_reaches_itself_by_its_service(node):
    """Hairpin, by the ClusterIP and by the node port."""
    p1, _ = node.pods
    node.put(web())
    node.slice(local(p1))
    node.leads(1)
    for address, port in ((VIP, 80), (HOST, 30080)):
        assert answer(p1, address, port) == p1.name


def test_multiport_endpoints_and_ports_that_are_renamed(node):
    """Ports that get new names, and numbers that change places, lead where they say afterwards."""
    p1, p2 = node.pods

    def put(first, second):
        two = service("web", [VIP], [(first, 80), (second, 81)], type="NodePort")
        two["spec"]["ports"][0]["nodePort"], two["spec"]["ports"][1]["nodePort"] = 30080, 30081
        node.put(two)

    node.slice(local(p1), name="web-1", ports=(("a", 8080),))
    node.slice(local(p2), name="web-2", ports=(("b", 8080),))
    put("a", "b")
    node.leads(2)
    wait.until(lambda: len(node.daemon.rpc("backend.list")) == 2, "both are there")
    node.settled()
    answers(node.host, VIP, 80, [p1], times=5)
    answers(node.host, VIP, 81, [p2], times=5)
    put("b", "a")
    node.settled()
    answers(node.host, VIP, 80, [p2], times=5)
    answers(node.host, VIP, 81, [p1], times=5)
    node.slice(local(p1), name="web-1", ports=(("c", 8080),))
    put("c", "b")
    node.settled()
    answers(node.host, VIP, 80, [p1], times=5)
    answers(node.world, HOST, 30081, [p2], times=5)


def test_publish_not_ready_addresses(node):
    """The server says of such endpoints that they are ready, whatever they serve."""
    node.put(web(publishNotReadyAddresses=True))
    node.slice(endpoint(node.pods[0].ip, ready=True, serving=False, terminating=True, node=kube.NODE))
    node.leads(1)
    answers(node.world, HOST, 30080, node.pods[:1], times=5)


def test_service_proxy_name_and_headless_are_not_asked_for(node):
    headless = service("headless", ["None"], [("http", 80)])
    headless["spec"]["clusterIPs"] = ["None"]
    node.put(headless, web())
    node.leads(1)
    assert {one["name"] for one in node.daemon.rpc("service.list")} == {"http.web.default"}
    for path in () if node.api.strict else (SERVICES, SLICES):
        selector = next(query for asked, query in node.api.asked if asked == path)["labelSelector"]
        assert selector == "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless"


def test_two_services_claim_one_address(node):
    """One of them has it, and the other gets it with that one's end."""
    node.put(web("ClusterIP", node_port=0, externalIPs=[EXTERNAL]),
             web("ClusterIP", node_port=0, externalIPs=[EXTERNAL], name="other", vip=VIP2))
    node.slice(local(node.pods[0]))
    node.slice(local(node.pods[1]), of="other", name="other-1")
    node.leads(1)
    node.settled()
    answers(node.world, EXTERNAL, 80, node.pods[:1])
    node.api.delete(web())
    node.settled()
    answers(node.world, EXTERNAL, 80, node.pods[1:])


def test_as_many_ways_in_as_there_may_be_and_more(node):
    """4,096. One Service that asks for more keeps no other out; one way more than there is room for is its own loss."""
    ips = [f"203.0.113.{n + 100}" for n in range(65)]  # of which 64 count
    greedy = service("greedy", ["10.96.4.1"], [(f"p{k}", k + 1) for k in range(100)], externalIPs=ips)
    node.put(greedy)
    wait.until(lambda: node.status()["ways"] == 4096, "as many as there may be lead in")
    left = "there is room for 4096, and {0} are left out, {0} of them of Service default/greedy"
    assert node.status()["ways_why"] == left.format(6400 - 4096)
    assert "node ports and external addresses do not lead in" in node.daemon.ctl("status").stdout
    node.put(web())
    node.slice(local(node.pods[0]))
    wait.until(lambda: node.status()["ways_why"] == left.format(6400 - 4095), "one more is left out", timeout_s=60)
    assert node.status()["ways"] == 4096
    answers(node.world, HOST, 30080, node.pods[:1], times=3)
    greedy["spec"].update(ports=greedy["spec"]["ports"][:64], externalIPs=ips[:64])
    node.put(greedy)
    wait.until(lambda: node.status()["ways_why"] == left.format(1), "one too many", timeout_s=60)
    greedy["spec"]["ports"] = greedy["spec"]["ports"][:63]
    node.put(greedy)
    wait.until(lambda: (node.status()["ways"], node.status()["ways_why"]) == (63 * 64 + 1, None), "there is room again", timeout_s=60)


def test_services_that_ask_for_much_share_what_there_is(node):
    """Two get the same number, one that asks for less gets all."""
    ips = [f"203.0.113.{n + 100}" for n in range(64)]
    one, two = (service(name, [vip], [(f"p{k}", first + k) for k in range(50)], externalIPs=ips)
                for name, vip, first in (("one", "10.96.4.1", 1), ("two", "10.96.4.2", 101)))
    few = service("few", ["10.96.4.3"], [("http", 201)], externalIPs=ips)
    node.put(one, two, few)
    why = "there is room for 4096, and 2368 are left out, 1184 of them of Service default/one"
    wait.until(lambda: node.status()["ways_why"] == why, f"{why}, not {node.status()['ways_why']}", timeout_s=60)
    node.settled()
    led = [to for to, _ in maps(node)[0].values()]
    assert [led.count(f"10.96.4.{n}") for n in (1, 2, 3)] == [2016, 2016, 64]


class Model:
    """What there is to be, computed anew from all that the server has."""

    def __init__(self, services, slices):
        self.services, self.slices = services, slices

    @staticmethod
    def policies(one):
        return [one["spec"].get(f"{side}TrafficPolicy") == "Local" for side in ("internal", "external")]

    def outer(self, one):
        """The numbers at the ClusterIP that outsiders are led to, by port; own numbers where the policies are the same."""
        inner, outer = self.policies(one)
        ports = {port["name"]: port for port in one["spec"]["ports"]}
        reached = one["spec"].get("externalIPs") or any(port.get("nodePort") for port in ports.values())
        if inner == outer or not reached:
            return {name: port["port"] for name, port in ports.items()}
        taken, found = {port["port"] for port in ports.values()}, {}
        for name, port in ports.items():
            number = port.get("nodePort") or 65535
            number = 65535 if number in taken else number
            found[name] = next(n for n in range(number, 0, -1) if n not in taken)
            taken.add(found[name])
        return found

    def ways(self):
        """({what is asked for: where outsiders get}, {the same: where pods and the node get})."""
        far, near = {}, {}
        for one in sorted(self.services.values(), key=lambda one: socket.inet_aton(one["spec"]["clusterIP"])):
            vip, numbers = one["spec"]["clusterIP"], self.outer(one)
            for port in one["spec"]["ports"]:
                keys = [("local", port["nodePort"])] if port.get("nodePort") else []
                keys += [(ip, port["port"]) for ip in one["spec"].get("externalIPs", [])]
                for key in keys:
                    far.setdefault(key, (vip, numbers[port["name"]]))
                    near.setdefault(key, (vip, port["port"] if self.policies(one)[1] else numbers[port["name"]]))
        return far, near

    def endpoints(self, of, port, local_only):
        every = {}
        for one in self.slices.values():
            if one["metadata"]["labels"]["kubernetes.io/service-name"] != of:
                continue
            for at in (at for at in one["ports"] if at["name"] == port):
                for end in one["endpoints"]:
                    if not local_only or end["nodeName"] == kube.NODE:
                        every.setdefault(f"{end['addresses'][0]}:{at['port']}", []).append(end["conditions"])
        ready = {name for name, said in every.items() if any(one["ready"] for one in said)}
        return ready or {name for name, said in every.items() if any(one["serving"] and one["terminating"] for one in said)}

    def tables(self):
        """{service of the registry: who gets new connections}."""
        found = {}
        for name, one in self.services.items():
            inner, outer = self.policies(one)
            for port, number in self.outer(one).items():
                found[f"{port}.{name}.default"] = self.endpoints(name, port, inner)
                if number != next(at["port"] for at in one["spec"]["ports"] if at["name"] == port):
                    found[f"{port}.external_{name}.default"] = self.endpoints(name, port, outer)
        return found


def maps(node):
    """What the kernel has, as Model.ways()."""
    text = node.host.run("nft", "list", "tables").stdout
    if "ways.sl-pods" not in text:
        return {}, {}
    found = []
    for chain in ("far", "near"):
        text, here = node.host.run("nft", "list", "chain", "inet", "ways.sl-pods", chain).stdout, {}
        for address, port, to, to_port in re.findall(r"([\d.]+ \. )?tcp \. (\d+) : ([\d.]+) \. (\d+)", text):
            here[address.removesuffix(" . ") or "local", int(port)] = to, int(to_port)
        found.append(here)
    return tuple(found)


def tables(node):
    found = {one["name"]: set() for one in node.daemon.rpc("service.list")}
    for one in node.daemon.rpc("backend.list"):
        if one["health"] != "draining":
            found[one["service"]].add(f"{one['address']}:{one['port']}")
    return found


def some_service(rng, n):
    ports = [(name, port) for name, port in (("http", 80), ("admin", 30000 + n)) if name == "http" or rng.random() < 0.5]
    policies = {f"{side}TrafficPolicy": "Local" for side in ("internal", "external") if rng.random() < 0.4}
    ips = rng.sample([EXTERNAL, LB, "203.0.113.30"], rng.randrange(3))
    one = service(f"s{n}", [f"10.96.3.{n + 1}"], ports, type=rng.choice(["NodePort", "ClusterIP"]), externalIPs=ips, **policies)
    for i, port in enumerate(one["spec"]["ports"] if one["spec"]["type"] == "NodePort" else []):
        port["nodePort"] = 30000 + n + 10 * (i ^ rng.randrange(2))  # sometimes that of a port of its own
    if len({port.get("nodePort", port["port"]) for port in one["spec"]["ports"]}) < len(one["spec"]["ports"]):
        del one["spec"]["ports"][1]
    return one


def some_slice(rng, n):
    ends = [endpoint(f"10.244.1.{n % 6 * 40 + k}", ready=rng.random() < 0.5, serving=rng.random() < 0.7,
                     terminating=rng.random() < 0.5, node=kube.NODE if k % 2 else "elsewhere")
            for k in (rng.randrange(8) for _ in range(rng.randrange(1, 5)))]
    return endpoint_slice(f"s{n % 6}-{n}", f"s{n % 6}", ends, [("http", 8080 + rng.randrange(2)), ("admin", 9090)])


@pytest.mark.parametrize("seed", range(int(os.environ.get("SLUICE_ROUNDS", "2"))))
def test_random_changes_end_as_a_model_computed_anew(node, seed):
    """Services, policies, addresses and slices change, the connection breaks: registry and kernel have what the model has."""
    rng, services, slices = random.Random(seed), {}, {}
    for step in range(300):
        n, what = rng.randrange(18), rng.random()
        if step == 150 and seed < 3:  # each pause is longer than the one before
            node.api.hang_up()
        elif what < 0.4:
            services[f"s{n % 6}"] = one = some_service(rng, n % 6)
            if node.api.strict and not one["spec"]["externalIPs"] and one["spec"]["type"] == "ClusterIP":
                one["spec"].pop("externalTrafficPolicy", None)
            node.put(services[f"s{n % 6}"])
        elif what < 0.5 and f"s{n % 6}" in services:
            node.api.delete(services.pop(f"s{n % 6}"))
        elif what < 0.85:
            slices[n] = some_slice(rng, n)
            node.put(slices[n])
        elif what < 0.98 and n in slices:
            node.api.delete(slices.pop(n))
        if rng.random() < 0.1:
            time.sleep(rng.random() / 20)  # so that some changes are seen alone
    node.settled()
    model = Model(services, slices)
    assert tables(node) == model.tables()
    assert maps(node) == model.ways()
