"""Containers by CNI: sluice-cni, called as runtimes call it, with real namespaces and real traffic."""

import json
import os
from contextlib import ExitStack

import pytest

from rig import traffic, wait
from rig.cni import OLD, Cni, CniError, Pod, left
from rig.process import open_files, run
from rig.router import HOST

pytestmark = pytest.mark.control

NET = {"name": "web", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}
EXISTS, DIFFERS, BAD_ENVIRONMENT, BAD_CONF, TRY_AGAIN = 100, 101, 4, 7, 11


@pytest.fixture
def cni(sluiced):
    sluiced.rpc("network.add", NET)
    yield Cni(sluiced)
    if sluiced.process:
        assert left(sluiced) == []


@pytest.fixture
def pod(cni):
    with ExitStack() as pods:
        yield lambda container, by=None, **more: pods.enter_context(Pod(by or cni, container, **more))


def reaches(pod, target):
    return pod.run("ping", "-c", "1", "-W", "10", target, check=False).returncode == 0


def port_of(cni, pod):
    return next(port["name"] for port in cni.daemon.rpc("port.list") if port["ips"] == [pod.ip])


def refused(code, call, *args, **more):
    with pytest.raises(CniError) as error:
        call(*args, **more)
    assert error.value.code == code, error.value
    return error.value.message


def test_two_pods_talk_at_once(cni, pod):
    """No waiting: when ADD has answered the workers know the port."""
    first, second = pod("one"), pod("two")
    assert reaches(first, second.ip) and reaches(second, first.ip) and reaches(first, "10.1.0.1")
    port, = (port for port in cni.daemon.rpc("port.list") if port["ips"] == [first.ip])
    assert first.result == {
        "cniVersion": "1.1.0", "dns": {},
        "interfaces": [{"name": "eth0", "mac": port["mac"], "mtu": 1500, "sandbox": first.path}],
        "ips": [{"address": f"{first.ip}/24", "gateway": "10.1.0.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]}
    assert port["labels"] == {"cni.network": "web", "cni.container": "one", "cni.ifname": "eth0"}
    assert first.mac() == port["mac"] and "default via 10.1.0.1 dev eth0" in first.run("ip", "route").stdout
    first.delete()
    assert first.interfaces() == ["lo"]
    first.delete()  # again, as runtimes do


@pytest.mark.parametrize("version", OLD)
def test_older_versions(cni, pod, version):
    old = Cni(cni.daemon, version=version)
    first, second = pod("one", old), pod("two", old)
    assert reaches(first, second.ip)
    assert first.result["cniVersion"] == version and "mtu" not in first.result["interfaces"][0]
    assert first.result["ips"][0].get("version") == (None if version == "1.0.0" else "4")
    assert "1.1.0" in refused(1, old.call, "GC", conf={"cni.dev/valid-attachments": []})
    assert "1.1.0" in refused(1, old.call, "STATUS")
    if version == "0.3.1":
        assert "0.4.0" in refused(1, old.check, "one", first, first.result)
    else:
        old.check("one", first, first.result)


def test_versions_are_told(cni):
    for asked in ("0.2.0", "1.1.0", "9.0.0"):
        answer = json.loads(cni.raw("VERSION", json.dumps({"cniVersion": asked})).stdout)
        assert answer == {"cniVersion": asked, "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
    assert json.loads(cni.raw("VERSION", "").stdout)["supportedVersions"]
    assert cni.raw("VERSION", "{}", "dummy", "dummy", "dummy").returncode == 0  # as libcni asks
    for asked in ("0.2.0", "1.2.0", ""):
        assert "cniVersion" in refused(1, cni.call, "ADD", "one", "/run", conf={"cniVersion": asked})


def test_check_compares(cni, pod):
    one = pod("one")
    cni.check("one", one, one.result)
    assert "prevResult: missing" in refused(BAD_CONF, cni.call, "CHECK", "one", one)
    wrong = {**one.result, "ips": []}
    assert "prevResult.ips" in refused(DIFFERS, cni.check, "one", one, wrong)
    assert "prevResult.interfaces" in refused(DIFFERS, cni.check, "one", one, {"ips": one.result["ips"]})
    one.run("ip", "addr", "flush", "dev", "eth0")
    assert f"does not have {one.ip}" in refused(DIFFERS, cni.check, "one", one, one.result)
    one.run("ip", "link", "set", "eth0", "down")
    assert "is down" in refused(DIFFERS, cni.check, "one", one, one.result)
    one.run("ip", "link", "del", "eth0")
    cni.daemon.wait_port(cni.daemon.rpc("port.list")[0]["name"], "down")
    assert "the port is down" in refused(DIFFERS, cni.check, "one", one, one.result)
    one.delete()
    assert "no port" in refused(DIFFERS, cni.check, "one", one, one.result)


def test_what_a_runtime_asks_for(cni, pod):
    one = pod("one", runtimeConfig={
        "ips": ["10.1.0.50/24"], "mac": "02:11:22:33:44:55",
        "bandwidth": {"ingressRate": 8000000, "ingressBurst": 2147483647, "egressRate": 16000000, "egressBurst": 800000},
        "dns": {"servers": ["10.1.0.1"], "searches": ["shop"], "options": ["ndots:1"]}})
    port, = cni.daemon.rpc("port.list")
    assert (one.ip, one.mac()) == ("10.1.0.50", "02:11:22:33:44:55")
    assert (port["rate_out"], port["rate_in"]) == ("8M", "16M")
    assert (port["burst_out"], port["burst_in"]) == ("268435455", "100K")
    assert one.result["dns"] == {"nameservers": ["10.1.0.1"], "search": ["shop"], "options": ["ndots:1"]}
    two = pod("two", args="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1;IP=10.1.0.51;"
                          "MAC=02:11:22:33:44:56;OTHER=x")
    assert (two.ip, two.mac()) == ("10.1.0.51", "02:11:22:33:44:56")
    labels = next(port["labels"] for port in cni.daemon.rpc("port.list") if port["ips"] == [two.ip])
    assert labels["io.kubernetes.pod.namespace"] == "shop" and labels["io.kubernetes.pod.name"] == "web-0"
    three = pod("three", conf={"args": {"cni": {"ips": ["10.1.0.52"], "mac": "02:11:22:33:44:57"}}})
    assert (three.ip, three.mac()) == ("10.1.0.52", "02:11:22:33:44:57")


def test_aliases_are_names_of_services(cni, pod, requires):
    requires("dig")
    one = pod("one", runtimeConfig={"aliases": ["db", "store", "db"]})
    two = pod("two", runtimeConfig={"aliases": {"web": ["db"], "other": ["no"]}},
              args="IgnoreUnknown=1;K8S_POD_NAME=front")
    assert sorted((row["service"], row["address"]) for row in cni.daemon.rpc("backend.list")) == sorted(
        [("db", one.ip), ("store", one.ip), ("db", two.ip), ("front", two.ip)])
    found = two.run("dig", "@10.1.0.1", "db", "+short").stdout.split()
    assert sorted(found) == sorted([one.ip, two.ip])
    assert one.run("dig", "@10.1.0.1", "front", "+short").stdout.split() == [two.ip]
    two.delete()
    assert one.run("dig", "@10.1.0.1", "db", "+short").stdout.split() == [one.ip]


def test_an_alias_without_a_port_is_not_balanced(cni, pod, stack):
    cni.daemon.rpc("service.add", name="db", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    stack.callback(cni.daemon.rpc, "service.del", name="db")
    one = pod("one", runtimeConfig={"aliases": ["db"]})
    backend, = cni.daemon.rpc("service.show", name="db")["backends"]
    assert (backend["address"], backend["balanced"]) == (one.ip, False)  # nobody has said where it listens


def test_it_is_there_only_once(cni, pod):
    one = pod("one")
    assert "already" in refused(EXISTS, cni.add, "one", one)
    two = pod("two")
    assert "eth0" in refused(EXISTS, cni.add, "three", two)  # another container's interface has that name
    pod("one", ifname="eth1")
    assert len(left(cni.daemon)) == 3 and reaches(one, two.ip)


def test_a_namespace_that_is_gone(cni, pod, netns):
    one = pod("one")
    run(["ip", "netns", "del", one.name])
    cni.delete("one", one)
    assert left(cni.daemon) == []
    cni.delete("one")
    cni.delete("never-was")
    assert "CNI_NETNS" in refused(BAD_ENVIRONMENT, cni.add, "two", one)
    plain = cni.daemon.dir / "file"
    plain.write_text("")
    assert "CNI_NETNS" in refused(BAD_CONF, cni.add, "two", str(plain))
    assert left(cni.daemon) == []


def test_the_daemon_is_killed_between(cni, pod):
    one, two = pod("one"), pod("two")
    cni.daemon.wait_kept(*(port["name"] for port in cni.daemon.rpc("port.list")))
    cni.daemon.kill()
    for call in (cni.add, cni.delete, cni.check):
        message = refused(TRY_AGAIN, *((call, "one", one, one.result) if call == cni.check else (call, "one", one)))
        assert "no daemon at" in message
    assert refused(51, cni.call, "STATUS")
    cni.daemon.start()
    assert cni.call("STATUS") is None
    wait.until(lambda: reaches(one, two.ip), "pods reach each other again")
    cni.check("one", one, one.result)
    two.delete()
    assert len(left(cni.daemon)) == 1


def test_what_was_answered_survives_a_kill_at_once(cni, netns):
    ns = netns()
    for turn in range(3):
        cni.add("one", ns, runtimeConfig={"aliases": ["db"]})
        cni.daemon.kill()
        cni.daemon.start()
        assert len(left(cni.daemon)) == 2, turn
        cni.delete("one", ns)
        cni.daemon.kill()
        cni.daemon.start()
        assert left(cni.daemon) == [], turn


def test_a_namespace_whose_name_goes_is_not_held(cni, pod):
    """The interface keeps it alive, but only as long as somebody can name it."""
    one, two = pod("one"), pod("two")
    before = open_files(cni.daemon.process.pid)
    run(["ip", "netns", "del", one.name])
    gone, there = (port_of(cni, pod) for pod in (one, two))
    wait.until(lambda: cni.daemon.port(gone)["state"] == "waiting", "it waits for another of that name")
    assert cni.daemon.port(there)["state"] == "up" and open_files(cni.daemon.process.pid) < before
    run(["ip", "netns", "add", one.name])
    cni.daemon.wait_port(gone)
    assert reaches(one, two.ip)
    cni.delete("one", one)
    assert one.interfaces() == ["lo"]


def test_a_namespace_that_is_another_under_the_same_name(cni, pod, netns):
    one, other = pod("one"), netns()
    run(["umount", one.path])
    run(["mount", "--bind", other.path, one.path])
    wait.until(lambda: "eth0" in other.interfaces(), "the interface is where the name leads")
    cni.delete("one", one)
    assert other.interfaces() == ["lo"]


def test_a_namespace_that_is_not_to_be_held(cni, pod):
    one = pod("one", port={"hold_netns": False})
    port = port_of(cni, one)
    run(["ip", "netns", "del", one.name])
    wait.until(lambda: cni.daemon.port(port)["state"] == "waiting", "it is gone with its namespace")
    cni.delete("one")


def test_a_rebooted_host(cni, pod):
    """Namespaces are gone, the daemon's state is not: DEL takes it away."""
    one = pod("one")
    cni.daemon.wait_kept(cni.daemon.rpc("port.list")[0]["name"])
    cni.daemon.kill()
    run(["ip", "netns", "del", one.name])
    cni.daemon.start()
    assert cni.daemon.rpc("port.list")[0]["state"] == "waiting"
    cni.delete("one", one.path)
    assert left(cni.daemon) == []
    cni.daemon.stop()
    cni.daemon.start()
    assert left(cni.daemon) == []


def test_gc_keeps_what_is_valid(cni, pod):
    one, two = pod("one"), pod("two")
    cni.daemon.rpc("network.add", {**NET, "name": "other", "subnet": "10.2.0.0/24", "gateway": "10.2.0.1"})
    other = pod("one", Cni(cni.daemon, "other"), ifname="eth1")
    cni.daemon.rpc("port.add", name="mine", network="web", type="null")
    for wrong in (None, {}, [{"containerID": "one"}], ["one"], [{"containerID": 1, "ifname": "eth0"}]):
        assert "valid-attachments" in refused(BAD_CONF, cni.call, "GC", conf={"cni.dev/valid-attachments": wrong})
    assert "valid-attachments" in refused(BAD_CONF, cni.call, "GC")
    valid = [{"containerID": "two", "ifname": "eth0"}, {"containerID": "one", "ifname": "eth9"}]
    assert cni.call("GC", conf={"cni.dev/valid-attachments": valid}) is None
    assert one.interfaces() == ["lo"] and reaches(two, "10.1.0.1") and reaches(other, "10.2.0.1")
    assert len(cni.daemon.rpc("port.list")) == 3
    cni.daemon.rpc("port.del", name="mine")


def test_status(cni):
    assert cni.call("STATUS") is None
    assert "no network" in refused(50, cni.call, "STATUS", conf={"network": "lost"})
    assert "no daemon" in refused(51, cni.call, "STATUS", conf={"socket": "/run/no/such.sock"})


def test_a_chain_of_plugins(cni, pod):
    before = {"cniVersion": "1.1.0", "interfaces": [{"name": "br0"}], "ips": [{"address": "10.9.0.9/24"}],
              "routes": [{"dst": "10.9.0.0/16"}], "dns": {"domain": "x"}}
    ns = pod("two")
    result = cni.add("chained", ns, ifname="eth1", prevResult=before)
    try:
        assert [entry["name"] for entry in result["interfaces"]] == ["br0", "eth1"]
        assert [entry.get("interface") for entry in result["ips"]] == [None, 1]
        assert [route["dst"] for route in result["routes"]] == ["10.9.0.0/16", "0.0.0.0/0"]
        assert result["dns"] == {"domain": "x"}
    finally:
        cni.delete("chained", ns, ifname="eth1")


def test_a_port_as_the_configuration_has_it(cni, pod):
    by = Cni(cni.daemon, "lan", network="web", port={"mtu": 1300, "default_route": False, "labels": {"app": "web"}})
    one = pod("one", by)
    port, = cni.daemon.rpc("port.list")
    assert port["labels"]["app"] == "web" and port["labels"]["cni.network"] == "lan" and port["mtu"] == 1300
    assert "routes" not in one.result and "default" not in one.run("ip", "route").stdout


def test_a_socket_for_a_guest(cni, tmp_path, netns, stack):
    folder = tmp_path / "pods"
    by = Cni(cni.daemon, port={"type": "vhost-user", "owner": "nobody", "socket_mode": "0600"}, directory=str(folder))
    ns = netns()
    result = by.add("one", ns, ifname="net1")
    stack.callback(by.delete, "one", ns, ifname="net1")
    socket = folder / "one" / "net1.sock"
    assert result["interfaces"][0]["socketPath"] == str(socket) and ns.interfaces() == ["lo"]
    assert socket.is_socket() and socket.owner() == "nobody" and socket.stat().st_mode & 0o777 == 0o600
    by.check("one", ns, result, ifname="net1")
    assert "already" in refused(EXISTS, by.add, "one", ns, ifname="net1")
    assert socket.is_socket()
    by.delete("one", ns, ifname="net1")
    assert not socket.exists() and not socket.parent.exists()
    result = by.add("two", ns, args="K8S_POD_UID=5f0a")
    assert result["interfaces"][0]["socketPath"] == str(folder / "5f0a" / "eth0.sock")
    by.delete("two", ns)
    assert os.listdir(folder) == []
    plain = Cni(cni.daemon, port={"type": "vhost-user"})
    result = plain.add("three", ns)
    assert result["interfaces"][0]["socketPath"].startswith(str(cni.daemon.vhost))
    plain.delete("three", ns)
    long = Cni(cni.daemon, port={"type": "vhost-user"}, directory=f"/tmp/{'x' * 90}")
    assert "directory" in refused(BAD_CONF, long.add, "four", ns)


def test_published_ports(router, stack):
    daemon = router.daemon
    daemon.rpc("network.add", name="lan", mode="host", subnet="10.1.0.0/24", gateway="10.1.0.1", egress="masquerade")
    cni = Cni(daemon, "lan")
    mappings = [{"hostPort": 7000, "containerPort": 8080, "protocol": "TCP", "hostIP": ""},
                {"hostPort": 7001, "containerPort": 8081, "protocol": "udp"}]
    one = stack.enter_context(Pod(cni, "one", runtimeConfig={"portMappings": mappings, "aliases": ["api"]}))
    stack.enter_context(traffic.tcp_server(one, 8080))
    for client, address in ((router.world, HOST), (router.host, "127.0.0.1"), (one, HOST)):
        with traffic.EchoClient(client, address, 7000) as connection:
            connection.echo()
    assert [(row["service"], row["port"]) for row in daemon.rpc("backend.list")] == [("api", 8080)]
    assert [(row["port"], row["protocol"], row["to"]) for row in daemon.rpc("publish.list")] == [
        (7000, "tcp", f"{one.ip}:8080"), (7001, "udp", f"{one.ip}:8081")]
    taken = {"portMappings": [{"hostPort": 7002, "containerPort": 1}, mappings[0]]}
    with pytest.raises(CniError) as error:
        cni.add("two", one, ifname="eth1", runtimeConfig=taken)
    assert error.value.code == EXISTS and "runtimeConfig.portMappings[1]: port: 7000 is published" in error.value.message
    assert len(daemon.rpc("publish.list")) == 2 and "eth1" not in one.interfaces()
    daemon.rpc("network.add", name="last")  # what is kept of it is behind all the rest
    daemon.wait_kept("last")
    daemon.kill()
    daemon.start()
    wait.until(lambda: _echoes(router.world), "the port leads in again")
    one.delete()
    assert left(daemon) == []


def test_published_ports_of_both_families(router, stack):
    daemon = router.daemon
    host6 = "2001:db8:7::1"
    router.host.run("ip", "addr", "add", f"{host6}/64", "dev", "up0", "nodad")
    router.world.run("ip", "addr", "add", "2001:db8:7::2/64", "dev", "eth0", "nodad")
    daemon.rpc("network.add", name="lan", mode="host", subnets=["10.1.0.0/24", "fd00:1::/64"],
               gateways=["10.1.0.1", "fd00:1::1"])
    cni = Cni(daemon, "lan")
    mappings = [{"hostPort": 7000, "containerPort": 8080, "protocol": "tcp"},
                {"hostPort": 7001, "containerPort": 8080, "protocol": "tcp", "hostIP": "::"},
                {"hostPort": 7002, "containerPort": 8080, "protocol": "SCTP", "hostIP": "0.0.0.0"}]
    one = stack.enter_context(Pod(cni, "one", runtimeConfig={"portMappings": mappings}))
    stack.enter_context(traffic.tcp_server(one, 8080, six=True))
    for address, port in ((HOST, 7000), (host6, 7000), (host6, 7001)):
        with traffic.EchoClient(router.world, address, port) as connection:
            connection.echo()
    assert [(row["address"], row["port"], row["protocol"]) for row in daemon.rpc("publish.list")] == [
        ("0.0.0.0", 7000, "tcp"), ("::", 7000, "tcp"), ("::", 7001, "tcp"), ("0.0.0.0", 7002, "sctp")]
    one.delete()
    assert left(daemon) == []
    daemon.rpc("network.add", name="four", mode="host", subnet="10.4.0.0/24", gateway="10.4.0.1")
    with pytest.raises(CniError) as error:
        Cni(daemon, "four").add("two", one, runtimeConfig={"portMappings": mappings[1:]})
    assert "portMappings[0]: the network gives no address of the family of the host's" in error.value.message
    assert daemon.rpc("publish.list") == []


def _echoes(client):
    try:
        with traffic.EchoClient(client, HOST, 7000, timeout_s=1) as connection:
            connection.echo()
        return True
    except OSError:
        return False


def test_the_file_for_runtimes(cni, pod):
    """What conflist prints is what the plugin takes: one plugin's part, with what a runtime adds to it."""
    text = cni.daemon.ctl("network", "conflist", "web").stdout
    conflist = json.loads(text)
    assert text.count("\n") > 5 and conflist == cni.daemon.ctl_json("network", "conflist", "web")
    plugin, = conflist.pop("plugins")
    assert (conflist["name"], conflist["cniVersion"], conflist["cniVersions"][-1]) == ("web", "1.0.0", "1.1.0")
    assert plugin["socket"] == str(cni.daemon.socket) and plugin["type"] == "sluice-cni"
    assert set(plugin["capabilities"]) == {"portMappings", "bandwidth", "ips", "mac", "aliases", "dns"}
    by = Cni(cni.daemon, conflist["name"], conflist["cniVersion"], **plugin)
    one = pod("one", by)
    assert one.result["dns"] == plugin.get("dns", {}) and one.result["cniVersion"] == "1.0.0"
    assert "no such network" in cni.daemon.ctl("network", "conflist", "lost", check=False).stderr


def test_both_families(cni, pod):
    cni.daemon.rpc("network.add", name="dual", subnets=["10.4.0.0/24", "fd00:4::/64"], gateways=["10.4.0.1", "fd00:4::1"])
    by = Cni(cni.daemon, "dual")
    one, two = pod("one", by), pod("two", by, runtimeConfig={"ips": ["fd00:4::9/64", "10.4.0.9/24"], "aliases": ["db"]})
    assert [entry["gateway"] for entry in one.result["ips"]] == ["10.4.0.1", "fd00:4::1"]
    assert {entry["address"] for entry in two.result["ips"]} == {"10.4.0.9/24", "fd00:4::9/64"}
    assert {route["dst"] for route in one.result["routes"]} == {"0.0.0.0/0", "::/0"}
    for target in ("10.4.0.9", "fd00:4::9", "10.4.0.1", "fd00:4::1"):
        assert reaches(one, target), target
    by.check("two", two, two.result)
    old = pod("three", Cni(cni.daemon, "dual", "0.4.0"))
    assert [entry["version"] for entry in old.result["ips"]] == ["4", "6"]
    assert {row["address"] for row in cni.daemon.rpc("backend.list")} == {"10.4.0.9", "fd00:4::9"}
    plugin, = cni.daemon.ctl_json("network", "conflist", "dual")["plugins"]
    assert plugin["dns"]["nameservers"] == ["10.4.0.1", "fd00:4::1"]


@pytest.mark.parametrize("address, gateway", [("10.4.0.9", "10.4.0.1"), ("fd00:4::9", "fd00:4::1")])
def test_an_address_is_another_containers_at_once(cni, pod, address, gateway):
    """Whoever spoke to its last holder, the gateway's kernel too, reaches the new one without a wait."""
    cni.daemon.rpc("network.add", name="dual", subnets=["10.4.0.0/24", "fd00:4::/64"], gateways=["10.4.0.1", "fd00:4::1"])
    by = Cni(cni.daemon, "dual")
    other = pod("other", by)
    for number in range(3):
        one = pod(f"c{number}", by, runtimeConfig={"ips": [address]})
        assert reaches(one, gateway) and reaches(other, address) and reaches(one, gateway)
        one.delete()
