#!/usr/bin/python3
"""A stream of small UDP packets of which no more are on the way than a window, so that none is lost on the way
and no processor is spent on what is dropped. `send` prints how many arrived, and in how many seconds."""

import socket
import struct
import sys
import time

SIZE = 18  # with the headers of UDP, IPv4 and Ethernet, and the frame's sum: 64 bytes
WINDOW = 1024  # far below what a queue holds
EACH = 64  # that many packets are acknowledged at once
LOST = 0.2  # seconds after which what was not acknowledged is given up


def serve(address, port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    server.bind((address, port))
    counts = {}
    while True:
        data, client = server.recvfrom(64)
        count = counts[client] = counts.get(client, 0) + 1
        if count % EACH == 0:
            server.sendto(struct.pack("!Q", count), client)


def send(address, port, seconds):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect((address, port))
    client.settimeout(LOST)
    packet = bytes(SIZE)
    sent = arrived = lost = first = 0
    begin = time.monotonic()
    warm = begin + seconds / 5  # a new session, and caches
    end = begin + seconds
    started = begin
    while (now := time.monotonic()) < end:
        if not first and now >= warm:
            first, started = arrived, now
        while sent - lost - arrived < WINDOW:
            client.send(packet)
            sent += 1
        try:
            arrived = struct.unpack("!Q", client.recv(64))[0]
        except TimeoutError:
            lost = sent - arrived
    print(arrived - first, time.monotonic() - started)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
