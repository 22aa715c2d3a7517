"""A device of DPDK's own as a port: here its tap driver, which has receive interrupts as NICs do."""

import time
from pathlib import Path

import pytest

from rig import traffic, wait


def naps(sluiced):
    """How often the daemon's threads have given their cores up by themselves so far."""
    tasks = Path(f"/proc/{sluiced.process.pid}/task")
    return sum(int(line.split()[1]) for task in tasks.iterdir() for line in (task / "status").read_text().splitlines()
               if line.startswith("voluntary_ctxt_switches"))


@pytest.fixture
def nic(start_sluiced, netns):
    """A daemon in a namespace of its own, where the other side of its device, dtap0, has 10.1.0.40: both."""
    machine = netns("machine")
    sluiced = start_sluiced({
        "networks": [{"name": "web", "mode": "bridge", "subnet": "10.1.0.0/24"}],
        "ports": [{"name": "nic", "network": "web", "type": "eth", "devargs": "net_tap0,iface=dtap0",
                   "ips": ["10.1.0.40"], "security": "off"}]}, ns=machine)  # the kernel chose its MAC
    machine.run("ip", "link", "set", "dtap0", "up")
    machine.run("ip", "addr", "add", "10.1.0.40/24", "dev", "dtap0")
    sluiced.wait_port("nic")
    return sluiced, machine


def test_a_device_carries_traffic_and_its_worker_sleeps_in_between(nic, container):
    sluiced, machine = nic
    c1 = container(sluiced, "web", "c1", "10.1.0.11")
    traffic.wait_ping(machine, c1.ip)
    traffic.tcp_carries(c1, machine, c1.ip)
    traffic.tcp_carries(machine, c1, "10.1.0.40")
    # polled without an interrupt, it would be looked at 20,000 times a second
    before = naps(sluiced)
    time.sleep(1)
    slept = naps(sluiced) - before
    assert slept < 2000
    for _ in range(20):  # each of these wakes it
        traffic.ping(machine, c1.ip, count=1)
        time.sleep(0.01)
    sluiced.rpc("port.del", name="nic")
    wait.until(lambda: "dtap0" not in machine.run("ip", "-o", "link").stdout, "the device is gone")
