"""
ICMP echo of either family, counted exactly. ping(8) gives up two round trips after its last request once it has had an answer, so on a
busy machine it calls late answers lost; this waits for each.
"""

import os
import select
import socket
import struct
import time

from rig.frames import checksum

REQUEST, REPLY, IP_HEADER = 8, 0, 20
REQUEST6, REPLY6 = 128, 129
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


def ping(ns, address, count, interval_s, patience_s, size):
    """Sends `count` requests of `size` bytes, not to be fragmented, from the namespace (None: the host); returns how many
    replies came with what was sent."""
    six = ":" in address

    def open_socket():
        if six:
            return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    ident, payload = os.urandom(2), os.urandom(size)
    seen = set()
    with (ns.do(open_socket) if ns else open_socket()) as sock:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        for sequence in range(count):
            _send(sock, address, ident, sequence, payload)
            _collect(sock, address, ident, payload, seen, count, interval_s if sequence + 1 < count else patience_s)
    return len(seen)


def _send(sock, address, ident, sequence, payload):
    rest = ident + struct.pack("!H", sequence) + payload
    if ":" in address:  # the kernel sums it up
        request = struct.pack("!BBH", REQUEST6, 0, 0) + rest
    else:
        request = struct.pack("!BBH", REQUEST, 0, checksum(struct.pack("!BBH", REQUEST, 0, 0) + rest)) + rest
    try:
        sock.sendto(request, (address, 0))
    except OSError:
        pass  # no route, or no neighbour any more: no reply either


def _collect(sock, address, ident, payload, seen, count, seconds):
    """Adds the sequence numbers of the replies that come in, until all are there or the time is over."""
    deadline = time.monotonic() + seconds
    while len(seen) < count and (left := deadline - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return
        packet, (source, *_) = sock.recvfrom(65536)
        six = ":" in address  # without its header
        icmp = packet if six else packet[IP_HEADER:]
        if source == address and icmp[0] == (REPLY6 if six else REPLY) and icmp[4:6] == ident and icmp[8:] == payload:
            seen.add(icmp[6:8])
