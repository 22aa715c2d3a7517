"""Programs written for Consul, unchanged: they register, are discovered and watched, and a vip follows them."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.ports import free_port
from rig.process import run

VIP = "10.1.0.100"
GO_CLIENT = "github.com/hashicorp/consul/api"
GO_VERSION = "v1.28.2"  # of the official client: one that Debian's compiler takes
GO_DEBIAN = Path("/usr/share/gocode")
GO_PROGRAM = Path(__file__).parent / "clients" / "consul_go"


@pytest.fixture
def world(start_sluiced, container):
    """(daemon, port of its HTTP API, client, servers): `web` has a vip and no backends yet."""
    port = free_port()
    daemon = start_sluiced({"control": {"http": f"127.0.0.1:{port}", "http_changes_by_get": True, "node": "edge1"}})
    daemon.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client = container(daemon, "web", "client", "10.1.0.5")
    servers = [container(daemon, "web", f"s{i}", f"10.1.0.1{i}") for i in (1, 2)]
    for server in servers:
        traffic.http_server(server)
    daemon.rpc("service.add", name="web", network="web", vip=VIP, port=80, protocol="tcp")
    return daemon, port, client, servers


def served_by(client, count=30):
    bodies, failed = traffic.http_many(client, VIP, 80, count)
    assert failed == 0
    return set(bodies)


def test_a_vip_follows_registrations_and_their_weights(world):
    daemon, port, client, servers = world
    consul = Consul(port)
    for i, server in enumerate(servers):
        consul.register("web", ID=f"w{i}", Address=server.ip, Port=8080, Check={"TTL": "10m"},
                        Weights={"Passing": 1, "Warning": 0})
    with pytest.raises(OSError):
        traffic.http_get(client, VIP, 80, timeout_s=0.5)
    consul.put("agent/check/pass/service:w0")
    consul.put("agent/check/pass/service:w1")
    assert served_by(client) == {server.name for server in servers}
    consul.put("agent/check/warn/service:w0")
    assert served_by(client) == {servers[1].name}
    consul.put("agent/check/fail/service:w1")
    consul.put("agent/check/pass/service:w0")
    assert served_by(client) == {servers[0].name}
    consul.deregister("w0")
    with pytest.raises(OSError):
        traffic.http_get(client, VIP, 80, timeout_s=0.5)


def test_both_weights_weigh_real_connections(world):
    _, port, client, servers = world
    consul = Consul(port)
    for server, weights in zip(servers, ({"Passing": 9, "Warning": 1}, {"Passing": 3, "Warning": 3})):
        consul.register("web", ID=server.name, Address=server.ip, Port=8080, Check={"TTL": "10m", "Status": "passing"},
                        Weights=weights)

    def shares():
        bodies, failed = traffic.http_many(client, VIP, 80, 200)
        assert failed == 0
        return [bodies.get(server.name, 0) for server in servers]

    first, second = shares()
    assert first > second > 0  # 9 : 3
    consul.put(f"agent/check/warn/service:{servers[0].name}")
    first, second = shares()
    assert second > first > 0  # 1 : 3


def test_whoever_has_seen_an_index_meets_no_older_table(world):
    """Each answer to a query that waited is followed by a packet, which must go where that answer says."""
    _, port, client, servers = world
    consul = Consul(port)
    index = 1
    for turn in range(20):
        server = servers[turn % 2]
        changer = threading.Thread(target=consul.register, args=("web",),
                                   kwargs={"ID": "w", "Address": server.ip, "Port": 8080})
        changer.start()
        while True:
            reply = consul.get("health/service/web", index=index, wait="20s")
            index = reply.index
            if reply.json and reply.json[0]["Service"]["Address"] == server.ip:
                break
        assert traffic.http_get(client, VIP, 80) == server.name
        changer.join()


def test_a_port_that_closes_takes_its_registration_out(world):
    daemon, port, client, servers = world
    consul = Consul(port)
    for server in servers:
        consul.register("web", ID=server.name, Address=server.ip, Port=8080)
    assert served_by(client) == {server.name for server in servers}
    seen = consul.get("health/service/web").index
    servers[0].run("ip", "link", "del", "eth0")
    reply = consul.get("health/service/web", index=seen, wait="20s", passing=None)
    assert [entry["Service"]["ID"] for entry in reply.json] == [servers[1].name]
    assert served_by(client) == {servers[1].name}


def test_a_port_that_closes_frees_what_its_instance_holds(world):
    """At once: its TTL check would be passing for ten minutes more."""
    daemon, port, client, servers = world
    consul = Consul(port)
    for server in servers:
        consul.register("web", ID=server.name, Address=server.ip, Port=8080, Check={"TTL": "10m", "Status": "passing"})
    first, second = (consul.put("session/create", {"ServiceChecks": [{"ID": f"service:{server.name}"}], "LockDelay": "0s"}).json["ID"]
                     for server in servers)
    assert consul.put("kv/leader", b"1", acquire=first).json is True
    seen = consul.get("kv/leader").index
    servers[0].run("ip", "link", "del", "eth0")
    assert "Session" not in consul.get("kv/leader", index=seen, wait="20s").json[0]
    assert [one["ID"] for one in consul.get("session/list").json] == [second]
    assert consul.put("kv/leader", b"2", acquire=second).json is True
    reply = consul.put("session/create", {"ServiceChecks": [{"ID": f"service:{servers[0].name}"}]})
    assert (reply.status, reply.text) == (500, f"Check 'service:{servers[0].name}' is in critical state")


PYTHON_ROUND = """
    import json, sys, threading
    import consul

    port, address = int(sys.argv[1]), sys.argv[2]
    c = consul.Consul(port=port)
    assert c.agent.self()["Config"]["NodeName"] == "edge1"
    assert c.agent.service.register("web", service_id="w1", address=address, port=8080, tags=["v1"],
                                    check=consul.Check.ttl("600s"))
    index, nodes = c.health.service("web", passing=True)
    assert nodes == [], nodes
    seen = []
    def watch():
        i = index
        while not seen:
            i, now = c.health.service("web", index=i, wait="20s", passing=True)
            seen.extend(now)
    thread = threading.Thread(target=watch)
    thread.start()
    assert c.agent.check.ttl_pass("service:w1")
    thread.join(20)
    assert seen[0]["Service"]["Address"] == address and seen[0]["Service"]["Port"] == 8080, seen
    assert c.catalog.services()[1] == {"consul": [], "web": ["v1"]}
    assert c.catalog.service("web", tag="v1")[1][0]["ServiceID"] == "w1"
    assert c.catalog.nodes()[1][0]["Node"] == "edge1"
    assert "w1" in c.agent.services() and c.agent.checks()["service:w1"]["Status"] == "passing"
    assert c.health.state("passing")[1]
    assert c.status.leader()
    print("up", flush=True)
    sys.stdin.readline()
    assert c.agent.check.ttl_fail("service:w1")
    assert c.health.service("web", passing=True)[1] == []
    assert c.agent.service.deregister("w1")
    assert c.health.service("web")[1] == []
    print("down", flush=True)
"""

NODE_ROUND = """
    const Consul = require('consul');
    const assert = require('assert');
    const [port, address] = [Number(process.argv[2]), process.argv[3]];
    const consul = new Consul({ port });
    const line = () => new Promise((resolve) => process.stdin.once('data', resolve));
    (async () => {
      assert.equal((await consul.agent.self()).Config.NodeName, 'edge1');
      await consul.agent.service.register({ id: 'w1', name: 'web', address, port: 8080, tags: ['v1'],
                                            meta: { zone: 'a' }, check: { ttl: '600s' } });
      assert.deepEqual(await consul.health.service({ service: 'web', passing: true }), []);
      const watch = consul.watch({ method: consul.health.service, options: { service: 'web', passing: true } });
      const seen = new Promise((resolve, reject) => {
        watch.on('change', (data) => { if (data.length) resolve(data); });
        watch.on('error', reject);
      });
      await consul.agent.check.pass('service:w1');
      const found = await seen;
      watch.end();
      assert.equal(found[0].Service.Address, address);
      assert.equal(found[0].Service.Meta.zone, 'a');
      assert.deepEqual(await consul.catalog.service.list(), { consul: [], web: ['v1'] });
      assert.equal((await consul.catalog.service.nodes('web'))[0].ServiceID, 'w1');
      assert.equal((await consul.catalog.node.list())[0].Node, 'edge1');
      assert.equal((await consul.agent.check.list())['service:w1'].Status, 'passing');
      assert.equal((await consul.health.state('passing')).length, 2);
      assert.ok(await consul.status.leader());
      console.log('up');
      await line();
      await consul.agent.check.fail('service:w1');
      assert.deepEqual(await consul.health.service({ service: 'web', passing: true }), []);
      await consul.agent.service.maintenance({ id: 'w1', enable: true, reason: 'test' });
      await consul.agent.service.maintenance({ id: 'w1', enable: false });
      await consul.agent.service.deregister('w1');
      assert.deepEqual(await consul.agent.service.list(), {});
      console.log('down');
      process.exit(0);
    })().catch((error) => { console.error(error); process.exit(1); });
"""


def whole_round(world, argv, cwd=None):
    """Runs a client that says "up" once it is registered and passing, and "down" when it has gone again."""
    _, port, client, servers = world
    with subprocess.Popen([*argv, str(port), servers[0].ip], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as program:
        try:
            said = program.stdout.readline()
            assert said == "up\n", program.communicate(timeout=wait.PATIENCE_S)
            assert served_by(client) == {servers[0].name}
            out, err = program.communicate("\n", timeout=wait.PATIENCE_S)
            assert out == "down\n" and program.returncode == 0, err
        finally:
            program.kill()
    with pytest.raises(OSError):
        traffic.http_get(client, VIP, 80, timeout_s=0.5)


def test_python_consul_does_the_whole_round(world, tmp_path):
    pytest.importorskip("consul", reason="needs python3-consul, which is not installed")
    script = tmp_path / "round.py"
    script.write_text(textwrap.dedent(PYTHON_ROUND))
    whole_round(world, [sys.executable, str(script)])


@pytest.fixture(scope="module")
def node_consul(tmp_path_factory):
    """A folder with the npm package `consul`."""
    if not shutil.which("npm"):
        pytest.skip("needs npm, which is not installed")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text(json.dumps({"name": "round", "private": True}))
    done = run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--fetch-retries=1",
                "--fetch-timeout=20000", "consul@2"], check=False, timeout_s=120)
    if done.returncode:
        pytest.skip(f"needs the npm package consul, which cannot be installed: {done.stderr.strip()[-200:]}")
    return folder


def test_node_consul_does_the_whole_round(world, node_consul):
    (node_consul / "round.js").write_text(textwrap.dedent(NODE_ROUND))
    whole_round(world, ["node", "round.js"], cwd=node_consul)


def every_method(start_sluiced, argv, **env):
    """Runs a program that calls every method of its client and says what is not as it should be."""
    port = free_port()
    start_sluiced({"control": {"http": f"127.0.0.1:{port}", "http_changes_by_get": True, "node": "edge1"}})
    done = subprocess.run([*argv, str(port)], env={**os.environ, **env}, capture_output=True, text=True, timeout=120)
    *wrong, count = done.stdout.splitlines() or ["nothing"]
    assert not wrong and count.endswith(" methods") and done.returncode == 0, (done.stdout, done.stderr)


def test_every_method_of_python_consul(start_sluiced):
    pytest.importorskip("consul", reason="needs python3-consul, which is not installed")
    every_method(start_sluiced, [sys.executable, Path(__file__).parent / "clients" / "methods.py"])


def test_every_method_of_node_consul(start_sluiced, node_consul):
    every_method(start_sluiced, ["node", Path(__file__).parent / "clients" / "methods.js"],
                 NODE_PATH=str(node_consul / "node_modules"))


@pytest.fixture
def go(tmp_path):
    """Runs the compiler in a folder that has the program: go("build", ..., GOPATH=...)."""
    if not shutil.which("go"):
        pytest.skip("needs Debian's package golang-go, which is not installed")
    shutil.copytree(GO_PROGRAM, tmp_path / "program")

    def go(*words, timeout_s=300, **env):
        own = {"GOCACHE": str(tmp_path / "cache"), "GOMODCACHE": str(tmp_path / "modules"), "GOFLAGS": "-modcacherw"}
        return subprocess.run(["go", *words], cwd=tmp_path / "program", env={**os.environ, **own, **env}, capture_output=True,
                              text=True, timeout=timeout_s)

    return go


def build(go, tmp_path, *tags, **env):
    """The program, for every_point()."""
    done = go("build", "-tags", ",".join(tags), "-o", str(tmp_path / "round"), ".", **env)
    assert done.returncode == 0, done.stderr
    return tmp_path / "round"


def every_point(start_sluiced, program):
    """Runs it against a daemon: it says what is not as it should be."""
    port = free_port()
    start_sluiced({"control": {"http": f"127.0.0.1:{port}", "node": "edge1"}})
    done = subprocess.run([program, str(port)], capture_output=True, text=True, timeout=300)
    *wrong, count = done.stdout.splitlines() or ["nothing"]
    assert not wrong and count.endswith(" points") and done.returncode == 0, (done.stdout, done.stderr)


def test_the_go_client_of_debian(start_sluiced, go, tmp_path):
    """It is of 2015, and the beginning of the official one."""
    client = GO_DEBIAN / "src/github.com/armon/consul-api"
    if not client.is_dir():
        pytest.skip("needs Debian's package golang-github-armon-consul-api-dev, which is not installed")
    path = tmp_path / "path" / "src" / GO_CLIENT
    path.parent.mkdir(parents=True)
    path.symlink_to(client)
    every_point(start_sluiced, build(go, tmp_path, GO111MODULE="off", GOPATH=str(tmp_path / "path")))


def test_the_official_go_client(start_sluiced, go, tmp_path):
    """Debian has it no more: of a GOPATH that has it (SLUICE_GOPATH), or as Go's own tool fetches it."""
    paths = [*os.environ.get("SLUICE_GOPATH", "").split(":"), str(GO_DEBIAN)]
    found = [path for path in paths if path and Path(path, "src", GO_CLIENT, "txn.go").is_file()]
    tags = ["official"]
    if found:
        if Path(found[0], "src", GO_CLIENT, "watch").is_dir():
            tags.append("plans")
        program = build(go, tmp_path, *tags, GO111MODULE="off", GOPATH=":".join([found[0], str(GO_DEBIAN)]))
    else:
        assert go("mod", "init", "round").returncode == 0
        done = go("get", f"{GO_CLIENT}/watch@{GO_VERSION}", timeout_s=120)
        if done.returncode:
            pytest.skip(f"needs the Go module {GO_CLIENT}, which cannot be fetched: {done.stderr.strip()[-200:]}")
        assert go("mod", "tidy").returncode == 0
        program = build(go, tmp_path, *tags, "plans")
    every_point(start_sluiced, program)
