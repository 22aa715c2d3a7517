"""A dockerd and a daemon that is its driver, in a host of their own, with one neighbour outside."""

import json
import os
from contextlib import contextmanager, ExitStack
from pathlib import Path

import pytest

from rig import traffic, wait
from rig.daemon import Daemon
from rig.dockerd import Dockerd
from rig.netns import Netns
from rig.router import HOST, connect_outside

DRIVER = f"sluice{os.getpid()}"
SOCKET = Path(f"/run/docker/plugins/{DRIVER}.sock")


class World:
    """`host` is where both run; `outside` reaches the host, and no container by its address."""

    def __init__(self, daemon, docker, host, outside):
        self.daemon, self.docker, self.host, self.outside = daemon, docker, host, outside
        self.address = HOST

    def create(self, name, *options, ipam=True):
        """A network, with addresses by Sluice; returns the daemon's name of it."""
        found = self.docker.out("network", "create", "--driver", DRIVER, *(("--ipam-driver", DRIVER) if ipam else ()),
                                *options, name)
        return f"docker-{found[:12]}"

    def ports(self, network=None):
        return [port for port in self.daemon.rpc("port.list") if port["name"].startswith("docker-")
                and network in (None, port["network"])]

    def networks(self):
        return [network for network in self.daemon.rpc("network.list") if network["source"] == "docker"]

    def published(self):
        return self.daemon.rpc("publish.list")

    def instances(self):
        """{service: {address: health}} of all that Docker's containers are."""
        found = {}
        for backend in self.daemon.rpc("backend.list"):
            if backend["source"] == "docker":
                found.setdefault(backend["service"], {})[f"{backend['address']}:{backend['port']}"] = backend["health"]
        return found

    def wait_instances(self, expected):
        wait.until(lambda: self.instances() == expected, f"instances are {expected}")

    def tables(self):
        """nftables' tables of networks of the daemon."""
        entries = json.loads(self.host.run("nft", "--json", "list", "tables").stdout)["nftables"]
        return sorted(entry["table"]["name"] for entry in entries if entry.get("table", {}).get("name", "").startswith("sl-"))

    def links(self):
        """Names of the host's interfaces."""
        return sorted(link["ifname"] for link in json.loads(self.host.run("ip", "--json", "link").stdout))

    def clear(self):
        """Both run, and have nothing."""
        if self.daemon.process is None:
            self.daemon.start()
        if not self.docker.process.running():
            self.docker.start()
        self.docker.clear()
        assert self.ports() == self.networks() == self.published() == self.tables() == []
        self.wait_instances({})


@contextmanager
def docker_world(rules=False, **config):
    """
    `config`: of the daemon; its "docker" part is laid over the driver's own. {docker}: the socket of Docker's API. With
    `rules` Docker has its own bridge and its iptables, as it is by default, and drops what is forwarded and is not its own.
    """
    with ExitStack() as stack:
        host, outside = stack.enter_context(Netns("host")), stack.enter_context(Netns("outside"))
        connect_outside(host, outside)
        docker = stack.enter_context(Dockerd(host, rules))
        parts = {"plugin": str(SOCKET), **config.pop("docker", {})}
        parts = {name: value.format(docker=docker.socket) for name, value in parts.items()}
        daemon = stack.enter_context(Daemon({"docker": parts, **config}, ns=host))
        yield World(daemon, docker, host, outside)


class Inside(Netns):
    """The namespace of a container that runs, for the traffic of tests."""

    def __init__(self, world, name):
        self.name = name
        self.path = f"/proc/{world.docker.inspect('container', name)['State']['Pid']}/ns/net"


def http(ns, port, address=HOST):
    """What is answered to a request from a namespace, None: nothing is."""
    try:
        return traffic.http_get(ns, address, port, timeout_s=2).strip()
    except OSError:
        return None


def serve(world, name, network, *options):
    """A container whose port 80 answers with its name."""
    world.docker.start_container(name, network, *options, command=(
        "sh", "-c", f"echo {name} >/index.html; exec httpd -f -p 80"))


def wait_http(ns, port, text, address=HOST):
    wait.until(lambda: http(ns, port, address) == text, f"{text} answers {ns.name} at {address}:{port}")
