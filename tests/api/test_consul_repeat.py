"""Requests that come again, byte for byte, are answered before they are taken apart: like all others, in their order, and never in
place of something else."""

import json
import re
import socket

import pytest

from rig import wait

PATH = "/v1/health/service/web"
GET = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
OTHER = b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n"
LEADER = b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Raw:
    """A connection on which bytes are sent as they are, and answers are read one by one."""

    def __init__(self, consul, receive=None):
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.connect(("127.0.0.1", consul.port))
        self.sock.settimeout(wait.PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        part = self.sock.recv(1 << 16)
        self.data += part
        return part

    def answer(self, body=True):
        """Status, headers by lower-case name, body."""
        while b"\r\n\r\n" not in self.data:
            assert self.more(), self.data
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        if body and "content-length" not in headers:  # of HTTP/1.0: to the end of the connection
            while self.more():
                pass
            headers["content-length"] = len(self.data)
        length = int(headers["content-length"]) if body else 0
        while len(self.data) < length:
            assert self.more(), "the answer is not whole"
        told, self.data = self.data[:length], self.data[length:]
        return int(lines[0].split()[1]), headers, told

    def closed(self):
        return self.data == b"" and self.sock.recv(1) == b""


@pytest.fixture
def web(consul):
    for i in range(5):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    return consul


def known(consul, *requests):
    """They have come before."""
    with Raw(consul) as raw:
        for request in requests or (GET,):
            for _ in range(3):
                raw.send(request)
                assert raw.answer()[0] == 200


def requests_total(consul, group="health"):
    page = consul.get("/metrics").text
    return int(re.search(rf'^sluice_http_requests_total{{group="{group}",status="2xx"}} (\d+)$', page, re.M)[1])


def test_the_answer_is_the_same_and_counted(web):
    before = requests_total(web)
    with Raw(web) as raw:
        raw.send(GET)
        first = raw.answer()
        for _ in range(10):
            raw.send(GET)
            again = raw.answer()
            assert again[0] == 200 and again[2] == first[2]
            assert list(again[1]) == list(first[1])  # names, in their order
            assert {**again[1], "date": ""} == {**first[1], "date": ""}
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d gmt", again[1]["date"])
    assert requests_total(web) == before + 11


def test_each_change_is_told_at_once(web):
    with Raw(web) as raw:
        for port in range(1000, 1100):
            web.register("web", ID="web-0", Port=port)
            raw.send(GET)
            _, headers, body = raw.answer()
            assert port in [row["Service"]["Port"] for row in json.loads(body)]
            assert int(headers["x-consul-index"]) == web.get("health/service/web").index


def test_an_index_that_rises_while_the_text_stays(web):
    state = b"GET /v1/health/state/any HTTP/1.1\r\nHost: localhost\r\n\r\n"
    known(web, state)
    with Raw(web) as raw:
        raw.send(state)
        first = raw.answer()
        web.put("kv/key", "v")
        raw.send(state)
        second = raw.answer()
        assert int(second[1]["x-consul-index"]) > int(first[1]["x-consul-index"]) and second[2] == first[2]


def test_pipelined_in_any_mixture_they_are_answered_in_order(web):
    known(web, GET, OTHER)
    web_body, nodes, leader = web.get("health/service/web").body, web.get("catalog/nodes").body, web.get("status/leader").body
    put = (b"PUT /v1/kv/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nvalue", b"true")
    one, two, three = (GET, web_body), (OTHER, nodes), (LEADER, leader)
    for mixture in ([one] * 100, [one, two] * 30, [one, three] * 30, [three, one] * 30, [one, put, one, three, put, two, one],
                    [put, one] * 20, [one] * 16 + [put] + [one] * 17):
        with Raw(web) as raw:
            raw.send(b"".join(request for request, _ in mixture))
            for request, body in mixture:
                status, _, told = raw.answer()
                assert (status, told.strip()) == (200, body.strip()), request
            raw.send(GET)
            assert raw.answer()[2] == web_body


@pytest.mark.parametrize("cut", [1, 3, 4, 20, len(GET) - 5, len(GET) - 3, len(GET) - 1])
def test_in_pieces(web, cut):
    known(web)
    body = web.get("health/service/web").body
    with Raw(web) as raw:
        for _ in range(3):
            raw.send(GET[:cut])
            wait.until(lambda: web.get("status/leader").status == 200, "the first piece was read")
            raw.send(GET[cut:])
            assert raw.answer()[2] == body
        # the rest of one and the beginning of the next together
        raw.send(GET + GET[:cut])
        assert raw.answer()[2] == body
        raw.send(GET[cut:] + GET)
        assert [raw.answer()[2] for _ in range(2)] == [body] * 2


def test_bytes_of_a_body_are_no_request(web):
    """Whatever a client puts into a body, in one piece with its head or in another, is that body."""
    known(web)
    head = b"PUT /v1/kv/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(GET)
    chunked = b"PUT /v1/kv/smuggled HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GET)
    for begin, end in ((head, b""), (chunked, b"\r\n0\r\n\r\n")):
        for apart in (False, True):
            web.put("kv/smuggled", "")
            with Raw(web) as raw:
                raw.send(GET)
                raw.answer()
                if apart:
                    raw.send(begin)
                    web.get("status/leader")
                    raw.send(GET)
                    web.get("status/leader")
                    raw.send(end)
                else:
                    raw.send(begin + GET + end)
                assert raw.answer()[2].strip() == b"true"
                raw.send(GET)
                assert raw.answer()[2] == web.get("health/service/web").body
            assert web.get("kv/smuggled", raw=None).body == GET


def test_bytes_that_come_while_a_question_waits_are_answered_after_it(web):
    known(web)
    index = web.get("health/service/web").index
    question = f"GET {PATH}?index={index}&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with Raw(web) as raw:
        for port in (501, 502):
            raw.send(question)
            wait.until(lambda: "sluice_http_parked_queries 1\n" in web.get("/metrics").text, "it waits")
            raw.send(GET + GET)
            assert "sluice_http_parked_queries 1\n" in web.get("/metrics").text
            web.register("web", ID="web-0", Port=port)
            answers = [raw.answer() for _ in range(3)]
            assert all(port in [row["Service"]["Port"] for row in json.loads(body)] for _, _, body in answers)
            question = question.replace(f"index={index}".encode(), b"index=" + answers[0][1]["x-consul-index"].encode())
            index = int(answers[0][1]["x-consul-index"])


def test_a_question_with_an_index_waits_however_often_it_comes(web):
    index = web.get("health/service/web").index
    question = f"GET {PATH}?index={index}&wait=1ms HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    known(web, question)
    waiting = question.replace(b"1ms", b"30s")
    with Raw(web) as raw:
        raw.send(waiting)
        wait.until(lambda: "sluice_http_parked_queries 1\n" in web.get("/metrics").text, "it waits")
        web.register("web", ID="web-0", Port=700)
        assert 700 in [row["Service"]["Port"] for row in json.loads(raw.answer()[2])]


def test_http_1_0_and_close_end_the_connection(web):
    known(web)
    body = web.get("health/service/web").body
    for request in (GET.replace(b"HTTP/1.1", b"HTTP/1.0"), GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")):
        for _ in range(3):
            with Raw(web) as raw:
                raw.send(GET + request)
                assert [raw.answer()[2] for _ in range(2)] == [body] * 2
                assert raw.closed()


@pytest.mark.parametrize("lines", ["Connection: keep-alive", "Connection: Keep-Alive\r\nContent-Length: 0", "Connection: keep-alive\r\nConnection: close",
                                   "Connection: close\r\nConnection: keep-alive", "Content-Length: 0\r\nContent-Length: 7"])
def test_headers_that_say_how_the_connection_goes_on(web, lines):
    """Whatever they say, the third answer is like the first, and so is what becomes of the connection."""
    request = GET.replace(b"\r\n\r\n", b"\r\n" + lines.encode() + b"\r\n\r\n")

    def talk():
        told = []
        with Raw(web) as raw:
            for _ in range(2):
                try:
                    raw.send(request)
                    status, headers, body = raw.answer()
                except (AssertionError, OSError):
                    return [*told, "closed"]
                told.append((status, sorted((name, value) for name, value in headers.items() if name != "date"), body))
        return told

    first = talk()
    assert first[0][0] in (200, 400)
    assert talk() == talk() == first


def test_keep_alive_of_http_1_0(web):
    request = GET.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n")
    with Raw(web) as raw:
        for _ in range(4):
            raw.send(request)
            status, headers, body = raw.answer()
            assert status == 200 and headers["connection"] == "keep-alive" and len(json.loads(body)) == 5


def test_head_has_no_body_between_gets(web):
    known(web)
    body = web.get("health/service/web").body
    with Raw(web) as raw:
        for _ in range(3):
            raw.send(GET.replace(b"GET", b"HEAD", 1) + GET)
            assert raw.answer(body=False)[0] == 200
            assert raw.answer()[2] == body


def test_a_token_is_asked_for_each_time(start_consul):
    _, consul = start_consul(http_token="secret")
    consul.register("web", ID="web-0", Port=1)
    right = GET.replace(b"\r\n\r\n", b"\r\nX-Consul-Token: secret\r\n\r\n")
    known(consul, right)
    with Raw(consul) as raw:
        for request, status in ((right, 200), (GET, 403), (right.replace(b"secret", b"Secret"), 403),
                                (right.replace(b"localhost", b"evil.example"), 403), (right, 200), (GET, 403)) * 3:
            raw.send(request)
            assert raw.answer()[0] == status, request


def test_errors_stay_errors(web):
    for request in (GET.replace(b"web HTTP", b"web?passing=perhaps HTTP"), GET.replace(b"web HTTP", b"web?dc=elsewhere HTTP"),
                    GET.replace(b"\r\n\r\n", b"\r\nX-Consul-Namespace: other\r\n\r\n")):
        with Raw(web) as raw:
            for _ in range(4):
                raw.send(request)
                assert raw.answer()[0] >= 400


def test_a_client_that_reads_slowly_gets_all_in_order(consul):
    """More than the kernel holds for it, then more questions; changes come meanwhile."""
    for i in range(1500):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    known(consul)
    old = consul.get("health/service/web").body
    assert 10 * len(old) > 9 << 20
    with Raw(consul, receive=4096) as raw:
        raw.send(GET * 10)
        while len(raw.data) < 10000:
            assert raw.more()
        for i in range(50):
            consul.register("web", ID="web-0", Port=20000 + i)
            assert consul.get("health/service/web").status == 200
        bodies = [raw.answer()[2] for _ in range(10)]
        assert bodies[0] == old
        assert bodies[-1] == consul.get("health/service/web").body
        raw.send(GET)
        assert raw.answer()[2] == bodies[-1]


def test_who_goes_away_in_the_middle_of_an_answer(consul):
    for i in range(1500):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    known(consul)
    for i in range(60):
        with Raw(consul, receive=4096) as raw:
            raw.send(GET * (i % 20 + 1))
            for _ in range(i % 3):
                raw.more()
            if i % 2:
                raw.sock.shutdown(socket.SHUT_WR)
    wait.until(lambda: "sluice_http_connections 1\n" in consul.get("/metrics").text, "they are let go of")


def test_the_daemon_ends_in_the_middle_of_answers(start_consul):
    daemon, consul = start_consul()
    for i in range(1500):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    known(consul)
    slow = [Raw(consul, receive=4096) for _ in range(20)]
    for raw in slow:
        raw.send(GET * 3)
        assert raw.more()
    daemon.stop()
    for raw in slow:
        raw.sock.close()


def test_who_does_not_take_its_answer_is_cut_off(start_consul):
    _, consul = start_consul(http_timeout_s=1)
    for i in range(1500):
        consul.register("web", ID=f"web-{i}", Port=i + 1)
    known(consul)
    with Raw(consul, receive=4096) as raw:
        raw.send(GET * 4)
        wait.until(lambda: "sluice_http_connections 1\n" in consul.get("/metrics").text, "it is cut off")


def test_many_different_requests_are_as_good_as_forgotten(web):
    """So many that no list holds them; those that come often stay quick, and all are answered rightly."""
    known(web)
    body = web.get("health/service/web").body
    with Raw(web) as raw:
        for i in range(3000):
            raw.send(GET.replace(b"\r\n\r\n", b"\r\nX-Number: %d\r\n\r\n" % i))
            assert raw.answer()[2] == body
            if i % 100 == 0:
                raw.send(GET)
                assert raw.answer()[2] == body


@pytest.mark.parametrize("length", [1023, 1024, 1025, 5000])
def test_long_heads(web, length):
    request = GET[:-2] + b"X-Long: "
    request += b"x" * (length - len(request) - 4) + b"\r\n\r\n"
    assert len(request) == length
    with Raw(web) as raw:
        for _ in range(4):
            raw.send(request)
            assert raw.answer()[0] == 200
        raw.send(request * 3)
        assert [raw.answer()[0] for _ in range(3)] == [200] * 3
