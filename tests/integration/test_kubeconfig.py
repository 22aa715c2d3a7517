"""The API server that a file of kubectl's names, and what is shown to it: of its current context, or refused in words."""

import base64
import copy
import json

import pytest

from rig import wait
from rig.certs import Authority
from rig.daemon import Daemon
from rig.kube_api import KubeApi, endpoint, endpoint_slice, service
from rig.process import run

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")

pytestmark = pytest.mark.control


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("kube"), "kube-ca")


@pytest.fixture
def api(authority, stack, tmp_path):
    api = stack.enter_context(KubeApi(authority, tmp_path / "token"))
    api.put(service("web", ["10.96.0.10"], [("", 80)]), endpoint_slice("web-1", "web", [endpoint("10.244.0.1")], [("", 8080)]))
    return api


def kubeconfig(server, cluster, user):
    return {"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "here",
            "clusters": [{"name": "other", "cluster": {"server": "https://192.0.2.1"}},
                         {"name": "c1", "cluster": {"server": server, **cluster}}],
            "contexts": [{"name": "there", "context": {"cluster": "other", "user": "nobody"}},
                         {"name": "here", "context": {"cluster": "c1", "user": "u1", "namespace": "kube-system"}}],
            "users": [{"name": "nobody", "user": {"exec": {"command": "login"}}}, {"name": "u1", "user": user}]}


def config_of(path):
    return {"networks": [{"name": "pods", "mode": "bridge", "subnet": "10.244.0.0/16", "gateway": "10.244.0.1"}],
            "kubernetes": {"kubeconfig": str(path), "network": "pods"}}


def data(path):
    return base64.b64encode(path.read_bytes()).decode()


def heard(daemon):
    wait.until(lambda: [one["name"] for one in daemon.rpc("service.list")] == ["web.default"], "the server is heard")
    assert daemon.rpc("status")["kubernetes"]["why"] is None


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps, lambda made: yaml.safe_dump(made, default_flow_style=True)],
                         ids=["yaml", "json", "flow"])
def test_a_token(start_sluiced, api, authority, tmp_path, dump):
    made = kubeconfig(api.url + "/", {"certificate-authority-data": data(authority.cert)}, {"token": "first"})
    (tmp_path / "config").write_text(dump(made))
    heard(start_sluiced(config_of(tmp_path / "config")))


def test_files_from_its_own_folder(start_sluiced, api, authority, tmp_path):
    """A file of a token goes before a token, and is read again."""
    (tmp_path / "ca.crt").write_bytes(authority.cert.read_bytes())
    made = kubeconfig(api.url, {"certificate-authority": "ca.crt"}, {"tokenFile": "token", "token": "wrong"})
    (tmp_path / "config").write_text("# of kubectl\n---\n" + yaml.safe_dump(made) + "...\n")
    daemon = start_sluiced(config_of(tmp_path / "config"))
    heard(daemon)
    api.rotate("second")
    api.hang_up()
    api.delete(service("web", ["10.96.0.10"], [("", 80)]))
    wait.until(lambda: not daemon.rpc("service.list"), "it is heard with the other token")


@pytest.mark.parametrize("inside", [True, False], ids=["data", "files"])
def test_a_client_certificate(start_sluiced, api, authority, stack, tmp_path, inside):
    """No token is sent beside it, and one of another authority is not taken."""
    api.let_in(authority)
    api.token = None
    cert, key = authority.issue("client", subject="/O=system:nodes/CN=system:node:n1")
    user = ({"client-certificate-data": data(cert), "client-key-data": data(key)} if inside else
            {"client-certificate": str(cert), "client-key": str(key)})
    cluster = {"certificate-authority-data": data(authority.cert)}
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig(api.url, cluster, user)))
    heard(start_sluiced(config_of(tmp_path / "config")))
    assert api.shown is None
    cert, key = Authority(tmp_path, "other").issue("client")
    user = {"client-certificate-data": data(cert), "client-key-data": data(key)}
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig(api.url, cluster, user)))
    daemon = start_sluiced(config_of(tmp_path / "config"))
    wait.until(lambda: daemon.rpc("status")["kubernetes"]["why"], "status says why")
    assert not daemon.rpc("service.list")


def refused(config):
    daemon = Daemon(config, start=False)
    try:
        done = run([*daemon.argv(), "--check-config"], check=False)
    finally:
        daemon.close()
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done
    return done.stderr


GOOD = kubeconfig("https://10.0.0.1:6443", {}, {"token": "t"})


def without(*keys):
    made = copy.deepcopy(GOOD)
    for key in keys:
        del made[key]
    return made


def user(**fields):
    return kubeconfig("https://10.0.0.1:6443", {}, fields)


def cluster(**fields):
    return kubeconfig("https://10.0.0.1:6443", fields, {"token": "t"})


@pytest.mark.parametrize("made, error", [
    (user(exec={"command": "aws"}), 'user "u1": exec: no program is run for a token'),
    (user(**{"auth-provider": {"name": "gcp"}}), 'user "u1": auth-provider: '),
    (user(username="admin", password="x"), 'user "u1": username: no password is sent'),
    ({**user(token="t"), "users": [{"name": "u1", "user": {"token": "t", "as": "root"}}]}, 'user "u1": as: '),
    (user(), 'user "u1": has neither token, tokenFile nor client-certificate'),
    (user(token="a\nb: c"), 'user "u1": token: is more than a line'),
    (user(**{"client-certificate": "/x"}), "client-certificate and client-key go together"),
    (user(**{"client-certificate": "/x", "client-key-data": "%"}), "client-key-data: is no base64"),
    (user(**{"client-certificate": "/x", "client-key-data": "QUJD"}), "client-key-data: is no PEM"),
    (cluster(**{"insecure-skip-tls-verify": True}), 'cluster "c1": insecure-skip-tls-verify: '),
    (cluster(**{"tls-server-name": "kubernetes"}), 'cluster "c1": tls-server-name: '),
    (cluster(**{"proxy-url": "http://proxy"}), 'cluster "c1": proxy-url: the server is asked directly'),
    (cluster(server="http://10.0.0.1"), "server: must be https://HOST[:PORT]"),
    (cluster(server=""), "server: must be https://HOST[:PORT]"),
    (cluster(server=f"https://{'a' * 248}"), "server: must be https://HOST[:PORT] of at most 255 bytes"),
    (cluster(server=f"https://{'a' * 8000}"), "server: must be https://HOST[:PORT] of at most 255 bytes"),
    (user(token="t" * 16385), 'user "u1": token: is longer than 16384 bytes'),
    (user(**{"client-certificate": "/x", "client-key-data": base64.b64encode(b"-----BEGIN ENCRYPTED PRIVATE KEY-----").decode()}),
     "client-key-data: is encrypted, and nobody is asked for its password"),
    (without("current-context"), "has no current-context"),
    (without("users"), 'no user "u1" in users'),
    (without("clusters"), 'no cluster "c1" in clusters'),
    ({**GOOD, "current-context": "away"}, 'no context "away" in contexts'),
    ({**GOOD, "contexts": [{"name": "here", "context": {"cluster": "c1"}}]}, 'context "here": has no user'),
    ({**GOOD, "contexts": "here"}, 'no context "here" in contexts'),
    ({**GOOD, "users": [{"name": "u1", "user": "u1"}, 7, {"name": ["u1"]}]}, 'no user "u1" in users'),
])
def test_what_is_not_done_is_refused(tmp_path, made, error):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(made))
    said = refused(config_of(path))
    assert f"kubernetes.kubeconfig: {path}: " in said and error in said


@pytest.mark.parametrize("text, error", [
    ("", "nothing is there"), ("a: [", "line 2: "), ("a: b\n a: c", "line 2: "), ("a: 1\na: 2\n", "line 2: a key that was there before"),
    ("a: &x b\nc: *x\n", "line 2: an alias"), ("? [a]\n: b\n", "line 1: a key that is no text"), ("a: 1\n---\nb: 2\n", "more than one document"),
    ('a: "\\0"', "a text with a NUL"), ("[" * 33, "line 1: too deep"), ("[" * 100000, "line 1: too deep"), ("[" * 32 + "]" * 32, "has no current-context"),
    ("\t", "line 1: "), (b"\xff\xfe\xff", "line 1: "), ("#" * (1 << 20), "nothing is there"), ("#" * (1 << 20) + "#", "longer than 1048576 bytes"),
    ("just a text", "has no current-context"), ("!!binary x", "has no current-context"), ("%", "line 1: ")],
    ids=range(18))
def test_files_that_are_none(tmp_path, text, error):
    path = tmp_path / "config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(config_of(path))
    assert f"kubernetes.kubeconfig: {path}: " in said and error in said


def test_what_cannot_be_beside_it(tmp_path):
    path = tmp_path / "config"
    assert f"kubernetes.kubeconfig: {path}: No such file or directory" in refused(config_of(path))
    assert f"kubernetes.kubeconfig: {tmp_path}: Is a directory" in refused(config_of(tmp_path))
    path.write_text(yaml.safe_dump(GOOD))
    for key, value in (("api", "https://10.0.0.1"), ("token_file", "/token"), ("ca", "/ca")):
        config = config_of(path)
        config["kubernetes"][key] = value
        assert f"kubernetes.{key}: cannot be beside kubeconfig, which says it" in refused(config)
    config = config_of(path)
    del config["kubernetes"]["network"]
    assert "kubernetes.network: required" in refused(config)
