"""TAP ports whose namespace is not there, goes, comes back, is a process's, or is the host's own."""

import os
import signal
import subprocess

import pytest

from rig import traffic, wait
from rig.daemon import Daemon, RpcError
from rig.netns import Netns
from rig.process import Process, run

INVALID, NOT_FOUND = -32602, -32001


class Away(Netns):
    """A namespace that is not there until come(), and not after go()."""

    def __init__(self, label="w"):
        super().__init__(label)
        self.go()

    def go(self):
        run(["ip", "netns", "del", self.name])

    def come(self):
        run(["ip", "netns", "add", self.name])
        self.run("ip", "link", "set", "lo", "up")


@pytest.fixture
def away(stack):
    return lambda label="w": stack.enter_context(Away(label))


@pytest.fixture
def web(sluiced, container):
    """A network with a container to ping from: (daemon, container)."""
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24")
    return sluiced, container(sluiced, "web", "c1", "10.1.0.11")


def add(daemon, ns, name="w1", **fields):
    return daemon.rpc("port.add", name=name, network="web", type="tap", netns=getattr(ns, "name", ns), **fields)


def refusal(daemon, *args, **fields):
    with pytest.raises(RpcError) as refused:
        add(daemon, *args, **fields)
    return refused.value


def reason(daemon, name="w1"):
    return daemon.rpc("port.show", name=name).get("waiting", "")


def test_a_port_waits_for_its_namespace(web, away):
    daemon, c1 = web
    ns = away()
    added = add(daemon, ns, ips=["10.1.0.21"])
    assert added["state"] == "waiting" and added["waiting"] == f'no such namespace "{ns.name}"'
    assert daemon.port("w1")["state"] == "waiting"
    ns.come()
    daemon.wait_port("w1")
    assert "waiting" not in daemon.port("w1")
    assert traffic.wait_ping(c1, "10.1.0.21") is not False
    assert ns.mac() == added["mac"]


def test_a_namespace_that_is_made_again_has_its_port_again(web, away):
    daemon, c1 = web
    ns = away()
    ns.come()
    added = add(daemon, ns, ips=["10.1.0.21"], queues=2)
    daemon.rpc("fdb.add", network="web", mac="02:00:00:00:00:99", port="w1")
    traffic.wait_ping(c1, "10.1.0.21")
    for _ in range(2):
        received = daemon.port("w1")["rx_packets"]
        ns.go()
        daemon.wait_port("w1", "waiting")
        ns.come()
        daemon.wait_port("w1")
        traffic.wait_ping(c1, "10.1.0.21")
        assert ns.mac() == added["mac"] and daemon.port("w1")["rx_packets"] > received > 0
        assert daemon.fdb("web")["02:00:00:00:00:99"]["port"] == "w1"


def test_it_waits_through_restarts(start_sluiced, away):
    by_api, by_config = away("a"), away("b")
    daemon = start_sluiced({"networks": [{"name": "web", "subnet": "10.1.0.0/24"}],
                            "ports": [{"name": "fixed", "network": "web", "type": "tap", "netns": by_config.name,
                                       "ips": ["10.1.0.31"]}]})
    assert daemon.port("fixed")["state"] == "waiting"
    added = add(daemon, by_api, ips=["10.1.0.21"])
    for end in (daemon.stop, daemon.kill):
        daemon.wait_kept("w1")
        end()
        daemon.start()
        assert daemon.port("w1")["state"] == daemon.port("fixed")["state"] == "waiting"
        assert (daemon.port("w1")["mac"], daemon.port("w1")["ips"]) == (added["mac"], ["10.1.0.21"])
    by_api.come()
    by_config.come()
    daemon.wait_port("w1")
    daemon.wait_port("fixed")
    traffic.wait_ping(by_api, "10.1.0.31")
    by_api.go()
    daemon.wait_port("w1", "waiting")
    daemon.stop()
    daemon.start()
    assert daemon.port("w1")["state"] == "waiting"


def test_what_changes_while_it_waits_is_there_afterwards(web, away):
    daemon, c1 = web
    ns = away()
    add(daemon, ns)
    daemon.rpc("port.set", name="w1", mac="02:00:00:00:00:77", ips=["10.1.0.77"])
    daemon.rpc("network.set", name="web", mtu=1400)
    assert "keeps its" not in daemon.log()
    ns.come()
    daemon.wait_port("w1")
    traffic.wait_ping(c1, "10.1.0.77")
    assert ns.mac() == "02:00:00:00:00:77" and "mtu 1400" in ns.run("ip", "link", "show", "eth0").stdout


def test_it_can_be_deleted_and_ended_while_it_waits(sluiced, away):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24")
    ns = away()
    add(sluiced, ns, "w1")
    add(sluiced, ns, "w2", ifname="eth1")
    sluiced.rpc("port.del", name="w1")
    ns.come()
    sluiced.wait_port("w2")
    assert set(ns.interfaces()) == {"lo", "eth1"}
    ns.go()
    sluiced.wait_port("w2", "waiting")
    sluiced.stop()


def test_an_interface_in_its_place(web, away):
    daemon, _ = web
    ns = away()
    add(daemon, ns)
    daemon.process.send_signal(signal.SIGSTOP)  # so that the other one is first
    ns.come()
    ns.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
    daemon.process.send_signal(signal.SIGCONT)
    wait.until(lambda: 'there is an interface "eth0" already' in reason(daemon), "the reason is said")
    ns.run("ip", "link", "del", "eth0")
    daemon.wait_port("w1")


def test_an_interface_that_its_container_deletes_is_not_made_again(web, away):
    """Who is root in the namespace may have meant it; and could have the switch make one after the other."""
    daemon, c1 = web
    ns = away()
    ns.come()
    add(daemon, ns, ips=["10.1.0.21"])
    ns.run("ip", "link", "set", "eth0", "down")
    daemon.wait_port("w1", "down")
    ns.run("ip", "link", "del", "eth0")  # no link that goes down tells of it
    wait.until(lambda: "port w1 is down: its interface was deleted" in daemon.log(), "it is noticed")
    with pytest.raises(AssertionError):
        wait.until(lambda: daemon.port("w1")["state"] != "down", "it stays down", timeout_s=4)
    assert ns.interfaces() == ["lo"]
    ns.go()
    ns.come()
    daemon.wait_port("w1")
    traffic.wait_ping(c1, "10.1.0.21")


def test_the_hosts_own_namespace_needs_mode_host(sluiced):
    sluiced.rpc("network.add", name="web", subnet="10.1.0.0/24")
    sluiced.rpc("network.add", name="here", mode="host", subnet="198.18.79.0/24", gateway="198.18.79.1")
    link = f"/run/netns/sl{os.getpid()}-own"
    os.symlink(f"/proc/{os.getpid()}/ns/net", link)
    try:
        for path in (f"/proc/{sluiced.process.pid}/ns/net", "/proc/self/ns/net", link):
            error = refusal(sluiced, path)
            assert error.code == INVALID and "netns: the host's own namespace" in error.message, (path, error.message)
        with pytest.raises(RpcError, match="netns: the host's own namespace"):
            sluiced.rpc("port.add", name="w1", network="web", type="tap")
        name = f"slo{os.getpid()}"
        sluiced.rpc("port.add", name="o1", network="here", type="tap", netns="/proc/self/ns/net", ifname=name)
        assert os.path.exists(f"/sys/class/net/{name}")
    finally:
        os.unlink(link)


def test_config_says_so_too(start_sluiced):
    config = {"networks": [{"name": "web"}], "ports": [{"name": "t", "network": "web", "type": "tap"}]}
    with Daemon(config, start=False) as daemon:
        done = subprocess.run([str(a) for a in daemon.argv()] + ["--check-config"], capture_output=True, text=True)
        assert done.returncode == 1 and "ports[0].netns: the host's own namespace" in done.stderr


@pytest.fixture
def process(stack):
    """A process in a namespace of its own: its Process."""

    def start():
        it = Process(["unshare", "--net", "sleep", "1000"])
        stack.callback(it.kill)
        wait.until(lambda: os.readlink(f"/proc/{it.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "it has moved")
        return it

    return start


def inside(process, *command):
    return run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "--", *command]).stdout


def test_a_process_is_held_not_its_number(web, process):
    daemon, c1 = web
    it = process()
    path = f"/proc/{it.pid}/ns/net"
    add(daemon, path, ips=["10.1.0.21"])
    traffic.wait_ping(c1, "10.1.0.21")
    daemon.rpc("port.set", name="w1", ips=["10.1.0.22"])
    assert "10.1.0.22/24" in inside(it, "ip", "-4", "-o", "addr")
    it.kill()
    daemon.wait_port("w1", "waiting")  # held, it would keep its namespace alive
    wait.until(lambda: f"process {it.pid} has ended" in reason(daemon), "the reason is said")
    stranger = number_again(it.pid)
    if not stranger:
        pytest.skip("the number was not to be had again")
    with stranger:
        daemon.rpc("port.set", name="w1", ips=["10.1.0.23"])
        with pytest.raises(AssertionError):
            wait.until(lambda: daemon.port("w1")["state"] != "waiting", "it stays", timeout_s=3)
        assert "eth0" not in inside(stranger, "ip", "link")


class number_again:
    """A process in a namespace of its own that has the number `pid`; false when it could not be had."""

    def __init__(self, pid):
        self.pid, self.process = pid, None
        for _ in range(50):
            try:
                with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as last:
                    last.write(str(pid - 1))
            except OSError:
                return
            one = Process(["unshare", "--net", "sleep", "1000"])
            if one.pid == pid:
                self.process = one
                wait.until(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), "it moves")
                return
            one.kill()

    def __bool__(self):
        return self.process is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()


def test_after_a_restart_a_process_is_not_known(web, process):
    daemon, c1 = web
    it = process()
    link = f"/run/netns/sl{os.getpid()}-link"
    os.symlink(f"/proc/{it.pid}/ns/net", link)
    try:
        add(daemon, f"/proc/{it.pid}/ns/net", ips=["10.1.0.21"], security="off")  # one kernel answers for both addresses at either port
        add(daemon, os.path.basename(link), "w2", ifname="eth1", ips=["10.1.0.22"], security="off")
        traffic.wait_ping(c1, "10.1.0.22")
        daemon.wait_kept("w1", "w2")
        daemon.stop()
        daemon.start()
        for name in ("w1", "w2"):
            assert daemon.port(name)["state"] == "waiting"
            assert f"process {it.pid} of before cannot be told from another" in reason(daemon, name)
        daemon.rpc("port.del", name="w1")
        add(daemon, f"/proc/{it.pid}/ns/net", ips=["10.1.0.21"], security="off")
        traffic.wait_ping(c1, "10.1.0.21")
        other = process()
        os.unlink(link)
        os.symlink(f"/proc/{other.pid}/ns/net", link)
        daemon.wait_port("w2")
        assert "eth1" in inside(other, "ip", "link")
    finally:
        os.unlink(link)


def test_what_can_never_come_is_refused(web, netns):
    daemon, _ = web
    ended = Process(["true"])
    ended.stop()
    for where, code, says in ((f"/proc/{ended.pid}/ns/net", NOT_FOUND, f"netns: there is no process {ended.pid}"),
                              ("a/b", INVALID, 'netns: "a/b" is neither a name nor an absolute path'),
                              ("..", INVALID, "netns: "),
                              ("/etc/passwd", INVALID, 'netns: "/etc/passwd" is no network namespace'),
                              ("/proc/self/ns/mnt", INVALID, "is no network namespace"),
                              ("/var/../proc/1/ns/net", INVALID, "give an entry of /proc as /proc/PID/ns/net")):
        error = refusal(daemon, where)
        assert error.code == code and says in error.message, (where, error.message)
    assert [port["name"] for port in daemon.rpc("port.list")] == ["c1"]
