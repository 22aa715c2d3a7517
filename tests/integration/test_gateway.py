"""The gateway address of bridge networks, and host mode: the network and the host reach each other."""

import os
import re

from rig import traffic, wait
from rig.process import run

ROUTER_MAC = "02:53:4c:00:00:01"


def test_the_gateway_answers_arp_and_ping(sluiced, container):
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    traffic.ping(c1, "10.1.0.1")
    traffic.ping(c1, "10.1.0.1", size=1472)
    neighbours = c1.run("ip", "neigh", "show", "10.1.0.1").stdout
    assert ROUTER_MAC in neighbours
    assert "default via 10.1.0.1" in c1.run("ip", "route").stdout
    assert ROUTER_MAC not in sluiced.fdb("web")


def test_addresses_are_given_out(sluiced, container):
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/29", gateway="10.1.0.1")
    c1, c2 = container(sluiced, "web", "c1"), container(sluiced, "web", "c2")
    assert len({c1.ip, c2.ip, "10.1.0.1"}) == 3
    traffic.ping(c1, c2.ip)


def test_host_mode_joins_the_host(sluiced, container):
    net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    sluiced.rpc("network.add", name="hostnet", mode="host", subnet=f"{net}.0/24", gateway=f"{net}.1")
    c1 = container(sluiced, "hostnet", "c1", f"{net}.11")
    assert re.search(rf"{net}\.1/24", run(["ip", "addr"]).stdout)

    traffic.ping(c1, f"{net}.1")
    traffic.ping(None, c1.ip)

    traffic.http_server(c1, 8080, "from the container")
    assert "from the container" in run(["curl", "-sS", "--max-time", "10", "--noproxy", "*", f"http://{c1.ip}:8080/"]).stdout

    traffic.tcp_carries(None, c1, f"{net}.1")
    sluiced.rpc("port.del", name="c1")
    sluiced.rpc("network.del", name="hostnet")
    assert net not in run(["ip", "addr"]).stdout
