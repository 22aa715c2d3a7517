"""The nearest backends come first: this host's, then those of its zone, while enough of them are there and get on."""

import contextlib
import socket
import threading
import time

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.ports import free_port
from rig.services import VIP
from rig.vxlan_host import VxlanHost


@pytest.fixture
def world(start_sluiced, container, stack):
    """The daemon, in zone a, with a client, a web server here, and one each of zones a and b on another host; and Consul's API."""
    http = free_port()
    sluiced = start_sluiced({"control": {"http": f"127.0.0.1:{http}"},
                             "cluster": {"etcd": ["http://127.0.0.1:1"], "host": "here", "zone": "a"}})
    consul, host = Consul(http), stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24")
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web")
    client, server = container(sluiced, "web", "client", "10.1.0.5"), container(sluiced, "web", "server", "10.1.0.11")
    traffic.http_server(server, 8080, "here")
    for zone, port in ("a", 8081), ("b", 8082):
        traffic.http_server(host, port, zone)
        reply = consul.put("catalog/register", {"Node": f"node-{zone}", "Address": "10.1.0.50", "NodeMeta": {"zone": zone},
                                                "Service": {"Service": "api", "Address": "10.1.0.50", "Port": port}})
        assert reply.status == 200, reply
    sluiced.ctl("service", "add", "api", "--network", "web", "--vip", VIP, "--port", "80", "--protocol", "tcp",
                "--locality", "prefer")
    traffic.wait_ping(client, "10.1.0.50")
    return sluiced, client, server


def reached(client, count=20):
    bodies, failed = traffic.http_many(client, VIP, 80, count)
    assert failed == 0
    return set(bodies)


def test_the_host_comes_first_and_then_the_zone(world, container):
    sluiced, client, server = world
    assert reached(client) == {"a"}
    sluiced.ctl("backend", "add", "api", f"{server.ip}:8080")
    shown = {row["port"]: (row["zone"], row["distance"]) for row in sluiced.rpc("service.show", name="api")["backends"]}
    assert shown == {8080: ("a", "host"), 8081: ("a", "zone"), 8082: ("b", "far")}
    assert reached(client) == {"here"}
    sluiced.ctl("backend", "drain", "api", f"{server.ip}:8080")
    assert reached(client) == {"a"}
    sluiced.ctl("backend", "undrain", "api", f"{server.ip}:8080")
    assert reached(client) == {"here"}
    sluiced.rpc("port.del", name="server")  # of its zone one of two is missing now: three of ten go farther
    assert reached(client, 40) == {"a", "b"}
    sluiced.ctl("backend", "del", "api", f"{server.ip}:8080")
    assert reached(client) == {"a"}
    sluiced.ctl("backend", "add", "api", "10.1.0.12:8080")  # which nobody has yet
    late = container(sluiced, "web", "late", "10.1.0.12")
    traffic.http_server(late, 8080, "late")
    assert reached(client) == {"late"}
    sluiced.ctl("backend", "del", "api", late.at(8080))
    sluiced.ctl("service", "set", "api", "--locality", "off")
    wait.until(lambda: reached(client) == {"a", "b"}, "all have some")


class Slow:
    """A server that answers a request after a while, as others of the same service do at once."""

    def __init__(self, ns, port, takes_s):
        listener = ns.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.listen(64)
        self.name, self.takes_s = ns.name.encode(), takes_s
        self.server = traffic.Server(listener, self._accept)

    def _accept(self, listener):
        sock, _ = listener.accept()
        sock.settimeout(None)
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            sock.recv(4096)
            time.sleep(self.takes_s)
            sock.sendall(self.name)


def ask(client):
    sock = client.socket()
    sock.settimeout(wait.PATIENCE_S)
    sock.connect((VIP, 80))
    sock.sendall(b"who?")
    return sock


def test_who_is_overloaded_is_left_for_others(sluiced, container, stack):
    """By policy least: the near one is slow and has requests, the far one answers at once."""
    host = stack.enter_context(VxlanHost())
    sluiced.rpc("network.add", name="web", mode="overlay", vni=100, subnet="10.1.0.0/24")
    host.vxlan(100, "10.1.0.50/24")
    host.join(sluiced, "web")
    client, server = container(sluiced, "web", "client", "10.1.0.5"), container(sluiced, "web", "server", "10.1.0.11")
    for ns, takes_s in (server, 0.2), (host, 0):
        stack.callback(Slow(ns, 8080, takes_s).server.close)
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp", locality="prefer", policy="least")
    for address in server.ip, "10.1.0.50":
        sluiced.rpc("backend.add", service="api", address=address, port=8080)
    traffic.wait_ping(client, "10.1.0.50")

    def answered_by(count):
        with contextlib.ExitStack() as asked:
            socks = [asked.enter_context(ask(client)) for _ in range(count)]
            return [sock.recv(100) for sock in socks]

    for _ in range(5):  # one at a time is not too much for it
        assert answered_by(1) == [server.name.encode()]
    assert set(answered_by(12)) == {server.name.encode(), host.name.encode()}
