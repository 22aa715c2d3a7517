"""Sessions of Consul's HTTP API: what they depend on, and what becomes of the keys that they hold."""

import base64
import socket

import pytest

from rig import journal, wait
from rig.consul import Waiting

SERF = ["serfHealth"]


def create(consul, **fields):
    reply = consul.put("session/create", {"LockDelay": "0s", **fields})
    assert reply.status == 200, reply
    return reply.json["ID"]


def info(consul, session):
    return consul.get(f"session/info/{session}").json


def holder(consul, key):
    reply = consul.get(f"kv/{key}")
    return reply.json[0].get("Session") if reply.status == 200 else None


def register(consul, instance="w1", name="web", status="passing", **fields):
    consul.register(name, ID=instance, Port=80, Check={"TTL": "10m", "Status": status}, **fields)


CHECKS = [
    # what a body says, and what is shown of it
    ({}, {"NodeChecks": SERF, "ServiceChecks": None}),
    ({"Checks": SERF}, {"NodeChecks": SERF, "ServiceChecks": None}),
    ({"Checks": ["disk"]}, {"NodeChecks": SERF, "ServiceChecks": None, "Checks": ["disk"]}),
    ({"checks": ["service:w1", "serfHealth"]}, {"NodeChecks": SERF, "ServiceChecks": None, "Checks": ["service:w1", "serfHealth"]}),
    ({"Checks": []}, {"NodeChecks": [], "ServiceChecks": None, "Checks": []}),
    ({"NodeChecks": []}, {"NodeChecks": [], "ServiceChecks": None}),
    ({"NodeChecks": ["disk"]}, {"NodeChecks": ["disk"], "ServiceChecks": None}),
    ({"NodeChecks": None, "Checks": None, "ServiceChecks": None}, {"NodeChecks": SERF, "ServiceChecks": None}),
    ({"ServiceChecks": [{"ID": "service:w1"}]}, {"NodeChecks": SERF, "ServiceChecks": [{"ID": "service:w1", "Namespace": ""}]}),
    ({"ServiceChecks": []}, {"NodeChecks": SERF, "ServiceChecks": []}),
]


@pytest.mark.parametrize("body, shown", CHECKS)
def test_checks_of_a_session(consul, body, shown):
    register(consul)
    consul.put("agent/check/register", {"Name": "disk", "TTL": "10m", "Status": "passing"})
    session, = info(consul, create(consul, **body))
    assert {name: value for name, value in session.items() if name.endswith("Checks")} == shown
    index = session["CreateIndex"]
    assert index == session["ModifyIndex"] == consul.get("session/list").index


def test_a_session_is_shown_as_it_was_made(consul):
    session, = info(consul, create(consul, Name="mine", TTL="90s", Behavior="delete", LockDelay="1.5s"))
    assert (session["Name"], session["Node"], session["TTL"], session["Behavior"], session["LockDelay"]) == (
        "mine", "edge1", "1m30s", "delete", 1_500_000_000)
    plain, = info(consul, consul.put("session/create").json["ID"])
    assert (plain["Name"], plain["TTL"], plain["Behavior"], plain["LockDelay"]) == ("", "", "release", 15_000_000_000)


@pytest.mark.parametrize("given, seconds", [(5, 5), (0, 0), (0.5, 0.5), (999, 999), (5_000_000_000, 5), ("5s", 5), ("0", 0), ("1h", 3600)])
def test_lock_delays(consul, given, seconds):
    """Bare numbers below 1,000 are of seconds, others of nanoseconds."""
    assert info(consul, create(consul, LockDelay=given))[0]["LockDelay"] == seconds * 1_000_000_000


REFUSED = [
    ({"TTL": "9.9s"}, 500, "Invalid Session TTL '9900000000', must be between [10s=24h0m0s]"),
    ({"TTL": "24h1s"}, 500, "Invalid Session TTL '86401000000000', must be between [10s=24h0m0s]"),
    ({"TTL": "-10s"}, 500, "Invalid Session TTL"), ({"TTL": "soon"}, 500, "Session TTL 'soon' invalid"),
    ({"TTL": 15}, 400, "TTL: must be a string"),
    ({"Behavior": "keep"}, 500, "Invalid Behavior setting 'keep'"), ({"Behavior": 1}, 400, "Behavior"),
    ({"Node": "nobody"}, 500, "Missing node registration"), ({"Node": []}, 400, "Node: must be a string"),
    ({"Checks": ["nothing"]}, 500, "Missing check 'nothing' registration"),
    ({"NodeChecks": ["nothing"]}, 500, "Missing check 'nothing' registration"),
    ({"ServiceChecks": [{"ID": "service:nothing"}]}, 500, "Missing check 'service:nothing' registration"),
    ({"ServiceChecks": [{"ID": "service:a:b:"}]}, 500, "Missing check 'service:a:b:' registration"),
    ({"Checks": ["_node_maintenance"]}, 500, "Missing check '_node_maintenance' registration"),
    ({"Checks": ["service:ill"]}, 500, "Check 'service:ill' is in critical state"),
    ({"NodeChecks": ["serfHealth", "service:ill"]}, 500, "Check 'service:ill' is in critical state"),
    ({"Checks": "serfHealth"}, 400, "Checks: must be a list"), ({"Checks": [1]}, 400, "Checks: one has no id"),
    ({"ServiceChecks": ["service:w1"]}, 400, "ServiceChecks: one has no id"), ({"Checks": ["c" * 256]}, 400, "more than 255 bytes"),
    ({"NodeChecks": ["serfHealth"] * 17}, 400, "NodeChecks: must be a list of at most 16 checks"),
    ({"NodeChecks": ["serfHealth"] * 9, "Checks": ["serfHealth"] * 8}, 400, "more than 16 together"),
    ({"LockDelay": "-1s"}, 400, "LockDelay"), ({"LockDelay": -1}, 400, "LockDelay"), ({"LockDelay": "soon"}, 400, "LockDelay"),
    ({"LockDelay": True}, 400, "LockDelay"), ({"LockDelay": 1e300}, 400, "LockDelay"),
    ({"Name": "n" * 1025}, 400, "Name: has more than 1024 bytes"), ({"Name": {}}, 400, "Name: must be a string"),
]


def test_what_is_refused(consul):
    register(consul, "ill", status="critical")
    for body, status, text in REFUSED:
        reply = consul.put("session/create", body)
        assert reply.status == status and text in reply.text, (body, reply)
    assert consul.get("session/list").json == []
    create(consul, TTL="0s")
    create(consul, TTL="10s")
    create(consul, TTL="24h", Name="n" * 1024, NodeChecks=["serfHealth"] * 8, Checks=["serfHealth"] * 8)


def fail_service(consul):
    consul.put("agent/check/fail/service:w1")


def fail_node(consul):
    consul.put("agent/check/fail/disk")


def drop_check(consul):
    consul.put("agent/check/deregister/disk")


def drop_instance(consul):
    consul.deregister("w1")


def replace_check(consul):
    consul.register("web", ID="w1", Port=80, Check={"CheckID": "other", "TTL": "10m", "Status": "passing"})
    consul.put("agent/check/deregister/service:w1")


def update_node(consul):
    consul.put("agent/check/update/disk", {"Status": "critical", "Output": "full"})


@pytest.mark.parametrize("behavior", ["release", "delete"])
@pytest.mark.parametrize("change", [fail_service, fail_node, drop_check, drop_instance, replace_check, update_node])
def test_a_check_that_is_critical_or_gone_ends_the_session(consul, change, behavior):
    register(consul)
    consul.put("agent/check/register", {"Name": "disk", "TTL": "10m", "Status": "passing"})
    session = create(consul, NodeChecks=["serfHealth", "disk"], ServiceChecks=[{"ID": "service:w1"}], Behavior=behavior, LockDelay="60s")
    other = create(consul)
    assert consul.put("kv/lock", b"1", acquire=session).json is True
    consul.put("agent/check/warn/service:w1")
    consul.put("agent/check/warn/disk")
    assert holder(consul, "lock") == session  # a warning is no reason
    views = {path: consul.get(path).index for path in ("session/list", f"session/info/{session}", "session/node/edge1", "kv/lock")}
    waiting = {path: Waiting(consul, path, index=index, wait="60s") for path, index in views.items()}
    assert all(one.waits() for one in waiting.values())
    change(consul)
    told = {path: one.result() for path, one in waiting.items()}
    assert [one["ID"] for one in told["session/list"].json] == [one["ID"] for one in told["session/node/edge1"].json] == [other]
    assert told[f"session/info/{session}"].json == []
    assert told["kv/lock"].status == (404 if behavior == "delete" else 200)
    assert told["kv/lock"].index == told["session/list"].index > views["kv/lock"]  # one change
    assert holder(consul, "lock") is None
    assert consul.put(f"session/renew/{session}").status == 404
    assert consul.put("kv/lock", b"2", acquire=other).json is False  # lock delay
    assert consul.put("kv/free", b"2", acquire=session).text == f'invalid session "{session}"'


def test_no_request_comes_between_a_check_and_its_sessions(consul):
    """Whoever has been told that the check is critical finds the lock free."""
    register(consul)
    for turn in range(50):
        session = create(consul, ServiceChecks=[{"ID": "service:w1"}])
        assert consul.put("kv/lock", str(turn), acquire=session).json is True
        consul.put("agent/check/fail/service:w1")
        assert (holder(consul, "lock"), info(consul, session)) == (None, [])
        consul.put("agent/check/pass/service:w1")


def test_thousands_of_sessions_that_end_together_hold_nobody_up(consul):
    """Requests come between them; one that asks for a session or its lock finds it ended."""
    count = 2000
    register(consul)
    made = [create(consul, ServiceChecks=[{"ID": "service:w1"}]) for _ in range(count)]
    other = create(consul)
    for first in range(0, count, 50):
        locks = [{"KV": {"Verb": "lock", "Key": f"l/{i}", "Session": made[i]}} for i in range(first, first + 50)]
        assert consul.put("txn", locks).status == 200
    last = made[-1]
    asked = ["PUT /v1/agent/check/fail/service:w1", "GET /v1/session/list", f"PUT /v1/kv/l/{count - 1}?acquire={other}",
             f"PUT /v1/session/renew/{last}", f"GET /v1/session/info/{last}", f"PUT /v1/kv/new?acquire={last}",
             f"PUT /v1/kv/l/{count - 2}?release={made[-2]}", "GET /v1/session/list"]
    with socket.create_connection(("127.0.0.1", consul.port)) as sock:
        sock.settimeout(wait.PATIENCE_S)
        end = len(asked) - 1
        sock.sendall(b"".join(f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{'Connection: close' if i == end else 'X: x'}\r\n\r\n"
                              .encode() for i, line in enumerate(asked)))
        got = b""
        while (part := sock.recv(1 << 20)):
            got += part
    answers = [part.partition(b"\r\n\r\n") for part in got.split(b"HTTP/1.1 ")[1:]]
    bodies = [body.decode() for _, _, body in answers]
    assert 1 < bodies[1].count('"LockDelay"') <= count + 1, "they ended in one turn"
    assert bodies[2] == "true"
    assert answers[3][0].startswith(b"404") and bodies[4] == "[]"
    assert bodies[5] == f'invalid session "{last}"'
    assert bodies[6] == "false"
    wait.until(lambda: [session["ID"] for session in consul.get("session/list").json] == [other], "all have ended")
    assert {row["Key"] for row in consul.get("kv/l/", recurse=None).json if "Session" in row} == {f"l/{count - 1}"}


def test_maintenance_of_the_node_leaves_sessions(consul):
    """As with Consul: the check that it makes is none of theirs."""
    session = create(consul)
    consul.put("agent/maintenance", enable="true")
    assert info(consul, session)
    reply = consul.put("session/create", {"Checks": ["_node_maintenance"]})
    assert (reply.status, reply.text) == (500, "Check '_node_maintenance' is in critical state")


def test_an_instance_that_moves_takes_its_sessions_along(consul):
    register(consul)
    session = create(consul, ServiceChecks=[{"ID": "service:w1"}])
    register(consul, name="db")
    assert info(consul, session)
    consul.put("agent/check/fail/service:w1")
    assert info(consul, session) == []


def test_sessions_of_another_node(consul):
    node = {"Node": "edge2", "Address": "192.0.2.2"}
    checks = [{"CheckID": "up", "Status": "passing"}, {"CheckID": "db-up", "ServiceID": "d1", "Status": "passing"}]
    consul.put("catalog/register", {**node, "Service": {"Service": "db", "ID": "d1"}, "Checks": checks})
    whole = create(consul, Node="edge2")
    by_node, by_service = create(consul, Node="edge2", NodeChecks=["up"]), create(consul, Node="edge2", Checks=["db-up"])
    assert consul.put("session/create", {"Checks": ["db-up"]}).text == "Missing check 'db-up' registration"  # not on this node
    assert {one["ID"] for one in consul.get("session/node/edge2").json} == {whole, by_node, by_service}
    assert consul.get("session/node/edge1").json == consul.get("session/node/nobody").json == []
    consul.put("catalog/register", {**node, "Check": {**checks[1], "Status": "critical"}})
    assert info(consul, by_service) == []
    consul.put("catalog/register", {**node, "Check": {**checks[0], "Status": "critical"}})
    assert info(consul, by_node) == []
    assert consul.put("kv/lock", b"1", acquire=whole).json is True
    consul.put("catalog/deregister", {"Node": "edge2"})
    assert consul.get("session/list").json == [] and holder(consul, "lock") is None


def test_sessions_are_bounded(consul):
    made = [create(consul) for _ in range(4096)]
    reply = consul.put("session/create")
    assert reply.status == 500 and reply.text.startswith("too many sessions: there are 4096")
    assert len(consul.get("session/list").json) == 4096
    consul.put(f"session/destroy/{made[7]}")
    create(consul)
    assert consul.put("session/create").status == 500


def test_what_a_session_holds_is_bounded(consul):
    session, other = create(consul), create(consul)
    for first in range(0, 4096, 64):
        locks = [{"KV": {"Verb": "lock", "Key": f"t/{i}", "Session": session}} for i in range(first, first + 64)]
        assert consul.put("txn", locks).status == 200
    reply = consul.put("kv/more", b"x", acquire=session)
    assert (reply.status, reply.text) == (400, f'session "{session}" holds 4096 keys already')
    assert consul.put("kv/t/7", b"again", acquire=session).json is True
    consul.put("kv/t/7", b"x", release=session)
    consul.request("DELETE", "kv/t/8")
    assert [consul.put(f"kv/more{i}", b"x", acquire=session).status for i in range(3)] == [200, 200, 400]
    assert consul.put("kv/more", b"x", acquire=other).json is True
    consul.put(f"session/destroy/{session}")
    assert sum("Session" in entry for entry in consul.get("kv/", recurse=None).json) == 1


def test_a_lock_delay_hangs_on_the_name(consul):
    """Neither who deletes the key nor a session that takes it along makes the wait shorter; puts go on."""
    other = create(consul)
    for behavior in ("release", "delete"):
        session = create(consul, LockDelay="60s", Behavior=behavior)
        assert consul.put(f"kv/{behavior}", b"1", acquire=session).json is True
        consul.put(f"session/destroy/{session}")
        assert consul.put(f"kv/{behavior}", b"2", acquire=other).json is False
        consul.request("DELETE", f"kv/{behavior}")
        assert consul.put(f"kv/{behavior}", b"2", acquire=other).json is False
        assert consul.put(f"kv/{behavior}", b"2").json is True
        assert consul.put(f"kv/{behavior}", b"2", acquire=other).json is False
    session = create(consul, LockDelay="60s")
    consul.put("kv/free", b"1", acquire=session)
    consul.put("kv/free", b"1", release=session)
    assert consul.put("kv/free", b"2", acquire=other).json is True  # who releases it himself leaves none


def test_lock_delays_count(start_consul):
    """A client that leaves delays behind and no keys is bounded by the same limit as all keys."""
    _, consul = start_consul(kv_mb=1)

    def leave(number):
        session = create(consul, LockDelay="60s", Behavior="delete")
        taken = [consul.put(f"kv/{'k' * 490}{number:04}-{i:03}", b"x", acquire=session) for i in range(200)]
        consul.put(f"session/destroy/{session}")
        return taken

    taken = [reply.status for number in range(20) for reply in leave(number)]
    assert taken[0] == 200 and taken[-1] == 507 and 500 < taken.count(200) < 2000
    assert consul.get("kv/", keys=None).json == []


def test_a_lock_delay_ends(consul):
    first, second = create(consul, LockDelay="300ms"), create(consul)
    consul.put("kv/lock", b"1", acquire=first)
    consul.put(f"session/destroy/{first}")
    wait.until(lambda: consul.put("kv/lock", b"2", acquire=second).json, "the delay is over")
    assert holder(consul, "lock") == second


def test_a_session_without_a_word_ends(consul):
    """After twice its TTL at the latest, as with Consul: who renews it in time keeps it."""
    silent, alive = create(consul, TTL="10s", Behavior="delete"), create(consul, TTL="10s")
    consul.put("kv/silent", b"1", acquire=silent)
    consul.put("kv/alive", b"1", acquire=alive)
    index = consul.get("session/list").index
    waiting = Waiting(consul, "session/list", index=index, wait="60s")
    for _ in range(2):
        waiting.join(7)
        assert waiting.is_alive() or info(consul, silent) == []
        assert consul.put(f"session/renew/{alive}").json[0]["ID"] == alive
    assert [one["ID"] for one in waiting.result().json] == [alive]
    assert holder(consul, "silent") is None and holder(consul, "alive") == alive


def test_sessions_survive(start_consul):
    daemon, consul = start_consul()
    register(consul)
    consul.put("agent/check/register", {"Name": "disk", "TTL": "10m", "Status": "passing"})
    kept = create(consul, Name="kept", TTL="1h", Behavior="delete", LockDelay="2s", Checks=["disk"], ServiceChecks=[{"ID": "service:w1"}])
    gone = create(consul)
    consul.put("kv/kept", b"1", acquire=kept)
    consul.put("kv/gone", b"1", acquire=gone)
    consul.put(f"session/destroy/{gone}")
    shown = info(consul, kept)
    for end in (daemon.stop, daemon.kill, daemon.kill):
        consul.put("kv/durable", end.__name__, durable=None)
        end()
        daemon.start()
        assert consul.get("session/list").json == shown
        assert holder(consul, "kept") == kept and holder(consul, "gone") is None
        assert consul.put(f"session/renew/{kept}").json == shown
    consul.put("agent/check/fail/disk")
    assert consul.get("session/list").json == [] and consul.get("kv/kept").status == 404


def test_a_session_that_a_crash_has_lost_holds_nothing(start_consul):
    daemon, consul = start_consul()
    session = create(consul)
    consul.put("kv/lock", b"1", acquire=session, durable=None)
    index = consul.get("kv/lock").json[0]["ModifyIndex"]
    daemon.kill()
    journal.append(daemon.state / "registry.log", (f"session/{session}", None))
    daemon.start()
    entry, = consul.get("kv/lock").json
    assert "Session" not in entry and entry["ModifyIndex"] > index and base64.b64decode(entry["Value"]) == b"1"
    assert consul.put("kv/lock", b"2", acquire=create(consul)).json is True


def test_a_session_whose_check_went_while_the_daemon_was_away(start_consul):
    daemon, consul = start_consul()
    register(consul)
    session = create(consul, Checks=["service:w1"], LockDelay="60s")
    consul.put("kv/lock", b"1", acquire=session, durable=None)
    daemon.kill()
    journal.append(daemon.state / "registry.log", ("service/w1", None))
    daemon.start()
    assert consul.get("session/list").json == [] and holder(consul, "lock") is None
    assert consul.put("kv/lock", b"2", acquire=create(consul)).json is False  # lock delay


def test_a_restart_waits_for_what_probes_find(start_consul):
    """A check that has found nothing since the start has not failed; one that then fails has."""
    daemon, consul = start_consul(check_targets=["127.0.0.0/8"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        consul.register("web", ID="w1", Address="127.0.0.1", Port=port, Check={"TCP": f"127.0.0.1:{port}", "Interval": "1s"})
        wait.until(lambda: consul.get("health/service/web", passing=None).json, "it passes")
        session = create(consul, Checks=["service:w1"])
        consul.put("kv/lock", b"1", acquire=session, durable=None)
        daemon.kill()
        daemon.start()
        assert holder(consul, "lock") == session
        wait.until(lambda: consul.get("health/service/web", passing=None).json, "it passes again")
        assert holder(consul, "lock") == session
        daemon.kill()
    daemon.start()
    wait.until(lambda: info(consul, session) == [], "it has failed")
    assert holder(consul, "lock") is None


def test_what_a_query_says_of_its_path_is_nothing(consul):
    create(consul)
    for query in ("session/list?x=/session/node/", "session/list?/session/node/nobody", "session/list?/session/info/x"):
        assert len(consul.get(query).json) == 1


def test_a_semaphore_of_consuls_client(consul):
    """What Consul's own Go client does for two holders of three: flags above 2^63, contenders that go with their sessions."""
    flags = 0xe0f69a2baa414de0
    sessions = [create(consul, TTL="15s", Behavior="delete") for _ in range(3)]
    for session in sessions:
        assert consul.put(f"kv/sem/{session}", b"", acquire=session, flags=flags).json is True
    entries = {entry["Key"]: entry for entry in consul.get("kv/sem", recurse=None).json}
    assert all(entry["Flags"] == flags and entry["Session"] in key for key, entry in entries.items())
    held = ",".join(f'"{session}":true' for session in sessions[:2])
    assert consul.put("kv/sem/.lock", '{"Limit":2,"Holders":{%s}}' % held, flags=flags, cas=0).json is True
    lock = next(entry for entry in consul.get("kv/sem", recurse=None).json if entry["Key"] == "sem/.lock")
    assert lock["Flags"] == flags
    waiting = Waiting(consul, "kv/sem", recurse=None, index=consul.get("kv/sem", recurse=None).index, wait="60s")
    consul.put(f"session/destroy/{sessions[0]}")
    alive = {entry["Session"] for entry in waiting.result().json if "Session" in entry}
    assert alive == set(sessions[1:])
    assert consul.put("kv/sem/.lock", b"{}", flags=flags, cas=lock["ModifyIndex"]).json is True
