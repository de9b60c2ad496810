#!/usr/bin/python3
"""Fragments of two tenants' datagrams, sent in one interleaved sequence, with the same addresses, ports and IP ids.

Each round is a datagram of either tenant; the payload of a datagram is one word of four bytes, such as b017 for
blue's in round 17, over and over, so that every fragment shows whose it is.
"""

import argparse
import ctypes
import itertools
import logging
import os
import random
import socket
import subprocess
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    IP, UDP, Ether, IPv6, IPv6ExtHdrFragment, Raw, conf, fragment, fragment6, get_if_hwaddr, rdpcap,
)

CLONE_NEWNET = 0x40000000
INTERFACE = "eth0"
TENANTS = ("blue", "green")
SHORT, LONG = 3000, 8000  # bytes of payload: 3 fragments, and 6


def enter(netns):
    with open(f"/run/netns/{netns}", encoding="ascii") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f"cannot enter {netns}: {os.strerror(ctypes.get_errno())}")


def word(tenant, number):
    return f"{tenant[0]}{number:03d}".encode()


def payload(tenant, number, size):
    return word(tenant, number) * (size // 4)


def fragments(family, tenant, number, arguments, size):
    """Of one datagram; both tenants' have the same id in the same round."""
    udp = UDP(sport=7001, dport=7000)
    body = Raw(payload(tenant, number, size))
    if family == 4:
        # scapy writes the sum over the whole datagram before it cuts.
        whole = IP(src=arguments.source, dst=arguments.remote, id=1000 + number) / udp / body
        return fragment(IP(bytes(whole)), fragsize=1400)
    whole = IPv6(src=arguments.source, dst=arguments.remote) / IPv6ExtHdrFragment(id=1000 + number) / udp / body
    return fragment6(whole, 1448)


def rounds():
    """(size, order of blue's fragments, order of green's): every pair of orders, then long ones in odd orders."""
    for blue, green in itertools.product(itertools.permutations(range(3)), repeat=2):
        yield SHORT, blue, green
    chance = random.Random(1)
    forward = list(range(6))
    backward = forward[::-1]
    twice = [index for index in forward for _ in range(2)]
    for blue, green in itertools.product([forward, backward, twice, twice[::-1]], repeat=2):
        yield LONG, blue, green
    for _ in range(20):
        yield LONG, chance.sample(forward, 6), chance.sample(forward, 6)


def open_link(netns, gateway):
    """A raw socket in the namespace, and the Ethernet header that leads to the gateway."""
    enter(netns)
    subprocess.run(["ping", "-q", "-c", "1", "-W", "2", gateway], stdout=subprocess.DEVNULL, check=True)
    shown = subprocess.run(
        ["ip", "neighbour", "show", gateway], capture_output=True, text=True, check=True
    ).stdout.split()
    header = Ether(src=get_if_hwaddr(INTERFACE), dst=shown[shown.index("lladdr") + 1])
    return conf.L2socket(iface=INTERFACE), header


def send(arguments):
    """Each round after the remote has got the one before, or has lost it; prints what is wrong."""
    family = 6 if ":" in arguments.remote else 4
    links = {tenant: open_link(netns, arguments.gateway) for tenant, netns in zip(TENANTS, arguments.netns)}
    enter(arguments.netns[2])
    server = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((arguments.remote, 7000))
    server.settimeout(3)

    wrong = []
    count = 0
    for number, (size, *orders) in enumerate(rounds()):
        queues = []
        for tenant, order in zip(TENANTS, orders):
            pieces = fragments(family, tenant, number, arguments, size)
            assert len(pieces) == len(set(order)), (len(pieces), order)
            queues.append([(tenant, pieces[index]) for index in order])
        for pair in itertools.zip_longest(*(queues if number % 2 else queues[::-1])):
            for tenant, piece in filter(None, pair):
                link, header = links[tenant]
                link.send(header / piece)
        expected = {payload(tenant, number, size): tenant for tenant in TENANTS}
        while expected:
            try:
                seen, _ = server.recvfrom(65536)
            except socket.timeout:
                wrong += [f"round {number} {orders}: nothing from {tenant}" for tenant in expected.values()]
                break
            if expected.pop(seen, None) is None:
                words = sorted({seen[i:i + 4] for i in range(0, len(seen), 4)})
                wrong.append(f"round {number} {orders}: {len(seen)} bytes that nobody sent, of {words}")
            else:
                count += 1
        if len(wrong) > 10:
            break
    print("\n".join(wrong) if wrong else f"{count} datagrams, each as it was sent")
    sys.exit(bool(wrong))


def same_ids(arguments):
    """From a capture at the remote: the rounds whose two datagrams share an id, one a line."""
    ids = {}
    for packet in rdpcap(arguments.capture):
        if IPv6ExtHdrFragment in packet:
            identification, body = packet[IPv6ExtHdrFragment].id, bytes(packet[IPv6ExtHdrFragment].payload)
        elif IP in packet and (packet[IP].flags.MF or packet[IP].frag):
            identification, body = packet[IP].id, bytes(packet[IP].payload)
        else:
            continue
        ids.setdefault(body[8:12], set()).add(identification)
    for number, _ in enumerate(rounds()):
        blue, green = (ids.get(word(tenant, number), set()) for tenant in TENANTS)
        if not blue or not green or blue & green:
            print(f"round {number}: blue's {sorted(blue)}, green's {sorted(green)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("send")
    command.add_argument("--netns", nargs=3, required=True, help="blue's, green's and the remote's")
    command.add_argument("--source", required=True)
    command.add_argument("--gateway", required=True)
    command.add_argument("--remote", required=True)
    command = commands.add_parser("same-ids")
    command.add_argument("capture")
    arguments = parser.parse_args()
    if arguments.command == "send":
        send(arguments)
    else:
        same_ids(arguments)


if __name__ == "__main__":
    main()
