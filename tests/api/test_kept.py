"""What is kept is kept: files that are damaged, and disks that are full or fail."""

import errno
import json
import os
import random
import re
import subprocess
import time

import pytest

from rig import wait
from rig.consul import Consul
from rig.daemon import Connection, Daemon, program
from rig.disk import FailingDisk, SmallDisk
from rig.ports import free_port

FILES = ("state.log", "registry.log")

plain = pytest.mark.plain  # a disk that fails is a library laid before libc's calls, which AddressSanitizer excludes


def start(stack, ns=None):
    """A daemon that is not started yet, and its HTTP API."""
    port = free_port()
    daemon = stack.enter_context(Daemon({"control": {"http": f"127.0.0.1:{port}", "node": "edge1"}}, start=False, ns=ns))
    return daemon, Consul(port)


def make(daemon, consul):
    daemon.rpc("network.add", name="web", subnet="10.1.0.0/24")
    for number in range(5):
        daemon.rpc("port.add", name=f"n{number}", network="web", type="null", ips=[f"10.1.0.{number + 10}"])
        consul.register("api", ID=f"a{number}", Address=f"10.1.0.{number + 10}", Port=80, Tags=[f"t{number}"])
        assert consul.put(f"kv/key{number}", f"value {number}").status == 200
    daemon.rpc_durable("port.del", name="n4")
    consul.deregister("a4")
    assert consul.put("kv/last", "x", durable=None).status == 200


def picture(daemon, consul):
    ports = [(port["name"], port["ips"]) for port in daemon.rpc("port.list")]
    services = sorted((entry["ServiceID"], entry["ServiceAddress"], tuple(entry["ServiceTags"]))
                      for entry in consul.get("catalog/service/api").json)
    return ports, services, consul.get("kv/key", keys=None).json, consul.get("kv/key3", raw=None).text


def run_to_its_end(daemon, *args):
    """What the daemon says when it does not start, or repairs."""
    return subprocess.run([str(arg) for arg in (*daemon.argv(), *args)], capture_output=True, text=True, timeout=60)


def refused(daemon, path):
    """The line of the file that a start names."""
    done = run_to_its_end(daemon)
    assert done.returncode == 1, done
    said = re.search(rf'^sluiced: {re.escape(str(path))}:(\d+): damaged: .*; "sluiced --repair" keeps what is sound$',
                     done.stderr, re.MULTILINE)
    assert said, done.stderr
    return int(said[1])


def repair(daemon):
    done = run_to_its_end(daemon, "--repair")
    assert done.returncode == 0 and not done.stderr, done
    return {name: line for name in FILES for line in done.stdout.splitlines() if f"/{name}: " in line}


@pytest.fixture
def kept(stack):
    """(daemon, api, what it showed) of a daemon that has ended; all of it is in its files."""
    daemon, consul = start(stack)
    daemon.start()
    make(daemon, consul)
    before = picture(daemon, consul)
    daemon.stop()
    daemon.start()
    assert picture(daemon, consul) == before
    daemon.stop()
    return daemon, consul, before


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_keeps_the_daemon_from_starting(kept, name):
    daemon, consul, before = kept
    path, dice = daemon.state / name, random.Random(name)
    whole = path.read_bytes()
    for _ in range(12):
        spoiled = bytearray(whole)
        bit = dice.randrange(8 * len(whole))
        spoiled[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoiled)
        line = whole[:bit // 8].count(b"\n") + 1
        assert refused(daemon, path) == line
        assert path.read_bytes() == spoiled  # left as it was
    said = repair(daemon)
    lines = whole.count(b"\n")
    assert re.search(rf"{name}: ({lines - 1}|{lines - 2}) lines kept", said[name]), said
    other = FILES[1 - FILES.index(name)]
    assert re.search(rf"{other}: sound, \d+ lines$", said[other]), said
    daemon.start()
    now = picture(daemon, consul)
    for had, has in zip(before[:3], now[:3]):  # a line is lost at most, or one that took something away
        assert len(set(map(str, had)) ^ set(map(str, has))) <= 2, (before, now)
    daemon.stop()
    assert path.with_name(f"{name}.damaged-1").exists() == ("put aside in" in said[name])


def test_lines_that_were_moved_are_refused_and_put_right(kept):
    daemon, consul, before = kept
    path = daemon.state / "registry.log"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3], lines[5] = lines[5], lines[3]
    path.write_bytes(b"".join(lines))
    assert refused(daemon, path) == 4
    assert f"{path}: {len(lines) - 1} lines kept, 0 missing, 0 put aside" in repair(daemon)["registry.log"]
    daemon.start()
    assert picture(daemon, consul) == before


def test_a_line_that_is_gone_is_missed(kept):
    daemon, _, _ = kept
    path = daemon.state / "state.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert refused(daemon, path) == 3
    assert ", 1 missing, 0 put aside" in repair(daemon)["state.log"]
    daemon.start()


def test_only_what_a_crash_tears_is_cut(kept):
    daemon, consul, before = kept
    daemon.start()
    assert picture(daemon, consul) == before
    assert consul.put("kv/torn", "x", durable=None).status == 200
    daemon.stop()
    path = daemon.state / "registry.log"
    whole = path.read_bytes()
    assert b"kv/torn" in whole.splitlines()[-1]
    last = whole[:-1].rindex(b"\n") + 1
    for cut in random.Random(3).sample(range(last + 1, len(whole)), 6):
        path.write_bytes(whole[:cut])
        daemon.start()
        assert "the end is torn, as after a crash, and was cut off" in daemon.log()
        assert picture(daemon, consul) == before
        daemon.stop()


def test_a_repair_waits_for_the_daemon_to_end_and_makes_no_directory(kept):
    daemon, _, _ = kept
    daemon.start()
    done = run_to_its_end(daemon, "--repair")
    assert done.returncode == 1 and "another sluiced uses it" in done.stderr
    nowhere = daemon.dir / "nowhere"
    done = subprocess.run([program("sluiced"), "--repair", "--state", nowhere], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "No such file or directory" in done.stderr and not nowhere.exists()


def test_check_config_does_not_read_what_is_kept(kept):
    daemon, _, _ = kept
    (daemon.state / "state.log").write_bytes(b"nonsense")
    assert run_to_its_end(daemon, "--check-config").returncode == 0


def not_kept(daemon):
    return {entry["file"]: entry["why"] for entry in daemon.rpc("status")["not_kept"]}


def metric(consul, file):
    page = consul.request("GET", "/metrics").text
    return int(re.search(rf'^sluice_not_kept{{file="{re.escape(file)}"}} (\d)$', page, re.MULTILINE)[1])


def changes_go_on(daemon, consul, why):
    """Neither file takes anything: everything is done all the same, and each answer says that it is not kept."""
    daemon.rpc("network.add", name="first")
    assert consul.register("first").status == 200
    for number in range(60):  # over what is left of the last block of each file
        daemon.rpc("network.add", name=f"pad{number}")
    assert consul.put("kv/pad", "x" * 8192).status == 200
    wait.until(lambda: set(not_kept(daemon)) == set(FILES), "status says that nothing is kept")
    assert set(not_kept(daemon).values()) == {why}
    assert daemon.rpc("network.add", name="later")["not_kept"] == why
    reply = consul.register("later", ID="later", Check={"TTL": "60s"})
    assert reply.headers["X-Sluice-Not-Kept"] == why
    reply = consul.put("agent/service/register", {"Name": "durable"}, durable=None)
    assert reply.status == 507 and reply.text == f"done, but not kept: {why}", reply
    assert consul.put("agent/check/pass/service:later").status == 200
    assert [entry["Checks"][-1]["Status"] for entry in consul.get("health/service/later").json] == ["passing"]
    done = daemon.ctl("network", "add", "last")
    assert f"done, but not kept for the daemon's next start: {why}" in done.stderr
    assert "X-Sluice-Not-Kept" not in consul.get("catalog/services").headers
    assert [metric(consul, file) for file in FILES] == [1, 1]
    log = daemon.log()
    for file in FILES:
        assert log.count(f"{file}: {why}: changes are in effect but not kept") == 1, log


def everything_is_kept_again(daemon, consul):
    wait.until(lambda: not not_kept(daemon), "status says that all is kept", timeout_s=30)
    assert [metric(consul, file) for file in FILES] == [0, 0]
    assert consul.put("agent/service/register", {"Name": "durable"}, durable=None).status == 200
    assert "not_kept" not in daemon.rpc("network.add", name="after")
    daemon.wait_kept("after")
    daemon.kill()  # what is not on the disk now is lost
    daemon.start()
    assert {network["name"] for network in daemon.rpc("network.list")} >= {"first", "later", "last", "after"}
    assert set(consul.get("catalog/services").json) >= {"consul", "first", "later", "durable"}


def test_a_full_disk(stack, requires):
    requires("unshare", "nsenter")
    daemon, consul = start(stack)
    disk = stack.enter_context(SmallDisk(daemon.state))
    daemon.ns, inside, daemon.state = disk, daemon.state, disk.path
    daemon.argv = lambda: [part if part != disk.path else inside for part in Daemon.argv(daemon)]
    daemon.start()
    make(daemon, consul)
    before = picture(daemon, consul)
    disk.fill()
    changes_go_on(daemon, consul, os.strerror(errno.ENOSPC))
    disk.empty()
    everything_is_kept_again(daemon, consul)
    assert picture(daemon, consul) == before
    assert not [path for path in disk.path.iterdir() if path.name.endswith(".new")]


def test_a_disk_that_is_full_for_long_fills_no_memory_and_loses_nothing(stack, requires):
    """Keys that change again and again, far beyond what waits at once."""
    requires("unshare", "nsenter")
    daemon, consul = start(stack)
    disk = stack.enter_context(SmallDisk(daemon.state, kilobytes=8192))
    daemon.ns, inside, daemon.state = disk, daemon.state, disk.path
    daemon.argv = lambda: [part if part != disk.path else inside for part in Daemon.argv(daemon)]
    daemon.start()
    make(daemon, consul)
    disk.fill()
    changes_go_on(daemon, consul, os.strerror(errno.ENOSPC))
    for turn in range(40):
        assert consul.put(f"kv/big{turn % 3}", f"{turn:03}" + "x" * 200_000).status == 200
    disk.empty()
    everything_is_kept_again(daemon, consul)
    assert [consul.get(f"kv/big{n}", raw=None).text[:3] for n in range(3)] == ["039", "037", "038"]


@plain
@pytest.mark.parametrize("call, number", [("write", errno.EIO), ("fsync", errno.EIO), ("lose", errno.EIO), ("fsync", errno.ENOSPC),
                                          ("rename", errno.EROFS), ("write", errno.EDQUOT)])
def test_a_disk_that_fails(stack, call, number):
    daemon, consul = start(stack)
    disk = daemon.ns = FailingDisk(daemon.state, daemon.dir / "fault")
    daemon.start()
    make(daemon, consul)
    before = picture(daemon, consul)
    disk.fail("fsync" if call == "rename" else call, number)
    if call == "rename":  # of the file that is written anew, because fsync failed before
        consul.register("early")
        wait.until(lambda: "registry.log" in not_kept(daemon), "it has failed")
        daemon.rpc("network.add", name="early")
        wait.until(lambda: set(not_kept(daemon)) == set(FILES), "it has failed")
        disk.fail(call, number)
        wait.until(lambda: set(not_kept(daemon).values()) == {os.strerror(number)}, "it fails otherwise")
        for name in ("first", "later", "last"):
            daemon.rpc("network.add", name=name)
            consul.register(name)
    else:
        changes_go_on(daemon, consul, os.strerror(number))
    disk.work()
    everything_is_kept_again(daemon, consul)
    assert picture(daemon, consul) == before
    assert not [path for path in daemon.state.iterdir() if path.name.endswith(".new")]


@plain
def test_what_was_not_kept_at_the_end_is_said(stack):
    daemon, consul = start(stack)
    disk = daemon.ns = FailingDisk(daemon.state, daemon.dir / "fault")
    daemon.start()
    disk.fail("write", errno.EIO)
    consul.register("lost")
    wait.until(lambda: "registry.log" in not_kept(daemon), "it has failed")
    process = daemon.process
    daemon.stop()
    assert "registry.log: what was not kept is lost" in process.output()
    disk.work()
    daemon.start()
    assert "lost" not in consul.get("catalog/services").json


@plain
def test_a_crash_while_the_disk_fails_leaves_a_file_that_is_read(stack):
    daemon, consul = start(stack)
    disk = daemon.ns = FailingDisk(daemon.state, daemon.dir / "fault")
    daemon.start()
    make(daemon, consul)
    before = picture(daemon, consul)
    for call in ("fsync", "write"):
        disk.fail(call, errno.EIO)
        assert consul.register(f"after-{call}").status == 200
        wait.until(lambda: "registry.log" in not_kept(daemon), "it has failed")
        time.sleep(0.2)
        daemon.kill()
        disk.work()
        daemon.start()
        assert picture(daemon, consul) == before
    assert json.dumps(daemon.rpc("status")["not_kept"]) == "[]"


def ask(conn, name, **more):
    """A network is wanted, and the answer not waited for."""
    conn.send(json.dumps({"jsonrpc": "2.0", "id": name, "method": "network.add", "params": {"name": name}, **more}) + "\n")


def test_a_durable_answer_comes_when_the_change_is_kept(stack):
    """In their order, each after what it changed; a kill at once loses none that was answered, of any client."""
    daemon, _ = start(stack)
    daemon.start()
    clients = [stack.enter_context(Connection(daemon.socket)) for _ in range(4)]
    for number, client in enumerate(clients):
        for turn in range(5):
            ask(client, f"n{number}-{turn}", durable=True)
        client.send(json.dumps({"jsonrpc": "2.0", "id": "show", "method": "network.show", "params": {"name": f"n{number}-4"}}) + "\n")
    for number, client in enumerate(clients):
        assert [client.receive()["id"] for _ in range(6)] == [*(f"n{number}-{turn}" for turn in range(5)), "show"]
    daemon.kill()
    daemon.start()
    assert len(daemon.rpc("network.list")) == 20


def test_who_waits_for_the_disk_hangs_up(stack):
    daemon, _ = start(stack)
    daemon.start()
    for number in range(50):
        with Connection(daemon.socket) as client:
            ask(client, f"n{number}", durable=True)
            ask(client, f"m{number}", durable=number % 2 == 0)
    wait.until(lambda: "n49" in {one["name"] for one in daemon.rpc("network.list")}, "the last is there")


@plain
def test_a_durable_answer_of_a_disk_that_fails(stack):
    """It comes, and says that the change is not kept; the next one, too, though it fails already."""
    daemon, _ = start(stack)
    disk = daemon.ns = FailingDisk(daemon.state, daemon.dir / "fault")
    daemon.start()
    disk.fail("write", errno.EIO)
    with Connection(daemon.socket) as client:
        for name in ("first", "second"):
            ask(client, name, durable=True)
            assert client.receive()["result"]["not_kept"] == os.strerror(errno.EIO)
        disk.work()
        wait.until(lambda: not not_kept(daemon), "it is kept again")
        ask(client, "third", durable=True)
        assert "not_kept" not in client.receive()["result"]
