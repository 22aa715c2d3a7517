"""Consul's HTTP API as the daemon serves it: one call, one reply."""

import base64
import http.client
import json
import threading
import time
from urllib.parse import quote, urlencode

from rig import wait

# an instance with every field that a registration may have
WEB = {"ID": "web-1", "Name": "web", "Tags": ["primary", "v2"], "Address": "10.1.0.1", "Port": 8080,
       "Meta": {"zone": "a"}, "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": True,
       "TaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 80}}}


class Reply:
    """Status, headers and body of an answer; `json` is the body read as such."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def index(self):
        return int(self.headers["X-Consul-Index"])

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Consul:
    """Speaks to 127.0.0.1:`port`."""

    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def request(self, method, path, body=None, headers=None, timeout_s=max(30, wait.PATIENCE_S), **query):
        """The reply; `path` is below /v1 unless it begins with /. A query value None stands for a bare name, a list for a name that is repeated."""
        bare = [name for name, value in query.items() if value is None]
        pairs = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
        text = "&".join([*bare, *([pairs] if pairs else [])])
        headers = dict(headers or {})
        if self.token:
            headers["X-Consul-Token"] = self.token
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            path = path if path.startswith("/") else f"/v1/{path}"
            connection.request(method, path + (f"?{text}" if text else ""), body, headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **query):
        return self.request("GET", path, **query)

    def put(self, path, body=None, **query):
        return self.request("PUT", path, body, **query)

    def register(self, name, **fields):
        """Registers with the agent; must succeed."""
        reply = self.put("agent/service/register", {"Name": name, **fields})
        assert reply.status == 200, reply
        return reply

    def deregister(self, instance):
        return self.put(f"agent/service/deregister/{quote(instance, safe='')}")


class There(Consul):
    """The API of a daemon in its namespace, with keys and sessions."""

    def __init__(self, daemon):
        super().__init__(8500)
        self.daemon = daemon

    def request(self, *args, **fields):
        return self.daemon.ns.do(lambda: super(There, self).request(*args, **fields))

    def value(self, key, **query):
        """The row of a key, with its value as text; None: there is none."""
        reply = self.get(f"kv/{key}", **query)
        if reply.status == 404:
            return None
        assert reply.status == 200, reply
        row = reply.json[0]
        return {**row, "Value": base64.b64decode(row["Value"] or "").decode()}

    def session(self, **fields):
        reply = self.put("session/create", fields)
        assert reply.status == 200, reply
        return reply.json["ID"]


class Waiting(threading.Thread):
    """A query in its own thread; result() is its reply."""

    def __init__(self, consul, path, **query):
        super().__init__(daemon=True)
        self._ask = lambda: consul.get(path, **query)
        self._reply = None
        self.start()

    def run(self):
        self._reply = self._ask()

    def result(self):
        self.join(20)
        assert self._reply is not None, "the query still waits"
        return self._reply

    def waits(self):
        time.sleep(0.2)
        return self.is_alive()
