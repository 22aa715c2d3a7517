"""The sockets of vhost-user ports: where they are, whose, who may use them, and what a guest is offered there."""

import grp
import pwd
import socket
import stat

import pytest

from rig import wait
from rig.daemon import RpcError
from rig.front import offered_features

EXISTS, INVALID, NOT_FOUND = -32002, -32602, -32001
BITS = {"csum": 0, "guest_csum": 1, "guest_tso4": 7, "guest_tso6": 8, "host_tso4": 11, "host_tso6": 12, "mrg_rxbuf": 15,
        "mq": 22, "indirect_desc": 28, "event_idx": 29}
NEEDS = {"host_tso4": "csum", "host_tso6": "csum", "guest_tso4": "guest_csum", "guest_tso6": "guest_csum"}


@pytest.fixture
def web(sluiced):
    sluiced.rpc("network.add", name="web", mode="bridge")
    return sluiced


def add(daemon, name="p", **fields):
    return daemon.rpc("port.add", name=name, network="web", type="vhost-user", ips=[], **fields)


def listener(path):
    """Somebody else's socket, served."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(8)
    return sock


def test_a_socket_is_for_owner_and_group_unless_told_otherwise(web):
    nobody, group = pwd.getpwnam("nobody"), grp.getgrnam("daemon")
    for fields, mode, owner in (
            ({}, 0o660, (0, 0)),
            ({"socket_mode": "0600", "owner": "nobody"}, 0o600, (nobody.pw_uid, 0)),
            ({"group": "daemon"}, 0o660, (0, group.gr_gid)),
            ({"owner": "64001", "group": "64002", "socket_mode": "666"}, 0o666, (64001, 64002))):
        path = web.vhost / "p.sock"
        add(web, socket=str(path), **fields)
        st = path.stat()
        assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == mode and (st.st_uid, st.st_gid) == owner
        web.rpc("port.del", name="p")
        assert not path.exists()


def test_sockets_that_cannot_be_are_refused_by_the_name_of_the_field(web):
    other = web.dir / "other.sock"
    (web.dir / "file").write_text("kept")
    for fields, text in (
            ({"socket": "/tmp/" + 103 * "x"}, "socket: out of range 2..107 bytes"),
            ({"socket": "relative.sock"}, "socket: must be an absolute path"),
            ({"socket": str(web.dir / "none" / "p.sock")}, f"socket: {web.dir}/none/p.sock: No such file"),
            ({"socket": str(web.dir / "file")}, f"socket: {web.dir}/file is there and is not a socket"),
            ({"socket": str(other)}, f"socket: another process serves {other}"),
            ({"owner": "no-such-user"}, "owner: there is no user no-such-user"),
            ({"group": "no-such-group"}, "group: there is no group no-such-group"),
            ({"socket_mode": "rw-"}, 'socket_mode: "rw-" is no octal mode'),
            ({"mode": "client", "owner": "nobody"}, "owner: not for mode client"),
            ({"mode": "client", "group": "daemon"}, "group: not for mode client"),
            ({"mode": "client", "socket_mode": "0600"}, "socket_mode: not for mode client"),
            ({"mask": ["no-such-feature"]}, "mask[0]: ")):
        with listener(other), pytest.raises(RpcError) as refusal:
            add(web, **{"socket": str(web.vhost / "p.sock"), **fields})
        other.unlink()
        assert refusal.value.message.startswith(text)
        assert web.rpc("port.list") == [] and list(web.vhost.iterdir()) == []
    assert (web.dir / "file").read_text() == "kept"


def test_what_the_longest_path_allows_is_served(web):
    path = web.vhost / ("x" * (107 - len(str(web.vhost)) - 1))
    add(web, socket=str(path))
    assert offered_features(path)


def test_a_socket_that_nobody_serves_any_more_is_replaced(web):
    path = web.vhost / "p.sock"
    listener(path).close()
    assert path.is_socket()
    add(web, socket=str(path))
    assert offered_features(path)


def test_after_a_kill_a_socket_that_another_process_serves_by_now_is_left_to_it(web):
    paths = [web.vhost / "a.sock", web.vhost / "b.sock"]
    for path in paths:
        add(web, path.stem, socket=str(path))
    web.wait_kept("a", "b")
    web.kill()
    assert all(path.is_socket() for path in paths)
    paths[0].unlink()
    with listener(paths[0]) as other:
        other.settimeout(wait.PATIENCE_S)
        web.start()
        assert [port["name"] for port in web.rpc("port.list")] == ["b"] and offered_features(paths[1])
        assert "another process serves" in web.log()
        web.stop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(paths[0]))
            other.accept()[0].close()
    web.start()
    assert {port["name"] for port in web.rpc("port.list")} == {"a", "b"} and offered_features(paths[0])


def test_a_port_offers_what_is_not_masked_and_nothing_that_needs_what_is(web):
    path = web.vhost / "p.sock"

    def offered(mask):
        add(web, socket=str(path), queues=2, mask=mask)
        bits = offered_features(path)
        web.rpc("port.del", name="p")
        return {name for name, bit in BITS.items() if bits >> bit & 1}

    assert offered([]) == set(BITS)
    for name in BITS:
        gone = {name} | {needing for needing, needed in NEEDS.items() if needed == name}
        assert offered([name]) == set(BITS) - gone
    assert offered(list(BITS)) == set()
