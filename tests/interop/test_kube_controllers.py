"""
What comes of a real API server beside what tests put there: packaging's manifests as it takes them, what goes while it is
not heard, an account that it does not know, and the slices that Kubernetes' own controller makes of pods. KUBE_APISERVER
and KUBE_CONTROLLER_MANAGER name the programs.
"""

import contextlib
import json
import os
import signal

import pytest

from rig import kube_world as kube
from rig import traffic, wait
from rig.certs import Authority
from rig.daemon import ROOT
from rig.kube_server import ACCOUNT, ADMIN, RBAC, requires_server
from rig.kube_world import NODE, VIP, VIP2, answers
from rig.process import run

pytestmark = pytest.mark.control

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")
FILES = ROOT / "packaging/kubernetes"
PLACES = {**RBAC, "ConfigMap": "/api/v1/namespaces/kube-system/configmaps",
          "DaemonSet": "/apis/apps/v1/namespaces/kube-system/daemonsets"}
PODS, NAME = "/api/v1/namespaces/default/pods", "http.web.default"
STRATEGIC = "application/strategic-merge-patch+json"  # conditions are merged by their type


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A node and its API server; p1 and p2 answer on port 8080."""
    requires_server()
    with contextlib.ExitStack() as stack:
        path = tmp_path_factory.mktemp("kube")
        made = kube.start(stack, Authority(path, "kube-ca"), path)
        for pod in made.pods:
            stack.enter_context(traffic.tcp_server(pod, 8080))
        yield made


@pytest.fixture
def node(shared):
    yield shared
    shared.clear()


@pytest.fixture
def controllers(node, tmp_path):
    """kube-controller-manager, of which but what makes slices runs."""
    program = os.environ.get("KUBE_CONTROLLER_MANAGER")
    if not program:
        pytest.skip("KUBE_CONTROLLER_MANAGER names no kube-controller-manager")
    api = node.api
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": ADMIN}}],
        "clusters": [{"name": "k", "cluster": {"server": api.url, "certificate-authority": api.ca}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
    process = api.ns.start(program, f"--kubeconfig={config}", "--controllers=endpointslice-controller", "--leader-elect=false",
                           "--bind-address=127.0.0.1", f"--cert-dir={tmp_path}")
    yield process
    process.stop()
    api.must("DELETE", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")  # that of no Service any more, too


def manifests():
    """As `kubectl apply -k` sends them, and the file that takes Sluice away."""
    made = list(yaml.safe_load_all(run(["kubectl", "kustomize", FILES]).stdout))
    return made + list(yaml.safe_load_all((FILES / "uninstall.yaml").read_text()))


def test_manifests_are_taken_as_they_are(node, requires):
    """The server checks each as it checks all that is put there, and refuses a field that it does not know."""
    requires("kubectl")
    seen = set()
    for one in manifests():
        kind, name = one["kind"], one["metadata"]["name"]
        place = PLACES[kind]
        there = node.api.ask("GET", f"{place}/{name}")[0] == 200  # what gives the daemon its rights
        words = f"{place}/{name}" if there else place
        status, answer = node.api.ask("PUT" if there else "POST", f"{words}?dryRun=All&fieldValidation=Strict", one)
        assert status in (200, 201), (kind, name, answer)
        seen.add(kind)
    assert seen == set(PLACES)
    wrong = next(one for one in manifests() if one["kind"] == "DaemonSet")
    wrong["spec"]["template"]["spec"]["hostNetwrk"] = True
    status, answer = node.api.ask("POST", f"{PLACES['DaemonSet']}?dryRun=All&fieldValidation=Strict", wrong)
    assert (status, "hostNetwrk" in answer["message"]) == (400, True)


def test_the_role_lets_the_daemon_read_and_no_more(node):
    token = node.api.token_file.read_text().strip()
    for path in ("/api/v1/services", "/api/v1/nodes", "/apis/discovery.k8s.io/v1/endpointslices"):
        assert node.api.ask("GET", path, token=token)[0] == 200
    for path in ("/api/v1/pods", "/api/v1/secrets", "/api/v1/namespaces/kube-system/configmaps"):
        assert node.api.ask("GET", path, token=token)[0] == 403
    assert node.api.ask("DELETE", f"/api/v1/nodes/{NODE}", token=token)[0] == 403


def test_what_went_while_the_server_was_not_heard_is_gone(node):
    """The server is another one since, without a log of what was before."""
    node.put(kube.web(name="old"), kube.web(name="web", node_port=30081, vip=VIP2))
    node.leads(2)
    node.daemon.process.send_signal(signal.SIGSTOP)
    try:
        node.api.hang_up()
        node.api.delete(kube.web(name="old"))
        node.api.hang_up()
    finally:
        node.daemon.process.send_signal(signal.SIGCONT)
    wait.until(lambda: [one["name"] for one in node.daemon.rpc("service.list")] == [NAME], "the one that went is gone")


def test_an_account_that_is_taken_away_and_comes_back(node):
    """What was said last holds; the file's next token is shown."""
    node.put(kube.web())
    node.leads(1)
    node.api.must("DELETE", f"{ACCOUNT}/sluice")
    node.api.hang_up()
    wait.until(lambda: node.status()["why"] == "HTTP status 401", "status says why")
    assert [one["name"] for one in node.daemon.rpc("service.list")] == [NAME]
    node.api.must("POST", ACCOUNT, {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "sluice"}})
    node.api.rotate()
    node.put(kube.web(name="new", node_port=30081, vip=VIP2))
    wait.until(lambda: node.status()["ways"] == 2 and not node.status()["why"], "it is heard again", 60)


def run_pod(api, pod, ready=True):
    """The Pod whose namespace `pod` is, as its kubelet would tell it."""
    if api.ask("GET", f"{PODS}/{pod.name}")[0] == 404:
        api.must("POST", PODS, {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name, "labels": {"app": "web"}},
            "spec": {"nodeName": NODE, "containers": [{"name": "web", "image": "web", "ports": [
                {"name": "answers", "containerPort": 8080}]}]}})
    api.must("PATCH", f"{PODS}/{pod.name}/status", {"status": {
        "phase": "Running", "podIP": pod.ip, "podIPs": [{"ip": pod.ip}],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}, kind=STRATEGIC)


def instances(node):
    return {one["address"]: one["health"] for one in node.daemon.rpc("backend.list") if one["service"] == NAME}


def test_slices_that_the_controller_makes_of_pods(node, controllers):
    """A named target port, a pod that is not ready, one that ends, and one that is gone."""
    p1, p2 = node.pods
    web = kube.web(selector={"app": "web"})
    web["spec"]["ports"][0]["targetPort"] = "answers"
    node.put(web)

    def has(*ips):
        wait.until(lambda: set(instances(node)) == set(ips), f"of {ips} there are slices", 60)

    run_pod(node.api, p1)
    has(p1.ip)
    for client in (p2, node.host, node.world):
        answers(client, VIP if client is p2 else kube.HOST, 80 if client is p2 else 30080, [p1])
    run_pod(node.api, p2)
    has(p1.ip, p2.ip)
    answers(node.host, VIP, 80, [p1, p2])
    run_pod(node.api, p1, ready=False)
    wait.until(lambda: instances(node).get(p1.ip) == "draining", "who is not ready gets nothing new")
    answers(node.host, VIP, 80, [p2])
    node.api.must("DELETE", f"{PODS}/{p2.name}")  # it ends, and serves until it has: there is nobody else
    wait.until(lambda: _conditions(node, p2) == {"ready": False, "serving": True, "terminating": True}, "it ends")
    answers(node.host, VIP, 80, [p2])
    run_pod(node.api, p1)
    wait.until(lambda: instances(node).get(p2.ip) == "draining", "who is ready takes over")
    answers(node.host, VIP, 80, [p1])
    node.api.must("DELETE", f"{PODS}/{p2.name}?gracePeriodSeconds=0")
    has(p1.ip)
    node.api.must("DELETE", f"{PODS}/{p1.name}?gracePeriodSeconds=0")
    has()


def _conditions(node, pod):
    items = node.api.must("GET", "/apis/discovery.k8s.io/v1/endpointslices")["items"]
    return next((one["conditions"] for part in items for one in part["endpoints"] or () if one["addresses"] == [pod.ip]), None)
