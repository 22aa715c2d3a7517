"""Port numbers for servers of tests."""

import itertools
import os
import socket

# Below the ephemeral range (32768 on), so that no connection of another process takes one between the
# asking and the listening, and counted up, so that one process never gives the same one twice in a row. Processes that
# share the tests have parts of their own: a daemon that ends and starts again finds its port as it left it.
PARTS, PART = 8, 2125
FIRST = 15000 + PART * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % PARTS)

_ports = itertools.cycle(range(FIRST, FIRST + PART))
for _ in range(os.getpid() * 61 % PART):
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
    for port in itertools.islice(_ports, PART):
        if _is_free(port):
            return port
    raise RuntimeError(f"no free port in {FIRST}..{FIRST + PART - 1}")
