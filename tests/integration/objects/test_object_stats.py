"""What the counters of a daemon tell."""

import os

from rig import traffic, wait


def test_stats_add_up(web, netns):
    """rx + generated + copies = tx + drops + consumed, for real traffic through flooding, learning and the gateway."""
    c1, c2 = netns(), netns()
    for ns, name in ((c1, "c1"), (c2, "c2")):
        web.rpc("port.add", name=name, network="web", type="tap", netns=ns.name)
    web.rpc("port.add", name="v1", network="web", type="vhost-user", socket=str(web.vhost / "v1.sock"))
    traffic.ping(c1, "10.1.0.3", count=10)
    traffic.ping(c1, "10.1.0.1")

    def balance():
        row = web.rpc("stats.show")[0]
        assert row["network"] == "web" and row["rx"] > 20
        return row["rx"] + row["generated"] + row["copies"] == row["tx"] + row["drops"] + row["consumed"]

    wait.until(balance, "the counters add up")
    assert web.drops("link-down", "v1") > 0
    assert {row["network"] for row in web.rpc("stats.drops")} == {"web"}


def test_workers_and_status(web):
    wait.until(lambda: web.rpc("stats.workers")[0]["gaps"], "the worker was away from its ports for a while")
    worker = web.rpc("stats.workers")[0]
    assert worker["state"] in ("busy", "asleep") and worker["core"] == min(1, os.cpu_count() - 1)
    assert {stage["name"] for stage in worker["stages"]} >= {"learn", "service", "lookup"}
    assert all(0 < gap["up_to_us"] and gap["ms"] > 0 for gap in worker["gaps"])
    status = web.rpc("status")
    assert set(status) == {"version", "uptime_s", "workers", "memory_mb", "generation", "not_kept", "listening", "not_listening", "peers"}
    assert set(status["workers"][0]) >= {"core", "state", "busy_pct", "packets", "cycles_per_packet"}
    assert status["memory_mb"] > 0
    assert web.rpc("version") == {"version": status["version"]}
