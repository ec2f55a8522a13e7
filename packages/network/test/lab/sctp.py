"""SCTP without the kernel's help, which not every kernel has: the first two packets of an association.

sctp.py serve NAME PORT     answers every INIT with an INIT ACK that carries "NAME PEER"
sctp.py ask ADDRESS:PORT... sends an INIT to each and prints what the INIT ACK carries, or "nothing"
"""
import socket
import struct
import sys

SCTP = 132
INIT, INIT_ACK = 1, 2
TAG = 0x5A5A5A5A


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def packet(ports, tag, kind, text=b""):
    cookie = struct.pack("!HH", 7, 4 + len(text)) + text + b"\0" * (-len(text) % 4)
    body = struct.pack("!IIHHI", TAG, 65536, 1, 1, 1) + (cookie if text else b"")
    length = 20 + (4 + len(text) if text else 0)
    chunk = struct.pack("!BBH", kind, 0, length) + body
    head = struct.pack("!HHI", *ports, tag)
    checksum = struct.pack("<I", crc32c(head + b"\0\0\0\0" + chunk))
    return head + checksum + chunk


def received(data):
    """The ports, the kind of the first chunk and the cookie, if the checksum is right."""
    sctp = data[(data[0] & 15) * 4:]
    source, target = struct.unpack("!HH", sctp[:4])
    good = sctp[8:12] == struct.pack("<I", crc32c(sctp[:8] + b"\0\0\0\0" + sctp[12:]))
    length = struct.unpack("!H", sctp[14:16])[0]
    return source, target, sctp[12] if good else 0, sctp[36:12 + length]


sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, SCTP)
if sys.argv[1] == "serve":
    name, port = sys.argv[2], int(sys.argv[3])
    while True:
        data, (peer, _) = sock.recvfrom(2048)
        source, target, kind, _ = received(data)
        if target == port and kind == INIT:
            answer = packet((port, source), TAG, INIT_ACK, f"{name} {peer}".encode())
            sock.sendto(answer, (peer, 0))
else:
    sock.settimeout(2)
    for number, where in enumerate(sys.argv[2:]):
        address, port = where.split(":")
        own = 40000 + number
        sock.sendto(packet((own, int(port)), 0, INIT), (address, 0))
        text = b"nothing"
        try:
            while text == b"nothing":
                data, (peer, _) = sock.recvfrom(2048)
                source, target, kind, cookie = received(data)
                if (peer, source, target, kind) == (address, int(port), own, INIT_ACK):
                    text = cookie
        except TimeoutError:
            pass
        print(text.decode())
