"""Configurations, environments and lists that are wrong: each is refused in one line that names the field, and nothing is made."""

import json
import os

import pytest

from rig.cni import Cni, CniError, left

pytestmark = pytest.mark.control

NET = {"name": "web", "subnet": "10.1.0.0/29", "gateway": "10.1.0.1"}
VERSION, UNSUPPORTED, ENVIRONMENT, DECODE, CONF, AGAIN, EXISTS = 1, 2, 4, 6, 7, 11, 100


@pytest.fixture(scope="module")
def cni():
    from rig.daemon import Daemon
    with Daemon() as daemon:
        daemon.rpc("network.add", NET)
        yield Cni(daemon)


@pytest.fixture
def ns(netns, requires):
    requires("ip", "nsenter")
    return netns()


CONFS = [
    (CONF, "colour", {"colour": "red"}),
    (CONF, "name", {"name": ""}), (CONF, "name", {"name": "a/b"}), (CONF, "name", {"name": "x" * 256}),
    (CONF, "name", {"name": 7}), (CONF, "name", {"name": None}),
    (VERSION, "cniVersion", {"cniVersion": None}), (CONF, "cniVersion", {"cniVersion": 1}),
    (CONF, "network", {"network": "lost"}), (CONF, "network", {"network": 7}), (CONF, "network", {"network": "Up per"}),
    (CONF, "socket", {"socket": "relative"}), (AGAIN, "the configuration's \"socket\"", {"socket": "/etc/passwd"}),
    (AGAIN, "the configuration's \"socket\"", {"socket": "/" + "x" * 200}),
    (CONF, "directory", {"directory": "/tmp/x"}), (CONF, "directory", {"directory": "x"}),
    (UNSUPPORTED, "ipam", {"ipam": {"type": "host-local"}}), (CONF, "ipam", {"ipam": []}),
    (CONF, "port", {"port": []}), (CONF, "port.type", {"port": {"type": "pcap"}}),
    (CONF, "port.type", {"port": {"type": 7}}), (CONF, "port.mac", {"port": {"mac": "02:00:00:00:00:01"}}),
    (CONF, "port.netns", {"port": {"netns": "/proc/1/ns/net"}}), (CONF, "port.ifname", {"port": {"ifname": "eth0"}}),
    (CONF, "port.socket", {"port": {"type": "vhost-user", "socket": "/etc/passwd"}}),
    (CONF, "port.name", {"port": {"name": "n"}}), (CONF, "port.ips", {"port": {"ips": []}}),
    (CONF, "port.mtu", {"port": {"mtu": 1}}), (CONF, "port.mtu", {"port": {"mtu": "1500"}}),
    (CONF, "port.labels", {"port": {"labels": 7}}), (CONF, "port.labels", {"port": {"labels": {"a b": "x"}}}),
    (CONF, "port.queues", {"port": {"queues": 0}}), (CONF, "port.colour", {"port": {"colour": "red"}}),
    (CONF, "prevResult", {"prevResult": []}), (CONF, "dns", {"dns": "10.1.0.1"}), (CONF, "args", {"args": []}),
    (CONF, "runtimeConfig", {"runtimeConfig": 7}), (CONF, "args.cni", {"args": {"cni": 7}}),
]

RUNTIME = [
    (CONF, "ips", {"ips": "10.1.0.4"}), (CONF, "ips[0]", {"ips": [7]}), (CONF, "ips", {"ips": ["host"]}),
    (CONF, "ips", {"ips": ["10.9.0.4"]}), (CONF, "ips", {"ips": ["10.1.0.7"]}), (CONF, "ips", {"ips": [""]}),
    (EXISTS, "ips", {"ips": ["10.1.0.1"]}), (CONF, "ips", {"ips": ["10.1.0.4", "10.1.0.4"]}),
    (CONF, "ips", {"ips": [f"10.1.0.{n}" for n in range(20)]}),
    (CONF, "mac", {"mac": 7}), (CONF, "mac", {"mac": "no"}), (CONF, "mac", {"mac": "01:00:00:00:00:01"}),
    (CONF, "bandwidth", {"bandwidth": 7}), (CONF, "bandwidth.ingressRate", {"bandwidth": {"ingressRate": "1M"}}),
    (CONF, "bandwidth.ingressRate", {"bandwidth": {"ingressRate": -1}}),
    (CONF, "bandwidth.ingressRate", {"bandwidth": {"ingressRate": 1}}),
    (CONF, "bandwidth.egressRate", {"bandwidth": {"egressRate": 2**62}}),
    (CONF, "bandwidth.egressBurst", {"bandwidth": {"egressBurst": 800000}}),
    (CONF, "bandwidth.egressBurst", {"bandwidth": {"egressRate": 1000000, "egressBurst": 8}}),
    (CONF, "dns", {"dns": []}),
    (CONF, "portMappings", {"portMappings": {}}), (CONF, "portMappings[0]", {"portMappings": [7]}),
    (CONF, "portMappings[0].hostPort", {"portMappings": [{"containerPort": 80}]}),
    (CONF, "portMappings[0].hostPort", {"portMappings": [{"hostPort": 0, "containerPort": 80}]}),
    (CONF, "portMappings[0].hostPort", {"portMappings": [{"hostPort": 65536, "containerPort": 80}]}),
    (CONF, "portMappings[0].containerPort", {"portMappings": [{"hostPort": 80}]}),
    (CONF, "portMappings[0].colour", {"portMappings": [{"hostPort": 80, "containerPort": 80, "colour": 1}]}),
    (CONF, "portMappings[0]", {"portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "dccp"}]}),
    (CONF, "portMappings[0].protocol", {"portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "\xe4" * 20}]}),
    (CONF, "portMappings[0]", {"portMappings": [{"hostPort": 80, "containerPort": 80, "hostIP": "here"}]}),
    (CONF, "portMappings", {"portMappings": [{}] * 1025}),
    (CONF, "aliases", {"aliases": "db"}), (CONF, "aliases[0]", {"aliases": [7]}), (CONF, "aliases", {"aliases": [""]}),
    (CONF, "aliases", {"aliases": ["a:1"]}), (CONF, "aliases", {"aliases": ["x" * 256]}),
    (CONF, "aliases", {"aliases": ["a\nb"]}), (CONF, "aliases.web", {"aliases": {"web": "db"}}),
    (CONF, "aliases", {"aliases": [str(n) for n in range(33)]}),
]

ENVIRONMENTS = [
    (ENVIRONMENT, "CNI_COMMAND", {"command": "add"}), (ENVIRONMENT, "CNI_COMMAND", {"command": ""}),
    (ENVIRONMENT, "CNI_CONTAINERID", {"container": None}), (ENVIRONMENT, "CNI_CONTAINERID", {"container": "../x"}),
    (ENVIRONMENT, "CNI_CONTAINERID", {"container": "x" * 256}), (ENVIRONMENT, "CNI_CONTAINERID", {"container": "a b"}),
    (ENVIRONMENT, "CNI_NETNS", {"netns": None}), (ENVIRONMENT, "CNI_NETNS", {"netns": "web"}),
    (ENVIRONMENT, "CNI_NETNS", {"netns": "/" + "x" * 4000}), (ENVIRONMENT, "CNI_NETNS", {"netns": "/run/\xe4"}),
    (ENVIRONMENT, "CNI_IFNAME", {"ifname": None}), (ENVIRONMENT, "CNI_IFNAME", {"ifname": "x" * 16}),
    (ENVIRONMENT, "CNI_IFNAME", {"ifname": ".."}), (ENVIRONMENT, "CNI_IFNAME", {"ifname": "a/b"}),
    (ENVIRONMENT, "CNI_ARGS", {"args": "IP"}), (ENVIRONMENT, "CNI_ARGS", {"args": "COLOUR=red"}),
    (ENVIRONMENT, "CNI_ARGS", {"args": "IgnoreUnknown=0;COLOUR=red"}), (ENVIRONMENT, "CNI_ARGS", {"args": "IP=\n"}),
    (CONF, "CNI_ARGS IP", {"args": "IP=host"}), (CONF, "CNI_ARGS MAC", {"args": "MAC=host"}),
]


def refused(cni, code, begin, call):
    before = left(cni.daemon)
    with pytest.raises(CniError) as error:
        call()
    assert (error.value.code, error.value.message[:len(begin)]) == (code, begin), error.value
    assert left(cni.daemon) == before


@pytest.mark.parametrize("code, begin, wrong", CONFS)
def test_configurations(cni, ns, code, begin, wrong):
    refused(cni, code, begin, lambda: cni.add("one", ns, conf=wrong))
    assert ns.interfaces() == ["lo"]


@pytest.mark.parametrize("code, begin, wrong", RUNTIME)
def test_what_runtimes_ask_for(cni, ns, code, begin, wrong):
    refused(cni, code, f"runtimeConfig.{begin}", lambda: cni.add("one", ns, runtimeConfig=wrong))
    assert ns.interfaces() == ["lo"]


@pytest.mark.parametrize("code, begin, wrong", ENVIRONMENTS)
def test_environments(cni, ns, code, begin, wrong):
    given = {"command": "ADD", "container": "one", "netns": ns, "ifname": "eth0", "args": None, **wrong}
    if given["command"] == "":
        given["command"] = "\t"
    refused(cni, code, begin, lambda: cni.call(**given))


def test_null_is_absent(cni, ns):
    nothing = {"type": None, "labels": None, "mtu": None}
    cni.add("one", ns, conf={"port": nothing, "runtimeConfig": None, "args": None})
    port, = cni.daemon.rpc("port.list")
    assert port["type"] == "tap" and port["labels"]["cni.container"] == "one"
    cni.delete("one", ns, conf={"port": nothing})
    assert left(cni.daemon) == []


@pytest.mark.parametrize("text", [
    "", "{", "[]", "7", "null", "{}{}", '{"name": "a", "name": "b"}', pytest.param("[" * 100000, id="deep"),
    pytest.param('{"name": "' + "x" * (1 << 20) + '"}', id="long")])
def test_what_is_no_configuration(cni, ns, text):
    done = cni.raw("ADD", text, "one", ns.path)
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and answer["code"] == DECODE and "standard input" in answer["msg"], done
    assert answer["cniVersion"] and done.stderr == ""


def test_bytes_that_are_no_text(cni, ns):
    done = cni.raw("ADD", b'{"cniVersion": "1.1.0", "name": "\xff"}', "one", ns.path)
    assert json.loads(done.stdout)["code"] == DECODE
    done = cni.raw("ADD", json.dumps({**cni.conf, "x" * 300: 1}), "one", ns.path)
    assert json.loads(done.stdout)["code"] == CONF


def test_no_command_is_help(cni):
    done = cni.raw(None, "")
    assert done.returncode == 1 and "sluice-cni" in done.stdout


def test_a_full_network(cni, ns, netns):
    """One container too many: those that are there stay, and one that goes makes room."""
    made = []
    try:
        for number in range(5):
            other = netns()
            cni.add(f"full{number}", other)
            made.append((f"full{number}", other))
        refused(cni, AGAIN, "ips: no free address",
                lambda: cni.add("one", ns))
        cni.delete(*made.pop())
        cni.add("one", ns)
        made.append(("one", ns))
    finally:
        for container, where in made:
            cni.delete(container, where)
    assert left(cni.daemon) == []


def test_a_daemon_that_never_answers(cni, ns, tmp_path):
    """What listens takes the connection and says nothing, or nonsense, or hangs up."""
    import socket
    import threading
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            for answer in (b"nonsense\n", b"", b"{}\n", b'{"result": 7}\n', b'{"error": {"code": "x"}}\n'):
                peer, _ = server.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        for _ in range(4):
            with pytest.raises(CniError) as error:
                cni.add("one", ns, conf={"socket": str(path)})
            assert error.value.code in (AGAIN, CONF)
        with pytest.raises(CniError):
            cni.add("one", ns, conf={"socket": str(path)})
        thread.join(10)
    assert os.path.exists(path)
