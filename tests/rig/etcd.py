"""An etcd of the test's own: its members' data, ports and processes are its alone, and nothing of it stays."""

import base64
import http.client
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from rig import wait
from rig.process import Process

CLIENT, PEER = 2379, 2380


def put_json(key, value):
    """As its JSON gateway wants it."""
    return {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value.encode()).decode()}


class Etcd:
    """
    Members in the namespace `ns`, each at an address of its own. `authority` (certs.py): by TLS, for who has a certificate of
    its. More words for each member's command by `options`.
    """

    def __init__(self, ns, addresses, authority=None, options=()):
        for name in ("etcd", "etcdctl"):
            if not shutil.which(name):
                pytest.skip(f"needs {name}, which is not installed (tools/setup --interop)")
        self.ns, self.addresses, self.size, self.options = ns, addresses, len(addresses), options
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-etcd-{os.getpid()}-"))
        self.members = [None] * self.size
        self.user, self.tls = [], None
        if authority:  # the gateway refuses a common name when there are users
            cert, key = authority.issue("etcd", addresses=addresses, subject="/O=sluice")
            self.tls = {"ca": str(authority.cert), "cert": str(cert), "key": str(key)}
        try:
            for index in range(self.size):
                self.start(index)
            self.wait()
        except BaseException:
            self.close()
            raise

    @property
    def urls(self):
        return [f"http{'s' if self.tls else ''}://{address}:{CLIENT}" for address in self.addresses]

    def save(self):
        """A copy of all that it has, as a file."""
        copy = self.dir / "copy"
        self.ns.run("env", "ETCDCTL_API=3", "etcdctl", "--endpoints", self.urls[0], "snapshot", "save", copy)
        return copy

    def bring_back(self, copy):
        """All members, which must not run, with what the copy has."""
        for index, address in enumerate(self.addresses):
            shutil.rmtree(self.dir / f"m{index}", ignore_errors=True)
            self.ns.run("env", "ETCDCTL_API=3", "etcdctl", "snapshot", "restore", copy, "--name", f"m{index}", "--data-dir",
                        self.dir / f"m{index}", "--initial-cluster", self.peers(), "--initial-cluster-token",
                        f"sluice-{os.getpid()}", "--initial-advertise-peer-urls", f"http://{address}:{PEER}")
        self.start_all()

    def peers(self):
        return ",".join(f"m{i}=http://{address}:{PEER}" for i, address in enumerate(self.addresses))

    def start(self, index):
        client, peer = self.urls[index], f"http://{self.addresses[index]}:{PEER}"
        self.members[index] = Process(self.ns.argv(
            "etcd", "--name", f"m{index}", "--data-dir", self.dir / f"m{index}", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", self.peers(), "--initial-cluster-token", f"sluice-{os.getpid()}", "--logger", "zap",
            "--heartbeat-interval", "100", "--election-timeout", "1000", *self.tls_words("--trusted-ca-file", "--cert-file", "--key-file"),
            *(["--client-cert-auth"] if self.tls else []), *self.options))

    def tls_words(self, *options):
        return [f"{option}={self.tls[field]}" for option, field in zip(options, ("ca", "cert", "key"))] if self.tls else []

    def wait(self):
        wait.until(self.answers, "etcd answers", timeout_s=60)

    def answers(self):
        for index, member in enumerate(self.members):
            if member and not member.running():
                pytest.skip(f"etcd does not run here: {member.output().splitlines()[-1:]}")
        return self.ctl("get", "none", check=False).returncode == 0

    def ctl(self, *words, check=True, user=None):
        """`user`: as whom, "NAME:PASSWORD"."""
        who = [f"--user={user}"] if user else self.user
        who = who + self.tls_words("--cacert", "--cert", "--key")
        urls = [url for url, member in zip(self.urls, self.members) if member]
        return self.ns.run("env", "ETCDCTL_API=3", "etcdctl", "--dial-timeout=2s", "--command-timeout=10s", "--endpoints", ",".join(urls),
                           *who, *words, check=check)

    def keys(self, prefix="/sluice/v1"):
        """What is there: {key: value}; by default of hosts and networks, without Consul's."""
        out = json.loads(self.ctl("get", "--prefix", prefix, "-w", "json").stdout)
        return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv.get("value", "")).decode(errors="replace")
                for kv in out.get("kvs", []) if prefix != "/sluice/v1" or not base64.b64decode(kv["key"]).startswith(b"/sluice/v1-kv/")}

    def ask(self, bodies, method):
        """These requests to its JSON gateway, one after the other on one connection."""
        def ask():
            gateway = http.client.HTTPConnection(self.addresses[0], CLIENT, timeout=30)
            for body in bodies:
                gateway.request("POST", f"/v3/kv/{method}", json.dumps(body))
                answer = gateway.getresponse()
                assert answer.read() and answer.status == 200, answer.status
            gateway.close()
        self.ns.do(ask)

    def put_all(self, values, lease=0):
        """{key: value}, a hundred at once."""
        puts = [{"requestPut": {**put_json(key, value), "lease": lease}} for key, value in values.items()]
        self.ask([{"success": puts[i:i + 100]} for i in range(0, len(puts), 100)], "txn")

    def put(self, key, value):
        self.ctl("put", key, value if isinstance(value, str) else json.dumps(value))

    def leader(self):
        """Its index."""
        for index, member in enumerate(self.members):
            if member:
                shown = json.loads(self.ns.run("env", "ETCDCTL_API=3", "etcdctl", "--endpoints", self.urls[index], "endpoint", "status",
                                               "-w", "json").stdout)[0]["Status"]
                if shown["leader"] == shown["header"]["member_id"]:
                    return index
        raise AssertionError("etcd has no leader")

    def kill(self, index):
        self.members[index].kill()
        self.members[index] = None

    def kill_all(self):
        for index, member in enumerate(self.members):
            if member:
                self.kill(index)

    def start_all(self, wiped=False):
        """Again, with what they had, or with nothing."""
        if wiped:
            for index in range(self.size):
                shutil.rmtree(self.dir / f"m{index}", ignore_errors=True)
        for index in range(self.size):
            self.start(index)
        self.wait()

    def close(self):
        for member in self.members:
            if member:
                member.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
