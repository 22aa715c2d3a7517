"""Hosts whose store is away, or is not the one that it was: what was known last stays, and what changed is told later."""

import pytest

from rig import traffic, wait
from rig.cluster import SHORT, Cluster

LONG_S = wait.PATIENCE_S * 3


@pytest.fixture
def cluster(stack):
    return Cluster(stack)


def two_hosts(cluster, **fields):
    h1, h2 = cluster.host(**fields), cluster.host(**fields)
    c1, c2 = cluster.container(h1, "c1", "10.1.0.11"), cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    cluster.knows(h2, c1.eth0)
    return h1, h2, c1, c2


def stored(cluster):
    return "".join(cluster.etcd.keys().values())


def test_a_store_from_an_old_copy_gets_what_came_since(cluster):
    h1, h2, c1, c2 = two_hosts(cluster)
    copy = cluster.etcd.save()
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    cluster.knows(h1, c2.eth0, c3.eth0)
    h2.rpc("port.del", name="c2")
    cluster.knows(h1, c3.eth0)
    for n in range(30):  # so many revisions do not come again by themselves
        cluster.etcd.put("/sluice/v1/what/else", str(n))
    before = h1.rpc("cluster.status")["revision"]
    cluster.etcd.kill_all()
    cluster.etcd.bring_back(copy)
    wait.until(lambda: c3.eth0 in stored(cluster) and c2.eth0 not in stored(cluster), "h2 has put its own again", timeout_s=LONG_S)
    cluster.knows(h1, c3.eth0)
    traffic.wait_ping(c1, c3.ip)
    wait.until(lambda: 0 < h1.rpc("cluster.status")["revision"] < before, "it counts from where the copy was")


def test_a_host_cut_off_alone_takes_nobody_away_and_tells_later_what_changed(cluster):
    h1, h2, c1, c2 = two_hosts(cluster, **SHORT)
    cluster.fabric.set_link(1, "mgmt", "down")
    wait.until(lambda: h1.rpc("cluster.status")["state"] == "away", "h1 misses the store", timeout_s=LONG_S)
    c3 = cluster.container(h1, "c3", "10.1.0.13")
    c4 = cluster.container(h1, "c4", "10.1.0.14")
    h1.rpc("port.del", name="c3")
    wait.until(lambda: "h1" not in {row["host"] for row in h2.rpc("host.list")}, "h2 has let go of h1, by the store's word",
               timeout_s=LONG_S)
    hosts = {row["host"]: row for row in h1.rpc("host.list")}
    assert hosts["h2"]["state"] == "up" and c2.eth0 in h1.fdb("web"), "h1 keeps h2, though as much time has gone by here"
    status = h1.rpc("cluster.status")
    assert status["waiting"] and status["age_s"] >= SHORT["lease_s"], status
    cluster.fabric.set_link(1, "mgmt", "up")
    cluster.knows(h2, c1.eth0, c4.eth0)
    assert c3.eth0 not in stored(cluster)
    cluster.knows(h1, c2.eth0)
    traffic.wait_ping(c4, c2.ip)
