"""
Bad values for every field of every method, made from what api.describe says: each is refused by number, the message
names the field, and nothing has changed afterwards.
"""

import pytest

from rig.daemon import Daemon

INVALID, UNKNOWN_METHOD = -32602, -32601
LISTS = ("network.list", "port.list", "uplink.list", "vtep.list", "fdb.list", "service.list", "backend.list")

# A value that a field of this type takes; what a required field gets while another one is wrong.
GOOD = {"string": "text", "name": "web", "service": "web", "integer": None, "quantity": "1M", "boolean": True, "enum": None, "ip4": "10.1.0.9", "ip": "10.1.0.9", "cidr": "10.9.0.0/24",
        "cidr4": "10.9.0.0/24", "addr": "192.0.2.1/24", "mac": "02:00:00:00:00:99", "path": "/tmp/x",
        "hostport": "10.1.0.9:80", "list": [], "object": {}, "map": {}}

# Values of another type, or malformed, by type.
BAD = {
    "string": [7, None, [], "with\nnewline"],
    "service": [7, "", "a" * 256, "with\nnewline"],
    "name": [7, "", "Upper", "-dash", "a" * 64, "sp ace", "b\u00e4r"],
    "integer": ["7", 1.5, True, None, [], {}],
    "quantity": ["", "fast", "1T", "1 M", "-1", "1.G", "1.5", ".5K", "1e6", "9999999999G", -1, 1.5, True, None, []],
    "boolean": ["true", 1, None],
    "enum": ["nonsense", 1, None, ""],
    "ip4": ["10.1.0", "10.1.0.256", "::1", "10.1.0.1/24", 10, None, ""],
    "ip": ["10.1.0", "10.1.0.256", "fe80::1%eth0", "[::1]", "::1/128", "1::2::3", "web", 10, None, ""],
    "cidr": ["10.1.0.0", "fd00::", "10.1.0.1/24", "fd00::1/64", "10.1.0.0/33", "fd00::/129", "fd00::/", "::1/1x", "fe80::%1/64", 5, None],
    "cidr4": ["10.1.0.0", "10.1.0.1/24", "10.1.0.0/33", "10.1.0.0/", 5, None],
    "addr": ["192.0.2.1", "192.0.2.1/33", "192.0.2/24", "fd00::1", "fd00::1/129", 5, None],
    "mac": ["02:00:00:00:00", "01:00:00:00:00:01", "00:00:00:00:00:00", "zz:00:00:00:00:01", 5, None],
    "path": ["relative/path", 7, None],
    "hostport": ["10.1.0.9", "10.1.0.9:0", "10.1.0.9:65536", "host:80", 80, None],
    "list": ["text", 7, {}, None],
    "object": ["text", 7, [], None],
    "map": ["text", 7, [], None, {"": "x"}, {"sp ace": "x"}, {"-a": "x"}, {"k" * 128: "x"}, {"a": 1}, {"a": None},
            {"a": {}}, {"a": "x" * 256}, {"a": "with\nnewline"}],
}


@pytest.fixture(scope="module")
def daemon():
    config = {"networks": [{"name": "web", "mode": "overlay", "vni": 7, "subnet": "10.1.0.0/24"}],
              "ports": [{"name": "n1", "network": "web", "type": "null"}],
              "services": [{"name": "api", "network": "web", "vip": "10.1.0.100", "port": 80, "protocol": "tcp"}],
              "backends": [{"service": "api", "address": "10.1.0.9", "port": 80}]}
    with Daemon(config) as running:
        yield running


def snapshot(daemon):
    """Everything that a method could have changed; ages and counters left out."""
    moving = {"age_s", "rx_packets", "rx_bytes", "tx_packets", "tx_bytes"}
    lists = {name: daemon.rpc(name) for name in LISTS}
    return {name: [{k: v for k, v in row.items() if k not in moving} for row in rows] for name, rows in lists.items()}


def good(field):
    if field["type"] == "integer":
        return max(field["min"], 1)
    if field["type"] == "enum":
        return field["choices"][0]
    return GOOD[field["type"]]


def required(fields):
    return {f["name"]: good(f) for f in fields if f["required"]}


def bad_values(field):
    """(what, value) of each kind of wrong value for the field."""
    for value in BAD[field["type"]]:
        yield "mistyped", value
    low, high = field.get("min"), field.get("max")
    if field["type"] == "integer":
        yield "too small", low - 1
        yield "too large", high + 1
        yield "far too large", 2**62
    elif field["type"] in ("string", "path") and high is not None:
        yield "too long", "/" + "x" * high
        if low:
            yield "too short", ""
    elif field["type"] == "map":
        yield "too many", {str(number): "x" for number in range(high + 1)}
    elif field["type"] == "list":
        yield "too many", list(range(high + 1))
        item = field["item"]
        if item in BAD:
            yield "wrong element", [BAD[item][0]]
        if item in ("ip4", "ip", "name", "string"):
            yield "twice", [GOOD[item], GOOD[item]]


def cases(fields, around, path=""):
    """(what, params, name of the wrong field) for the fields and those inside them; `around` wraps a field's value."""
    base = required(fields)
    yield "unknown", around({**base, "no_such_field": 1}), f"{path}no_such_field"
    for field in fields:
        name = field["name"]
        if field["required"]:
            yield "missing", around({k: v for k, v in base.items() if k != name}), f"{path}{name}"
        for what, value in bad_values(field):
            yield what, around({**base, name: value}), f"{path}{name}"
        if field["type"] == "object":
            inner = lambda value, name=name: around({**base, name: value})  # noqa: E731
            yield from cases(field["fields"], inner, f"{path}{name}.")


def test_every_field_of_every_method(daemon):
    before, count, wrong = snapshot(daemon), 0, []
    for method in daemon.rpc("api.describe"):
        for what, params, name in cases(method["fields"], lambda value: value):
            count += 1
            error = daemon.connection().request(method["name"], params).get("error")
            if not error or error["code"] != INVALID or not error["message"].startswith(name):
                wrong.append((method["name"], what, params, name, error or "was accepted"))
            elif "\n" in error["message"]:
                wrong.append((method["name"], what, params, name, "more than one line"))
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:10]}"
    assert count > 500
    assert snapshot(daemon) == before


def test_what_cannot_change_is_told(daemon):
    """A key that only `.add` takes is not called unknown by `.set`: the line names it, and what can be changed."""
    methods = {method["name"]: method["fields"] for method in daemon.rpc("api.describe")}
    refused = []
    for name, fields in methods.items():
        noun, _, verb = name.rpartition(".")
        if verb != "set":
            continue
        known = {field["name"] for field in fields}
        changes = ", ".join(field["name"] for field in fields
                            if not field["required"] and field["name"] != "scope")  # says which object, and changes none
        for field in methods[f"{noun}.add"]:
            if field["name"] in known:
                continue
            error = daemon.connection().request(name, {**required(fields), field["name"]: good(field)})["error"]
            assert (error["code"], error["message"]) == (
                INVALID, f"{field['name']}: fixed since {noun}.add; {name} changes {changes}")
            refused.append(f"{name} {field['name']}")
    assert {"network.set gateway", "port.set network", "uplink.set address", "backend.set id"} <= set(refused)


@pytest.mark.parametrize("params", [[], "text", 7, True])
def test_params_must_be_an_object(daemon, params):
    for method in ("network.add", "network.list"):
        error = daemon.connection().request(method, params if params else [1]).get("error")
        assert error and error["code"] == INVALID, error


def test_unknown_method(daemon):
    error = daemon.connection().request("network.frobnicate").get("error")
    assert error["code"] == UNKNOWN_METHOD
