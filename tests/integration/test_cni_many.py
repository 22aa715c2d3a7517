"""Many containers by CNI, one after the other and side by side: nothing of them stays, counted."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import wait
from rig.cni import Cni, CniError, Pod, left
from rig.process import open_files

IN_A_ROW, SIDE_BY_SIDE = 200, 20


@pytest.fixture
def cni(sluiced):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/23", gateway="10.1.0.1")
    return Cni(sluiced)


def held(daemon):
    """What the daemon holds for containers, but for MACs of those that are there."""
    there = {port["mac"] for port in daemon.rpc("port.list")}
    stale = [entry["mac"] for entry in daemon.rpc("fdb.list") if entry["port"] != "gateway" and entry["mac"] not in there]
    return {"files": open_files(daemon.process.pid), "left": left(daemon), "stale": stale}


def test_one_after_the_other(cni, netns):
    """Each has an alias; traffic of two others goes on meanwhile, and loses nothing."""
    with Pod(cni, "a") as a, Pod(cni, "b") as b:
        ns = netns()

        def once(number):
            cni.add(f"{number:064x}", ns, runtimeConfig={"aliases": ["db"]})
            if number % 20 == 0:
                assert ns.run("ping", "-c", "1", "-W", "10", "10.1.0.1", check=False).returncode == 0
            cni.delete(f"{number:064x}", ns)
            assert ns.interfaces() == ["lo"]
        pings = a.start("ping", "-i", "0.05", "-W", "20", b.ip)
        once(IN_A_ROW)
        wait.until(lambda: not held(cni.daemon)["stale"], "the first one's MAC is forgotten")
        before = held(cni.daemon)
        for number in range(IN_A_ROW):
            once(number)
        pings.stop(signal.SIGINT)
        assert " 0% packet loss" in pings.output(), pings.output()
        wait.until(lambda: held(cni.daemon) == before, f"nothing is held of them: {before}, {held(cni.daemon)}")
    assert left(cni.daemon) == []


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
