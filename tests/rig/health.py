"""Servers with a health that a test sets: over HTTP (and TLS), and the gRPC health service."""

import http.server
import socket
import ssl
import sys
import tempfile
import threading
from pathlib import Path

from rig import wait
from rig.process import run
from rig.traffic import listens


class HttpHealth:
    """Answers GET with `status` and `text`, after `delay_s`; notes the paths asked for. `ns` None: in the host, on a free port.
    `six`: by IPv6 alone."""

    def __init__(self, ns=None, port=0, certificate=None, six=False):
        self.status, self.text, self.headers, self.delay_s = 200, "well", {}, 0
        self.paths, self.requests, self._over = [], [], threading.Event()
        health = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                health.paths.append(self.path)
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                health.requests.append((self.command, self.headers, sent))
                health._over.wait(health.delay_s)
                body = health.text.encode()
                self.send_response(health.status)
                for name, value in health.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_GET

            def log_message(self, *_):
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler, bind_and_activate=False)
        if ns:
            self._server.socket.close()
            self._server.socket = ns.socket(socket.AF_INET6 if six else socket.AF_INET)
        if six:
            self._server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._server.socket.bind(("::" if six else "0.0.0.0" if ns else "127.0.0.1", port))
        self._server.server_activate()
        self.port = self._server.socket.getsockname()[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing of connections that are reset or fail in TLS."""

    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client_address):
        pass


def certificate(directory):
    """A certificate that nobody signed, with its key, in one file."""
    path = Path(directory) / "server.pem"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=health",
         "-keyout", str(path) + ".key", "-out", str(path) + ".crt"])
    path.write_text(Path(str(path) + ".key").read_text() + Path(str(path) + ".crt").read_text())
    return path


class GrpcHealth:
    """A gRPC server in the namespace whose health service knows "" (the server) and "db"; set() changes one."""

    def __init__(self, ns, port=50051):
        self._dir = tempfile.TemporaryDirectory(prefix="sluice-grpc-")
        for service in ("", "db"):
            self.set("SERVING", service)
        self._process = ns.start(sys.executable, str(Path(__file__).with_name("health_server.py")), str(port), self._dir.name)
        wait.until(lambda: listens(ns, port), f"the gRPC server in {ns.name} listens")

    def set(self, status, service=""):
        path = Path(self._dir.name) / f"status-{service}"
        fresh = Path(self._dir.name) / f"fresh-{service}"
        fresh.write_text(status)
        fresh.rename(path)

    def close(self):
        self._process.stop()
        self._dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
