"""What was registered does not hang on the HTTP server: it is there while that is off."""


def services(daemon):
    return {service["name"] for service in daemon.rpc("service.list")}


def configure(daemon, http):
    daemon.write_config({"control": {"http": http, "node": "edge1", "node_address": "192.0.2.1"}})


def register(consul, name, **fields):
    assert consul.put("agent/service/register", {"Name": name, **fields}, durable=None).status == 200


def crash(daemon):
    daemon.kill()
    daemon.start()


def test_registrations_survive_crashes_while_http_is_off(start_consul):
    daemon, consul = start_consul()
    register(consul, "web", ID="w1", Address="10.1.0.1", Port=80, Tags=["t"])
    consul.put("catalog/register", {"Node": "edge2", "Address": "192.0.2.2", "Service": {"Service": "db", "ID": "d1"}})
    assert consul.put("kv/key", "value", durable=None).status == 200
    before = consul.get("health/service/web").index
    configure(daemon, "")
    crash(daemon)
    assert services(daemon) == {"web", "db"}
    crash(daemon)
    assert services(daemon) == {"web", "db"}
    configure(daemon, f"127.0.0.1:{consul.port}")
    crash(daemon)
    assert consul.get("catalog/services").json == {"consul": [], "web": ["t"], "db": []}
    assert consul.get("kv/key", raw=None).text == "value"
    assert consul.get("health/service/web").index > before
    assert consul.deregister("w1").status == 200


def test_what_leaves_while_http_is_off_stays_away(start_consul):
    daemon, consul = start_consul()
    register(consul, "web", ID="w1", Address="10.1.0.1", Port=80)
    register(consul, "db", ID="d1", Address="10.1.0.2", Port=81)
    configure(daemon, "")
    crash(daemon)
    daemon.rpc("backend.del", service="web", address="10.1.0.1", port=80)
    daemon.stop()
    configure(daemon, f"127.0.0.1:{consul.port}")
    daemon.start()
    assert set(consul.get("catalog/services").json) == {"consul", "db"}
