"""The daemon as a whole: every frame is accounted for, nothing is left behind, and what was made survives."""

import os
import re
import signal
import time

from rig import frames, traffic, wait
from rig.process import run


def snapshot():
    """Interfaces and namespaces of the host, without those of other test runs, which carry a pid."""
    links = {line.split(":")[1].strip().split("@")[0] for line in run(["ip", "-o", "link"]).stdout.splitlines()}
    names = links | {line.split()[0] for line in run(["ip", "netns", "list"]).stdout.splitlines()}
    return {name for name in names if not re.match(r"s[ld]\w?\d", name)}


def balance(sluiced, network):
    row = next(row for row in sluiced.rpc("stats.show") if row["network"] == network)
    return row["rx"] + row["generated"] + row["copies"], row["tx"] + row["drops"] + row["consumed"]


def test_every_copy_is_sent_dropped_or_consumed(pair, container):
    sluiced, c1, c2 = pair
    c3 = container(sluiced, "web", "c3", "10.1.0.13")
    sluiced.rpc("port.set", name="c1", security="off")  # it sends from any MAC
    sluiced.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    sluiced.rpc("backend.add", service="api", address=c2.ip, port=8080)
    traffic.http_server(c2)
    traffic.http_many(c1, "10.1.0.100", 80, 10)
    traffic.ping(c1, c2.ip)
    assert traffic.ping(c1, "10.1.0.99", count=2, check=False) == 0
    with frames.Wire(c1) as wire:
        for i in range(100):
            wire.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"flood"))
            wire.send(frames.ethernet("02:aa:00:00:00:77", "02:aa:00:00:00:01", b"unknown"))
            wire.send(frames.ethernet("02:aa:00:00:00:01", "02:aa:00:00:00:02", b"same port"))
            wire.send(frames.ethernet(c2.eth0, "01:aa:00:00:00:02", b"multicast source"))
    c3.close()
    with frames.Wire(c1) as wire:
        for i in range(100):
            wire.send(frames.ethernet(frames.BROADCAST, "02:aa:00:00:00:01", b"flood"))
    assert sluiced.drops("source-mac", "c1") == 100
    wait.until(lambda: len(set(balance(sluiced, "web"))) == 1, "rx + generated + copies = tx + drops + consumed")
    assert balance(sluiced, "web")[0] > 500


def cpu_s(pid):
    """Seconds of CPU that the process has used, all its threads."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_daemon_without_ports_sleeps(sluiced):
    wait.until(lambda: sluiced.rpc("stats.workers")[0]["state"] == "asleep", "the worker sleeps")
    used, begun = cpu_s(sluiced.process.pid), time.monotonic()
    time.sleep(1)
    used, took = cpu_s(sluiced.process.pid) - used, time.monotonic() - begun
    assert used < took / 4, f"{used} s of CPU in {took} s"
    # and wakes for what comes: a port, and its end
    sluiced.rpc("network.add", name="web")
    sluiced.rpc("port.add", name="n1", network="web", type="null")
    sluiced.rpc("port.del", name="n1")
    wait.until(lambda: sluiced.rpc("stats.workers")[0]["state"] == "asleep", "the worker sleeps again")


def test_sigterm_leaves_nothing_behind(start_sluiced, container, netns):
    before = snapshot()
    sluiced = start_sluiced()
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    sluiced.rpc("network.add", name="here", mode="host", subnet="198.18.77.0/24", gateway="198.18.77.1")
    ns = netns("c1")
    sluiced.rpc("port.add", name="c1", network="web", type="tap", netns=ns.name, ips=["10.1.0.11"])
    sluiced.rpc("port.add", name="d1", network="web", type="vhost-user", socket=str(sluiced.vhost / "d1.sock"))
    sluiced.wait_port("c1")
    assert (sluiced.vhost / "d1.sock").is_socket() and "eth0" in ns.interfaces() and "sl-here" in snapshot()
    sluiced.stop()
    assert ns.interfaces() == ["lo"]
    assert not sluiced.socket.exists() and list(sluiced.vhost.iterdir()) == []
    assert snapshot() == before


def test_objects_survive_a_kill(start_sluiced, container):
    sluiced = start_sluiced({"networks": [{"name": "fixed", "mode": "bridge"}]})
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    c1, c2 = container(sluiced, "web", "c1", "10.1.0.11"), container(sluiced, "web", "c2", "10.1.0.12")
    sluiced.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    sluiced.rpc("backend.add", service="api", address=c2.ip, port=8080)
    traffic.ping(c1, c2.ip)
    sluiced.kill()
    sluiced.start()
    assert {row["name"]: row["source"] for row in sluiced.rpc("network.list")} == {"fixed": "config", "web": "api"}
    traffic.wait_ping(c1, c2.ip)
    traffic.http_server(c2)
    assert traffic.http_get(c1, "10.1.0.100", 80) == c2.name


def test_sighup_touches_only_what_differs(start_sluiced, netns):
    ns = [netns("a"), netns("b"), netns("c")]

    def config(ports):
        return {"networks": [{"name": "web", "mode": "bridge", "subnet": "10.1.0.0/24"}],
                "ports": [{"name": f"c{i}", "network": "web", "type": "tap", "netns": ns[i].name, "ifname": "eth0",
                           "ips": [f"10.1.0.1{i}"]} for i in ports]}

    sluiced = start_sluiced(config([0, 1]))
    traffic.wait_ping(ns[0], "10.1.0.11")
    traffic.ping(ns[0], "10.1.0.11", count=5)
    counted = sluiced.port("c0")["rx_packets"]
    sluiced.write_config(config([0, 2]))
    sluiced.process.send_signal(signal.SIGHUP)
    wait.until(lambda: {port["name"] for port in sluiced.rpc("port.list")} == {"c0", "c2"}, "the new configuration")
    traffic.wait_ping(ns[0], "10.1.0.12")
    assert sluiced.port("c0")["rx_packets"] >= counted  # not made anew
    assert ns[1].interfaces() == ["lo"]
