"""Containers that come and go by the hundreds while others carry traffic: nothing of them stays, counted."""

import json
import os
import threading

import pytest

from rig import traffic, wait
from rig.daemon import Daemon
from rig.docker_api import DockerApi, container
from rig.docker_plugin import Plugin, take_interface
from rig.netns import Netns
from rig.process import open_files

ROUNDS = int(os.environ.get("SLUICE_CONTAINERS", "100"))
AT_ONCE = 10
NET = "a1" * 32
POOL = "SluiceLocal/10.30.0.0/16"


class World:
    def __init__(self, daemon, plugin, api, host):
        self.daemon, self.plugin, self.api, self.host = daemon, plugin, api, host

    def up(self, number, sandbox):
        """What `docker run -p` asks for and does; returns the address."""
        endpoint, ident = f"{number:08x}" * 8, {"NetworkID": NET, "EndpointID": f"{number:08x}" * 8}
        address = self.plugin.ipam("RequestAddress", PoolID=POOL)["Address"]
        self.plugin.network("CreateEndpoint", **ident, Interface={"Address": address})
        link = self.plugin.network("Join", **ident, SandboxKey=sandbox.path)["InterfaceName"]["SrcName"]
        self.host.do(lambda: take_interface(link, sandbox.name, address))
        self.plugin.network("ProgramExternalConnectivity", **ident, Options={
            "com.docker.network.portmap": [{"Proto": 6, "Port": 80, "HostPort": 0}] if number % 10 == 0 else []})
        self.api.containers[endpoint] = container(f"c{number}", endpoint)
        self.api.event("start", endpoint)
        return address

    def down(self, number, address):
        ident = {"NetworkID": NET, "EndpointID": f"{number:08x}" * 8}
        self.api.containers.pop(ident["EndpointID"])
        self.api.event("die", ident["EndpointID"])
        for call in ("RevokeExternalConnectivity", "Leave", "DeleteEndpoint"):
            self.plugin.network(call, **ident)
        self.plugin.ipam("ReleaseAddress", PoolID=POOL, Address=address.partition("/")[0])

    def counted(self):
        """What there is of containers, of each kind."""
        return {
            "ports": len(self.daemon.rpc("port.list")), "fdb": len(self.daemon.rpc("fdb.list")),
            "published": len(self.daemon.rpc("publish.list")), "backends": len(self.daemon.rpc("backend.list")),
            "files": open_files(self.daemon.process.pid),
            "links": len(json.loads(self.host.run("ip", "--json", "link").stdout)),
            "rules": self.host.run("nft", "list", "ruleset").stdout.count("dnat ip to"),
            "threads": len(os.listdir(f"/proc/{self.daemon.process.pid}/task"))}


@pytest.fixture
def world(stack, netns, requires, tmp_path):
    requires("ip", "nft")
    host = netns("host")
    api = stack.enter_context(DockerApi(tmp_path / "docker.sock"))
    api.networks.append(NET)
    plugin = Plugin(tmp_path / "plugin.sock")
    daemon = stack.enter_context(Daemon({"docker": {"plugin": plugin.path, "api": api.path}}, ns=host))
    assert plugin.pool(Pool="10.30.0.0/16") == POOL
    plugin.ipam("RequestAddress", PoolID=POOL, Address="10.30.0.1",
                Options={"RequestAddressType": "com.docker.network.gateway"})
    plugin.create(NET, "10.30.0.0/16", "10.30.0.1/16", {"mode": "host"})
    return World(daemon, plugin, api, host)


def turn(world, first):
    """AT_ONCE containers, that reach each other, and go."""
    numbers = range(first, first + AT_ONCE)
    boxes = [Netns("box") for _ in numbers]
    try:
        addresses = [world.up(number, box) for number, box in zip(numbers, boxes)]
        traffic.wait_ping(boxes[0], addresses[-1].partition("/")[0])
        wait.until(lambda: len(world.daemon.rpc("backend.list")) >= AT_ONCE, "all are instances")
        for number, address in zip(numbers, addresses):
            world.down(number, address)
    finally:
        for box in boxes:
            box.close()


def test_hundreds_come_and_go_while_others_carry_traffic(world, netns, stack):
    server, client = netns("server"), netns("client")
    world.up(0xfffffff0, server)
    address = world.up(0xfffffff1, client)
    stack.enter_context(traffic.tcp_server(client, 8080))
    traffic.wait_ping(server, address.partition("/")[0])
    turn(world, 1000)
    before = world.counted()
    over, rounds, wrong = threading.Event(), [], []

    def carry():
        try:
            with traffic.EchoClient(server, address.partition("/")[0], 8080) as connection:
                while not over.wait(0.01):
                    connection.echo(f"number {len(rounds)}")
                    rounds.append(1)
        except (OSError, AssertionError) as error:
            wrong.append(error)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        for first in range(2000, 2000 + ROUNDS, AT_ONCE):
            turn(world, first)
    finally:
        over.set()
        thread.join()
    assert not wrong and len(rounds) > 100  # one connection, all the while
    files = before.pop("files")  # some of them were of requests

    def is_as_before():
        now = world.counted()
        return now.pop("files") <= files and now == before

    wait.until(is_as_before, f"all is as before: {before}, {files} files")
    world.daemon.kill()
    world.daemon.start()
    wait.until(lambda: {port["state"] for port in world.daemon.rpc("port.list")} == {"up"}, "both are back")
    assert len(world.daemon.rpc("port.list")) == before["ports"]
    assert len(world.daemon.rpc("publish.list")) == before["published"]
