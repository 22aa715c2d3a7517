"""Servers that take as long as a test wants, and their clients."""

import socket
import threading
import time

from rig import traffic


class Worker:
    """A server that answers a request of one line by its name, after a while; until it is `free` it says nothing."""

    def __init__(self, ns):
        self.takes_s = 0
        self.name, self.free = ns.name.encode() + b"\n", threading.Event()
        self.free.set()
        listener = ns.socket(traffic.family_of(ns.ip))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", 8080))
        listener.listen(64)
        self.server = traffic.Server(listener, self._accept)

    def _accept(self, listener):
        sock, _ = listener.accept()
        sock.settimeout(None)
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            try:
                while sock.recv(4096):
                    self.free.wait(60)
                    time.sleep(self.takes_s)
                    sock.sendall(self.name)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.free.set()
        self.server.close()


def ask(client, vip, port=80):
    """A connection with a request under way."""
    sock = client.socket(traffic.family_of(vip))
    sock.settimeout(60)
    sock.connect((vip, port))
    sock.sendall(b"who?\n")
    return sock
