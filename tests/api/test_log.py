"""One object cannot fill the log, and what is left out of it is counted."""

import http.client
import os
import re

from rig import wait

BURST, WRITTEN_MAX = 10, 400  # lines in a row, and of 2,000 changes on a slow machine, at one a second
LEFT_OUT = re.compile(r"lines left out(?: before)?: (\d+)")


def account(log, about):
    """Lines about it that were written, and those that they tell were left out."""
    written = left_out = 0
    for line in log.splitlines():
        if about not in line:
            continue
        told = LEFT_OUT.search(line)
        left_out += int(told[1]) if told else 0
        written += not (told and ", the last of them: " in line)
    return written, left_out


def all_told(sluiced, about, changes):
    wait.until(lambda: sum(account(sluiced.log(), about)) >= changes, f"{changes} lines about {about}")
    written, left_out = account(sluiced.log(), about)
    assert written + left_out == changes
    assert BURST <= written <= WRITTEN_MAX
    return left_out


def test_a_backend_that_flaps(start_consul):
    sluiced, consul = start_consul()
    consul.register("web", ID="flaps", Address="10.1.0.1", Port=80, Check={"TTL": "10m"})
    consul.register("web", ID="calm", Address="10.1.0.2", Port=80, Check={"TTL": "10m"})
    connection = http.client.HTTPConnection("127.0.0.1", consul.port, timeout=wait.PATIENCE_S)
    for i in range(2000):
        connection.request("PUT", f"/v1/agent/check/{('pass', 'fail')[i % 2]}/service:flaps")
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
    connection.close()
    consul.put("agent/check/pass/service:calm")
    left_out = all_told(sluiced, "backend flaps is", 2000)
    assert account(sluiced.log(), "backend calm is passing") == (1, 0)
    page = consul.request("GET", "/metrics").text
    assert f"sluice_log_lines_left_out_total {left_out}\n" in page


def test_a_port_that_flaps(sluiced, netns, requires):
    requires("ip")
    ns, device = netns("veth"), f"slv{os.getpid()}"
    ns.veth("eth0", device)
    sluiced.rpc("network.add", name="web", mode="bridge")
    sluiced.rpc("port.add", name="flaps", network="web", type="af_packet", device=device, mac=ns.mac("eth0"))
    sluiced.wait_port("flaps")
    (sluiced.dir / "batch").write_text("link set eth0 down\nlink set eth0 up\n" * 1000)
    ns.run("ip", "-batch", str(sluiced.dir / "batch"), timeout_s=120)
    wait.until(lambda: re.search(r"port flaps is up$|lines left out.*port flaps is", sluiced.log(), re.M),
               "the log says how it is")
    written, left_out = account(sluiced.log(), "port flaps is")
    assert written <= WRITTEN_MAX and written + left_out > 0
    sluiced.rpc("status")


def test_what_is_left_out_is_told_at_the_end(start_consul):
    sluiced, consul = start_consul()
    consul.register("web", ID="flaps", Address="10.1.0.1", Port=80, Check={"TTL": "10m"})
    for i in range(40):
        consul.put(f"agent/check/{('pass', 'fail')[i % 2]}/service:flaps")
    process = sluiced.process
    sluiced.stop()
    assert sum(account(process.output(), "backend flaps is")) == 40
