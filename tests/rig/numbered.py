"""Numbered traffic between containers, which says what was lost: datagrams, a TCP connection, and requests to a vip."""

import selectors
import socket
import threading
import time

VIP_PORT, UDP_PORT, TCP_PORT = 5000, 5001, 5002
EVERY_S, ASK_EVERY_S, GRACE_S = 0.02, 0.05, 1.5


class Flow:
    """Numbers from one container to another, by UDP and by TCP."""

    def __init__(self, source, target, listener):
        self.ends = frozenset((source.number, target.number))
        self.target = (target.ip, UDP_PORT)
        self.out = source.socket(kind=socket.SOCK_DGRAM)
        self.out.bind(("", 0))
        self.port = self.out.getsockname()[1]
        self.source_ip = source.ip
        self.near = source.socket()
        self.near.settimeout(10)
        self.near.connect((target.ip, TCP_PORT))
        self.far, _ = listener.accept()
        for sock in (self.out, self.near, self.far):
            sock.setblocking(False)
        self.begin()

    def begin(self):
        """A new count."""
        self.sent, self.come, self.broken = 0, set(), False
        self.first = getattr(self, "next", 0)
        self.next = self.first
        self.udp_still = self.tcp_still = 0
        self.udp_at = self.tcp_at = time.monotonic()

    def send(self):
        number = self.next.to_bytes(8, "big")
        self.next += 1
        try:
            self.out.sendto(number, self.target)
        except OSError:
            pass  # counted as what does not come
        try:
            if not self.broken:
                self.near.send(number)
        except BlockingIOError:
            pass  # it waits for what was sent before
        except OSError:
            self.broken = True

    def came(self, data):
        now = time.monotonic()
        self.come.add(int.from_bytes(data, "big"))
        self.udp_still, self.udp_at = max(self.udp_still, now - self.udp_at), now

    def read(self):
        now = time.monotonic()
        try:
            data = self.far.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.broken = True
            return
        self.tcp_still, self.tcp_at = max(self.tcp_still, now - self.tcp_at), now

    def lost(self):
        return sum(number not in self.come for number in range(self.first, self.next))


class Load(threading.Thread):
    """
    From each container to the two after it, and from each to the vip, on one thread. A container has a `number`, which says
    whose it is.
    """

    def __init__(self, containers, vip):
        super().__init__(daemon=True)
        self.vip = vip
        self.containers, self.flows, self.ends = containers, [], threading.Event()
        self.lock, self.sending = threading.Lock(), True
        self.poll = selectors.DefaultSelector()
        self.asks = {}
        self.late = 0  # the longest that this thread was kept from sending
        listeners, self.by_source = {}, {}
        for c in containers:
            listeners[c] = c.socket()
            listeners[c].bind(("", TCP_PORT))
            listeners[c].listen(16)
            for port, serve in ((UDP_PORT, self.take), (VIP_PORT, self.answer)):
                sock = c.socket(kind=socket.SOCK_DGRAM)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                sock.bind(("", port))
                sock.setblocking(False)
                self.poll.register(sock, selectors.EVENT_READ, serve)
        count = len(containers)
        for i, source in enumerate(containers):
            for step in (1, 2):
                target = containers[(i + step) % count]
                if target is source:
                    continue
                flow = Flow(source, target, listeners[target])
                self.flows.append(flow)
                self.by_source[flow.source_ip, flow.port] = flow
                self.poll.register(flow.far, selectors.EVENT_READ, lambda sock, flow=flow: self.hear(flow))
        self.asked, self.unanswered = {c: 0 for c in containers}, {c: 0 for c in containers}

    def hear(self, flow):
        flow.read()
        if flow.broken:
            self.poll.unregister(flow.far)

    def take(self, sock):
        data, peer = sock.recvfrom(64)
        if peer in self.by_source:
            self.by_source[peer].came(data)

    @staticmethod
    def answer(sock):
        data, peer = sock.recvfrom(64)
        sock.sendto(data, peer)

    def ask(self, container):
        container.enter()
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.setblocking(False)
        self.asks[sock] = (container, time.monotonic())
        self.asked[container] += 1
        self.poll.register(sock, selectors.EVENT_READ, self.answered)
        try:
            sock.sendto(b"?", (self.vip, VIP_PORT))
        except OSError:
            pass

    def answered(self, sock):
        sock.recv(64)
        self.close_ask(sock)

    def close_ask(self, sock):
        self.poll.unregister(sock)
        del self.asks[sock]
        sock.close()

    def turn(self, now):
        for key, _ in self.poll.select(max(0, now + EVERY_S / 4 - time.monotonic())):
            try:
                key.data(key.fileobj)
            except OSError:
                pass
        for sock, (container, since) in list(self.asks.items()):
            if now - since <= GRACE_S:
                break  # the others are younger
            self.unanswered[container] += 1
            self.close_ask(sock)

    def run(self):
        next_send = next_ask = time.monotonic()
        while not self.ends.is_set():
            now = time.monotonic()
            with self.lock:
                if not self.sending:
                    next_send = next_ask = now
                if self.sending and now >= next_send:
                    self.late, next_send = max(self.late, now - next_send), max(next_send + EVERY_S, now)
                    for flow in self.flows:
                        flow.send()
                if self.sending and now >= next_ask:
                    next_ask = max(next_ask + ASK_EVERY_S, now)
                    for container in self.containers:
                        self.ask(container)
                self.turn(now)

    def begin(self):
        with self.lock:
            for flow in self.flows:
                flow.begin()
            for counts in (self.asked, self.unanswered):
                counts.update(dict.fromkeys(counts, 0))
            self.sending, self.late = True, 0

    def pause(self):
        """Nothing more is sent, and what is on its way comes."""
        with self.lock:
            self.sending = False
        time.sleep(GRACE_S * 2)

    def close(self):
        self.ends.set()
        self.join()
        for sock in list(self.asks):
            self.close_ask(sock)
        for key in list(self.poll.get_map().values()):
            key.fileobj.close()
        for flow in self.flows:
            flow.out.close()
            flow.near.close()
            flow.far.close()
        self.poll.close()
