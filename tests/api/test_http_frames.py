"""Where a request ends: pipelines, chunks, and requests whose end is in doubt."""

import re
import socket

import pytest

from rig import wait


def exchange(consul, data):
    """(status, body) of each answer until the daemon closes or is silent for a moment."""
    with socket.create_connection(("127.0.0.1", consul.port)) as sock:
        sock.settimeout(0.5 * wait.PATIENCE_S / 20)
        sock.sendall(data)
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
          (b"3\r\nabc\r\n0\r\nX-Trailer: x\r\nX-Other: y\r\n\r\n", "abc"), (b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", "abc")]
NO_CHUNKS = [b"x\r\nabc\r\n0\r\n\r\n", b"-1\r\nabc\r\n0\r\n\r\n", b"3;name=value\r\nabc\r\n0\r\n\r\n",
             b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n"]


def test_bodies_in_chunks(consul):
    for body, value in CHUNKS:
        answers, _ = exchange(consul, put("a", "Transfer-Encoding: chunked", body=body) + GET)
        assert answers == [(200, "true"), (200, value)], body
    for body in NO_CHUNKS:
        answers, closed = exchange(consul, put("bad", "Transfer-Encoding: chunked", body=body) + EVIL)
        assert closed and len(answers) <= 1 and all(status in (400, 413) for status, _ in answers), (body, answers)
    assert consul.get("kv/", keys=None).json == ["a"]


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
