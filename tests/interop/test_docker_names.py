"""Containers of a real dockerd as instances of services (docker.api): names, labels, health, and a stop without a loss."""

import os
import threading

import pytest

from rig import traffic, wait
from rig.docker_world import Inside, serve
from rig.dockerd import IMAGE
from rig.requests_at import requests_at

RESTARTS = int(os.environ.get("SLUICE_RESTARTS", "20"))
RATE = int(os.environ.get("SLUICE_RATE", "500"))  # requests a second, where the machine can


DOCKER_WORLD = {"docker": {"api": "{docker}"}}


def test_names_and_aliases(world):
    world.create("web")
    world.create("closed", "--internal")
    first = world.docker.run("c1", "web", "--network-alias", "www", "--expose", "8080")
    second = world.docker.run("c2", "web", "--network-alias", "www")
    world.wait_instances({"c1": {f"{first}:8080": "passing"}, "c2": {f"{second}:0": "passing"},
                           "www": {f"{first}:8080": "passing", f"{second}:0": "passing"}})
    world.docker.cli("network", "connect", "--alias", "inside", "closed", "c2")
    wait.until(lambda: "inside" in world.instances(), "the new alias is known")
    assert len(world.instances()["c2"]) == 2
    world.docker.cli("network", "disconnect", "closed", "c2")
    world.docker.cli("rename", "c1", "c3")
    world.wait_instances({"c3": {f"{first}:8080": "passing"}, "c2": {f"{second}:0": "passing"},
                           "www": {f"{first}:8080": "passing", f"{second}:0": "passing"}})
    world.docker.cli("rm", "--force", "c2")
    world.wait_instances({"c3": {f"{first}:8080": "passing"}, "www": {f"{first}:8080": "passing"}})


def test_dns_at_the_gateway_answers_them(world):
    world.create("web", "--subnet", "10.98.1.0/24", "--gateway", "10.98.1.1")
    address = world.docker.run("c1", "web", "--label", "sluice.service=api", "--label", "sluice.port=80")
    world.wait_instances({"api": {f"{address}:80": "passing"}})
    found = world.docker.cli("run", "--rm", "--network", "web", "--dns", "10.98.1.1", IMAGE, "nslookup", "api.service.consul")
    assert address in found.stdout


def test_labels(world):
    world.create("web")
    address = world.docker.run("c1", "web", "--label", "sluice.service=api", "--label", "sluice.port=81", "--expose", "80",
                               "--label", "sluice.weight=7", "--label", "sluice.check=tcp",
                               "--label", "sluice.check.interval_ms=20", "--label", "sluice.check.fall=1")
    world.wait_instances({"api": {f"{address}:81": "critical"}})  # nobody listens there
    backend, = (backend for backend in world.daemon.rpc("backend.list") if backend["service"] == "api")
    assert backend["weight"] == 7
    with traffic.tcp_server(Inside(world, "c1"), 81):
        world.wait_instances({"api": {f"{address}:81": "passing"}})
    world.wait_instances({"api": {f"{address}:81": "critical"}})
    world.docker.run("c2", "web", "--label", "sluice.service=")  # wants to be none
    other = world.docker.run("c3", "web", "--label", "com.docker.compose.service=db",
                             "--label", "com.docker.compose.project=shop")
    wait.until(lambda: world.instances().get("db") == {f"{other}:0": "passing"}, "c3 is the database")
    assert "c3" in world.instances() and "c2" not in world.instances()


def test_health_and_pause(world):
    world.create("web")
    address = world.docker.run("c1", "web", "--health-cmd", "cat /well", "--health-interval", "100ms", "--health-retries", "1")
    place = f"{address}:0"
    world.wait_instances({"c1": {place: "critical"}})
    world.docker.exec("c1", "sh", "-c", "echo >/well")
    world.wait_instances({"c1": {place: "passing"}})
    world.docker.cli("pause", "c1")
    world.wait_instances({"c1": {place: "critical"}})
    world.docker.cli("unpause", "c1")
    world.wait_instances({"c1": {place: "passing"}})
    plain = world.docker.run("c2", "web")
    world.docker.cli("pause", "c2")
    world.wait_instances({"c1": {place: "passing"}, "c2": {f"{plain}:0": "critical"}})
    world.docker.cli("unpause", "c2")
    world.wait_instances({"c1": {place: "passing"}, "c2": {f"{plain}:0": "passing"}})


def test_a_stop_drains_before_the_process_is_gone(world):
    world.create("web")
    place = f"{world.docker.run('c1', 'web', '--stop-signal', 'TERM')}:0"
    world.wait_instances({"c1": {place: "passing"}})
    world.docker.cli("kill", "--signal", "HUP", "c1")  # is no stop
    stopping = threading.Thread(target=world.docker.cli, args=("stop", "--time", "3", "c1"))  # pid 1 does not heed SIGTERM
    stopping.start()
    try:
        world.wait_instances({"c1": {place: "draining"}})
        assert world.docker.inspect("container", "c1")["State"]["Running"]
    finally:
        stopping.join()
    world.wait_instances({})
    world.docker.cli("start", "c1")
    wait.until(lambda: list(world.instances().get("c1", {}).values()) == ["passing"], "it takes part again")


def test_what_a_user_has_drained_stays_drained(world):
    world.create("web")
    world.create("other")
    address = world.docker.run("c1", "web", "--expose", "80")
    place = f"{address}:80"
    world.wait_instances({"c1": {place: "passing"}})
    world.daemon.rpc("backend.drain", service="c1", address=address, port=80)
    world.docker.cli("pause", "c1")
    world.docker.cli("unpause", "c1")
    world.docker.cli("network", "connect", "--alias", "later", "other", "c1")
    wait.until(lambda: "later" in world.instances(), "it was looked at again")
    assert world.instances()["c1"][place] == "draining"


def test_a_container_that_eats_too_much_is_away_each_time(world):
    """The kernel kills it for what it eats: its port goes, and its place in the service."""
    world.create("web")
    world.docker.start_container("c1", "web", "--memory", "16m", "--memory-swap", "16m", "--expose", "80", command=(
        "sh", "-c", "until [ -e /eat ]; do sleep 0.1; done; x=aaaaaaaa; while true; do x=$x$x; done"))
    place = f"{world.docker.address('c1', 'web')}:80"
    world.wait_instances({"c1": {place: "passing"}})
    world.docker.exec("c1", "sh", "-c", "true >/eat")
    world.wait_instances({})
    wait.until(lambda: not world.ports(), "its port is gone")
    assert world.docker.inspect("container", "c1")["State"]["OOMKilled"]
    world.docker.cli("start", "c1")  # eats again, and again it is killed
    wait.until(lambda: not world.ports() and not world.docker.inspect("container", "c1")["State"]["Running"], "it is gone again")
    world.wait_instances({})


@pytest.mark.parametrize("who", ["daemon", "docker"])
def test_either_is_killed(world, who):
    world.create("web")
    place = f"{world.docker.run('c1', 'web')}:0"
    world.wait_instances({"c1": {place: "passing"}})
    getattr(world, who).kill()
    getattr(world, who).start()
    if who == "daemon":
        world.wait_instances({"c1": {place: "passing"}})
    else:  # and with it, but for live-restore, what it ran
        world.wait_instances({})
        place = f"{world.docker.run('c2', 'web')}:0"
        world.wait_instances({"c2": {place: "passing"}})


def test_a_rolling_restart_loses_no_request(world, stack):
    network = world.create("web", "--subnet", "10.98.2.0/24", "--gateway", "10.98.2.1")
    world.daemon.rpc("service.add", name="shop", network=network, vip="10.98.2.100", port=80, protocol="tcp")
    stack.callback(world.daemon.rpc, "service.del", name="shop")
    names = ["c1", "c2", "c3"]
    for name in names:
        serve(world, name, "web", "--label", "sluice.service=shop", "--label", "sluice.port=80",
              "--label", "sluice.check=tcp", "--label", "sluice.check.interval_ms=50", "--stop-signal", "TERM")

    def all_pass():
        return sorted(world.instances().get("shop", {}).values()) == ["passing"] * 3

    wait.until(all_pass, "all three take part")
    with requests_at(world.host, "10.98.2.100", 80, RATE) as said:
        for n in range(RESTARTS):
            world.docker.cli("restart", "--time", "1", names[n % 3])
            wait.until(all_pass, f"{names[n % 3]} takes part again")
    print(said)
    assert said["failed"] == {} and said["done"] > 100
