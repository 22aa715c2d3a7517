"""Labels of ports, and services that a port is an instance of: they come and go with it, and are there after a crash."""

import pytest

from rig.daemon import RpcError

INVALID = -32602
NET = {"name": "web", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}


@pytest.fixture
def daemon(sluiced):
    sluiced.rpc("network.add", NET)
    return sluiced


def add(daemon, name, **fields):
    return daemon.rpc("port.add", name=name, network="web", type="null", **fields)


def backends(daemon):
    return sorted((row["service"], row["address"], row["port"]) for row in daemon.rpc("backend.list"))


def test_labels_are_shown_changed_and_kept(daemon):
    shown = add(daemon, "n1", labels={"app.kubernetes.io/name": "web", "tier": ""})
    assert shown["labels"] == {"app.kubernetes.io/name": "web", "tier": ""}
    daemon.ctl("port", "add", "n2", "--network", "web", "--type", "null", "--labels", "app=web,note=a=b")
    assert daemon.port("n2")["labels"] == {"app": "web", "note": "a=b"}
    assert "labels: must be an object of texts" in daemon.ctl(
        "port", "set", "n2", "--labels", "app", check=False).stderr
    daemon.rpc("port.set", name="n1", labels={"app": "db"})
    daemon.rpc("port.set", name="n2", labels={})
    daemon.wait_kept("n2")
    daemon.stop()
    daemon.start()
    assert daemon.port("n1")["labels"] == {"app": "db"}
    assert "labels" not in daemon.port("n2")


def test_a_port_is_an_instance_while_it_is_there(daemon):
    add(daemon, "n1", ips=["10.1.0.11"], services=["db:5432", "cache"])
    add(daemon, "n2", ips=["10.1.0.12"], services=["db:5432"])
    assert backends(daemon) == [("cache", "10.1.0.11", 0), ("db", "10.1.0.11", 5432), ("db", "10.1.0.12", 5432)]
    assert {row["source"] for row in daemon.rpc("backend.list")} == {"port"}
    daemon.wait_kept("n1", "n2")
    daemon.kill()
    daemon.start()
    assert len(backends(daemon)) == 3
    daemon.rpc("port.set", name="n1", ips=["10.1.0.21"])
    assert backends(daemon) == [("cache", "10.1.0.21", 0), ("db", "10.1.0.12", 5432), ("db", "10.1.0.21", 5432)]
    daemon.rpc("port.del", name="n1")
    daemon.rpc("port.del", name="n2")
    assert backends(daemon) == [] and daemon.rpc("service.list") == []


def test_what_changes_of_the_port_leaves_its_instances_alone(daemon):
    """But for an address that is another: there it is a new instance."""
    daemon.rpc("service.add", name="db", check={"type": "ttl", "interval_ms": 600000})
    add(daemon, "n1", ips=["10.1.0.11", "10.1.0.12"], services=["db:5432"])
    for address in ("10.1.0.11", "10.1.0.12"):
        daemon.rpc("backend.check", service="db", address=address, port=5432, status="passing")
    daemon.rpc("backend.drain", service="db", address="10.1.0.12", port=5432)
    before, generation = daemon.rpc("backend.list"), daemon.rpc("service.show", name="db")["generation"]
    assert [row["health"] for row in before] == ["passing", "draining"]
    daemon.rpc("port.set", name="n1", labels={"tier": "back"}, mtu=1400)
    assert daemon.rpc("backend.list") == before
    assert daemon.rpc("service.show", name="db")["generation"] == generation
    daemon.rpc("port.set", name="n1", ips=["10.1.0.12", "10.1.0.13"])
    assert {row["address"]: row["health"] for row in daemon.rpc("backend.list")} == {
        "10.1.0.12": "draining", "10.1.0.13": "critical"}


def test_a_vip_takes_ports_in(daemon):
    daemon.rpc("service.add", name="db", network="web", vip="10.1.0.100", port=5432, protocol="tcp")
    add(daemon, "n1", ips=["10.1.0.11"], services=["db:5432"])
    backend, = daemon.rpc("service.show", name="db")["backends"]
    assert backend["balanced"] and backend["address"] == "10.1.0.11"
    daemon.rpc("port.del", name="n1")
    assert daemon.rpc("service.show", name="db")["backends"] == []


@pytest.mark.parametrize("services, why", [
    ([""], "services[0]"), (["db", "db:0"], "services[1]"), (["db:65536"], "services[0]"), (["db:x"], "services[0]"),
    ([":80"], "services[0]"), (["db:"], "services[0]"), (["x" * 256], "services[0]"), (["a\n"], "services[0]"),
    ([str(number) for number in range(33)], "services"), (["db", "db"], "services[1]"), (["db:1", "web", "db:2"], "services[2]"), (["db", "db:1"], "services[1]")])
def test_what_is_no_service_is_refused(daemon, services, why):
    with pytest.raises(RpcError) as refused:
        add(daemon, "n1", services=services)
    assert refused.value.code == INVALID and refused.value.message.startswith(why)
    assert daemon.rpc("port.list") == [] and daemon.rpc("service.list") == []


def test_a_key_of_another_is_left_alone(daemon):
    daemon.rpc("service.add", name="db")
    daemon.rpc("backend.add", service="db", address="10.1.0.9", port=1, id="port:n1:10.1.0.11")
    with pytest.raises(RpcError):
        add(daemon, "n1", ips=["10.1.0.11"], services=["cache", "db"])
    assert daemon.rpc("port.list") == [] and backends(daemon) == [("db", "10.1.0.9", 1)]
    add(daemon, "n1", ips=["10.1.0.11"], services=[str(number) for number in range(32)])
    assert len(backends(daemon)) == 33
