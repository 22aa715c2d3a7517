"""sluice-bench: what it reports about a switch is what happened, and nothing of it stays behind."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rig.daemon import BUILD, ROOT
from rig.process import run

pytestmark = pytest.mark.alone

BENCH = BUILD / "sluice-bench"
SHORT = ["--turns", "1", "--seconds", "0.1", "--warm-up", "0.05"]


def bench(*args, check=True, scenario="l2"):
    done = subprocess.run([BENCH, scenario, "--json", *SHORT, *args], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 or not check, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def two_cores(requires):
    requires()
    if len(os.sched_getaffinity(0)) < 2 or not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1: one generates, one switches")
    if not BENCH.exists():
        pytest.skip(f"{BENCH} is not built")


def left_behind(pid):
    return list(Path("/tmp").glob(f"sluice-bench-{pid}-*"))


def namespaces():
    """Those of benches, also of one that was killed at some other time."""
    return {name for name in os.listdir("/run/netns") if name.startswith("sluice-bench-")} if Path("/run/netns").exists() else set()


def assert_all_arrived(trial):
    assert trial["sent"] > 0 and trial["mpps"] > 0
    assert (trial["lost"], trial["late"], trial["wrong"]) == (0, 0, 0)


def test_five_hundred_ports_carry_traffic_while_others_come_and_go():
    report = bench("--count", "500", "--huge-mb", "0", scenario="crowd")
    quiet, changing = report["trials"]
    assert (quiet["variant"], changing["variant"]) == ("quiet", "ports")
    for trial in report["trials"]:
        assert trial["sent"] > 500 and (trial["lost"], trial["wrong"]) == (0, 0), trial
    assert changing["changes"] >= 200
    assert {goal["limit"]: goal["met"] for goal in report["goals"]}[0]


def test_bulk_traffic_beside_the_kernels_bridge(requires):
    requires("ip", "ethtool")
    before = namespaces()
    report = bench("--peers", "sluice,linux-bridge", "--huge-mb", "0", scenario="bulk")
    ways = {name: [t["variant"] for t in report["trials"] if t["peer"] == name] for name in ("sluice", "linux-bridge")}
    assert ways["linux-bridge"] == ["local", "to remote", "from remote", "local, plain", "to remote, plain",
                                    "from remote, plain"]
    assert ways["sluice"] == ways["linux-bridge"] + ["packet to packet", "packet to tap", "tap to packet",
                                                     "packet to remote", "remote to packet"]
    for trial in report["trials"]:
        assert trial["gbps"] > 0 and trial["wrong"] == 0, trial
    assert [(goal["scenario"], goal["limit"]) for goal in report["goals"]] == [("bulk", limit) for limit in (0.8, 0.8, 0.7, 0.7)]
    assert namespaces() <= before


def test_a_switch_that_stands_still_is_told_and_forgiven(tmp_path):
    """A peer that stops the switch throughout its first trial."""
    (tmp_path / "stalling").write_text(f"""#!/bin/sh
        cd "$BENCH_DIR" || exit 1
        [ "$1" != cycles ] || kill -CONT $(cat pid)
        {ROOT}/bench/peers/sluice "$1" || exit $?
        [ "$1" != reset ] || [ -e stalled ] || {{ touch stalled; kill -STOP $(cat pid); }}
    """)
    (tmp_path / "stalling").chmod(0o755)
    stalled, after = bench("--peers", "stalling", "--peer-dir", tmp_path, "--seconds", "0.5", "--trials", "2", "--huge-mb", "0")["trials"]
    assert stalled["stalls"] >= 1 and stalled["lost"] > 0
    assert after["sent"] > stalled["sent"]
    assert (stalled["wrong"], after["wrong"]) == (0, 0)


def test_what_attached_ports_cost_without_traffic():
    report = bench("--count", "32", "--huge-mb", "0", scenario="idle")
    (trial,) = report["trials"]
    assert 0 <= trial["cpu_pct"] < 200 and trial["seconds"] > 0
    (goal,) = report["goals"]
    assert (goal["scenario"], goal["met"]) == ("idle", trial["cpu_pct"] <= 2)


def test_workers_that_may_sleep_stand_beside_those_that_poll():
    report = bench("--peers", "sluice,sluice-adaptive", "--size", "64", "--pairs", "1", "--huge-mb", "0")
    commands = {peer["name"]: peer["command"] for peer in report["peers"]}
    assert '"idle": "poll"' in commands["sluice"] and '"idle": "adaptive"' in commands["sluice-adaptive"]
    for trial in report["trials"]:
        assert_all_arrived(trial)


def test_null_switch_delivers_what_was_sent():
    report = bench("--peers", "null", "--huge-mb", "0", "--size", "64,512,1518", "--pairs", "1,1000")
    assert len(report["trials"]) == 6
    for trial in report["trials"]:
        assert_all_arrived(trial)


@pytest.mark.parametrize("pages", [[], ["--huge-mb", "0"]], ids=["huge pages", "no huge pages"])
def test_sluice_delivers_what_was_sent(pages):
    report = bench("--peers", "sluice", "--size", "64,1518", "--pairs", "1,1000", *pages)
    assert [c["size"] for c in report["ceiling"] if c["mpps"] > 0] == [64, 1518]
    assert [(t["size"], t["count"]) for t in report["trials"]] == [(64, 1), (1518, 1), (64, 1000), (1518, 1000)]
    for trial in report["trials"]:
        assert_all_arrived(trial)
        assert trial["cycles_per_packet"] > 0
        assert {"ingress", "lookup", "deliver"} <= {stage["name"] for stage in trial["stages"]}


def test_packed_rings_deliver_what_was_sent():
    report = bench("--peers", "sluice", "--packed", "--size", "64,1518", "--pairs", "1,1000", "--huge-mb", "0")
    for trial in report["trials"]:
        assert_all_arrived(trial)
    assert '"ring": "packed"' in report["peers"][0]["command"]


def test_a_mixture_of_sizes_and_ports_that_carry_nothing():
    (mixed,) = bench("--pairs", "100", "--huge-mb", "0", scenario="mixed")["trials"]
    assert_all_arrived(mixed)
    (ports,) = bench("--count", "9", "--huge-mb", "0", scenario="ports")["trials"]
    assert_all_arrived(ports)
    assert ports["count"] == 9 and ports["of"] == "ports"


def test_every_address_shown_is_learned():
    (trial,) = bench("--count", "5000", "--seconds", "20", "--huge-mb", "0", scenario="learn")["trials"]  # it ends with the last one
    assert_all_arrived(trial)
    assert trial["sent"] == 5000 and trial["learned_pct"] >= 99


def test_a_flood_reaches_every_other_port_once():
    (trial,) = bench("--count", "5", "--huge-mb", "0", scenario="flood")["trials"]
    assert trial["sent"] > 0 and trial["sent"] % 4 == 0
    assert (trial["lost"], trial["wrong"]) == (0, 0)


@pytest.mark.parametrize("peer", ["null", "sluice"])
def test_latency_is_told_for_each_load(peer):
    report = bench("--peers", peer, "--huge-mb", "0", scenario="latency")
    assert [t["variant"] for t in report["trials"]] == ["idle", "10%", "50%", "90%"]
    timed = [sum(count for _, count in trial["latency_us"]) for trial in report["trials"]]
    assert any(timed)
    for trial, frames in zip(report["trials"], timed):
        assert trial["wrong"] == 0 and frames <= trial["sent"] - trial["untimed"]
        if not frames:
            continue  # the generator had no core when they came
        assert 0 < trial["latency_p50_us"] <= trial["latency_p99_us"] <= trial["latency_p999_us"] <= trial["latency_max_us"]
        assert trial["latency_max_us"] <= trial["latency_us"][-1][0] * 1.001
        assert trial["latency_tail"] == pytest.approx(trial["latency_p99_us"] / trial["latency_p50_us"], rel=1e-4)


def test_a_switch_that_sleeps_is_timed_too():
    report = bench("--peers", "sluice,null", "--huge-mb", "0", scenario="wake")
    trial, floor = report["trials"]
    assert floor["sent"] > 0 and (floor["lost"], floor["wrong"]) == (0, 0)
    assert trial["sent"] > 0 and (trial["lost"], trial["wrong"]) == (0, 0)
    goals = [("wake", 60)] if trial["latency_us"] else []  # else the generator had no core when they came
    assert [(goal["scenario"], goal["limit"]) for goal in report["goals"]] == goals


def test_changes_beside_the_traffic():
    report = bench("--count", "10", "--huge-mb", "0", scenario="reconfig")
    kinds = ["ports", "networks", "backends", "fdb", "scrape", "list"]
    assert [t["variant"] for t in report["trials"]] == [v for kind in kinds for v in ("quiet", kind)]
    for trial in report["trials"]:
        assert trial["sent"] > 0 and trial["wrong"] == 0
        assert trial["blocked_ms"] == pytest.approx(1000 * trial["lost"] * trial["seconds"] / trial["sent"], rel=1e-3)
        # no p99.9 where the worker waited for its core all the time
        assert 0 < trial.get("gap_p999_us", trial["gap_max_us"]) <= trial["gap_max_us"]
        if trial["variant"] == "quiet":
            assert "changes" not in trial
        else:
            assert trial["changes"] >= (1 if trial["variant"] == "list" else 10)
            assert trial["change_ms"] > 0


ATTACKS = ["one-byte buffers", "holes", "slow tap", "storm", "new MACs", "connections", "flaps", "publication", "punts",
           "unknown VNIs"]


def test_an_honest_pair_beside_each_attack(requires):
    requires("ip", "nft")
    before = namespaces()
    report = bench("--huge-mb", "0", scenario="neighbours")
    variants = [trial["variant"] for trial in report["trials"]]
    assert variants == [name for attack in ATTACKS for name in ("quiet", attack)]
    for trial in report["trials"]:
        assert (trial["late"], trial["wrong"]) == (0, 0) and trial["sent"] > 0, trial
    for quiet, beside in zip(report["trials"][::2], report["trials"][1::2]):
        added = max(0, beside["loss_pct"] - quiet["loss_pct"])
        assert beside["loss_added_pct"] == pytest.approx(added, rel=1e-3, abs=1e-3) and "loss_added_pct" not in quiet
        assert quiet["lost"] == 0 or (quiet["disturbed"] and beside["disturbed"])
    judged = {goal["goal"].split(":")[0] for goal in report["goals"]}
    assert judged <= {f"beside {attack}" for attack in ATTACKS} and len(judged) > 5
    assert namespaces() <= before


def test_a_switch_that_already_runs_is_not_changed(start_sluiced, tmp_path):
    sockets = [tmp_path / "a.sock", tmp_path / "b.sock"]
    ports = [{"name": f"p{i}", "network": "n", "type": "vhost-user", "socket": str(s)} for i, s in enumerate(sockets)]
    daemon = start_sluiced({"networks": [{"name": "n", "mode": "bridge"}], "ports": ports})
    report = bench("--sockets", ",".join(map(str, sockets)), "--control", daemon.socket, "--huge-mb", "0",
                   "--count", "4", scenario="reconfig", check=False)
    assert report["trials"] == []
    assert [network["name"] for network in daemon.rpc("network.list")] == ["n"]


def test_what_goes_through_a_tunnel_is_right_inside_and_outside():
    report = bench("--count", "1,500", "--size", "64,1518", "--huge-mb", "0", scenario="vxlan")
    kinds = [(t["count"], t["size"], t["variant"]) for t in report["trials"]]
    assert kinds == [(c, s, v) for c in (1, 500) for s in (64, 1518) for v in ("encap", "decap", "both")]
    for trial in report["trials"]:
        assert_all_arrived(trial)


def assert_none_wrong(trial):
    """What was given up in a stall of the machine may come late, or not at all."""
    assert trial["sent"] > 0 and trial["wrong"] == 0, trial
    assert trial["stalls"] > 0 or (trial["lost"], trial["late"]) == (0, 0), trial


def test_ipv6_stands_beside_ipv4_in_the_same_run():
    both = ["ipv4", "ipv6"]
    ways = [f"{kind} {way}{no_sum}" for kind, no_sum in (("ipv4", ""), ("ipv6", ""), ("ipv6", ", no sum"))
            for way in ("encap", "decap", "both")]
    for scenario, count, sizes, variants in (("l2-ipv6", "100", [90, 1518], both), ("vxlan-ipv6", "100", [1518], ways),
                                             ("lb-ipv6", "500", [90], [f"{family} established" for family in both])):
        report = bench("--count", count, "--size", ",".join(map(str, sizes)), "--huge-mb", "0", scenario=scenario)
        assert sorted((t["size"], t["variant"]) for t in report["trials"]) == sorted((s, v) for s in sizes for v in variants)
        for trial in report["trials"]:
            assert_none_wrong(trial)


def test_the_policy_least_and_packed_rings_have_trials_of_their_own():
    least = bench("--count", "500", "--huge-mb", "0", scenario="lb-least")
    packed = bench("--huge-mb", "0", scenario="l2-packed")
    for report, says in ((least, '"policy": "least"'), (packed, '"ring": "packed"')):
        assert says in report["peers"][0]["command"]
        for trial in report["trials"]:
            assert_none_wrong(trial)


def test_a_mixture_of_sizes_goes_through_a_tunnel():
    report = bench("--count", "1", "--size", "imix", "--huge-mb", "0", scenario="vxlan")
    for trial in report["trials"]:
        assert_all_arrived(trial)


def test_connections_keep_their_backends_and_are_answered_from_the_vip():
    report = bench("--count", "1,3000", "--size", "64,1518", "--huge-mb", "0", scenario="lb")
    assert [(t["count"], t["variant"]) for t in report["trials"]] == 2 * [(1, "established")] + 2 * [(3000, "established")]
    for trial in report["trials"]:
        assert_all_arrived(trial)


def test_new_connections_are_counted_once_each():
    new, established = bench("--count", "100000", "--huge-mb", "0", scenario="lb")["trials"]
    assert (new["variant"], established["variant"]) == ("new", "established")
    assert new["sent"] <= 100000 and new["wrong"] == 0
    assert_all_arrived(established)


def test_a_full_table_of_connections_loses_nothing_of_the_established_ones():
    report = bench("--count", "2000", "--huge-mb", "0", scenario="lb-full")
    (trial,) = report["trials"]
    assert_all_arrived(trial)
    assert trial["loss_pct"] == 0


def test_backends_that_take_time_are_balanced_by_each_policy():
    trials = bench("--count", "50", "--huge-mb", "0", scenario="balance")["trials"]
    assert [trial["variant"] for trial in trials] == ["maglev, weights", "least", "maglev, equal"]
    for trial in trials:
        assert trial["sent"] > trial["lost"] >= 0 and trial["wrong"] == 0, trial
        assert 0 < trial["latency_p50_us"] <= trial["latency_p99_us"] <= trial["latency_max_us"], trial


def test_requests_over_tcp_from_several_hosts_beside_a_proxy(requires):
    requires("ip", "haproxy")
    before = namespaces()
    report = bench("--count", "50", "--peers", "sluice,haproxy", "--seconds", "0.5", scenario="balance-tcp")
    trials = {(trial["peer"], trial["variant"]): trial for trial in report["trials"]}
    assert list(trials) == [("sluice", "maglev, weights"), ("sluice", "least"), ("sluice", "maglev, equal"),
                            ("haproxy", "leastconn"), ("haproxy", "random(2)"), ("haproxy", "roundrobin")]
    for (peer, _), trial in trials.items():
        assert trial["sent"] > trial["lost"] >= 0 and trial["wrong"] == 0, trial
        assert 0 < trial["latency_p50_us"] <= trial["latency_p99_us"] <= trial["latency_max_us"], trial
        assert (0 < trial["balancing_us_per_request"] < trial["us_per_request"]) == (peer == "sluice"), trial
    assert {"at 50 % load: p99 of least over that of the hash with right weights",
            "at 50 % load: p99 of least over that of haproxy leastconn"} <= {goal["goal"] for goal in report["goals"]}
    assert namespaces() <= before


def test_new_connections_go_elsewhere_once_a_backend_ends(requires):
    requires("ip")
    before = namespaces()
    trials = bench("--count", "21", "--huge-mb", "0", scenario="failover")["trials"]
    assert {trial["variant"]: trial["sent"] for trial in trials} == {
        "last packet": 21, "new connection": 21, "namespace, last packet": 2, "namespace, connection": 2}
    for last, opened in (trials[:2], trials[2:]):
        assert (last["wrong"], opened["wrong"]) == (0, 0)
        assert 0 <= last["latency_p50_us"] <= last["latency_max_us"] < opened["latency_max_us"]
    assert namespaces() <= before


def test_a_proxy_that_checks_its_servers_stands_beside(requires):
    requires("haproxy")
    last, opened = bench("--count", "5", "--peers", "haproxy", "--huge-mb", "0", scenario="failover")["trials"]
    assert (last["sent"], opened["sent"]) == (5, 5) and opened["latency_max_us"] > last["latency_max_us"] >= 0


@pytest.mark.parametrize("scenario", ["lb", "vxlan", "lb-ipv6"])
def test_a_switch_that_only_forwards_fails_these(scenario):
    """Frames as they were sent are neither balanced nor in a tunnel."""
    done = subprocess.run([BENCH, scenario, *SHORT, "--peers", "null", "--huge-mb", "0", "--count", "1"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "does not deliver every" in done.stderr


def test_a_registry_answers_everybody():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12000:
        pytest.skip("needs 12,000 open files at a time: 5,000 queries wait")
    trials = {trial["variant"]: trial for trial in bench("--count", "100", scenario="registry")["trials"]}
    sent = {variant: trial["sent"] for variant, trial in trials.items()}
    assert sent.pop("dns") > 0 and sent.pop("dns 32") > 0
    assert list(sent) == ["register", "first answer", "packet 1", "packet 100", "packet 2000", "register 32", "waiting", "different", "beside"]
    assert list(sent.values()) == [100, 1000, 100, 100, 100, 1024, 5000, 5000, 5000]
    assert all(trial["wrong"] == 0 and trial["latency_p99_us"] > 0 for trial in trials.values()), trials
    assert sum(trial["lost"] for variant, trial in trials.items() if variant.startswith("packet")) == 0


def test_lists_over_http_beside_a_web_server(requires):
    requires("wrk", "nginx")
    report = bench("--count", "50", "--peers", "sluice,nginx", "--seconds", "1", scenario="answers")
    trials = {(trial["peer"], trial["variant"]): trial for trial in report["trials"]}
    assert {variant for peer, variant in trials if peer == "sluice"} == {"1 client", "32 clients", "256 clients", "half load"}
    assert {variant for peer, variant in trials if peer == "nginx"} == {"1 client", "32 clients", "256 clients", "half load"}
    assert all(trial["sent"] > 0 and trial["wrong"] == 0 and trial["answers_per_s"] > 0 and trial["latency_p99_us"] > 0
               for trial in trials.values()), trials
    rate = trials["sluice", "256 clients"]["answers_per_s"] / trials["nginx", "256 clients"]["answers_per_s"]
    goals = {goal["goal"]: goal for goal in report["goals"]}
    beside = next(goal for text, goal in goals.items() if "over nginx's" in text)
    assert len(goals) == 2 and beside["measured"]["median"] == pytest.approx(rate, rel=1e-3) and beside["met"] == (rate >= 0.8)


def test_a_file_server_has_nothing_to_serve_before_a_registry_was_measured(requires):
    requires("wrk", "nginx")
    done = subprocess.run([BENCH, "answers", *SHORT, "--peers", "nginx,sluice", "--count", "50"], capture_output=True, text=True, timeout=100)
    assert "a registry must be measured before it (--peers sluice,nginx)" in done.stderr
    assert done.returncode == 0 and "256 clients" in done.stdout


def test_a_name_server_is_asked_as_much_as_it_answers_and_twice_that(requires):
    requires("dnsperf")
    trials = bench("--count", "100", "--seconds", "1", scenario="dns")["trials"]
    assert [trial["variant"] for trial in trials] == ["32 clients", "500 under way", "made up", "twice"]
    assert all(trial["sent"] > 0 and trial["answers_per_s"] > 0 and trial["us_per_answer"] > 0 for trial in trials)
    assert 0 < trials[3]["offered_over_peak"] < 2.1 and trials[3]["answers_over_peak"] > 0


def test_a_name_server_that_is_not_there_is_skipped(tmp_path):
    """Each says which package it would be."""
    for tool in ("sh", "sed", "awk", "dirname", "cat", "rm"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    for peer, package in (("knot", "knot"), ("bind", "bind9"), ("dnsmasq", "dnsmasq-base")):
        done = subprocess.run([ROOT / "bench/peers" / peer, "up"], capture_output=True, text=True, env={
            "PATH": str(tmp_path), "BENCH_DIR": str(tmp_path), "BENCH_SCENARIO": "dns", "BENCH_COUNT": "3"}, check=False)
        assert done.returncode == 77 and f"(Debian package {package})" in done.stderr


def test_checks_are_made_and_counted(requires):
    requires("ip")
    alone, beside, often = trials = bench("--count", "100", "--seconds", "1", scenario="monitor")["trials"]
    assert [trial["variant"] for trial in trials] == ["alone", "beside dns", "every 0.1 s"]
    assert all(trial["sent"] > 0 and trial["control_pct"] > 0 and trial["late_p99_ms"] > 0 for trial in trials)
    assert alone["control_us_per_probe"] > 0 and often["probes_per_s"] > 0 and beside["answers_per_s"] > 0 and beside["latency_max_us"] > 0


def test_memory_is_what_the_kernel_says():
    report = bench(scenario="memory")
    (trial,) = report["trials"]
    assert 1 < trial["rss_anon_mb"] < 1000
    assert [(goal["scenario"], goal["met"]) for goal in report["goals"]] == [("memory", trial["rss_anon_mb"] <= 150)]


def test_a_search_ends_below_the_rate_of_the_closed_loop():
    (trial,) = bench("--peers", "null", "--huge-mb", "0", "--search")["trials"]
    assert 0 <= trial["ndr_mpps"] <= trial["pdr_mpps"] * 1.02 and trial["pdr_mpps"] <= 1.06 * trial["mpps"]


def test_goals_compare_trials_of_the_peers_that_run(tmp_path):
    report = bench("--peers", "sluice", "--huge-mb", "0", "--pairs", "1,10000")
    (goal,) = report["goals"]
    one, many = (trial["mpps"] for trial in report["trials"])
    assert goal["goal"].startswith("64 B, 10,000 pairs") and goal["measured"]["median"] == pytest.approx(many / one, rel=1e-4)
    assert goal["met"] == (many / one >= 0.8)


def test_goals_are_judged_near_and_far_and_what_was_not_measured_is_told():
    report = bench("--peers", "absent", "--huge-mb", "0", scenario="goals", check=False)
    assert report["goals"] == [] and len(report["not_measured"]) > 100
    why = {goal["goal"]: goal["why"] for goal in report["not_measured"]}
    assert why["64 B, 1 pair: cycles of testpmd io's"] == "sluice: not among --peers"
    report = bench("--peers", "sluice", "--huge-mb", "0", "--pairs", "1,10000")
    assert report["not_measured"] == []
    (goal,) = report["goals"]
    states = {trial["state"] for trial in report["trials"]}
    for state in ("near", "far"):
        if goal["like"] and states == {state}:
            assert goal[state]["met"] == goal["met"] and goal[state]["measured"] == goal["measured"]
        else:
            assert goal[state] is None


def test_a_far_core_is_taken_or_refused():
    done = subprocess.run([BENCH, "l2", *SHORT, "--far", "--huge-mb", "0"], capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0 and done.stdout) or (done.returncode == 1 and "no core is far from core 0" in done.stderr)


def test_a_full_ring_loses_frames_and_the_report_says_so():
    report = bench("--peers", "sluice", "--window", "0", "--huge-mb", "0")
    (trial,) = report["trials"]
    assert trial["sent"] > 0 and trial["wrong"] == 0 and trial["late"] == 0
    assert trial["lost"] < trial["sent"]


def test_it_drives_a_switch_that_already_runs(start_sluiced, tmp_path):
    sockets = [tmp_path / "a.sock", tmp_path / "b.sock"]
    ports = [{"name": f"p{i}", "network": "n", "type": "vhost-user", "socket": str(s)} for i, s in enumerate(sockets)]
    daemon = start_sluiced({"networks": [{"name": "n", "mode": "bridge"}], "ports": ports})
    report = bench("--sockets", ",".join(map(str, sockets)), "--control", daemon.socket, "--huge-mb", "0")
    (trial,) = report["trials"]
    assert_all_arrived(trial)
    assert trial["cycles_per_packet"] > 0
    assert {port["state"] for port in daemon.rpc("port.list")} == {"down"}


def test_a_peer_that_is_not_there_is_skipped_with_its_reason(tmp_path):
    (tmp_path / "absent").write_text("#!/bin/sh\necho it is not installed >&2\nexit 77\n")
    (tmp_path / "absent").chmod(0o755)
    report = bench("--peers", "null,absent", "--peer-dir", tmp_path, "--huge-mb", "0")
    assert [(p["name"], p["skipped"]) for p in report["peers"]] == [("null", None), ("absent", "it is not installed")]
    assert report["ratios"] == []


def test_an_interrupted_run_cleans_up():
    command = [BENCH, "l2", "--peers", "sluice", "--seconds", "60", "--huge-mb", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not any((d / "pid").exists() for d in left_behind(process.pid)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    daemon = int((left_behind(process.pid)[0] / "pid").read_text())
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and "interrupted" in out
    assert left_behind(process.pid) == []
    assert not Path(f"/proc/{daemon}").exists()


@pytest.mark.parametrize("args, says", [
    (["l3"], "no scenario \"l3\""),
    (["l2", "--size", "63"], "--size: a number from 64"),
    (["l2", "--ring", "100"], "--ring: a power of two"),
    (["lb-ipv6", "--size", "1518,89"], "--size: lb-ipv6 has frames of 90 bytes"),
    (["l2-ipv6", "--size", "imix"], "--size: l2-ipv6 has frames of 90 bytes and more, and no mixture"),
    (["l2", "--window", "300"], "--window"),
    (["l2", "--pairs", "1,x"], "--pairs"),
    (["l2", "--peers", "../x"], "--peers"),
    (["l2", "--peers", "running"], "--sockets"),
    (["l2", "--worker-core", "0"], "--worker-core"),
    ([], "scenario"),
])
def test_mistakes_on_the_command_line(args, says):
    done = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_it_draws_what_it_measured(tmp_path):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed (Debian package gnuplot-nox)")
    now, later = tmp_path / "now", tmp_path / "later"
    report = bench("--peers", "null", "--huge-mb", "0", "--pairs", "1,100", "--plot", now)
    subprocess.run([ROOT / "bench/report/plot", later], input=json.dumps(report), text=True, timeout=60, check=True)
    for directory in (now, later):
        assert {f.name for f in directory.iterdir()} == {f"l2-{m}.{s}" for m in ("mpps", "cycles") for s in ("gp", "svg", "png")}
        assert (directory / "l2-mpps.svg").read_text().startswith("<?xml")
