"""A network "web" with a client, servers, and services on one vip: of IPv4, or of IPv6."""

import pytest

from rig import wait

VIP, VIP6 = "10.1.0.100", "fd00:1::100"
SUBNET = {4: ("10.1.0.0/24", "10.1.0.{}"), 6: ("fd00:1::/64", "fd00:1::{}")}

# of a test whose fixture "web" makes a web_of(): once over each family
both_families = pytest.mark.parametrize("web", [4, 6], indirect=True, ids=["ip4", "ip6"])


def family_wanted(request):
    """What both_families asks the fixture for."""
    return getattr(request, "param", 4)


def web_of(sluiced, container, count=3, version=4):
    """The daemon, a client and `count` containers for backends; `vip` of each is the services'."""
    subnet, address = SUBNET[version]
    sluiced.rpc("network.add", name="web", mode="bridge", subnet=subnet, gateway=address.format(1))
    client, *servers = [container(sluiced, "web", name, address.format(host)) for name, host in
                        [("client", 5)] + [(f"s{i}", 10 + i) for i in range(1, count + 1)]]
    for each in (client, *servers):
        each.vip = VIP6 if version == 6 else VIP
    return sluiced, client, servers


def add_service(sluiced, servers, name="api", port=80, protocol="tcp", to=8080, **fields):
    sluiced.rpc("service.add", name=name, network="web", vip=servers[0].vip, port=port, protocol=protocol, **fields)
    for server in servers:
        sluiced.rpc("backend.add", service=name, address=server.ip, port=to)


def backend(sluiced, server, service="api"):
    return next(row for row in sluiced.rpc("service.show", name=service)["backends"] if row["address"] == server.ip)


def wait_health(sluiced, server, health, service="api"):
    wait.until(lambda: backend(sluiced, server, service)["health"] == health, f"{server.ip} {health}")
