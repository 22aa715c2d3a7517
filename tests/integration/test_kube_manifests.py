"""
The files that install Sluice in a cluster. kubectl asks a server for the schema of what it validates, so they are held
against what the API says of these kinds here (`FIELDS`, of kubernetes/api v1.32), and against what the pod really runs.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from rig import wait
from rig.certs import Authority
from rig.daemon import ROOT, program
from rig.kube_api import KubeApi
from rig.process import run
from rig.router import HOST, WORLD, connect_outside

pytestmark = pytest.mark.control

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")
FILES = ROOT / "packaging/kubernetes"

# What may stand in an object; a name that is not here is a text, a number or a truth, or anybody's (labels).
METADATA = {"name", "namespace", "labels"}
FIELDS = {
    "root": {"apiVersion", "kind", "metadata", "spec", "rules", "roleRef", "subjects"},
    "metadata": METADATA,
    "spec of DaemonSet": {"selector", "updateStrategy", "template"},
    "updateStrategy": {"type", "rollingUpdate"}, "rollingUpdate": {"maxUnavailable", "maxSurge"},
    "selector": {"matchLabels"}, "template": {"metadata", "spec"},
    "spec of template": {"serviceAccountName", "automountServiceAccountToken", "priorityClassName", "hostNetwork", "dnsPolicy",
                         "tolerations", "nodeSelector", "terminationGracePeriodSeconds", "initContainers", "containers",
                         "volumes"},
    "tolerations": {"operator", "key", "effect", "value"},
    "containers": {"name", "image", "command", "env", "securityContext", "resources", "readinessProbe", "livenessProbe",
                   "volumeMounts"},
    "env": {"name", "value", "valueFrom"}, "valueFrom": {"fieldRef", "configMapKeyRef"}, "fieldRef": {"fieldPath"},
    "configMapKeyRef": {"name", "key", "optional"}, "securityContext": {"privileged"}, "resources": {"requests", "limits"},
    "readinessProbe": {"exec", "initialDelaySeconds", "periodSeconds", "timeoutSeconds"}, "exec": {"command"},
    "volumeMounts": {"name", "mountPath", "readOnly", "mountPropagation"},
    "volumes": {"name", "configMap", "hostPath"}, "configMap": {"name"}, "hostPath": {"path", "type"},
    "rules": {"apiGroups", "resources", "verbs"}, "roleRef": {"apiGroup", "kind", "name"},
    "subjects": {"kind", "name", "namespace"},
}
FIELDS["initContainers"], FIELDS["livenessProbe"] = FIELDS["containers"], FIELDS["readinessProbe"]
KINDS = {("v1", "ServiceAccount"), ("rbac.authorization.k8s.io/v1", "ClusterRole"),
         ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), ("apps/v1", "DaemonSet")}


def objects():
    return [one for name in ("rbac", "daemonset", "uninstall") for one in yaml.safe_load_all((FILES / f"{name}.yaml").read_text())]


def check(value, name, inside):
    if isinstance(value, list):
        for one in value:
            check(one, name, inside)
    elif isinstance(value, dict):
        allowed = FIELDS.get(f"{name} of {inside}", FIELDS.get(name))
        if allowed is None:
            assert name in ("labels", "matchLabels", "nodeSelector", "requests", "limits"), f"{inside}.{name}"
            return
        assert set(value) <= allowed, f"{inside}.{name}: {set(value) - allowed}"
        for key, one in value.items():
            check(one, key, value.get("kind", name))


def daemon_set(name):
    return next(one for one in objects() if (one["kind"], one["metadata"]["name"]) == ("DaemonSet", name))["spec"]


def test_objects_are_what_the_api_takes():
    for one in objects():
        assert (one["apiVersion"], one["kind"]) in KINDS
        check(one, "root", "")
    for name in ("sluice", "sluice-uninstall"):
        spec = daemon_set(name)
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
        pod = spec["template"]["spec"]
        volumes = {one["name"] for one in pod["volumes"]}
        for container in pod["initContainers"] + pod["containers"]:
            assert {one["name"] for one in container.get("volumeMounts", [])} <= volumes


def test_the_role_is_what_the_daemon_asks_for():
    """Of the page, too, and nothing may be changed."""
    role = next(one for one in objects() if one["kind"] == "ClusterRole")
    shown = yaml.safe_load((ROOT / "docs/howto/kubernetes.md").read_text().split("```yaml\n")[1].split("```")[0])
    assert role == shown
    assert {(group, resource) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]} == {
        ("", "services"), ("", "nodes"), ("discovery.k8s.io", "endpointslices")}
    assert all(rule["verbs"] == ["get", "list", "watch"] for rule in role["rules"])


def test_kustomize_renders_it(requires):
    requires("kubectl")
    made = list(yaml.safe_load_all(run(["kubectl", "kustomize", FILES]).stdout))
    config = next(one for one in made if one["kind"] == "ConfigMap")
    json.loads(config["data"]["sluice.json"])
    pod = next(one for one in made if one["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    for name in ("API", "CLUSTER_CIDRS", "DEVICE"):
        of = next(one for one in pod["containers"][0]["env"] if one["name"] == name)["valueFrom"]["configMapKeyRef"]
        assert (of["name"], of["key"] in config["data"]) == (config["metadata"]["name"], True)
    assert next(one for one in pod["volumes"] if "configMap" in one)["configMap"]["name"] == config["metadata"]["name"]


@pytest.fixture
def node(netns, stack, tmp_path, requires):
    """What the pod has: its namespace, folders and account; and the server. node(command): runs sluice-node."""
    requires("ip", "nft", "jq", "curl")
    host, world = netns("host"), netns("world")
    connect_outside(host, world)
    authority = Authority(tmp_path, "kube-ca")
    (tmp_path / "account").mkdir()
    api = stack.enter_context(KubeApi(authority, tmp_path / "account/token", ns=host))
    os.symlink(authority.cert, tmp_path / "account/ca.crt")
    for folder in ("bin", "conf"):
        (tmp_path / folder).mkdir()
    programs = ":".join({str(program(name).parent) for name in ("sluiced", "sluicectl")})
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "NODE_NAME": "n1", "API": api.url, "PAUSE": "0.2",
           "CNI_BIN": str(tmp_path / "bin"), "CNI_CONF": str(tmp_path / "conf"), "ACCOUNT": str(tmp_path / "account"),
           "TEMPLATE": str(FILES / "sluice.json"), "CONFIG": str(tmp_path / "sluice.json"),
           "SOCKET": str(tmp_path / "control.sock"), "PLUGIN": str(program("sluice-cni")),
           "SLUICED_OPTIONS": f"--no-huge --state {tmp_path}/state"}

    class Node:
        path, server = tmp_path, api

        @staticmethod
        def command(*words, **more):
            return subprocess.run(host.argv(FILES / "sluice-node", *words), env={**env, **more}, check=False,
                                  capture_output=True, timeout=wait.PATIENCE_S)

        @staticmethod
        def start(alone=False, **more):
            """`alone`: it is the first process, as in a container."""
            first = ["unshare", "--pid", "--fork", "--kill-child"] if alone else []
            return host.start(*first, FILES / "sluice-node", "run", env={**env, **more})

    Node.host = host
    return Node


def test_a_node_from_install_to_removal(node):
    """The kubelet is told when the daemon serves, and not before; addresses are of the node's podCIDRs."""
    bin_, conflist = node.path / "bin/sluice-cni", node.path / "conf/05-sluice.conflist"
    assert node.command("install").returncode == 0
    assert os.access(bin_, os.X_OK) and bin_.read_bytes() == program("sluice-cni").read_bytes()
    process = node.start()
    wait.until(lambda: node.server.asked, "the node is asked for")
    assert not conflist.exists() and node.command("ready").returncode != 0
    node.server.put({"kind": "Node", "metadata": {"name": "n1"},
                     "spec": {"podCIDR": "10.244.3.0/24", "podCIDRs": ["10.244.3.0/24", "fd00:244:3::/64"]}})
    wait.until(conflist.exists, "the runtime is told")
    assert json.loads(conflist.read_text())["plugins"][0]["network"] == "pods"
    assert node.command("ready").returncode == 0
    assert [one.name for one in conflist.parent.iterdir()] == [conflist.name]  # nothing half-written is left
    network = json.loads((node.path / "sluice.json").read_text())["networks"][0]
    assert (network["subnets"], network["gateways"]) == (["10.244.3.0/24", "fd00:244:3::/64"], ["10.244.3.1", "fd00:244:3::1"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(wait.PATIENCE_S) == 0
    assert conflist.exists()  # an update is no removal: ADD says "try again later" meanwhile
    assert node.command("remove").returncode == 0
    assert not bin_.exists() and not conflist.exists() and node.command("remove").returncode == 0


def test_a_signal_before_the_node_is_known_ends_it(node):
    """Also of the first process of a container, to which a signal is nothing unless it is waited for."""
    process = node.start(alone=True, PAUSE="3600")
    wait.until(lambda: node.server.asked, "the node is asked for")
    os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()), signal.SIGTERM)
    assert process.wait(wait.PATIENCE_S) == 0
    assert not (node.path / "sluice.json").exists() and not (node.path / "conf/05-sluice.conflist").exists()


def test_an_update_keeps_pods(node):
    """One daemon ends and the next begins: the plugin is exchanged while it is there, and pods keep ports and addresses."""
    node.server.put({"kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.244.3.0/24"}})
    bin_, ctl = node.path / "bin/sluice-cni", [program("sluicectl"), "--socket", node.path / "control.sock", "--json"]

    def ports():
        return {one["name"]: one["ips"] for one in json.loads(run([*ctl, "port", "list"]).stdout)}

    seen = []
    for _ in range(2):
        assert node.command("install").returncode == 0 and os.access(bin_, os.X_OK)
        process = node.start()
        wait.until(lambda: node.command("ready").returncode == 0, "it serves")
        if not seen:
            run([*ctl, "port", "add", "pod", "--network", "pods", "--type", "vhost-user", "--socket", node.path / "pod.sock"])
        seen.append(ports())
        process.send_signal(signal.SIGTERM)
        assert process.wait(wait.PATIENCE_S) == 0
        assert (node.path / "conf/05-sluice.conflist").exists()
        assert node.command("ready").returncode != 0
    assert seen[0] == seen[1] and seen[0]["pod"], seen


def uplink_of(node, **more):
    """What carries the tunnels of a node among several."""
    (node.path / "sluice.json").unlink(missing_ok=True)
    process = node.start(CLUSTER_CIDRS="10.244.0.0/16", **more)
    wait.until((node.path / "sluice.json").exists, "there is a configuration")
    process.send_signal(signal.SIGTERM)
    process.wait(wait.PATIENCE_S)
    return json.loads((node.path / "sluice.json").read_text())["uplinks"][0]


def node_at(*ips):
    return {"kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.244.3.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": ip} for ip in ips]}}


def test_the_uplink_is_where_the_nodes_address_is(node):
    """Whatever the default route, if there is any; nodes of other subnets are reached by its next hop."""
    node.host.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "peer")
    for link in ("other", "peer"):
        node.host.run("ip", "link", "set", link, "up")
    node.host.run("ip", "addr", "add", "203.0.113.7/28", "dev", "other")
    node.host.run("ip", "route", "add", "default", "via", "203.0.113.1")
    node.server.put(node_at(HOST))
    assert uplink_of(node) == {"name": "nodes", "type": "af_xdp", "device": "up0", "address": f"{HOST}/24"}
    node.host.run("ip", "route", "replace", "default", "via", WORLD)
    assert uplink_of(node)["gateway"] == WORLD
    node.host.run("ip", "addr", "add", "192.0.2.7/24", "dev", "up0")
    node.host.run("ip", "route", "replace", "default", "via", "192.0.2.1", "dev", "up0")
    assert "gateway" not in uplink_of(node)  # it is on the link of the other address
    assert uplink_of(node, DEVICE="other")["address"] == "203.0.113.7/28"


def test_an_underlay_of_ip6(node):
    node.host.run("ip", "addr", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    node.host.run("ip", "route", "add", "default", "via", "2001:db8::2")
    node.server.put(node_at("2001:db8::1", HOST))
    assert uplink_of(node) == {"name": "nodes", "type": "af_xdp", "device": "up0", "address": "2001:db8::1/64",
                               "gateway": "2001:db8::2"}


def test_a_node_that_does_not_know_where_others_are(node):
    node.host.run("ip", "addr", "add", "192.0.2.2/32", "dev", "lo")
    for address in ("192.0.2.1", "192.0.2.2"):  # nobody reaches another by the loopback interface
        node.server.put(node_at(address))
        done = node.command("run", CLUSTER_CIDRS="10.244.0.0/16")
        assert done.returncode == 1 and not (node.path / "sluice.json").exists()
        assert b"node n1 has no InternalIP here and no default route: DEVICE has to say" in done.stderr


def test_a_node_of_several(node):
    """The network is that of all nodes, and the tunnels go by the node's own interface."""
    node.server.put({"kind": "Node", "metadata": {"name": "n1"},
                     "spec": {"podCIDRs": ["10.244.3.0/24"]}},
                    {"kind": "Node", "metadata": {"name": "n2"}, "spec": {"podCIDRs": ["10.244.4.0/24"]},
                     "status": {"addresses": [{"type": "InternalIP", "address": WORLD}]}})
    process = node.start(CLUSTER_CIDRS="10.244.0.0/16", DEVICE="up0")
    wait.until((node.path / "conf/05-sluice.conflist").exists, "the runtime is told")
    config = json.loads((node.path / "sluice.json").read_text())
    network, = config["networks"]
    assert {key: network[key] for key in ("vni", "subnets", "gateways", "ranges")} == {
        "vni": 1, "subnets": ["10.244.0.0/16"], "gateways": ["10.244.3.1"], "ranges": ["10.244.3.0/24"]}
    assert config["uplinks"] == [{"name": "nodes", "type": "af_xdp", "device": "up0", "address": f"{HOST}/24"}]
    ctl = [program("sluicectl"), "--socket", node.path / "control.sock", "--json"]
    wait.until(lambda: [one["remote"] for one in json.loads(run([*ctl, "vtep", "list"]).stdout)] == [WORLD],
               "there is a tunnel to the other node")
    process.send_signal(signal.SIGTERM)
    assert process.wait(wait.PATIENCE_S) == 0
