"""Long packets: an MTU of 9000 through every kind of port that takes it, and ports of less beside them."""

import os

import pytest

from rig import traffic, uml, wait
from rig.daemon import RpcError

MTU = 9000
LONGEST = MTU - 28  # of a ping over IPv4


@pytest.fixture
def long(start_sluiced):
    """A daemon with a network of MTU 9000."""
    sluiced = start_sluiced()
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", mtu=MTU)
    return sluiced


@pytest.fixture
def veth(long, netns):
    """A namespace on a veth of MTU 9000, attached by a packet socket, at 10.1.0.20."""
    ns, device = netns("veth"), f"slm{os.getpid()}"
    ns.veth("eth0", device, MTU)
    ns.run("ip", "addr", "add", "10.1.0.20/24", "dev", "eth0")
    long.rpc("port.add", name="v1", network="web", type="af_packet", device=device, ips=["10.1.0.20"],
             mac=ns.mac("eth0"))
    long.wait_port("v1")
    return ns


def ping(source, address, size, check=True):
    return source.run("ping", "-n", "-c", "1", "-W", "5", "-M", "do", "-s", str(size), address, check=check)


def test_jumbo_frames_between_containers_and_veths(long, container, veth, requires):
    requires("ping")
    c1, c2 = container(long, "web", "c1", "10.1.0.11"), container(long, "web", "c2", "10.1.0.12")
    assert "mtu 9000" in c1.run("ip", "link", "show", "eth0").stdout
    for source, address in ((c1, c2.ip), (c1, "10.1.0.20"), (veth, c1.ip)):
        ping(source, address, LONGEST)
        assert "too long" in ping(source, address, LONGEST + 1, check=False).stderr
    for source, sink, address in ((c1, c2, c2.ip), (c1, veth, "10.1.0.20"), (veth, c1, c1.ip)):
        traffic.tcp_carries(sink, source, address)
    assert long.drops("mtu") == 0


@pytest.mark.parametrize("mask", [[], ["csum", "guest_csum", "guest_tso4", "guest_tso6", "host_tso4", "host_tso6"]],
                         ids=["offloads", "no offloads"])
def test_jumbo_frames_to_a_guest(long, container, stack, requires, mask):
    requires("linux.uml", "cpio", "busybox", "ping")
    c1 = container(long, "web", "c1", "10.1.0.11")
    path = long.vhost / "vm.sock"
    long.rpc("port.add", name="vm", network="web", type="vhost-user", socket=str(path), ips=["10.1.0.31"],
             security="off", mask=uml.MASK + mask)  # its MAC is random
    script = "mkdir /www; cp /modules/virtio_net.ko /www/blob; httpd -p 80 -h /www\n"
    guest = stack.enter_context(uml.Guest(path, "10.1.0.31/24", script, mtu=MTU))
    wait.until(lambda: guest.says("guest-script-done"), "the guest boots")
    ping(c1, "10.1.0.31", 1400)
    ping(c1, "10.1.0.31", LONGEST)
    module = next(iter(sorted(uml.Path("/usr/lib/uml/modules").glob("*/kernel/drivers/net/virtio_net.ko"))))
    got = c1.run("sh", "-c", "busybox wget -q -O - http://10.1.0.31/blob | sha256sum").stdout.split()[0]
    assert got == c1.run("sha256sum", str(module)).stdout.split()[0]
    assert long.drops("mtu") == 0


def test_a_port_of_less_is_told_of(long, container, requires):
    requires("ping")
    c1, c2 = container(long, "web", "c1", "10.1.0.11"), container(long, "web", "c2", "10.1.0.12", mtu=1500)
    traffic.wait_ping(c1, c2.ip)
    ping(c1, c2.ip, 1472)
    wait.until(lambda: "mtu=1500" in (done := ping(c1, c2.ip, 4000, check=False)).stdout + done.stderr or
               "mtu = 1500" in done.stdout, "the sender is told of the smaller MTU")
    assert long.drops("mtu") > 0
    dropped = long.drops("mtu")
    c1.run("ping", "-n", "-c", "1", "-W", "5", "-s", "4000", c2.ip)  # in fragments, since the kernel knows
    assert long.drops("mtu") == dropped


def test_a_networks_mtu_changes_with_its_ports(long, container, requires):
    requires("ping")
    c1, c2 = container(long, "web", "c1", "10.1.0.11"), container(long, "web", "c2", "10.1.0.12")
    long.rpc("network.set", name="web", mtu=2000)
    wait.until(lambda: "mtu 2000" in c1.run("ip", "link", "show", "eth0").stdout, "the interface has the new MTU")
    ping(c1, c2.ip, 1972)
    assert "too long" in ping(c1, c2.ip, 1973, check=False).stderr
    with pytest.raises(RpcError, match="mtu"):
        long.rpc("network.set", name="web", mtu=9001)
    long.rpc("network.set", name="web", mtu=MTU)
    wait.until(lambda: "mtu 9000" in c2.run("ip", "link", "show", "eth0").stdout, "and back")
    ping(c1, c2.ip, LONGEST)
