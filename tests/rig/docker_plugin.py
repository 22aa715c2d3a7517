"""Docker's side of a plugin, without Docker: its calls, and what it does with an interface that it is given."""

import json
import socket

from rig.process import run


class Plugin:
    """A plugin's socket, asked as Docker does."""

    def __init__(self, path):
        self.path = str(path)

    def raw(self, data, timeout_s=30):
        """Sends bytes, returns all that comes back until the other side hangs up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(self.path)
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has hung up already
            got = b""
            try:
                while chunk := sock.recv(65536):
                    got += chunk
            except ConnectionResetError:
                pass
            return got

    def post(self, path, body):
        """(status, body) of a call; `body` is text or an object."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"POST /{path} HTTP/1.1\r\nHost: plugin\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
        head, _, rest = self.raw(head.encode() + text).partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    def call(self, path, **fields):
        """The answer to a call, an object."""
        status, body = self.post(path, fields)
        assert status == 200, (status, body)
        return json.loads(body)

    def network(self, verb, **fields):
        """A call of NetworkDriver that must do."""
        answer = self.call(f"NetworkDriver.{verb}", **fields)
        assert "Err" not in answer, answer
        return answer

    def ipam(self, verb, **fields):
        answer = self.call(f"IpamDriver.{verb}", **fields)
        assert "Error" not in answer, answer
        return answer

    def refused(self, path, **fields):
        """What it says to a call that it must refuse."""
        answer = self.call(path, **fields)
        line = answer.get("Error" if path.startswith("Ipam") else "Err")
        assert line and len(answer) == 1 and "\n" not in line, answer
        return line

    def pool(self, **fields):
        """RequestPool; returns the pool's id."""
        return self.ipam("RequestPool", **{"AddressSpace": "SluiceLocal", "Pool": "", "SubPool": "", "Options": {}, "V6": False,
                                           **fields})["PoolID"]

    def create(self, network, subnet, gateway, options=None, **fields):
        entry = {"AddressSpace": "SluiceLocal", "Pool": subnet, "Gateway": gateway, "AuxAddresses": {}}
        return self.network("CreateNetwork", NetworkID=network, IPv4Data=[entry], IPv6Data=[],
                            Options={"com.docker.network.generic": options or {}, **fields})


def take_interface(name, netns, address, ifname="eth0"):
    """What Docker does after Join."""
    run(["ip", "link", "set", name, "netns", netns])
    for words in (["link", "set", name, "name", ifname], ["addr", "add", address, "dev", ifname], ["link", "set", ifname, "up"]):
        run(["ip", "-n", netns, *words])
