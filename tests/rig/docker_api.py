"""Docker's own API, as far as the daemon asks for it, with answers that a test decides."""

import json
import os
import socket
import threading


class DockerApi:
    """
    Serves `path`. `containers` {id: what inspect says}, `networks` [id]; `answers` {target: bytes} go before them, and an
    answer of None is never given.
    """

    def __init__(self, path):
        self.path = str(path)
        self.containers, self.networks, self.answers = {}, [], {}
        self.asked = []
        self._streams, self._open = [], set()
        self._lock = threading.Lock()
        self._listener = None
        self.start()

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """As a Docker that has ended: nobody answers, and who was answered is cut off."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)
        self.hang_up()

    def hang_up(self):
        with self._lock:
            for sock in list(self._open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._streams.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            lines = sock.makefile("rb")
            while line := lines.readline():
                while lines.readline().strip():
                    pass
                target = line.split()[1].decode()
                self.asked.append(target)
                if not self._answer(sock, target.partition("?")[0]):
                    return
        except OSError:
            pass

    def _answer(self, sock, target):
        """False: the connection is a stream from now on."""
        if target in self.answers:
            if self.answers[target] is None:
                return False
            sock.sendall(self.answers[target])
        elif target == "/events":
            with self._lock:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                self._streams.append(sock)
            return False
        elif target == "/containers/json":
            sock.sendall(reply([{"Id": name} for name in self.containers]))
        elif target == "/networks":
            sock.sendall(reply([{"Id": name} for name in self.networks]))
        else:
            found = self.containers.get(target.split("/")[2])
            sock.sendall(reply(found) if found is not None else reply({"message": "no such container"}, 404))
        return True

    def say(self, data):
        """Sends bytes to whoever follows the events."""
        with self._lock:
            for sock in self._streams:
                sock.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, action, actor, kind="container", **attributes):
        self.say(json.dumps({"Type": kind, "Action": action, "Actor": {"ID": actor, "Attributes": attributes}}).encode() + b"\n")

    def followers(self):
        return len(self._streams)


def reply(body, code=200):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (code, len(text), text)


def container(name, endpoint, labels=None, aliases=(), health=None, **config):
    """What inspect says of one that runs."""
    return {"Name": f"/{name}", "Config": {"Labels": labels or {}, **config},
            "State": {"Running": True, "Paused": False, **({"Health": {"Status": health}} if health else {})},
            "NetworkSettings": {"Networks": {"web": {"EndpointID": endpoint, "Aliases": list(aliases)}}}}
