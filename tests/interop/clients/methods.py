"""Every method of python3-consul against a daemon: methods.py PORT. Prints what is not as Consul has it, then the number
of methods that were called."""

import inspect
import sys
import threading

import consul

c = consul.Consul(port=int(sys.argv[1]))
kept = {}  # what one row leaves for those behind it


def keep(name, value):
    kept[name] = value
    return value


def fails(call, text):
    """Does it fail with this in its message?"""
    try:
        call()
    except consul.base.ConsulException as error:
        return text in str(error)
    return False


def late(change, ask):
    """What `ask` says, which waits until `change` is made a little later."""
    thread = threading.Timer(0.2, change)
    thread.start()
    answer = ask()
    thread.join()
    return answer


TTL = consul.Check.ttl("600s")

# method, call, what it answers: a value, or a function that judges it
SERVED = [
    ("agent.self", lambda: c.agent.self(), lambda own: own["Config"]["NodeName"] == "edge1"),
    ("agent.members", lambda: c.agent.members(), lambda all_: [m["Name"] for m in all_] == ["edge1"]),
    ("agent.service.register", lambda: c.agent.service.register(
        "web", service_id="w1", address="10.1.0.1", port=80, tags=["v1"], check=TTL), True),
    ("agent.service.register", lambda: c.agent.service.register("bare", port=81), True),
    ("agent.services", lambda: c.agent.services(), lambda all_: sorted(all_) == ["bare", "w1"] and all_["w1"]["Port"] == 80),
    ("agent.check.ttl_pass", lambda: c.agent.check.ttl_pass("service:w1", "is well"), True),
    ("agent.checks", lambda: c.agent.checks(), lambda all_: all_["service:w1"]["Output"] == "is well"),
    ("agent.check.ttl_warn", lambda: c.agent.check.ttl_warn("service:w1", "hm"), True),
    ("health.state", lambda: c.health.state("warning")[1], lambda rows: [row["CheckID"] for row in rows] == ["service:w1"]),
    ("agent.check.ttl_fail", lambda: c.agent.check.ttl_fail("service:w1", "is ill"), True),
    ("health.service", lambda: c.health.service("web", passing=True)[1], []),
    ("agent.check.ttl_pass", lambda: c.agent.check.ttl_pass("service:w1"), True),
    ("health.service", lambda: c.health.service("web", passing=True, tag="v1")[1],
     lambda rows: [row["Service"]["ID"] for row in rows] == ["w1"]),
    ("health.checks", lambda: c.health.checks("web")[1], lambda rows: [row["Status"] for row in rows] == ["passing"]),
    ("health.node", lambda: c.health.node("edge1")[1], lambda rows: rows[0]["CheckID"] == "serfHealth" and len(rows) == 2),
    ("health.state", lambda: c.health.state("any")[1], lambda rows: len(rows) == 2),
    ("agent.check.register", lambda: c.agent.check.register("more", check=TTL, check_id="c2", service_id="bare"), True),
    ("agent.check.ttl_pass", lambda: c.agent.check.ttl_pass("c2"), True),
    ("agent.checks", lambda: c.agent.checks()["c2"], lambda check: (check["Name"], check["ServiceID"]) == ("more", "bare")),
    ("agent.check.deregister", lambda: c.agent.check.deregister("c2"), True),
    ("agent.check.deregister", lambda: c.agent.check.deregister("c2"), False),
    ("agent.service.maintenance", lambda: c.agent.service.maintenance("w1", True, "disk"), True),
    ("health.service", lambda: c.health.service("web", passing=True)[1], []),
    ("agent.service.maintenance", lambda: c.agent.service.maintenance("w1", False), True),
    ("agent.maintenance", lambda: c.agent.maintenance(True, "new kernel"), True),
    ("health.node", lambda: c.health.node("edge1")[1], lambda rows: "new kernel" in [row["Notes"] for row in rows]),
    ("health.service", lambda: c.health.service("web", passing=True)[1], []),
    ("agent.maintenance", lambda: c.agent.maintenance(False), True),
    ("health.service", lambda: len(c.health.service("web", passing=True)[1]), 1),
    ("agent.check.register", lambda: c.agent.check.register("disk", check=TTL), True),
    ("agent.check.ttl_pass", lambda: c.agent.check.ttl_pass("disk"), True),
    ("health.node", lambda: c.health.node("edge1")[1], lambda rows: ("disk", "passing") in [
        (row["CheckID"], row["Status"]) for row in rows]),
    ("agent.check.deregister", lambda: c.agent.check.deregister("disk"), True),
    ("health.service", lambda: keep("seen", c.health.service("web")), lambda answer: int(answer[0]) > 0 and len(answer[1]) == 1),
    ("health.service", lambda: late(lambda: consul.Consul(port=c.http.port).agent.check.ttl_fail("service:w1"), lambda: (
        c.health.service("web", index=kept["seen"][0], wait="20s"))), lambda answer: int(answer[0]) > int(kept["seen"][0])),

    ("catalog.register", lambda: c.catalog.register(
        "edge2", "192.0.2.2", service={"Service": "db", "ID": "d1", "Port": 5432, "Tags": ["primary"]}), True),
    ("catalog.nodes", lambda: c.catalog.nodes()[1], lambda rows: [row["Node"] for row in rows] == ["edge1", "edge2"]),
    ("catalog.nodes", lambda: c.catalog.nodes(near="_agent", consistency="stale")[1], lambda rows: rows[0]["Node"] == "edge1"),
    ("catalog.services", lambda: c.catalog.services()[1], {"consul": [], "web": ["v1"], "bare": [], "db": ["primary"]}),
    ("catalog.service", lambda: c.catalog.service("db", tag="primary")[1],
     lambda rows: [(row["Node"], row["ServicePort"]) for row in rows] == [("edge2", 5432)]),
    ("catalog.node", lambda: c.catalog.node("edge2")[1], lambda node: list(node["Services"]) == ["d1"]),
    ("catalog.node", lambda: c.catalog.node("nobody")[1], None),
    ("catalog.datacenters", lambda: c.catalog.datacenters(), ["dc1"]),
    ("catalog.deregister", lambda: c.catalog.deregister("edge2", service_id="d1"), True),
    ("catalog.deregister", lambda: c.catalog.deregister("edge2"), True),
    ("catalog.nodes", lambda: len(c.catalog.nodes()[1]), 1),

    ("kv.get", lambda: c.kv.get("none")[1], None),
    ("kv.put", lambda: c.kv.put("a/b", "one", flags=7), True),
    ("kv.get", lambda: keep("entry", c.kv.get("a/b")[1]), lambda entry: entry["Value"] == b"one" and entry["Flags"] == 7),
    ("kv.put", lambda: c.kv.put("a/b", "two", cas=0), False),
    ("kv.put", lambda: c.kv.put("a/b", "two", cas=kept["entry"]["ModifyIndex"]), True),
    ("kv.put", lambda: c.kv.put("a/c", ""), True),
    ("kv.get", lambda: c.kv.get("a/", recurse=True)[1],
     lambda rows: [(row["Key"], row["Value"]) for row in rows] == [("a/b", b"two"), ("a/c", None)]),
    ("kv.get", lambda: c.kv.get("a", keys=True, separator="/")[1], ["a/"]),
    ("kv.delete", lambda: c.kv.delete("a/b", cas=kept["entry"]["ModifyIndex"]), False),
    ("session.create", lambda: keep("session", c.session.create("mine", ttl=20, lock_delay=0)), lambda id_: len(id_) == 36),
    ("session.create", lambda: keep("other", c.session.create(behavior="delete")), lambda id_: len(id_) == 36),
    ("kv.put", lambda: c.kv.put("lock", "x", acquire=kept["session"]), True),
    ("kv.put", lambda: c.kv.put("lock", "x", acquire=kept["other"]), False),
    ("kv.get", lambda: c.kv.get("lock")[1]["Session"], lambda holder: holder == kept["session"]),
    ("session.renew", lambda: c.session.renew(kept["session"])["ID"], lambda id_: id_ == kept["session"]),
    ("session.info", lambda: c.session.info(kept["session"])[1]["Name"], "mine"),
    ("session.list", lambda: len(c.session.list()[1]), 2),
    ("session.node", lambda: len(c.session.node("edge1")[1]), 2),
    ("kv.put", lambda: c.kv.put("lock", "x", release=kept["session"]), True),
    ("session.destroy", lambda: c.session.destroy(kept["session"]), True),
    ("session.renew", lambda: fails(lambda: c.session.renew(kept["session"]), "not found"), True),
    ("kv.delete", lambda: c.kv.delete("a", recurse=True), True),
    ("kv.get", lambda: c.kv.get("a/c")[1], None),

    ("event.fire", lambda: keep("event", c.event.fire("deploy", "v2", service="we", tag="v")), lambda event: event["Name"] == "deploy"),
    ("event.fire", lambda: c.event.fire("deploy", "v3", node="elsewhere")["NodeFilter"], "elsewhere"),
    ("event.list", lambda: keep("list", c.event.list()), lambda answer: [
        (event["ID"], event["Payload"]) for event in answer[1]] == [(kept["event"]["ID"], b"v2")]),
    ("event.list", lambda: c.event.list("nothing")[1], []),
    ("event.list", lambda: late(lambda: consul.Consul(port=c.http.port).event.fire("now"), lambda: (
        c.event.list(index=kept["list"][0], wait="20s"))), lambda answer: answer[1][-1]["Name"] == "now"),

    ("agent.service.deregister", lambda: c.agent.service.deregister("w1"), True),
    ("agent.service.deregister", lambda: c.agent.service.deregister("w1"), False),
    ("status.leader", lambda: c.status.leader(), "127.0.0.1:8300"),
    ("status.peers", lambda: c.status.peers(), ["127.0.0.1:8300"]),
]

# groups and methods that have no counterpart: each is refused by name
REFUSED = {"acl", "query", "coordinate", "operator", "agent.join", "agent.force_leave"}


def methods_of(thing, prefix=""):
    """The names of all methods of the client, "group.method"."""
    for name, value in inspect.getmembers(thing):
        if name.startswith("_") or name in ("agent", "http") and prefix:
            continue
        if inspect.ismethod(value) and prefix:
            yield prefix + name
        elif type(value).__module__ == "consul.base" and name not in ("http",):
            yield from methods_of(value, f"{prefix}{name}.")


def arguments(method):
    """As many as it needs."""
    parameters = inspect.signature(method).parameters.values()
    return ["x" for parameter in parameters if parameter.default is parameter.empty]


def refused():
    """Those of the client that must be refused, each called."""
    for name in sorted(set(methods_of(c))):
        if name in REFUSED or name.split(".")[0] in REFUSED:
            method = c
            for part in name.split("."):
                method = getattr(method, part)
            yield name, (lambda method=method: fails(lambda: method(*arguments(method)), "not served by Sluice")), True


def main():
    called = set()
    for name, call, expected in [*SERVED, *refused()]:
        called.add(name)
        try:
            answer = call()
            good = expected(answer) if callable(expected) else answer == expected
        except Exception as error:  # whatever the client raises is what its user would see
            answer, good = repr(error), False
        if not good:
            print(f"{name}: {answer}")
    for name in sorted(set(methods_of(c)) - called):
        print(f"{name}: was not called")
    print(f"{len(called)} methods")


main()
