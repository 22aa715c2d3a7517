"""
A Linux guest in QEMU with an interface for each way of attaching one: split and packed rings, the switch as server and
as client of the socket. It boots once; ping and bulk TCP go through each interface, also while the switch is killed.
"""

import hashlib
import os
import re
import shlex
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from rig import qemu, traffic, wait
from rig.container import Container
from rig.daemon import ROOT, Daemon

pytestmark = pytest.mark.alone

CHUNK = os.urandom(1 << 16)
CHUNKS = 16  # that a stream must get through to count as working
INTO = 5000  # and the link's number: the TCP port of the guest
MODES = [("split", "server"), ("split", "client"), ("packed", "server"), ("packed", "client")]


class Link:
    """One of the guest's interfaces, and the container at the other end of its network."""

    def __init__(self, stack, daemon, number, ring, mode):
        self.number, self.name, self.label = number, f"vm{number}", f"{ring}, {mode}"
        network, self.address = f"net{number}", f"10.{number}.0.31"
        daemon.rpc("network.add", name=network, mode="bridge", subnet=f"10.{number}.0.0/24")
        self.container = stack.enter_context(Container(daemon, network, f"c{number}", f"10.{number}.0.11"))
        path, mac = daemon.vhost / f"{self.name}.sock", f"02:00:00:00:00:3{number}"
        daemon.rpc("port.add", name=self.name, network=network, type="vhost-user", socket=str(path), mac=mac,
                   ips=[self.address], mode=mode, ring=ring)
        self.nic = qemu.Nic(path, mac, server=mode == "client", packed=ring == "packed")


class World:
    """The daemon, the links and the guest."""

    def __init__(self, stack, folder):
        (folder / "chunk").write_bytes(CHUNK)
        self.daemon = stack.enter_context(Daemon())
        self.links = [Link(stack, self.daemon, number, *mode) for number, mode in enumerate(MODES, 1)]
        self.guest = stack.enter_context(qemu.Guest(
            qemu.machine([link.nic for link in self.links]), [f"{link.address}/24" for link in self.links],
            {"/chunk": folder / "chunk"}))
        self.guest.ready()
        for link in self.links:
            traffic.wait_ping(link.container, link.address)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    qemu.require()
    with ExitStack() as stack:
        yield World(stack, tmp_path_factory.mktemp("files"))


class Stream:
    """CHUNK again and again over one TCP connection until end(); `done` of them have passed."""

    def __init__(self, world, link):
        self.guest, self.link, self.done = world.guest, link, 0
        self.over = threading.Event()

    def end(self):
        self.over.set()

    def check(self):
        expected = hashlib.sha256()
        for _ in range(self.done):
            expected.update(CHUNK)
        assert self.sum() == expected.hexdigest(), f"{type(self).__name__}, {self.link.label}"


class IntoGuest(Stream):
    def begin(self):
        self.port, self.file = INTO + self.link.number, f"/tmp/sum-{self.link.name}"
        self.guest.run(f"rm -f {self.file}; (nc -l -p {self.port} </dev/null | sha256sum >{self.file}) &")
        wait.until(lambda: f":{self.port} " in self.guest.run("netstat -ltn"), "the guest listens")

    def run(self):
        with self.link.container.socket() as sock:
            sock.settimeout(wait.PATIENCE_S)
            sock.connect((self.link.address, self.port))
            while not self.over.is_set():
                sock.sendall(CHUNK)
                self.done += 1
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""

    def sum(self):
        return wait.until(lambda: self.guest.run(f"cat {self.file}"), "the guest's sum").split()[0]


class OutOfGuest(Stream):
    def begin(self):
        self.hash, self.flag = hashlib.sha256(), f"/tmp/going-{self.link.name}"
        self.listener = self.link.container.socket()
        self.listener.settimeout(wait.PATIENCE_S)
        self.listener.bind((self.link.container.ip, 0))
        self.listener.listen(1)
        self.guest.run(f"touch {self.flag}; (while [ -e {self.flag} ]; do cat /chunk; done | "
                       f"nc {self.link.container.ip} {self.listener.getsockname()[1]} >/dev/null) &")

    def end(self):
        self.guest.run(f"rm {self.flag}")

    def run(self):
        got = 0
        with self.listener, self.listener.accept()[0] as sock:
            sock.settimeout(wait.PATIENCE_S)
            while data := sock.recv(len(CHUNK)):
                self.hash.update(data)
                got += len(data)
                self.done = got // len(CHUNK)
        assert got % len(CHUNK) == 0

    def sum(self):
        return self.hash.hexdigest()


def run_streams(world, meanwhile=None):
    """A stream each way through every interface, all at once; `meanwhile` runs when each has got somewhere."""
    streams = [kind(world, link) for link in world.links for kind in (IntoGuest, OutOfGuest)]

    def wait_for_more():
        so_far = [stream.done for stream in streams]
        wait.until(lambda: all(stream.done >= n + CHUNKS or future.done()
                               for stream, n, future in zip(streams, so_far, running)), "the streams go on")

    for stream in streams:
        stream.begin()
    with ThreadPoolExecutor(len(streams)) as pool:
        running = [pool.submit(stream.run) for stream in streams]
        try:
            wait_for_more()
            if meanwhile:
                meanwhile()
                wait_for_more()
        finally:
            for stream in streams:
                stream.end()
        for future in running:
            future.result()
    for stream in streams:
        assert stream.done >= CHUNKS
        stream.check()


@pytest.mark.plain  # with sanitizers one test of a guest is enough
def test_ping_and_bulk_tcp_through_every_interface(world):
    for link in world.links:
        traffic.ping(link.container, link.address, count=20)
        traffic.ping(link.container, link.address, size=1400)
        assert "5 packets received" in world.guest.run(f"ping -c 5 -i 0.1 {link.container.ip}")
    run_streams(world)


def test_everything_goes_on_when_the_switch_was_killed(world):
    def kill():
        world.daemon.kill()
        world.daemon.start()
        for link in world.links:
            traffic.wait_ping(link.container, link.address)

    run_streams(world, kill)
    for link in world.links:
        traffic.ping(link.container, link.address, count=20)
    assert world.daemon.drops("bad-ring") == 0, world.daemon.rpc("stats.drops")


def command_line(block, vhost):
    """A command line of the how-to, its sockets in `vhost`, for a machine without KVM and with a root of our own."""
    words = shlex.split(block.replace("\\\n", " ").replace("accel=kvm:tcg", "accel=tcg"))
    drive = words.index("-drive")
    del words[drive:drive + 2]
    words = [re.sub(r"path=/run/(sluice/vhost|vms)/", f"path={vhost}/", word) for word in words]
    return [re.sub(r",vectors=\d+|$", "", word, count=1) + ",vectors=0,romfile=" if word.startswith("virtio-net-pci")
            else word for word in words]


@pytest.mark.plain  # with sanitizers one test of a guest is enough
def test_the_command_lines_of_the_how_to(sluiced, stack, container):
    qemu.require()
    page = (ROOT / "docs/howto/vm.md").read_text()
    first, second = re.findall(r"^```console\n(qemu-system.*?)^```$", page, re.MULTILINE | re.DOTALL)
    sluiced.rpc("network.add", name="lab", mode="bridge", subnet="10.5.0.0/24")
    c1 = container(sluiced, "lab", "c1", "10.5.0.11")
    sluiced.rpc("port.add", name="vm1", network="lab", type="vhost-user", mac="02:00:00:00:05:01", ips=["10.5.0.21"],
                socket=str(sluiced.vhost / "vm1.sock"))
    sluiced.rpc("port.add", name="vm2", network="lab", type="vhost-user", mac="02:00:00:00:05:02", ips=["10.5.0.22"],
                socket=str(sluiced.vhost / "vm2.sock"), mode="client", queues=2, ring="packed")
    for block, address in ((first, "10.5.0.21"), (second, "10.5.0.22")):
        with qemu.Guest(command_line(block, sluiced.vhost), [f"{address}/24"]) as guest:
            guest.ready()
            traffic.wait_ping(c1, address)
            assert "3 packets received" in guest.run(f"ping -c 3 -i 0.1 {c1.ip}")
            queues = guest.run("ls /sys/class/net/eth0/queues")
            sluiced.kill()
            sluiced.start()
            traffic.wait_ping(c1, address)
    assert "rx-1" in queues and "tx-1" in queues
