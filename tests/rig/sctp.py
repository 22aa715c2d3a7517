"""SCTP's first packets by hand, for kernels that have none of it: an association is asked for, and granted."""

import socket
import struct

from rig import wait

INIT, INIT_ACK, TAG = 1, 2, 0x51C7


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def packet(source, target, kind, tag):
    """`tag` is the receiver's verification tag, 0 in an INIT."""
    body = struct.pack("!IIHHI", TAG, 65536, 1, 1, 1) + (struct.pack("!HHI", 7, 8, 1) if kind == INIT_ACK else b"")
    rest = struct.pack("!BBH", kind, 0, 4 + len(body)) + body
    head = struct.pack("!HHI", source, target, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + rest)) + rest


def raw(ns, family=socket.AF_INET):
    sock = ns.socket(family, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    sock.settimeout(0.5)
    return sock


def receive(sock, port, family=socket.AF_INET):
    """The next packet for the port: (who sent it, its port, its kind); its checksum is right."""
    while True:
        data, peer = sock.recvfrom(2000)
        data = data[(data[0] & 15) * 4:] if family == socket.AF_INET else data
        source, target = struct.unpack("!HH", data[:4])
        if target == port:
            assert struct.unpack("<I", data[8:12])[0] == crc32c(data[:8] + bytes(4) + data[12:])
            return peer[0], source, data[12]


def associates(client, server, address, port, inner):
    """`client` asks `address` at `port` for an association, which `server` grants at port `inner`. Returns whom the server saw."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with raw(client, family) as near, raw(server, family) as far:
        def asked():
            near.sendto(packet(5000, port, INIT, 0), (address, 0))
            try:
                return receive(far, inner, family)
            except TimeoutError:
                return None

        peer, source, kind = wait.until(asked, "the request arrives")
        assert kind == INIT
        far.sendto(packet(inner, source, INIT_ACK, TAG), (peer, 0))
        near.settimeout(wait.PATIENCE_S)
        assert receive(near, 5000, family) == (address, port, INIT_ACK)
        return peer, source
