"""Long lists are made in slices: whole, beside everything else, and with an index that never tells more than they show."""

import itertools
import json
import random
import re
import socket
import threading
from http.client import HTTPConnection

import pytest

from rig import wait
from rig.consul import Waiting
from rig.daemon import Connection

COUNT = 3000
WORKS = 64  # lists that are under way at a time
LISTS = ["health/service/big", "health/checks/big", "health/state/any", "health/node/edge1", "catalog/service/big",
         "catalog/services", "catalog/node/edge1", "catalog/node-services/edge1", "agent/services", "agent/checks",
         "agent/health/service/name/big", "catalog/nodes", "agent/members"]


def change(consul, *requests):
    """Many changes by one connection."""
    connection = HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)
    for path, body in requests:
        connection.request("PUT", f"/v1/{path}", body if isinstance(body, bytes) else json.dumps(body))
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
    connection.close()


def instance(i, name="big", **more):
    return "agent/service/register", {"Name": name, "ID": f"{name}{i}", "Address": f"10.1.{i // 200}.{i % 200 + 1}", "Port": 80,
                                      "Tags": [f"t{i % 7}"], "Meta": {"n": str(i)}, **more}


@pytest.fixture(scope="module")
def world():
    from rig.consul import Consul
    from rig.daemon import Daemon
    from rig.ports import free_port
    port = free_port()
    with Daemon({"control": {"http": f"127.0.0.1:{port}", "node": "edge1", "node_address": "192.0.2.1"}}) as daemon:
        consul = Consul(port)
        change(consul, *(instance(i, Check={"TTL": "10m", "Status": "passing"}) for i in range(COUNT)), instance(0, "small"))
        yield daemon, consul


@pytest.fixture
def big(world):
    return world[1]


def gauge(consul, name):
    page = consul.request("GET", "/metrics").text
    return int(float(re.search(rf"^{name} (\S+)$", page, re.M)[1]))


def slices(consul):
    return gauge(consul, "sluice_http_slices_total")


def anew(path="health/service/big", numbers=itertools.count()):
    """The same question as nobody asked before, so that no answer is kept for it."""
    return f"{path}?new={next(numbers)}"


def ids(reply):
    return [row["Service"]["ID"] for row in reply.json]


def test_a_list_is_whole_and_made_in_many_slices(big):
    before = slices(big)
    reply = big.get(anew())
    assert sorted(ids(reply)) == sorted(f"big{i}" for i in range(COUNT))
    assert slices(big) - before > 5
    before = slices(big)
    assert len(big.get(anew("health/service/small")).json) == 1
    assert slices(big) - before < 5  # one, but that a slice is as long as its time


def test_every_list_is_the_same_however_it_is_asked_for(big):
    for path in LISTS:
        plain, pretty = big.get(path), big.get(path, pretty=None)
        assert plain.status == pretty.status == 200, (path, plain)
        assert plain.json == pretty.json, path
        assert len(pretty.body) > len(plain.body)
    for path in ("health/service/big", "catalog/service/big"):
        near, far = big.get(path, near="edge1").json, big.get(path, near="nobody").json
        assert near == far == big.get(path).json
    assert big.get("catalog/services").json["big"] == [f"t{i}" for i in range(7)]


def test_what_is_of_the_node_comes_first(big):
    change(big, *(("catalog/register", {"Node": f"far{i}", "Address": "192.0.2.2", "Service": {
        "Service": "mixed", "ID": f"m{i}", "Address": f"10.2.0.{i}", "Port": 1}}) for i in range(1, 9)))
    names = [row["Node"] for row in big.get("catalog/service/mixed", near="far5").json]
    assert names == ["far5"] + [f"far{i}" for i in range(1, 9) if i != 5]
    assert big.get("catalog/service/mixed", near="far5", filter="ServiceID == m3").json[0]["Node"] == "far3"


def test_a_filter_on_all_of_them(big):
    reply = big.get("health/service/big", filter='Service.ID matches "^big[0-9]*77$"')
    assert sorted(ids(reply)) == sorted(f"big{i}" for i in range(COUNT) if i % 100 == 77)
    assert big.get("catalog/services", filter='ServiceID matches "^small0$"').json == {"small": ["t0"]}
    for path, text in (("health/service/big", "Service.Nothing == 1"), ("catalog/services", "Nothing == 1")):
        reply = big.get(path, filter=text)
        assert reply.status == 400 and "not valid" in reply.text, reply


HARD = ['(a+)+x', '(a|a)*x', r'\X*+x', '([^x]*+)\\1x', '(?:a?){40}a{40}x']


@pytest.mark.parametrize("pattern", HARD)
def test_patterns_that_take_too_long_are_an_error_that_says_so(big, pattern):
    change(big, instance(0, "hard", Check={"TTL": "10m"}), instance(1, "hard", Check={"TTL": "10m"}),
           ("agent/check/update/service:hard0", {"Status": "passing", "Output": "a" * 100}),
           ("agent/check/update/service:hard1", {"Status": "passing", "Output": "a" * 4000 + "yx" + "a" * 50}))
    before = slices(big)
    refused = 0
    for text in (f"Checks.Output matches `^{pattern}$`", f"Checks.Output matches `{pattern}z|{pattern}y`",
                 " or ".join(f"Checks.Output matches `{pattern}{i}`" for i in range(30))):
        reply = big.get("health/service/hard", filter=text)
        assert reply.status in (200, 400), reply
        if reply.status == 400:
            assert "takes too long to match (the patterns of a request have 2 ms)" in reply.text
            refused += 1
    assert refused >= 1
    assert slices(big) - before <= 12
    assert len(big.get("health/service/hard", filter="Checks.Output matches `^a+yx`").json) == 1


def test_a_pattern_is_bounded(big):
    for text in ("a" * 513, "("):
        assert big.get("health/service/big", filter=f'Service.ID matches "{text}"').status == 400
    many = " or ".join("ID matches x" for _ in range(33))
    reply = big.get("agent/services", filter=many)
    assert reply.status == 400 and "too many regular expressions" in reply.text


class Raw:
    """A request on a socket of its own, whose answer may be taken later."""

    def __init__(self, consul, path):
        self.sock = socket.create_connection(("127.0.0.1", consul.port), wait.PATIENCE_S)
        self.sock.sendall(f"GET /v1/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        self.data = b""

    def begun(self):
        """Has its answer begun?"""
        self.sock.setblocking(False)
        try:
            self.data += self.sock.recv(1)
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(wait.PATIENCE_S)
        return bool(self.data)

    def body(self):
        with self.sock:
            while part := self.sock.recv(1 << 20):
                self.data += part
        head, _, body = self.data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return json.loads(body)


def test_a_short_answer_does_not_wait_for_long_ones(big):
    """More lists at once than are under way at a time; each is whole in the end."""
    lists = [Raw(big, anew()) for _ in range(WORKS + 16)]
    assert len(big.get("health/service/small").json) == 1
    waiting = sum(not raw.begun() for raw in lists)
    assert waiting > WORKS / 2
    whole = big.get("health/service/big").json
    assert all(raw.body() == whole for raw in lists)
    assert gauge(big, "sluice_http_lists") == 0


def test_who_goes_away_is_forgotten(big):
    for _ in range(3):
        lists = [Raw(big, anew(random.choice(LISTS))) for _ in range(WORKS + 30)]
        for raw in lists:
            raw.sock.close()
    wait.until(lambda: gauge(big, "sluice_http_lists") == 0, "no list is under way", 120)
    assert len(big.get("health/service/big").json) == COUNT


def test_those_who_wake_together_share_one_list(big):
    index = big.get("health/service/big").index
    before = slices(big)
    big.get(anew())
    alone = slices(big) - before
    waiting = [Waiting(big, "health/service/big", index=index, wait="60s") for _ in range(40)]
    wait.until(lambda: gauge(big, "sluice_http_parked_queries") == 40, "they wait")
    before = slices(big)
    change(big, instance(0, Check={"TTL": "10m", "Status": "passing"}, Tags=["other"]))
    bodies = {bytes(each.result().body) for each in waiting}
    assert len(bodies) == 1
    assert slices(big) - before < 10 * alone
    change(big, instance(0, Check={"TTL": "10m", "Status": "passing"}))


def test_a_list_while_all_changes_has_what_stays(big):
    """Instances come and go, before and behind where the list is; those that stay are there once each."""
    over = threading.Event()

    def trouble():
        dice = random.Random(5)
        while not over.is_set():
            which = dice.randrange(40)
            change(big, instance(dice.choice((0, 1500, COUNT)) + which, "big", ID=f"guest{which}"))
            big.deregister(f"guest{dice.randrange(40)}")

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        for _ in range(10):
            reply = big.get("health/service/big")
            stay = [one for one in ids(reply) if one.startswith("big")]
            assert len(stay) == len(set(stay)) == COUNT
            services = big.get("agent/services").json
            assert sum(one.startswith("big") for one in services) == COUNT
            assert "big" in big.get("catalog/services").json
    finally:
        over.set()
        thread.join()
    for i in range(40):
        big.deregister(f"guest{i}")


def test_who_watches_a_long_list_misses_no_change(big):
    """The index of a list that was changed while it was made is not ahead of what it shows."""
    over, seen = threading.Event(), {}

    def watch():
        index = 0
        while not over.is_set():
            reply = big.get("health/service/big", index=index, wait="300ms")
            index = reply.index
            seen["now"] = {row["Service"]["ID"]: row["Service"]["Meta"]["n"] for row in reply.json}

    thread = threading.Thread(target=watch)
    thread.start()
    dice, truth = random.Random(6), {f"big{i}": str(i) for i in range(COUNT)}
    try:
        for step in range(60):
            i = dice.randrange(COUNT)
            change(big, instance(i, Meta={"n": f"s{step}"}, Check={"TTL": "10m", "Status": "passing"}))
            truth[f"big{i}"] = f"s{step}"
        wait.until(lambda: seen.get("now") == truth, "the watcher knows all that was changed")
    finally:
        over.set()
        thread.join()


def test_the_daemon_ends_with_lists_under_way(start_consul):
    sluiced, consul = start_consul()
    change(consul, *(instance(i) for i in range(1000)))
    lists = [Raw(consul, anew()) for _ in range(WORKS + 10)]
    sluiced.stop()
    for raw in lists:
        raw.sock.close()


def test_many_keys(big):
    change(big, *((f"kv/{'abc'[i % 3]}/{i:05}", b"v") for i in range(COUNT)))
    assert [row["Key"] for row in big.get("kv/b/", recurse=None).json] == [f"b/{i:05}" for i in range(1, COUNT, 3)]
    assert big.get("kv/", keys=None).json == sorted(f"{'abc'[i % 3]}/{i:05}" for i in range(COUNT))
    assert big.get("kv/", keys=None, separator="/").json == ["a/", "b/", "c/"]
    assert big.get("kv/a/0", keys=None, separator="7").json[0] == "a/00000"
    big.request("DELETE", "kv/b/", recurse=None)
    assert big.get("kv/", keys=None, separator="/").json == ["a/", "c/"]
    assert big.get("kv/b/", recurse=None).status == 404
    assert big.get("kv/c/00002").json[0]["Value"] == "dg=="
    big.request("DELETE", "kv/", recurse=None)
    assert big.get("kv/", recurse=None).status == 404


def test_the_control_socket_tells_long_lists_in_parts(world):
    daemon, consul = world
    change(consul, *(instance(0, f"svc{i}") for i in range(100)))
    backends = daemon.rpc("backend.list", service="big")
    assert sorted(row["id"] for row in backends) == sorted(f"big{i}" for i in range(COUNT))
    assert {row["service"] for row in backends} == {"big"}
    services = {row["name"]: row for row in daemon.rpc("service.list")}
    assert {f"svc{i}" for i in range(100)} | {"big", "small"} <= set(services)
    assert (services["big"]["backends"], services["big"]["passing"]) == (COUNT, COUNT)
    every = daemon.rpc("backend.list")
    assert len(every) == len({(row["service"], row["id"]) for row in every}) == sum(row["backends"] for row in services.values())


@pytest.fixture
def large(world, stack):
    """A service whose answers are longer than what the kernel holds for a client that does not read, and two connections."""
    daemon, consul = world
    change(consul, *(instance(i, "large") for i in range(COUNT)))
    yield stack.enter_context(Connection(daemon.socket)), stack.enter_context(Connection(daemon.socket)), consul
    daemon.ctl("service", "del", "large", check=False)


def shown(service):
    return {backend["id"] for backend in service["backends"]}


ALL = {f"large{i}" for i in range(COUNT)}
LAST = f"large{COUNT - 1}"  # in the order of its address, too


def test_a_large_service_is_shown_in_parts(large):
    reader, other, consul = large
    reader.send(json.dumps({"id": 1, "method": "service.show", "params": {"name": "large"}}) + "\n")
    assert other.call("status")
    assert consul.deregister(LAST).status == 200  # the answer has begun, and is not at its end
    service = reader.receive()["result"]
    assert shown(service) == ALL - {LAST} and len(service["backends"]) == COUNT - 1
    assert service["name"] == "large" and service["policy"] == "maglev" and service["source"]
    assert reader.call("version")["version"]


def test_a_large_service_that_goes_while_it_is_shown(large):
    reader, other, consul = large
    reader.send(json.dumps({"id": 1, "method": "service.show", "params": {"name": "large"}}) + "\n")
    assert other.call("status")
    assert other.call("service.del", {"name": "large"}) is not None
    assert 0 < len(reader.receive()["result"]["backends"]) < COUNT


def test_a_watch_of_a_large_service_is_told_in_parts(large):
    reader, other, consul = large
    reader.send(json.dumps({"id": 1, "method": "service.watch", "params": {"name": "large"}}) + "\n")
    assert other.call("status")
    for i in range(5):
        change(consul, instance(0, "large", Address=f"10.9.9.{i + 1}"))
    assert consul.deregister(LAST).status == 200
    first, then = reader.receive()["result"], reader.receive()
    assert [service["name"] for service in first] == ["large"] and LAST not in shown(first[0])
    assert then["method"] == "service.changed" and shown(then["params"]) == ALL - {LAST}
    addresses = {backend["id"]: backend["address"] for backend in then["params"]["backends"]}
    assert addresses["large0"] == "10.9.9.5"  # six changes, told once
    assert reader.call("version")["version"]
    other.call("service.del", {"name": "large"})
    assert reader.receive()["params"]["gone"] is True


def test_a_watch_of_all_begins_with_all(world, large):
    daemon, _ = world
    reader, other, consul = large
    services = reader.call("service.watch")
    assert {"big", "large"} <= {service["name"] for service in services}
    assert {service["name"]: len(service["backends"]) for service in services}["large"] == COUNT
    assert len(services) == len(daemon.rpc("service.list"))
    assert consul.deregister(LAST).status == 200
    told = reader.receive()
    assert told["params"]["name"] == "large" and shown(told["params"]) == ALL - {LAST}


def test_a_large_service_is_changed_without_telling_all_of_it(large):
    _, other, _ = large
    answer = other.call("service.set", {"name": "large", "port": 80, "protocol": "tcp"})
    assert answer["port"] == 80 and "backends" not in answer
    assert len(other.call("service.show", {"name": "large"})["backends"]) == COUNT
