"""
Requests at a fixed rate, each on a new connection, and a few at once: a client that waits for each answer would ask less just when
something stands still, one that never waits would drown a machine that cannot do so many. A program of its own, so that it has
a thread of its own in the namespace that asks.
"""

import json
import selectors
import signal
import socket
import sys
import time
from contextlib import contextmanager

TIMEOUT_S = 10.0
AT_ONCE = 8  # connections; a request that would be one more waits


@contextmanager
def requests_at(ns, address, port, rate):
    """
    Asks up to `rate` times a second from the namespace; yields a dict that has, after the end: `done` requests that were answered with 200,
    `failed` {why: how many}, `seconds` from the first to the last.
    """
    said = {}
    process = ns.start(sys.executable, __file__, address, str(port), str(rate))
    try:
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(TIMEOUT_S + 5)
        finally:
            process.stop()
    said.update(json.loads(process.output()))


class Client:
    def __init__(self, address, port):
        self.to, self.family = (address, port), socket.AF_INET6 if ":" in address else socket.AF_INET
        self.request = f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode()
        self.selector, self.open = selectors.DefaultSelector(), {}
        self.done, self.failed = 0, {}

    def ask(self, now):
        sock = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex(self.to)
        self.open[sock] = [now + TIMEOUT_S, b""]
        self.selector.register(sock, selectors.EVENT_WRITE)

    def end(self, sock, why=None):
        answer = self.open.pop(sock)[1]
        self.selector.unregister(sock)
        sock.close()
        if not why and b" 200 " not in answer.split(b"\r\n")[0]:
            why = f"answer {answer[:40]!r}"
        if why:
            self.failed[why] = self.failed.get(why, 0) + 1
        else:
            self.done += 1

    def turn(self, timeout_s):
        for key, events in self.selector.select(timeout_s):
            sock = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    sock.send(self.request)
                    self.selector.modify(sock, selectors.EVENT_READ)
                elif part := sock.recv(65536):
                    self.open[sock][1] += part
                else:
                    self.end(sock)
            except BlockingIOError:
                pass
            except OSError as error:
                self.end(sock, str(error))
        now = time.monotonic()
        for sock in [sock for sock, (deadline, _) in self.open.items() if deadline < now]:
            self.end(sock, "no answer in time")


def main(address, port, rate):
    client, over = Client(address, int(port)), []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    first = due = now = time.monotonic()
    while not over:
        while due <= now and len(client.open) < AT_ONCE:
            client.ask(now)
            due += 1 / float(rate)
        client.turn(max(0.001, min(due - now, 0.1)))
        now = time.monotonic()
        due = max(due, now - 0.1)  # what was not asked for longer is not made up for
    seconds = now - first
    while client.open:
        client.turn(0.1)
    print(json.dumps({"done": client.done, "failed": client.failed, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
