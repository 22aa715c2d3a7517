"""Real traffic between namespaces: ping, TCP and UDP in bulk, HTTP, and servers that say who answers."""

import json
import random
import re
import socket
import tempfile
import threading
from pathlib import Path

from rig import echo, wait

BULK, BULK_PORT = 8 << 20, 5201


def ping(ns, address, count=3, interval_s=0.05, check=True, size=56):
    """Pings and returns how many replies came; fails on a lost one unless told not to check. `ns` None: from the host."""
    received = echo.ping(ns, address, count, interval_s, wait.PATIENCE_S if check else 0.5, size)
    assert not check or received == count, f"{received} of {count} pings answered by {address}"
    return received


def wait_ping(ns, address):
    """Waits for the first reply."""
    wait.until(lambda: ping(ns, address, 1, check=False), f"{address} answers {ns.name}", interval_s=0.1)


def udp_flood(server, client, address, rate="50M"):
    """A second of datagrams at that rate; returns how many of a hundred were lost."""
    process = server.start("iperf3", "-s", "-1", "-p", str(BULK_PORT))
    wait.until(lambda: listens(server, BULK_PORT), "iperf3 server listens")
    done = client.run("iperf3", "-c", address, "-p", str(BULK_PORT), "--json", "--connect-timeout", "5000", "-t", "1", "-u",
                      "-b", rate, check=False, timeout_s=60)
    process.stop()
    result = json.loads(done.stdout)
    assert "error" not in result, f"iperf3 {address}: {result['error']}"
    return result["end"]["sum"]["lost_percent"]


def tcp_carries(server, client, address, reverse=False):
    """A bulk transfer over TCP, however long it takes: 8 MiB come as they were sent, or it fails. `server` None: the host, at
    that address alone."""
    sent = random.Random(address).randbytes(BULK)
    family = family_of(address)
    here = server.socket(family) if server else socket.socket(family)
    with here as listener, client.socket(family) as near:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("" if server else address, BULK_PORT))
        listener.listen()
        for sock in (listener, near):
            sock.settimeout(wait.PATIENCE_S)
        near.connect((address, BULK_PORT))
        far, _ = listener.accept()
        with far:
            far.settimeout(wait.PATIENCE_S)
            source, sink = (far, near) if reverse else (near, far)
            sender = threading.Thread(target=_send_all, args=(source, sent))
            sender.start()
            try:
                received = _receive_all(sink)
            finally:
                sender.join()
    assert received == sent, f"{len(received)} of {len(sent)} bytes came from {address}, or others"


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def family_for(ns, six):
    """Of a server inside: IPv6 takes IPv4 too, and is meant where the container's first address is of it."""
    return socket.AF_INET6 if six or ":" in (getattr(ns, "ip", None) or "") else socket.AF_INET


def _send_all(sock, payload):
    try:
        sock.sendall(payload)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # what did not come is told at the other end


def _receive_all(sock):
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def listens(ns, port):
    """Does something in the namespace listen on the TCP port?"""
    done = ns.run("sh", "-c", "cat /proc/self/net/tcp /proc/self/net/tcp6", check=False)
    return re.search(rf":{port:04X} \S+ 0A ", done.stdout) is not None


def http_server(ns, port=8080, text=None):
    """busybox httpd inside, whose / answers `text` (by default the namespace's name). Returns the process."""
    root = Path(tempfile.mkdtemp(prefix="sluice-www-"))
    page = root / "index.html"
    page.write_text(text if text is not None else ns.name)
    process = ns.start("busybox", "httpd", "-f", "-p", str(port), "-h", root)
    wait.until(lambda: listens(ns, port), f"httpd in {ns.name} listens")
    stop = process.stop

    def stop_and_remove(*args, **named):
        page.unlink(missing_ok=True)
        if root.exists():
            root.rmdir()
        return stop(*args, **named)

    process.stop = stop_and_remove
    return process


def http_get(ns, address, port=80, timeout_s=5.0):
    """One request on a new connection; returns the body, or raises OSError."""
    sock = ns.socket(family_of(address))
    sock.settimeout(timeout_s)
    with sock:
        sock.connect((address, port))
        sock.sendall(f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(f"http://{address}:{port}: {head!r}")
    return body.decode()


def http_many(ns, address, port, count):
    """`count` requests one after the other: ({body: how often}, how many failed)."""
    bodies, failed = {}, 0
    for _ in range(count):
        try:
            body = http_get(ns, address, port)
            bodies[body] = bodies.get(body, 0) + 1
        except OSError:
            failed += 1
    return bodies, failed


class Server:
    """A thread that serves a socket inside a namespace; `with` ends it."""

    def __init__(self, sock, serve):
        self._sock, self._over = sock, threading.Event()
        sock.settimeout(0.1)
        self._thread = threading.Thread(target=self._loop, args=(serve,), daemon=True)
        self._thread.start()

    def _loop(self, serve):
        while not self._over.is_set():
            try:
                serve(self._sock)
            except TimeoutError:
                continue
            except OSError:
                if self._over.is_set():
                    return

    def close(self):
        self._over.set()
        self._thread.join()
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def udp_server(ns, port, text=None, six=False):
    """Answers each datagram with `text` (the namespace's name) and a space and the datagram; six: over IPv6."""
    sock = ns.socket(family_for(ns, six), socket.SOCK_DGRAM)
    sock.bind(("", port))
    name = (text or ns.name).encode()

    def serve(sock):
        data, peer = sock.recvfrom(65536)
        sock.sendto(name + b" " + data, peer)

    return Server(sock, serve)


def udp_ask(ns, address, port, data=b"hello", timeout_s=2.0):
    """Sends a datagram from a new source port and returns the answer; TimeoutError without one."""
    with ns.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.sendto(data, (address, port))
        answer, source = sock.recvfrom(65536)
        assert source[:2] == (address, port), f"asked {address}:{port}, answered by {source}"
        return answer


class EchoClient:
    """A TCP connection kept open, to see whether it survives."""

    def __init__(self, ns, address, port, timeout_s=10.0):
        self.sock = ns.socket(family_of(address))
        self.sock.settimeout(timeout_s)
        self.sock.connect((address, port))
        self.name = self._line()

    def _line(self):
        text = b""
        while not text.endswith(b"\n"):
            part = self.sock.recv(4096)
            if not part:
                raise ConnectionResetError("closed by the server")
            text += part
        return text.decode().strip()

    def echo(self, text="still there?"):
        self.sock.sendall(text.encode() + b"\n")
        assert self._line() == text

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tcp_opens(ns, address, port):
    """Does a connection open?"""
    try:
        EchoClient(ns, address, port, timeout_s=2).close()
    except OSError:
        return False
    return True


def tcp_server(ns, port, text=None, six=False):
    """Greets each connection with a line that says who it is, then echoes; six: over IPv6 too."""
    listener = ns.socket(family_for(ns, six))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(64)
    greeting = (text or ns.name).encode() + b"\n"

    def echo(sock):
        with sock:
            try:
                sock.sendall(greeting)
                while data := sock.recv(65536):
                    sock.sendall(data)
            except OSError:
                pass

    def serve(listener):
        sock, _ = listener.accept()
        sock.settimeout(None)
        threading.Thread(target=echo, args=(sock,), daemon=True).start()

    return Server(listener, serve)
