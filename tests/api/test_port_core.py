"""A worker of its own for a port, and what a port costs its worker."""

import json
import os
import subprocess

import pytest

from rig.daemon import Daemon, RpcError, program

NONE_LEFT = "core: no worker would be left for ports without a core of their own"


@pytest.fixture(scope="module")
def daemon():
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1, a worker on each")
    with Daemon({"dataplane": {"cores": [0, 1]}, "networks": [{"name": "web", "mode": "bridge"}]}) as running:
        yield running


@pytest.fixture
def add(daemon):
    """Adds a null port; what was added goes."""
    names = []

    def add(name, **fields):
        row = daemon.rpc("port.add", name=name, network="web", type="null", **fields)
        names.append(name)
        return row

    yield add
    for name in names:
        daemon.rpc("port.del", name=name)


def test_a_port_that_never_waited_says_so(daemon, add):
    add("n1")
    assert daemon.port("n1")["throttled"] == 0
    assert daemon.rpc("port.show", name="n1")["throttled"] == 0


def test_a_core_is_given_shown_changed_and_taken_away(daemon, add):
    assert "core" not in add("n1")
    assert add("n2", core=1)["core"] == daemon.port("n2")["core"] == 1
    assert daemon.rpc("port.set", name="n2", core=0)["core"] == 0
    assert daemon.rpc("port.set", name="n2", mtu=1400)["core"] == 0
    assert "core" not in daemon.rpc("port.set", name="n2", core=-1)
    daemon.ctl("port", "set", "n1", "--core", "1")
    assert daemon.rpc("port.show", name="n1")["core"] == 1
    daemon.ctl("port", "set", "n1", "--core", "-1")
    assert "core" not in daemon.rpc("port.show", name="n1")


@pytest.mark.parametrize("core, line", [
    (2, "core: no worker runs on CPU 2; they run on 0, 1"),
    (-2, "core: out of range -1..1023"),
    (1024, "core: out of range -1..1023"),
    ("1", "core: must be an integer"),
    (0, NONE_LEFT),
])
def test_what_is_refused(daemon, add, core, line):
    add("n1", core=1)
    add("n2")
    before = daemon.rpc("port.list")
    for method, more in (("port.set", {"name": "n2"}), ("port.add", {"name": "n3", "network": "web", "type": "null"})):
        with pytest.raises(RpcError) as refused:
            daemon.rpc(method, **more, core=core)
        assert refused.value.message == line
    assert daemon.rpc("port.list") == before


def test_a_core_outlives_the_daemon():
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1, a worker on each")
    with Daemon({"dataplane": {"cores": [0, 1]}}) as daemon:
        daemon.rpc("network.add", name="web", mode="bridge")
        daemon.rpc("port.add", name="n1", network="web", type="null")
        daemon.rpc("port.set", name="n1", core=1)
        daemon.stop()
        daemon.start()
        assert daemon.port("n1")["core"] == 1


def test_a_port_is_there_again_though_its_worker_is_not():
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1, a worker on each")
    with Daemon({"dataplane": {"cores": [0, 1]}}) as daemon:
        daemon.rpc("network.add", name="web", mode="bridge")
        daemon.rpc("port.add", name="n1", network="web", type="null", core=1)
        daemon.rpc("port.add", name="n2", network="web", type="null")
        for cores, line in (([0], "no worker runs on CPU 1; they run on 0"),
                            ([1], "no worker would be left for ports without a core of their own")):
            daemon.stop()
            daemon.write_config({"dataplane": {"cores": cores}})
            daemon.start()
            assert [port["name"] for port in daemon.rpc("port.list")] == ["n1", "n2"]
            assert "core" not in daemon.port("n1")
            assert f"port n1 has no worker of its own until the next start: core: {line}" in daemon.log()
            daemon.rpc("port.set", name="n1", mtu=1400)
        daemon.stop()
        daemon.write_config({"dataplane": {"cores": [0, 1]}})
        daemon.start()
        assert daemon.port("n1")["core"] == 1
        assert "no worker of its own" not in daemon.log()


@pytest.mark.parametrize("cores, ports, line", [
    ([0, 1], [2], "ports[0].core: 2 is not among dataplane.cores"),
    ([0, 1], [0, 0, 1], f"ports[2].{NONE_LEFT}"),
    ([0], [0], f"ports[0].{NONE_LEFT}"),
    (None, [0], f"ports[0].{NONE_LEFT}"),
    ([0, 1], [0, 0, -1], None),
])
def test_a_configuration_is_held_to_its_workers(tmp_path, cores, ports, line):
    config = {"networks": [{"name": "web", "mode": "bridge"}],
              "ports": [{"name": f"n{i}", "network": "web", "type": "null", "core": core}
                        for i, core in enumerate(ports)]}
    if cores:
        config["dataplane"] = {"cores": cores}
    path = tmp_path / "sluice.json"
    path.write_text(json.dumps(config))
    done = subprocess.run([program("sluiced"), "--check-config", "--config", path], capture_output=True, text=True)
    assert (done.returncode == 0) == (line is None), done.stderr
    assert line is None or done.stderr.strip().endswith(line)
