"""The control socket against clients that are careless or hostile."""

import json
import os
import socket
import stat

import pytest

from rig import wait
from rig.daemon import Connection, Daemon, RpcError

PARSE, REQUEST = -32700, -32600


@pytest.fixture(scope="module")
def daemon():
    with Daemon() as running:
        yield running


@pytest.fixture
def client(daemon):
    with Connection(daemon.socket) as connection:
        yield connection


@pytest.mark.parametrize("line", ["{", "not json", "[1,2", '{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}', "\x00",
                                  "[" * 5000, '{"a":1e999}', '{"method":"status","id":99999999999999999999}'])
def test_not_json(client, line):
    client.send(line + "\n")
    assert client.receive()["error"]["code"] == PARSE
    assert client.call("version")["version"]


@pytest.mark.parametrize("request_", [[], {}, {"id": 1}, {"id": 1, "method": 5}, {"id": {}, "method": "status"}])
def test_not_a_request(client, request_):
    client.send(json.dumps(request_) + "\n")
    assert client.receive()["error"]["code"] == REQUEST
    assert client.call("version")["version"]


def test_nobody_passes_files(daemon):
    """Whoever reads them would have to close them, for as long as a socket lingers."""
    near, far = socket.socketpair()
    with near, far:
        try:
            far.setsockopt(socket.SOL_SOCKET, 83, 0)  # SO_PASSRIGHTS
        except OSError:
            pytest.skip("needs Linux 6.16: this kernel cannot refuse files that are passed")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(wait.PATIENCE_S)
            client.connect(str(daemon.socket))
            with pytest.raises(PermissionError):
                socket.send_fds(client, [b'{"id":1,"method":"version"}\n'], [near.fileno()])
            client.sendall(b'{"id":1,"method":"version"}\n')
            assert b"version" in client.recv(4096)
            with pytest.raises(PermissionError):
                socket.send_fds(client, [b'{"id":1,"method":"version"}\n'], [near.fileno()])


def test_a_line_may_be_long_but_not_endless(daemon):
    with Connection(daemon.socket) as client:
        client.send(json.dumps({"id": 1, "method": "network.show", "params": {"name": "x" * 900_000}}) + "\n")
        assert client.receive()["error"]["message"].startswith("name")
    with Connection(daemon.socket) as client:
        try:
            client.send("x" * (3 << 20))
        except OSError:
            pass  # cut off while we still wrote
        try:
            assert client.receive()["error"]["code"] == REQUEST
            with pytest.raises(ConnectionError):
                client.receive()
        except ConnectionResetError:
            pass
    assert daemon.rpc("version")


def test_half_a_line_holds_nobody_up(daemon):
    with Connection(daemon.socket) as silent, Connection(daemon.socket) as client:
        silent.send('{"jsonrpc": "2.0", "id": 1, "meth')
        for _ in range(50):
            assert client.call("version")["version"]
        silent.send('od": "version"}\n')
        assert silent.receive()["result"]["version"]


def test_many_requests_in_one_write_are_answered_in_order(client):
    client.send("".join(json.dumps({"id": i, "method": "version"}) + "\n" for i in range(500)))
    assert [client.receive()["id"] for _ in range(500)] == list(range(500))


@pytest.fixture(scope="module")
def long_table():
    """A daemon whose MAC table makes an answer far longer than a socket holds."""
    config = {"dataplane": {"fdb_size": 65536},
              "networks": [{"name": "web", "subnet": "10.1.0.0/24"}, {"name": "empty"}],
              "ports": [{"name": "n1", "network": "web", "type": "null"}],
              "services": [{"name": "api"}],
              "fdb": [{"network": "web", "mac": f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", "port": "n1"} for i in range(20000)]}
    with Daemon(config) as running:
        yield running


def test_a_long_list_is_whole_and_holds_nobody_up(long_table):
    with Connection(long_table.socket) as slow, Connection(long_table.socket) as client:
        slow.send(json.dumps({"id": "long", "method": "fdb.list"}) + "\n" + json.dumps({"id": 2, "method": "version"}) + "\n")
        for _ in range(50):
            assert client.call("version")["version"]
        answer = slow.receive()
        assert answer["id"] == "long" and len({row["mac"] for row in answer["result"]}) == len(answer["result"]) == 20000
        assert slow.receive()["id"] == 2


def test_a_long_list_is_not_cut_by_a_notification(long_table):
    with Connection(long_table.socket) as watch:
        watch.call("service.watch", {"name": "api"})
        watch.send(json.dumps({"id": 1, "method": "fdb.list"}) + "\n")
        wait.until(lambda: long_table.rpc("version"), "the list has begun")
        long_table.rpc("backend.add", service="api", address="192.0.2.1", port=1)
        first, then = watch.receive(), watch.receive()
        assert (len(first["result"]), then["method"]) == (20000, "service.changed")
        long_table.rpc("backend.del", service="api", address="192.0.2.1", port=1)


def test_lists_of_one_network(long_table):
    assert len(long_table.rpc("fdb.list", network="web")) == 20000
    assert long_table.rpc("fdb.list", network="empty") == []
    with pytest.raises(RpcError, match="network"):
        long_table.rpc("fdb.list", network="none")


def test_a_client_may_leave_in_the_middle_of_a_list(long_table):
    for _ in range(20):
        with Connection(long_table.socket) as client:
            client.send(json.dumps({"id": 1, "method": "fdb.list"}) + "\n")
    assert long_table.rpc("version")


def test_a_notification_gets_no_answer(client):
    client.send('{"jsonrpc": "2.0", "method": "version"}\n{"jsonrpc": "2.0", "method": "no.such"}\n')
    assert client.call("version")["version"]


def test_more_connections_than_there_are_places(daemon):
    clients = []
    try:
        for _ in range(70):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(10)
            sock.connect(str(daemon.socket))
            clients.append(sock)
        refused = sum(1 for sock in clients[60:] if asks(sock) is None)
        assert 0 < refused <= 10
    finally:
        for sock in clients:
            sock.close()
    wait.until(lambda: Daemon._answers(daemon), "a place is free again")


def asks(sock):
    try:
        sock.sendall(b'{"id": 1, "method": "version"}\n')
        return sock.recv(100) or None
    except OSError:
        return None


def test_who_does_not_read_is_not_read_from(daemon):
    """Its requests pile up on its own side; the daemon keeps a bounded backlog and goes on with the others."""
    with Connection(daemon.socket) as deaf, Connection(daemon.socket) as client:
        deaf.sock.setblocking(False)
        request, sent = b'{"id": 1, "method": "api.describe"}\n' * 100, 0
        try:
            for _ in range(1000):
                sent += deaf.sock.send(request)
        except BlockingIOError:
            pass
        assert sent < 1000 * len(request)
        for _ in range(20):
            assert client.call("version")["version"]
        resident = int(open(f"/proc/{daemon.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert resident < 600 << 20


def test_who_does_not_read_what_it_watches_is_hung_up_on(daemon):
    """Its own connection ends; the others go on, and the daemon keeps no more than a few MiB for it."""
    daemon.rpc("service.add", name="noisy", port=80, protocol="tcp")
    for i in range(100):
        daemon.rpc("backend.add", service="noisy", address="10.1.0.9", port=1000 + i)
    with Connection(daemon.socket) as deaf:
        assert len(deaf.call("service.watch", {"name": "noisy"})) == 1
        for i in range(600):  # some 20 KB each
            daemon.rpc("backend.set", service="noisy", address="10.1.0.9", port=1000, weight=1 + i % 2)
        with pytest.raises((ConnectionError, ValueError)):
            for _ in range(600):
                heard(deaf)
    daemon.rpc("service.del", name="noisy")


def test_the_socket_is_for_owner_and_group(daemon):
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o660


def test_watch_tells_every_change(daemon):
    with Connection(daemon.socket) as client:
        assert client.call("service.watch") == []
        daemon.rpc("service.add", name="watched", port=80, protocol="tcp")
        assert heard(client)["name"] == "watched"
        daemon.rpc("backend.add", service="watched", address="10.1.0.9", port=80)
        assert [b["address"] for b in heard(client)["backends"]] == ["10.1.0.9"]
        daemon.rpc("service.del", name="watched")
        assert heard(client)["gone"] is True


def heard(client):
    message = client.receive()
    assert message["method"] == "service.changed" and "id" not in message
    return message["params"]


def test_watch_of_one_service_is_not_told_of_others(daemon):
    daemon.rpc("service.add", name="mine", port=80, protocol="tcp")
    daemon.rpc("service.add", name="other", port=80, protocol="tcp")
    with Connection(daemon.socket) as client:
        assert [s["name"] for s in client.call("service.watch", {"name": "mine"})] == ["mine"]
        daemon.rpc("backend.add", service="other", address="10.1.0.9", port=80)
        daemon.rpc("backend.add", service="mine", address="10.1.0.8", port=80)
        assert heard(client)["name"] == "mine"
        assert "already" in client.request("service.watch")["error"]["message"]
    daemon.rpc("service.del", name="mine")
    daemon.rpc("service.del", name="other")
