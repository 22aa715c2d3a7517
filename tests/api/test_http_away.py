"""What was registered does not hang on the HTTP server: it is there while that is off, or its address is another's."""

import json
import re
import socket

from rig import wait
from rig.consul import Consul
from rig.daemon import Daemon
from rig.dns import dig
from rig.ports import free_port


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
    assert daemon.rpc("status")["not_listening"] == []  # it need not
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


def test_an_address_that_is_taken_is_told_and_had_when_it_is_free(start_consul):
    daemon, consul = start_consul()
    register(consul, "web", ID="w1", Address="10.1.0.1", Port=80)
    daemon.kill()
    address = f"127.0.0.1:{consul.port}"
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", consul.port))
        other.listen()
        for _ in range(2):
            daemon.start()
            told, = daemon.rpc("status")["not_listening"]
            assert (told["server"], told["address"], told["why"]) == ("http", address, "Address already in use")
            assert daemon.log().count(f"control.http: {address}: Address already in use: no HTTP API until") == 1
            assert services(daemon) == {"web"}
            assert "Address already in use" in daemon.ctl("status").stdout
            daemon.kill()
        daemon.start()
        assert daemon.rpc("status")["not_listening"]
    wait.until(lambda: not daemon.rpc("status")["not_listening"], "it listens")
    assert f"HTTP API on {address}" in daemon.log()
    assert consul.get("catalog/services").json == {"consul": [], "web": []}
    assert consul.request("GET", "/metrics").status == 200
    register(consul, "db")
    crash(daemon)
    assert set(consul.get("catalog/services").json) == {"consul", "web", "db"}


def test_an_end_while_the_address_is_taken(start_sluiced):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        daemon = start_sluiced({"control": {"http": "127.0.0.1:%d" % other.getsockname()[1]}})
        assert len(daemon.rpc("status")["not_listening"]) == 1
        daemon.stop()


def test_a_clients_answer_is_not_from_who_has_the_address(start_consul):
    """Another daemon has it: its clients are its own, and this one's registrations come when that one ends."""
    first, consul = start_consul()
    register(consul, "first")
    second, elsewhere = start_consul()
    register(elsewhere, "second")
    second.stop()
    configure(second, f"127.0.0.1:{consul.port}")
    second.start()
    assert second.rpc("status")["not_listening"]
    assert set(consul.get("catalog/services").json) == {"consul", "first"}
    first.stop()
    wait.until(lambda: not second.rpc("status")["not_listening"], "it listens")
    assert set(Consul(consul.port).get("catalog/services").json) == {"consul", "second"}


def start_with_defaults(stack, ns):
    """As with a configuration that names no address."""
    daemon = stack.enter_context(Daemon(start=False, ns=ns))
    config = json.loads(daemon.config_file.read_text())
    del config["control"]["http"], config["control"]["dns"]
    daemon.config_file.write_text(json.dumps(config))
    daemon.start()
    return daemon


def test_usual_addresses_that_are_taken_are_told_too(stack, netns):
    host = netns("host")
    first, second = start_with_defaults(stack, host), start_with_defaults(stack, host)
    assert first.rpc("status")["not_listening"] == []
    told = second.rpc("status")["not_listening"]
    assert [(one["server"], one["address"]) for one in told] == [("http", "127.0.0.1:8500"), ("dns", "127.0.0.1:8600")]
    first.stop()
    wait.until(lambda: second.rpc("status")["not_listening"] == [], "HTTP and DNS listen")


def metric_of_dns(consul):
    return int(re.search(r'^sluice_not_listening{server="dns"} (\d)$', consul.get("/metrics").text, re.MULTILINE)[1])


def test_dns_answers_once_its_address_is_free(start_consul, requires):
    requires("dig")
    port = free_port()  # by TCP, too, which a port of the kernel's choice may not be
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        daemon, consul = start_consul(dns=f"127.0.0.1:{port}")
        told, = daemon.rpc("status")["not_listening"]
        assert (told["server"], told["address"], told["why"]) == ("dns", f"127.0.0.1:{port}", "Address already in use")
        register(consul, "web", ID="w1", Address="10.1.0.1", Port=80)
        assert metric_of_dns(consul) == 1
    wait.until(lambda: not daemon.rpc("status")["not_listening"], "it listens")
    assert metric_of_dns(consul) == 0
    assert dig(port, "web.service.consul").data("A") == ["10.1.0.1"]
    assert daemon.log().count("DNS only at gateways until the address is free") == 1
