"""The page /metrics: its format by promtool, its figures by real traffic, and the dashboard and rules that use it."""

import json
import re
import shutil
import subprocess

import pytest

from rig import traffic, wait
from rig.consul import Consul
from rig.dns import dig
from rig.ports import free_port
from rig.container import Container
from rig.daemon import ROOT
from rig.health import HttpHealth

pytestmark = pytest.mark.control

MONITORING = ROOT / "docs/monitoring"


@pytest.fixture
def web(start_sluiced, stack):
    """(daemon, its HTTP API, client, server): service api with a vip and one backend that passes by http."""
    port = free_port()
    daemon = start_sluiced({"control": {"http": f"127.0.0.1:{port}"}})
    daemon.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client, server = (stack.enter_context(Container(daemon, "web", name, ip))
                      for name, ip in (("client", "10.1.0.5"), ("server", "10.1.0.11")))
    stack.enter_context(HttpHealth(server, 8080))
    daemon.rpc("service.add", name="api", network="web", vip="10.1.0.100", port=80, protocol="tcp",
               check={"type": "http", "interval_ms": 50, "timeout_ms": 5000})
    daemon.rpc("backend.add", service="api", address="10.1.0.11", port=8080, id='back"s\\lash')
    wait.until(lambda: daemon.rpc("backend.list")[0]["health"] == "passing", "the backend passes")
    return daemon, Consul(port), client, server


def values(text):
    """{'name{labels}': value} of a page."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def test_the_figures_are_those_of_the_daemon(web):
    daemon, api, client, _ = web
    assert traffic.http_many(client, "10.1.0.100", 80, 10)[1] == 0
    daemon.rpc("port.set", name="client", labels={"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web-0"})
    assert traffic.ping(client, "10.1.0.11", 5) == 5
    page = api.request("GET", "/metrics")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    seen = values(page.text)
    assert seen['sluice_port_up{port="client",network="web"}'] == 1
    assert [key for key in seen if key.startswith("sluice_port_pod")] == [
        'sluice_port_pod{port="client",namespace="shop",pod="web-0"}']
    assert 15 < seen['sluice_port_receive_packets_total{port="client",network="web"}'] <= daemon.port("client")["rx_packets"]
    assert seen['sluice_service_backends{service="api",health="passing"}'] == 1
    assert seen['sluice_service_backends{service="api",health="critical"}'] == 0
    assert seen['sluice_backend_packets_total{service="api",backend="back\\"s\\\\lash"}'] >= 20
    opened, answered, refused = (seen[f'sluice_backend_{what}_total{{service="api",backend="back\\"s\\\\lash"}}']
                                 for what in ("opened", "answered", "refused"))
    assert opened == answered > 0 and refused == 0
    assert not any(key.startswith("sluice_backend_in_flight") for key in seen)
    assert seen['sluice_fdb_entries{network="web"}'] >= 2
    assert seen['sluice_check_results_total{result="passed"}'] >= 1
    assert seen['sluice_check_delay_seconds_bucket{le="+Inf"}'] == seen["sluice_check_delay_seconds_count"] >= 1
    assert seen["sluice_http_connections"] >= 1 and seen["sluice_metrics_left_off"] == 0
    assert any(name.startswith("sluice_stage_cycles_per_packet") for name in seen)
    network = {name: seen[f'sluice_network_{name}_frames_total{{network="web"}}']
               for name in ("received", "generated", "copied", "delivered", "dropped", "consumed")}
    assert network["received"] > 0 and network["delivered"] > 0
    later = values(api.request("GET", "/metrics").text)
    assert all(later[name] >= value for name, value in seen.items() if "_total" in name)


def test_what_is_measured_of_backends_is_told_where_they_are_chosen_by_it(web):
    daemon, api, client, _ = web
    daemon.rpc("service.set", name="api", policy="least")
    assert traffic.http_many(client, "10.1.0.100", 80, 5)[1] == 0
    where = 'service="api",backend="back\\"s\\\\lash"'

    def page():
        return values(api.request("GET", "/metrics").text)

    wait.until(lambda: page()[f"sluice_backend_in_flight{{{where}}}"] == 0, "nobody waits")
    assert page()[f"sluice_backend_latency_microseconds{{{where}}}"] > 0


def test_requests_are_counted_by_group_and_status(web):
    api = web[1]

    def seen():
        page = values(api.request("GET", "/metrics").text)
        return {name: value for name, value in page.items() if name.startswith("sluice_http_requests_total")}

    before = seen()
    for path, times in (("catalog/services", 3), ("catalog/nothing", 2), ("health/service/api", 1), ("acl/list", 1), ("/x", 4)):
        for _ in range(times):
            api.get(path)
    now = seen()
    grown = {re.sub(r'.*group="(.*)",status="(.*)"}', r"\1 \2", name): now[name] - before[name]
             for name in now if now[name] != before[name]}
    assert grown == {"catalog 2xx": 3, "catalog 4xx": 2, "health 2xx": 1, "other 5xx": 1, "other 4xx": 4, "metrics 2xx": 1}
    assert set(now) == set(before) and len(now) == 36


def test_dns_answers_are_counted(start_sluiced, requires):
    requires("dig")
    port, http = free_port(), free_port()
    start_sluiced({"control": {"dns": f"127.0.0.1:{port}", "http": f"127.0.0.1:{http}"}})
    api = Consul(http)
    api.register("web", Address="192.0.2.7", Port=80)
    for name, options in (("web.service.consul", []), ("web.service.consul", ["+tcp"]), ("none.service.consul", []),
                          ("example.org", [])):
        dig(port, name, "A", *options)
    seen = values(api.request("GET", "/metrics").text)
    assert seen['sluice_dns_answers_total{transport="udp",code="noerror"}'] == 1
    assert seen['sluice_dns_answers_total{transport="tcp",code="noerror"}'] == 1
    assert seen['sluice_dns_answers_total{transport="udp",code="nxdomain"}'] == 1
    assert seen['sluice_dns_answers_total{transport="udp",code="refused"}'] == 1
    assert seen["sluice_dns_cached_answers_total"] == 1 and seen["sluice_dns_forwarded_queries_total"] == 0


def test_promtool_has_nothing_to_say(web):
    if not shutil.which("promtool"):
        pytest.skip("needs promtool, which is not installed")
    page = web[1].request("GET", "/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = subprocess.run(["promtool", "check", "rules", MONITORING / "alerts.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fire_for_what_they_say(requires):
    """tests/integration/alerts.test.yml: a port that is down is no slow receiver."""
    requires("promtool")
    done = subprocess.run(["promtool", "test", "rules", ROOT / "tests/integration/alerts.test.yml"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_frames_to_a_port_that_is_down_do_not_count_as_too_fast_for_it(web):
    daemon, api, client, server = web
    server.run("ip", "link", "set", "eth0", "down")
    daemon.wait_port("server", "down")
    client.run("ip", "neigh", "replace", "10.1.0.11", "lladdr", server.eth0, "dev", "eth0")
    traffic.ping(client, "10.1.0.11", 5, check=False)
    seen = values(api.request("GET", "/metrics").text)
    assert seen['sluice_port_transmit_drops_total{port="server",network="web"}'] >= 5
    assert seen['sluice_port_ring_full_total{port="server",network="web"}'] == 0


def test_dashboard_and_rules_name_what_is_there(web):
    page = web[1].request("GET", "/metrics").text
    there = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 10
    named = set(re.findall(r"\bsluice_\w+", " ".join(asked) + (MONITORING / "alerts.yml").read_text()))
    assert named and named <= there, named - there


def test_objects_beyond_the_bound_are_counted_not_listed(start_sluiced):
    port = free_port()
    services = [{"name": f"s{i}"} for i in range(2003)]
    start_sluiced({"control": {"http": f"127.0.0.1:{port}"}, "services": services})
    seen = values(Consul(port).request("GET", "/metrics").text)
    assert seen["sluice_services"] == 2003 and seen["sluice_metrics_left_off"] == 3
    assert sum(name.startswith("sluice_service_backends{") for name in seen) == 4 * 2000
