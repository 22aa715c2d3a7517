"""sluice-cni under real runtimes: containerd by ctr, and Podman with CNI."""

import pytest

from rig import wait
from rig.cni import left
from rig.daemon import ROOT
from rig.howto import run_page
from rig.router import HOST
from rig.runtimes import Containerd, Podman


@pytest.fixture
def daemon(sluiced):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24", gateway="10.1.0.1")
    yield sluiced
    assert left(sluiced) == []


def test_containerd(daemon):
    with Containerd(daemon, "web") as containerd:
        containerd.run("one")
        containerd.run("two")
        ports = [port for port in daemon.rpc("port.list") if port["labels"]["cni.network"] == "web"]
        assert [port["labels"]["cni.container"] for port in ports] == ["default-one", "default-two"]
        for target in (ports[1]["ips"][0], "10.1.0.1"):
            assert containerd.reaches("one", target)
        assert ports[0]["mac"] in containerd.exec("one", "/bin/ip", "link", "show", "eth0").stdout
        containerd.kill("one")
        wait.until(lambda: len(left(daemon)) == 1, "the container's port is gone")
        containerd.run("one")
        assert containerd.reaches("two", ports[0]["ips"][0])


def test_podman_finds_containers_by_name(daemon):
    with Podman(daemon, "web") as podman:
        podman.run("db", network="web:alias=store")
        podman.run("front", "--ip", "10.1.0.40", "--mac-address", "02:00:00:00:00:40")
        port = next(port for port in daemon.rpc("port.list") if port["ips"] == ["10.1.0.40"])
        assert port["mac"] == "02:00:00:00:00:40"
        shown = podman.inspect("front")["NetworkSettings"]["Networks"]["web"]
        assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == ("10.1.0.40", "10.1.0.1", "02:00:00:00:00:40")
        for name in ("db", "store", "10.1.0.1"):
            assert podman.reaches("front", name), name
        assert podman.reaches("db", "front")
        podman.remove("db")
        assert [row["service"] for row in daemon.rpc("backend.list") if row["address"] != "10.1.0.40"] == []
        daemon.wait_all_kept()
        daemon.kill()
        daemon.start()
        wait.until(lambda: podman.reaches("front", "10.1.0.1"), "a container outlives a crash of the daemon")


def test_podman_publishes(router):
    router.daemon.rpc("network.add", name="lan", mode="host", subnet="10.1.0.0/24", gateway="10.1.0.1", egress="masquerade")
    with Podman(router.daemon, "lan") as podman:
        podman.run("web", "--publish", "7000:8080", "--publish", "7001-7002:9001-9002/udp")
        podman.exec("web", "/bin/sh", "-c", "echo here >/index.html; httpd -p 8080 -h /")
        wait.until(lambda: router.world.run("busybox", "wget", "-q", "-O", "-", f"http://{HOST}:7000/",
                                            check=False).stdout == "here\n", "the published port answers")
        assert sorted((row["port"], row["protocol"]) for row in router.daemon.rpc("publish.list")) == [
            (7000, "tcp"), (7001, "udp"), (7002, "udp")]
        refused = podman.cli("run", "--name", "late", "--network", "lan", "--publish", "7000:1", "box", "/bin/true", check=False)
        assert refused.returncode != 0 and "7000" in refused.stderr
        podman.remove("web")
        assert left(router.daemon) == []


def test_the_page_works(sluiced, tmp_path):
    """docs/howto/podman.md, where Podman runs containers at all."""
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24")
    with Podman(sluiced, "web"):
        pass
    run_page(ROOT / "docs/howto/podman.md", tmp_path)
