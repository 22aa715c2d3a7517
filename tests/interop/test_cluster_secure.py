"""Hosts whose etcd asks for certificates and passwords: each may write what is its own, and nothing else."""

import re

import pytest

from rig import wait
from rig.certs import Authority
from rig.cluster import Cluster
from rig.daemon import ROOT
from rig.objects import names, refused

PASSWORD = "correct horse"


def page_commands(host):
    """What docs/howto/cluster.md says to do for a host."""
    block = re.search(r"```text\n((?:etcdctl (?:role|user) .*\n)+)```", (ROOT / "docs/howto/cluster.md").read_text())[1]
    return [line.split()[1:] for line in block.replace("host1", host).splitlines()]


@pytest.fixture
def secured(stack, tmp_path):
    """A cluster without hosts, whose etcd knows root and the users h1 and h2; where to put a password."""
    cluster = Cluster(stack, authority=Authority(tmp_path, "etcd-ca"))
    etcd = cluster.etcd
    for host in ("h1", "h2"):
        for words in page_commands(host):
            if words[:2] == ["user", "add"]:
                words = [*words[:2], f"{words[2]}:{PASSWORD}"]  # it asks for it otherwise
            etcd.ctl(*words)
    etcd.ctl("user", "add", "root:root")
    etcd.ctl("auth", "enable")
    etcd.user = ["--user=root:root"]
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    return cluster, password


def test_a_host_writes_its_own_prefix_and_no_other(secured, tmp_path):
    cluster, password = secured
    h1, h2 = (cluster.host(user=name, password_file=str(password)) for name in ("h1", "h2"))
    c1 = cluster.container(h1, "c1", "10.1.0.11")
    c2 = cluster.container(h2, "c2", "10.1.0.12")
    cluster.knows(h1, c2.eth0)
    cluster.knows(h2, c1.eth0)
    user = f"h1:{PASSWORD}"
    for key, action in (("/hosts/h2/host", "put"), ("/hosts/h2/in/0", "put"), ("-net/web/h2/0", "del"), ("/hosts/h3/host", "put"),
                        ("-net/web/h3/0", "put")):
        words = [action, f"/sluice/v1{key}", *(["{}"] if action == "put" else [])]
        refused = cluster.etcd.ctl(*words, user=user, check=False)
        assert refused.returncode != 0 and "permission denied" in refused.stderr, (key, refused)
    assert cluster.etcd.ctl("del", "--prefix", "/sluice/v1/hosts/", user=user, check=False).returncode != 0
    cluster.etcd.ctl("put", "/sluice/v1/hosts/h1/what", "x", user=user)
    # a member that restarts has forgotten who signed in
    cluster.etcd.kill_all()
    cluster.etcd.start_all()
    c3 = cluster.container(h2, "c3", "10.1.0.13")
    cluster.knows(h1, c2.eth0, c3.eth0)
    shown = h1.ctl("cluster", "dump", "--json").stdout + h1.ctl("cluster", "status", "--json").stdout
    assert PASSWORD not in shown and "correct" not in h1.ctl("status", "--json").stdout
    kept = [file for file in h1.state.rglob("*") if file.is_file()]
    assert kept and not [file for file in kept if PASSWORD.encode() in file.read_bytes()]


def why(daemon):
    return daemon.rpc("cluster.status")["why"] or ""


def test_who_may_not_says_why(secured, tmp_path):
    cluster, password = secured
    wrong = tmp_path / "wrong"
    wrong.write_text("no\n")
    h1 = cluster.host(user="h1", password_file=str(wrong))
    wait.until(lambda: "authentication failed" in why(h1), "its password is wrong")
    h2 = cluster.host(host="h1", user="h2", password_file=str(password))  # by another one's name
    wait.until(lambda: "permission denied" in h2.log(), "it may not be called h1")
    assert not [key for key in cluster.etcd.keys() if "/h1/" in key]
    stranger, key = Authority(tmp_path, "stranger").issue("x")
    h3 = cluster.host(user="h2", password_file=str(password), cert=str(stranger), key=str(key))
    wait.until(lambda: why(h3), "nobody knows its certificate")
    assert h3.rpc("cluster.status")["state"] == "away"


def test_a_network_that_a_host_may_not_tell_of_keeps_no_other_back(secured):
    cluster, password = secured
    networks = [{"name": name, "mode": "overlay", "vni": 100 + i} for i, name in enumerate(("web", "db", "app"))]
    h1 = cluster.host(networks=networks, user="h1", password_file=str(password))
    told = lambda network: f"/sluice/v1-net/{network}/h1/0" in cluster.etcd.keys()  # noqa: E731
    for network in ("db", "app"):
        h1.rpc("port.add", name=network, network=network, type="vhost-user")
    for network in ("db", "app"):
        wait.until(lambda: f"network {network}: etcd refuses what this host tells of it: etcdserver: permission denied" in h1.log(), network)
    h1.rpc("port.add", name="web", network="web", type="vhost-user")
    wait.until(lambda: told("web"), "it may tell of this one")
    assert why(h1).endswith("etcd refuses what this host tells of it: etcdserver: permission denied") and h1.rpc("cluster.status")["waiting"]
    h1.rpc("port.del", name="app")
    cluster.etcd.ctl("role", "grant-permission", "sluice-h1", "--prefix=true", "readwrite", "/sluice/v1-net/db/h1/")
    wait.until(lambda: told("db"), "it may now", timeout_s=wait.PATIENCE_S * 2)
    wait.until(lambda: not why(h1) and not h1.rpc("cluster.status")["waiting"], "nothing is refused", timeout_s=wait.PATIENCE_S * 2)


def test_a_host_frees_another_s_addresses_and_does_not_end_its_record(secured):
    cluster, password = secured
    h1, h2 = (cluster.host(user=name, password_file=str(password), alive_s=2, lease_s=3600) for name in ("h1", "h2"))
    h2.rpc("port.add", name="p2", network="web", type="vhost-user")
    wait.until(lambda: any("/hosts/h2/host" in key for key in cluster.etcd.keys()), "h2 is in the store")
    h2.kill()
    wait.until(lambda: {row["host"]: row["state"] for row in h1.rpc("host.list")}.get("h2") == "down", "h2 is lost")
    assert h1.rpc("host.forget", name="h2") == {"host": "h2", "blocks": 1, "addresses": 63, "ended": False}  # all but 10.1.0.0
    left = cluster.etcd.keys()
    assert "/sluice/v1/hosts/h2/host" in left and not [key for key in left if key.startswith("/sluice/v1/ipam/")]


def test_who_may_only_read_global_objects_has_them_and_changes_none(secured):
    cluster, password = secured
    cluster.etcd.ctl("role", "grant-permission", "sluice-h2", "--prefix=true", "read", "/sluice/v1-global/")
    h1, h2 = (cluster.host(networks=(), user=name, password_file=str(password)) for name in ("h1", "h2"))
    wait.until(lambda: h1.rpc("cluster.status")["global"]["state"] == "up", "h1 follows the store")
    h1.rpc("network.add", name="web", mode="overlay", vni=100, scope="global")
    wait.until(lambda: names(h2.rpc("network.list")) == ["web"], "h2 has it")
    before = cluster.etcd.keys("/sluice/v1-global/")
    mtu = h2.rpc("network.show", name="web")["mtu"]
    for method, fields in (("network.add", {"name": "x", "mode": "overlay", "vni": 5, "scope": "global"}),
                           ("network.set", {"name": "web", "mtu": 1300}), ("network.del", {"name": "web"})):
        refused(h2, method, -32005, "etcd refused it: etcdserver: permission denied", **fields)
        wait.until(lambda: names(h2.rpc("network.list")) == ["web"] and h2.rpc("network.show", name="web")["mtu"] == mtu,
                   f"it is as it was before {method}")
    assert cluster.etcd.keys("/sluice/v1-global/") == before and names(h1.rpc("network.list")) == ["web"]
    h1.rpc("network.set", name="web", mtu=1300)
    wait.until(lambda: h2.rpc("network.show", name="web")["mtu"] == 1300, "h2 hears of h1's changes as before")
