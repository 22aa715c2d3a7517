"""Projects of docker-compose on networks of Sluice."""

import json
import os
import shutil

import pytest

from rig import wait
from rig.docker_world import DRIVER, http, wait_http
from rig.dockerd import IMAGE
from rig.process import run

SUBNET = "10.99.1.0/24"


DOCKER_WORLD = {"docker": {"api": "{docker}"}}


@pytest.fixture(autouse=True, scope="module")
def compose():
    if not shutil.which("docker-compose"):
        pytest.skip("needs docker-compose, which is not installed (tools/setup --interop)")


class Project:
    def __init__(self, world, folder, name, services, networks):
        self.world, self.name = world, name
        self.file = folder / f"{name}.json"
        self.file.write_text(json.dumps({"version": "2.4", "services": services, "networks": networks}))

    def __call__(self, *words):
        return run(["env", f"DOCKER_HOST={self.world.docker.host}", "docker-compose", "--project-name", self.name, "--file",
                    self.file, "--no-ansi", *words], timeout_s=180)

    def container(self, service):
        return f"{self.name}_{service}_1"


@pytest.fixture
def project(world, tmp_path):
    """project("shop", {services}, {networks}): up. What is left of it after the test goes by Docker itself, which is quicker."""

    def up(name, services, networks=None):
        made = Project(world, tmp_path, f"{name}{os.getpid()}", services, networks or network())
        made("up", "--detach")
        return made

    return up


def network(**options):
    return {"default": {"driver": DRIVER, "driver_opts": options,
                        "ipam": {"driver": DRIVER, "config": [{"subnet": SUBNET, "gateway": "10.99.1.1"}]}}}


def service(command="exec httpd -f -p 80", **fields):
    return {"image": IMAGE, "command": ["sh", "-c", f"hostname=$$(cat /etc/hostname); echo $$hostname >/index.html; {command}"],
            **fields}


def instances(world, name):
    """Healths of a service's instances that containers are."""
    return list(world.instances().get(name, {}).values())


def test_a_project(world, project):
    shop = project("shop", {
        "db": service("sleep 1; echo >/well; exec httpd -f -p 80", hostname="db", healthcheck={
            "test": ["CMD", "cat", "/well"], "interval": "200ms", "retries": 50}),
        "app": service(expose=["80"], depends_on={"db": {"condition": "service_healthy"}}),
        "web": service(hostname="web", ports=["8080:80"], labels={"sluice.service": "front", "sluice.port": "80"},
                       depends_on={"db": {"condition": "service_healthy"}}),
    })
    wait_http(world.outside, 8080, "web")
    assert instances(world, "db") == ["passing"]  # the others waited for it
    wait.until(lambda: instances(world, "app") == ["passing"], "app is an instance")
    assert len(instances(world, "front")) == 1 and instances(world, "web") == []
    for name in ("db", "app", "web"):
        world.docker.wait_reaches(shop.container("web"), name)
    shop("up", "--detach", "--scale", "app=3")
    wait.until(lambda: instances(world, "app") == ["passing"] * 3, "there are three")
    shop("up", "--detach", "--scale", "app=1", "--timeout", "0")
    wait.until(lambda: len(instances(world, "app")) == 1, "there is one")
    shop("up", "--detach", "--force-recreate", "--timeout", "0", "web")  # the same port again
    wait_http(world.outside, 8080, "web")
    shop("down", "--timeout", "0")
    wait.until(lambda: not instances(world, "db") and not instances(world, "front"), "no instance is left")
    assert world.ports() == world.networks() == world.published() == []
    assert http(world.outside, 8080) is None


def test_two_projects_with_one_subnet(world, project):
    one = project("one", {"web": service(hostname="one", networks={"default": {"ipv4_address": "10.99.1.9"}},
                                         ports=["8081:80"])})
    two = project("two", {"web": service(hostname="two", networks={"default": {"ipv4_address": "10.99.1.9"}}),
                          "client": service("exec sleep 10000")}, network(mode="bridge"))
    world.docker.wait_reaches(two.container("client"), "web")
    assert world.docker.exec(two.container("client"), "wget", "-q", "-O", "-", "http://10.99.1.9/").stdout == "two\n"
    wait_http(world.outside, 8081, "one")
    with pytest.raises(AssertionError, match=f"this host has a route to {SUBNET}"):
        project("three", {"web": service()})  # two in the host's namespace would be in each other's way
    two("down", "--timeout", "0")
    wait_http(world.outside, 8081, "one")
    assert len(world.networks()) == 1 and one.name


def test_a_network_of_others(world, project):
    world.create("backbone")
    project("one", {"web": service(hostname="one", networks=["backbone"])}, {"backbone": {"external": True}})
    two = project("two", {"client": service("exec sleep 10000", networks=["backbone"])}, {"backbone": {"external": True}})
    world.docker.wait_reaches(two.container("client"), "web")
