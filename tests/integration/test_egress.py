"""What leaves a network of mode host by the host's kernel: nothing, all under the host's address, or as the host has it."""

import socket
import subprocess

import pytest

from rig import traffic, wait
from rig.router import HOST, WORLD

def network(router, number, *words):
    net = f"10.{number}.0"
    router.daemon.ctl("network", "add", f"net{number}", "--mode", "host", "--subnet", f"{net}.0/24", "--gateway", f"{net}.1",
                     *words)


def reaches(container, address):
    return container.run("ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def test_masquerade_lets_out_and_nothing_in(router, container, stack):
    network(router, 1, "--egress", "masquerade")
    c1 = container(router.daemon, "net1", "c1", "10.1.0.11")
    assert router.forwarding() == "1" and router.tables() == ["sl-net1"]
    traffic.ping(c1, WORLD)
    stack.enter_context(traffic.tcp_server(router.world, 7000))
    with traffic.EchoClient(c1, WORLD, 7000) as connection:
        connection.echo()
    with router.world.socket(kind=socket.SOCK_DGRAM) as server, c1.socket(kind=socket.SOCK_DGRAM) as client:
        server.settimeout(20)
        client.settimeout(20)
        server.bind((WORLD, 7001))
        client.sendto(b"who am I?", (WORLD, 7001))
        data, peer = server.recvfrom(100)
        assert peer[0] == HOST
        server.sendto(b"you are", peer)
        assert client.recv(100) == b"you are"
    traffic.ping(c1, "10.1.0.1")
    router.world.run("ip", "route", "add", "10.0.0.0/8", "via", HOST)
    stack.enter_context(traffic.tcp_server(c1, 7002))
    with pytest.raises(TimeoutError), router.world.socket() as sock:
        sock.settimeout(0.5)
        sock.connect(("10.1.0.11", 7002))


def test_masquerade_of_both_families(router, container, stack):
    """Where the host forwards IPv6: that is not switched on for it."""
    router.host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
    for ns, link, address in ((router.host, "up0", "fd00:ff::1/64"), (router.world, "eth0", "fd00:ff::2/64")):
        ns.run("ip", "addr", "add", address, "dev", link, "nodad")
    router.daemon.ctl("network", "add", "net1", "--mode", "host", "--subnets", "10.1.0.0/24,fd00:1::/64", "--gateways",
                      "10.1.0.1,fd00:1::1", "--egress", "masquerade")
    c1 = container(router.daemon, "net1", "c1", ["10.1.0.11", "fd00:1::11"])
    traffic.ping(c1, WORLD)
    assert not reaches(c1, "fd00:ff::2")
    router.host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    wait.until(lambda: reaches(c1, "fd00:ff::2"), "it reaches the world, which knows no way back to it")
    router.world.run("ip", "route", "add", "fd00:1::/64", "via", "fd00:ff::1")
    assert not reaches(router.world, "fd00:1::11")


def test_networks_do_not_reach_each_other(router, container):
    network(router, 1, "--egress", "masquerade")
    network(router, 2, "--egress", "masquerade")
    network(router, 3)
    ends = [container(router.daemon, f"net{n}", f"c{n}", f"10.{n}.0.11") for n in (1, 2, 3)]
    for a in ends:
        for b in ends:
            assert reaches(a, b.ip) == (a is b), (a.ip, b.ip)
    assert "network net3: this host forwards packets" in router.daemon.log()


def test_none_forwards_nothing_on_a_host_that_does(router, container):
    router.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    router.world.run("ip", "route", "add", "10.0.0.0/8", "via", HOST)
    network(router, 1)
    network(router, 2, "--egress", "none")
    c1, c2 = (container(router.daemon, f"net{n}", f"c{n}", f"10.{n}.0.11") for n in (1, 2))
    assert reaches(c1, WORLD) and reaches(router.world, c1.ip)
    assert not reaches(c2, WORLD) and not reaches(router.world, c2.ip) and not reaches(c1, c2.ip)
    traffic.ping(c2, "10.2.0.1")
    assert router.daemon.rpc("network.show", name="net1")["egress"] == "host"


def test_it_is_set_at_run_time(router, container):
    network(router, 1, "--egress", "none")
    c1 = container(router.daemon, "net1", "c1", "10.1.0.11")
    assert not reaches(c1, WORLD)
    router.daemon.ctl("network", "set", "net1", "--egress", "masquerade")
    traffic.ping(c1, WORLD)
    router.daemon.ctl("network", "set", "net1", "--mtu", "1400")
    assert router.daemon.rpc("network.show", name="net1")["egress"] == "masquerade"
    router.daemon.ctl("network", "set", "net1", "--egress", "host")
    assert router.tables() == []
    assert not reaches(c1, WORLD)  # forwarded as it is, and the world knows no way back


def test_it_outlives_the_daemon_as_long_as_its_network(router, container):
    network(router, 1, "--egress", "masquerade")
    network(router, 2, "--egress", "none")
    router.daemon.wait_kept("net1", "net2")
    router.daemon.kill()
    assert router.tables() == ["sl-net1", "sl-net2"]
    router.host.run("nft", "add", "table", "inet", "sl-older")  # of one that was killed, and whose network is gone
    router.host.run("nft", "add", "table", "inet", "other")
    router.daemon.start()
    assert router.tables() == ["other", "sl-net1", "sl-net2"]
    c1 = container(router.daemon, "net1", "c1", "10.1.0.11")
    traffic.ping(c1, WORLD)
    router.daemon.ctl("network", "del", "net2")
    assert router.tables() == ["other", "sl-net1"]
    router.daemon.stop()
    assert router.tables() == ["other"]


@pytest.mark.parametrize("words, why", [
    (("--mode", "p2p", "--egress", "masquerade"), "egress: masquerade is not for mode p2p"),
    (("--mode", "bridge", "--egress", "host"), "egress: host is not for mode bridge"),
    (("--egress", "masquerade"), "egress: masquerade needs a subnet and a gateway"),
    (("--subnet", "fd00:9::/64", "--egress", "masquerade"), "egress: masquerade needs a subnet and a gateway"),
])
def test_what_other_modes_refuse(router, words, why):
    refused = router.daemon.ctl("network", "add", "n", *words, check=False)
    assert refused.returncode and why in refused.stderr
    assert router.daemon.rpc("network.list") == []


def test_a_refusal_of_the_host_is_told_and_nothing_is_made(router):
    """Another program has a table of that name, and lets nobody else change it."""
    owner = router.host.start("nft", "--interactive", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        owner.stdin.write("add table inet sl-net1 { flags owner; }\n")
        owner.stdin.flush()
        wait.until(lambda: router.tables() == ["sl-net1"], "the table is there")
        with pytest.raises(AssertionError, match="nftables: "):
            network(router, 1, "--egress", "masquerade")
        assert router.daemon.rpc("network.list") == []
        assert router.forwarding() == "0"
        network(router, 1)
        with pytest.raises(AssertionError, match="nftables: "):
            router.daemon.ctl("network", "set", "net1", "--egress", "none")
        assert router.daemon.rpc("network.show", name="net1")["egress"] == "host"
    finally:
        owner.stdin.close()
        owner.wait(20)
