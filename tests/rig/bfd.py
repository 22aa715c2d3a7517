"""BFD (RFC 5880) as other hosts speak it, packet by packet: hosts that live, fall silent, lie and flood."""

import itertools
import socket
import struct
import threading
import time

PORT, ROUTED = 3784, 4784
ADMIN_DOWN, DOWN, INIT, UP = range(4)
_source = itertools.count(50000)


def packet(state=DOWN, mine=1, yours=0, multiplier=3, min_tx_us=100_000, min_rx_us=100_000, diag=0, poll=False, final=False,
           version=1, flags=0, length=24):
    """A control packet; the defaults are what a host says that begins."""
    bits = state << 6 | poll << 5 | final << 4 | flags
    return struct.pack("!BBBBIIIII", version << 5 | diag, bits, multiplier, length, mine, yours, min_tx_us, min_rx_us, 0)


def read(data):
    first, bits, multiplier, _, mine, yours, min_tx_us, min_rx_us, _ = struct.unpack("!BBBBIIIII", data[:24])
    return {"diag": first & 31, "state": bits >> 6, "poll": bool(bits & 32), "final": bool(bits & 16), "multiplier": multiplier,
            "mine": mine, "yours": yours, "min_tx_us": min_tx_us, "min_rx_us": min_rx_us}


def sender(ns, address, ttl=255):
    """A socket of the namespace that sends BFD from `address`."""
    sock = ns.socket(kind=socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    sock.bind((address, next(_source)))
    return sock


class Speakers:
    """
    Hosts at `addresses` of one namespace, each of which keeps a session with the switch. `silent` has those that say
    nothing just now. Runs on a thread until the end of the `with`.
    """

    def __init__(self, ns, switch, addresses, interval_ms=100, multiplier=20):
        self.switch, self.silent, self.heard = switch, set(), {}
        self.every_s, self.fields = interval_ms / 1000, {"multiplier": multiplier, "min_tx_us": interval_ms * 1000,
                                                         "min_rx_us": interval_ms * 1000}
        self.hosts = {address: {"state": DOWN, "mine": 0x1000 + i, "yours": 0, "out": sender(ns, address)}
                      for i, address in enumerate(addresses)}
        self._in = ns.socket(kind=socket.SOCK_DGRAM)
        self._in.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        self._in.settimeout(0.02)
        self._in.bind(("", PORT))
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()
        for host in self.hosts.values():
            host["out"].close()
        self._in.close()

    def _run(self):
        due = 0.0
        while not self._ends.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + self.every_s * 0.9
                for address in self.hosts:
                    self._say(address)
            try:
                data, ancillary, _, _ = self._in.recvmsg(100, 100)
            except TimeoutError:
                continue
            to = socket.inet_ntoa(ancillary[0][2][8:12])
            if to in self.hosts and to not in self.silent:
                self._take(to, read(data))

    def _take(self, address, said):
        host = self.hosts[address]
        self.heard[address] = said
        before, host["yours"] = host["state"], said["mine"]
        if said["state"] == ADMIN_DOWN or (said["state"] == DOWN and before == UP):
            host["state"] = DOWN
        elif said["state"] == DOWN and before == DOWN:
            host["state"] = INIT
        elif said["state"] >= INIT:
            host["state"] = UP if before != DOWN or said["state"] == INIT else DOWN
        if said["poll"] or host["state"] != before:
            self._say(address, final=said["poll"])

    def _say(self, address, **fields):
        host = self.hosts[address]
        if address not in self.silent:
            host["out"].sendto(packet(host["state"], host["mine"], host["yours"], **self.fields, **fields), (self.switch, PORT))

    def silence(self, *addresses):
        """They are dead: they say and hear nothing, and know nothing any more when they are back."""
        self.silent = set(addresses)
        for address in addresses:
            self.hosts[address].update(state=DOWN, yours=0)
