"""Several checks of one instance, of the agent's node and of the catalog; maintenance; what a restart keeps."""

import pytest

from rig import wait

TTL = {"TTL": "10m"}
WEB = {"Address": "10.1.0.1", "Port": 80}


def checks(consul, service="web"):
    """CheckID -> Status of all that holds for the service's only instance."""
    entries = consul.get(f"health/service/{service}").json
    assert len(entries) == 1
    return {check["CheckID"]: check["Status"] for check in entries[0]["Checks"] if check["CheckID"] != "serfHealth"}


def health(daemon, service="web"):
    return daemon.rpc("backend.list", service=service)[0]["health"]


def say(consul, word, check):
    reply = consul.put(f"agent/check/{word}/{check}")
    assert reply.status == 200, reply


def test_an_instance_is_as_bad_as_its_worst_check(start_consul):
    daemon, consul = start_consul()
    consul.register("web", **WEB, Check=TTL, Checks=[{**TTL, "CheckID": "disk", "Name": "Disk", "Notes": "of it"}, TTL])
    assert checks(consul) == {"service:web:1": "critical", "disk": "critical", "service:web:3": "critical"}
    for check in ("service:web:1", "disk"):
        say(consul, "pass", check)
        assert health(daemon) == "critical" and consul.get("health/service/web", passing=None).json == []
    say(consul, "warn", "service:web:3")
    assert health(daemon) == "warning"
    say(consul, "pass", "service:web:3")
    assert health(daemon) == "passing" and len(consul.get("health/service/web", passing=None).json) == 1
    row = consul.get("agent/checks").json["disk"]
    assert (row["Name"], row["Notes"], row["ServiceID"]) == ("Disk", "of it", "web")
    say(consul, "fail", "disk")
    shown = daemon.rpc("service.show", name="web")["backends"][0]
    assert [(check["id"], check["health"]) for check in shown["checks"]] == [
        ("service:web:1", "passing"), ("disk", "critical"), ("service:web:3", "passing")]
    assert daemon.rpc("backend.check", service="web", address="10.1.0.1", port=80, status="passing", check="disk")["health"] == "passing"
    assert consul.put("agent/check/deregister/disk").status == 200
    assert checks(consul) == {"service:web:1": "passing", "service:web:3": "passing"}


def test_registering_again_keeps_checks_unless_told_to_replace_them(consul):
    consul.register("web", Checks=[{**TTL, "CheckID": "a", "Status": "passing"}, {**TTL, "CheckID": "b"}])
    consul.register("web", Check={**TTL, "CheckID": "c", "Status": "warning"})
    assert checks(consul) == {"a": "passing", "b": "critical", "c": "warning"}
    consul.put("agent/service/register?replace-existing-checks", {"Name": "web", "Check": {**TTL, "CheckID": "a"}})
    assert checks(consul) == {"a": "passing"}
    consul.put("agent/service/register?replace-existing-checks=true", {"Name": "web"})
    assert checks(consul) == {}


def test_a_check_belongs_to_who_registered_it_last(consul):
    consul.register("web", Check={**TTL, "CheckID": "c"})
    consul.register("db", Check={**TTL, "CheckID": "c", "Status": "passing"})
    assert checks(consul) == {} and checks(consul, "db") == {"c": "passing"}
    consul.register("cache", Check={**TTL, "CheckID": "service:db"})
    say(consul, "warn", "service:db")
    assert checks(consul, "cache") == {"service:db": "warning"}
    consul.register("db", ID="db", Check=TTL)
    assert checks(consul, "cache") == {} and checks(consul, "db") == {"c": "passing", "service:db": "critical"}
    consul.deregister("db")
    assert consul.put("agent/check/pass/c").status == 404


def test_the_nodes_checks_hold_for_all_that_runs_there(start_consul):
    daemon, consul = start_consul()
    consul.register("web", **WEB)
    assert consul.put("agent/check/register", {"Name": "mem", "Notes": "of the host", **TTL}).status == 200
    assert health(daemon) == "critical"
    assert [row["CheckID"] for row in consul.get("health/node/edge1").json if row["ServiceID"] == ""] == ["serfHealth", "mem"]
    assert [row["CheckID"] for row in consul.get("health/state/critical").json] == ["mem"]
    seen = consul.get("health/node/edge1").index
    say(consul, "pass", "mem")
    assert consul.get("health/node/edge1").index > seen
    assert health(daemon) == "passing"
    assert consul.get("agent/checks").json["mem"]["Notes"] == "of the host"
    say(consul, "warn", "mem")
    assert health(daemon) == "warning" and consul.get("health/service/web", passing=None).json == []
    daemon.stop()
    daemon.start()
    assert consul.get("agent/checks").json["mem"]["Status"] == "warning"
    assert consul.put("agent/check/deregister/mem").status == 200
    assert health(daemon) == "passing"
    daemon.stop()
    daemon.start()
    assert consul.get("agent/checks").json == {}


def test_a_nodes_maintenance_drains_all_that_runs_there(start_consul):
    daemon, consul = start_consul()
    consul.register("web", **WEB)
    daemon.rpc("service.add", name="db")
    daemon.rpc("backend.add", service="db", address="10.1.0.2", port=80)
    waiting = consul.get("health/service/web").index
    assert consul.put("agent/maintenance", enable="true", reason="new disk", durable=None).status == 200
    assert consul.get("health/service/web").index > waiting
    for service in ("web", "db"):
        assert health(daemon, service) == "draining"
        assert daemon.rpc("service.show", name=service)["backends"][0]["output"] == "its node is in maintenance: new disk"
        assert consul.get(f"health/service/{service}", passing=None).json == []
        assert checks(consul, service) == {"_node_maintenance": "critical"}
    assert consul.get("agent/checks").json["_node_maintenance"]["Notes"] == "new disk"
    daemon.kill()
    daemon.start()
    assert health(daemon) == "draining"
    assert consul.put("agent/maintenance", enable="false").status == 200
    assert health(daemon) == "passing" and checks(consul) == {}


def test_an_alias_is_as_well_as_the_other_one(start_consul):
    daemon, consul = start_consul()
    consul.register("sidecar", **WEB, Check={"AliasService": "db", "CheckID": "alias"})
    assert checks(consul, "sidecar") == {"alias": "critical"}
    assert consul.get("agent/checks").json["alias"]["Output"].startswith("Service db could not be found")
    consul.register("db", Check=TTL)
    say(consul, "pass", "service:db")
    row = consul.get("agent/checks").json["alias"]
    assert (row["Status"], row["Output"], row["Definition"]) == ("passing", "All checks passing.", {"AliasService": "db"})
    index = consul.get("health/service/db").index
    say(consul, "warn", "service:db")
    assert checks(consul, "sidecar") == {"alias": "warning"}
    assert consul.get("health/service/sidecar").index == consul.get("health/service/db").index == index + 1
    consul.put("agent/service/maintenance/db", enable="true")
    assert checks(consul, "sidecar") == {"alias": "critical"}
    consul.put("agent/service/maintenance/db", enable="false")
    consul.register("third", Check={"AliasService": "sidecar"})
    say(consul, "pass", "service:db")
    assert checks(consul, "third") == {"service:third": "passing"}
    consul.deregister("db")
    assert checks(consul, "third") == checks(consul, "third") == {"service:third": "critical"}
    assert health(daemon, "sidecar") == "critical"


def test_aliases_of_each_other_come_to_rest(consul):
    consul.register("a", Check={"AliasService": "b", "Status": "passing"})
    consul.register("b", Check={"AliasService": "a"})
    assert checks(consul, "a") == {"service:a": "critical"} and checks(consul, "b") == {"service:b": "critical"}
    consul.register("self", Check={"AliasService": "self"})
    assert checks(consul, "self") == {"service:self": "critical"}


def test_an_alias_of_the_node(consul):
    consul.put("agent/check/register", {"Name": "mem", **TTL, "Status": "warning"})
    consul.put("catalog/register", {"Node": "far", "Address": "10.9.0.1"})
    consul.register("here", Check={"AliasNode": "edge1"})
    consul.register("there", Check={"AliasNode": "far"})
    consul.register("nowhere", Check={"AliasNode": "none"})
    found = {name: checks(consul, name)[f"service:{name}"] for name in ("here", "there", "nowhere")}
    assert found == {"here": "warning", "there": "passing", "nowhere": "critical"}


FAR = {"Node": "far", "Address": "10.9.0.1"}


def test_the_catalogs_checks_are_what_was_told(start_consul):
    daemon, consul = start_consul()
    web = {**FAR, "Service": {"Service": "web", "ID": "w1", "Port": 80}, "Checks": [
        {"Name": "up", "Status": "passing", "Output": "fine", "ServiceID": "w1"}, {"CheckID": "node", "Name": "host", "Status": "warning"}]}
    assert consul.put("catalog/register", web).status == 200
    assert checks(consul) == {"up": "passing", "node": "warning"} and health(daemon) == "warning"
    rows = {row["CheckID"]: row for row in consul.get("health/node/far").json}
    assert (rows["up"]["Output"], rows["up"]["ServiceID"], rows["up"]["Type"]) == ("fine", "w1", "")
    for check, wanted in (({"CheckID": "node", "Status": "passing"}, "passing"),
                          ({"CheckID": "up", "ServiceID": "w1", "Status": "critical", "Output": "gone"}, "critical")):
        assert consul.put("catalog/register", {**FAR, "Check": check}).status == 200
        assert health(daemon) == wanted
    for restart in (daemon.stop, daemon.kill):
        consul.put("catalog/register?durable", FAR)
        restart()
        daemon.start()
        assert checks(consul) == {"up": "critical", "node": "passing"}
        assert {row["CheckID"]: row["Output"] for row in consul.get("health/checks/web").json} == {"up": "gone"}
    assert consul.put("catalog/deregister", {"Node": "far", "CheckID": "up"}).json is True
    assert checks(consul) == {"node": "passing"} and health(daemon) == "passing"
    assert consul.put("catalog/deregister", {"Node": "far", "CheckID": "node"}).json is True
    assert checks(consul) == {}
    assert consul.put("catalog/deregister", {"Node": "far"}).json is True
    daemon.stop()
    daemon.start()
    assert {node["Node"] for node in consul.get("catalog/nodes").json} == {"edge1"}


def test_a_word_given_before_a_restart_holds(start_consul):
    daemon, consul = start_consul()
    for name, word in (("up", "pass"), ("odd", "warn"), ("down", "fail")):
        consul.register(name, Check={**TTL, "Status": "critical"})
        say(consul, word, f"service:{name}")
    consul.register("short", Check={"TTL": "50ms", "Status": "passing"})
    wait.until(lambda: checks(consul, "short") == {"service:short": "critical"}, "it is silent for too long")
    consul.put("kv/end?durable", "x")
    daemon.kill()
    daemon.start()
    found = {name: checks(consul, name)[f"service:{name}"] for name in ("up", "odd", "down", "short")}
    assert found == {"up": "passing", "odd": "warning", "down": "critical", "short": "critical"}
    consul.deregister("up")
    consul.register("up", Check=TTL)
    daemon.stop()
    daemon.start()
    assert checks(consul, "up") == {"service:up": "critical"}


def test_a_ttl_instance_that_moves_is_as_well_as_it_was(consul):
    consul.register("web", **WEB, Check={**TTL, "Status": "passing"})
    consul.put("agent/service/maintenance/web", enable="true", reason="moves")
    consul.register("web", Address="10.1.0.2", Port=81, Check=TTL)
    assert checks(consul) == {"_service_maintenance:web": "critical", "service:web": "passing"}
    assert consul.get("agent/checks").json["_service_maintenance:web"]["Notes"] == "moves"
    assert consul.put("agent/service/register", {"ID": "web", "Name": "other", "Check": TTL}).status == 200
    assert consul.get("health/service/web").json == [] and "service:web" in checks(consul, "other")


MAINTENANCE = ("agent/service/maintenance/web", "agent/maintenance")


def test_whatever_a_reason_is_it_can_be_told(consul):
    consul.register("web")
    for path in MAINTENANCE:
        assert consul.request("PUT", f"{path}?enable=true&reason=bad%0A" + "%C3%A9" * 400).status == 200
    rows = consul.get("agent/checks").json
    assert len(rows) == 2
    for row in rows.values():
        assert row["Notes"].startswith("bad\n\u00e9") and len(row["Notes"].encode()) <= 255


@pytest.mark.parametrize("note", ["caf%C3%A9", "two%0Alines", "x" * 5000 + "%C3%A9"])
def test_whatever_a_note_is_it_can_be_told(consul, note):
    consul.register("web", Check=TTL)
    assert consul.request("PUT", f"agent/check/pass/service:web?note={note}").status == 200
    output = consul.get("agent/checks").json["service:web"]["Output"]
    assert len(output.encode()) <= 4096 and output.startswith({"c": "café", "t": "two\nlines", "x": "xxx"}[note[0]])


@pytest.mark.parametrize("text", ["bad%FF%C3", "bad%FF%0A" + "%C3%A9" * 400, "two%0Alines%00end"])
def test_what_cannot_be_kept_as_text_is_refused(consul, text):
    consul.register("web", Check=TTL)
    before = consul.get("agent/checks").json
    for path in [f"{path}?enable=true&reason={text}" for path in MAINTENANCE] + [
            f"agent/check/pass/service:web?note={text}", f"agent/check/pass/{text}"]:
        reply = consul.request("PUT", path)
        assert (reply.status, reply.text) == (400, "the path or the query is not UTF-8, or has a zero in it"), path
    assert consul.get("agent/checks").json == before
    assert checks(consul) == {"service:web": "critical"}


def test_outputs_are_kept_as_long_as_asked_for(consul):
    consul.register("web", Check={**TTL, "OutputMaxSize": 5})
    say(consul, "pass", "service:web?note=0123456789")
    assert consul.get("agent/checks").json["service:web"]["Output"] == "01234"


BAD = [
    ({"Checks": [{**TTL, "CheckID": "a"}, {**TTL, "CheckID": "a"}]}, "two have the id a"),
    ({"Checks": [TTL] * 65}, "more than 64"),
    ({"Checks": TTL}, "Checks: must be a list"),
    ({"Checks": ["x"]}, "must be a list of objects"),
    ({"Check": "x"}, "Check: must be an object"),
    ({"Check": {**TTL, "CheckID": "c" * 256}}, "CheckID: longer than 255"),
    ({"Check": {**TTL, "FailuresBeforeWarning": -1}}, "FailuresBeforeWarning"),
    ({"Check": {**TTL, "Notes": "n" * 5000}}, "check.notes"),
    ({"Check": {"AliasService": "s" * 256}}, "check.alias"),
]


def test_bad_lists_of_checks_are_refused_whole(consul):
    consul.register("web", Check={**TTL, "CheckID": "good"})
    for fields, text in BAD:
        reply = consul.put("agent/service/register", {"Name": "web", "Port": 99, **fields})
        assert reply.status == 400 and text in reply.text, (fields, reply)
    for body, code, text in (({**TTL}, 400, "Missing check name"), ({"Name": "x"}, 400, "Must define one of"),
                             ({"Name": "x", "ServiceID": "none", **TTL}, 404, "does not exist"),
                             ({"Name": "x", "TCP": "name:1", "Interval": "1s"}, 400, "names are not looked up")):
        reply = consul.put("agent/check/register", body)
        assert reply.status == code and text in reply.text, (body, reply)
    for body, code, text in (({**FAR, "Check": {"Name": "x", "Status": "odd"}}, 400, "Status"),
                             ({**FAR, "Check": {"Name": "x", "ServiceID": "none"}}, 404, "does not exist"),
                             ({**FAR, "Check": {"Status": "passing"}}, 400, "Missing check name"),
                             ({**FAR, "Service": {"Service": "a\tb", "ID": "i"}}, 400, "name: must be printable"),
                             ({**FAR, "Service": {"Service": "x", "Port": "80"}}, 400, "Port: must be a number"),
                             ({"Node": "edge1", "Address": "10.9.9.9", "Check": {"Name": "x"}}, 400, "agent/check/register")):
        reply = consul.put("catalog/register", body)
        assert reply.status == code and text in reply.text, (body, reply)
    assert checks(consul) == {"good": "critical"} and consul.get("catalog/service/web").json[0]["ServicePort"] == 0
    assert [node["Node"] for node in consul.get("catalog/nodes").json] == ["edge1"]
