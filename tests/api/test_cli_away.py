"""sluicectl and a daemon that is away, out of reach, silent, or goes while it is listened to."""

import os
import signal
import socket
import subprocess

import pytest

from rig import wait
from rig.daemon import program
from rig.process import Process

NOBODY = 65534


def ctl(path, *words, **popen):
    return subprocess.run([program("sluicectl"), "--socket", path, *words], capture_output=True, text=True, timeout=60,
                          **popen)


def refused(done, *texts):
    assert done.returncode == 1 and done.stdout == "", done
    assert len(done.stderr.splitlines()) == 1 and all(text in done.stderr for text in texts), done.stderr


def test_no_socket(tmp_path):
    refused(ctl(tmp_path / "none", "status"), f"no daemon at {tmp_path}/none", "start sluiced")


def test_a_socket_that_a_daemon_left(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    refused(ctl(tmp_path / "left", "status"), "no daemon at", "has ended")


def test_what_is_no_socket(tmp_path):
    (tmp_path / "file").write_text("")
    refused(ctl(tmp_path / "file", "status"), "is no socket")


def test_who_may_not_write_to_the_socket_is_told_so(sluiced, requires):
    requires()
    try:
        subprocess.run([program("sluicectl"), "--version"], user=NOBODY, check=True, capture_output=True)
    except PermissionError:
        pytest.skip("the build is in a folder that user nobody cannot enter")
    os.chmod(sluiced.dir, 0o755)
    done = ctl(sluiced.socket, "status", user=NOBODY, group=NOBODY, extra_groups=[])
    refused(done, "permission denied")
    assert "no daemon" not in done.stderr


def test_a_daemon_that_is_silent(sluiced):
    sluiced.process.send_signal(signal.SIGSTOP)
    try:
        refused(ctl(sluiced.socket, "--timeout", "1", "status"), "does not answer", "--timeout")
    finally:
        sluiced.process.send_signal(signal.SIGCONT)
    assert ctl(sluiced.socket, "--timeout", "0", "status").returncode == 0


def test_a_daemon_whose_queue_of_connections_is_full(tmp_path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(tmp_path / "full"))
        server.listen(0)
        first.connect(str(tmp_path / "full"))
        refused(ctl(tmp_path / "full", "--timeout", "1", "status"), "takes no connection for 1 s")


@pytest.mark.parametrize("words,says", [
    (("help",), "port add"),
    (("help", "port", "add"), "--netns"),
    (("service", "add", "--help"), "--check-type"),
    (("port", "--help"), "port del"),
    (("__complete", "port", "add", "x", "--type", ""), "vhost-user"),
])
def test_help_and_completion_need_no_daemon(tmp_path, words, says):
    done = ctl(tmp_path / "none", *words)
    assert done.returncode == 0 and says in done.stdout and done.stderr == "", done


def test_what_is_built_in_is_what_the_daemon_says(sluiced, tmp_path):
    there = ctl(sluiced.socket, "help")
    assert there.returncode == 0 and there.stdout == ctl(tmp_path / "none", "help").stdout


def test_half_an_answer_is_none(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "half"))
        server.listen(1)
        asking = Process([program("sluicectl"), "--socket", tmp_path / "half", "--timeout", "1", "status"])
        peer, _ = server.accept()
        with peer:
            peer.sendall(b'{"jsonrpc": "2.0", ')
            assert asking.wait(60) == 1
        assert "does not answer" in asking.output()


@pytest.mark.parametrize("words,says", [
    (("--timeout", "soon", "status"), '--timeout: "soon" is no number of seconds'),
    (("--timeout", "-1", "status"), '--timeout: "-1" is no number of seconds'),
    (("--timeout", "86401", "status"), '--timeout: "86401" is no number of seconds'),
    (("--timeout", "", "status"), '--timeout: "" is no number of seconds'),
    (("--timeout",), "--timeout needs a value"),
    (("--batch",), "--batch needs a value"),
])
def test_options_that_are_wrong(tmp_path, words, says):
    done = ctl(tmp_path / "none", *words)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_batch_stops_at_the_silence(sluiced, tmp_path):
    commands = tmp_path / "commands"
    commands.write_text("network add b1\nservice list\n")
    sluiced.process.send_signal(signal.SIGSTOP)
    try:
        assert ctl(sluiced.socket, "--timeout", "1", "--batch", commands).returncode == 1
    finally:
        sluiced.process.send_signal(signal.SIGCONT)


def test_a_watch_outlives_the_time_out_and_ends_with_the_daemon(sluiced):
    sluiced.rpc("service.add", name="api")
    watch = Process([program("sluicectl"), "--socket", sluiced.socket, "--timeout", "1", "service", "watch", "api"])
    try:
        wait.until(lambda: "api" in watch.output(), "the watch begins")
        with pytest.raises(subprocess.TimeoutExpired):
            watch.wait(2)
        sluiced.rpc("backend.add", service="api", address="10.1.0.77", port=80)
        wait.until(lambda: "10.1.0.77" in watch.output(), "the watch tells of the backend")
        sluiced.stop()
        assert watch.wait(60) == 1 and "the daemon closed the connection" in watch.output()
    finally:
        watch.kill()
