"""Guests on vhost-user ports whose every move a test decides: tests/front, run by commands."""

import os
import select
import signal
import socket
import struct
import subprocess

from rig import wait
from rig.daemon import program
from rig.process import Process

GET_FEATURES = 1  # a vhost-user request
# Bits of virtio features.
MRG_RXBUF, MQ, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED = (1 << bit for bit in (15, 22, 28, 29, 32, 34))


class Front(Process):
    """`test-front`; a command is answered by a line, and only then the next one is given."""

    def __init__(self, *args, listen=False):
        super().__init__([program("test-front"), *args, *(["listen"] if listen else [])], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=None)

    def send(self, command):
        self.stdin.write(f"{command}\n".encode())
        self.stdin.flush()

    def answer(self):
        ready, _, _ = select.select([self.stdout], [], [], 2 * wait.PATIENCE_S)
        line = self.stdout.readline().decode().strip() if ready else "(nothing)"
        assert line.startswith("ok"), f"test-front: {line}"
        return dict(word.split("=") for word in line.split()[1:])

    def do(self, command):
        """Gives a command and fails unless it succeeds; returns what it reports: {name: number}."""
        self.send(command)
        return {name: int(number) for name, number in self.answer().items()}

    def hang(self):
        """It does nothing any more, and does not go away either."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.pid, signal.SIGCONT)

    def close(self):
        if self.running():
            self.go_on()
        self.stdin.close()
        self.stop()
        self.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def offered_features(path):
    """What the port at this socket offers to whoever asks, as bits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(wait.PATIENCE_S)
        sock.connect(str(path))
        sock.sendall(struct.pack("=III", GET_FEATURES, 1, 0))
        return struct.unpack("=IIIQ", sock.recv(20, socket.MSG_WAITALL))[3]
