"""Nobody holds the daemon: slow clients of the HTTP API are cut off, connections and waiting queries are bounded."""

import http.client
import socket
import ssl
import threading

import pytest

from rig import wait
from rig.certs import Authority
from rig.consul import Consul
from rig.ports import free_port


@pytest.fixture
def start(start_sluiced):
    """start(http_timeout_s=1) -> a client of a daemon with these options."""

    def start(**control):
        port = free_port()
        start_sluiced({"control": {"http": f"127.0.0.1:{port}", **control}})
        return Consul(port)

    return start


def connect(consul):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(wait.PATIENCE_S)
    sock.connect(("127.0.0.1", consul.port))
    return sock


def gauge(consul, name):
    page = consul.request("GET", "/metrics").text
    return float(next(line.split()[1] for line in page.splitlines() if line.startswith(f"{name} ")))


def is_hung_up(sock):
    """Has the daemon ended the connection? Takes what it said before."""
    sock.settimeout(0.1)
    try:
        while sock.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


SLOW_S = 3  # what honest requests of a busy machine don't take
SLOW = {"nothing at all": (b"", b""),
        "half a line": (b"GET /v1/ca", b""),
        "a header without end": (b"GET /v1/catalog/services HTTP/1.1\r\nX-Long: ", b"x"),
        "headers without end": (b"GET /v1/catalog/services HTTP/1.1\r\n", b"a: b\r\n"),
        "half a body": (b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx", b""),
        "a body byte by byte": (b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x")}


def test_who_is_slow_to_ask_is_cut_off(start):
    consul = start(http_timeout_s=SLOW_S)
    slow = {name: connect(consul) for name in SLOW}
    for name, sock in slow.items():
        sock.sendall(SLOW[name][0])

    def all_are_gone():
        for name, sock in list(slow.items()):
            try:
                sock.sendall(SLOW[name][1])
            except ConnectionError:
                pass
            if is_hung_up(sock):
                slow.pop(name).close()
        return not slow

    wait.until(all_are_gone, f"cut off: {list(slow)}")
    assert consul.get("kv/a").status == 404


def test_who_stalls_a_handshake_is_cut_off(start, tmp_path):
    """Each of them holds a connection; the fourth is served once they have been cut off, and none came back."""
    ours = Authority(tmp_path, "ours")
    cert, key = ours.issue("server")
    consul = start(http_timeout_s=SLOW_S, http_connections=3, http_tls_cert=str(cert), http_tls_key=str(key))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context(cafile=ours.cert).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    hello = outgoing.read()
    stalled = {"nothing": b"", "half a hello": hello[:len(hello) // 2], "a hello and no more": hello}
    for name, data in list(stalled.items()):
        sock = stalled[name] = connect(consul)
        sock.sendall(data)
    honest = http.client.HTTPSConnection("localhost", consul.port, timeout=wait.PATIENCE_S,
                                         context=ssl.create_default_context(cafile=ours.cert))
    honest.request("GET", "/v1/status/leader")
    assert honest.getresponse().status == 200
    honest.close()
    for name, sock in stalled.items():
        wait.until(lambda sock=sock: is_hung_up(sock), f"cut off: {name}")
        sock.close()


def test_who_does_not_take_the_answer_is_cut_off(start):
    consul = start(http_timeout_s=SLOW_S)
    for i in range(20):
        assert consul.put(f"kv/large/{i}", "x" * 500_000).status == 200
    whole = 20 * 500_000 * 4 // 3  # values are told in base64
    with connect(consul) as sock:
        sock.sendall(b"GET /v1/kv/large?recurse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = len(sock.recv(100))
        wait.until(lambda: gauge(consul, "sluice_http_connections") > 1, "it is being answered")
        wait.until(lambda: gauge(consul, "sluice_http_connections") == 1 or None, "it is cut off")
        try:
            while data := sock.recv(65536):
                taken += len(data)
        except ConnectionError:
            pass
        assert taken < whole


def test_who_waits_for_a_change_is_not_slow(start):
    consul = start(http_timeout_s=SLOW_S)
    consul.register("web")
    index = consul.get("health/service/web").index
    assert consul.get("health/service/web", index=index, wait="7s").index == index


def test_connections_beyond_the_bound_wait_for_one_to_close(start):
    consul = start(http_connections=3)
    held = [connect(consul) for _ in range(3)]
    for sock in held:
        sock.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    with connect(consul) as late:
        late.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
        late.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.recv(1000)
        held.pop().close()
        late.settimeout(wait.PATIENCE_S)
        assert late.recv(1000).startswith(b"HTTP/1.1 200")
    for sock in held:
        sock.close()


def test_queries_beyond_the_bound_do_not_wait(start):
    consul = start(http_waiting=2)
    consul.register("web")
    index = consul.get("health/service/web").index
    waiting = [threading.Thread(target=consul.get, args=["health/service/web"], kwargs={"index": index, "wait": "60s"},
                                daemon=True) for _ in range(2)]
    for thread in waiting:
        thread.start()
    wait.until(lambda: gauge(consul, "sluice_http_parked_queries") == 2, "two queries wait")
    assert consul.get("health/service/web", index=index, wait="60s").index == index
    assert all(thread.is_alive() for thread in waiting)
    consul.register("web", Port=1)
    for thread in waiting:
        thread.join(wait.PATIENCE_S)
        assert not thread.is_alive()


@pytest.mark.parametrize("field, value", [("http_timeout_s", 0), ("http_connections", 0), ("http_waiting", "many")])
def test_bounds_that_make_no_sense(start, field, value):
    with pytest.raises(AssertionError, match=f"control.{field}: "):
        start(**{field: value})
