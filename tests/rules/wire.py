"""Puts one packet on the wire, at the far end of a cable.

wire.py fragment INTERFACE SOURCE DESTINATION PORT ID first|last   half of a UDP datagram
wire.py reply    INTERFACE SOURCE DESTINATION ID                   an ICMP echo reply
wire.py exceeded INTERFACE SOURCE DESTINATION REMOTE ID            an ICMP error about an echo request to REMOTE
"""

import functools
import json
import socket
import struct
import subprocess
import sys

MORE_FRAGMENTS = 0x2000
ICMP, UDP = 1, 17
FRAGMENT, ICMPV6 = 44, 58


def internet_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, data, identification=0, place=0, hops=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), identification, place, hops, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", internet_sum(header)) + header[12:] + data


def icmp(kind, rest, data):
    message = struct.pack("!BBHI", kind, 0, 0, rest) + data
    return message[:2] + struct.pack("!H", internet_sum(message)) + message[4:]


def ipv6(source, destination, protocol, data, hops=64):
    return struct.pack("!IHBB16s16s", 6 << 28, len(data), protocol, hops,
                       socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, destination)) + data


def icmpv6(source, destination, kind, rest, data):
    message = struct.pack("!BBHI", kind, 0, 0, rest) + data
    pseudo = ipv6(source, destination, 0, b"")[8:] + struct.pack("!II", len(message), ICMPV6)
    return message[:2] + struct.pack("!H", internet_sum(pseudo + message)) + message[4:]


@functools.cache
def hardware_addresses():
    links = json.loads(subprocess.check_output(["ip", "-json", "link"]))
    return {link["ifname"]: bytes.fromhex(link["address"].replace(":", "")) for link in links}


def send(interface, packet):
    near = hardware_addresses()[interface.removeprefix("far-")]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        wire.send(near + bytes(6) + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet)


def fragment(source, destination, port, identification, half, hops=64):
    whole = struct.pack("!HHHH", 5000, int(port), 32, 0) + b"x" * 24
    if is_ipv6(source):
        first = half == "first"
        header = fragment_header(UDP, identification, 0 if first else 16, 1 if first else 0)
        return ipv6(source, destination, FRAGMENT, header + (whole[:16] if first else whole[16:]), hops)
    if half == "first":
        return ipv4(source, destination, UDP, whole[:16], int(identification), MORE_FRAGMENTS, hops)
    return ipv4(source, destination, UDP, whole[16:], int(identification), 16 // 8, hops)


def fragment_header(protocol, identification, place, more):
    return struct.pack("!BBHI", protocol, 0, place | more, int(identification))


def is_ipv6(address):
    return ":" in address


def reply(source, destination, identification):
    if is_ipv6(source):
        return ipv6(source, destination, ICMPV6,
                    icmpv6(source, destination, 129, int(identification) << 16, b"12345678"))
    return ipv4(source, destination, ICMP, icmp(0, int(identification) << 16, b"12345678"))


def exceeded(source, destination, remote, identification):
    if is_ipv6(source):
        request = ipv6(destination, remote, ICMPV6,
                       icmpv6(destination, remote, 128, int(identification) << 16, b""))
        return ipv6(source, destination, ICMPV6, icmpv6(source, destination, 3, 0, request))
    request = ipv4(destination, remote, ICMP, icmp(8, int(identification) << 16, b""))
    return ipv4(source, destination, ICMP, icmp(11, 0, request))


if __name__ == "__main__":
    kinds = {"fragment": fragment, "reply": reply, "exceeded": exceeded}
    send(sys.argv[2], kinds[sys.argv[1]](*sys.argv[3:]))
