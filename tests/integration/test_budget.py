"""A container that makes its worker wait: what that costs is its own, its neighbours lose nothing."""

import pytest

from rig import traffic, wait

RULES = 20000
BURST = 300


def slow_down(container, path):
    """As many netfilter rules as make each packet cost the kernel, and so whoever delivers it, some 100 us."""
    rules = "\n".join(f"add rule inet slow in ip saddr 192.0.2.{n % 250 + 1} udp dport {n % 60000 + 1} drop"
                      for n in range(RULES))
    path.write_text("table inet slow { chain in { type filter hook prerouting priority -300 ; }\n}\n" + rules)
    done = container.run("nft", "-f", path, check=False)
    if done.returncode:
        pytest.skip(f"nft: {done.stderr.strip().splitlines()[:1]}")


def blast(sock, peer, n=BURST):
    for _ in range(n):
        try:
            sock.sendto(b"x" * 40, (peer.ip, 9))
        except OSError:
            pass  # its interface's queue is full


@pytest.fixture
def neighbours(pair, container, requires, tmp_path):
    requires("nft")
    sluiced, c1, c2 = pair
    slow, sender = container(sluiced, "web", "slow", "10.1.0.13"), container(sluiced, "web", "sender", "10.1.0.14")
    traffic.wait_ping(sender, slow.ip)
    traffic.wait_ping(c1, c2.ip)
    slow_down(slow, tmp_path / "rules")
    return sluiced, c1, c2, slow, sender


def test_a_container_with_a_slow_kernel_loses_what_others_would_wait_for(neighbours):
    sluiced, c1, c2, slow, sender = neighbours
    with sender.socket(kind=traffic.socket.SOCK_DGRAM) as sock:

        def dropped():
            blast(sock, slow)
            assert traffic.ping(c1, c2.ip, 2, interval_s=0.01) == 2
            return sluiced.drops("budget", "slow") > 0

        wait.until(dropped, "what is for the slow container is dropped", interval_s=0)
        for _ in range(10):
            blast(sock, slow)
            assert traffic.ping(c1, c2.ip, 5, interval_s=0.01) == 5
    assert sluiced.port("slow")["throttled"] > 0
    assert sluiced.port("slow")["tx_drops"] >= sluiced.drops("budget", "slow")
    for innocent in ("c1", "c2", "sender"):
        assert sluiced.port(innocent)["throttled"] == 0
        assert sluiced.drops("budget", innocent) == 0
    slow.run("nft", "delete", "table", "inet", "slow")
    traffic.wait_ping(c1, slow.ip)  # it has paid
