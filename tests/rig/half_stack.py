"""Somebody in a container who answers, by hand, TCP probes of an address that no kernel has."""

import errno
import socket
import struct
import threading

from rig import frames

SYN, RST, ACK = 0x02, 0x04, 0x10


def segment(src, dst, src_port, dst_port, number, ack, flags, length=20):
    """An IPv4 packet with the first `length` bytes of a TCP header and nothing else (RFC 9293, 3.1)."""
    head = struct.pack("!HHIIBBHHH", src_port, dst_port, number, ack, 5 << 4, flags, 65535, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", 6, len(head))
    head = head[:16] + struct.pack("!H", frames.checksum(pseudo + head)) + head[18:]
    return frames.ipv4(src, dst, 6, head[:length])


class Syn:
    """What asked: the packet and the fields that an answer needs."""

    def __init__(self, packet):
        self.packet = packet
        self.src, self.dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        self.src_port, self.dst_port, self.number = struct.unpack_from("!HHI", packet, 20)
        self.flags = packet[33]

    def answer(self, flags, ack=1, src=None, port=None, length=20):
        return segment(src or self.dst, self.src, port or self.dst_port, self.src_port, 4321,
                       (self.number + ack) & 0xFFFFFFFF, flags, length)

    def unreachable(self, number=None):
        """ICMP: administratively prohibited (RFC 1812, 5.2.7.1), of this SYN or of one with another number."""
        quoted = self.packet[:28] if number is None else self.packet[:24] + struct.pack("!I", number & 0xFFFFFFFF)
        message = struct.pack("!BBHI", 3, 13, 0, 0) + quoted
        message = message[:2] + struct.pack("!H", frames.checksum(message)) + message[4:]
        return frames.ipv4(self.dst, self.src, 1, message)


class HalfStack:
    """
    Has `address` on the container's eth0. `reply(syn)` returns the packets to answer a SYN with; it may be
    replaced at any time. `syns` counts what came, `resets` has the sequence numbers of RSTs.
    """

    def __init__(self, container, address):
        self.container, self.address = container, address
        self.reply = lambda syn: []
        self.syns, self.resets, self.error = 0, [], None
        self._wire = frames.Wire(container)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        try:
            while not self._end.is_set():
                self._wire.receive(self._take, 0.2)
        except Exception as error:  # shown by close()
            self.error = error

    def _take(self, frame):
        kind = frame[12:14]
        if kind == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == socket.inet_aton(self.address):
            self._send(frame, b"\x08\x06", struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) +
                       frames.mac_bytes(self.container.eth0) + frame[38:42] + frame[22:32])
        elif kind == b"\x08\x00" and frame[23] == 6 and frame[30:34] == socket.inet_aton(self.address):
            came = Syn(frame[14:])
            if came.flags & SYN:
                for packet in self.reply(came):
                    self._send(frame, kind, packet)
                self.syns += 1
            elif came.flags & RST:
                self.resets.append(came.number)
        return False

    def _send(self, to, kind, payload):
        frame = to[6:12] + frames.mac_bytes(self.container.eth0) + kind + payload
        try:
            self._wire.send(frame.ljust(60, b"\0"))
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # the interface's queue is full: lost, as on any wire
                raise

    def close(self):
        self._end.set()
        self._thread.join()
        self._wire.close()
        assert self.error is None, self.error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
