"""sluicectl: what it makes of words, what it prints, how it ends."""

import json
import shutil
import subprocess

import pytest

from rig import wait
from rig.daemon import Daemon, program
from rig.process import Process


@pytest.fixture(scope="module")
def daemon():
    config = {"networks": [{"name": "web", "subnet": "10.1.0.0/24"}],
              "ports": [{"name": "n1", "network": "web", "type": "null"}],
              "services": [{"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp"}]}
    with Daemon(config) as running:
        yield running


def ctl(daemon, *words):
    return daemon.ctl(*words, check=False)


def test_json_is_the_result(daemon):
    assert daemon.ctl_json("network", "list") == daemon.rpc("network.list")
    assert daemon.ctl_json("service", "show", "api") == daemon.rpc("service.show", name="api")
    at_the_end = ctl(daemon, "network", "list", "--json")
    assert json.loads(at_the_end.stdout) == daemon.rpc("network.list")


def test_a_batch_runs_line_by_line(daemon, tmp_path):
    commands = tmp_path / "commands"
    commands.write_text("# two networks\n\nnetwork add b1\n  network add b2   --mtu 1400\nnetwork list\n")
    done = ctl(daemon, "--batch", commands)
    assert done.returncode == 0 and done.stderr == ""
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"NAME", "b1", "b2"}
    piped = subprocess.run([program("sluicectl"), "--socket", daemon.socket, "--json", "--batch", "-"], text=True,
                           input="network show b2\nnetwork del b2\nnetwork del b1", capture_output=True, timeout=10)
    assert piped.returncode == 0 and json.loads(piped.stdout.splitlines()[0])["mtu"] == 1400
    assert [row["name"] for row in daemon.rpc("network.list")] == ["web"]


@pytest.mark.parametrize("line, code, says", [
    ("network del none", 1, "none"),
    ("network ad b3", 2, "network ad"),
    ("network add " + "x " * 64, 2, "more than 64 words"),
])
def test_a_batch_stops_where_it_fails(daemon, tmp_path, line, code, says):
    commands = tmp_path / "commands"
    commands.write_text(f"network add b1\n{line}\nnetwork add b2\n")
    done = ctl(daemon, "--batch", commands)
    assert done.returncode == code
    what, where = done.stderr.splitlines()
    assert says in what and f"stopped at line 2 of {commands}" in where
    assert [row["name"] for row in daemon.rpc("network.list")] == ["web", "b1"]
    daemon.rpc("network.del", name="b1")


def test_a_batch_that_cannot_be_read(daemon, tmp_path):
    missing = ctl(daemon, "--batch", tmp_path / "none")
    assert missing.returncode == 2 and missing.stderr.startswith("sluicectl: --batch: ")
    assert ctl(daemon, "--batch", tmp_path / "none", "network", "list").returncode == 2


@pytest.mark.parametrize("noun", ["network", "port", "uplink", "vtep", "fdb", "service", "backend", "conn"])
def test_lists_are_tables(daemon, noun):
    lines = ctl(daemon, noun, "list").stdout.splitlines()
    rows = daemon.rpc(f"{noun}.list")
    assert lines[0] == lines[0].upper() and len(lines) == 1 + len(rows)
    for line, row in zip(lines[1:], rows):
        assert str(row.get("name", row.get("service", row.get("network")))) in line


def test_objects_are_keys_and_tables(daemon):
    daemon.rpc("backend.add", service="api", address="10.1.0.8", port=80, check={"type": "tcp", "interval_ms": 60000})
    text = ctl(daemon, "service", "show", "api").stdout
    daemon.rpc("backend.del", service="api", address="10.1.0.8", port=80)
    above, below = text.split("\nBACKENDS\n")
    below, checks = below.split("\nCHECKS\n")
    keys = dict(line.split(None, 1) for line in above.splitlines())
    assert (keys["vip"], keys["port"], keys["check"]) == ("10.1.0.100", "80", "-")
    titles, row = below.splitlines()
    assert row[titles.index("ADDRESS"):].startswith("10.1.0.8 ")
    assert row[titles.index("CHECK"):].startswith("type=tcp interval_ms=60000 ")
    titles, row = checks.splitlines()
    assert row.startswith("10.1.0.8:80 ") and row[titles.index("HEALTH"):].startswith("critical ")
    assert row[titles.index("INTERVAL MS"):].startswith("60000 ")


def test_a_port_by_words(daemon):
    made = ctl(daemon, "port", "add", "w1", "--network", "web", "--type", "null", "--ips", "10.1.0.31,10.1.0.32",
               "--mac", "02:00:00:00:00:31", "--mtu=1400")
    assert made.returncode == 0, made.stderr
    port = daemon.port("w1")
    assert (port["ips"], port["mac"], port["mtu"]) == (["10.1.0.31", "10.1.0.32"], "02:00:00:00:00:31", 1400)
    assert ctl(daemon, "port", "add", "w2", "--network", "web", "--type", "null", "--ips", "").returncode == 0
    assert daemon.port("w2")["ips"] == []
    assert ctl(daemon, "port", "del", "w1").returncode == 0
    assert ctl(daemon, "port", "del", "w2").returncode == 0


def test_nested_keys_and_address_with_port(daemon):
    added = ctl(daemon, "backend", "add", "api", "10.1.0.9:8080", "--weight", "3", "--check-type", "tcp",
                "--check-interval-ms", "60000")
    assert added.returncode == 0, added.stderr
    backend, = daemon.rpc("service.show", name="api")["backends"]
    assert (backend["address"], backend["port"], backend["weight"]) == ("10.1.0.9", 8080, 3)
    assert backend["check"]["type"] == "tcp" and backend["check"]["interval_ms"] == 60000
    assert ctl(daemon, "backend", "drain", "api", "10.1.0.9:8080").returncode == 0
    assert daemon.rpc("service.show", name="api")["backends"][0]["health"] == "draining"
    assert ctl(daemon, "backend", "del", "api", "10.1.0.9:8080").returncode == 0


REFUSED = [
    (("network", "add", "web"), 1, "name"),
    (("network", "show", "nowhere"), 1, "name"),
    (("port", "add", "x", "--network", "nowhere", "--type", "null"), 1, "network"),
    (("port", "add", "x", "--network", "web", "--type", "null", "--mtu", "12"), 1, "mtu: out of range"),
    (("port", "add", "x", "--network", "web", "--type", "null", "--mtu", "big"), 1, "mtu: must be"),
    (("network", "lits"), 2, 'did you mean "network list"'),
    (("netwrok", "list"), 2, 'did you mean "network list"'),
    (("port", "add", "x", "--colour", "red"), 2, "no option --colour"),
    (("port", "add", "x", "--mtu"), 2, "--mtu needs a value"),
    (("network", "list", "surplus"), 2, 'unexpected argument "surplus"'),
    (("--frobnicate",), 2, "unknown option"),
    (("network",), 2, "network needs a verb: add, set, del, list, show"),
    (("completion", "tcsh"), 2, "for bash, zsh and fish"),
    (("network", "frobnicate"), 2, "network needs a verb: add, set"),
    (("netwrk", "--help"), 2, 'did you mean "network"'),
    (("port", "add", "x", "--netwrk", "web"), 2, 'did you mean "--network"'),
    (("service", "add", "x", "--check-tpye", "tcp"), 2, 'did you mean "--check-type"'),
    (("--jsno", "status"), 2, 'did you mean "--json"'),
    (("help", "port", "ad"), 2, 'did you mean "port add"'),
    ((), 2, ""),
]


@pytest.mark.parametrize("words,code,text", REFUSED)
def test_refusals(daemon, words, code, text):
    done = ctl(daemon, *words)
    assert done.returncode == code and text in done.stderr, (done.returncode, done.stderr)
    assert len(done.stderr.splitlines()) <= 1


def test_help(daemon):
    everything = ctl(daemon, "help").stdout
    for method in daemon.rpc("api.describe"):
        assert method["name"].replace(".", " ") in everything
    one = ctl(daemon, "service", "add", "--help")
    assert one.returncode == 0 and "NAME" in one.stdout and "--check-interval-ms" in one.stdout


def test_help_of_a_noun(daemon):
    done = ctl(daemon, "port", "--help")
    assert done.returncode == 0 and "port add" in done.stdout and "network add" not in done.stdout


def test_help_by_words(daemon):
    assert ctl(daemon, "help", "port", "add").stdout == ctl(daemon, "port", "add", "--help").stdout
    assert ctl(daemon, "help", "port").stdout == ctl(daemon, "port", "--help").stdout


def test_status_for_people(daemon):
    daemon.rpc("port.add", name="v1", network="web", type="vhost-user")
    try:
        text = ctl(daemon, "status").stdout
        head, objects, wrong = text.split("\nObjects\n")[0], *text.split("\nObjects\n")[1].split("\nDown or wrong\n")
        assert head.startswith("sluiced ") and "worker on CPU" in head and "only the control socket" in head
        counts = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in objects.splitlines() if line}
        assert counts["networks"] == "1" and counts["ports"] == "2, 1 down"
        assert counts["services"] == "1, 1 without a passing backend"
        assert "port v1 (vhost-user of web) is down" in wrong
        assert "service api (vip 10.1.0.100) has no passing backend, of 0" in wrong
    finally:
        daemon.rpc("port.del", name="v1")
    daemon.rpc("backend.add", service="api", address="10.1.0.8", port=80)
    assert "Nothing is down or wrong." in ctl(daemon, "status").stdout
    daemon.rpc("backend.del", service="api", address="10.1.0.8", port=80)
    assert daemon.ctl_json("status").keys() == daemon.rpc("status").keys()


def test_status_of_much_that_is_down_is_short(start_sluiced):
    ports = [{"name": f"v{i}", "network": "web", "type": "vhost-user", "ips": []} for i in range(25)]
    many = start_sluiced({"networks": [{"name": "web"}], "ports": ports})
    lines = ctl(many, "status").stdout.splitlines()
    assert sum("(vhost-user of web) is down" in line for line in lines) == 20 and lines[-1].strip() == "and 5 more"


def complete(daemon, line):
    """What bash itself offers after `line`, through the script that sluicectl prints."""
    script = f"""
eval "$({program('sluicectl')} completion bash)"
sluicectl() {{ {program('sluicectl')} --socket {daemon.socket} "$@"; }}
COMP_WORDS=({line}x)
COMP_WORDS[-1]=${{COMP_WORDS[-1]%x}}
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_sluicectl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("line,some,none", [
    ("sluicectl net", {"network"}, {"port"}),
    ("sluicectl hel", {"help"}, {"port"}),
    ("sluicectl --so", {"--socket"}, {"port", "--json"}),
    ("sluicectl help p", {"port", "publish"}, {"add"}),
    ("sluicectl help port ", {"add", "del"}, {"port"}),
    ("sluicectl completion ", {"bash", "zsh", "fish"}, {"port"}),
    ("sluicectl port ", {"add", "del", "list", "set", "show"}, {"drain"}),
    ("sluicectl port add x --ne", {"--network", "--netns"}, {"--type"}),
    ("sluicectl port add x --type ", {"tap", "vhost-user"}, {"--type"}),
    ("sluicectl service add x --check-", {"--check-type", "--check-interval-ms"}, {"--vip"}),
    ("sluicectl service add x --check-type ", {"tcp", "http"}, {"--vip"}),
    ("sluicectl tap add x --configure ", set(), {"tap"}),
    ("sluicectl port add x --configure ", {"true", "false"}, {"--type"}),
    ("sluicectl port del ", {"n1"}, {"web"}),
    ("sluicectl port add ", {"--network"}, {"n1"}),
    ("sluicectl port add x --network ", {"web"}, {"n1"}),
    ("sluicectl backend add ", {"api"}, {"web"}),
    ("sluicectl --json network show w", {"web"}, {"n1"}),
])
def test_bash_completion(daemon, line, some, none):
    offered = set(complete(daemon, line))
    assert some <= offered and not none & offered, offered


def run_shell(shell, script):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    home = {"HOME": "/nonexistent", "PATH": f"{program('sluicectl').parent}:/usr/bin:/bin"}
    done = subprocess.run([shell, *(["-f"] if shell == "zsh" else ["--no-config"]), "-c", script], capture_output=True,
                          text=True, check=True, env=home)
    return set(done.stdout.split())


def test_zsh_completion():
    """Its completion system runs only at a terminal: what the script hands to it is printed instead."""
    offered = run_shell("zsh", """
compdef() { [ "$*" = "_sluicectl sluicectl" ] }
compadd() { print -l -- "${(@P)2}" }
eval "$(sluicectl completion zsh)"
words=(sluicectl --socket /nonexistent port add x --type '') CURRENT=8
_sluicectl
""")
    assert {"tap", "vhost-user"} <= offered and "--type" not in offered, offered


def test_fish_completion():
    offered = run_shell("fish", """
sluicectl completion fish | source
complete -C "sluicectl --socket /nonexistent port add x --ne"
""")
    assert offered == {"--network", "--netns"}


def test_watch_streams(daemon):
    watch = Process([program("sluicectl"), "--socket", daemon.socket, "--json", "service", "watch", "api"])
    try:
        wait.until(lambda: watch.output().count("\n") >= 1, "the watch begins")
        daemon.rpc("backend.add", service="api", address="10.1.0.77", port=80)
        wait.until(lambda: "10.1.0.77" in watch.output(), "the watch tells of the backend")
        daemon.rpc("backend.del", service="api", address="10.1.0.77", port=80)
        for line in watch.output().splitlines():
            json.loads(line)
    finally:
        watch.kill()
