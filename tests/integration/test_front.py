"""
Whatever happens to the guest of one vhost-user port, at whatever moment, two others that talk to each other beside it
lose nothing, and its port carries frames again afterwards. The moments and their order follow from a seed.
"""

import os
import random
import time

import pytest

from rig import wait
from rig.front import EVENT_IDX, INDIRECT_DESC, MQ, MRG_RXBUF, RING_PACKED, VERSION_1, Front

pytestmark = pytest.mark.alone

A, B, SUBJECT = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
ROUNDS = 2 if os.environ.get("SLUICE_SANITIZED") else 4  # times that each thing happens


class Beside:
    """A daemon with two guests that talk the whole time, and a third that things happen to."""

    def __init__(self, stack, sluiced, mode, seed):
        self.sluiced, self.rng = sluiced, random.Random(seed)
        self._stack, self._listen = stack, mode == "client"
        sluiced.rpc("network.add", name="web", mode="bridge")
        paths = {name: sluiced.vhost / f"{name}.sock" for name in ("a", "b", "subject")}
        for name, path in paths.items():
            offers = {"queues": 2, "ring": "packed"} if name == "subject" else {}
            sluiced.rpc("port.add", name=name, network="web", type="vhost-user", socket=str(path), mode=mode, ips=[],
                        **offers)
        self._subject_args = ("subject", paths["subject"], SUBJECT, A)
        self.steady = stack.enter_context(Front("steady", paths["a"], A, paths["b"], B, SUBJECT, listen=self._listen))
        self.received = self.steady.do("report")["received"]  # answered when both are connected
        self.silent = False
        self.start_subject()

    def shape(self, pairs=None):
        """What some guest chooses."""
        features = VERSION_1 | MQ
        for feature in (MRG_RXBUF, INDIRECT_DESC, EVENT_IDX, RING_PACKED):
            features |= feature * self.rng.randint(0, 1)
        buffer = self.rng.choice((256, 1536, 4096)) if features & MRG_RXBUF else 1536
        return (f"ring={self.rng.choice((64, 256, 1024))} buffer={buffer} pairs={pairs or self.rng.randint(1, 2)} "
                f"features={features:x}{self.rng.choice(('', ' slots'))}")

    def start_subject(self):
        self.subject = self._stack.enter_context(Front(*self._subject_args, listen=self._listen))
        self.subject.do(f"connect {self.shape()}")

    def some_time(self):
        time.sleep(self.rng.uniform(0, 0.02))  # any moment is as good as any other

    def check(self):
        """The subject's port carries frames, and nobody has anything to complain about."""
        self.subject.do("check 100")
        report = self.subject.do("report")
        assert not any(report.values()), f"the subject: {report}"
        self.check_steady(self.steady.do("report"))

    def check_steady(self, report):
        """Nothing went wrong, and they go on: if not in this moment, then soon."""
        received = self.all_well(report)
        if not self.silent:
            wait.until(lambda: received > self.received or self.all_well(self.steady.do("report")) > self.received, "they go on")
        self.received = received

    def all_well(self, report):
        received = report.pop("received")
        assert report.pop("under_way") <= 64
        assert not any(report.values()), f"the steady ones: {report}"
        return received

    def wait_full(self):
        full = self.sluiced.drops("ring-full", "subject")
        wait.until(lambda: self.sluiced.drops("ring-full", "subject") > full, "the subject's ring is full")

    def silence(self):
        """The steady ones still answer, but no longer keep the switch awake."""
        self.check_steady(self.steady.do("finish"))
        self.silent = True

    # What happens to the subject.

    def killed(self):
        self.subject.kill()
        self.start_subject()

    def killed_at_the_door(self):
        """In the middle of a handshake, wherever it is then."""
        self.subject.do("hang-up")
        self.subject.send(f"connect {self.shape()}")
        time.sleep(self.rng.uniform(0, 0.004))
        self.killed()

    def killed_while_it_boots(self):
        self.subject.send(f"reboot {self.shape()}")
        time.sleep(self.rng.uniform(0, 0.004))
        self.killed()

    def hung_while_it_boots(self):
        self.subject.send(f"reboot {self.shape()}")
        time.sleep(self.rng.uniform(0, 0.004))
        self.subject.hang()
        self.some_time()
        self.check_steady(self.steady.do("report"))
        self.subject.go_on()
        self.subject.answer()

    def hung(self):
        self.subject.hang()
        self.wait_full()
        self.subject.go_on()

    def killed_while_hung(self):
        self.subject.hang()
        self.wait_full()
        self.killed()

    def hung_up(self):
        self.subject.do("hang-up")
        self.some_time()
        self.subject.do(f"connect {self.shape()}")

    def stopped(self):
        self.subject.do("stop")
        self.some_time()
        self.subject.do(f"connect {self.shape()}")

    def disabled(self):
        self.subject.do("disable 0")
        assert self.sluiced.port("subject")["state"] == "down"
        self.some_time()
        self.subject.do("enable 0")
        assert self.sluiced.port("subject")["state"] == "up"

    def second_pair_disabled(self):
        self.subject.do(f"reboot {self.shape(pairs=2)}")
        self.subject.do("disable 1")
        assert self.sluiced.port("subject")["state"] == "up"
        self.some_time()
        self.subject.do("enable 1")

    def halted(self):
        for _ in range(10):  # workers are in the middle of a ring now and then
            self.subject.do("halt")
            assert self.sluiced.port("subject")["state"] == "down"
            self.some_time()
            self.subject.do("go-on")
            assert self.sluiced.port("subject")["state"] == "up"
            self.some_time()

    def grown(self):
        self.subject.do(f"reboot {self.shape()}")
        self.some_time()
        self.subject.do("grow")

    def rebooted(self):
        self.subject.do(f"reboot {self.shape()}")

    def reset_by_owner(self):
        self.subject.do(f"reset-owner {self.shape()}")


EVENTS = [Beside.killed, Beside.killed_at_the_door, Beside.killed_while_it_boots, Beside.hung, Beside.killed_while_hung,
          Beside.hung_while_it_boots, Beside.hung_up, Beside.stopped, Beside.disabled, Beside.second_pair_disabled,
          Beside.halted, Beside.grown, Beside.rebooted, Beside.reset_by_owner]


@pytest.mark.parametrize("mode,cores,seed", [("server", [1], 20), ("client", [0, 1], 21)])
def test_a_guest_that_anything_happens_to_harms_nobody_and_comes_back(start_sluiced, stack, mode, cores, seed):
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs cores 0 and 1")
    world = Beside(stack, start_sluiced({"dataplane": {"cores": cores}}), mode, seed)
    world.check()
    deck = EVENTS * ROUNDS
    world.rng.shuffle(deck)
    for number, event in enumerate(deck):
        print(f"{number}: {event.__name__}")
        world.some_time()
        event(world)
        world.check()
    world.silence()
    drops = world.sluiced.rpc("stats.drops")
    assert {row["port"] for row in drops} == {"subject"}, drops


def test_a_guest_comes_back_in_a_switch_that_sleeps(sluiced, stack):
    world = Beside(stack, sluiced, "server", seed=23)
    world.silence()
    for event in (Beside.halted, Beside.disabled, Beside.rebooted, Beside.reset_by_owner, Beside.grown, Beside.hung_up):
        world.subject.do("pause")
        wait.until(lambda: {worker["state"] for worker in sluiced.rpc("stats.workers")} == {"asleep"}, "it sleeps")
        event(world)
        world.subject.do("go")
        world.check()


@pytest.mark.parametrize("mode", ["server", "client"])
def test_ports_and_their_guests_are_there_again_after_the_switch_was_killed(sluiced, stack, mode):
    world = Beside(stack, sluiced, mode, seed=22)

    def ports():
        rows = [sluiced.rpc("port.show", name=name) for name in ("a", "b", "subject")]
        # what is counted begins anew; what was set must be as it was
        return [{key: value for key, value in row.items()
                 if not key.startswith(("rx_", "tx_")) and not key.endswith(("_drops", "_left_out"))
                 and key not in ("macs", "throttled", "spoofed")} for row in rows]

    before = ports()
    sluiced.wait_kept("a", "b", "subject")
    for _ in range(ROUNDS // 2):
        world.check()
        world.some_time()
        sluiced.kill()
        sluiced.start()
        world.steady.do("again")
        world.subject.do("again")
        world.check()
        assert ports() == before


def test_a_switch_that_was_killed_meets_all_its_peers_again(sluiced, stack):
    folder = sluiced.dir / "peers"
    folder.mkdir()
    sluiced.rpc("network.add", name="web", mode="bridge")
    names = [f"p{i}" for i in range(32)]
    for i, name in enumerate(names):
        sluiced.rpc("port.add", name=name, network="web", type="vhost-user", mode="client", ips=[],
                    socket=str(folder / f"{i}.sock"))
    peers = stack.enter_context(Front("listeners", folder, len(names)))
    peers.answer()

    def all_up():
        return {port["name"] for port in sluiced.rpc("port.list") if port["state"] == "up"} == set(names)

    wait.until(all_up, "every peer is met where it has appeared")
    sluiced.wait_kept(*names)
    sluiced.kill()
    begun = time.monotonic()
    sluiced.start()
    ready = time.monotonic()
    wait.until(all_up, "every peer is met again", interval_s=0.002)
    up = time.monotonic()
    print(f"{len(names)} ports up {1000 * (up - ready):.0f} ms after the switch answers, {1000 * (up - begun):.0f} ms after "
          "its start")
