"""The real daemon, started with its own configuration, socket and state directory."""

import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

from rig import wait
from rig.process import Process, run

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLUICE_BUILD", ROOT / "build")).resolve()
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")


def program(name):
    """Path of a built program."""
    for folder in (BUILD, BUILD / "control", BUILD / "tools", BUILD / "bench",
                   BUILD / "tests" / "front"):
        if (folder / name).is_file():
            return folder / name
    raise AssertionError(f"{name} is not in {BUILD}: build first (meson setup {BUILD} && ninja -C {BUILD})")


class RpcError(Exception):
    """The daemon refused; `code` is the stable number, `message` its line."""

    def __init__(self, error):
        super().__init__(f"{error['message']} ({error['code']})")
        self.code, self.message = error["code"], error["message"]


class Connection:
    """One client connection to the control socket: one JSON object a line."""

    def __init__(self, path, timeout_s=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout_s)
        self.sock.connect(str(path))
        self._lines = self.sock.makefile("r", encoding="utf-8")
        self._id = 0

    def close(self):
        self._lines.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, text):
        """Raw text, for requests that are wrong on purpose."""
        self.sock.sendall(text.encode())

    def receive(self):
        """The next object: a response or a notification."""
        line = self._lines.readline()
        if not line:
            raise ConnectionError("the daemon closed the connection")
        return json.loads(line)

    def request(self, method, params=None, **more):
        """The whole response object of one request; notifications that arrive meanwhile are dropped."""
        self._id += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params or {}, **more}) + "\n")
        while True:
            response = self.receive()
            if "id" in response:
                assert response["id"] == self._id, response
                return response

    def call(self, method, params=None, **more):
        response = self.request(method, params, **more)
        if "error" in response:
            raise RpcError(response["error"])
        return response["result"]


class Daemon:
    """
    `sluiced` in the foreground with --no-huge, one worker on core 1. `config` is laid over the defaults: its
    "dataplane" and "control" objects key by key, everything else as a whole.
    """

    def __init__(self, config=None, args=(), start=True, ns=None):
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-test-{os.getpid()}-"))
        self.socket = self.dir / "control.sock"
        self.state = self.dir / "state"
        self.config_file = self.dir / "sluice.json"
        self.vhost = self.dir / "vhost"
        self.vhost.mkdir()
        self.args = list(args)
        self.ns = ns  # the namespace that it runs in, None: the host's
        self.process = None
        self._rpc = None
        self.write_config(config or {})
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def write_config(self, config):
        dataplane = {"main_core": 0, "cores": [min(1, os.cpu_count() - 1)], "memory_mb": 128, "hugepages": "off",
                     "fdb_size": 4096, "conn_size": 16384}
        control = {"socket": str(self.socket), "http": "", "dns": ""}  # several may run at once
        whole = dict(config, dataplane={**dataplane, **config.get("dataplane", {})},
                     control={**control, **config.get("control", {})})
        self.config_file.write_text(json.dumps(whole, indent=2))

    def argv(self):
        argv = [program("sluiced"), "--config", self.config_file, "--socket", self.socket, "--state", self.state,
                "--no-huge", *self.args]
        return self.ns.argv(*argv) if self.ns else argv

    def start(self):
        """Returns when it answers. May be called again after kill() or stop(): the state directory stays."""
        self.process = Process(self.argv())
        wait.until(self._answers, "sluiced answers on its socket")

    def _answers(self):
        if not self.process.running():
            raise AssertionError(f"sluiced ended with {self.process.wait(1)} at its start:\n{self.log()}")
        try:
            self.rpc("status")
            return True
        except (OSError, ValueError):
            return False

    def log(self):
        return self.process.output() if self.process else ""

    def connection(self):
        """The connection that rpc() uses."""
        if self._rpc is None:
            self._rpc = Connection(self.socket)
        return self._rpc

    def rpc(self, method, params=None, **fields):
        """Calls a method and returns its result; fields can be given by name. Raises RpcError."""
        try:
            return self.connection().call(method, {**(params or {}), **fields})
        except OSError:
            self._hang_up()
            raise

    def rpc_durable(self, method, **fields):
        """The same, when what it has changed is on disk."""
        return self.connection().call(method, fields, durable=True)

    def _hang_up(self):
        if self._rpc:
            self._rpc.close()
        self._rpc = None

    def ctl(self, *words, check=True):
        """Runs sluicectl; returns the finished process."""
        return run([program("sluicectl"), "--socket", self.socket, *words], check=check)

    def ctl_json(self, *words):
        return json.loads(run([program("sluicectl"), "--socket", self.socket, "--json", *words]).stdout)

    def stop(self):
        """SIGTERM; fails when it does not end cleanly or a sanitizer has something to say."""
        self._hang_up()
        if self.process is None:
            return
        code = self.process.stop(signal.SIGTERM, wait.PATIENCE_S)
        log, self.process = self.log(), None
        print(f"--- sluiced ---\n{log}")
        assert not SANITIZER_REPORT.search(log), f"a sanitizer reported:\n{log}"
        assert code == 0, f"sluiced ended with {code}:\n{log}"

    def kill(self):
        """SIGKILL: what a crash or the kernel's memory killer does."""
        self._hang_up()
        self.process.kill()
        self.process = None

    def close(self):
        """stop(), and its files go."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What tests ask for most.

    def port(self, name):
        return next(port for port in self.rpc("port.list") if port["name"] == name)

    def wait_port(self, name, state="up"):
        wait.until(lambda: self.port(name)["state"] == state, f"port {name} {state}")

    def wait_kept(self, *names):
        """Waits until the state file has objects of these names; a change is there within 100 ms."""
        path = self.state / "state.log"
        wait.until(lambda: path.exists() and all(f'\\"{name}\\"' in path.read_text() for name in names),
                   f"{names} are in the state file")

    def wait_all_kept(self):
        """Waits until what has changed so far is in the state file, what was deleted too: a mark made after it is."""
        mark = f"mark-{time.monotonic_ns()}"
        self.rpc("service.add", name=mark)
        self.wait_kept(mark)
        self.rpc("service.del", name=mark)

    def fdb(self, network):
        """The network's MAC table: {mac: entry}."""
        return {entry["mac"]: entry for entry in self.rpc("fdb.list") if entry["network"] == network}

    def drops(self, reason=None, port=None):
        """Frames dropped, in all or for one reason or port."""
        return sum(row["packets"] for row in self.rpc("stats.drops")
                   if reason in (None, row["reason"]) and port in (None, row["port"]))
