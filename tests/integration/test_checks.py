"""Checks: what monitors a backend, against real servers, and the traffic that follows from what they find."""

import json

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.ports import free_port
from rig.health import GrpcHealth, HttpHealth, certificate

pytestmark = pytest.mark.control

VIP, PORT = "10.1.0.100", 8080
LOCAL = {"check_targets": ["127.0.0.0/8"], "check_bodies": True}  # checks from the host may go to the host
OFTEN = {"interval_ms": 50, "timeout_ms": 5000, "fall": 1}


@pytest.fixture
def web(sluiced, container):
    """The daemon with network "web", a client and three containers for backends."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client = container(sluiced, "web", "client", "10.1.0.5")
    return sluiced, client, [container(sluiced, "web", f"s{i}", f"10.1.0.1{i}") for i in (1, 2, 3)]


def checked(sluiced, servers, port=PORT, **check):
    """Service "api" with a vip, whose backends are the servers."""
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp", check={**OFTEN, **check})
    for server in servers:
        sluiced.rpc("backend.add", service="api", address=server.ip, port=port)


def backend(sluiced, server):
    return next(row for row in sluiced.rpc("service.show", name="api")["backends"] if row["address"] == server.ip)


def wait_output(sluiced, server, health, output=""):
    """Waits for the health, and for the check to say so."""
    def there():
        row = backend(sluiced, server)
        return row["health"] == health and output in row["output"] and row

    return wait.until(there, f"{server.ip} {health}: {output}")


def test_a_vip_fails_over_by_http(web, stack):
    sluiced, client, servers = web
    health = {server: stack.enter_context(HttpHealth(server, PORT)) for server in servers}
    for server in servers:
        health[server].text = server.name
    checked(sluiced, servers, type="http", path="/health?deep=1")
    for server in servers:
        wait_output(sluiced, server, "passing", f"HTTP 200: {server.name}")
    assert set(health[servers[0]].paths) == {"/health?deep=1"}
    victim, others = servers[0], {server.name for server in servers[1:]}
    health[victim].status = 500
    wait_output(sluiced, victim, "critical", "HTTP 500")
    bodies, failed = traffic.http_many(client, VIP, 80, 40)
    assert failed == 0 and set(bodies) == others
    health[victim].status = 204
    health[victim].text = ""
    wait_output(sluiced, victim, "passing", "HTTP 204")


@pytest.mark.parametrize("answer, said, found", [
    ({"status": 429}, "HTTP 429", "warning"),
    ({"status": 302, "headers": {"Location": "http://127.0.0.1/"}}, "HTTP 302", "critical"),
    ({"status": 503, "text": "no disk\nno hope"}, "HTTP 503: no disk", "critical"),
    ({"text": "x" * 300000}, "HTTP 200: xxx", "passing"),
])
def test_http_answers(web, stack, answer, said, found):
    sluiced, _, servers = web
    health = stack.enter_context(HttpHealth(servers[0], PORT))
    for name, value in answer.items():
        setattr(health, name, value)
    checked(sluiced, servers[:1], type="http")
    wait_output(sluiced, servers[0], found, said)
    assert set(health.paths) == {"/"}


def test_http_without_an_answer(web, stack):
    sluiced, _, (slow, deaf, other) = web
    stack.enter_context(HttpHealth(slow, PORT)).delay_s = 60
    stack.enter_context(traffic.udp_server(deaf, PORT))
    stack.enter_context(traffic.tcp_server(other, PORT))
    checked(sluiced, (slow, deaf, other), type="http", timeout_ms=300)
    wait_output(sluiced, slow, "critical", "timed out after 300 ms")
    wait_output(sluiced, deaf, "critical", "Connection refused")
    wait_output(sluiced, other, "critical", "HTTP/0.9")


def test_a_warning_weighs_less(web, stack):
    sluiced, client, servers = web
    health = [stack.enter_context(HttpHealth(server, PORT)) for server in servers[:2]]
    for server, answers in zip(servers, health):
        answers.text = server.name
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp", check={**OFTEN, "type": "http"})
    for server in servers[:2]:
        sluiced.rpc("backend.add", service="api", address=server.ip, port=PORT, weight=10, warning_weight=0)
        wait_output(sluiced, server, "passing")
    health[0].status = 429
    wait_output(sluiced, servers[0], "warning")
    assert not backend(sluiced, servers[0])["balanced"]
    assert traffic.http_many(client, VIP, 80, 20) == ({servers[1].name: 20}, 0)


def test_https(web, stack, requires, tmp_path):
    requires("openssl")
    sluiced, _, servers = web
    stack.enter_context(HttpHealth(servers[0], PORT, certificate(tmp_path)))
    checked(sluiced, servers[:1], type="http", tls=True)
    wait_output(sluiced, servers[0], "critical", "certificate")
    sluiced.rpc("service.set", name="api", check={**OFTEN, "type": "http", "tls": True, "tls_skip_verify": True})
    wait_output(sluiced, servers[0], "passing", "HTTP 200")


def test_grpc(web, stack):
    pytest.importorskip("grpc", reason="needs python3-grpcio, which is not installed")
    sluiced, _, (server, plain, _) = web
    health = stack.enter_context(GrpcHealth(server, PORT))
    stack.enter_context(HttpHealth(plain, PORT))
    checked(sluiced, (server, plain), type="grpc")
    wait_output(sluiced, server, "passing", "SERVING")
    wait_output(sluiced, plain, "critical")
    health.set("NOT_SERVING")
    wait_output(sluiced, server, "critical", "NOT_SERVING")
    health.set("UNKNOWN")
    wait_output(sluiced, server, "critical", "UNKNOWN")
    sluiced.rpc("backend.set", service="api", address=server.ip, port=PORT, check={**OFTEN, "type": "grpc", "service": "db"})
    wait_output(sluiced, server, "passing", "SERVING")
    sluiced.rpc("backend.set", service="api", address=server.ip, port=PORT, check={**OFTEN, "type": "grpc", "service": "x"})
    wait_output(sluiced, server, "critical", "NOT_FOUND")


def test_rise_and_fall(web, stack):
    sluiced, _, servers = web
    health = stack.enter_context(HttpHealth(servers[0], PORT))
    checked(sluiced, servers[:1], type="http", rise=4, fall=3)
    wait_output(sluiced, servers[0], "passing")
    assert len(health.paths) >= 4
    before, health.status = len(health.paths), 500
    wait_output(sluiced, servers[0], "critical")
    assert len(health.paths) - before >= 3


def test_ttl_by_command(web):
    sluiced, _, servers = web
    ttl = ["--check-type", "ttl", "--check-interval-ms", "600000"]
    sluiced.ctl("service", "add", "api", "--network", "web", "--vip", VIP, "--port", "80", "--protocol", "tcp", *ttl)
    at = f"{servers[0].ip}:{PORT}"
    sluiced.ctl("backend", "add", "api", at)
    assert backend(sluiced, servers[0])["health"] == "critical"
    for health in ("passing", "warning", "critical", "passing"):
        sluiced.ctl("backend", "check", "api", at, "--status", health, "--output", f"{health} it is")
        row = backend(sluiced, servers[0])
        assert (row["health"], row["output"]) == (health, f"{health} it is")
    sluiced.rpc("backend.set", service="api", address=servers[0].ip, port=PORT, check={"type": "ttl", "interval_ms": 100})
    wait_output(sluiced, servers[0], "critical", "TTL expired")
    refused = sluiced.ctl("backend", "check", "api", at, "--status", "well", check=False)
    assert refused.returncode != 0 and "status" in refused.stderr
    sluiced.rpc("backend.set", service="api", address=servers[0].ip, port=PORT, check={**OFTEN, "type": "tcp"})
    refused = sluiced.ctl("backend", "check", "api", at, "--status", "passing", check=False)
    assert refused.returncode == 1 and "no ttl check" in refused.stderr


def test_what_a_command_refuses(web):
    sluiced, _, _ = web
    for options, text in (
        (["--check-type", "http", "--check-path", "health"], "check.path: "),
        (["--check-type", "http", "--check-path", "/a b"], "check.path: has a space"),
        (["--check-type", "tcp", "--check-path", "/"], "check.path: only for http"),
        (["--check-type", "http", "--check-service", "db"], "check.service: only for grpc"),
        (["--check-type", "ttl", "--check-tls", "true"], "check.tls: only for http and grpc"),
        (["--check-type", "passive", "--check-fall", "2"], "check.fall: 2 is out of range 3..100 for passive"),
        (["--check-type", "passive", "--check-path", "/"], "check.path: only for http"),
    ):
        done = sluiced.ctl("service", "add", "x", *options, check=False)
        assert done.returncode == 1 and text in done.stderr, (options, done.stderr)
    assert sluiced.rpc("service.list") == []


def test_checks_of_a_configuration(start_sluiced, stack):
    health = stack.enter_context(HttpHealth())
    check = {"type": "http", "path": "/ready", "interval_ms": 50}
    sluiced = start_sluiced({"control": LOCAL, "services": [{"name": "api", "check": check}],
                             "backends": [{"service": "api", "address": "127.0.0.1", "port": health.port}]})
    wait.until(lambda: sluiced.rpc("backend.list")[0]["health"] == "passing", "it passes")
    shown = sluiced.rpc("service.show", name="api")["check"]
    assert (shown["type"], shown["path"], shown["interval_ms"]) == ("http", "/ready", 50)
    assert set(health.paths) == {"/ready"}
    assert "HTTP 200: well" in sluiced.ctl("service", "show", "api").stdout


@pytest.fixture
def consul(start_sluiced):
    port = free_port()
    return start_sluiced({"control": {"http": f"127.0.0.1:{port}", **LOCAL}}), Consul(port)


def test_consuls_http_check_speaks_to_the_host(consul, stack):
    daemon, client = consul
    health = stack.enter_context(HttpHealth())
    client.put("agent/service/register", {"Name": "web", "Port": health.port, "Check": {
        "HTTP": f"http://localhost:{health.port}/ping", "Interval": "50ms", "Timeout": "5s"}}, durable=None)
    wait.until(lambda: client.get("agent/health/service/id/web").status == 200, "it passes")
    assert client.get("agent/checks").json["service:web"]["Type"] == "http"
    health.status = 503
    wait.until(lambda: client.get("agent/health/service/id/web").status == 503, "it is critical")
    daemon.kill()
    daemon.start()
    health.status = 429
    wait.until(lambda: client.get("agent/health/service/id/web").status == 429, "it warns, after a restart too")


def test_consuls_http_check_asks_as_it_is_told(consul, stack):
    _, client = consul
    health = stack.enter_context(HttpHealth())
    health.text = "first line\nsecond line"
    check = {"HTTP": f"http://localhost:{health.port}/ping", "Interval": "50ms", "Timeout": "5s", "Method": "POST", "Body": "how are you",
             "Header": {"X-Probe": ["a", "b"], "Host": ["web.example"]}}
    assert client.put("agent/service/register", {"Name": "web", "Port": health.port, "Check": check}).status == 200
    wait.until(lambda: client.get("agent/health/service/id/web").status == 200, "it passes")
    method, headers, body = health.requests[0]
    assert (method, body, headers["Host"], headers.get_all("X-Probe")) == ("POST", "how are you", "web.example", ["a", "b"])
    assert headers["Content-Type"] is None
    row = client.get("agent/checks").json["service:web"]
    assert row["Output"] == "HTTP 200: first line\nsecond line"
    assert row["Definition"] == {"HTTP": f"http://127.0.0.1:{health.port}/ping", "Interval": "50ms", "Timeout": "5s"}


def test_consuls_check_warns_before_it_is_critical(consul, stack):
    _, client = consul
    health = stack.enter_context(HttpHealth())
    check = {"HTTP": f"http://localhost:{health.port}/", "Interval": "50ms", "Timeout": "5s",
             "FailuresBeforeWarning": 1, "FailuresBeforeCritical": 1000}
    assert client.put("agent/service/register", {"Name": "web", "Port": health.port, "Check": check}).status == 400
    check["FailuresBeforeCritical"] = 100
    assert client.put("agent/service/register", {"Name": "web", "Port": health.port, "Check": check}).status == 200
    wait.until(lambda: client.get("agent/health/service/id/web").status == 200, "it passes")
    health.status = 500
    wait.until(lambda: client.get("agent/health/service/id/web").status == 429, "it warns after one failure")
    health.status = 200
    wait.until(lambda: client.get("agent/health/service/id/web").status == 200, "it passes again")


def test_one_of_several_checks_takes_an_instance_out(consul, container, stack):
    """A vip follows an instance that has a tcp, an http and an alias check, all over the switch."""
    sluiced, api = consul
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client, *servers = [container(sluiced, "web", f"s{i}", f"10.1.0.1{i}") for i in range(3)]
    sluiced.rpc("service.add", name="api", network="web", vip=VIP, port=80, protocol="tcp")
    health = {server: stack.enter_context(HttpHealth(server, PORT)) for server in servers}
    for server in servers:
        health[server].text = server.name
        often = {"Interval": "50ms", "Timeout": "5s"}
        assert api.put("agent/service/register", {"Name": "api", "ID": server.name, "Address": server.ip, "Port": PORT, "Checks": [
            {"TCP": f"{server.ip}:{PORT}", **often}, {"HTTP": f"http://{server.ip}:{PORT}/", **often, "CheckID": f"{server.name}-http"},
            {"AliasNode": api.get("agent/self").json["Config"]["NodeName"]}]}).status == 200
    for server in servers:
        wait_output(sluiced, server, "passing")
    assert set(traffic.http_many(client, VIP, 80, 40)[0]) == {server.name for server in servers}
    health[servers[0]].status = 500
    wait_output(sluiced, servers[0], "critical", "HTTP 500")
    states = {row["CheckID"]: row["Status"] for row in api.get("health/checks/api").json if row["ServiceID"] == servers[0].name}
    assert sorted(states.values()) == ["critical", "passing", "passing"] and states[f"{servers[0].name}-http"] == "critical"
    bodies, failed = traffic.http_many(client, VIP, 80, 40)
    assert failed == 0 and set(bodies) == {servers[1].name}
    api.put(f"agent/check/deregister/{servers[0].name}-http")
    wait_output(sluiced, servers[0], "passing")
    health[servers[0]].status = 200
    assert set(traffic.http_many(client, VIP, 80, 40)[0]) == {server.name for server in servers}


def test_a_service_of_no_network_is_probed_where_its_instances_are(consul, container, stack):
    """Whoever registers by Consul's API names no network: the switch knows which one has the address, if only one has."""
    sluiced, api = consul
    for name in ("web", "db"):
        sluiced.rpc("network.add", name=name, mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    here = container(sluiced, "web", "here", "10.1.0.11")
    health = stack.enter_context(HttpHealth(here, PORT))
    health.text = "in web"
    often = {"Interval": "50ms", "Timeout": "5s"}
    assert api.put("agent/service/register", {"Name": "api", "Address": here.ip, "Port": PORT, "Checks": [
        {"HTTP": f"http://{here.ip}:{PORT}/", **often, "CheckID": "http"}, {"TCP": f"{here.ip}:{PORT}", **often, "CheckID": "tcp"}]}).status == 200

    def found():
        return {row["CheckID"]: row["Status"] for row in api.get("health/checks/api").json}

    wait.until(lambda: found() == {"http": "passing", "tcp": "passing"}, "both checks pass")
    container(sluiced, "db", "twin", here.ip)
    wait.until(lambda: found() == {"http": "critical", "tcp": "critical"}, "nobody knows which of the two is meant")
    assert {row["Output"] for row in api.get("health/checks/api").json} == {
        "several networks have the address, and the service has none"}
    sluiced.rpc("port.del", name="twin")
    wait.until(lambda: found() == {"http": "passing", "tcp": "passing"}, "there is one again")


def test_who_is_critical_for_long_is_deregistered(consul, stack):
    daemon, client = consul
    health = stack.enter_context(HttpHealth())
    often = {"HTTP": f"http://127.0.0.1:{health.port}/", "Interval": "30ms", "DeregisterCriticalServiceAfter": "200ms"}
    for name, check in (("lives", often), ("dies", {**often, "HTTP": "http://127.0.0.1:1/"}),
                        ("silent", {"TTL": "50ms", "DeregisterCriticalServiceAfter": "200ms"})):
        assert client.put("agent/service/register", {"Name": name, "Check": check}).status == 200
    wait.until(lambda: set(client.get("agent/services").json) == {"lives"}, "only who lives is left")
    daemon.stop()
    daemon.start()
    assert set(client.get("agent/services").json) == {"lives"}


def test_what_consuls_checks_refuse(consul):
    _, client = consul
    for check, text in (
        ({"HTTP": "ftp://10.1.0.1/", "Interval": "1s"}, "no URL of http"),
        ({"HTTP": "http://name.example/", "Interval": "1s"}, "names are not looked up"),
        ({"HTTP": "http://10.1.0.1:99999/", "Interval": "1s"}, "not at an address and port"),
        ({"HTTP": "http://10.1.0.1/a b", "Interval": "1s"}, "check.path"),
        ({"HTTP": "http://10.1.0.1/"}, "Interval must be > 0"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "Method": "PO ST"}, "check.method"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "Body": "b" * 5000}, "check.body"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "Header": {"X": "1"}}, "Header: must be an object of lists"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "Header": {"X:": ["1"]}}, "no name of a header"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "Header": {"X": ["1\r\nY: 2"]}}, "check.headers"),
        ({"HTTP": "http://10.1.0.1/", "Interval": "1s", "TLSServerName": "x"}, "TLSServerName"),
        ({"GRPC": "10.1.0.1", "Interval": "1s"}, "not at an address and port"),
        ({"GRPC": "10.1.0.1:1/" + "s" * 200, "Interval": "1s"}, "check.service"),
    ):
        reply = client.put("agent/service/register", {"Name": "web", "Check": check})
        assert reply.status == 400 and text in reply.text, (check, reply)
    assert json.loads(client.get("agent/services").body) == {}


def test_tcp_checks_find_a_network_made_anew(web, stack):
    """Their sockets are used again, but never beyond the gateway that they were made for."""
    sluiced, _, servers = web
    stack.enter_context(HttpHealth(servers[0], PORT))
    for _ in range(2):
        sluiced.rpc("network.add", name="again", mode="bridge", subnet="10.2.0.0/24", gateway="10.2.0.1")
        sluiced.rpc("port.add", name="again", network="again", type="tap", netns=servers[0].name, ifname="eth1",
                    ips=["10.2.0.11"])
        sluiced.rpc("service.add", name="api", network="again", check={**OFTEN, "type": "tcp"})
        sluiced.rpc("backend.add", service="api", address="10.2.0.11", port=PORT)
        wait.until(lambda: sluiced.rpc("backend.list")[0]["health"] == "passing", "the backend passes")
        sluiced.rpc("service.del", name="api")
        sluiced.rpc("port.del", name="again")
        sluiced.rpc("network.del", name="again")
