"""Three hosts that share an etcd of three members are one registry."""

import contextlib

import pytest

from rig import traffic, wait
from rig.cluster import SHORT, Cluster
from rig.consul import Consul

LONG_S = wait.PATIENCE_S * 3


def consul(daemon, method, *args, **fields):
    return daemon.ns.do(lambda: getattr(Consul(8500), method)(*args, **fields))


def get(daemon, path, **query):
    return consul(daemon, "get", path, **query).json


def healths(daemon, service):
    """{(node, id): status} of a service, "passing" unless one of its or its node's checks is worse."""
    order = ["passing", "warning", "critical"]
    return {(row["Node"]["Node"], row["Service"]["ID"]): max((check["Status"] for check in row["Checks"]), key=order.index)
            for row in get(daemon, f"health/service/{service}")}


def register_durably(daemon, service):
    """On disk when it returns: the daemon may be killed."""
    body = {"Name": service, "ID": "a", "Address": f"10.1.0.{10 + daemon.number}", "Port": 80}
    assert consul(daemon, "put", "agent/service/register", body, durable=None).status == 200


def sees(daemon, service, expected):
    wait.until(lambda: healths(daemon, service) == expected, f"{service} is {expected}", timeout_s=LONG_S)


def backends(daemon, service):
    return {row["id"]: row["health"] for row in daemon.rpc("backend.list", service=service)}


@pytest.fixture(scope="module")
def three():
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack, members=3)
        yield cluster, *(cluster.host() for _ in range(3))


def test_what_one_host_registers_all_of_them_show(three):
    cluster, h1, h2, h3 = three
    check = {"CheckID": "alive", "Name": "says so", "TTL": "10m", "Status": "passing"}
    consul(h1, "register", "web", ID="web-1", Address="10.1.0.11", Port=8080, Tags=["v1"], Meta={"a": "b"},
           Weights={"Passing": 7, "Warning": 2}, Check=check)
    for host in (h1, h2, h3):
        sees(host, "web", {("h1", "web-1"): "passing"})
    there, here = (get(host, "health/service/web")[0] for host in (h2, h1))
    for field in ("ID", "Service", "Tags", "Address", "Port", "Meta", "Weights"):
        assert there["Service"][field] == here["Service"][field], field
    assert [c["CheckID"] for c in there["Checks"]] == ["serfHealth", "alive"]
    assert {row["Node"] for row in get(h3, "catalog/nodes")} == {"h1", "h2", "h3"}
    assert {(row["Name"], row["Status"]) for row in get(h3, "agent/members")} == {("h1", 1), ("h2", 1), ("h3", 1)}
    assert get(h2, "catalog/services")["web"] == ["v1"]
    assert get(h2, "agent/services") == {}, "an agent has its own alone"
    index = consul(h2, "get", "health/service/web").index
    consul(h1, "put", "agent/check/fail/alive", note="ill")
    wait.until(lambda: consul(h2, "get", "health/service/web", index=index, wait="10s").index > index, "who waits at h2 is told")
    for host in (h2, h3):
        sees(host, "web", {("h1", "web-1"): "critical"})
    consul(h1, "put", "agent/check/pass/alive")
    sees(h2, "web", {("h1", "web-1"): "passing"})
    consul(h2, "put", "catalog/deregister", {"Node": "h1"})  # it is h1's to say so
    sees(h2, "web", {("h1", "web-1"): "passing"})
    consul(h1, "deregister", "web-1")
    for host in (h2, h3):
        sees(host, "web", {})


def test_maintenance_of_a_node_and_its_checks_hold_on_all_hosts(three):
    cluster, h1, h2, h3 = three
    consul(h1, "register", "db", ID="db-1", Port=5432)
    sees(h3, "db", {("h1", "db-1"): "passing"})
    consul(h1, "put", "agent/maintenance", enable="true", reason="new disk")
    wait.until(lambda: backends(h3, "db") == {"h1/db-1": "draining"}, "it is drained", timeout_s=LONG_S)
    notes = [c["Notes"] for c in get(h3, "health/node/h1") if c["CheckID"] == "_node_maintenance"]
    assert notes == ["new disk"]
    consul(h1, "put", "agent/maintenance", enable="false")
    consul(h1, "put", "agent/check/register", {"ID": "disk", "Name": "disk", "TTL": "10m", "Status": "critical"})
    wait.until(lambda: backends(h3, "db") == {"h1/db-1": "critical"}, "its node is ill", timeout_s=LONG_S)
    consul(h1, "put", "agent/check/deregister/disk")
    sees(h3, "db", {("h1", "db-1"): "passing"})
    consul(h1, "deregister", "db-1")


def test_two_hundred_instances_come_in_chunks_and_one_changes_one(three):
    cluster, h1, h2, h3 = three
    for n in range(205):
        consul(h2, "register", "many", ID=f"m-{n}", Port=1 + n)
    wait.until(lambda: len(get(h3, "catalog/service/many")) == 205, "h3 has them all", timeout_s=LONG_S)
    keys = {key: value for key, value in cluster.etcd.keys().items() if "/h2/in/" in key}
    assert len(keys) == 3
    consul(h2, "deregister", "m-7")
    wait.until(lambda: len(get(h1, "catalog/service/many")) == 204, "h1 knows", timeout_s=LONG_S)
    after = cluster.etcd.keys()
    assert sum(after[key] != value for key, value in keys.items()) == 1
    rows = {row["host"]: row["instances"] for row in h1.rpc("host.list")}
    assert rows["h2"] == 204
    for n in range(205):
        consul(h2, "deregister", f"m-{n}")
    wait.until(lambda: get(h1, "catalog/service/many") == [], "they are gone", timeout_s=LONG_S)


GARBAGE = {"in/0": ["", "[]", '{"v": 2, "in": []}', '{"v": 1}', '{"v": 1, "in": [{}]}', '{"v": 1, "in": [{"service": "x", "id": 7}]}',
                    '{"v": 1, "in": [{"service": "x", "id": "a", "checks": [{"status": "fine"}]}]}',
                    '{"v": 1, "in": [{"service": "x", "id": "a", "tags": [1]}]}', '{"v": 1, "in": [' + ",".join(["{}"] * 101) + "]}"],
           "node": ['{"v": 1}', '{"v": 1, "name": "", "address": "x"}', '{"v": 1, "name": 7}', '{"v": 1, "name": "h1", "address": "x", "meta": 1}']}


def test_what_others_say_wrongly_is_refused_and_takes_nobody_s_place(three):
    cluster, h1, h2, h3 = three
    base = "/sluice/v1/hosts/h9/"
    cluster.etcd.put(base + "host", {"v": 1, "id": "x", "address": "192.0.2.9"})
    cluster.etcd.put(base + "alive", {"v": 1, "id": "x"})
    for key, values in GARBAGE.items():
        for value in values:
            cluster.etcd.put(base + key, value)
    cluster.etcd.put(base + "node", {"v": 1, "name": "h1", "address": "192.0.2.9"})  # h1's own name
    good = {"service": "odd", "id": "o1", "address": "10.1.0.99", "port": 80, "weight": 1}
    bad = [{**good, "id": "o2", "address": "224.0.0.1"}, {**good, "id": "o3", "service": "@x"}]
    cluster.etcd.put(base + "in/0", {"v": 1, "in": [*bad, good]})
    for host in (h1, h2):
        sees(host, "odd", {("h9", "o1"): "passing"})
        assert host.rpc("cluster.status")["unregistered"] == 2
    assert {row["Node"]: row["Address"] for row in get(h1, "catalog/nodes")}["h1"] != "192.0.2.9"
    cluster.etcd.put(base + "in/0", "{")
    wait.until(lambda: {r["key"]: r["state"] for r in h1.rpc("cluster.dump")}[base + "in/0"] == "refused", "it is refused")
    assert healths(h1, "odd") == {("h9", "o1"): "passing"}, "what was known holds"
    cluster.etcd.ctl("del", "--prefix", base)
    wait.until(lambda: {r["host"]: r["state"] for r in h1.rpc("host.list")}.get("h9") != "up", "h9 is down")
    sees(h1, "odd", {("h9", "o1"): "critical"})


def test_what_is_held_of_lost_hosts_is_put_again(three):
    """Two of five are lost together: who takes an instance of theirs away here takes away no other, and it comes back."""
    cluster, h1, *_ = three
    hosts = ("h6", "h7")
    for host in hosts:
        base = f"/sluice/v1/hosts/{host}/"
        cluster.etcd.put(base + "host", {"v": 1, "id": host, "address": f"192.0.2.{host[1]}"})
        cluster.etcd.put(base + "alive", {"v": 1, "id": host})
        cluster.etcd.put(base + "in/0", {"v": 1, "in": [
            {"service": "held", "id": one, "address": f"10.1.0.9{host[1]}", "port": port, "weight": 1}
            for one, port in (("a", 80), ("b", 81))]})
    every = {(host, one) for host in hosts for one in ("a", "b")}
    wait.until(lambda: set(healths(h1, "held")) == every, "h1 has them all", timeout_s=LONG_S)
    for host in hosts:
        cluster.etcd.ctl("del", "--prefix", f"/sluice/v1/hosts/{host}/")
    wait.until(lambda: not [row for row in h1.rpc("host.list") if row["host"] in hosts and row["state"] == "up"], "both are lost")
    assert set(healths(h1, "held")) == every
    h1.rpc("backend.del", service="held", address="10.1.0.96", port=80)
    wait.until(lambda: set(healths(h1, "held")) == every, "it is there again")


def test_backends_of_a_lost_host_are_out_and_come_back(stack):
    cluster = Cluster(stack)
    h1, h2, h3 = (cluster.host(**SHORT) for _ in range(3))
    for host in (h1, h2):
        register_durably(host, "api")
    both = {("h1", "a"): "passing", ("h2", "a"): "passing"}
    sees(h3, "api", both)
    h2.kill()
    sees(h3, "api", {**both, ("h2", "a"): "critical"})
    assert {row["Name"]: row["Status"] for row in get(h3, "agent/members")}["h2"] == 4
    h2.start()
    sees(h3, "api", both)
    h1.kill()  # and what h3 knows outlives its restart without the store
    cluster.etcd.kill_all()
    h3.stop()
    h3.start()
    assert set(healths(h3, "api")) == set(both)


def test_when_most_hosts_are_lost_at_once_none_is_believed_to_be(stack):
    cluster = Cluster(stack)
    h1, h2, h3 = (cluster.host(alive_s=3, lease_s=300) for _ in range(3))
    for host in (h2, h3):
        register_durably(host, "api")
    both = {("h2", "a"): "passing", ("h3", "a"): "passing"}
    sees(h1, "api", both)
    h2.kill()
    h3.kill()
    wait.until(lambda: {row["host"]: row["state"] for row in h1.rpc("host.list")} == {"h1": "up", "h2": "suspect", "h3": "suspect"},
               "they are not alive", timeout_s=LONG_S)
    assert h1.rpc("cluster.status")["panic"]
    sees(h1, "api", both)
    h3.start()
    sees(h1, "api", {("h2", "a"): "critical", ("h3", "a"): "passing"})


VIP = "10.1.0.100"


def test_a_host_that_dies_is_out_by_bfd_before_the_store_says_so(stack):
    cluster = Cluster(stack)
    h1, h2, h3 = (cluster.host(alive_s=120, lease_s=120, bfd={"interval_ms": 300, "multiplier": 5}) for _ in range(3))
    c1, c2, c3 = (cluster.container(host, f"c{host.number}", f"10.1.0.1{host.number}") for host in (h1, h2, h3))
    for host, server in ((h2, c2), (h3, c3)):
        stack.callback(traffic.http_server(server, text=host.ns.name).stop)
        consul(host, "register", "api", ID="a", Address=server.ip, Port=8080)
    h1.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp")
    wait.until(lambda: backends(h1, "api") == {"h2/a": "passing", "h3/a": "passing"}, "both are there", timeout_s=LONG_S)
    wait.until(lambda: {row["host"]: row["bfd"] for row in h1.rpc("host.list")} == {"h1": None, "h2": "up", "h3": "up"},
               "BFD is up", timeout_s=LONG_S)
    for server in (c2, c3):
        traffic.wait_ping(c1, server.ip)
    assert set(traffic.http_many(c1, VIP, 80, 40)[0]) == {h2.ns.name, h3.ns.name}
    h2.kill()
    wait.until(lambda: backends(h1, "api")["h2/a"] == "critical", "h2 is out")
    assert "/sluice/v1/hosts/h2/alive" in cluster.etcd.keys()
    assert {row["host"]: row["state"] for row in h1.rpc("host.list")}["h2"] == "down"
    wait.until(lambda: backends(h1, "api")["h3/a"] == "passing", "h3 is in")
    assert traffic.http_many(c1, VIP, 80, 20) == ({h3.ns.name: 20}, 0)
