"""Hosts that share a real etcd: one network, without a vtep by hand."""

import json
import re
import signal
import urllib.request

import pytest

from rig import frames, traffic, wait
from rig.cluster import NETWORK, SHORT, Cluster
from rig.daemon import ROOT, RpcError
from rig.etcd import put_json
from rig.howto import run_page


@pytest.fixture
def cluster(stack):
    return Cluster(stack)


@pytest.fixture
def two(cluster):
    """Two hosts with a container each, which know of each other."""
    h1, h2 = cluster.host(zone="a"), cluster.host()
    c1 = cluster.container(h1, "c1", "10.1.0.11")
    c2 = cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    cluster.knows(h2, c1.eth0)
    return cluster, h1, h2, c1, c2


def test_ports_of_two_hosts_reach_each_other_without_a_vtep_by_hand(two):
    cluster, h1, h2, c1, c2 = two
    traffic.wait_ping(c1, c2.ip)
    traffic.ping(c2, c1.ip)
    assert [(v["remote"], v["source"]) for v in h1.rpc("vtep.list")] == [("192.0.2.2", "cluster")]
    hosts = {host["host"]: host for host in h1.rpc("host.list")}
    assert {name: (h["address"], h["zone"], h["state"], h["endpoints"], h["self"]) for name, h in hosts.items()} == {
        "h1": ("192.0.2.1", "a", "up", 1, True), "h2": ("192.0.2.2", "", "up", 1, False)}
    status = h1.rpc("cluster.status")
    assert status["state"] == "up" and status["hosts"] == 2 and not status["panic"] and status["age_s"] == 0
    dumped = {row["key"] for row in h1.ctl_json("cluster", "dump")}
    assert dumped == set(cluster.etcd.keys()) and "/sluice/v1-net/web/h2/0" in dumped


def test_addresses_are_answered_at_the_asking_port_and_unknown_macs_are_dropped(two):
    cluster, h1, h2, c1, c2 = two
    with frames.Wire(c2) as there:
        c1.run("ip", "neigh", "flush", "dev", "eth0")
        traffic.wait_ping(c1, c2.ip)
        asked = frames.socket.inet_aton(c1.ip) + bytes(6) + frames.socket.inet_aton(c2.ip)
        assert not there.waiting(frames.carries(asked)), "c1's question came to c2"
    with frames.Wire(c1) as wire:
        wire.send(frames.ethernet("02:00:00:00:77:77", c1.eth0, b"to nobody"))
    wait.until(lambda: h1.drops("unknown") > 0, "it was dropped")


def test_a_host_hears_of_the_networks_that_it_has_ports_in_and_of_no_others(cluster):
    """From its first port in a network to its last one; what others have there costs it nothing before and after."""
    both = ({**NETWORK}, {**NETWORK, "name": "db", "vni": 101, "subnet": "10.2.0.0/24"})
    h1, h2 = cluster.host(networks=both), cluster.host(networks=both)
    of = lambda network: {row["key"] for row in h1.rpc("cluster.dump") if row["key"].startswith(f"/sluice/v1-net/{network}/")}  # noqa: E731
    c1, c2 = cluster.container(h1, "c1", "10.1.0.11"), cluster.container(h2, "c2", "10.1.0.12")
    d2 = cluster.container(h2, "d2", "10.2.0.12", network="db")
    cluster.knows(h1, c2.eth0)
    wait.until(lambda: d2.eth0 in "".join(cluster.etcd.keys().values()), "h2 has told of it")
    assert of("web") and not of("db") and {row["host"]: row["endpoints"] for row in h1.rpc("host.list")}["h2"] == 1
    d1 = cluster.container(h1, "d1", "10.2.0.11", network="db")
    cluster.knows(h1, d2.eth0, network="db")
    cluster.knows(h2, d1.eth0, network="db")
    traffic.wait_ping(d1, d2.ip)
    h1.wait_all_kept()
    h1.stop()
    h1.start()
    cluster.knows(h1, d2.eth0, network="db")  # of both networks it had a copy
    h1.rpc("port.del", name="d1")
    wait.until(lambda: not of("db"), "h1 has forgotten it, its own key with it")
    cluster.knows(h2, network="db")
    assert not [key for key in cluster.etcd.keys() if key.startswith("/sluice/v1-net/db/h1/")]
    h2.rpc("port.del", name="c2")
    cluster.knows(h1)
    assert h1.rpc("cluster.status")["refused"] == 0


def test_a_port_that_goes_while_its_put_is_under_way_leaves_nothing_in_the_store(cluster):
    """A host that has left a network hears what it had put there last, and takes it away."""
    h1 = cluster.host(networks=({"name": "web", "mode": "overlay", "vni": 100},))  # no addresses are given, so nothing else holds it there
    wait.until(lambda: not h1.rpc("cluster.status")["waiting"], "all of h1 is there")
    for n in range(20):
        cluster.etcd.members[0].send_signal(signal.SIGSTOP)
        h1.rpc("port.add", name=f"p{n}", network="web", type="vhost-user")
        wait.until(lambda: h1.rpc("cluster.status")["waiting"], "it is put")
        h1.rpc("port.del", name=f"p{n}")
        cluster.etcd.members[0].send_signal(signal.SIGCONT)
    wait.until(lambda: not h1.rpc("cluster.status")["waiting"], "h1 has taken it away")
    assert not cluster.etcd.keys("/sluice/v1-net/") and "finds no room" not in h1.log()
    assert h1.rpc("cluster.status")["refused"] == 0


def test_hosts_in_hundreds_of_networks(cluster):
    """A watch for each, after a start, a restart, and a store that was away."""
    many = 200
    networks = [{"name": f"n{n}", "mode": "overlay", "vni": 1000 + n} for n in range(many)]
    h1, h2 = (cluster.host(networks=networks) for _ in range(2))
    for n in range(many):
        for host in (h1, h2):
            host.rpc("port.add", name=f"p{n}", network=f"n{n}", type="tap", netns="none")
    knows = lambda: {row["host"]: row["endpoints"] for row in h1.rpc("host.list")}.get("h2")  # noqa: E731
    up = lambda: (lambda status: status["state"] == "up" and not status["why"] and not status["waiting"])(h1.rpc("cluster.status"))  # noqa: E731
    wait.until(lambda: knows() == many and up(), "h1 knows all")
    h1.wait_all_kept()
    h1.stop()
    h1.start()
    wait.until(lambda: knows() == many and up(), "and again")
    cluster.etcd.kill_all()
    wait.until(lambda: not up(), "the store is missed")
    cluster.etcd.start_all()
    h2.rpc("port.add", name="late", network="n7", type="tap", netns="none")
    wait.until(lambda: knows() == many + 1 and up(), "it hears of all", timeout_s=wait.PATIENCE_S * 2)
    assert "tells nothing of it" not in h1.log()


def test_what_finds_no_room_beside_all_that_others_have_is_put_now_and_then(cluster):
    """Of a store that strangers have filled each host is sure of eight keys; what it has beyond that is not put without end."""
    networks = [{"name": f"n{n}", "mode": "overlay", "vni": 1000 + n} for n in range(12)]
    h1 = cluster.host(networks=networks)
    cluster.etcd.put_all({f"/sluice/v1/hosts/x{host}/{n}": "x" for host in range(20) for n in range(8 + (16384 >> host) + 8)})
    wait.until(lambda: h1.rpc("cluster.status")["refused"], "there is no room for all of it", timeout_s=wait.PATIENCE_S * 2)
    for network in networks:
        h1.rpc("port.add", name=network["name"], network=network["name"], type="tap", netns="none")
    wait.until(lambda: "finds no room here, beside all that is there" in h1.log(), "it says so")
    assert len(cluster.etcd.keys("/sluice/v1-net/")) > 3, "those that it is sure of"
    revisions = [0]

    def pauses():
        revisions.append(h1.rpc("cluster.status")["revision"])
        return revisions[-1] == revisions[-2]
    wait.until(pauses, "a pause between two tries", interval_s=0.3)
    cluster.etcd.ctl("del", "--prefix", "/sluice/v1/hosts/x")
    wait.until(lambda: not h1.rpc("cluster.status")["waiting"] and len(cluster.etcd.keys("/sluice/v1-net/")) == 12, "all of it is put",
               timeout_s=wait.PATIENCE_S * 2)


def test_a_revision_that_comes_in_several_pieces_counts_at_once(cluster):
    """The end of a lease that 8,000 long keys are on: more than etcd tells in one message."""
    h1 = cluster.host()
    keys = lambda: h1.rpc("cluster.status")["keys"]  # noqa: E731
    lease, few, many = cluster.etcd.ctl("lease", "grant", "600").stdout.split()[1], wait.until(keys, "it has its own"), 8000
    cluster.etcd.put_all({f"/sluice/v1/hosts/x/{n}{'x' * 300}": "x" for n in range(many)}, int(lease, 16))
    wait.until(lambda: keys() >= many, "it has heard of them", timeout_s=wait.PATIENCE_S * 2)
    cluster.etcd.ctl("lease", "revoke", lease)
    seen = {keys()}
    wait.until(lambda: seen.add(keys()) or min(seen) < many, "they have ended")
    assert len([n for n in seen if few + 10 < n < many]) == 0, (few, seen)
    c1, c2 = cluster.container(h1, "c1", "10.1.0.11"), cluster.container(h1, "c2", "10.1.0.12")
    traffic.wait_ping(c1, c2.ip)
    assert h1.rpc("cluster.status")["refused"] == 0


def test_a_port_that_goes_is_forgotten_and_a_network_without_ports_is_left(two):
    cluster, h1, h2, c1, c2 = two
    h2.rpc("port.del", name="c2")
    cluster.knows(h1)
    wait.until(lambda: not h1.rpc("vtep.list"), "no tunnel is left")
    assert h1.ctl("vtep", "list").returncode == 0
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    cluster.knows(h1, c3.eth0)
    traffic.wait_ping(c1, c3.ip)
    h1.rpc("port.del", name="c1")
    h1.rpc("network.del", name="web")  # tunnels of the cluster's do not hold it
    cluster.knows(h2)


def test_a_vtep_by_hand_stays_beside(two):
    cluster, h1, h2, c1, c2 = two
    refused = h1.ctl("vtep", "del", "--network", "web", "--remote", "192.0.2.2", check=False)
    assert refused.returncode == 1 and "is a host of the cluster" in refused.stderr, refused
    with pytest.raises(RpcError, match="bfd.interval_ms"):
        h1.rpc("vtep.add", network="web", remote="192.0.2.2", bfd={"interval_ms": 1})
    assert [(v["source"], v["bfd"]) for v in h1.rpc("vtep.list")] == [("cluster", None)]
    assert h1.rpc("vtep.add", network="web", remote="192.0.2.2", bfd={"interval_ms": 500})["bfd"]["interval_ms"] == 500
    h1.rpc("vtep.add", network="web", remote="192.0.2.99")
    assert sorted((v["remote"], v["source"]) for v in h1.rpc("vtep.list")) == [("192.0.2.2", "api"), ("192.0.2.99", "api")]
    h1.rpc("vtep.del", network="web", remote="192.0.2.2")
    wait.until(lambda: [v["source"] for v in h1.rpc("vtep.list") if v["remote"] == "192.0.2.2"] == ["cluster"],
               "the cluster's own tunnel is back")
    cluster.knows(h1, c2.eth0)
    traffic.wait_ping(c1, c2.ip)
    h1.rpc("vtep.del", network="web", remote="192.0.2.99")


def test_a_guest_that_moves_is_found_at_its_new_host(two):
    cluster, h1, h2, c1, c2 = two
    h3 = cluster.host()
    moved = cluster.container(h3, "c2", c2.ip, mac=c2.eth0)  # before the old host lets it go
    cluster.knows(h3, c1.eth0)
    wait.until(lambda: h1.fdb("web").get(c2.eth0, {}).get("vtep") == "192.0.2.3", "h1 knows that it moved")
    h2.rpc("port.del", name="c2")
    traffic.wait_ping(moved, c1.ip)
    traffic.wait_ping(c1, moved.ip)
    # a host that starts has its port before it has read the store for the first time
    cluster.host(parts={"ports": [{"name": "c2", "network": "web", "type": "vhost-user", "mac": c2.eth0, "ips": [c2.ip]}]})
    wait.until(lambda: h1.fdb("web").get(c2.eth0, {}).get("vtep") == "192.0.2.4", "h1 knows that it moved again")


def metric(daemon, name):
    page = daemon.ns.do(lambda: urllib.request.urlopen("http://127.0.0.1:8500/metrics", timeout=30).read().decode())
    return float(re.search(rf"^sluice_cluster_{name} (\S+)$", page, re.MULTILINE)[1])


def test_without_the_store_all_goes_on_and_changes_come_later(two):
    cluster, h1, h2, c1, c2 = two
    assert metric(h1, "age_seconds") == 0 and metric(h1, "hosts") == 2
    record = cluster.etcd.keys()["/sluice/v1/hosts/h1/host"]
    for key in ("id", "revision"):  # as what h1 keeps beside the keys is called on its disk
        cluster.etcd.put(f"/sluice/v1/{key}", "x")
        cluster.etcd.ctl("del", f"/sluice/v1/{key}")
    revision = int(json.loads(cluster.etcd.ctl("get", "none", "-w", "json").stdout)["header"]["revision"])
    wait.until(lambda: h1.rpc("cluster.status")["revision"] >= revision, "h1 has heard of it")
    cluster.etcd.kill_all()
    wait.until(lambda: h1.rpc("cluster.status")["state"] == "away", "h1 misses the store")
    traffic.ping(c1, c2.ip)
    c3 = cluster.container(h1, "c3", "10.1.0.13")
    traffic.wait_ping(c3, c1.ip)
    assert h1.rpc("cluster.status")["waiting"]
    h1.stop()
    h1.start()  # what it knew is on disk; its port went with its configuration's daemon, and came back
    cluster.knows(h1, c2.eth0)
    traffic.wait_ping(c1, c2.ip)
    wait.until(lambda: h1.rpc("cluster.status")["age_s"] >= 1, "the age of what it knows is shown")
    assert metric(h1, "age_seconds") >= 1 and metric(h1, "waiting") == 1
    cluster.etcd.start_all()
    cluster.knows(h2, c1.eth0, c3.eth0)
    wait.until(lambda: not h1.rpc("cluster.status")["waiting"], "all is put")
    assert cluster.etcd.keys()["/sluice/v1/hosts/h1/host"] == record, "h1 is who it was"
    traffic.wait_ping(c3, c2.ip)


def test_a_store_that_was_wiped_gets_everything_again(two):
    cluster, h1, h2, c1, c2 = two
    before = set(cluster.etcd.keys())
    cluster.etcd.kill_all()
    cluster.etcd.start_all(wiped=True)
    wait.until(lambda: set(cluster.etcd.keys()) == before, "all is put again", timeout_s=wait.PATIENCE_S * 2)
    cluster.knows(h1, c2.eth0)
    traffic.ping(c1, c2.ip)


def test_a_compaction_while_away_is_read_anew(two):
    cluster, h1, h2, c1, c2 = two
    cluster.fabric.set_link(1, "mgmt", "down")
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    wait.until(lambda: c3.eth0 in "".join(cluster.etcd.keys().values()), "h2 has put it")
    h2.rpc("port.del", name="c3")
    wait.until(lambda: c3.eth0 not in "".join(cluster.etcd.keys().values()), "and taken it away")
    revision = h2.rpc("cluster.status")["revision"]
    cluster.etcd.ctl("compact", str(revision))
    h1.stop()  # or it would notice by the silence of its connection
    cluster.fabric.set_link(1, "mgmt", "up")
    h1.start()
    wait.until(lambda: h1.rpc("cluster.status")["revision"] >= revision, "h1 has read it all")
    cluster.knows(h1, c2.eth0)


def test_what_changed_during_a_break_is_told_after_it(two):
    cluster, h1, h2, c1, c2 = two
    h1.process.send_signal(signal.SIGSTOP)  # it comes back to a watch that was cut off
    cluster.etcd.kill_all()
    cluster.etcd.start_all()
    # more revisions than etcd tells at once to a watch that is behind (1,000)
    cluster.etcd.ask((put_json("/sluice/v1/what/else", str(n)) for n in range(1100)), "put")
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    wait.until(lambda: c3.eth0 in "".join(cluster.etcd.keys().values()), "h2 has put it")
    h2.rpc("port.del", name="c2")
    wait.until(lambda: c2.eth0 not in "".join(cluster.etcd.keys().values()), "and taken c2 away")
    h1.process.send_signal(signal.SIGCONT)
    cluster.knows(h1, c3.eth0)
    traffic.wait_ping(c1, c3.ip)


def test_a_host_that_leaves_the_cluster_keeps_nothing_of_it(two):
    cluster, h1, h2, c1, c2 = two
    h1.wait_all_kept()
    config = json.loads(h1.config_file.read_text())
    del config["cluster"]
    h1.stop()
    h1.write_config(config)
    h1.start()
    h1.wait_port("c1")
    assert h1.rpc("vtep.list") == [] and c2.eth0 not in h1.fdb("web")


def test_two_hosts_of_one_name(two):
    cluster, h1, h2, c1, c2 = two
    h3 = cluster.host(host="h2")
    wait.until(lambda: "the name h2 is that of a host at 192.0.2.2" in (h3.rpc("cluster.status")["conflict"] or ""),
               "h3 says so")
    c3 = cluster.container(h3, "c3", "10.1.0.13")
    cluster.knows(h3, c1.eth0)  # not those of the host whose name it has
    cluster.knows(h1, c2.eth0)
    assert c3.eth0 not in "".join(cluster.etcd.keys().values())


GARBAGE = {
    "/hosts/h9/host": ["", "{", "[]", "null", "\x01\xff", '{"v": 2, "id": "x"}', '{"v": 1}', '{"v": 1, "id": "x", "address": "224.0.0.1"}'],
    "-net/web/h2/7": ['{"v": 1, "network": "web", "vni": 100, "ep": [{"mac": "ff:ff:ff:ff:ff:ff"}]}',
                       '{"v": 1, "network": "web", "vni": 100, "ep": [{"mac": "02:53:4c:00:00:01"}]}',
                       '{"v": 1, "network": "other", "vni": 100, "ep": []}', '{"v": 1, "network": "web", "vni": 0, "ep": []}'],
    "/hosts//host": ["x"], "/hosts/" + "x" * 600 + "/host": ["x"], "/what/else": ["x"], "/hosts/h2/unknown": ["x"],
    "-net/web/h2": ["x"], "-net/web/h2/x/y": ["x"], "/net/web/h2/9": ["x"],
}


def test_values_that_are_none_change_nothing(two):
    cluster, h1, h2, c1, c2 = two
    for key, values in GARBAGE.items():
        for value in values:
            cluster.etcd.put("/sluice/v1" + key, value)
    cluster.etcd.put("/sluice/v1/hosts/h9/host", {"v": 1, "id": "x", "address": "192.0.2.1"})  # h1's own
    many = [{"mac": f"02:00:00:09:00:{n:02x}", "ips": ["10.1.0.99"], "seq": 2 ** 62} for n in range(100)]
    cluster.etcd.put("/sluice/v1-net/web/h9/0", {"v": 1, "network": "web", "vni": 100, "ep": many})
    cluster.etcd.put("/sluice/v1-net/web/h2/8", {"v": 1, "network": "web", "vni": 101, "ep": many})
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    cluster.knows(h1, c2.eth0, c3.eth0)
    rows = {row["key"]: row for row in h1.rpc("cluster.dump")}
    assert rows["/sluice/v1/what/else"]["state"] == "refused"
    traffic.ping(c1, c2.ip)
    # what is not this host's own goes from under its name
    wait.until(lambda: not {"/sluice/v1/hosts/h2/unknown", "/sluice/v1-net/web/h2/8"} & set(cluster.etcd.keys()),
               "h2 keeps its prefix clean")


def test_the_howto_page_works(requires, tmp_path):
    requires("etcd", "nsenter")
    run_page(ROOT / "docs/howto/cluster.md", tmp_path)


def test_a_host_that_dies_is_down_and_forgotten_later(cluster):
    h1, h2 = cluster.host(**SHORT), cluster.host(**SHORT)
    cluster.container(h1, "c1", "10.1.0.11")
    c2 = cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    h2.wait_kept("c2")
    h2.kill()
    state = lambda: {host["host"]: host["state"] for host in h1.rpc("host.list")}.get("h2")  # noqa: E731
    wait.until(lambda: state() == "down", "h2 is down", timeout_s=wait.PATIENCE_S * 2)
    cluster.knows(h1)
    assert state() is None
    h2.start()
    cluster.knows(h1, c2.eth0)


def test_the_leader_of_three_members_is_killed(stack):
    cluster = Cluster(stack, members=3)
    h1, h2 = cluster.host(), cluster.host()
    c1, c2 = cluster.container(h1, "c1", "10.1.0.11"), cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    cluster.etcd.kill(cluster.etcd.leader())
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    cluster.knows(h1, c2.eth0, c3.eth0)
    traffic.wait_ping(c1, c3.ip)
