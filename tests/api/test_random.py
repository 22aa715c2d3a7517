"""Calls at random, right and wrong ones, made from api.describe: what they leave is there again after each restart."""

import json
import random
import time

import pytest

from rig.daemon import Daemon

CALLS, BETWEEN_RESTARTS = 1600, 400
SETTLED_S = 0.4  # before a kill -9; a change is in the file within 100 ms
KEPT = {"name", "network", "service", "address", "port", "mac", "ips", "vip", "weight", "remote", "mtu", "subnet", "vni",
        "gateway"}
NOT_HERE = {"netns", "device", "devargs", "owner", "group", "file"}  # what the host would have to have
WRONG = [None, 1, "", [], {}, "x" * 300, -1, 2**40, "10.1.0.300", True, "\u00e9", [1, 1]]


class Monkey:
    """Few names and addresses, so that calls meet each other's objects."""

    def __init__(self, seed, folder):
        self.random, self.folder = random.Random(seed), folder

    def value(self, field):
        pick = self.random
        if pick.random() < 0.07:
            return pick.choice(WRONG)
        return {
            "name": lambda: pick.choice(["a", "b", "web", "n1", "api", "x"]),
            "integer": lambda: pick.choice([field["min"], field["max"], min(max(field["min"], 1400), field["max"])]),
            "quantity": lambda: pick.choice(["0", "64K", "250M", "2.5G", 100000]),
            "boolean": lambda: pick.random() < 0.5,
            "enum": lambda: pick.choice(field["choices"]),
            "ip4": lambda: f"10.1.0.{pick.randrange(12)}",
            "ip": lambda: pick.choice([f"10.1.0.{pick.randrange(12)}", f"fd00::{pick.randrange(3)}", f"::ffff:10.1.0.{pick.randrange(12)}"]),
            "cidr4": lambda: pick.choice(["10.1.0.0/24", "10.0.0.0/8", "10.1.0.0/31", "0.0.0.0/0"]),
            "addr": lambda: pick.choice(["192.0.2.1/24", "192.0.2.2/31"]),
            "mac": lambda: f"02:00:00:00:00:{pick.randrange(4):02x}",
            "path": lambda: str(self.folder / f"{pick.randrange(3)}.sock"),
            "list": lambda: [self.value(dict(field, type=field["item"], fields=field.get("item_fields"))) for _ in range(pick.randrange(3))],
            "map": lambda: {pick.choice(["app", "tier"]): pick.choice(["web", ""])},
            "object": lambda: self.params(field["fields"]),
        }.get(field["type"], lambda: "text")()

    def params(self, fields):
        params = {f["name"]: self.value(f) for f in fields
                  if f["required"] or f["name"] not in NOT_HERE and self.random.random() < 0.25}
        if params.get("mode") == "host":
            params["mode"] = "bridge"  # the host's own network is not ours to play with
        if params.get("type") in ("tap", "null", "eth", "pcap", "af_packet"):
            params["type"] = "vhost-user"
        return params

    def call(self, methods):
        method = self.random.choice(methods)
        while method["name"].endswith(".del") and self.random.random() < 0.6:
            method = self.random.choice(methods)
        return method["name"], self.params(method["fields"])


def picture(daemon):
    nouns = ("network", "port", "uplink", "vtep", "fdb", "service", "backend")
    return {noun: sorted(json.dumps({k: v for k, v in row.items() if k in KEPT}, sort_keys=True)
                         for row in daemon.rpc(f"{noun}.list") if row.get("static", True)) for noun in nouns}


@pytest.mark.parametrize("seed", range(3))
def test_what_random_calls_leave_comes_back(seed, tmp_path):
    monkey, done = Monkey(seed, tmp_path), 0
    with Daemon() as daemon:
        methods = [m for m in daemon.rpc("api.describe") if not m["name"].endswith(".watch")]
        for n in range(1, CALLS + 1):
            name, params = monkey.call(methods)
            response = daemon.connection().request(name, params)
            done += "result" in response
            assert response.get("error", {}).get("code") != -32005, (name, params, response)
            if n % BETWEEN_RESTARTS:
                continue
            before = picture(daemon)
            if monkey.random.random() < 0.5:
                time.sleep(SETTLED_S)
                daemon.kill()
            else:
                daemon.stop()
            daemon.start()
            assert picture(daemon) == before, daemon.log()
    assert done > CALLS / 4
