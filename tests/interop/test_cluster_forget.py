"""A host that never comes back is forgotten by a person's word, and one that is there is not."""

import base64
import json
import urllib.request

import pytest

from rig import traffic, wait
from rig.cluster import NETWORK, Cluster
from rig.daemon import RpcError
from rig.objects import refused

LARGE = {"name": "many", "mode": "overlay", "vni": 102, "subnet": "10.64.0.0/16"}
TIMES = {"alive_s": 2, "lease_s": 3600}  # what ends within the test ended by being forgotten
GONE = 250  # blocks, of more than one transaction


@pytest.fixture
def cluster(stack):
    return Cluster(stack)


def forget(daemon, host):
    return daemon.ctl_json("host", "forget", host)


def state(daemon, host):
    return {row["host"]: row["state"] for row in daemon.rpc("host.list")}.get(host)


def owned(cluster, host):
    """What the store has of it."""
    return [key for key, value in cluster.etcd.keys().items() if f"/{host}/" in key or f'"{host}"' in value]


def put(cluster, key, value):
    """By the gateway, which is quicker than a program for each."""
    body = {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(json.dumps(value).encode()).decode()}
    cluster.fabric.do(lambda: urllib.request.urlopen(f"{cluster.etcd.urls[0]}/v3/kv/put", json.dumps(body).encode(), timeout=30).read())


def lost(cluster, asked, daemon):
    daemon.kill()
    name = f"h{daemon.number}"
    wait.until(lambda: f"/sluice/v1/hosts/{name}/alive" not in cluster.etcd.keys() and state(asked, name) == "down", f"{name} is lost")


def test_a_lost_host_is_forgotten_with_all_that_it_had_and_may_come_back(cluster):
    h1, h2 = (cluster.host(networks=(NETWORK, LARGE), **TIMES) for _ in range(2))
    h1.rpc("port.add", name="p1", network="web", type="vhost-user")
    h2.rpc("port.add", name="p2", network="web", type="vhost-user")
    wait.until(lambda: any(entry.get("vtep") for entry in h1.fdb("web").values()), "h1 knows h2's port")
    refused(h1, "host.forget", -32003, "name: h1 is this host", name="h1")
    refused(h1, "host.forget", -32003, "name: h2 is alive", name="h2")
    refused(h1, "host.forget", -32001, "name: h9: no such host is known", name="h9")
    lost(cluster, h1, h2)
    assert len(owned(cluster, "h2")) >= 4, "its record, its node, its port and its block of addresses"
    assert forget(h1, "h2") == {"host": "h2", "blocks": 1, "addresses": 64, "ended": True}
    assert not owned(cluster, "h2")
    wait.until(lambda: state(h1, "h2") is None, "h1 knows it no more")
    cluster.knows(h1)
    wait.until(lambda: not h1.rpc("vtep.list"), "no tunnel leads there")
    refused(h1, "host.forget", -32001, "name: h2: no such host is known", name="h2")
    h2.start()
    wait.until(lambda: state(h1, "h2") == "up" and owned(cluster, "h2"), "it is there again")
    refused(h1, "host.forget", -32003, "name: h2 is alive", name="h2")


def test_more_blocks_than_a_transaction_takes_and_a_store_that_is_away(cluster):
    h1 = cluster.host(networks=(NETWORK, LARGE), **TIMES)
    for n in range(GONE):
        block = f"10.64.{n // 4}.{n % 4 * 64}"
        parts = {"h9": "ff", **({"h8": "f00"} if n % 2 else {})}
        put(cluster, f"/sluice/v1/ipam/many/{block}", {"v": 1, "network": "many", "block": block, "hosts": parts})
    wait.until(lambda: len(h1.rpc("cluster.dump")) >= GONE and h1.rpc("cluster.status")["lag_ms"] == 0, "h1 has heard of them")
    assert forget(h1, "h9") == {"host": "h9", "blocks": GONE, "addresses": GONE * 8, "ended": True}
    left = [json.loads(value)["hosts"] for value in cluster.etcd.keys("/sluice/v1/ipam/").values()]
    assert len(left) == GONE // 2 and all(list(parts) == ["h8"] and int(parts["h8"], 16) == 0xF00 for parts in left), left
    cluster.etcd.kill_all()
    wait.until(lambda: h1.rpc("cluster.status")["state"] == "away", "the store is missed", timeout_s=wait.PATIENCE_S * 2)
    refused(h1, "host.forget", -32003, "name: etcd is away: nobody knows whether h8 is alive", name="h8")


def test_a_host_that_is_only_cut_off_from_the_store_is_not_forgotten(cluster):
    h1, h2 = (cluster.host(bfd={"interval_ms": 300}, **TIMES) for _ in range(2))
    c1, c2 = cluster.container(h1, "c1", "10.1.0.11"), cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    traffic.wait_ping(c1, c2.ip)
    cluster.fabric.set_link(h2.number, "mgmt", "down")
    wait.until(lambda: "/sluice/v1/hosts/h2/alive" not in cluster.etcd.keys(), "it is not heard of in the store")
    wait.until(lambda: h1.rpc("host.list")[1]["bfd"] == "up", "h2 is heard of by BFD")
    with pytest.raises(RpcError, match="h2 is cut off from etcd only: BFD hears of it"):
        wait.until(lambda: _tried(h1), "it is refused for that")
    traffic.ping(c1, c2.ip)


def _tried(h1):
    """Again while h1 has yet to hear that the key ended."""
    try:
        h1.rpc("host.forget", name="h2")
    except RpcError as error:
        if "is alive" not in str(error):
            raise
    return False


def test_hosts_by_ipv6_by_ipv4_and_by_both_reach_whom_they_can(cluster):
    six, four = "fd00:99::{}/64", "192.0.2.{}/24"
    h1, h2 = cluster.host(under=six), cluster.host(under=four)
    h3 = cluster.host(start=False, parts={"uplinks": [
        {"name": f"up{n}", "type": "af_packet", "device": f"up{n}", "address": under.format(3)} for n, under in enumerate((six, four))]})
    cluster.fabric.run("ip", "link", "add", "under3b", "type", "veth", "peer", "name", "up1", "netns", h3.ns.name)
    cluster.fabric.run("ip", "link", "set", "under3b", "master", "under", "up")
    h3.ns.run("ip", "link", "set", "up1", "up")
    h3.start()
    c1, c2, c3 = (cluster.container(host, f"c{host.number}", f"10.1.0.1{host.number}") for host in (h1, h2, h3))
    cluster.knows(h3, c1.eth0, c2.eth0)
    cluster.knows(h1, c3.eth0)
    cluster.knows(h2, c3.eth0)
    for there in (c1, c2):
        traffic.wait_ping(there, c3.ip)
        traffic.wait_ping(c3, there.ip)
    assert sorted(v["remote"] for v in h3.rpc("vtep.list")) == ["192.0.2.2", "fd00:99::1"]
    assert [row["address"] for row in h3.rpc("host.list")] == ["fd00:99::1", "192.0.2.2", "192.0.2.3"]
    assert json.loads(cluster.etcd.keys()["/sluice/v1/hosts/h3/host"])["address6"] == "fd00:99::3"
