"""
A real API server, where KUBE_APISERVER names the program: with an etcd of its own, the rights of
packaging/kubernetes/rbac.yaml, and a token for them. What a test makes by put() and delete() it makes as kube_api.KubeApi's
does, as far as the server lets it.
"""

import copy
import http.client
import json
import os
import shutil
import ssl
import tempfile
from pathlib import Path

import pytest

from rig import wait
from rig.daemon import ROOT
from rig.etcd import Etcd
from rig.kube_api import KINDS
from rig.netns import Netns
from rig.process import run

PORT = 6443
ADMIN = "sluice-tests"
ACCOUNT = "/api/v1/namespaces/kube-system/serviceaccounts"
RBAC = {"ServiceAccount": ACCOUNT, "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"}
MERGE = "application/merge-patch+json"
API_VERSION = {"EndpointSlice": "discovery.k8s.io/v1"}


def is_asked_for():
    return "KUBE_APISERVER" in os.environ


def requires_server():
    if not is_asked_for():
        pytest.skip("KUBE_APISERVER names no kube-apiserver")


class KubeServer:
    """
    It listens in the namespace `ns`, or one of its own. `objects`: {path: {key: what was put}}. `strict`: it refuses what no
    server gives out, as the tests' own does not.
    """

    strict = True

    def __init__(self, authority, token_file, ns=None):
        requires_server()
        self.own = None if ns else Netns("kube")
        self.ns, self.token_file = ns or self.own, token_file
        self.url, self.ca = f"https://127.0.0.1:{PORT}", str(authority.cert)
        self.dir = Path(tempfile.mkdtemp(prefix=f"sluice-kube-{os.getpid()}-"))
        self.objects = {path: {} for path in KINDS}
        self.etcd = self.server = None
        self.cert, self.key = authority.issue("kube-apiserver")
        self.context = ssl.create_default_context(cafile=self.ca)
        run(["openssl", "genrsa", "-out", self.dir / "account.key", "2048"])
        (self.dir / "tokens.csv").write_text(f"{ADMIN},admin,1,system:masters\n")
        try:
            self.etcd = Etcd(self.ns, ["127.0.0.1"])
            self.start()
            self.allow()
            self.rotate()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.server:
            self.server.kill()
        if self.etcd:
            self.etcd.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.own:
            self.own.close()

    # processes

    def start(self):
        key = self.dir / "account.key"
        self.server = self.ns.start(
            os.environ["KUBE_APISERVER"], f"--etcd-servers={self.etcd.urls[0]}", f"--secure-port={PORT}",
            "--bind-address=127.0.0.1", f"--tls-cert-file={self.cert}", f"--tls-private-key-file={self.key}",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={self.dir / 'tokens.csv'}",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108",
            "--endpoint-reconciler-type=none", "--advertise-address=127.0.0.1",  # which it looks for a route to, else
            "--allow-privileged", "--disable-admission-plugins=ServiceAccount", f"--cert-dir={self.dir}")
        wait.until(self.is_ready, "the API server is ready", 120)
        wait.until(self.leave_own_out, "its own Service is there", 60)

    def is_ready(self):
        assert self.server.running(), self.server.output()[-2000:]
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def leave_own_out(self):
        """It makes a Service of itself, which no test has put there: that is another proxy's."""
        return self.ask("PATCH", "/api/v1/namespaces/default/services/kubernetes", {
            "metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "none"}}}, kind=MERGE)[0] == 200

    def hang_up(self):
        """It ends as by a crash and comes again: all watches break off."""
        self.server.kill()
        self.start()

    # requests

    def ask(self, method, path, body=None, kind="application/json", token=ADMIN):
        """(status, answer)."""
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=60)
        plain = self.ns.socket()
        try:
            plain.settimeout(60)
            plain.connect(("127.0.0.1", PORT))
            connection.sock = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
            connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body),
                               {"Authorization": f"Bearer {token}", "Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
            plain.close()
        return answer.status, json.loads(text) if text[:1] == b"{" else text

    def must(self, *request, **more):
        status, answer = self.ask(*request, **more)
        assert status in (200, 201), (request, answer)
        return answer

    def allow(self):
        """What the daemon may, as the manifests have it."""
        yaml = pytest.importorskip("yaml", reason="needs python3-yaml")
        for one in yaml.safe_load_all((ROOT / "packaging/kubernetes/rbac.yaml").read_text()):
            self.must("POST", RBAC[one["kind"]], one)

    def rotate(self):
        """The file has another token of the account."""
        made = self.must("POST", f"{ACCOUNT}/sluice/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
        self.token_file.write_text(made["status"]["token"] + "\n")

    # objects

    @staticmethod
    def whole(one):
        """As the server wants it: with a version, and what follows from the rest of it said."""
        one = copy.deepcopy(one)
        one["apiVersion"] = API_VERSION.get(one["kind"], "v1")
        status, spec = one.pop("status", None), one.get("spec", {})
        if one["kind"] == "Service" and len(spec.get("clusterIPs", ())) > 1:
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        for endpoint in one.get("endpoints", ()):
            if endpoint.get("nodeName") is None:
                endpoint.pop("nodeName", None)
        return one, status

    @staticmethod
    def place(one):
        """(path of its kind, of the folder that it is in, of itself)."""
        path = next(path for path, kind in KINDS.items() if kind == one["kind"])
        folder = path
        if "namespace" in one["metadata"]:
            head, _, last = path.rpartition("/")
            folder = f"{head}/namespaces/{one['metadata']['namespace']}/{last}"
        return path, folder, f"{folder}/{one['metadata']['name']}"

    def put(self, *objects):
        for one in objects:
            path, folder, itself = self.place(one)
            self.objects[path][self.named(one)] = one  # also where it fails half way
            body, status = self.whole(one)
            if self.ask("PUT", itself, body)[0] not in (200, 201):
                self.ask("DELETE", itself)  # some fields are for good
                self.must("POST", folder, body)
            if status:
                self.must("PATCH", f"{itself}/status", {"status": status}, kind=MERGE)

    def delete(self, *objects):
        for one in objects:
            path, _, itself = self.place(one)
            status, answer = self.ask("DELETE", itself)
            assert status in (200, 404), answer
            self.objects[path].pop(self.named(one), None)

    @staticmethod
    def named(one):
        return one["metadata"].get("namespace", ""), one["metadata"]["name"]
