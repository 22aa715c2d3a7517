"""Switching between containers: learning, flooding, isolation, ageing, static entries, ports that come and go."""

import threading

from rig import frames, traffic, wait


def let_be_anybody(sluiced, *names):
    """These containers send from MACs that no port was given."""
    for name in names:
        sluiced.rpc("port.set", name=name, security="off")


def test_two_containers_reach_each_other(pair, requires):
    requires("iperf3")
    sluiced, c1, c2 = pair
    traffic.ping(c1, c2.ip)
    traffic.ping(c2, c1.ip, size=1472)
    traffic.tcp_carries(c2, c1, c2.ip)
    assert traffic.udp_flood(c2, c1, c2.ip, "5M") < 50
    assert sluiced.drops("bad-offload") == 0 and sluiced.drops("malformed") == 0


def test_counters_are_the_switchs_view(pair):
    sluiced, c1, c2 = pair
    before = sluiced.port("c1")
    traffic.ping(c1, c2.ip, count=10)
    after = sluiced.port("c1")
    assert after["rx_packets"] - before["rx_packets"] >= 10
    assert after["tx_packets"] - before["tx_packets"] >= 10
    assert after["rx_bytes"] - before["rx_bytes"] >= 10 * 98


def test_unicast_is_flooded_until_learned_then_goes_to_one_port(pair, container):
    sluiced, c1, c2 = pair
    c3 = container(sluiced, "web", "c3", "10.1.0.13", security="off")
    let_be_anybody(sluiced, "c1", "c2")
    with frames.Wire(c1) as w1, frames.Wire(c2) as w2, frames.Wire(c3) as w3:
        stranger = "02:aa:00:00:00:02"
        w1.send(frames.ethernet(stranger, "02:aa:00:00:00:01", b"to a stranger"))
        assert w2.receive(frames.carries(b"to a stranger")) and w3.receive(frames.carries(b"to a stranger"))

        w2.send(frames.ethernet("02:aa:00:00:00:01", stranger, b"here I am"))
        assert w1.receive(frames.carries(b"here I am"))
        assert sluiced.fdb("web")[stranger]["port"] == "c2"
        assert sluiced.fdb("web")["02:aa:00:00:00:01"]["port"] == "c1"

        w1.send(frames.ethernet(stranger, "02:aa:00:00:00:01", b"now known"))
        assert w2.receive(frames.carries(b"now known"))
        w1.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"after it"))
        assert w3.receive(frames.carries(b"after it"))  # whatever came before it has arrived
        assert not w3.waiting(frames.carries(b"now known")) and not w3.waiting(frames.carries(b"here I am"))


def test_no_frame_goes_back_where_it_came_from(pair):
    sluiced, c1, c2 = pair
    let_be_anybody(sluiced, "c1", "c2")
    with frames.Wire(c1) as w1, frames.Wire(c2) as w2:
        w1.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"there it goes"))
        w1.send(frames.ethernet("02:aa:00:00:00:77", "02:aa:00:00:00:01", b"there it goes"))
        w1.send(frames.ethernet("02:aa:00:00:00:01", "02:aa:00:00:00:03", b"there it goes"))
        w2.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:02", b"the last one"))
        assert w1.receive(frames.carries(b"the last one"))
        assert not w1.waiting(frames.carries(b"there it goes"))
        assert len(w2.waiting(frames.carries(b"there it goes"))) == 2
    assert sluiced.drops("same-port", "c1") == 1


def test_networks_with_the_same_subnet_are_isolated(sluiced, container):
    inside = {}
    for network in ("red", "blue"):
        sluiced.rpc("network.add", name=network, mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
        inside[network] = [container(sluiced, network, f"{network}{i}", f"10.1.0.1{i}", security="off") for i in (1, 2)]
    for one, two in inside.values():
        traffic.ping(one, two.ip)
        traffic.ping(one, "10.1.0.1")
    with frames.Wire(inside["red"][0]) as red, frames.Wire(inside["red"][1]) as red2, \
            frames.Wire(inside["blue"][0]) as blue:
        red.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"red only"))
        red.send(frames.ethernet(inside["blue"][0].eth0, "02:aa:00:00:00:01", b"red only"))
        assert red2.receive(frames.carries(b"red only")) and red2.receive(frames.carries(b"red only"))
        traffic.ping(inside["blue"][1], "10.1.0.11")
        assert not blue.waiting(frames.carries(b"red only"))
    assert set(sluiced.fdb("red")).isdisjoint(set(sluiced.fdb("blue")) - {"02:53:4c:00:00:01"})


def test_entries_age(sluiced, container):
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", age_s=1)
    c1 = container(sluiced, "web", "c1", "10.1.0.11", security="off")
    container(sluiced, "web", "c2", "10.1.0.12")
    with frames.Wire(c1) as wire:
        wire.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"hello"))
        wait.until(lambda: "02:aa:00:00:00:01" in sluiced.fdb("web"), "the MAC is learned")
        wait.until(lambda: "02:aa:00:00:00:01" not in sluiced.fdb("web"), "the MAC is forgotten")


def test_static_entries_and_flush(pair):
    sluiced, c1, c2 = pair
    mac = "02:aa:00:00:00:05"
    let_be_anybody(sluiced, "c1", "c2")
    sluiced.rpc("fdb.add", network="web", mac=mac, port="c2")
    with frames.Wire(c1) as w1, frames.Wire(c2) as w2:
        w1.send(frames.ethernet(frames.BROADCAST, mac, b"I moved"))
        assert w2.receive(frames.carries(b"I moved"))
    entry = sluiced.fdb("web")[mac]
    assert entry["static"] is True and entry["port"] == "c2"

    traffic.ping(c1, c2.ip)
    assert c1.eth0 in sluiced.fdb("web")
    sluiced.rpc("fdb.flush", network="web")
    assert [mac for mac, entry in sluiced.fdb("web").items() if not entry["static"]] == []
    assert mac in sluiced.fdb("web")
    sluiced.rpc("fdb.del", network="web", mac=mac)
    assert mac not in sluiced.fdb("web")
    traffic.ping(c1, c2.ip)


def test_ports_come_and_go_without_loss_elsewhere(pair, netns):
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    other = netns("other")
    over = threading.Event()
    failures = []

    def churn():
        try:
            while not over.is_set():
                sluiced.rpc("port.add", name="other", network="web", type="tap", netns=other.name, ifname="eth0")
                sluiced.rpc("port.del", name="other")
        except Exception as error:  # shown by the test
            failures.append(error)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        traffic.ping(c1, c2.ip, count=300, interval_s=0.01)
    finally:
        over.set()
        thread.join()
    assert not failures
    assert other.interfaces() == ["lo"]


def test_a_container_that_goes_takes_its_port_down(pair):
    sluiced, c1, c2 = pair
    traffic.ping(c1, c2.ip)
    c2.close()
    sluiced.wait_port("c2", "waiting")
    assert traffic.ping(c1, c2.ip, count=1, check=False) == 0
    sluiced.rpc("port.del", name="c2")


def test_p2p_joins_two_ports_and_learns_nothing(sluiced, container):
    sluiced.rpc("network.add", name="wire", mode="p2p", subnet="10.2.0.0/24")
    c1 = container(sluiced, "wire", "c1", "10.2.0.1")
    c2 = container(sluiced, "wire", "c2", "10.2.0.2")
    traffic.ping(c1, c2.ip)
    assert sluiced.fdb("wire") == {}
