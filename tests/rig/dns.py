"""DNS as dig and kdig see it: one question, one message. A daemon to ask, and a server that it may ask."""

import re
import socket
import struct
import threading
from dataclasses import dataclass, field

from rig.consul import Consul
from rig.ports import free_port
from rig.process import run

SECTIONS = {"ANSWER": "answer", "AUTHORITY": "authority", "ADDITIONAL": "additional"}


@dataclass
class Message:
    """Records are lists of words: [name, ttl, class, type, data...], names in lower case."""

    status: str = ""
    flags: frozenset = frozenset()
    answer: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    edns: bool = False
    text: str = ""

    def data(self, kind):
        """The data of the answers of this type, sorted."""
        return sorted(" ".join(record[4:]) for record in self.answer if record[3] == kind)


def parse(text):
    """Reads what dig or kdig print."""
    message, section = Message(text=text), None
    for line in text.splitlines():
        status = re.search(r"status: (\w+)", line)
        flags = re.match(r";; [Ff]lags: ([\w ]*)", line)
        heading = re.match(r";; (\w+) (SECTION|PSEUDOSECTION)", line)
        if status:
            message.status = status[1]
        if flags:
            message.flags = frozenset(flags[1].split())
        if re.search("EDNS", line):
            message.edns = True
        if heading:
            section = SECTIONS.get(heading[1]) if heading[2] == "SECTION" else None
        elif line and not line.startswith(";") and section:
            words = line.split()
            getattr(message, section).append([words[0].lower(), *words[1:]])
    return message


def dig(port, name, kind="A", *options, netns=None, server="127.0.0.1", check=True, tool="dig"):
    """Asks `server`:`port`, from inside `netns` when given. `options` are dig's: "+tcp", "+noedns"."""
    words = [tool, f"@{server}", "-p", str(port)]
    words += ["+time=5", "+tries=2"] if tool == "dig" else ["+timeout=5", "+retry=1"]
    words += [name, kind, *options]
    done = netns.run(*words, check=check) if netns else run(words, check=check)
    return parse(done.stdout + (done.stderr or ""))


class World:
    """A daemon with HTTP API and DNS on free ports."""

    def __init__(self, start_sluiced, **control):
        http, self.port = free_port(), free_port()
        self.daemon = start_sluiced({"control": {
            "http": f"127.0.0.1:{http}", "dns": f"127.0.0.1:{self.port}", "node": "edge1",
            "node_address": "192.0.2.9", **control}})
        self.consul = Consul(http)

    def dig(self, name, kind="A", *options, **more):
        return dig(self.port, name, kind, *options, **more)

    def metric(self, name, **labels):
        """Of the daemon's metrics the one with these labels, as an integer."""
        page = self.consul.request("GET", "/metrics").text
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        series = f"{name}{{{text}}}" if text else name
        return int(float(re.search(rf"^{re.escape(series)} (\S+)$", page, re.M)[1]))

    def many(self, name, count):
        for i in range(count):
            self.consul.register(name, ID=f"{name}-{i}", Address=f"10.9.{i // 250}.{i % 250 + 1}", Port=1000 + i)


class Upstream:
    """A name server for example.org on UDP and TCP: 198.51.100.1; no gone.example.org, and for slow.example.org nothing."""

    def __init__(self):
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.asked = []
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=self.until_closed, args=[work], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()
        self.tcp.close()

    @staticmethod
    def until_closed(work):
        try:
            while True:
                work()
        except OSError:
            pass

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        self.asked.append(query[12:end])
        if query[12:].startswith(b"\x04slow"):
            return None
        if query[12:].startswith(b"\x04gone"):
            return query[:2] + b"\x81\x83" + struct.pack("!4H", 1, 0, 0, 0) + query[12:end]
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes([198, 51, 100, 1])
        return query[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0) + query[12:end] + record

    def serve_udp(self):
        query, peer = self.udp.recvfrom(4096)
        reply = self.answer(query)
        if reply:
            self.udp.sendto(b"\0\0" + reply[2:], peer)  # another id: not believed
            self.udp.sendto(reply, peer)

    def serve_tcp(self):
        client, _ = self.tcp.accept()
        with client:
            data = client.recv(4096)
            reply = self.answer(data[2:]) if data else None
            if reply:
                client.sendall(struct.pack("!H", len(reply)) + reply)
