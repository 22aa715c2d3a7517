"""Objects made once for all hosts that share a real etcd of three members: networks, services, what is published."""

import concurrent.futures
import contextlib
import json

import pytest

from rig import traffic, wait
from rig.cluster import Cluster
from rig.container import Container
from rig.daemon import RpcError
from rig.objects import EXISTS, IN_USE, INVALID, NOT_FOUND, refused

WEB = {"name": "web", "mode": "overlay", "vni": 100, "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}
API = {"name": "api", "network": "web", "vip": "10.1.0.200", "port": 80, "protocol": "tcp"}
FOLDER = "/sluice/v1-global"
CONFLICT, INTERNAL, UNSUPPORTED = -32007, -32005, -32004
LONG_S = wait.PATIENCE_S * 2


@pytest.fixture(scope="module")
def world():
    """Three hosts whose configuration has no network, and three members."""
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack, members=3)
        yield cluster, *(cluster.host(networks=()) for _ in range(3))


@pytest.fixture
def hosts(world):
    """The three. Nothing is there when the test begins, and nothing global when it has ended."""
    cluster, *hosts = world
    everywhere(hosts, lambda h: status(h)["state"] == "up", "it follows the store")
    yield world
    for noun in ("publish", "port", "service", "network"):
        for host in hosts:
            for row in host.rpc(f"{noun}.list"):
                if row["source"] == "api":
                    host.rpc(f"{noun}.del", name=row["name"])
    empty(cluster)
    everywhere(hosts, lambda h: (status(h)["objects"], status(h)["in_effect"]) == (0, 0), "nothing is left")


def status(host):
    return host.rpc("cluster.status")["global"]


def everywhere(hosts, fn, what):
    for host in hosts:
        wait.until(lambda: fn(host), f"{what} (h{host.number})", timeout_s=LONG_S)


def named(host, noun, name):
    return next((row for row in host.rpc(f"{noun}.list") if row["name"] == name), None)


def says(host, start):
    """The line of `cluster status` that begins so; "": there is none."""
    return next((line for line in status(host)["refused"] if line.startswith(start)), "")


def put_all(cluster, values):
    cluster.etcd.put_all({f"{FOLDER}/{key}": value for key, value in values.items()})


def empty(cluster):
    """No object is left, nor what is none; `at` stays, or the hosts would put them again."""
    for start in ("publish/", "services/", "networks/", "ports/", "what"):
        cluster.etcd.ctl("del", "--prefix", f"{FOLDER}/{start}")


def put(cluster, key, definition, **fields):
    """As somebody who knows nothing of the daemons would."""
    cluster.etcd.put(f"{FOLDER}/{key}", {"v": 1, "object": definition, **fields})


def test_a_network_and_a_service_made_once_are_on_all_hosts(hosts, stack):
    cluster, h1, h2, h3 = hosts
    made = h1.ctl_json("network", "add", "web", "--mode", "overlay", "--vni", "100", "--subnet", "10.1.0.0/24",
                       "--gateway", "10.1.0.1", "--scope", "global")
    assert (made["scope"], made["source"]) == ("global", "global") and made["revision"] > 0
    everywhere((h2, h3), lambda h: named(h, "network", "web"), "the network is there")
    shown = h3.rpc("network.show", name="web")
    assert (shown["vni"], shown["subnets"], shown["scope"], shown["revision"]) == (100, ["10.1.0.0/24"], "global", made["revision"])
    h2.rpc("service.add", **API, scope="global")
    everywhere((h1, h3), lambda h: named(h, "service", "api"), "the service is there")
    c1, c3 = (stack.enter_context(Container(host, "web", f"c{host.number}", f"10.1.0.1{host.number}")) for host in (h1, h3))
    h3.rpc("backend.add", service="api", address=c3.ip, port=80)
    wait.until(lambda: len(h1.rpc("service.show", name="api")["backends"]) == 1, "h1 knows of h3's instance")
    traffic.wait_ping(c1, c3.ip)
    stack.callback(traffic.http_server(c3, 80, "from c3").stop)
    wait.until(lambda: traffic.http_get(c1, API["vip"]).strip() == "from c3", "c1 reaches it by the vip")
    # changed by hosts that did not make it
    h3.rpc("network.set", name="web", mtu=1300)
    everywhere((h1, h2), lambda h: named(h, "network", "web")["mtu"] == 1300, "its MTU is another")
    h1.rpc("service.set", name="api", policy="least", vips=["10.1.0.201"])
    everywhere((h2, h3), lambda h: (named(h, "service", "api")["policy"], named(h, "service", "api")["vip"]) == ("least", "10.1.0.201"),
               "its policy and vip are others")
    dumped = {row["key"]: row for row in h2.rpc("cluster.dump")}
    value = dumped[f"{FOLDER}/networks/web"]["value"]
    assert value == {"v": 1, "by": "h3", "object": {**WEB, "mtu": 1300}}
    assert dumped[f"{FOLDER}/at"]["value"]["n"] >= 4
    assert set(cluster.etcd.keys(f"{FOLDER}/")) == {f"{FOLDER}/at", f"{FOLDER}/networks/web", f"{FOLDER}/services/api"}
    # nobody takes away what others use
    refused(h2, "network.del", IN_USE, "name: network web has service api", name="web")
    h3.rpc("service.del", name="api")
    everywhere((h1, h2), lambda h: named(h, "service", "api")["scope"] == "host", "only the instance is left of it")
    with pytest.raises(RpcError, match="name: network web has ports on host h[13]"):
        h2.rpc("network.del", name="web")
    assert named(h2, "network", "web")
    h3.rpc("service.del", name="api")


def test_what_is_published_is_on_all_hosts_where_it_can_be(hosts):
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    h1.rpc("service.add", **API, scope="global")
    everywhere((h2, h3), lambda h: named(h, "service", "api"), "the service is there")
    h3.rpc("publish.add", name="mine", port=8080, to="10.1.0.200:80")
    h1.rpc("publish.add", name="p", port=8080, to="service api", scope="global")
    wait.until(lambda: named(h2, "publish", "p"), "h2 has it")
    wait.until(lambda: "8080 is published as mine already" in says(h3, "publish p: "), "h3 says that its own stays")
    h3.rpc("publish.del", name="mine")
    wait.until(lambda: named(h3, "publish", "p"), "h3 has it, too")
    assert named(h3, "publish", "p")["now"] == "10.1.0.200:80" and status(h3)["refused"] == []
    h2.rpc("publish.del", name="p")
    everywhere((h1, h3), lambda h: not named(h, "publish", "p"), "it is gone")


def test_who_may_make_what(hosts):
    cluster, h1, h2, h3 = hosts
    for fields, code, line in (
            ({"mode": "bridge"}, INVALID, "mode: a global network is of mode overlay"),
            ({"mode": "overlay"}, INVALID, "vni: required"),
            ({"mode": "overlay", "vni": 0}, INVALID, "vni: out of range"),
            ({"mode": "overlay", "vni": 5, "scope": "all"}, INVALID, "scope: ")):
        refused(h1, "network.add", code, line, **{"name": "x", "scope": "global", **fields})
    h1.rpc("network.add", **WEB, scope="global")
    h2.rpc("network.add", name="own", mode="overlay", vni=7)
    everywhere((h2, h3), lambda h: named(h, "network", "web"), "the network is there")
    refused(h2, "network.add", EXISTS, 'name: there is a global network "web" already', **WEB, scope="global")
    refused(h2, "network.add", EXISTS, 'name: there is a network "web" already', **WEB)
    refused(h2, "network.add", EXISTS, "vni: 100 is taken by network web", **{**WEB, "name": "web2"}, scope="global")
    refused(h2, "network.set", INVALID, "scope: network web is of all hosts", name="web", mtu=1300, scope="host")
    refused(h2, "network.set", INVALID, "vni: fixed since network.add", name="web", vni=9)
    refused(h2, "network.set", NOT_FOUND, 'name: no global network "own"', name="own", mtu=1300, scope="global")
    refused(h2, "network.del", NOT_FOUND, 'name: no global network "none"', name="none", scope="global")
    refused(h2, "service.add", NOT_FOUND, "network: no such network", **{**API, "network": "no"}, scope="global")
    assert set(cluster.etcd.keys(f"{FOLDER}/")) == {f"{FOLDER}/at", f"{FOLDER}/networks/web"}
    assert all(status(h)["refused"] == [] for h in (h1, h2, h3))


def test_hosts_that_change_the_same_at_once(hosts):
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    everywhere((h2, h3), lambda h: named(h, "network", "web"), "the network is there")

    def change(host, turn):
        mtu = 1000 + 10 * turn + host.number
        try:
            return host.rpc("network.set", name="web", mtu=mtu)["mtu"]
        except RpcError as error:
            assert error.code == CONFLICT and "network web was changed by host h" in error.message, error
            return None

    conflicts = 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for turn in range(10):
            done = [mtu for mtu in pool.map(lambda host: change(host, turn), (h1, h2, h3)) if mtu]
            conflicts += 3 - len(done)
            assert done, "one of them gets it"
            stored = json.loads(cluster.etcd.keys(f"{FOLDER}/networks/")[f"{FOLDER}/networks/web"])["object"]["mtu"]
            assert stored in done
            everywhere((h1, h2, h3), lambda h: named(h, "network", "web")["mtu"] == stored, "all have what the store has")
        assert conflicts, "they never met"
        # of others each gets its own: the same VNI by two is one's
        made = list(pool.map(lambda host: attempt(host, "network.add", name=f"n{host.number}", mode="overlay", vni=300, scope="global"), (h1, h2, h3)))
        assert sorted(made) == [EXISTS, EXISTS, 0], made
        made = list(pool.map(lambda host: attempt(host, "network.add", name=f"m{host.number}", mode="overlay", vni=400 + host.number, scope="global"),
                             (h1, h2, h3)))
        assert made == [0, 0, 0]
    everywhere((h1, h2, h3), lambda h: len(h.rpc("network.list")) == 5, "all have the same five")
    assert all(status(h)["refused"] == [] for h in (h1, h2, h3))


def attempt(host, method, **params):
    try:
        host.rpc(method, **params)
        return 0
    except RpcError as error:
        return error.code


def test_an_own_object_of_the_name_stays(hosts):
    cluster, h1, h2, h3 = hosts
    h3.rpc("network.add", name="web", mode="bridge", subnet="10.9.0.0/24")
    h1.rpc("network.add", **WEB, scope="global")
    wait.until(lambda: named(h2, "network", "web"), "h2 has it")
    wait.until(lambda: 'there is a network "web" already' in says(h3, "network web: "), "h3 says that its own stays")
    h3.wait_all_kept()
    h3.stop()
    h3.start()
    wait.until(lambda: says(h3, "network web: ") and status(h3)["state"] == "up", "also after a restart")
    assert named(h3, "network", "web")["subnet"] == "10.9.0.0/24" and named(h3, "network", "web")["scope"] == "host"
    refused(h3, "network.set", UNSUPPORTED, "name: network web is not in effect on this host", name="web", mtu=1300, scope="global")
    h3.rpc("network.del", name="web")  # its own
    wait.until(lambda: (named(h3, "network", "web") or {}).get("vni") == 100, "now it has the one of all")
    h3.rpc("network.del", name="web")
    everywhere((h1, h2), lambda h: not named(h, "network", "web"), "it is gone")


def test_what_a_store_may_say_that_is_none(hosts):
    """Each is one line on each host, and changes nothing else."""
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    lies = {
        "networks/long": ("x" * 70000, "longer than 64 KB"),
        "networks/text": ("no JSON", "no JSON object"),
        "networks/list": ("[]", "no JSON object"),
        "networks/noversion": ({"object": {"name": "noversion"}}, "v: missing"),
        "networks/later": ({"v": 2, "object": {"name": "later", "mode": "overlay", "vni": 3}}, "v: of a later version"),
        "networks/bare": ({"v": 1}, "object: missing"),
        "networks/other": ({"v": 1, "object": {"name": "another", "mode": "overlay", "vni": 3}}, "name: not that of its key"),
        "networks/vni": ({"v": 1, "object": {"name": "vni", "mode": "overlay", "vni": 16777216}}, "vni: out of range 1..16777215"),
        "networks/same": ({"v": 1, "object": {"name": "same", "mode": "overlay", "vni": 100}}, "vni: 100 is taken by network web"),
        "networks/mode": ({"v": 1, "object": {"name": "mode", "mode": "host", "subnet": "10.7.0.0/24", "gateway": "10.7.0.1"}}, "mode: a global"),
        "networks/field": ({"v": 1, "object": {"name": "field", "mode": "overlay", "vni": 3, "x": 1}}, "x: unknown"),
        "networks/scope": ({"v": 1, "object": {"name": "scope", "mode": "overlay", "vni": 3, "scope": "host"}}, "scope: "),
        "networks/subnet": ({"v": 1, "object": {"name": "subnet", "mode": "overlay", "vni": 3, "subnet": "10.0.0.0/33"}}, "subnet: "),
        "services/nowhere": ({"v": 1, "object": {"name": "nowhere", "network": "no", "vip": "10.1.0.9", "port": 1, "protocol": "tcp"}},
                             "network: no such network"),
        "services/gateway": ({"v": 1, "object": {"name": "gateway", "network": "web", "vip": "10.1.0.1", "port": 1, "protocol": "tcp"}},
                             "vip: 10.1.0.1 is the gateway"),
        "publish/lost": ({"v": 1, "object": {"name": "lost", "port": 9000, "to": "service none"}}, 'to: no such service "none"'),
    }
    strange = ("what", "networks/", "networks/Web", "networks/a/b", "networks/" + "x" * 64, "networks/" + "x" * 600, "ports/c1")
    put_all(cluster, {**{key: value if isinstance(value, str) else json.dumps(value) for key, (value, _) in lies.items()},
                      **{key: "{}" for key in strange}})
    for host in (h1, h2, h3):
        wait.until(lambda: len(status(host)["refused"]) == len(lies) + 1, f"h{host.number} has heard of all", timeout_s=LONG_S)
        for key, (_, why) in lies.items():
            folder, name = key.split("/")
            noun = folder.rstrip("s") if folder != "publish" else folder
            assert says(host, f"{noun} {name}: ").startswith(f"{noun} {name}: {why}"), (key, status(host)["refused"])
        assert "7 keys are no objects" in says(host, "unknown: ")
        assert [row["name"] for row in host.rpc("network.list")] == ["web"] and host.rpc("service.list") == []
    rows = {row["key"]: row for row in h2.rpc("cluster.dump")}
    assert rows[f"{FOLDER}/networks/later"]["state"] == "refused" and rows[f"{FOLDER}/networks/later"]["value"]["v"] == 2
    refused(h1, "network.del", UNSUPPORTED, "name: network later is of a later version", name="later", scope="global")
    h1.rpc("network.del", name="text", scope="global")  # what is none can be taken away
    # what was good and is none any more stays in effect
    cluster.etcd.put(f"{FOLDER}/networks/web", {"v": 2, "shape": "another"})
    everywhere((h1, h2, h3), lambda h: "later version" in says(h, "network web: "), "it says so")
    h2.stop()
    h2.start()
    wait.until(lambda: "later version" in says(h2, "network web: "), "also after a restart")
    assert named(h2, "network", "web")["vni"] == 100
    put(cluster, "networks/web", {**WEB, "subnet": "10.2.0.0/24", "gateway": "10.2.0.1"})  # what no network.set could do
    everywhere((h1, h2, h3), lambda h: named(h, "network", "web")["subnet"] == "10.2.0.0/24", "it is made anew")
    empty(cluster)


def test_a_daemon_that_starts_without_etcd_has_them(hosts):
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    h1.rpc("service.add", **API, scope="global")
    h1.rpc("publish.add", name="p", port=8080, to="service api", scope="global")
    everywhere((h2, h3), lambda h: named(h, "publish", "p"), "all of it is there")
    h2.wait_all_kept()
    cluster.etcd.kill_all()
    h2.stop()
    h2.start()
    assert all(named(h2, noun, name)["scope"] == "global" for noun, name in (("network", "web"), ("service", "api"))), "before etcd is there"
    wait.until(lambda: named(h2, "publish", "p"), "and what is published")
    assert (named(h2, "network", "web")["vni"], named(h2, "service", "api")["vip"]) == (100, "10.1.0.200")
    wait.until(lambda: status(h2)["state"] == "away", "it says that etcd is away")
    for method, fields in (("network.set", {"name": "web", "mtu": 1300}), ("service.del", {"name": "api"}),
                           ("network.add", {"name": "new", "mode": "overlay", "vni": 5, "scope": "global"})):
        refused(h2, method, INTERNAL, "etcd is away (", **fields)
    assert (len(h2.rpc("network.list")), named(h2, "network", "web")["mtu"] == 1300) == (1, False), "nothing is half done"
    cluster.etcd.start_all()
    everywhere((h1, h2, h3), lambda h: status(h)["state"] == "up", "etcd is back")
    h2.rpc("network.set", name="web", mtu=1300)
    everywhere((h1, h3), lambda h: named(h, "network", "web")["mtu"] == 1300, "it may change them again")


def test_a_store_that_forgot_gets_them_again(hosts):
    """An old copy, and then nothing at all, when only one host is there, which has them from its disk."""
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    h1.rpc("network.add", name="gone", mode="overlay", vni=101, scope="global")
    copy = cluster.etcd.save()
    everywhere((h2, h3), lambda h: named(h, "network", "gone"), "both are there")
    h2.rpc("network.del", name="gone")
    h3.rpc("network.set", name="web", mtu=1300)
    h1.rpc("service.add", **API, scope="global")
    everywhere((h2, h3), lambda h: named(h, "service", "api"), "they know of the last change")
    before = objects(cluster)
    changes = status(h1)["changes"]

    def as_before(some):
        wait.until(lambda: objects(cluster) == before, "the store has what it had", timeout_s=LONG_S)
        everywhere(some, lambda h: status(h)["state"] == "up", "it has heard of it")
        for host in some:
            assert ([row["name"] for row in host.rpc("network.list")], named(host, "network", "web")["mtu"]) == (["web"], 1300)
            assert named(host, "service", "api") and status(host)["refused"] == [] and status(host)["changes"] == changes

    cluster.etcd.kill_all()
    cluster.etcd.bring_back(copy)
    everywhere((h1, h2, h3), lambda h: "global objects: etcd was replaced" in h.log(), "it has found that out, and read it anew")
    as_before((h1, h2, h3))
    h2.wait_all_kept()
    cluster.etcd.kill_all()
    for host in (h1, h2, h3):
        host.stop()
    cluster.etcd.start_all(wiped=True)
    h2.start()
    as_before((h2,))
    h1.start()
    h3.start()
    as_before((h1, h2, h3))
    h3.rpc("service.set", name="api", policy="least")
    everywhere((h1, h2), lambda h: named(h, "service", "api")["policy"] == "least", "and it is changed as before")


def objects(cluster):
    """What the store has; of `at`, what does not say who put it."""
    keys = cluster.etcd.keys(f"{FOLDER}/")
    at = json.loads(keys.pop(f"{FOLDER}/at", "{}"))
    return keys, at.get("id"), at.get("n")


def test_hosts_that_were_moved_to_another_cluster_take_what_it_has(hosts):
    cluster, *three = hosts
    three[0].rpc("network.add", **WEB, scope="global")
    everywhere(three, lambda h: named(h, "network", "web"), "the network is there")
    for host in three:
        host.wait_all_kept()
        host.stop()
    other = {"v": 1, "id": "11111111-2222-3333-4444-555555555555", "n": 1, "by": "x1"}  # fewer changes than they know of
    cluster.etcd.ctl("del", "--prefix", f"{FOLDER}/")
    put_all(cluster, {"at": json.dumps(other), "networks/two": json.dumps({"v": 1, "object": {"name": "two", "mode": "overlay", "vni": 100}})})
    for host in three:
        host.start()
    everywhere(three, lambda h: (status(h)["state"], [row["name"] for row in h.rpc("network.list")]) == ("up", ["two"]), "it has the other's")
    assert [status(h)["changes"] for h in three] == [1, 1, 1] and all(status(h)["refused"] == [] for h in three)
    three[1].rpc("network.del", name="two")
    assert objects(cluster) == ({}, other["id"], 2)


def test_one_past_the_most_that_there_may_be(hosts):
    """4,096 are published; what they are does not matter for their number."""
    cluster, h1, h2, h3 = hosts
    h1.rpc("network.add", **WEB, scope="global")
    put_all(cluster, {f"publish/n{i}": "{}" for i in range(4096)})
    everywhere((h1, h2, h3), lambda h: status(h)["objects"] == 4097, "it has them all")
    assert all(not [line for line in status(h)["refused"] if "no room" in line] for h in (h1, h2, h3))
    refused(h1, "publish.add", INTERNAL, "no room for more than 4096 global objects of this kind",
            name="p", port=8080, to="10.1.0.9:80", scope="global")
    assert h1.rpc("publish.list") == [] and f"{FOLDER}/publish/p" not in cluster.etcd.keys(f"{FOLDER}/publish/p")
    put(cluster, "publish/p", {"name": "p", "port": 8080, "to": "10.1.0.9:80"})
    everywhere((h1, h2, h3), lambda h: "1 keys find no room" in says(h, "more than there may be: "), "it says so")
    assert all((status(h)["objects"], h.rpc("publish.list")) == (4097, []) for h in (h1, h2, h3))
    h2.rpc("network.add", name="other", mode="overlay", vni=101, scope="global")  # of another kind
    everywhere((h1, h3), lambda h: named(h, "network", "other"), "there is room for it")
    cluster.etcd.ctl("del", f"{FOLDER}/publish/n7")
    everywhere((h1, h2, h3), lambda h: status(h)["objects"] == 4097, "there is room for one")
    put(cluster, "publish/p", {"name": "p", "port": 8080, "to": "10.1.0.9:80"})
    everywhere((h1, h2, h3), lambda h: named(h, "publish", "p"), "which finds it")
    empty(cluster)
