"""Port numbers for servers of tests."""

import itertools
import os
import socket

# Below the ephemeral range (32768 on), so that no connection of another process takes one between the
# asking and the listening, and counted up, so that one process never gives the same one twice in a row.
FIRST, LAST = 15000, 32000

_ports = itertools.cycle(range(FIRST, LAST))
for _ in range(os.getpid() * 61 % (LAST - FIRST)):
    next(_ports)


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def free_port():
    """A port of this host that nobody has now, neither for TCP nor for UDP."""
    for port in itertools.islice(_ports, LAST - FIRST):
        if _is_free(port):
            return port
    raise RuntimeError(f"no free port in {FIRST}..{LAST}")
