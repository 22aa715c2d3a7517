"""Answers are compressed for who accepts that, once for all of them."""

import gzip
import json
import re
import socket

import pytest

from rig import wait

PATH = "/v1/health/service/web"


def ask(consul, accepts, path=PATH, method="GET"):
    """The answer's status, headers and body; by http.client, with exactly these values of Accept-Encoding."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for value in [accepts] if isinstance(accepts, str) else accepts:
        connection.putheader("Accept-Encoding", value)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers, body


def fill(consul, count):
    for i in range(count):
        consul.register("web", ID=f"web-{i}", Port=i + 1)


@pytest.fixture
def web(consul):
    fill(consul, 20)
    return consul


ACCEPTED = ["gzip", "GZIP", "x-gzip", "*", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "deflate , gzip;q=0.5", "gzip;q=1.000",
            "gzip;q=0.001", "gzip ; Q=1", "identity;q=0, *", "identity;q=0.5, gzip;q=0.5", "*;q=0.1", "*;q=0, gzip", ["deflate", "gzip"],
            ["identity;q=0.1", "gzip"], ",,gzip,"]
REFUSED = ["identity", "", "deflate", "br", "gzip;q=0", "gzip;q=0.0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "identity, gzip;q=0.5",
           "gzipped", "gzi", "gzip;q=", "gzip;q=2", "gzip;q=1.5", "gzip;q=x", "gzip;level=9", "gzip;q=-1", "gzip;q=0.0001", ";q=1", ["deflate", "br"], []]


@pytest.mark.parametrize("accepts", ACCEPTED)
def test_who_accepts_it_is_told_it_compressed(web, accepts):
    plain = web.get("health/service/web").body
    for _ in range(3):
        status, headers, body = ask(web, accepts)
        assert (status, headers["Content-Encoding"], headers["Vary"]) == (200, "gzip", "Accept-Encoding")
        assert len(body) < len(plain) / 4 and gzip.decompress(body) == plain
        assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("accepts", REFUSED)
def test_who_does_not_is_told_it_as_it_is(web, accepts):
    ask(web, "gzip")
    plain = web.get("health/service/web").body
    for _ in range(3):
        status, headers, body = ask(web, accepts)
        assert (status, headers["Content-Encoding"], headers["Vary"]) == (200, None, "Accept-Encoding")
        assert body == plain


def test_each_change_is_in_either(web):
    for port in range(1000, 1050):
        web.register("web", ID="web-0", Port=port)
        told = gzip.decompress(ask(web, "gzip")[2])
        assert told == ask(web, "identity")[2] == gzip.decompress(ask(web, "gzip")[2])
        assert port in [row["Service"]["Port"] for row in json.loads(told)]


def test_a_short_answer_is_not_worth_it(consul):
    status, headers, body = ask(consul, "gzip", "/v1/health/service/none")
    assert (status, headers["Content-Encoding"], body) == (200, None, b"[]")
    assert headers["Vary"] == "Accept-Encoding"


def test_errors_and_head_are_as_they_are(web):
    ask(web, "gzip")
    status, headers, body = ask(web, "gzip", PATH + "?passing=perhaps")
    assert status == 400 and headers["Content-Encoding"] is None and b"passing" in body
    for _ in range(3):
        status, headers, body = ask(web, "gzip", method="HEAD")
        assert status == 200 and body == b"" and headers["Content-Encoding"] is None


def test_a_long_answer_is_compressed_beside_everything_else(consul):
    """Until it is, those who accept it are told it as it is; then compressed; and after a change neither of these."""
    fill(consul, 2000)
    plain = consul.get("health/service/web").body
    assert len(plain) > 1 << 20
    first = ask(consul, "gzip")
    assert first[1]["Content-Encoding"] is None and first[2] == plain

    def compressed():
        _, headers, body = ask(consul, "gzip")
        told = gzip.decompress(body) if headers["Content-Encoding"] else body
        assert told == plain
        return headers["Content-Encoding"] == "gzip"

    wait.until(compressed, "it is compressed")
    consul.register("web", ID="web-0", Port=60000)
    _, headers, body = ask(consul, "gzip")
    assert headers["Content-Encoding"] is None and b'"Port":60000' in body


def test_a_change_while_it_is_compressed(consul):
    fill(consul, 2000)
    for i in range(100):
        consul.register("web", ID="web-0", Port=10000 + i)
        for accepts in ("gzip", "gzip", "identity"):
            _, headers, body = ask(consul, accepts)
            told = gzip.decompress(body) if headers["Content-Encoding"] else body
            assert f'"Port":{10000 + i}'.encode() in told


def test_on_one_connection_by_turns(web):
    """The same question with either header, again and again, and pipelined."""
    plain = web.get("health/service/web").body
    requests = [f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {accepts}\r\n\r\n".encode() for accepts in ("gzip", "identity")]
    with socket.create_connection(("127.0.0.1", web.port), wait.PATIENCE_S) as sock, sock.makefile("rb") as stream:
        for count in (1, 1, 1, 10):
            sock.sendall(b"".join(requests) * count)
            for i in range(2 * count):
                assert stream.readline().startswith(b"HTTP/1.1 200")
                headers = {}
                while (line := stream.readline().strip()):
                    name, value = line.decode().split(": ", 1)
                    headers[name] = value
                body = stream.read(int(headers["Content-Length"]))
                assert headers.get("Content-Encoding") == (None if i % 2 else "gzip")
                assert (body if i % 2 else gzip.decompress(body)) == plain


def test_it_counts_as_memory_that_is_bounded(web):
    def bytes_now():
        return int(float(re.search(r"^sluice_http_cache_bytes (\S+)$", web.get("/metrics").text, re.M)[1]))

    ask(web, "identity")
    before = bytes_now()
    small = len(ask(web, "gzip")[2])
    assert before + small <= bytes_now() <= before + small + 1024
    for i in range(3000):
        ask(web, "gzip", f"{PATH}?n={i}")
    assert bytes_now() <= 32 << 20


def test_waiting_queries_too(web):
    index = web.get("health/service/web").index
    from threading import Thread
    told = []
    threads = [Thread(target=lambda: told.append(ask(web, "gzip", f"{PATH}?index={index}&wait=30s"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    wait.until(lambda: "sluice_http_parked_queries 10\n" in web.get("/metrics").text, "all wait")
    web.register("web", ID="web-0", Port=999)
    for thread in threads:
        thread.join()
    assert {gzip.decompress(body) for _, _, body in told} == {web.get("health/service/web").body}
