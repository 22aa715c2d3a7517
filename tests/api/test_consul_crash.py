"""What was registered by Consul's HTTP API outlives the daemon."""

import http.client
import json
import os
import random

from rig.crash import kill_amid


def test_registrations_survive_a_crash(start_consul):
    daemon, consul = start_consul()
    consul.register("web", ID="w1", Address="10.1.0.1", Port=80, Tags=["t"])
    consul.register("gone")
    consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "Service": {"Service": "web", "ID": "w3"}})
    consul.deregister("gone")
    assert consul.put("agent/service/register", {"Name": "db"}, durable=None).status == 200
    daemon.kill()
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": [], "web": ["t"], "db": []}
    assert sorted(entry["Node"]["Node"] for entry in consul.get("health/service/web").json) == ["edge1", "edge2"]
    assert consul.deregister("w1").status == 200


def test_indexes_go_on_after_a_crash(start_consul):
    """Whoever waits with an index of the life before is answered, and never told a lower one."""
    daemon, consul = start_consul()
    for port in range(1, 20):
        consul.register("web", Port=port)
    seen = consul.get("health/service/web").index
    consul.put("agent/service/register", {"Name": "db"}, durable=None)
    daemon.kill()
    daemon.start()
    for port in range(1, 40):
        consul.register("db", Port=port)
    reply = consul.get("health/service/web", index=seen, wait="60s")
    assert reply.index > seen and reply.json[0]["Service"]["Port"] == 19


def test_a_torn_store_is_read_up_to_the_tear(start_consul):
    daemon, consul = start_consul()
    consul.register("web")
    assert consul.put("agent/service/register", {"Name": "db"}, durable=None).status == 200
    daemon.kill()
    store = daemon.state / "registry.log"
    with store.open("ab") as file:
        file.write(json.dumps(["service/x", '{"Name": "x"}']).encode()[:-3])
    daemon.start()
    assert consul.get("catalog/services").json == {"consul": [], "web": [], "db": []}
    assert "was cut off" in daemon.log()
    consul.put("agent/service/register", {"Name": "late"}, durable=None)
    daemon.kill()
    daemon.start()
    assert set(consul.get("catalog/services").json) == {"consul", "web", "db", "late"}


def test_a_crash_at_any_moment_loses_no_durable_write(start_consul):
    """Several clients register and deregister until the daemon is killed; what it had promised to keep is there."""
    daemon, consul = start_consul()
    durable, rounds = set(), int(os.environ.get("SLUICE_CRASHES", 8))
    dice = random.Random(5)

    def busy(client, number):
        try:
            for turn in range(1000):
                name = f"r{number}-c{client}-{turn}"
                consul.register(name, Tags=["x" * 50])
                if turn % 3 == 0:
                    consul.deregister(name)
                elif consul.put("agent/service/register", {"Name": f"{name}-d"}, durable=None).status == 200:
                    durable.add(f"{name}-d")
        except (OSError, http.client.HTTPException):
            pass  # killed

    for number in range(rounds):
        kill_amid(daemon, lambda client, turn=number: busy(client, turn), dice)
        assert durable <= set(consul.get("catalog/services").json)
    assert durable
