"""Docker's API (docker.api), which lies, repeats itself, stalls, breaks off and says too much."""

import json

import pytest

from rig import wait
from rig.daemon import Daemon
from rig.docker_api import DockerApi, container, reply
from rig.docker_plugin import EP, EP2, GATEWAY, NET, OTHER, SUBNET, endpoint, join, own_id, take_interface
from rig.process import open_files, run

C1, C2 = "1" * 64, "2" * 64


class World:
    def __init__(self, daemon, plugin, api):
        self.daemon, self.plugin, self.api = daemon, plugin, api

    def instances(self):
        return {(one["service"], f"{one['address']}:{one['port']}"): one["health"] for one in self.daemon.rpc("backend.list")}

    def wait(self, expected):
        wait.until(lambda: self.instances() == expected, f"instances are {expected}")

    def begin(self, containers):
        """What there is from now on, and the daemon knows it."""
        self.api.containers.update(containers)
        for name in containers:
            self.api.event("start", name)

    def again(self):
        """The connection breaks, and the daemon is back."""
        self.api.hang_up()
        wait.until(self.api.followers, "it follows the events again")


@pytest.fixture
def world(start, stack, tmp_path):
    """With network NET, endpoints EP at 10.1.0.9 and EP2 at 10.1.0.10, and no container."""
    api = stack.enter_context(DockerApi(tmp_path / "docker.sock"))
    api.networks.append(NET)
    daemon, plugin = start(api=api.path)
    plugin.create(NET, SUBNET, GATEWAY)
    endpoint(plugin)
    endpoint(plugin, EP2, "10.1.0.10/24")
    wait.until(api.followers, "it follows the events")
    return World(daemon, plugin, api)


ONE = {("c1", "10.1.0.9:0"): "passing"}


def test_the_api_without_the_plugin_is_refused():
    daemon = Daemon({"docker": {"api": "/run/docker.sock"}}, start=False)
    try:
        done = run([*daemon.argv(), "--check-config"], check=False)
    finally:
        daemon.close()
    assert done.returncode == 1 and "docker.api: is of no use without docker.plugin" in done.stderr


def test_events(world):
    world.begin({C1: container("c1", EP, aliases=["www", C1[:12], "c1"])})
    both = {("c1", "10.1.0.9:0"): "passing", ("www", "10.1.0.9:0"): "passing"}
    world.wait(both)
    world.api.event("kill", C1, signal="1")
    world.api.event("pause", C1)
    world.wait({key: "critical" for key in both})
    world.api.event("unpause", C1)
    world.wait(both)
    world.api.event("kill", C1, signal="15")
    world.wait({key: "draining" for key in both})
    world.api.event("pause", C1)
    world.api.event("health_status: healthy", C1)
    world.api.event("unpause", C1)
    assert world.instances() == {key: "draining" for key in both}
    world.api.event("die", C1)
    world.wait({})
    world.api.event("unpause", C1)
    world.api.event("kill", C1, signal="15")
    world.begin({C1: container("c1", EP, StopSignal="SIGQUIT", health="starting")})
    world.wait({("c1", "10.1.0.9:0"): "critical"})
    world.api.event("health_status: healthy", C1)
    world.wait(ONE)
    world.api.event("kill", C1, signal="15")
    world.api.event("health_status: unhealthy", C1)
    world.wait({("c1", "10.1.0.9:0"): "critical"})
    world.api.event("health_status: healthy", C1)
    world.wait(ONE)
    world.api.event("kill", C1, signal="3")
    world.wait({("c1", "10.1.0.9:0"): "draining"})


def test_others_containers_are_none_of_ours(world):
    world.begin({C1: container("c1", "f" * 64), C2: container("c2", EP2)})
    world.wait({("c2", "10.1.0.10:0"): "passing"})


@pytest.mark.parametrize("labels, line", [
    ({"sluice.port": "http"}, "sluice.port: must be a number in 1..65535"),
    ({"sluice.port": "0"}, "sluice.port: must be a number in 1..65535"),
    ({"sluice.weight": "-1"}, "sluice.weight: must be a number in 0..65535"),
    ({"sluice.colour": "red"}, "label sluice.colour: unknown"),
    ({"sluice.check": "dance"}, "sluice.check.type: "),
    ({"sluice.check": "tcp", "sluice.check.interval_ms": "1"}, "sluice.check.interval_ms"),
    ({"sluice.check": "tcp", "sluice.check.colour": "red"}, "label sluice.check.colour: unknown"),
    ({"sluice.service": "x" * 300}, ""),
])
def test_labels_that_are_wrong(world, labels, line):
    world.begin({C1: container("c1", EP, labels=labels)})
    world.begin({C2: container("c2", EP2)})
    world.wait({("c2", "10.1.0.10:0"): "passing"})  # c1 was looked at before, and is none
    assert line in world.daemon.log()


def test_a_list_after_a_break_is_compared(world):
    world.begin({C1: container("c1", EP), C2: container("c2", EP2)})
    world.wait({**ONE, ("c2", "10.1.0.10:0"): "passing"})
    world.api.stop()
    wait.until(lambda: "docker.api:" in world.daemon.log(), "the log says that it is away")
    assert len(world.instances()) == 2  # nobody says that they are gone
    del world.api.containers[C2]
    world.api.containers[C1] = container("c9", EP)
    world.api.start()
    world.wait({("c9", "10.1.0.9:0"): "passing"})
    wait.until(lambda: "it is back" in world.daemon.log(), "the log says that it is back")


def test_the_daemon_is_killed(world, netns):
    sandbox = netns("box")
    take_interface(join(world.plugin, sandbox.path)["InterfaceName"]["SrcName"], sandbox.name, "10.1.0.9/24")
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    world.daemon.wait_kept("eth0")
    world.daemon.kill()
    world.daemon.start()
    world.wait(ONE)


@pytest.mark.parametrize("noise", [
    b"\n", b"{}\n", b"[]\n", b"7\n", b"null\n", b"{\n", b"\xff\xfe\n", b"\0\n", b"[" * 100000 + b"\n",
    b'{"Type":"container","Action":"start","Actor":7}\n', b'{"Type":7,"Action":[]}\n',
    b'{"Type":"container","Action":"start","Actor":{"ID":"../../x"}}\n',
    b'{"Type":"container","Action":"start","Actor":{"ID":7,"Attributes":7}}\n',
    b'{"Type":"container","Action":"kill","Actor":{"ID":"' + C1.encode() + b'","Attributes":{"signal":"x"}}}\n',
    b'{"Type":"network","Action":"connect","Actor":{"ID":"x","Attributes":{"container":"' + b"y" * 5000 + b'"}}}\n',
    json.dumps({"Type": "container", "Action": "dance", "Actor": {"ID": C1}}).encode() + b"\n",
    json.dumps({"Type": "container", "Action": "start", "Actor": {"ID": "e" * 64}}).encode() + b"\n",  # there is none
], ids=range(17))
def test_lines_that_say_nothing(world, noise):
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    followers = world.api.followers()
    world.api.say(noise)
    world.api.event("pause", C1)
    world.wait({("c1", "10.1.0.9:0"): "critical"})
    assert world.api.followers() == followers


def test_lines_in_pieces_and_one_that_does_not_end(world):
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    for byte in json.dumps({"Type": "container", "Action": "pause", "Actor": {"ID": C1}}).encode() + b"\n":
        world.api.say(bytes([byte]))
    world.wait({("c1", "10.1.0.9:0"): "critical"})
    asked = len(world.api.asked)
    try:
        for _ in range(40):
            world.api.say(b"x" * 65536)
    except OSError:
        pass  # it has hung up
    wait.until(lambda: "the answer is too long" in world.daemon.log(), "it gives up")
    wait.until(lambda: any(target.startswith("/events") for target in world.api.asked[asked:]), "it begins again")
    world.wait(ONE)


@pytest.mark.parametrize("inspected", [
    b"", b"[]", b"7", b"{", {}, {"Name": 7}, {"State": []}, {"State": {"Running": 1}},
    container("c1", 7), container("c1", "x"), container("c1", EP, labels=[]), container("c1", EP, labels={"sluice.port": 7}),
    {**container("c1", EP), "NetworkSettings": {"Networks": [7]}}, container("c1", EP, ExposedPorts={"80/tcp": 7, "x/tcp": {}}),
    {**container("c1", EP), "Config": 7}, container("c1", EP, aliases=[7, None, [], ""]), container("c1", EP, StopSignal=7),
    container("c1", EP, StopSignal="SIGNOTHING"), container("c1", EP, health=7), container("x" * 5000, EP),
    container("c1", EP, ExposedPorts={"99999999999/tcp": {}, "": {}, "/": {}}),
], ids=range(21))
def test_a_container_that_is_said_to_be_odd(world, inspected):
    world.api.answers[f"/containers/{C1}/json"] = reply(inspected)
    world.begin({C1: {}, C2: container("c2", EP2)})
    wait.until(lambda: ("c2", "10.1.0.10:0") in world.instances(), "the other one is known")
    del world.api.answers[f"/containers/{C1}/json"]
    world.api.containers[C1] = container("c1", EP)
    world.again()
    world.wait({**ONE, ("c2", "10.1.0.10:0"): "passing"})


@pytest.mark.parametrize("answer", [
    b"", b"7", b"{}", b"[7, {}, []]", b'[{"Id": 7}, {"Id": "../x"}]', b"[" * 100000,
], ids=range(6))
def test_a_list_that_is_odd(world, answer):
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    world.api.answers["/containers/json"] = reply(answer)
    world.again()
    world.api.answers["/containers/json"] = reply([{"Id": C1}])
    world.again()
    world.wait(ONE)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", b"garbage\r\n\r\n", b"",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"], ids=range(4))
def test_events_that_are_refused(world, answer):
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    world.api.answers["/events"] = answer
    world.api.hang_up()
    asked = len(world.api.asked)
    wait.until(lambda: len(world.api.asked) > asked, "it tries again")
    assert world.instances() == ONE
    del world.api.answers["/events"]
    world.api.hang_up()
    world.api.containers[C1] = container("c2", EP)
    world.wait({("c2", "10.1.0.9:0"): "passing"})


def test_an_answer_that_never_comes_holds_nobody(world):
    world.api.answers[f"/containers/{C1}/json"] = None
    world.begin({C1: {}, C2: container("c2", EP2)})
    world.wait({("c2", "10.1.0.10:0"): "passing"})
    world.api.event("die", C1)
    world.api.event("pause", C2)
    world.wait({("c2", "10.1.0.10:0"): "critical"})


def test_more_names_than_there_may_be(world):
    world.begin({C1: container("c1", EP, aliases=[f"a{n}" for n in range(100)])})
    wait.until(lambda: len(world.instances()) == 64, "64 names are taken")
    assert "has more than 64 names" in world.daemon.log()
    world.api.event("die", C1)
    world.wait({})


def test_more_containers_than_there_may_be(world):
    world.api.containers.update({f"{n:064x}": container(f"c{n}", EP, labels={"sluice.service": ""}) for n in range(4200)})
    world.api.containers["f" * 64] = container("last", EP2)
    world.again()
    wait.until(lambda: "more than 4096 containers" in world.daemon.log(), "the log says that there are too many")
    asked = len(world.api.asked)
    wait.until(lambda: len(world.api.asked) > asked + 1000 or len(world.api.asked) > 4096, "it asks for them")
    world.api.containers.clear()  # others in their place, while nobody listens
    world.api.containers[C1] = container("c1", EP)
    world.again()
    world.wait(ONE)


def test_the_same_a_hundred_thousand_times(world):
    world.begin({C1: container("c1", EP)})
    world.wait(ONE)
    files = open_files(world.daemon.process.pid)
    event = json.dumps({"Type": "container", "Action": "rename", "Actor": {"ID": C1}}).encode() + b"\n"
    for _ in range(100):
        world.api.say(event * 1000)
    world.api.event("pause", C1)
    world.api.event("die", C1)
    world.wait({})
    assert len(world.api.asked) < 50000  # one at a time, and once more
    wait.until(lambda: open_files(world.daemon.process.pid) <= files + 1, "no more files are open than before")


def test_networks_that_docker_has_forgotten(world, netns):
    """Those that it knows stay, and those whose container runs."""
    world.plugin.create(OTHER, "10.2.0.0/24", "10.2.0.1/24")
    endpoint(world.plugin, "6" * 64, "10.2.0.9/24", OTHER)
    world.plugin.create("7" * 64, "10.3.0.0/24", "10.3.0.1/24")
    running = own_id("88")
    endpoint(world.plugin, running, "10.3.0.9/24", "7" * 64)
    sandbox = netns("box")
    take_interface(join(world.plugin, sandbox.path, running, "7" * 64)["InterfaceName"]["SrcName"], sandbox.name, "10.3.0.9/24")
    world.daemon.wait_kept("eth0")
    world.daemon.stop()
    world.daemon.start()
    wait.until(lambda: {network["name"] for network in world.daemon.rpc("network.list")} ==
               {f"docker-{NET[:12]}", f"docker-{'7' * 12}"}, "the forgotten one is swept", timeout_s=60)
    assert world.plugin.network("DeleteNetwork", NetworkID=OTHER) == {}
