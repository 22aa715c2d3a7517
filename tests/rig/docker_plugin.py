"""Docker's side of a plugin, without Docker: its calls, and what it does with an interface that it is given."""

import json
import os
import socket

from rig.process import run



def own_id(digits):
    """An id that begins with two digits, and that no test of another process has: interfaces are called after it."""
    return f"{digits}{os.getpid():08x}{digits * 27}"


NET, OTHER, LOST = ("a1" * 32, "b2" * 32, "c3" * 32)
EP, EP2 = own_id("d4"), own_id("e5")
SUBNET, GATEWAY = "10.1.0.0/24", "10.1.0.1/24"


class Plugin:
    """A plugin's socket, asked as Docker does."""

    def __init__(self, path):
        self.path = str(path)

    def raw(self, data, timeout_s=30, end=True):
        """Sends bytes, and with `end` says that there are no more; returns all that comes until the other side hangs up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(self.path)
            try:
                sock.sendall(data)
                if end:
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
        head, _, rest = self.raw(head.encode() + text, end=False).partition(b"\r\n\r\n")
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
        """CreateNetwork; without options of mode bridge, which changes nothing of the host's."""
        entry = {"AddressSpace": "SluiceLocal", "Pool": subnet, "Gateway": gateway, "AuxAddresses": {}}
        return self.network("CreateNetwork", NetworkID=network, IPv4Data=[entry], IPv6Data=[],
                            Options={"com.docker.network.generic": options or {"mode": "bridge"}, **fields})


def take_interface(name, netns, address, ifname="eth0"):
    """What Docker does after Join."""
    run(["ip", "link", "set", name, "netns", netns])
    for words in (["link", "set", name, "name", ifname], ["addr", "add", address, "dev", ifname], ["link", "set", ifname, "up"]):
        run(["ip", "-n", netns, *words])


def endpoint(plugin, endpoint_id=EP, address="10.1.0.9/24", network=NET, **fields):
    return plugin.network("CreateEndpoint", NetworkID=network, EndpointID=endpoint_id, Options={},
                          Interface={"Address": address, "AddressIPv6": "", "MacAddress": "", **fields})


def join(plugin, sandbox, endpoint_id=EP, network=NET):
    return plugin.network("Join", NetworkID=network, EndpointID=endpoint_id, SandboxKey=str(sandbox), Options={})


def crash(daemon):
    daemon.kill()
    daemon.start()


def port_of(endpoint_id=EP):
    return f"docker-{endpoint_id[:12]}"
