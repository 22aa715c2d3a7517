"""What leaves a network of mode bridge or overlay by an uplink, under the uplink's address: translated in the dataplane."""

import errno
import re
import socket
import struct

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.outside import BEYOND, SWITCH, WORLD, World, answered, drops, exchange
from rig.ports import free_port

@pytest.fixture
def world(stack):
    return stack.enter_context(World())


def masquerading(daemon, world, **uplink):
    """The daemon with a network "net1" that masquerades, and the world outside."""
    daemon.ctl("network", "add", "net1", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1", "--egress", "masquerade")
    world.join(daemon, **uplink)
    return daemon


@pytest.fixture
def net(sluiced, world):
    return masquerading(sluiced, world)


@pytest.fixture
def c1(net, container):
    return container(net, "net1", "c1", "10.1.0.11")


@pytest.mark.parametrize("peer", [BEYOND, WORLD])
def test_tcp_and_udp_go_out_under_the_uplinks_address(net, c1, world, stack, peer):
    stack.enter_context(traffic.tcp_server(world, 7000))
    traffic.wait_ping(c1, peer)  # the first packet to a neighbour waits for nobody
    with traffic.EchoClient(c1, peer, 7000) as connection:
        connection.echo()
    exchange(world, c1, peer, SWITCH)
    exchange(world, c1, peer, SWITCH, size=5000)


@pytest.mark.parametrize("reverse", [False, True])
def test_bulk_tcp(net, c1, world, reverse):
    traffic.tcp_carries(world, c1, BEYOND, reverse)


def test_ping_and_its_errors(net, c1, world):
    assert traffic.ping(c1, BEYOND) == 3
    assert traffic.ping(c1, BEYOND, size=1400) == 3
    c1.run("ping", "-c", "2", "-W", "20", "-s", "4000", BEYOND)  # in fragments
    world.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    world.run("ip", "link", "add", "far", "mtu", "1300", "type", "veth", "peer", "name", "farther")
    world.run("ip", "addr", "add", "203.0.113.1/24", "dev", "far")
    world.run("ip", "link", "set", "far", "up")
    told = c1.run("ping", "-M", "do", "-c", "2", "-W", "5", "-s", "1400", "203.0.113.9", check=False).stdout
    assert "mtu = 1300" in told or "mtu=1300" in told, told
    for ttl, hop in ((1, "10.1.0.1"), (2, WORLD)):
        told = c1.run("ping", "-t", str(ttl), "-c", "1", "-W", "5", "203.0.113.9", check=False).stdout
        assert f"From {hop}" in told and "Time to live exceeded" in told, told


def test_errors_about_udp_reach_the_socket(net, c1, world):
    with c1.socket(kind=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect((BEYOND, 7999))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def test_what_is_too_long_for_the_uplink_is_told(sluiced, container, world):
    masquerading(sluiced, world, mtu=1400)
    c1 = container(sluiced, "net1", "c1", "10.1.0.11")
    told = c1.run("ping", "-M", "do", "-c", "1", "-W", "5", "-s", "1450", BEYOND, check=False).stdout
    assert "From 10.1.0.1" in told and ("mtu = 1400" in told or "mtu=1400" in told), told
    traffic.tcp_carries(world, c1, BEYOND)
    with world.socket(kind=socket.SOCK_DGRAM) as server, c1.socket(kind=socket.SOCK_DGRAM) as client:
        server.settimeout(20)
        client.settimeout(20)
        server.bind((BEYOND, 7001))
        client.sendto(b"?", (BEYOND, 7001))
        client.sendto(bytes(1300), (BEYOND, 7001))
        assert [len(server.recv(2000)) for _ in range(2)] == [1, 1300]


def test_nothing_comes_in(net, c1, world, stack):
    world.run("ip", "route", "add", "10.1.0.0/24", "via", SWITCH)
    stack.enter_context(traffic.tcp_server(c1, 7002))
    before = drops(net, "not-for-us")
    for address in ("10.1.0.11", SWITCH):
        with pytest.raises(TimeoutError), world.socket() as sock:
            sock.settimeout(0.5)
            sock.connect((address, 7002))
    wait.until(lambda: drops(net, "not-for-us") >= before + 2, "both are dropped")
    assert traffic.ping(world, SWITCH) == 3


def test_a_guest_does_not_speak_for_the_host_to_other_switches(net, c1, world):
    """VXLAN under the uplink's address would be taken for this host's, and for any network's."""
    traffic.wait_ping(c1, WORLD)
    with world.socket(kind=socket.SOCK_DGRAM) as vtep, c1.socket(kind=socket.SOCK_DGRAM) as client:
        vtep.settimeout(0.5)
        vtep.bind((WORLD, 4789))
        client.sendto(b"\x08\0\0\0\0\0\x64\0" + bytes(60), (WORLD, 4789))
        wait.until(lambda: drops(net, "egress"), "it is dropped")
        with pytest.raises(TimeoutError):
            vtep.recv(100)


def test_networks_do_not_reach_each_other(net, c1, world, container):
    net.ctl("network", "add", "net2", "--subnet", "10.2.0.0/24", "--gateway", "10.2.0.1", "--egress", "masquerade")
    net.ctl("network", "add", "net3", "--subnet", "10.3.0.0/24", "--gateway", "10.3.0.1")
    c2, c3 = container(net, "net2", "c2", "10.2.0.11"), container(net, "net3", "c3", "10.3.0.11")
    assert traffic.ping(c2, BEYOND) == 3
    assert traffic.ping(c1, "10.1.0.1") == 3
    for a, b in ((c1, c2), (c2, c1), (c1, c3)):
        assert traffic.ping(a, b.ip, 1, check=False) == 0
    assert traffic.ping(c3, BEYOND, 1, check=False) == 0


def balanced(net, name):
    """Whether nothing of the network is lost from the books."""
    row = next(row for row in net.rpc("stats.show") if row["network"] == name)
    return row["rx"] + row["generated"] + row["copies"] == row["tx"] + row["drops"] + row["consumed"]


def test_containers_reach_what_is_published(net, c1, world, container, stack):
    """By the uplink's address: from its own network, from another one, and from the container itself."""
    net.ctl("network", "add", "net2", "--mode", "overlay", "--vni", "100", "--subnet", "10.2.0.0/24", "--gateway", "10.2.0.1",
            "--egress", "masquerade")
    c2, c3 = container(net, "net1", "c2", "10.1.0.12"), container(net, "net2", "c3", "10.2.0.11")
    for end in (c1, c3):
        stack.enter_context(traffic.tcp_server(end, 8080))
    net.ctl("service", "add", "api", "--network", "net1", "--vip", "10.1.0.100", "--port", "80", "--protocol", "tcp")
    net.ctl("backend", "add", "api", "10.1.0.11:8080")
    for port, to in ((7000, "10.1.0.11:8080"), (7001, "service api"), (7002, "10.2.0.11:8080"), (5201, "10.1.0.11:5201")):
        net.ctl("publish", "add", f"p{port}", "--port", str(port), "--to", to)
    for client in (world, c2, c3, c1):
        for port, server in ((7000, c1), (7001, c1), (7002, c3)):
            with traffic.EchoClient(client, SWITCH, port, timeout_s=20) as connection:
                assert connection.name == server.name, (client.name, port)
                connection.echo()
    traffic.tcp_carries(c1, c3, SWITCH)
    before = drops(net, "egress")
    with pytest.raises(TimeoutError):
        traffic.EchoClient(c3, SWITCH, 7009, timeout_s=0.5)
    assert drops(net, "egress") > before
    for name in ("net1", "net2"):
        wait.until(lambda: balanced(net, name), f"the counters of {name} add up")
    with pytest.raises(OSError):  # nor does a network from which nothing leaves
        net.ctl("network", "set", "net2", "--egress", "none")
        traffic.EchoClient(c3, SWITCH, 7000, timeout_s=0.5)


def test_an_overlay_leaves_too(sluiced, world, container, stack):
    sluiced.ctl("network", "add", "net1", "--mode", "overlay", "--vni", "100", "--subnet", "10.1.0.0/24", "--gateway",
                "10.1.0.1", "--egress", "masquerade")
    world.join(sluiced)
    c1 = container(sluiced, "net1", "c1", "10.1.0.11")
    traffic.wait_ping(c1, WORLD)
    traffic.tcp_carries(world, c1, BEYOND)
    traffic.tcp_carries(world, c1, BEYOND, reverse=True)
    sluiced.ctl("publish", "add", "web", "--port", "7000", "--to", "10.1.0.11:8080")
    stack.enter_context(traffic.tcp_server(c1, 8080))
    with traffic.EchoClient(world, SWITCH, 7000) as connection:
        connection.echo()


def test_connections_are_listed_and_counted(start_sluiced, container, world, stack):
    http = free_port()
    net = masquerading(start_sluiced({"control": {"http": f"127.0.0.1:{http}"}}), world)
    c1 = container(net, "net1", "c1", "10.1.0.11")
    stack.enter_context(traffic.tcp_server(world, 7000))
    stack.enter_context(traffic.tcp_server(c1, 8080))
    net.ctl("publish", "add", "web", "--port", "7001", "--to", "10.1.0.11:8080")
    traffic.wait_ping(c1, BEYOND)
    with traffic.EchoClient(c1, BEYOND, 7000) as out, traffic.EchoClient(world, SWITCH, 7001) as into:
        out.echo()
        into.echo()
        rows = {row["backend"]: row for row in net.rpc("conn.list") if row["protocol"] == "tcp"}
        row = rows[f"{BEYOND}:7000"]
        assert row["client"] == f"10.1.0.11:{out.sock.getsockname()[1]}" and row["network"] == "net1"
        assert row["outside"].startswith(f"{SWITCH}:") and int(row["outside"].split(":")[1]) >= 16384
        assert (row["service"], row["vip"], row["state"]) == (None, None, "established") and row["packets"] > 4
        row = rows["10.1.0.11:8080"]
        assert (row["client"], row["outside"]) == (f"{WORLD}:{into.sock.getsockname()[1]}", f"{SWITCH}:7001")
        assert [row["protocol"] for row in net.rpc("conn.list", client="10.1.0.11")] in (["icmp", "tcp"], ["tcp"])
        assert f"{BEYOND}:7000" in net.ctl("conn", "list").stdout
        page = Consul(http).request("GET", "/metrics").text
        found = re.search(r'sluice_network_egress_connections{network="net1"} (\d+)', page)
        assert int(found[1]) == net.rpc("network.show", name="net1")["egress_connections"] >= 2


def test_it_is_set_at_run_time_and_shown(sluiced, container, world):
    sluiced.ctl("network", "add", "net1", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1")
    world.join(sluiced)
    c1 = container(sluiced, "net1", "c1", "10.1.0.11")
    assert traffic.ping(c1, BEYOND, 1, check=False) == 0
    sluiced.ctl("network", "set", "net1", "--egress", "masquerade")
    sluiced.ctl("network", "set", "net1", "--mtu", "1400")
    assert traffic.ping(c1, BEYOND) == 3
    shown = sluiced.rpc("network.show", name="net1")
    assert shown["egress"] == "masquerade" and shown["egress_connections"] == 1
    sluiced.ctl("network", "set", "net1", "--egress", "none")
    assert traffic.ping(c1, BEYOND, 1, check=False) == 0


def test_connections_live_through_changes_elsewhere_and_end_with_the_daemon(net, c1, world, stack, container):
    stack.enter_context(traffic.tcp_server(world, 7000))
    with traffic.EchoClient(c1, BEYOND, 7000) as connection:
        container(net, "net1", "c2", "10.1.0.12")
        net.ctl("network", "add", "net2", "--subnet", "10.2.0.0/24", "--gateway", "10.2.0.1", "--egress", "masquerade")
        connection.echo()
        net.wait_kept("net1", "up0", "c1")
        net.kill()
        net.start()
        net.wait_port("c1")
        net.wait_port("up0")
        traffic.wait_ping(c1, BEYOND)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.echo()  # its port outside is another one now, which the peer refuses
    with traffic.EchoClient(c1, BEYOND, 7000) as connection:
        connection.echo()


ROUTER = bytes.fromhex("02534c000001")


def flows_of(mac, sources):
    """Frames of a datagram from each port of each address to WORLD:7001, through the gateway."""
    for source in sources:
        for port in range(1024, 65536):
            udp = struct.pack("!HHHH", port, 7001, 9, 0) + b"x"
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(source),
                             socket.inet_aton(WORLD))
            total = sum(struct.unpack("!10H", ip))
            total = (total & 0xffff) + (total >> 16)
            yield ROUTER + mac + b"\x08\0" + ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:] + udp


def send_all(raw, frames):
    for frame in frames:
        try:
            raw.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


@pytest.mark.parametrize("conn_size", [16384, 262144])  # its share of the table, a fourth, ends first, or the ports do
def test_a_guest_that_takes_every_port_leaves_its_neighbour_some(start_sluiced, world, container, stack, conn_size):
    """129,024 flows to one destination, more than an address has ports."""
    net = masquerading(start_sluiced({"dataplane": {"conn_size": conn_size}}), world)
    c1 = container(net, "net1", "c1", "10.1.0.11", security="off")
    c2 = container(net, "net1", "c2", "10.1.0.12")
    traffic.wait_ping(c1, WORLD)
    stack.enter_context(traffic.udp_server(world, 7001))
    raw = stack.enter_context(c1.do(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)))
    raw.bind(("eth0", 0))
    frames = list(flows_of(bytes.fromhex(c1.eth0.replace(":", "")), ["10.1.0.11", "10.1.0.13"]))

    for _ in range(20):  # what finds the interface's queue full is lost
        send_all(raw, frames)
        if drops(net, "nat-ports"):
            break
    assert drops(net, "nat-ports")
    for _ in range(5):
        wait.until(lambda: answered(c2, WORLD, 7001), "a neighbour is answered")
    assert net.rpc("network.show", name="net1")["egress_connections"] <= conn_size // 4 + 10


def test_the_host_itself_on_the_link_of_a_tap(start_sluiced, netns, container, stack):
    """An uplink that is a TAP of the host's: the host is its neighbour, reaches what is published, and forwards what leaves."""
    host = netns("host")
    net = start_sluiced(ns=host)
    net.ctl("network", "add", "net1", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1", "--egress", "masquerade")
    net.rpc("uplink.add", name="up0", type="tap", ifname="out0", address=f"{SWITCH}/24",
            gateway=WORLD)
    host.run("ip", "addr", "add", f"{WORLD}/24", "dev", "out0")
    host.run("ip", "link", "set", "out0", "up")
    c1 = container(net, "net1", "c1", "10.1.0.11")
    stack.enter_context(traffic.tcp_server(c1, 8080))
    stack.enter_context(traffic.tcp_server(host, 7002))
    net.ctl("publish", "add", "web", "--port", "7000", "--to", "10.1.0.11:8080")
    traffic.wait_ping(c1, WORLD)
    with traffic.EchoClient(host, SWITCH, 7000) as into, traffic.EchoClient(c1, WORLD, 7002) as out:
        into.echo()
        out.echo()
