#!/usr/bin/python3
"""UDP packets at a steady rate, each of an internal endpoint that had none before, so that each makes a mapping and a
session. Prints how many were sent, and in how many seconds."""

import socket
import struct
import sys
import time

FIRST_PORT = 1024
PORTS = 60_000  # of each address
EACH = 50  # packets at once


def main():
    first, rate, count = (int(word) for word in sys.argv[3:6])
    network, remote = (socket.inet_aton(word) for word in sys.argv[1:3])
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    to = (sys.argv[2], 0)
    begin = due = time.monotonic()
    for number in range(first, first + count):
        host, port = divmod(number, PORTS)
        source = network[:3] + bytes([10 + host])
        # The kernel fills in length, identification and checksum; UDP goes without one.
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 17, 0, source, remote)
        sender.sendto(header + struct.pack("!HHHH", FIRST_PORT + port, 7000, 8, 0), to)
        if number % EACH == 0:
            due += EACH / rate
            if (rest := due - time.monotonic()) > 0:
                time.sleep(rest)
    print(count, time.monotonic() - begin)


if __name__ == "__main__":
    main()
