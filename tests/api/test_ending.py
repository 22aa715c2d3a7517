"""SIGTERM at any moment of the start: the daemon ends cleanly, leaves nothing behind, and forgets nothing."""

import signal
import time

import pytest

from rig import wait
from rig.daemon import Daemon
from rig.process import Process

MOMENTS = 12


def config(ns, n):
    """A host's gateway, n TAPs and n vhost-user ports, half of them by the configuration."""
    return {"networks": [{"name": "web", "mode": "host", "subnet": "198.18.80.0/24", "gateway": "198.18.80.1"}],
            "ports": [{"name": f"t{i}", "network": "web", "type": "tap", "netns": ns.name, "ifname": f"t{i}"}
                      for i in range(n)]
            + [{"name": f"v{i}", "network": "web", "type": "vhost-user"} for i in range(n)]}


def start_time(daemon):
    begun = time.monotonic()
    daemon.start()
    return time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_at_any_moment_of_the_start(netns, start_sluiced, requires, number):
    requires("ip")
    if signal.getsignal(number) == signal.SIG_IGN:  # a shell starts what runs in its background so; the daemon would inherit it
        signal.signal(number, signal.SIG_DFL)
    ns = netns("many")
    with Daemon(config(ns, 20), start=False) as daemon:
        took = start_time(daemon)
        for i in range(10):
            daemon.rpc("port.add", name=f"a{i}", network="web", type="tap", netns=ns.name, ifname=f"a{i}")
            daemon.rpc("port.add", name=f"b{i}", network="web", type="vhost-user")
        daemon.stop()
        kept = (daemon.state / "state.log").read_text()
        assert kept.count('"ports ') == 20
        for moment in range(MOMENTS):
            daemon.process = Process(daemon.argv())
            time.sleep(took * moment / MOMENTS)
            daemon.process.send_signal(number)
            assert daemon.process.wait(wait.PATIENCE_S) in (0, -number), daemon.log()
            assert "error" not in daemon.log()
            assert ns.interfaces() == ["lo"]
            assert not daemon.socket.exists() and list(daemon.vhost.iterdir()) == []
            assert (daemon.state / "state.log").read_text() == kept
        daemon.process = None
        daemon.start()
        assert len(daemon.rpc("port.list")) == 60


def test_told_to_end_while_registrations_are_read(start_consul):
    """What had not been read yet is there the next time; nothing of the file is lost."""
    daemon, consul = start_consul()
    for i in range(2000):
        consul.put("agent/service/register", {"Name": f"s{i % 20}", "ID": f"i{i}", "Port": 80})
    daemon.stop()
    store = daemon.state / "registry.log"
    assert store.read_text().count("service/") >= 2000
    took = start_time(daemon)
    daemon.stop()
    for moment in range(MOMENTS):
        daemon.process = Process(daemon.argv())
        time.sleep(took * moment / MOMENTS)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(wait.PATIENCE_S) in (0, -signal.SIGTERM), daemon.log()
        assert "error" not in daemon.log()
    daemon.process = None
    daemon.start()
    assert sum(len(consul.get(f"health/service/s{i}").json) for i in range(20)) == 2000
