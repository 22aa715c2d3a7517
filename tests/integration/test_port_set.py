"""A port is changed while traffic flows through it: what needs no other interface leaves the interface alone, and loses no frame."""

import socket
import threading
import time

import pytest

from rig import traffic, wait

PORT, SO_RCVBUFFORCE = 4000, 33
ROUNDS = 50
FIELDS = [
    ("security", ["off", "mac", "full"]),
    ("allow", [["02:00:00:00:00:99 10.1.0.99"], []]),
    ("trusted", [True, False]),
    ("rate_in", ["10G", "0"]), ("rate_out", ["10G", "0"]),
    ("pps_in", [10_000_000, 0]), ("pps_out", [10_000_000, 0]),
    ("storm_pps", [5000, 10000]),
    ("mac_limit", [100, 4096]), ("mac_action", ["sticky", "flood", "drop"]),
]


class Stream:
    """Datagrams from one container to another, a few a millisecond, until finish(), which tells how many of them were lost."""

    def __init__(self, source, target):
        self._in = target.socket(kind=socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self._in.bind((target.ip, PORT))
        self._out = source.socket(kind=socket.SOCK_DGRAM)
        self._out.connect((target.ip, PORT))
        self._going, self.sent, self._seen = True, 0, set()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        while self._going:
            self._out.send(self.sent.to_bytes(4, "big"))
            self.sent += 1
            time.sleep(0.0003)
        self._out.send(b"end")

    def _receive(self):
        self._in.settimeout(wait.PATIENCE_S)
        try:
            while (data := self._in.recv(100)) != b"end":
                self._seen.add(data)
        except TimeoutError:
            pass

    def finish(self):
        self._going = False
        for thread in self._threads:
            thread.join()
        self._in.close()
        self._out.close()
        return self.sent - len(self._seen)


class Monitor:
    """What the kernel tells of c1's interface and its addresses."""

    def __init__(self, container):
        self._process = container.start("ip", "-o", "monitor", "link", "address")
        numbers = iter(range(65000, 65535))

        def hears():
            container.run("ip", "link", "set", "lo", "mtu", next(numbers))
            return "lo:" in self._process.output()

        wait.until(hears, "ip monitor listens")

    def heard(self):
        # but of IPv6: the kernel tells when it has made sure that the link-local address is its own, seconds after the start
        return "".join(line for line in self._process.output().splitlines(True) if "eth0" in line and "inet6" not in line)


@pytest.fixture
def watched(pair):
    sluiced, c1, c2 = pair
    traffic.wait_ping(c1, c2.ip)
    return sluiced, c1, c2, Monitor(c1)


@pytest.mark.alone  # a worker that waits long for its core loses what comes meanwhile
def test_what_needs_no_other_interface_touches_none(watched):
    sluiced, c1, c2, monitor = watched
    there, back = Stream(c1, c2), Stream(c2, c1)
    for turn in range(ROUNDS):
        for field, values in FIELDS:
            value = values[turn % len(values)]
            assert sluiced.rpc("port.set", name="c1", **{field: value})["state"] == "up"
    assert min(there.sent, back.sent) > ROUNDS
    assert there.finish() == 0
    assert back.finish() == 0
    assert monitor.heard() == ""
    sluiced.ctl("port", "set", "c1", "--mtu", "1400")  # the monitor hears what does change it
    wait.until(lambda: "mtu 1400" in monitor.heard(), "the kernel tells of the MTU")


def test_an_mtu_leaves_mac_and_addresses_alone(watched):
    sluiced, c1, c2, monitor = watched
    neighbours = c1.run("ip", "neigh", "show", c2.ip).stdout
    assert c2.eth0 in neighbours
    for mtu in range(1300, 1300 + ROUNDS):
        sluiced.ctl("port", "set", "c1", "--mtu", mtu)
    assert c2.eth0 in c1.run("ip", "neigh", "show", c2.ip).stdout
    sluiced.rpc("network.set", name="web", mtu=1450)
    assert c2.eth0 in c1.run("ip", "neigh", "show", c2.ip).stdout
    assert "mtu 1450" in c2.run("ip", "link", "show", "eth0").stdout  # it follows its network
    assert "mtu 1349" in c1.run("ip", "link", "show", "eth0").stdout
    assert "inet" not in monitor.heard()


def test_addresses_that_stay_are_not_made_anew(watched):
    sluiced, c1, c2, monitor = watched
    sluiced.rpc("port.set", name="c1", ips=[c1.ip, "10.1.0.77"])
    wait.until(lambda: "10.1.0.77" in monitor.heard(), "the kernel tells of the address")
    assert c1.ip + "/" not in monitor.heard()
    assert traffic.ping(c2, "10.1.0.77") == 3
    assert traffic.ping(c2, c1.ip) == 3
