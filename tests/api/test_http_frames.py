"""Where a request ends: pipelines, chunks, and requests whose end is in doubt."""

import re
import socket
import time
from pathlib import Path

import pytest

from rig import wait


def exchange(consul, *parts):
    """(status, body) of each answer until the daemon closes or is silent for a moment; the parts are sent one by one."""
    with socket.create_connection(("127.0.0.1", consul.port)) as sock:
        sock.settimeout(0.5 * wait.PATIENCE_S / 20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            sock.sendall(part)
            if len(parts) > 1:
                time.sleep(0.01)
        got, closed = b"", False
        try:
            while (part := sock.recv(65536)):
                got += part
            closed = True
        except TimeoutError:
            pass
        except ConnectionResetError:
            closed = True
    answers = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length else len(rest)
        answers.append((int(head.split()[1]), rest[:size].decode()))
        got = rest[size:]
    return answers, closed


def put(path, *headers, body=b""):
    return "\r\n".join([f"PUT /v1/kv/{path} HTTP/1.1", "Host: localhost", *headers]).encode() + b"\r\n\r\n" + body


GET = b"GET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVIL = b"PUT /v1/kv/evil HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


def test_requests_that_come_in_one_go_are_answered_in_order(consul):
    answers, closed = exchange(consul, put("a", "Content-Length: 1", body=b"1") + GET + put("a", "Content-Length: 1", body=b"2") + GET)
    assert answers == [(200, "true"), (200, "1"), (200, "true"), (200, "2")] and not closed


# bodies in chunks: what is sent, and the value that is kept
CHUNKS = [(b"3\r\nabc\r\n0\r\n\r\n", "abc"), (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"), (b"00A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
          (b"3\r\nabc\r\n0\r\nX-Trailer: x\r\nX-Other: y\r\n\r\n", "abc"), (b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", "abc"),
          (b"3;name=value\r\nabc\r\n0\r\n\r\n", "abc"), (b"1;a\r\na\r\n2 ; b=\"x;y z\" ;c\r\nbc\r\n0;last\r\n\r\n", "abc"),
          (b"3 \r\nabc\r\n0\r\n\r\n", "abc"), (b"2;x\r\n\r\n\r\n0;y\r\nX: ;y\r\nY:\r\n\r\n", "\r\n"),
          (b"3;" + b"e" * 16000 + b"\r\nabc\r\n0\r\n\r\n", "abc"), (b"3\r\nabc\r\n0\r\nX: " + b"t" * 16000 + b"\r\n\r\n", "abc"),
          (b"0;x\r\n\r\n", "")]
NO_CHUNKS = [b"x\r\nabc\r\n0\r\n\r\n", b"-1\r\nabc\r\n0\r\n\r\n", b";a\r\nabc\r\n0\r\n\r\n", b" 3\r\nabc\r\n0\r\n\r\n",
             b"0x3\r\nabc\r\n0\r\n\r\n", b"+3\r\nabc\r\n0\r\n\r\n", b"3 3\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n",
             b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", b"100001\r\nabc\r\n0\r\n\r\n",
             b"3;a\nabc\r\n0\r\n\r\n", b"3;a\rb\r\nabc\r\n0\r\n\r\n", b"3;\0\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n",
             b"3\r\nabc0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"\r\n3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n\r\n0\r\n\r\n",
             b"3\r\nabc\r\n0\r\nno trailer\r\n\r\n", b"3\r\nabc\r\n0\r\n: x\r\n\r\n", b"3\r\nabc\r\n0\r\nX: y\n\r\n",
             b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", b"3\r\nabc\r\n0\r\nX y: z\r\n\r\n",
             b"3;" + b"e" * 17000 + b"\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nX: " + b"t" * 17000 + b"\r\n\r\n",
             b"1;e\r\na\r\n" * 9000 + b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 3000 + b"\r\n"]


def test_bodies_in_chunks(consul):
    for body, value in CHUNKS:
        answers, _ = exchange(consul, put("a", "Transfer-Encoding: chunked", body=body) + GET)
        assert answers == [(200, "true"), (200, value)], body
    for body in NO_CHUNKS:
        answers, closed = exchange(consul, put("bad", "Transfer-Encoding: chunked", body=body) + EVIL)
        assert closed and len(answers) <= 1 and all(status in (400, 413) for status, _ in answers), (body, answers)
    assert consul.get("kv/", keys=None).json == ["a"]


# requests of all kinds in one stream; what is in the chunks looks like requests and sizes
STREAM = [(put("a", "Transfer-Encoding:  Chunked ", body=b"5;x=y\r\n0\r\n\r\n\r\n2 ;z\r\n5;\r\n0\r\nX-Y: z\r\n\r\n"), "true"),
          (GET, "0\r\n\r\n5;"), (put("a", "Content-Length: 7", body=b"3;a\r\nbc"), "true"), (GET, "3;a\r\nbc"),
          (b"POST /v1/kv/a HTTP/1.1\r\nHost: localhost\r\ntransfer-encoding:chunked\r\n\r\n1;a\r\nb\r\n0;c\r\n\r\n", None),
          (put("a", "transfer-encoding:chunked", body=b"%x;a\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(EVIL), EVIL)), "true"), (GET, EVIL.decode())]


def stream(answers):
    return len(answers) == len(STREAM) and all(want is None or got == (200, want) for got, (_, want) in zip(answers, STREAM))


def test_extensions_and_trailers_wherever_the_bytes_are_split(consul):
    whole = b"".join(request for request, _ in STREAM)
    answers, closed = exchange(consul, whole)
    assert stream(answers) and not closed, answers
    for at in range(1, len(whole)):
        with socket.create_connection(("127.0.0.1", consul.port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(whole[:at])
            consul.get("status/leader")  # the daemon has seen the first part
            sock.sendall(whole[at:] + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            sock.settimeout(wait.PATIENCE_S)
            got = b""
            while (part := sock.recv(65536)):
                got += part
        assert got.count(b"HTTP/1.1 200 OK") == len(STREAM), (at, got)
        assert got.count(EVIL) == 1 and got.count(b"5;") == 1, (at, got)
        assert consul.get("kv/", keys=None).json == ["a"]


def test_a_byte_at_a_time(consul):
    whole = b"".join(request for request, _ in STREAM)
    answers, closed = exchange(consul, *(whole[i:i + 1] for i in range(len(whole))))
    assert stream(answers) and not closed, answers


def test_a_trailer_is_no_header(start_consul):
    _, consul = start_consul(http_token="secret")
    body = b"1\r\nx\r\n0\r\nX-Consul-Token: secret\r\nAuthorization: Bearer secret\r\n\r\n"
    (status, _), = exchange(consul, put("a", "Transfer-Encoding: chunked", body=body))[0]
    assert status == 403
    with_token = put("a", "X-Consul-Token: secret", "Transfer-Encoding: chunked", body=b"1;e\r\nx\r\n0\r\nX-Consul-Token: none\r\n\r\n")
    assert exchange(consul, with_token)[0] == [(200, "true")]


ENDLESS = {"size": b"0", "extension": b"3;", "long extension": b"3;" + b"e" * 1000, "trailer": b"3\r\nabc\r\n0\r\nX: ",
           "name of a trailer": b"3\r\nabc\r\n0\r\nX", "chunk": b"ffffff\r\n", "chunk that fits": b"fffff\r\n"}
FLOODS = {**{name: put("bad", "Transfer-Encoding: chunked", body=start) for name, start in ENDLESS.items()},
          "size, after spaces": put("bad", "Transfer-Encoding:" + " " * 100 + "chunked", body=b"0"),
          "body": put("bad", "Content-Length: 99999999"), "two lengths": put("bad", "Content-Length: 1", "Content-Length: 2"),
          "behind a query that waits": b"GET /v1/kv/none?index=%d&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n",
          "header": b"GET / HTTP/1.1\r\nX: "}


def most_memory(daemon):
    """In MB, since its start."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{daemon.process.pid}/status").read_text())[1]) // 1024


@pytest.mark.parametrize("start", FLOODS.values(), ids=FLOODS)
def test_what_has_no_end_is_not_kept(start_consul, start):
    """The client's bytes are dropped or left in its socket, whatever it sends on and on."""
    daemon, consul = start_consul()
    before = most_memory(daemon)
    with socket.create_connection(("127.0.0.1", consul.port)) as sock:
        sock.settimeout(2)  # the daemon may not read on
        with pytest.raises(OSError):
            sock.sendall(start % consul.get("kv/none").index if b"%d" in start else start)
            while True:
                sock.sendall(b"0" * 65536)
    assert most_memory(daemon) - before < 32
    assert consul.get("kv/", keys=None).json == []


def test_a_zero_in_the_head_ends_the_connection(consul):
    for request in (b"PUT /v1/kv/bad HTTP/1.1\r\nHost: local\0host\r\n", b"PUT /v1/\0kv/bad HTTP/1.1\r\n", b"PUT /v1/kv/bad HTTP/1.1\r\n\0\r\n"):
        answers, closed = exchange(consul, request + b"Content-Length: 0\r\n\r\n" + EVIL)
        assert closed and len(answers) <= 1 and all(status == 400 for status, _ in answers), (request, answers)
    assert consul.get("kv/", keys=None).json == []


# headers that say two things, each before a body that would be another request to who believes the other one
DOUBTFUL = [(["Content-Length: 0", f"Content-Length: {len(EVIL)}"], "Content-Length: must be one number"),
            ([f"Content-Length: {len(EVIL)}", "Content-Length: 0"], "Content-Length: must be one number"),
            (["Content-Length: +0"], "Content-Length: must be one number"),
            (["Content-Length: 0, 0"], None), (["Content-Length: 0x0"], None), (["Content-Length: -1"], None),
            (["Content-Length: 5", "Transfer-Encoding: chunked"], None),
            (["Transfer-Encoding: chunked", "Content-Length: 5"], None),
            (["Transfer-Encoding: gzip, chunked"], None), (["Transfer-Encoding: identity"], None),
            (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], None),
            (["Transfer-Encoding: xchunked"], None)]


@pytest.mark.parametrize("headers,text", DOUBTFUL, ids=[",".join(headers) for headers, _ in DOUBTFUL])
def test_a_request_whose_end_is_in_doubt_is_the_last_one(consul, headers, text):
    chunked = "Transfer-Encoding: chunked" in headers
    answers, closed = exchange(consul, put("bad", *headers, body=b"1\r\nx\r\n0\r\n\r\n" + EVIL if chunked else EVIL))
    assert closed and len(answers) == 1 and answers[0][0] in (400, 413) and (not text or text in answers[0][1]), answers
    assert consul.get("kv/", keys=None).json == [], "something was taken"


def test_the_same_length_twice_is_one(consul):
    assert exchange(consul, put("a", "Content-Length: 1", "Content-Length: 1", body=b"x") + GET)[0] == [(200, "true"), (200, "x")]


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("header", [f"Content-Length: {len(EVIL)}", "Transfer-Encoding: chunked"])
def test_a_body_where_none_is_read_is_no_request(consul, method, header):
    request = f"{method} /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode()
    answers, closed = exchange(consul, request + EVIL)
    assert closed and len(answers) == 1, answers
    assert consul.get("kv/evil").status == 404


@pytest.mark.parametrize("headers,text", [(["Transfer-Encoding: gzip"], "Transfer-Encoding: only chunked is known"),
                                          (["Content-Length: 1", "Content-Length: 2"], "Content-Length: must be one number")])
def test_what_is_in_doubt_is_named(consul, headers, text):
    request = "\r\n".join(["GET /v1/status/leader HTTP/1.1", "Host: localhost", *headers]).encode() + b"\r\n\r\n"
    assert exchange(consul, request + EVIL) == ([(400, text)], True)
    assert consul.get("kv/evil").status == 404
