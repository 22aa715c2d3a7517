"""/v1/sluice/watch: what changes and why, as server-sent events; and why a query that waited is answered."""

import json
import socket
import time
from urllib.parse import quote

import pytest

from rig import wait
from rig.consul import Consul, Waiting


class Events:
    """A client of the stream, read as HTML's EventSource reads it: next() is (event, id that holds now, data)."""

    def __init__(self, port, path="sluice/watch", headers=(), receive_bytes=None):
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(wait.PATIENCE_S)
        self.sock.connect(("127.0.0.1", port))
        lines = [f"GET /v1/{path} HTTP/1.0", "Host: localhost", "Accept: text/event-stream", *headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.sock.makefile("r", encoding="utf-8", newline="\n")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value
        self.id, self.comments = "", 0

    def next(self):
        event, data = "message", []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the stream ended")
            line = line.rstrip("\n")
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                self.comments += 1
            elif field == "event":
                event = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.id = value
            elif not line and data:
                return event, int(self.id), json.loads("\n".join(data))
            elif not line:
                event = "message"

    def whys(self, n):
        """(why, instance or None) of the next n changes."""
        changes = [self.next()[2] for _ in range(n)]
        return [(change["why"], change.get("instance")) for change in changes]

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def follow(stack):
    return lambda port, *args, **kwargs: stack.enter_context(Events(port, *args, **kwargs))


def test_what_changes_and_why(start_consul, follow):
    daemon, consul = start_consul()
    events = follow(consul.port)
    assert events.status == 200 and events.headers["content-type"] == "text/event-stream"
    assert events.headers["cache-control"] == "no-store"
    event, at, data = events.next()
    assert event == "begin" and data == {"generation": at, "resumed": False}
    consul.register("web", ID="web-1", Address="192.0.2.5", Port=80, Check={"TTL": "1h"})
    event, at, data = events.next()
    assert (event, data["generation"]) == ("message", at) and at == consul.get("health/service/web").index
    assert {**data, "why": "registered", "service": "web", "instance": "web-1", "node": "edge1", "address": "192.0.2.5",
            "port": 80, "health": "critical"} == data
    consul.put("agent/check/pass/service:web-1", note="two\nlines")
    data = events.next()[2]
    assert {**data, "why": "check", "check": "service:web-1", "output": "two", "before": "critical", "health": "passing"} == data
    consul.put("agent/service/maintenance/web-1", enable="true")
    data = events.next()[2]
    assert {**data, "why": "maintenance", "before": "passing", "health": "draining"} == data and "check" not in data
    consul.put("agent/service/maintenance/web-1", enable="false")
    consul.register("web", ID="web-1", Address="192.0.2.5", Port=80, Tags=["v2"], Check={"TTL": "1h"})
    consul.register("web", ID="web-1", Address="192.0.2.6", Port=80, Tags=["v2"], Check={"TTL": "1h"})
    consul.put("agent/maintenance", enable="true")
    consul.put("agent/maintenance", enable="false")
    consul.put("agent/check/register", {"ID": "disk", "Name": "disk", "TTL": "1h"})
    consul.deregister("web-1")
    assert events.whys(7) == [("maintenance", "web-1"), ("changed", "web-1"), ("moved", "web-1"), ("maintenance", "web-1"),
                              ("maintenance", "web-1"), ("node", "web-1"), ("deregistered", "web-1")]
    daemon.rpc("service.add", name="api")
    daemon.rpc("service.del", name="api")
    assert events.whys(2) == [("service", None), ("deleted", None)]


def test_the_switch_port_is_why(start_consul, follow, netns):
    client = netns("c")
    daemon, consul = start_consul({"networks": [{"name": "web", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}],
                                   "ports": [{"name": "c1", "network": "web", "type": "tap", "netns": client.name,
                                              "ifname": "eth0", "ips": ["10.1.0.11"]}]})
    daemon.wait_port("c1")
    consul.register("web", Address="10.1.0.11", Port=80)
    index = consul.get("health/service/web").index
    events = follow(consul.port)
    events.next()
    waiting = Waiting(consul, "health/service/web", index=index, wait="30s")
    daemon.rpc("port.del", name="c1")
    data = events.next()[2]
    assert {**data, "why": "port", "instance": "web", "address": "10.1.0.11", "before": "passing", "health": "critical"} == data
    assert waiting.result().headers["X-Sluice-Reason"] == \
        "why=port; health=critical; address=10.1.0.11:80; service=web; instance=web"


def test_only_the_services_that_were_asked_for(consul, follow):
    one, some, named = follow(consul.port, "sluice/watch/a%2Fb"), follow(consul.port, "sluice/watch?service=web&service=a%2Fb"), \
        follow(consul.port, "sluice/watch?service=nosuch")
    for events in (one, some, named):
        assert events.next()[0] == "begin"
    for name in ("web", "other", "a/b", "nosuch"):
        consul.register(name)
    assert one.whys(1) == [("registered", "a/b")]
    assert some.whys(2) == [("registered", "web"), ("registered", "a/b")]
    assert named.whys(1) == [("registered", "nosuch")]


@pytest.mark.parametrize("by", ["header", "query"])
def test_who_comes_back_goes_on_where_it_was(consul, follow, by):
    with follow(consul.port) as events:
        events.next()
        consul.register("a")
        assert events.whys(1) == [("registered", "a")]
        at = events.id
    for name in ("b", "c"):
        consul.register(name)
    again = follow(consul.port, *((("sluice/watch", [f"Last-Event-ID: {at}"]) if by == "header" else (f"sluice/watch?last-event-id={at}",))))
    event, _, data = again.next()
    assert event == "begin" and data["resumed"] is True
    assert again.whys(2) == [("registered", "b"), ("registered", "c")]
    consul.register("d")
    assert again.whys(1) == [("registered", "d")]


def test_who_is_torn_away_within_a_generation_is_told_it_again(start_consul, follow):
    daemon, consul = start_consul()
    for i in range(5):
        consul.put("catalog/register", {"Node": "far", "Address": "192.0.2.9", "Service": {"Service": f"s{i}"}})
    events = follow(consul.port)
    begun = events.next()[1]
    consul.put("catalog/deregister", {"Node": "far"})  # five services, one generation
    ids = []
    for _ in range(5):
        events.next()
        ids.append(int(events.id))
    assert ids[:4] == [begun] * 4 and ids[4] > begun


def test_who_was_away_too_long_is_told_so(start_consul, follow):
    daemon, consul = start_consul()
    consul.register("a")
    at = consul.get("health/service/a").index
    for wrong in ("abc", "-1", "1.5", "1" * 20, "1;2"):
        events = follow(consul.port, headers=[f"Last-Event-ID: {wrong}"])
        assert events.status == 400
    for unknown in (at + 1000, 9 * 10**18):
        events = follow(consul.port, headers=[f"Last-Event-ID: {unknown}"])
        assert events.next()[2]["resumed"] is False
        event, id_, data = events.next()
        assert event == "reset" and data["after"] == unknown and id_ == data["generation"] == at
        consul.register("a", Tags=[str(unknown)])
        assert events.next()[2]["why"] == "changed"
        at = int(events.id)
    daemon.stop()
    daemon.start()
    events = follow(consul.port, headers=[f"Last-Event-ID: {at}"])
    assert events.next()[2]["resumed"] is False and events.next()[0] == "reset"
    at = int(events.id)
    for i in range(4097):
        consul.put("agent/service/register", {"Name": "a", "Tags": [str(i)]})
    events = follow(consul.port, headers=[f"Last-Event-ID: {at}"])
    assert events.next()[2]["resumed"] is False and events.next()[0] == "reset"
    events = follow(consul.port, headers=[f"Last-Event-ID: {at + 1}"])
    assert events.next()[2]["resumed"] is True
    assert events.whys(4096) == [("changed", "a")] * 4096


def metric(consul, name):
    return next(float(line.split()[1]) for line in consul.request("GET", "/metrics").text.splitlines() if line.startswith(name + " "))


def test_who_does_not_read_is_cut_off_and_counted(start_consul, follow):
    daemon, consul = start_consul(http_timeout_s=1)
    slow, quick = follow(consul.port, receive_bytes=4096), follow(consul.port)
    quick.next()
    body = {"Name": "a", "Meta": {}, "Check": {"CheckID": "c" * 250, "TTL": "1h", "Status": "passing"}}
    for i in range(3000):
        consul.put("agent/service/register", {**body, "Tags": [str(i)]})
        quick.next()
        if i % 100 == 0 and metric(consul, "sluice_http_streams_cut_total"):
            break
    wait.until(lambda: metric(consul, "sluice_http_streams_cut_total") == 1, "sluice_http_streams_cut_total is 1")
    with pytest.raises((EOFError, ConnectionError, json.JSONDecodeError)):
        while True:
            slow.next()
    consul.register("b")
    while quick.next()[2]["service"] != "b":
        pass
    wait.until(lambda: metric(consul, "sluice_http_streams") == 1, "sluice_http_streams is 1")
    quick.close()
    wait.until(lambda: metric(consul, "sluice_http_streams") == 0, "sluice_http_streams is 0")


def test_how_many_may_follow(consul, follow):
    events = [follow(consul.port) for _ in range(512)]
    assert {each.status for each in events} == {200}
    refused = follow(consul.port)
    assert refused.status == 503 and metric(consul, "sluice_http_streams_refused_total") == 1
    consul.register("web")
    for each in events:
        assert each.next()[0] == "begin" and each.whys(1) == [("registered", "web")]
    events[0].close()
    wait.until(lambda: metric(consul, "sluice_http_streams") == 511, "sluice_http_streams is 511")
    assert follow(consul.port).status == 200


def test_a_token_is_needed(start_consul, follow):
    consul = start_consul(http_token="s3cret")[1]
    assert follow(consul.port).status == 403
    for path, headers in (("sluice/watch?token=s3cret", ()), ("sluice/watch", ["X-Consul-Token: s3cret"]),
                          ("sluice/watch", ["Authorization: Bearer s3cret"])):
        assert follow(consul.port, path, headers).status == 200
    assert consul.request("HEAD", "sluice/watch").status == 200
    assert consul.put("sluice/watch").status == 405


def test_the_daemon_ends_while_many_follow(start_consul, follow):
    daemon, consul = start_consul()
    events = [follow(consul.port) for _ in range(20)]
    consul.register("web")
    daemon.stop()
    for each in events:
        assert each.next()[0] == "begin"


def test_curl_follows(start_consul, requires, stack):
    requires("curl")
    from rig.process import Process

    daemon, consul = start_consul()
    curl = Process(["curl", "-sN", f"http://127.0.0.1:{consul.port}/v1/sluice/watch/web"])
    stack.callback(curl.stop)
    wait.until(lambda: metric(consul, "sluice_http_streams") == 1, "sluice_http_streams is 1")
    consul.register("web")
    wait.until(lambda: '"why":"registered","service":"web"' in curl.output(), "curl hears of it")


# what is done, and the header of the query that waited for it
REASONS = [
    ("agent/service/register", {"Name": "web", "ID": "i2", "Address": "192.0.2.6", "Port": 81}, {},
     "why=registered; health=passing; address=192.0.2.6:81; service=web; instance=i2"),
    ("agent/check/fail/c 1;", None, {}, "why=check; health=critical; address=192.0.2.5:80; service=web; instance=i1; check=c%201%3B"),
    ("agent/service/maintenance/i2", None, {"enable": "true"},
     "why=maintenance; health=draining; address=192.0.2.6:81; service=web; instance=i2"),
    ("agent/service/deregister/i2", None, {}, "why=deregistered; health=draining; address=192.0.2.6:81; service=web; instance=i2"),
]


def test_why_a_query_is_answered(consul):
    consul.register("web", ID="i1", Address="192.0.2.5", Port=80, Check={"CheckID": "c 1;", "TTL": "1h", "Status": "passing"})
    for path, body, query, reason in REASONS:
        first = consul.get("health/service/web")
        assert "X-Sluice-Reason" not in first.headers and int(first.headers["X-Sluice-Generation"]) >= first.index
        waiting = Waiting(consul, "health/service/web", index=first.index, wait="30s")
        assert waiting.waits()
        consul.register("other")  # is no reason
        assert consul.put(quote(path), body, **query).status == 200
        assert waiting.result().headers["X-Sluice-Reason"] == reason
    index = consul.get("catalog/services").index
    consul.register("new")
    assert "service=new" in consul.get("catalog/services", index=index).headers["X-Sluice-Reason"]
    index = consul.get("kv/a").index
    consul.put("kv/a", "x")
    consul.register("new2")
    assert "X-Sluice-Reason" not in consul.get("kv/a", index=index).headers, "no service is why a key changed"
    name = "\u00fc" * 127
    index = consul.get(f"health/service/{quote(name)}").index
    consul.register(name, ID="i" * 255)
    reason = consul.get(f"health/service/{quote(name)}", index=index).headers["X-Sluice-Reason"]
    assert reason.startswith("why=registered; health=passing; service=%C3%BC") and len(reason) < 512


def test_the_command_line_is_told_why(start_consul):
    daemon, consul = start_consul()
    with daemon.connection() as watch:
        watch.call("service.watch", {})
        consul.register("web", Check={"TTL": "1h"})
        told = watch.receive()["params"]
        assert [change["why"] for change in told["changes"]] == ["registered"] and told["backends"][0]["id"] == "web"
        consul.put("agent/check/pass/service:web")
        told = watch.receive()["params"]
        assert [(change["why"], change["check"], change["health"]) for change in told["changes"]] == [("check", "service:web", "passing")]
        consul.deregister("web")
        told = watch.receive()["params"]
        assert told["gone"] is True and [change["why"] for change in told["changes"]] == ["deregistered"]


def test_a_stream_outlives_the_time_of_an_answer(start_consul, follow):
    consul = start_consul(http_timeout_s=1)[1]
    events = follow(consul.port)
    events.next()
    time.sleep(3)
    consul.register("web")
    assert events.whys(1) == [("registered", "web")]


def test_a_silent_stream_says_that_it_lives_and_where_it_is(consul, follow):
    events = follow(consul.port, "sluice/watch/web")
    events.next()
    consul.register("other")  # is not told, and moves the id by which this one would come back
    at = consul.get("health/service/other").index
    while not events.file.readline().startswith(":"):
        pass
    assert events.file.readline() == f"id: {at}\n" and events.file.readline() == "\n"
