"""
Kubernetes' API server, as far as the daemon asks for it, over TLS with a token: lists in pages and watches, with what a
test makes of them. Objects are as `kubectl get -o json` prints them, shortened.
"""

import copy
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SERVICES, SLICES, NODES = "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/nodes"
KINDS = {SERVICES: "Service", SLICES: "EndpointSlice", NODES: "Node"}
NO_PROGRESS = "no progress"
# As kube-apiserver 1.36 says it with etcd 3.4
NO_PROGRESS_LINE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"a watch stream was '
    b'requested by the client but the required storage feature RequestWatchProgress is disabled","reason":"InternalError",'
    b'"code":500}}\n')


def service(name, ips, ports, namespace="default", **spec):
    """`ports`: [(name, port)] or [(name, port, protocol)]; "" is no name."""
    return {"kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": ips[0], "clusterIPs": ips, "type": "ClusterIP", "ports": [port_of(*port) for port in ports],
                     "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", **spec}}


def port_of(name, port, protocol="TCP"):
    return {**({"name": name} if name else {}), "port": port, "protocol": protocol}


def endpoint(address, ready=True, serving=None, terminating=False, node=None, hints=None):
    return {"addresses": [address], "nodeName": node,
            "conditions": {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating},
            **({"hints": hints} if hints else {})}


def endpoint_slice(name, of, endpoints, ports, namespace="default"):
    family = "IPv6" if endpoints and ":" in endpoints[0]["addresses"][0] else "IPv4"
    return {"kind": "EndpointSlice", "addressType": family, "endpoints": endpoints, "ports": [port_of(*port) for port in ports],
            "metadata": {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": of}}}


class KubeApi:
    """
    Serves `url` with a certificate of `authority` (certs.py), to who shows the token in `token_file`. `marks`: does it know of
    sendInitialEvents? NO_PROGRESS: it does, but its etcd does not do what it takes. `ns`: listens in there. `forget()`:
    versions from before are gone (410). `forgets`: so is each that it gives. `refuse`: {path: (status, headers)}.
    """

    strict = False  # it takes any object

    def __init__(self, authority, token_file, marks=True, page=2, ns=None, address="127.0.0.1"):
        self.token_file, self.marks, self.page = token_file, marks, page
        self.objects = {path: {} for path in KINDS}
        self.log = {path: [] for path in KINDS}  # (version, type, object)
        self.version, self.oldest, self.refuse, self.asked, self.asked_at = 100, 0, {}, [], []
        self.shown = None  # of whoever asked last, as what it came
        self.changed = threading.Condition()
        self.round = 0  # of connections: an older one is broken off
        self.forgets = False
        self.lose_page = False  # the next page of a list is asked for too late (410), once
        self.filled = {}  # {path: when the last watch of it had been told all there is (time.monotonic())}
        self.open = {path: [] for path in KINDS}  # the rounds of the watches that follow the log
        token_file.write_text("first\n")
        self.token = "first"
        self.address, self.context = address, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify(authority)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    api.answer(self)
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a client that hangs up in the middle
                pass

        self.server = Server((address, 0), Handler, bind_and_activate=False)
        if ns:
            self.server.socket.close()
            self.server.socket = ns.socket()
        self.server.server_bind()
        self.server.server_activate()
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://{address}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()
        self.server.shutdown()
        self.server.server_close()

    # what a test does

    def put(self, *objects):
        with self.changed:
            for one in objects:
                path = next(path for path, kind in KINDS.items() if kind == one["kind"])
                self._event(path, "MODIFIED" if self._key(one) in self.objects[path] else "ADDED", one)

    def delete(self, *objects):
        with self.changed:
            for one in objects:
                path = next(path for path, kind in KINDS.items() if kind == one["kind"])
                self._event(path, "DELETED", one)

    def certify(self, authority):
        """Connections to come see a certificate of this authority."""
        self.context.load_cert_chain(*authority.issue("kube-api", addresses=(self.address,)))

    def let_in(self, authority):
        """Who shows a certificate of this authority needs no token."""
        self.context.load_verify_locations(authority.cert)
        self.context.verify_mode = ssl.CERT_OPTIONAL

    def bookmark(self, path):
        """Tells who watches a version of now, and what was before is not in the log any more."""
        with self.changed:
            self.version += 1
            self.oldest = version = self.version
        self.say(path, self._line("BOOKMARK", {"kind": KINDS[path], "metadata": {"resourceVersion": str(version)}}))
        return version

    def rotate(self, token):
        """Requests to come need this token; the file has it."""
        self.token_file.write_text(token + "\n")
        self.token = token

    def hang_up(self):
        with self.changed:
            self.round += 1
            self.changed.notify_all()

    def forget(self):
        """What has happened so far is not in the log any more."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.round += 1
            self.changed.notify_all()

    def say(self, path, line):
        """A line in the watches of `path` that are open, whatever it is; the first of them is waited for."""
        with self.changed:
            opened = self.changed.wait_for(lambda: self.round in self.open[path], timeout=60)
            assert opened, f"nobody watches {path}"
            self.log[path].append((self.version, None, line))
            self.changed.notify_all()

    # what it answers

    @staticmethod
    def _key(one):
        return one["metadata"].get("namespace", ""), one["metadata"]["name"]

    def _event(self, path, kind, one):
        self.version += 1
        one = copy.deepcopy(one)
        one["metadata"]["resourceVersion"] = str(self.version)
        one["metadata"]["managedFields"] = [{"manager": "kube-controller-manager", "operation": "Update"}]
        if kind == "DELETED":
            self.objects[path].pop(self._key(one), None)
        else:
            self.objects[path][self._key(one)] = one
        self.log[path].append((self.version, kind, one))
        self.changed.notify_all()

    def answer(self, request):
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append((url.path, query))
        self.shown = request.headers.get("Authorization")
        self.asked_at.append((url.path, time.monotonic()))
        if request.headers.get("Authorization") != f"Bearer {self.token}" and not request.connection.getpeercert():
            self.status(request, 401)
        elif url.path in self.refuse:
            self.status(request, *self.refuse[url.path])
        elif (of := url.path.rpartition("/"))[0] in KINDS:
            self.show(request, of[0], of[2])
        elif "watch" in query:
            self.watch(request, url.path, query)
        else:
            self.list(request, url.path, query)

    @staticmethod
    def status(request, code, headers=()):
        body = json.dumps({"kind": "Status", "code": code}).encode()
        request.send_response(code)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def show(self, request, path, name):
        """One object of no namespace."""
        one = self.objects[path].get(("", name))
        if one:
            self.reply(request, one)
        else:
            self.status(request, 404)

    def list(self, request, path, query):
        start = int(query.get("continue") or 0)
        if start and self.lose_page:
            self.lose_page = False
            self.status(request, 410)
            return
        with self.changed:
            found = list(self.objects[path].values())
            end = start + min(self.page, int(query["limit"]))
            metadata = {"resourceVersion": str(self.version)}
        if end < len(found):
            metadata["continue"] = str(end)
        self.reply(request, {"kind": KINDS[path] + "List", "metadata": metadata, "items": found[start:end]})

    @staticmethod
    def reply(request, answer):
        body = json.dumps(answer).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def watch(self, request, path, query):
        initial = query.get("sendInitialEvents") == "true"
        if initial and not self.marks:
            self.status(request, 422)
            return
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        if initial and self.marks == NO_PROGRESS:
            self.send(request, NO_PROGRESS_LINE)
            request.wfile.write(b"0\r\n\r\n")
            return
        with self.changed:
            mine = self.round
            first = [] if not initial else [
                *(self._line("ADDED", one) for one in self.objects[path].values()),
                self._line("BOOKMARK", {"kind": KINDS[path], "metadata": {
                    "resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}})]
            seen = self.version if initial else int(query["resourceVersion"])
            old = seen < self.oldest or (self.forgets and not initial)
            at = next((n for n, (version, _, _) in enumerate(self.log[path]) if version > seen), len(self.log[path]))
            said = len(self.log[path])  # to others, before
            if not old:
                self.open[path].append(mine)
                self.changed.notify_all()
        if old:
            first = [self._line("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})]
        try:
            for line in first:
                self.send(request, line)
            self.filled[path] = time.monotonic()
            if not old:
                self.follow(request, path, at, said, mine)
        finally:
            with self.changed:
                if not old:
                    self.open[path].remove(mine)
        request.wfile.write(b"0\r\n\r\n")

    def follow(self, request, path, at, said, mine):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: mine != self.round or at < len(self.log[path]), timeout=1)
                if mine != self.round:
                    raise OSError("broken off")
                events, first, at = self.log[path][at:], at, len(self.log[path])
            for n, (_, kind, one) in enumerate(events, first):
                if kind is not None:
                    self.send(request, self._line(kind, one))
                elif n >= said:
                    self.send(request, one)

    @staticmethod
    def _line(kind, one):
        return json.dumps({"type": kind, "object": one}).encode() + b"\n"

    @staticmethod
    def send(request, line):
        half = len(line) // 2  # lines do not end where packets do
        for part in filter(None, (line[:half], line[half:])):
            request.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            request.wfile.flush()
