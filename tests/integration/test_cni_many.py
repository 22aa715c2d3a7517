"""Many containers by CNI, one after the other and side by side: nothing of them stays, counted."""

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import traffic, wait
from rig.cni import Cni, CniError, Pod, left
from rig.process import open_files

pytestmark = pytest.mark.control

IN_A_ROW = int(os.environ.get("SLUICE_CONTAINERS", "100"))
SIDE_BY_SIDE, WARM_UP = 20, 20


@pytest.fixture
def cni(sluiced):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/23", gateway="10.1.0.1")
    return Cni(sluiced)


def held(daemon):
    """What the daemon holds for containers, but for MACs of those that are there."""
    there = {port["mac"] for port in daemon.rpc("port.list")}
    stale = [entry["mac"] for entry in daemon.rpc("fdb.list") if entry["port"] != "gateway" and entry["mac"] not in there]
    return {"files": open_files(daemon.process.pid), "left": left(daemon), "stale": stale}


class Busy:
    """A network in the host, of 28 addresses, with a vip; what is held for containers, of every kind."""

    def __init__(self, router):
        self.daemon, self.host = router.daemon, router.host
        self.daemon.rpc("network.add", name="web", mode="host", subnet="10.1.0.0/27", gateway="10.1.0.1", egress="masquerade")
        self.daemon.rpc("service.add", name="shop", network="web", vip="10.1.0.30", port=53, protocol="udp")
        self.cni = Cni(self.daemon)

    def life(self, number, ns, client):
        """One container: a published port, a name, an answer, now and then a connection through the vip. Then it goes."""
        container = f"{number:064x}"
        result = self.cni.add(container, ns, runtimeConfig={
            "aliases": ["db"], "portMappings": [{"hostPort": 8000, "containerPort": 80, "protocol": "tcp"}]})
        if number % 10 == 0:
            backend = {"service": "shop", "address": result["ips"][0]["address"].split("/")[0], "port": 53}
            self.daemon.rpc("backend.add", **backend)
            assert ns.run("ping", "-c", "1", "-W", "10", "10.1.0.1", check=False).returncode == 0
            with client.socket(kind=socket.SOCK_DGRAM) as asker:
                asker.sendto(b"?", ("10.1.0.30", 53))
            self.daemon.rpc("backend.del", **backend)
        self.cni.delete(container, ns)

    def counted(self):
        pid = self.daemon.process.pid
        return {**held(self.daemon), "connections": self.daemon.rpc("conn.count"), "threads": len(os.listdir(f"/proc/{pid}/task")),
                "links": len(json.loads(self.host.run("ip", "--json", "link").stdout)),
                "rules": self.host.run("nft", "list", "ruleset").stdout.count("dnat ip to")}


def test_one_after_the_other(router, netns, stack):
    """More than there are addresses, while two others talk: nothing is lost between those, and nothing stays of the many."""
    busy = Busy(router)
    with Pod(busy.cni, "a") as a, Pod(busy.cni, "b") as b:
        ns = netns()
        stack.enter_context(traffic.tcp_server(b, 7000))
        pings = a.start("ping", "-i", "0.05", "-W", "20", b.ip)
        with traffic.EchoClient(a, b.ip, 7000) as connection:
            for number in range(WARM_UP):
                busy.life(number, ns, a)
            wait.until(lambda: not held(busy.daemon)["stale"], "the first one's MAC is forgotten")
            before = busy.counted()
            for number in range(IN_A_ROW):
                busy.life(number, ns, a)
                connection.echo()
            assert ns.interfaces() == ["lo"]
        pings.stop(signal.SIGINT)
        assert " 0% packet loss" in pings.output(), pings.output()
        wait.until(lambda: busy.counted() == before, f"nothing is held of them: {before}, {busy.counted()}")
    assert left(busy.daemon) == []


def test_side_by_side(cni, stack, netns):
    """Twenty programs at a time add, ping and delete; addresses are each one's own."""
    spaces = [netns() for _ in range(SIDE_BY_SIDE)]
    before = held(cni.daemon)

    def life(number):
        for turn in range(3):
            result = cni.add(f"c{number}", spaces[number])
            address = result["ips"][0]["address"]
            ok = spaces[number].run("ping", "-c", "1", "-W", "10", "10.1.0.1", check=False).returncode == 0
            if turn < 2:
                cni.delete(f"c{number}", spaces[number])
        return address, ok
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        done = list(pool.map(life, range(SIDE_BY_SIDE)))
        assert len({address for address, _ in done}) == SIDE_BY_SIDE and all(ok for _, ok in done)
        assert len(left(cni.daemon)) == SIDE_BY_SIDE
        list(pool.map(lambda number: cni.delete(f"c{number}", spaces[number]), range(SIDE_BY_SIDE)))
    assert all(ns.interfaces() == ["lo"] for ns in spaces)
    wait.until(lambda: held(cni.daemon) == before, f"nothing is held of them: {before}, {held(cni.daemon)}")


def test_one_container_added_by_many_at_once(cni, netns):
    """Exactly one wins; the others are told, and take nothing of it away."""
    ns = netns()

    def add(_):
        try:
            return cni.add("one", ns)
        except CniError as error:
            assert error.code == 100, error
            return None
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        won = [result for result in pool.map(add, range(SIDE_BY_SIDE)) if result]
        assert len(won) == 1 and len(left(cni.daemon)) == 1
        assert ns.run("ping", "-c", "1", "-W", "10", "10.1.0.1").returncode == 0
        list(pool.map(lambda _: cni.delete("one", ns), range(SIDE_BY_SIDE)))
    assert left(cni.daemon) == [] and ns.interfaces() == ["lo"]


def test_the_daemon_is_killed_amid_it(cni, netns):
    """Whatever a crash cuts off: DEL of each, afterwards, leaves nothing."""
    spaces = [netns() for _ in range(8)]

    def life(number):
        for turn in range(30):
            for command in ("ADD", "DEL"):
                try:
                    cni.call(command, f"c{number}", spaces[number], runtimeConfig={"aliases": ["db"]})
                except CniError as error:
                    if error.code == 11:
                        return
                    assert error.code == 100, error
    with ThreadPoolExecutor(8) as pool:
        lives = [pool.submit(life, number) for number in range(8)]
        wait.until(lambda: left(cni.daemon), "some are there")
        cni.daemon.kill()
        for one in lives:
            one.result()
    cni.daemon.start()
    for number, ns in enumerate(spaces):
        cni.delete(f"c{number}", ns)
    assert left(cni.daemon) == []
    cni.daemon.stop()
    cni.daemon.start()
    assert left(cni.daemon) == []
