"""Hosts that share an etcd share the addresses of a network: none is given twice."""

import contextlib
import json
import threading

import pytest

from rig import wait
from rig.cluster import Cluster
from rig.daemon import Daemon, RpcError
from rig.disk import SmallDisk
from rig.docker_plugin import Plugin

BOTH = {"name": "web", "mode": "overlay", "vni": 100, "subnets": ["10.1.0.0/24", "fd00:1::/64"], "gateways": ["10.1.0.1"]}
SHORT = {"name": "few", "mode": "overlay", "vni": 101, "subnet": "10.2.0.0/27"}  # 30 addresses, of one block
LARGE = {"name": "many", "mode": "overlay", "vni": 102, "subnet": "10.64.0.0/16"}
LATER = {"name": "later", "mode": "overlay", "vni": 103, "subnet": "10.3.0.0/24"}
LONG_S = wait.PATIENCE_S * 2


@pytest.fixture(scope="module")
def three():
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack)
        yield cluster, *(cluster.host(networks=(BOTH, SHORT, LATER)) for _ in range(3))


def add(daemon, name, network):
    """A port that names no address, by the command line; the addresses that it got."""
    shown = daemon.ctl("port", "add", name, "--network", network, "--type", "vhost-user", "--json")
    return json.loads(shown.stdout)["ips"]


def parts(cluster, network):
    """{block: {host: bits}}, as the store has it."""
    values = [json.loads(value) for value in cluster.etcd.keys(f"/sluice/v1/ipam/{network}/").values()]
    return {value["block"]: {host: int(bits, 16) for host, bits in value["hosts"].items()} for value in values}


def no_bit_is_two_hosts(cluster, network):
    for block, hosts in parts(cluster, network).items():
        assert sum(bits.bit_count() for bits in hosts.values()) == sum(hosts.values()).bit_count(), (block, hosts)


def test_ports_of_three_hosts_get_addresses_of_both_families_and_give_their_blocks_back(three):
    cluster, *hosts = three
    given = [ip for n in range(4) for host in hosts for ip in add(host, f"p{n}", "web")]
    assert len(set(given)) == len(given) == 24 and sum(":" in ip for ip in given) == 12
    blocks = parts(cluster, "web")
    assert len(blocks) == 6 and all(len(owners) == 1 for owners in blocks.values()), blocks
    assert "10.1.0.1" not in given, "the gateway's"
    for host in hosts:
        for n in range(4):
            host.rpc("port.del", name=f"p{n}")
    wait.until(lambda: parts(cluster, "web") == {}, "all blocks are given back", timeout_s=LONG_S)


def test_a_host_lends_when_the_subnet_is_short_and_all_of_it_is_given_once(three):
    cluster, h1, h2, h3 = three
    given = {h1: add(h1, "first", "few")}
    assert list(parts(cluster, "few")) == ["10.2.0.0"] and list(parts(cluster, "few")["10.2.0.0"]) == ["h1"]
    given[h2], given[h3] = add(h2, "first", "few"), add(h3, "first", "few")
    assert set(parts(cluster, "few")["10.2.0.0"]) == {"h1", "h2", "h3"}
    no_bit_is_two_hosts(cluster, "few")
    everything, n = [ip for ips in given.values() for ip in ips], 0
    with pytest.raises(RpcError, match="ips: no free address left in 10.2.0.0/27: those that are not used are other hosts'"):
        while True:  # h2 takes what the others do not need
            n += 1
            everything += h2.rpc("port.add", name=f"more{n}", network="few", type="vhost-user")["ips"]
    assert len(set(everything)) == len(everything) >= 27, everything  # each host keeps the last one that it has
    no_bit_is_two_hosts(cluster, "few")
    h2.rpc("port.del", name="more1")
    assert add(h2, "again", "few")[0] in everything
    for host in (h1, h2, h3):
        for port in host.rpc("port.list", network="few"):
            host.rpc("port.del", name=port["name"])
    wait.until(lambda: parts(cluster, "few") == {}, "all is given back", timeout_s=LONG_S)


class Inside:
    """A namespace and a disk of its own."""

    def __init__(self, ns, disk):
        self.ns, self.disk = ns, disk

    def argv(self, *command):
        return self.ns.argv(*self.disk.argv(*command))


def test_what_is_not_on_disk_is_lent_to_nobody(stack, requires):
    """A restart without etcd would give it once more."""
    requires("unshare", "nsenter")
    cluster = Cluster(stack)
    h1, h2 = (cluster.host(networks=(BOTH, SHORT), start=n > 0) for n in range(2))
    disk = stack.enter_context(SmallDisk(h1.state))
    h1.ns, inside, h1.state = Inside(h1.ns, disk), h1.state, disk.path
    h1.argv = lambda: [part if part != disk.path else inside for part in Daemon.argv(h1)]
    h1.start()
    add(h1, "first", "few")
    wait.until(lambda: "h1" in parts(cluster, "few").get("10.2.0.0", {}), "h1 has the block")
    h2.rpc("service.add", name="other", network="web", vip="10.1.0.200", port=80, protocol="tcp")
    disk.fill()
    for n in range(20):  # what is written of h2 takes the rest of the file's last page
        h2.rpc("backend.add", service="other", address=f"10.1.0.{n + 2}", port=80)
    wait.until(lambda: "cluster.log: No space left" in h1.log(), "h1 keeps nothing more")
    with pytest.raises(RpcError, match="no free address left"):
        h2.rpc("port.add", name="second", network="few", type="vhost-user")
    assert list(parts(cluster, "few")["10.2.0.0"]) == ["h1"]
    disk.empty()
    wait.until(lambda: "h2" in parts(cluster, "few")["10.2.0.0"], "h1 lends what is on disk")
    no_bit_is_two_hosts(cluster, "few")
    assert add(h2, "second", "few") != add(h1, "third", "few")


def test_an_address_that_another_host_s_port_names_is_not_given(three):
    cluster, h1, h2, _ = three
    h2.rpc("port.add", name="named", network="few", type="vhost-user", ips=["10.2.0.1"])
    wait.until(lambda: "/sluice/v1-net/few/h2/0" in cluster.etcd.keys(), "h2 has told of it")
    assert add(h1, "chosen", "few") == ["10.2.0.2"]
    h1.rpc("port.del", name="chosen")
    h2.rpc("port.del", name="named")


GARBAGE = ['{"v": 1, "network": "few", "block": "10.2.0.0", "hosts": {"h1": "1", "h2": "1"}}', "{", '{"v": 2}',
           '{"v": 1, "network": "web", "block": "10.2.0.0", "hosts": {}}', '{"v": 1, "network": "few", "block": "10.2.0.0", "hosts": []}',
           '{"v": 1, "network": "few", "block": "10.2.0.0", "hosts": {"h1": "xyz"}}']


def test_a_block_that_is_not_understood_is_left_alone(three):
    cluster, h1, *_ = three
    key = "/sluice/v1/ipam/few/10.2.0.0"
    wait.until(lambda: parts(cluster, "few") == {}, "the block is given back", timeout_s=LONG_S)
    cluster.etcd.put(key, '{"v": 1, "network": "few", "block": "10.2.0.0", "hosts": {"h9": "1"}}')
    for value in GARBAGE:
        cluster.etcd.put(key, value)
        wait.until(lambda: {row["key"]: row["state"] for row in h1.rpc("cluster.dump")}.get(key) == "refused", f"{value} is refused")
    with pytest.raises(RpcError, match="no free address left"):
        h1.rpc("port.add", name="none", network="few", type="vhost-user")
    assert cluster.etcd.keys(key)[key] == GARBAGE[-1]
    cluster.etcd.ctl("del", key)


def test_without_the_store_addresses_come_from_blocks_that_the_host_has_also_after_a_restart(three):
    cluster, h1, h2, _ = three
    add(h1, "before", "later")
    wait.until(lambda: "10.3.0.0" in parts(cluster, "later"), "h1 has a block")
    cluster.etcd.kill_all()
    for host in (h1, h2):
        wait.until(lambda h=host: h.rpc("cluster.status")["state"] == "away", "the store is missed", timeout_s=LONG_S)
    assert add(h1, "meanwhile", "later") == ["10.3.0.2"]
    refused = h2.ctl("port", "add", "none", "--network", "later", "--type", "vhost-user", check=False)
    assert refused.returncode == 1 and "etcd is away" in refused.stderr, refused
    h1.stop()
    h1.start()
    assert add(h1, "after", "later") == ["10.3.0.3"]
    cluster.etcd.start_all(wiped=True)  # h1 puts again what it has
    wait.until(lambda: "h1" in parts(cluster, "later").get("10.3.0.0", {}), "the block is h1's", timeout_s=LONG_S)
    wait.until(lambda: h2.rpc("cluster.status")["state"] == "up", "h2 has the store again", timeout_s=LONG_S)
    assert not set(add(h2, "there", "later")) & {f"10.3.0.{n}" for n in range(64)}


def test_a_host_that_wants_an_address_at_its_start_names_it(stack):
    h1 = Cluster(stack).host(networks=(LATER,), start=False)
    written = json.loads(h1.config_file.read_text())
    h1.write_config({**written, "ports": [{"name": "p", "network": "later", "type": "vhost-user"}]})
    with pytest.raises(Exception, match=r"ports\[0\].ips: missing"):
        h1.start()
    h1.kill()


EACH = 2000


def request_all(plugin, pool, given):
    for _ in range(EACH // 4):
        given.append(plugin.ipam("RequestAddress", PoolID=pool, Address="", Options={})["Address"])


def test_ten_thousand_at_once_on_five_hosts(stack, tmp_path):
    """By Docker's IPAM, which gives addresses without ports, with four callers at each host."""
    cluster = Cluster(stack, members=3)
    threads, given = [], []
    for n in range(5):
        path = tmp_path / f"h{n}.sock"
        cluster.host(networks=(LARGE,), parts={"docker": {"plugin": str(path)}})
        plugin = Plugin(path)
        pool = plugin.pool(Options={"sluice.network": "many"})
        threads += [threading.Thread(target=request_all, args=(plugin, pool, given)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == len(set(given)) == 5 * EACH
    no_bit_is_two_hosts(cluster, "many")
    assert len(parts(cluster, "many")) <= 5 * EACH // 64 + 3 * 5
