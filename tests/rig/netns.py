"""Network namespaces that play containers and other hosts. Names carry the pid; each is deleted whatever happens."""

import ctypes
import itertools
import os
import socket
import threading

from rig.process import Process, run

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()


class Netns:
    """A namespace with its loopback up. `name` is what a port's `netns` takes."""

    def __init__(self, label="c"):
        self.name = f"sl{os.getpid()}-{next(_serial)}{label}"
        self.path = f"/run/netns/{self.name}"
        self._background, self._outside = [], []
        run(["ip", "netns", "add", self.name])
        self.run("ip", "link", "set", "lo", "up")

    def close(self):
        """Ends what runs inside and deletes the namespace."""
        for process in self._background:
            process.kill()
        self._background.clear()
        for link in self._outside:  # with the namespace they would go later, by themselves
            run(["ip", "link", "del", link], check=False)
        self._outside.clear()
        if os.path.exists(self.path):
            run(["ip", "netns", "del", self.name])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def argv(self, *command):
        return ["nsenter", f"--net={self.path}", "--", *command]

    def run(self, *command, check=True, timeout_s=60):
        return run(self.argv(*command), check=check, timeout_s=timeout_s)

    def start(self, *command, **popen):
        """A background process inside, ended with the namespace at the latest."""
        process = Process(self.argv(*command), **popen)
        self._background.append(process)
        return process

    def enter(self):
        """The calling thread is inside from now on."""
        with open(self.path) as handle:
            if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.path}")

    def do(self, function):
        """Calls `function` on a thread that has entered the namespace; sockets made there belong to it."""
        outcome = {}

        def work():
            try:
                self.enter()
                outcome["value"] = function()
            except BaseException as error:  # handed to the caller
                outcome["error"] = error

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        return self.do(lambda: socket.socket(family, kind, proto))

    def mac(self, ifname="eth0"):
        return self.do(lambda: _sys_link(ifname))

    def interfaces(self):
        return self.do(lambda: [name for _, name in socket.if_nameindex()])

    def veth(self, inside, outside, mtu=1500):
        """Joins the host to the namespace: `outside` stays in the host, `inside` goes in; both up, without IPv6 outside."""
        run(["ip", "link", "add", outside, "mtu", mtu, "type", "veth", "peer", "name", inside, "mtu", mtu, "netns",
             self.name])
        self._outside.append(outside)
        run(["sysctl", "-qw", f"net.ipv6.conf.{outside}.disable_ipv6=1"])
        run(["ip", "link", "set", outside, "up"])
        self.run("ip", "link", "set", inside, "up")


def _sys_link(ifname):
    import fcntl
    import struct
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, 0x8927, struct.pack("256s", ifname.encode()))  # SIOCGIFHWADDR
    return answer[18:24].hex(":")
