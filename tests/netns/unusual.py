#!/usr/bin/python3
"""Sends one packet of a kind that programs seldom send, "don't fragment" set, and prints what the kernel is told about
it: the name of an error, or "silence".

    unusual.py ADDRESS KIND SIZE [PORT]     KIND: gre, esp, udp, record-route, destination-options
"""

import errno
import socket
import struct
import sys

IP_OPTIONS = 4
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
IPV6_DSTOPTS = 59
ALWAYS = 2  # of both: never fragment, heed what routers say
RECORD_ROUTE = bytes([7, 11, 4]) + bytes(9)  # room for two addresses, padded
PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # a Destination Options header that says nothing
HEADER_OF = {"gre": struct.pack("!HH", 0, 0x0800), "esp": struct.pack("!II", 0x1234, 1)}
PROTOCOL_OF = {"gre": 47, "esp": 50}


def socket_for(family, kind):
    if kind in PROTOCOL_OF:
        return socket.socket(family, socket.SOCK_RAW, PROTOCOL_OF[kind])
    return socket.socket(family, socket.SOCK_DGRAM)


def main():
    address, kind, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    port = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_for(family, kind) as client:
        client.settimeout(2)
        if family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, ALWAYS)
        else:
            client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, ALWAYS)
        if kind == "record-route":
            client.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, RECORD_ROUTE)
        if kind == "destination-options":
            client.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, PADDING)
        client.connect((address, port))
        try:
            client.send(HEADER_OF.get(kind, b"").ljust(size, b"."))
            client.recv(2048)
        except socket.timeout:
            print("silence")
        except OSError as error:
            print(errno.errorcode[error.errno])
        else:
            print("answered")


if __name__ == "__main__":
    main()
