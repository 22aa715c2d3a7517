"""Ethernet frames made and caught by hand, on a raw socket inside a namespace."""

import socket
import struct
import time

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
BROADCAST = "ff:ff:ff:ff:ff:ff"
ROUTER_MAC = "02:53:4c:00:00:01"  # of gateways and vips, on every host
TEST_TYPE = 0x88B5  # IEEE 802, local experiments: nothing else sends it


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(dst, src, payload, ethertype=TEST_TYPE):
    """A frame, padded to the shortest that Ethernet has."""
    return (mac_bytes(dst) + mac_bytes(src) + struct.pack("!H", ethertype) + payload).ljust(60, b"\0")


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(src_port, dst_port, payload):
    """Without a checksum, which IPv4 allows."""
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def fragments(src, dst, src_port, dst_port, payload, ident, size=1200):
    """The packets of a datagram of UDP in pieces of `size` bytes (a multiple of eight), in their order: of either family."""
    six = ":" in src
    ends = b"".join(socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, end) for end in (src, dst))
    whole = udp(src_port, dst_port, payload)
    sum_ = checksum(ends + struct.pack("!HH", 17, len(whole)) + whole) or 0xFFFF
    whole = whole[:6] + struct.pack("!H", sum_) + whole[8:]
    packets = []
    for at in range(0, len(whole), size):
        piece, more = whole[at:at + size], at + size < len(whole)
        if six:
            packets.append(struct.pack("!IHBB", 6 << 28, 8 + len(piece), 44, 64) + ends +
                           struct.pack("!BBHI", 17, 0, at | more, ident) + piece)
        else:
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(piece), ident & 0xFFFF, more << 13 | at // 8, 64, 17, 0) + ends
            packets.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + piece)
    return packets


def vxlan(vni, frame):
    """RFC 7348, section 5."""
    return struct.pack("!II", 0x08 << 24, vni << 8) + frame


def arp_request(src_mac, src_ip, dst_ip):
    return ethernet(BROADCAST, src_mac, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac_bytes(src_mac),
                    socket.inet_aton(src_ip), b"\0" * 6, socket.inet_aton(dst_ip)), 0x0806)


class Wire:
    """Sends and catches frames on one interface; only what arrives is caught, not what was sent."""

    def __init__(self, ns, ifname="eth0"):
        self._sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        ns.do(lambda: self._sock.bind((ifname, ETH_P_ALL)))

    def send(self, frame):
        self._sock.send(frame)

    def receive(self, wanted, timeout_s=20.0):
        """The first frame for which `wanted` is true; None when the time is over."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            self._sock.settimeout(left)
            try:
                frame, address = self._sock.recvfrom(65536)
            except TimeoutError:
                return None
            if address[2] != PACKET_OUTGOING and wanted(frame):
                return frame
        return None

    def waiting(self, wanted):
        """Those frames among what has arrived already for which `wanted` is true."""
        found = []
        self._sock.setblocking(False)
        while True:
            try:
                frame, address = self._sock.recvfrom(65536)
            except BlockingIOError:
                return found
            if address[2] != PACKET_OUTGOING and wanted(frame):
                found.append(frame)

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def carries(text):
    """A `wanted` that recognises frames by a text in them."""
    return lambda frame: text in frame
