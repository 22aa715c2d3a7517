"""A daemon without a descriptor left takes no connections for a while, instead of trying without end."""

import re
import resource
import socket
import struct

from rig import wait
from rig.ports import free_port

RESTS_MAX = 500  # lines, written or counted; a listener that spins makes more in a moment
COUNTED = re.compile(r"lines left out(?: before)?: (\d+)")


def rests(sluiced, who):
    """Lines of the log that say that the listener rests, with those left out."""
    lines = [line for line in sluiced.log().splitlines() if f"{who}: takes no connections" in line]
    counted = sum(int(COUNTED.search(line)[1]) for line in lines if COUNTED.search(line))
    return len(lines) + counted


def test_each_listener_rests_and_comes_back(start_consul):
    dns = free_port()
    sluiced, consul = start_consul(dns=f"127.0.0.1:{dns}")
    places = {"control.http": (socket.AF_INET, ("127.0.0.1", consul.port)),
              "DNS by TCP": (socket.AF_INET, ("127.0.0.1", dns)),
              "control socket": (socket.AF_UNIX, str(sluiced.socket))}
    before = resource.prlimit(sluiced.process.pid, resource.RLIMIT_NOFILE)
    for who, (family, address) in places.items():
        held = []
        resource.prlimit(sluiced.process.pid, resource.RLIMIT_NOFILE, (8, before[1]))
        for _ in range(20):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(wait.PATIENCE_S)
            sock.connect(address)
            held.append(sock)
        wait.until(lambda: rests(sluiced, who) > 3, f"{who} rests")
        resource.prlimit(sluiced.process.pid, resource.RLIMIT_NOFILE, before)
        if who == "control.http":
            held[0].sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert held[0].recv(1000).startswith(b"HTTP/1.1 200")
        for sock in held:
            sock.close()
        assert rests(sluiced, who) < RESTS_MAX
    assert consul.get("status/leader").status == 200
    with socket.create_connection(("127.0.0.1", dns), wait.PATIENCE_S) as sock:
        sock.sendall(struct.pack("!7H", 24, 7, 0x0100, 1, 0, 0, 0) + b"\x06consul\0\0\x06\0\x01")
        assert sock.recv(1000)
    assert sluiced.rpc("status")["version"]
    page = consul.request("GET", "/metrics").text
    assert int(re.search(r"^sluice_accept_rests_total (\d+)$", page, re.M)[1]) >= 9
    assert "Error from accept" not in sluiced.log()
