"""sluice-cni, called as a container runtime calls it: its environment, its configuration on standard input."""

import json
import os
import subprocess

from rig.daemon import program
from rig.netns import Netns

VERSION = "1.1.0"
OLD = ("0.3.1", "0.4.0", "1.0.0")


class CniError(Exception):
    """The plugin failed; `code` is CNI's number, `message` its line."""

    def __init__(self, answer):
        super().__init__(f"{answer['msg']} ({answer['code']})")
        assert "\n" not in answer["msg"], answer
        self.code, self.message, self.version = answer["code"], answer["msg"], answer["cniVersion"]


class Cni:
    """The runtime's side of one network; `fields` are those of its configuration."""

    def __init__(self, daemon, name="web", version=VERSION, **fields):
        self.daemon, self.prefix = daemon, f"c{os.getpid()}"
        self.conf = {"cniVersion": version, "name": name, "type": "sluice-cni", "socket": str(daemon.socket), **fields}

    def raw(self, command, text, container=None, netns=None, ifname="eth0", args=None, **env):
        """The finished process. What is None is not in the environment."""
        given = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": netns, "CNI_IFNAME": ifname,
                 "CNI_ARGS": args, "CNI_PATH": "/nowhere", **env}
        whole = {**{k: v for k, v in os.environ.items() if not k.startswith("CNI_")},
                 **{k: v for k, v in given.items() if v is not None}}
        return subprocess.run([program("sluice-cni")], env=whole, input=text, capture_output=True, timeout=120,
                              **({"text": True} if isinstance(text, str) else {}))

    def call(self, command, container=None, netns=None, ifname="eth0", args=None, conf=None, **fields):
        """The answer, None without one. Raises CniError."""
        text = json.dumps({**self.conf, **(conf or {}), **fields})
        done = self.raw(command, text, container, getattr(netns, "path", netns), ifname, args)
        answer = json.loads(done.stdout) if done.stdout.strip() else None
        assert (done.returncode == 0) == (answer is None or "code" not in answer), done
        if done.returncode:
            raise CniError(answer)
        return answer

    def add(self, container, netns, **more):
        return self.call("ADD", container, netns, **more)

    def delete(self, container, netns=None, **more):
        assert self.call("DEL", container, netns, **more) is None

    def check(self, container, netns, result, **more):
        assert self.call("CHECK", container, netns, prevResult=result, **more) is None


class Pod(Netns):
    """A namespace that the plugin attaches to the network; `result` is what ADD answered."""

    def __init__(self, cni, container, **more):
        super().__init__("pod")
        self.cni, self.container, self.more = cni, container, more
        try:
            self.result = cni.add(container, self, **more)
            self.ip = self.result["ips"][0]["address"].split("/")[0]
        except BaseException:
            super().close()
            raise

    def delete(self):
        self.cni.delete(self.container, self, **self.more)

    def close(self):
        try:
            if self.cni.daemon.process:
                self.delete()
        finally:
            super().close()


def left(daemon):
    """What the plugin has made and not taken away."""
    return ([port["name"] for port in daemon.rpc("port.list") if port["name"].startswith("cni-")]
            + [entry["name"] for entry in daemon.rpc("publish.list") if entry["name"].startswith("cni-")]
            + [row["service"] for row in daemon.rpc("backend.list")])
