"""Networks on a host whose FORWARD drops by Docker's doing: let pass by DOCKER-USER, which Docker leaves to others."""

import pytest

from rig import traffic, wait
from rig.container import Container
from rig.router import HOST, WORLD


@pytest.fixture
def lan(router, requires):
    """What dockerd does where it was the one that made the host forward, and a network beside it."""
    requires("iptables-nft")
    for words in ("-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -i other0 -j ACCEPT", "-A DOCKER-USER -j RETURN",
                  "-I FORWARD -j DOCKER-USER"):
        router.host.run("iptables-nft", *words.split())
    router.daemon.rpc("network.add", name="lan", mode="host", subnet="10.1.0.0/24", gateway="10.1.0.1", egress="masquerade")
    return router


def rules(router):
    """The chain, as iptables itself reads it."""
    return [line.removeprefix("-A DOCKER-USER ") for line in
            router.host.run("iptables-nft", "-S", "DOCKER-USER").stdout.splitlines()[1:]]


OURS = ["-o sl-lan -j ACCEPT", "-i sl-lan -j ACCEPT"]
THEIRS = ["-i other0 -j ACCEPT", "-j RETURN"]


def test_the_way_out_and_the_way_in(lan, stack):
    with Container(lan.daemon, "lan", "c1", "10.1.0.11") as c1:
        stack.enter_context(traffic.tcp_server(c1, 80))
        traffic.wait_ping(c1, WORLD)
        lan.daemon.rpc("publish.add", name="p1", port=8080, protocol="tcp", to="10.1.0.11:80")
        with traffic.EchoClient(lan.world, HOST, 8080) as connection:
            connection.echo()
        assert rules(lan) == OURS + THEIRS  # once, however often the network's rules change
        lan.daemon.rpc("network.set", name="lan", egress="none")
        with traffic.EchoClient(lan.world, HOST, 8080) as connection:
            connection.echo()
        lan.daemon.rpc("publish.del", name="p1")
        assert rules(lan) == THEIRS


def test_what_is_left_to_the_host_is_left_to_its_rules(lan):
    lan.daemon.rpc("network.set", name="lan", egress="host")
    assert rules(lan) == THEIRS
    lan.daemon.rpc("network.set", name="lan", egress="masquerade")
    assert rules(lan) == OURS + THEIRS
    lan.daemon.rpc("network.del", name="lan")
    assert rules(lan) == THEIRS


def test_a_rule_of_the_users_that_says_the_opposite_is_his(lan):
    lan.host.run("nft", "insert", "rule", "ip", "filter", "DOCKER-USER", "oifname", "!=", "sl-lan", "accept")
    lan.daemon.rpc("network.del", name="lan")
    assert rules(lan) == ["! -o sl-lan -j ACCEPT", *THEIRS]


def test_a_daemon_that_is_killed_leaves_them_to_the_next(lan):
    lan.daemon.wait_kept("lan")
    lan.daemon.kill()
    assert rules(lan) == OURS + THEIRS
    (lan.daemon.state / "state.log").unlink()
    lan.daemon.start()
    wait.until(lambda: rules(lan) == THEIRS, "they are swept")
