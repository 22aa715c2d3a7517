"""A network "web" with a client, servers, and services on one vip."""

from rig import wait

VIP = "10.1.0.100"


def web_of(sluiced, container, count=3):
    """The daemon, a client and `count` containers for backends."""
    sluiced.rpc("network.add", name="web", mode="bridge", subnet="10.1.0.0/24", gateway="10.1.0.1")
    client = container(sluiced, "web", "client", "10.1.0.5")
    return sluiced, client, [container(sluiced, "web", f"s{i}", f"10.1.0.1{i}") for i in range(1, count + 1)]


def add_service(sluiced, servers, name="api", port=80, protocol="tcp", to=8080, **fields):
    sluiced.rpc("service.add", name=name, network="web", vip=VIP, port=port, protocol=protocol, **fields)
    for server in servers:
        sluiced.rpc("backend.add", service=name, address=server.ip, port=to)


def backend(sluiced, server, service="api"):
    return next(row for row in sluiced.rpc("service.show", name=service)["backends"] if row["address"] == server.ip)


def wait_health(sluiced, server, health, service="api"):
    wait.until(lambda: backend(sluiced, server, service)["health"] == health, f"{server.ip} {health}")
