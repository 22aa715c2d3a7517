"""Kinds of ports: af_packet on a veth, DPDK applications and User-Mode Linux guests by vhost-user, null, pcap."""

import os
import signal
import struct

import pytest

from rig import frames, traffic, uml, wait
from rig.process import run
from rig.dpdk_app import DpdkApp


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web" and a container c1."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    return sluiced, container(sluiced, "web", "c1", "10.1.0.11")


def vhost_port(sluiced, name, ip, **fields):
    """Adds a vhost-user port whose socket is in the test's folder; returns the path."""
    path = sluiced.vhost / f"{name}.sock"
    sluiced.rpc("port.add", {"name": name, "network": "web", "type": "vhost-user", "socket": str(path), "ips": [ip],
                             **fields})
    return path


def test_af_packet_on_a_veth_with_checksum_offload_on(web, netns):
    sluiced, c1 = web
    ns, device = netns("veth"), f"slv{os.getpid()}"
    ns.veth("eth0", device)
    ns.run("ip", "addr", "add", "10.1.0.20/24", "dev", "eth0")
    sluiced.rpc("port.add", name="v1", network="web", type="af_packet", device=device, ips=["10.1.0.20"],
                mac=ns.mac("eth0"))
    sluiced.wait_port("v1")
    traffic.wait_ping(c1, "10.1.0.20")
    traffic.ping(ns, c1.ip)
    traffic.tcp_carries(ns, c1, "10.1.0.20")
    traffic.tcp_carries(c1, ns, c1.ip)
    with traffic.udp_server(ns, 7777):
        assert traffic.udp_ask(c1, "10.1.0.20", 7777, timeout_s=10)
    sluiced.rpc("port.del", name="v1")
    assert device in run(["ip", "-o", "link"]).stdout  # the interface is not ours to delete


PACKED = ",packed_vq=1"


@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("ring, vdev", [("split", ""), ("packed", PACKED), ("packed", "")],
                         ids=["split", "packed", "split, though packed is offered"])
def test_a_dpdk_application_answers_ping(web, stack, requires, queues, ring, vdev):
    requires("dpdk-testpmd")
    sluiced, c1 = web
    mac = "02:00:00:00:00:21"
    path = vhost_port(sluiced, "d1", "10.1.0.21", mac=mac, queues=queues, ring=ring)
    assert sluiced.port("d1")["state"] == "down"
    stack.enter_context(DpdkApp(path, mac, queues=queues, vdev=vdev))
    sluiced.wait_port("d1")
    traffic.wait_ping(c1, "10.1.0.21")
    traffic.ping(c1, "10.1.0.21", count=20)
    traffic.ping(c1, "10.1.0.21", size=1400)
    assert sluiced.fdb("web")[mac]["port"] == "d1"


@pytest.mark.parametrize("vdev", ["", PACKED], ids=["split", "packed"])
def test_a_dpdk_application_that_dies_is_down_and_comes_back(web, stack, requires, vdev):
    requires("dpdk-testpmd")
    sluiced, c1 = web
    mac = "02:00:00:00:00:21"
    path = vhost_port(sluiced, "d1", "10.1.0.21", mac=mac, ring="packed")
    first = stack.enter_context(DpdkApp(path, mac, vdev=vdev))
    sluiced.wait_port("d1")
    traffic.wait_ping(c1, "10.1.0.21")
    first.kill()
    sluiced.wait_port("d1", "down")
    traffic.ping(c1, "10.1.0.1")
    stack.enter_context(DpdkApp(path, mac, vdev=vdev))
    sluiced.wait_port("d1")
    traffic.wait_ping(c1, "10.1.0.21")


def test_the_switch_as_client_of_the_socket(web, stack, requires):
    requires("dpdk-testpmd")
    sluiced, c1 = web
    mac = "02:00:00:00:00:22"
    path = vhost_port(sluiced, "d2", "10.1.0.22", mac=mac, mode="client")
    stack.enter_context(DpdkApp(path, mac, vdev=",server=1"))
    sluiced.wait_port("d2")
    traffic.wait_ping(c1, "10.1.0.22")


def test_two_dpdk_applications_beside_each_other(web, stack, requires):
    requires("dpdk-testpmd")
    sluiced, c1 = web
    for name, ip, mac in (("d1", "10.1.0.21", "02:00:00:00:00:21"), ("d2", "10.1.0.22", "02:00:00:00:00:22")):
        stack.enter_context(DpdkApp(vhost_port(sluiced, name, ip, mac=mac), mac))
        sluiced.wait_port(name)
        # told, not asked: each of them answers ARP and ping for every address and MAC that it sees
        c1.run("ip", "neigh", "replace", ip, "lladdr", mac, "dev", "eth0")
        sluiced.rpc("fdb.add", network="web", mac=mac, port=name)
        traffic.wait_ping(c1, ip)
    sluiced.rpc("port.del", name="d1")
    traffic.ping(c1, "10.1.0.22")
    assert not (sluiced.vhost / "d1.sock").exists()


def test_a_container_is_offered_no_offload_for_a_tunnel_of_its_own(pair):
    sluiced, c1, c2 = pair
    for end, other, number in ((c1, c2, 1), (c2, c1, 2)):
        end.run("ip", "link", "add", "own", "type", "vxlan", "id", "7", "local", end.ip, "remote", other.ip,
                "dstport", "4789")
        end.run("ip", "addr", "add", f"10.99.0.{number}/24", "dev", "own")
        end.run("ip", "link", "set", "own", "up")
    traffic.wait_ping(c1, "10.99.0.2")
    traffic.tcp_carries(c2, c1, "10.99.0.2")
    for reason in ("tunnel-offload", "bad-offload", "malformed", "mtu"):
        assert sluiced.drops(reason) == 0, sluiced.rpc("stats.drops")


def test_a_linux_guest_by_vhost_user(web, stack, requires):
    requires("linux.uml", "cpio")
    sluiced, c1 = web
    path = vhost_port(sluiced, "vm", "10.1.0.31", mask=uml.MASK, security="off")  # its MAC is random
    script = "ping -c 3 10.1.0.11\nhttpd -p 80 -h /www\nwget -q -O - http://10.1.0.11:8080/\n"
    blob = "0123456789abcdef" * 4096
    traffic.http_server(c1, 8080, blob + "-end-of-page")
    guest = stack.enter_context(uml.Guest(path, "10.1.0.31/24", "mkdir /www; cp /modules/virtio_net.ko /www/index.html\n" + script))
    wait.until(lambda: guest.says("guest-is-up"), "the guest boots")
    sluiced.wait_port("vm")
    wait.until(lambda: guest.says("guest-script-done"), "the guest's script ends")
    assert guest.says(" 0% packet loss"), guest.output()
    assert guest.says("-end-of-page"), guest.output()[-2000:]
    traffic.ping(c1, "10.1.0.31")
    module = next(iter(sorted(uml.Path("/usr/lib/uml/modules").glob("*/kernel/drivers/net/virtio_net.ko"))))
    page = c1.run("busybox", "wget", "-q", "-O", "-", "http://10.1.0.31/index.html", check=False)
    assert page.returncode == 0
    assert len(page.stdout) > module.stat().st_size // 4  # binary, decoded as text


def test_a_null_port_swallows_and_a_pcap_port_replays(web, tmp_path):
    sluiced, c1 = web
    sluiced.rpc("port.add", name="hole", network="web", type="null", ips=[])
    frame = frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:09", b"from the file")
    capture = tmp_path / "frames.pcap"
    capture.write_bytes(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) +
                        struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    with frames.Wire(c1) as wire:
        sluiced.rpc("port.add", name="file", network="web", type="pcap", file=str(capture), ips=[])
        assert wire.receive(frames.carries(b"from the file"))
    wait.until(lambda: sluiced.port("hole")["tx_packets"] > 0, "the null port took a copy")


def test_frames_that_find_the_packet_ring_full_are_drops_of_the_port_they_came_to(web, netns):
    sluiced, c1 = web
    ns, device = netns("veth"), f"slv{os.getpid()}"
    ns.veth("eth0", device)
    sluiced.rpc("port.add", name="v1", network="web", type="af_packet", device=device, ips=[], mac=ns.mac("eth0"))
    sluiced.wait_port("v1")
    with frames.Wire(ns, "eth0") as wire:
        sluiced.process.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            wire.send(frames.ethernet(c1.eth0, ns.mac("eth0"), b"too many"))
        sluiced.process.send_signal(signal.SIGCONT)
    wait.until(lambda: sluiced.drops("rx-overrun", "v1") > 0, "the overrun is counted")
    shown = sluiced.port("v1")
    assert shown["rx_drops"] >= sluiced.drops("rx-overrun", "v1") and shown["tx_drops"] == 0
