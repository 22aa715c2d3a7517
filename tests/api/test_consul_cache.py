"""Answers are kept until what they show is different: whoever asks after a change is told what came of it."""

import http.client
import json
import random
import re
import socket
import threading

import pytest

from rig import wait
from rig.consul import WEB, Waiting

VIEWS = ["health/service/web", "health/service/web?passing", "health/service/web?tag=primary", "health/service/web?near=_agent",
         "health/service/web?pretty", "health/service/web?filter=Service.Port!=1", "health/service/web?node-meta=rack:1",
         "health/service/web?cached", "health/service/web?stale&dc=dc1", "health/checks/web", "health/node/edge1", "health/node/far",
         "health/state/any", "health/state/critical", "catalog/service/web", "catalog/service/web?pretty", "catalog/services",
         "catalog/services?pretty", "catalog/services?node-meta=rack:1", "catalog/nodes", "catalog/node/edge1", "catalog/node/far",
         "catalog/node-services/edge1"]


def figure(consul, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", consul.get("/metrics").text, re.M)[1])


def hits(consul):
    return figure(consul, 'sluice_http_cache_requests_total{result="hit"}')


def misses(consul):
    return figure(consul, 'sluice_http_cache_requests_total{result="miss"}')


def fresh(path, numbers=iter(range(1 << 30))):
    """The same question, with a word that says nothing and that nobody has said before."""
    return f"{path}{'&' if '?' in path else '?'}unheard-of={next(numbers)}"


def catalog(consul, **fields):
    assert consul.put("catalog/register", {"Node": "far", "Address": "192.0.2.9", **fields}).status == 200


@pytest.fixture
def world(consul):
    assert register()(consul).status == 200
    consul.register("web", ID="web-2", Address="10.1.0.2", Port=81)
    consul.register("db", ID="db-1", Port=5432, Tags=["x"])
    catalog(consul, NodeMeta={"rack": "1"}, Service={"Service": "web", "ID": "far-1", "Port": 82, "Tags": ["primary"]},
            Check={"CheckID": "told", "Name": "told", "Status": "passing", "ServiceID": "far-1"})
    assert consul.put("agent/check/register", {"ID": "host", "Name": "host", "TTL": "1h", "Status": "passing"}).status == 200
    return consul


def put(path, body=None, **query):
    return lambda consul: consul.put(path, body, **query)


def register(**fields):
    return put("agent/service/register", {**WEB, "Check": {"CheckID": "beat", "TTL": "1h", "Status": "passing"}, **fields})


FAR = {"Node": "far", "Address": "192.0.2.9", "NodeMeta": {"rack": "1"}}
# A change, and whether it makes an answer about service web another one.
CHANGES = {
    "one more": put("agent/service/register", {"Name": "web", "ID": "web-3", "Address": "10.1.0.3", "Port": 83}),
    "tags": register(Tags=["primary", "v3"]),
    "metadata": register(Meta={"zone": "b"}),
    "weights": register(Weights={"Passing": 3, "Warning": 1}),
    "port": register(Port=8081),
    "address": register(Address="10.1.0.77"),
    "tagged address": register(TaggedAddresses={"lan": {"Address": "198.51.100.8", "Port": 1}}),
    "override": register(EnableTagOverride=False),
    "another check": register(Check={"CheckID": "other", "TTL": "1h", "Name": "other"}),
    "notes of the check": register(Check={"CheckID": "beat", "TTL": "1h", "Notes": "why"}),
    "warning": put("agent/check/warn/beat", note="hot"),
    "critical": put("agent/check/fail/beat"),
    "only another output": put("agent/check/pass/beat", note="all is well"),
    "update": put("agent/check/update/beat", {"Status": "passing", "Output": "better"}),
    "check of the node says the same otherwise": put("agent/check/pass/host", note="the host is well"),
    "check of the node": put("agent/check/fail/host"),
    "a check more of the node": put("agent/check/register", {"ID": "disk", "Name": "disk", "TTL": "1h"}),
    "a check less of the node": put("agent/check/deregister/host"),
    "a check more": put("agent/check/register", {"ID": "more", "Name": "more", "TTL": "1h", "ServiceID": "web-1"}),
    "a check less": put("agent/check/deregister/beat"),
    "maintenance": put("agent/service/maintenance/web-1", enable="true", reason="disk"),
    "its reason": put("agent/service/maintenance/web-1", enable="true", reason="fan"),
    "no maintenance": put("agent/service/maintenance/web-1", enable="false"),
    "maintenance of the node": put("agent/maintenance", enable="true", reason="power"),
    "reason of that": put("agent/maintenance", enable="true", reason="water"),
    "no maintenance of the node": put("agent/maintenance", enable="false"),
    "metadata of another node": put("catalog/register", {**FAR, "NodeMeta": {"rack": "2"}}),
    "address of another node": put("catalog/register", {**FAR, "Address": "192.0.2.10"}),
    "check of another node": put("catalog/register", {**FAR, "Check": {"CheckID": "n", "Name": "n", "Status": "critical"}}),
    "check of an instance there": put("catalog/register", {**FAR, "Check": {
        "CheckID": "told", "Name": "told", "Status": "critical", "ServiceID": "far-1", "Output": "no"}}),
    "output there": put("catalog/register", {**FAR, "Check": {
        "CheckID": "told", "Name": "told", "Status": "passing", "ServiceID": "far-1", "Output": "yes"}}),
    "instance there": put("catalog/register", {**FAR, "Service": {"Service": "web", "ID": "far-1", "Port": 99}}),
    "instance there goes": put("catalog/deregister", {"Node": "far", "ServiceID": "far-1"}),
    "node goes": put("catalog/deregister", {"Node": "far"}),
    "one less": put("agent/service/deregister/web-2"),
    "moves to another service": register(Name="db"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_in_every_answer_that_comes_after_it(world, change):
    # what some changes begin with
    if change in ("its reason", "no maintenance"):
        CHANGES["maintenance"](world)
    if change in ("reason of that", "no maintenance of the node"):
        CHANGES["maintenance of the node"](world)
    before = {view: [world.request("GET", view) for _ in range(3)][-1] for view in VIEWS}
    reply = CHANGES[change](world)
    assert reply.status == 200, reply
    after = {view: world.request("GET", view) for view in VIEWS}
    for view in VIEWS:
        made = world.request("GET", fresh(view))
        assert after[view].body == made.body, view
        assert after[view].headers["X-Consul-Index"] == made.headers["X-Consul-Index"], view
    assert any(after[view].body != before[view].body for view in VIEWS)
    assert after["health/service/web"].body != before["health/service/web"].body


def test_random_changes_under_random_questions(world):
    """Each of several connections asks for what it likes, and never sees less than was answered before it asked."""
    dice = random.Random(11)
    names = sorted(CHANGES)
    for _ in range(300):
        CHANGES[dice.choice(names)](world)
        for view in dice.sample(VIEWS, 4):
            assert world.request("GET", view).body == world.request("GET", fresh(view)).body, view


def test_what_does_not_change_an_answer_leaves_it_kept(world):
    world.get("health/service/web")
    known, made = hits(world), misses(world)
    for i in range(20):
        assert world.put("kv/key", f"{i}").status == 200
        world.register("db", ID="db-1", Port=5000 + i)
        world.get("health/service/web")
    assert (hits(world) - known, misses(world) - made) == (20, 0)


def test_one_answer_for_those_whose_questions_differ_in_what_says_nothing(world):
    world.get("health/service/web")
    made = misses(world)
    for query in ("stale", "consistent", "cached", "wait=5s", "index=0", "stale&wait=7s"):
        assert world.request("GET", f"health/service/web?{query}").status == 200
    assert misses(world) == made


def test_headers_are_of_each_answer(world):
    plain = world.get("health/service/web")
    cached = world.request("GET", "health/service/web?cached")
    stale = world.request("GET", "health/service/web?stale")
    assert plain.body == cached.body == stale.body
    assert (plain.headers["X-Cache"], cached.headers["X-Cache"]) == (None, "HIT")
    assert (plain.headers["X-Consul-Effective-Consistency"], stale.headers["X-Consul-Effective-Consistency"]) == ("leader", "stale")
    assert world.request("GET", "health/service/web?stale&consistent").status == 400
    assert world.request("GET", "health/service/web?dc=elsewhere").status == 500
    # the index of a list of all rises with keys, too; its text is the same one
    before = world.get("health/state/any")
    world.put("kv/key", "v")
    made = misses(world)
    after = world.get("health/state/any")
    assert after.index > before.index and after.body == before.body and misses(world) == made


def test_an_error_is_not_kept(world):
    for _ in range(3):
        assert world.request("GET", "health/service/web?filter=Nothing==1").status == 400
        assert world.request("GET", "health/service/web?passing=perhaps").status == 400
    assert world.get("health/service/web").status == 200


def test_a_service_that_comes_and_goes(world):
    for i in range(5):
        assert world.get("health/service/late").json == []
        world.register("late", ID="late", Port=i + 1)
        assert world.get("health/service/late").json[0]["Service"]["Port"] == i + 1
        assert "late" in world.get("catalog/services").json
        world.deregister("late")
        assert "late" not in world.get("catalog/services").json


def test_waiting_queries_and_plain_ones_share(world):
    index = world.get("health/service/web").index
    waiting = [Waiting(world, "health/service/web", index=index, wait="30s") for _ in range(30)]
    wait.until(lambda: figure(world, "sluice_http_parked_queries") == 30, "all wait")
    made = misses(world)
    world.register("web", ID="web-9", Port=9)
    bodies = {bytes(each.result().body) for each in waiting} | {world.get("health/service/web").body}
    assert len(bodies) == 1 and misses(world) == made + 1


def test_head_tells_the_same_without_a_body(world):
    told = world.get("health/service/web")
    for _ in range(3):
        head = world.request("HEAD", "health/service/web")
        assert head.status == 200 and head.body == b"" and head.index == told.index
        assert world.get("health/service/web").body == told.body


def test_a_client_that_asks_for_everything_takes_bounded_memory_and_not_the_place_of_others(consul):
    for i in range(50):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    hot = ["health/service/web", "catalog/service/web", "health/checks/web"]
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)

    def ask(path):
        connection.request("GET", f"/v1/{path}")
        return connection.getresponse().read()

    for _ in range(20):
        for path in hot:
            ask(path)
    for i in range(10000):
        ask(f"health/service/web?n={i}" if i % 4 else f"health/service/none{i}")
        if i % 1000 == 0:
            ask(hot[i // 1000 % len(hot)])
    assert figure(consul, "sluice_http_cache_answers") <= 4096
    assert 1 << 20 < figure(consul, "sluice_http_cache_bytes") <= 32 << 20
    made = misses(consul)
    for path in hot:
        ask(path)
    assert misses(consul) == made


def test_an_answer_that_is_larger_than_what_is_kept(consul):
    """One of 12 MB is not kept, and those who wait for one are told it nevertheless."""
    big = "x" * 500
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)

    def register(i):
        connection.request("PUT", "/v1/agent/service/register", json.dumps(
            {"Name": "big", "ID": f"big-{i}", "Address": "10.9.0.1", "Port": i + 1, "Meta": {f"m{n}": big for n in range(20)}}))
        reply = connection.getresponse()
        assert (reply.read(), reply.status) == (b"", 200)

    for i in range(1100):
        register(i)
    body = consul.get("health/service/big").body
    assert len(body) > 10 << 20
    made = misses(consul)
    assert consul.get("health/service/big").body == body
    assert misses(consul) == made + 1
    index = consul.get("health/service/big").index
    waiting = [Waiting(consul, "health/service/big", index=index, wait="60s") for _ in range(8)]
    wait.until(lambda: figure(consul, "sluice_http_parked_queries") == 8, "all wait")
    register(1100)
    assert len({bytes(each.result().body) for each in waiting}) == 1
    wait.until(lambda: figure(consul, "sluice_http_cache_bytes") < 1 << 20, "nothing of it is kept")


def test_a_slow_reader_keeps_its_answer_and_no_more(consul):
    """It has not taken the old answer while a thousand changes come: it is told it whole, and the memory for others is given back."""
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)
    for i in range(3000):
        connection.request("PUT", "/v1/agent/service/register", json.dumps({"Name": "web", "ID": f"web-{i}", "Port": i + 1}))
        assert connection.getresponse().read() == b""
    old = consul.get("health/service/web").body
    slow = []
    for _ in range(8):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", consul.port))
        sock.settimeout(wait.PATIENCE_S)
        sock.sendall(b"GET /v1/health/service/web HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        slow.append(sock)
    for sock in slow:
        assert sock.recv(1)
    for i in range(1000):
        connection.request("PUT", "/v1/agent/service/register", json.dumps({"Name": "web", "ID": "web-0", "Port": 10000 + i}))
        assert connection.getresponse().read() == b""
        connection.request("GET", "/v1/health/service/web?passing" if i % 2 else "/v1/health/service/web")
        assert f'"Port":{10000 + i}'.encode() in connection.getresponse().read()
    assert figure(consul, "sluice_http_cache_bytes") <= 32 << 20
    for sock in slow:
        data = b""
        while part := sock.recv(1 << 20):
            data += part
        sock.close()
        assert data.endswith(old[-1000:]) and len(data) > len(old)
        assert data.partition(b"\r\n\r\n")[2] == old


def test_many_clients_while_all_changes(consul):
    """256 connections that ask on and on; what each is told is never older than what was answered before it asked."""
    clients, rounds = 256, 20
    latest, over, wrong = [0], threading.Event(), []
    consul.register("web", ID="web-0", Port=1)

    def change():
        connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)
        while not over.is_set():
            port = latest[0] + 1
            connection.request("PUT", "/v1/agent/service/register", json.dumps({"Name": "web", "ID": "web-0", "Port": port % 60000 + 1, "Meta": {"n": str(port)}}))
            assert connection.getresponse().read() == b""
            latest[0] = port

    def ask(sockets):
        for _ in range(rounds):
            least = latest[0]
            for each in sockets:
                each.request("GET", "/v1/health/service/web")
            for each in sockets:
                told = json.loads(each.getresponse().read())[0]["Service"]["Meta"]
                if int(told.get("n", 0)) < least:
                    wrong.append((told, least))

    changer = threading.Thread(target=change)
    changer.start()
    try:
        connections = [http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S) for _ in range(clients)]
        askers = [threading.Thread(target=ask, args=(connections[i::4],)) for i in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    finally:
        over.set()
        changer.join()
    assert wrong == []
    assert latest[0] > 0
