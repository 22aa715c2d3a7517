"""A day of churn in one go: register, flap, deregister, by every door, and neither memory nor files grow."""

import http.client
import json
import os
import random
import threading
from collections import Counter

import pytest

from rig import wait
from rig.consul import Consul
from rig.ports import free_port
from rig.process import anonymous_mb, open_files

pytestmark = pytest.mark.plain  # the allocator of sanitizers keeps what was freed

OPERATIONS = int(os.environ.get("SLUICE_SOAK", 20000))
SERVICES = [f"s{number}" for number in range(40)]
BALANCED = SERVICES[:4]  # these have a vip: their changes go to the workers
INSTANCES = [(service, f"{service}-i{number}") for service in SERVICES for number in range(8)]
LANES = 8  # requests under way at once, each for another instance
FLAPS = {"pass": "passing", "warn": "warning", "fail": "critical"}
GROWTH_MB = 6  # the heap's own unevenness; a leak of ten bytes an operation passes it within a million


class Fleet:
    """What should be registered by now, and what changes it."""

    def __init__(self, port):
        self.status = {}  # (service, instance) -> of its check
        self.dice = random.Random(9)
        self.done = Counter()
        self.lanes = [http.client.HTTPConnection("127.0.0.1", port, timeout=wait.PATIENCE_S) for _ in range(LANES)]

    def close(self):
        for lane in self.lanes:
            lane.close()

    def _register(self, instance):
        service, name = instance
        number = INSTANCES.index(instance)
        body = {"Name": service, "ID": name, "Address": f"10.1.{1 + number // 200}.{1 + number % 200}",
                "Port": self.dice.randrange(8000, 8003), "Tags": [f"v{self.dice.randrange(3)}"],
                "Weights": {"Passing": self.dice.randrange(1, 10), "Warning": 1}, "Check": {"TTL": "24h"}}
        self.status.setdefault(instance, "critical")  # elsewhere, too, what it said of itself holds
        return "agent/service/register", json.dumps(body)

    def _change(self, instance):
        """Path and body of the next request for this instance."""
        known = instance in self.status
        what = self.dice.choice(["register", "deregister", *FLAPS, *FLAPS]) if known else "register"
        self.done[what] += 1
        if what == "register":
            return self._register(instance)
        if what == "deregister":
            del self.status[instance]
            return f"agent/service/deregister/{instance[1]}", None
        self.status[instance] = FLAPS[what]
        return f"agent/check/{what}/service:{instance[1]}", None

    def _send(self, requests):
        for lane, (path, body) in zip(self.lanes, requests):
            lane.request("PUT", f"/v1/{path}", body)
        for lane, request in zip(self.lanes, requests):
            reply = lane.getresponse()
            text = reply.read()
            assert reply.status == 200, (request, reply.status, text)

    def churn(self, operations):
        for _ in range(operations // LANES):
            self._send([self._change(instance) for instance in self.dice.sample(INSTANCES, LANES)])

    def leave(self):
        """Deregisters everybody."""
        rest = list(self.status)
        self.status.clear()
        for i in range(0, len(rest), LANES):
            self._send([(f"agent/service/deregister/{name}", None) for _, name in rest[i:i + LANES]])


class Watcher(threading.Thread):
    """Waits for each change of a service until told to end."""

    def __init__(self, consul, service):
        super().__init__(daemon=True)
        self.consul, self.service = consul, service
        self.wakes, self.failure = 0, None
        self._end = threading.Event()
        self.start()

    def run(self):
        index = 1
        try:
            while not self._end.is_set():
                reply = self.consul.get(f"health/service/{self.service}", index=index, wait="1s")
                assert reply.status == 200 and reply.index >= index, reply
                self.wakes += reply.index > index
                index = reply.index
        except Exception as failure:  # the test that waits for this thread fails with it
            self.failure = failure

    def end(self):
        self._end.set()
        self.join(wait.PATIENCE_S)
        assert self.failure is None and not self.is_alive(), self.failure


@pytest.fixture
def world(start_sluiced, stack):
    """A daemon with a network that balances some of the services; its API; its fleet."""
    port = free_port()
    daemon = start_sluiced({
        "control": {"http": f"127.0.0.1:{port}", "node": "edge1", "node_address": "192.0.2.1"},
        "networks": [{"name": "web", "mode": "bridge", "subnet": "10.1.0.0/16"}]})
    for service in BALANCED:
        daemon.rpc("service.add", name=service, network="web", port=80, protocol="tcp")
    fleet = Fleet(port)
    stack.callback(fleet.close)
    return daemon, Consul(port), fleet


def shown(consul):
    """As Fleet.status, as the API tells it."""
    return {(service, entry["Service"]["ID"]): check["Status"] for service in SERVICES
            for entry in consul.get(f"health/service/{service}").json for check in entry["Checks"]
            if check["CheckID"] != "serfHealth"}


def test_churn_leaves_nothing_behind(world):
    daemon, consul, fleet = world
    pid = daemon.process.pid
    fleet.churn(OPERATIONS // 4)  # until the heap has its size
    sizes, files = [anonymous_mb(pid)], open_files(pid)
    watchers = [Watcher(consul, service) for service in (SERVICES[0], SERVICES[-1])]
    for _ in range(6):
        fleet.churn(OPERATIONS // 8)
        sizes.append(anonymous_mb(pid))
        for number in range(20):  # the other door
            daemon.rpc("backend.add", service=SERVICES[0], address="10.1.9.9", port=1000 + number)
        for number in range(20):
            daemon.rpc("backend.del", service=SERVICES[0], address="10.1.9.9", port=1000 + number)
    for watcher in watchers:
        watcher.end()
        assert watcher.wakes > 2
    print(f"{fleet.done.total()} operations {dict(fleet.done)}: {[round(size, 2) for size in sizes]} MB, {files} files")

    assert shown(consul) == fleet.status
    wait.until(lambda: open_files(pid) <= files, "as many files are open as before")
    assert max(sizes[1:]) < sizes[0] + GROWTH_MB, sizes

    fleet.leave()
    assert shown(consul) == {}
    for service in BALANCED:
        assert daemon.rpc("backend.list", service=service) == []
    wait.until(lambda: (daemon.state / "registry.log").stat().st_size < 4 << 20, "the journal is written anew")


def test_churn_is_there_after_a_crash(world):
    daemon, consul, fleet = world
    fleet.churn(OPERATIONS // 10)
    assert consul.put("agent/service/register", {"Name": "last"}, durable=None).status == 200
    daemon.kill()
    daemon.start()
    assert set(shown(consul)) == set(fleet.status)
