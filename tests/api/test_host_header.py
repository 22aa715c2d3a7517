"""On the loopback the HTTP API answers only to the loopback's names: a web page cannot make it its own site."""

import socket

import pytest

from rig import wait
from rig.ports import free_port

ALLOWED = ["localhost", "LocalHost:8500", "127.0.0.1", "127.0.0.1:8500", "127.8.9.1:1", "[::1]", "[::1]:8500"]
FORBIDDEN = ["attacker.example", "attacker.example:8500", "localhost.attacker.example", "127.0.0.1.attacker.example",
             "127.0.0.1@attacker.example", "192.0.2.1", "[2001:db8::1]", "::1", "[::1", "[::1]x", "x:80:80", "localhost:x",
             "0x7f.1", "edge1", "a" * 300]


def ask(port, *headers, target="/v1/status/leader", version="1.1"):
    """The status of a request that is written out; any byte of it may be wrong."""
    with socket.create_connection(("127.0.0.1", port), wait.PATIENCE_S) as sock:
        lines = [f"GET {target} HTTP/{version}", *headers, "Connection: close", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        return int(sock.makefile("rb").readline().split()[1])


def test_names_of_the_loopback_are_served_and_others_are_not(consul):
    for name in ALLOWED:
        assert ask(consul.port, f"Host: {name}") == 200, name
    for name in FORBIDDEN:
        for path in ("/v1/status/leader", "/v1/kv/a", "/metrics", "/healthz", "/nothing"):
            assert ask(consul.port, f"Host: {name}", target=path) == 403, (name, path)


def test_every_way_to_name_a_host_counts(consul):
    assert ask(consul.port, "Host: localhost", "Host: attacker.example") == 403
    assert ask(consul.port, "Host: attacker.example", "Host: localhost") == 403
    assert ask(consul.port, "Host: localhost", target="http://attacker.example/v1/status/leader") == 403
    assert ask(consul.port, "Host: localhost", target="http://localhost/v1/status/leader") == 200
    assert ask(consul.port, version="1.0") == 200  # no browser


def test_a_refused_change_changes_nothing(consul):
    reply = consul.request("PUT", "kv/a", b"x", headers={"Host": "attacker.example"})
    assert reply.status == 403 and "control.http_hosts" in reply.text
    assert consul.get("kv/a").status == 404


def test_the_operator_adds_names(start_consul):
    _, consul = start_consul(http_hosts=["edge1.example", "Registry"])
    for name in ("edge1.example:8500", "registry", "localhost"):
        assert ask(consul.port, f"Host: {name}") == 200, name
    assert ask(consul.port, "Host: edge2.example") == 403


def test_beyond_loopback_names_are_checked_when_they_are_listed(start_sluiced):
    for more, strange in (({}, 200), ({"http_hosts": ["edge1.example"]}, 403)):
        port = free_port()
        daemon = start_sluiced({"control": {"http": f"0.0.0.0:{port}", "http_insecure": True, **more}})
        assert ask(port, "Host: attacker.example") == strange
        assert ask(port, "Host: 127.0.0.1") == 200
        daemon.stop()


def test_a_list_that_is_none_is_named(start_sluiced):
    with pytest.raises(AssertionError, match="control.http_hosts"):
        start_sluiced({"control": {"http_hosts": "edge1"}})
