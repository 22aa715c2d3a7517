"""What came by the API is there again after a restart and after kill -9."""

import json
import stat
import subprocess
import time

from rig import wait
from rig.daemon import Daemon, RpcError

SETTLED_S = 0.4  # a change is in the file within 100 ms; machines that test are slow


def make(daemon):
    daemon.rpc("network.add", name="web", subnet="10.1.0.0/24")
    daemon.rpc("port.add", name="n1", network="web", type="null")
    daemon.rpc("port.add", name="n2", network="web", type="null", ips=["10.1.0.9"])
    daemon.rpc("port.set", name="n2", ips=["10.1.0.19"])
    daemon.rpc("port.del", name="n1")
    daemon.rpc("fdb.add", network="web", mac="02:00:00:00:00:77", port="n2")
    daemon.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp")
    daemon.rpc("backend.add", service="api", address="10.1.0.19", port=80, weight=4)
    daemon.rpc("backend.add", service="api", address="10.1.0.20", port=80)
    daemon.rpc("backend.drain", service="api", address="10.1.0.20", port=80)


def picture(daemon):
    backends = {b["address"]: (b["weight"], b["health"] == "draining") for b in daemon.rpc("backend.list")}
    return (daemon.rpc("network.list"), [(p["name"], p["ips"], p["mac"], p["source"]) for p in daemon.rpc("port.list")],
            [(f["mac"], f["port"]) for f in daemon.rpc("fdb.list")], backends)


def test_restart_and_kill(sluiced):
    make(sluiced)
    before = picture(sluiced)
    assert before[3] == {"10.1.0.19": (4, False), "10.1.0.20": (1, True)}
    sluiced.stop()
    sluiced.start()
    assert picture(sluiced) == before
    sluiced.rpc("backend.undrain", service="api", address="10.1.0.20", port=80)
    time.sleep(SETTLED_S)
    sluiced.kill()
    sluiced.start()
    assert picture(sluiced)[3] == {"10.1.0.19": (4, False), "10.1.0.20": (1, False)}


def test_what_was_moved_to_something_newer_comes_back(sluiced):
    sluiced.rpc("network.add", name="old")
    sluiced.rpc("service.add", name="api", network="old")
    sluiced.rpc("backend.add", service="api", address="10.1.0.9", port=80)
    sluiced.rpc("network.add", name="new", subnet="10.1.0.0/24")
    sluiced.rpc("service.set", name="api", network="new", vip="10.1.0.100", port=80, protocol="tcp")
    sluiced.rpc("network.del", name="old")
    sluiced.stop()
    sluiced.start()
    service = sluiced.rpc("service.show", name="api")
    assert (service["network"], service["vip"], len(service["backends"])) == ("new", "10.1.0.100", 1)


def test_what_was_deleted_stays_deleted(sluiced):
    make(sluiced)
    sluiced.rpc("service.del", name="api")
    sluiced.rpc("fdb.del", network="web", mac="02:00:00:00:00:77")
    sluiced.rpc("port.del", name="n2")
    sluiced.rpc("network.del", name="web")
    time.sleep(SETTLED_S)
    sluiced.kill()
    sluiced.start()
    assert picture(sluiced) == ([], [], [], {})


def test_killed_at_any_moment_the_file_is_whole(sluiced):
    for round_ in range(10):
        sluiced.rpc("network.add", name=f"net{round_}")
        time.sleep(0.03 * round_)
        sluiced.kill()
        sluiced.start()
        names = {n["name"] for n in sluiced.rpc("network.list")}
        assert {f"net{i}" for i in range(round_) if 0.03 * i > SETTLED_S} <= names
        for leftover in names - {f"net{round_}"}:
            assert leftover.startswith("net")
        if f"net{round_}" in names:
            sluiced.rpc("network.del", name=f"net{round_}")


def test_config_objects_are_not_kept(start_sluiced):
    daemon = start_sluiced({"networks": [{"name": "conf"}]})
    daemon.stop()
    daemon.write_config({})
    daemon.start()
    assert daemon.rpc("network.list") == []


def test_a_refused_call_is_kept_for_the_next_start(start_sluiced):
    daemon = start_sluiced({"networks": [{"name": "web"}]})
    daemon.rpc("port.add", name="n1", network="web", type="null")
    daemon.stop()
    daemon.write_config({})
    daemon.start()
    assert daemon.rpc("port.list") == [] and "kept for the next start" in daemon.log()
    daemon.rpc("network.add", name="other")
    daemon.stop()
    daemon.write_config({"networks": [{"name": "web"}]})
    daemon.start()
    assert [p["name"] for p in daemon.rpc("port.list")] == ["n1"]


def test_what_was_made_anew_and_deleted_does_not_come_back(start_sluiced):
    """An entry kept aside gives way to an object of its name."""
    daemon = start_sluiced({"networks": [{"name": "web"}]})
    daemon.rpc("port.add", name="n1", network="web", type="null")
    daemon.stop()
    daemon.write_config({"networks": [{"name": "other"}]})
    daemon.start()
    daemon.rpc("port.add", name="n1", network="other", type="null")
    daemon.rpc("port.del", name="n1")
    daemon.stop()
    daemon.write_config({"networks": [{"name": "web"}, {"name": "other"}]})
    daemon.start()
    assert daemon.rpc("port.list") == []


def test_one_daemon_to_a_directory(sluiced):
    with Daemon(start=False) as second:
        second.state = sluiced.state
        done = subprocess.run([str(a) for a in second.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "another sluiced uses it" in done.stderr, done.stderr
        assert not second.socket.exists()


def test_the_directory_is_private(sluiced):
    assert stat.S_IMODE(sluiced.state.stat().st_mode) == 0o700


def test_a_file_that_is_not_ours_is_left_alone(sluiced):
    sluiced.stop()
    for name, text in (("state.log", "{ torn"), ("state.log", ""), ("state.json", json.dumps({"version": 1}))):
        path = sluiced.state / name
        path.write_text(text)
        done = subprocess.run([str(a) for a in sluiced.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and str(path) in done.stderr, done.stderr
        assert path.read_text() == text
        path.unlink()


def test_nothing_is_recorded_of_a_refusal(sluiced):
    try:
        sluiced.rpc("port.add", name="n1", network="nowhere", type="null")
    except RpcError:
        pass
    time.sleep(SETTLED_S)
    assert "n1" not in (sluiced.state / "state.log").read_text()
    wait.until(lambda: sluiced.rpc("status"), "it answers")
