"""BFD with FRR's bfdd: up, down when either is killed, ends in order, and other intervals while up."""

import pytest

from rig import frr, wait
from rig.vxlan_host import HOST, SWITCH, VxlanHost


BFD = {"interval_ms": 100, "multiplier": 20}  # two seconds: no busy machine is taken for a dead one


@pytest.fixture
def host(stack):
    if why := frr.missing():
        pytest.skip(why)
    return stack.enter_context(VxlanHost())


def shown(daemon):
    return daemon.rpc("vtep.list")[0]


def wait_state(daemon, state):
    return wait.until(lambda: shown(daemon) if shown(daemon)["bfd_state"] == state else None, f"BFD is {state}")


def wait_status(bfdd, status):
    wait.until(lambda: (bfdd.session() or {}).get("status") == status, f"bfdd's session is {status}")


def test_sessions_with_bfdd(start_sluiced, host, stack):
    daemon = start_sluiced({
        "networks": [{"name": "web", "mode": "overlay", "vni": 100}],
        "uplinks": [{"name": "up0", "type": "af_packet", "device": host.device, "address": f"{SWITCH}/24"}],
        "vteps": [{"network": "web", "remote": HOST, "bfd": BFD}]})
    bfdd = stack.enter_context(frr.Bfdd(host, SWITCH, "up0"))
    wait_state(daemon, "up")
    wait_status(bfdd, "up")
    wait.until(lambda: bfdd.session()["remote-transmit-interval"] == 100, "it knows our interval")
    wait.until(lambda: shown(daemon)["bfd"]["detect_ms"] == 2000, "we know its")

    # its parameters change, and ours: both by polls, and nobody goes down
    bfdd.set("detect-multiplier 30", "transmit-interval 250")
    wait.until(lambda: shown(daemon)["bfd"]["detect_ms"] == 7500, "its new ones are known")
    daemon.rpc("vtep.set", network="web", remote=HOST, bfd={"interval_ms": 300, "multiplier": 25})
    wait.until(lambda: (bfdd.session()["remote-transmit-interval"], bfdd.session()["remote-detect-multiplier"]) == (300, 25),
               "ours are known")
    wait.until(lambda: shown(daemon)["bfd"]["detect_ms"] == 9000, "and agreed on")
    assert (shown(daemon)["bfd"]["downs"], shown(daemon)["bfd_state"]) == (0, "up")

    bfdd.set("detect-multiplier 20", "transmit-interval 100")
    daemon.rpc("vtep.set", network="web", remote=HOST, bfd=BFD)
    wait.until(lambda: shown(daemon)["bfd"]["detect_ms"] == 2000, "all is as before")

    # turned off over there: no reason to cut the host
    bfdd.set("shutdown")
    assert wait_state(daemon, "admin-down")["state"] == "up"
    bfdd.set("no shutdown")
    wait_state(daemon, "up")
    wait_status(bfdd, "up")

    # killed: cut, and back
    bfdd.kill()
    assert wait_state(daemon, "down")["state"] == "down"
    bfdd.start()
    assert wait_state(daemon, "up")["state"] == "up"
    wait_status(bfdd, "up")

    # the daemon killed, and ended in order
    daemon.kill()
    wait_status(bfdd, "down")
    assert bfdd.session()["diagnostic"] == "control detection time expired"
    daemon.start()
    wait_status(bfdd, "up")
    wait_state(daemon, "up")
    daemon.stop()
    wait_status(bfdd, "down")
    assert bfdd.session()["diagnostic"] == "neighbor signaled session down"
    daemon.start()
    wait_status(bfdd, "up")
