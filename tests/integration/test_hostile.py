"""Front-ends that mean ill, by the thousand, at one port of a daemon whose other ports go on as if they were alone."""

import json
import os

import pytest

from rig import wait
from rig.daemon import BUILD
from rig.process import anonymous_mb, open_files, run

pytestmark = pytest.mark.alone

SEED = int(os.environ.get("SLUICE_SEED", "1"))
ROUNDS = int(os.environ.get("SLUICE_ROUNDS", "10000"))


@pytest.mark.parametrize("idle", ["poll", "adaptive"])
def test_hostile_front_ends_hurt_nobody(start_sluiced, tmp_path, idle):
    program = BUILD / "tests" / "hostile" / "hostile-front"
    names = ["hostile", "honest1", "honest2", "neighbour"]
    networks = ["bad", "good", "good", "bad"]
    sluiced = start_sluiced({
        "dataplane": {"idle": idle},
        "networks": [{"name": "bad", "mode": "bridge"}, {"name": "good", "mode": "bridge"}],
        "ports": [{"name": name, "network": network, "type": "vhost-user", "socket": f"{tmp_path}/{name}",
                   "ring": "packed"} for name, network in zip(names, networks)]})
    sockets = [f"{tmp_path}/{name}" for name in names]
    def left(rounds, honest):
        """The ports, when the daemon has heard that everybody is gone."""
        ports = {name: sluiced.rpc("port.show", name=name) for name in names}
        gone = {name: port["disconnects"] for name, port in ports.items()}
        return ports if gone == {"hostile": rounds, **dict.fromkeys(names[1:], honest)} else None

    run([program, *sockets, "50", str(SEED)])  # whatever is made once, is made
    wait.until(lambda: left(50, 1), "all front-ends have left")
    files, resident = open_files(sluiced.process.pid), anonymous_mb(sluiced.process.pid)
    done = json.loads(run([program, *sockets, str(ROUNDS // 2), str(SEED + (idle == "poll"))], timeout_s=600).stdout)
    assert done["rounds"] == ROUNDS // 2
    ports = wait.until(lambda: left(ROUNDS // 2 + 50, 2), "all front-ends have left")
    # some are closed by a thread that takes its time
    wait.until(lambda: open_files(sluiced.process.pid) <= files, "what front-ends gave is closed")
    if not os.environ.get("SLUICE_SANITIZED"):  # which keep what was freed for a while
        assert anonymous_mb(sluiced.process.pid) < resident + 16
    assert ROUNDS // 20 < ports["hostile"]["faults"] <= ROUNDS // 2 + 50, ports["hostile"]["faults"]
    assert ports["hostile"]["rx_drops"] > 0
    for name in names[1:3]:
        assert (ports[name]["rx_drops"], ports[name]["tx_drops"], ports[name]["faults"]) == (0, 0, 0), ports[name]
        assert ports[name]["last_disconnect"] == "it hung up"
