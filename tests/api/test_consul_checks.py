"""Checks and maintenance by Consul's HTTP API."""


def status(consul, service="web"):
    return [check["Status"] for entry in consul.get(f"health/service/{service}").json for check in entry["Checks"]
            if check["CheckID"] != "serfHealth"]


def test_a_ttl_check_begins_critical_and_follows_its_word(consul):
    consul.register("web", Check={"TTL": "10m", "Notes": "say so"})
    assert status(consul) == ["critical"] and consul.get("health/service/web", passing=None).json == []
    assert consul.get("agent/health/service/id/web").status == 503
    for word, code in (("pass", 200), ("warn", 429), ("fail", 503), ("pass", 200)):
        assert consul.put(f"agent/check/{word}/service:web", note=f"is {word}").status == 200
        reply = consul.get("agent/health/service/id/web")
        assert reply.status == code
        assert consul.get("agent/health/service/name/web").status == code
        assert reply.json["Checks"][0]["Output"] == f"is {word}"
    assert consul.get("agent/health/service/id/web", format="text").text == "passing"
    reply = consul.request("GET", "agent/health/service/name/web", headers={"Accept": "text/plain, */*"})
    assert (reply.status, reply.text) == (200, "passing")
    check = consul.get("agent/checks").json["service:web"]
    assert (check["ServiceID"], check["Name"], check["Notes"], check["Type"], check["Definition"]) == (
        "web", "Service 'web' check", "say so", "ttl", {"TTL": "10m0s"})
    assert consul.put("agent/check/update/service:web", {"Status": "warning", "Output": "slow"}).status == 200
    assert [row["Output"] for row in consul.get("health/checks/web").json] == ["slow"]
    assert [row["CheckID"] for row in consul.get("health/state/warning").json] == ["service:web"]


def test_a_ttl_runs_out(consul):
    consul.register("web", Check={"CheckID": "alive", "TTL": "100ms", "Status": "passing"})
    seen = consul.get("health/service/web").index
    reply = consul.get("health/service/web", index=seen, wait="20s")
    assert [check["Status"] for check in reply.json[0]["Checks"] if check["CheckID"] == "alive"] == ["critical"]
    assert "TTL expired" in consul.get("agent/checks").json["alive"]["Output"]
    assert consul.put("agent/check/pass/alive").status == 200


def test_registering_again_keeps_what_the_check_found(consul):
    web = {"Check": {"TTL": "10m"}, "Port": 80}
    consul.register("web", **web)
    consul.put("agent/check/pass/service:web")
    seen = consul.get("health/service/web").index
    consul.register("web", **web)
    assert status(consul) == ["passing"] and consul.get("health/service/web").index == seen


def test_a_check_may_come_later_and_go(consul):
    consul.register("web")
    check = {"Name": "alive", "ID": "c1", "ServiceID": "web", "TTL": "10m"}
    assert consul.put("agent/check/register", check).status == 200
    assert status(consul) == ["critical"]
    assert consul.put("agent/check/pass/c1").status == 200
    assert consul.put("agent/check/deregister/c1").status == 200
    assert status(consul) == [] and consul.get("health/service/web", passing="1").json != []
    assert consul.put("agent/check/deregister/c1").status == 404


BAD_CHECKS = [
    ({"Args": ["/bin/true"], "Interval": "1s"}, "run a program"),
    ({"Script": "true", "Interval": "1s"}, "run a program"),
    ({"DockerContainerID": "x", "Interval": "1s"}, "run a program"),
    ({"TTL": "soon"}, "no duration"),
    ({"TTL": "1ms"}, "out of range"),
    ({"TTL": 10}, "a number is one of nanoseconds"),
    ({"TCP": "10.1.0.1:80"}, "Interval must be > 0"),
    ({"TCP": "name.example:80", "Interval": "1s"}, "names are not looked up"),
    ({"Name": "x"}, "Must define one of"),
    ({"TTL": "1s", "Status": "odd"}, "Status"),
]


def test_bad_checks_are_refused(consul):
    for check, text in BAD_CHECKS:
        reply = consul.put("agent/service/register", {"Name": "web", "Address": "10.1.0.1", "Port": 80, "Check": check})
        assert reply.status == 400 and text in reply.text, (check, reply)
    for word in ("pass", "warn", "fail"):
        assert consul.put(f"agent/check/{word}/nosuch").status == 404
    assert consul.put("agent/check/update/nosuch", {"Status": "odd"}).status == 400
    assert consul.get("catalog/services").json == {"consul": []}


def test_maintenance_drains(start_consul):
    daemon, consul = start_consul()
    consul.register("web", Address="10.1.0.1", Port=80, Check={"TTL": "10m", "Status": "passing"})
    assert consul.put("agent/service/maintenance/web").status == 400
    assert consul.put("agent/service/maintenance/nosuch", enable="true").status == 404
    assert consul.put("agent/service/maintenance/web", enable="true", reason="new disk", durable=None).status == 200
    assert daemon.rpc("backend.list", service="web")[0]["health"] == "draining"
    assert consul.get("health/service/web", passing=None).json == []
    checks = {check["CheckID"]: check for check in consul.get("health/checks/web").json}
    assert checks["_service_maintenance:web"]["Status"] == "critical"
    assert checks["_service_maintenance:web"]["Notes"] == "new disk"
    assert checks["service:web"]["Status"] == "passing"
    daemon.kill()
    daemon.start()
    assert consul.get("agent/checks").json["_service_maintenance:web"]["Notes"] == "new disk"
    assert consul.put("agent/service/maintenance/web", enable="false").status == 200
    consul.put("agent/check/pass/service:web")
    assert len(consul.get("health/service/web", passing=None).json) == 1
