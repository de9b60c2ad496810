#!/usr/bin/python3
"""Sends packets that no ordinary program sends, from the only interface of this network namespace.

For the cases "outbound" and "inbound" prints a line "REASON COUNT" for every reason that swnat is to count.
"""

import argparse
import collections
import logging
import random
import subprocess

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import GRE, ICMP, IP, TCP, UDP, Ether, Raw, conf, fragment, get_if_hwaddr  # noqa: E402

INTERFACE = "eth0"


def gateway_hardware_address(via):
    """Of the neighbour that packets go to, learnt by the kernel from one echo."""
    subprocess.run(["ping", "-q", "-c", "1", "-W", "2", via], stdout=subprocess.DEVNULL, check=False)
    shown = subprocess.run(
        ["ip", "neighbour", "show", via], capture_output=True, text=True, check=True
    ).stdout.split()
    return shown[shown.index("lladdr") + 1]


def tcp_with(header_words, payload=b""):
    """A TCP segment whose data offset says `header_words`, whatever its size is."""
    return TCP(sport=1234, dport=80, dataofs=header_words, flags="S") / payload


def outbound_cases(remote):
    """(reason or None if nothing of it is counted, packet) from the tenant 10.0.0.2.

    The remote must swallow what comes to UDP port 9: an answer would make the tenant send an ICMP error.
    """
    ip = IP(src="10.0.0.2", dst=remote)
    udp = UDP(sport=5000, dport=9)
    syn = TCP(sport=5000, dport=80, flags="S")
    yield "malformed_transport", ip / tcp_with(4)
    yield "malformed_transport", ip / tcp_with(15)
    yield "malformed_transport", IP(src=ip.src, dst=remote, proto=6) / Raw(bytes(syn)[:12])
    yield "malformed_transport", ip / UDP(sport=5000, dport=9, len=7) / b"seven"
    yield "malformed_transport", ip / UDP(sport=5000, dport=9, len=900) / b"short"
    yield "malformed_transport", IP(src=ip.src, dst=remote, proto=17) / Raw(bytes(udp)[:6])
    yield "invalid_port", ip / UDP(sport=0, dport=9) / b"x"
    yield "invalid_port", ip / UDP(sport=5000, dport=0) / b"x"
    yield "invalid_port", ip / TCP(sport=0, dport=80, flags="S")
    yield "translated_outbound", ip / GRE() / (b"x" * 8)  # an error that quotes less is malformed
    yield "translated_outbound", IP(src=ip.src, dst=remote, proto=132) / Raw(b"\x12\x34" * 8)
    yield "unsupported_protocol", IP(src=ip.src, dst=remote, proto=51) / Raw(b"\x12\x34" * 8)
    yield "unsupported_protocol", IP(src=ip.src, dst=remote, proto=253) / b"experiment"
    yield "icmp_error_unsent", ip / ICMP(type=3, code=3) / bytes(IP(src=remote, dst=ip.src) / udp)
    yield "malformed_icmp_error", ip / ICMP(type=3, code=3) / bytes(IP(src=remote, dst=ip.src) / udp)[:27]
    yield "icmp_unsupported", ip / ICMP(type=13)
    yield "icmp_unsupported", ip / ICMP(type=0, id=7)
    for piece in fragment(ip / udp / Raw(b"f" * 4000), fragsize=1400):
        yield "translated_outbound", piece
    alone = IP(src=ip.src, dst=remote, id=77, proto=17)
    alone.frag = 100
    yield "fragment_waits", alone / Raw(b"f" * 64)
    yield "malformed_fragment", IP(src=ip.src, dst=remote, id=78, flags="MF") / udp / Raw(b"odd")
    yield "malformed_fragment", IP(src=ip.src, dst=remote, id=79, flags="MF", proto=6) / Raw(bytes(syn)[:8])
    overwriting = IP(src=ip.src, dst=remote, id=80, proto=6)
    overwriting.frag = 1
    yield "malformed_fragment", overwriting / Raw(b"f" * 64)
    yield "tcp_not_syn", ip / TCP(sport=5001, dport=80, flags="A")
    yield "tcp_not_syn", ip / TCP(sport=5001, dport=80, flags="R")
    yield "tcp_not_syn", ip / TCP(sport=5001, dport=80, flags="")
    # Odd, but right: options in the IP header, reserved TCP bits, bytes beyond the IP total length.
    options = b"\x01\x01\x01\x00"
    yield "translated_outbound", IP(src=ip.src, dst=remote, options=[Raw(options)]) / UDP(sport=5002, dport=9) / b"x"
    yield "translated_outbound", ip / TCP(sport=5002, dport=80, flags="S", reserved=7)
    yield "translated_outbound", ip / UDP(sport=5003, dport=9, chksum=0) / b"no checksum"
    yield "translated_outbound", IP(src=ip.src, dst=remote, len=29) / UDP(sport=5004, dport=9, len=9) / b"xbeyond"
    # What the kernel itself refuses, so that it never comes to the NAT.
    yield None, IP(src=ip.src, dst=remote, ihl=4) / udp
    yield None, IP(src=ip.src, dst=remote, version=5) / udp
    yield None, IP(src=ip.src, dst=remote, len=600) / udp
    yield None, IP(src=ip.src, dst=remote, chksum=1) / udp


def inbound_cases(external, port):
    """From the remote; `port` has a mapping whose only remote address is 203.0.113.100."""
    ip = IP(src="203.0.113.100", dst=external)
    stranger = IP(src="203.0.113.101", dst=external)
    free = 65534 if port != 65534 else 65532
    yield "no_mapping", ip / UDP(sport=53, dport=free) / b"x"
    yield "no_mapping", ip / TCP(sport=53, dport=free, flags="S")
    yield "no_mapping", ip / TCP(sport=53, dport=free, flags="R")
    yield "no_mapping", ip / ICMP(type=0, id=free)
    yield "filtered", stranger / UDP(sport=7000, dport=port) / b"x"
    yield "translated_inbound", ip / UDP(sport=7000, dport=port) / b"x"
    yield "invalid_port", ip / UDP(sport=0, dport=port) / b"x"
    yield "malformed_transport", ip / UDP(sport=7000, dport=port, len=7) / b"seven"
    yield "malformed_transport", ip / TCP(sport=7000, dport=port, dataofs=4, flags="S")
    yield "malformed_transport", ip / TCP(sport=7000, dport=port, dataofs=15, flags="S")


def forged_cases(remote):
    """Sources that the tenant does not have."""
    for source in ["10.1.0.2", "203.0.113.1", "192.168.7.7", "203.0.113.100"]:
        yield IP(src=source, dst=remote) / UDP(sport=5000, dport=7000) / b"forged"


def random_cases(address, count, seed):
    """Mostly right packets with a few bytes changed, cut, or grown anywhere; IP headers mostly kept."""
    chance = random.Random(seed)
    source = "10.0.0.2" if address == "203.0.113.100" else "203.0.113.100"
    for _ in range(count):
        ip = IP(src=source, dst=address, id=chance.randrange(65536))
        transport = chance.choice([
            TCP(sport=chance.randrange(65536), dport=chance.randrange(32768, 65536), flags=chance.randrange(256)),
            UDP(sport=chance.randrange(65536), dport=chance.randrange(32768, 65536)),
            ICMP(type=chance.choice([0, 3, 8, 11, 12, 13]), id=chance.randrange(32768, 65536)),
        ])
        body = bytearray(bytes(ip / transport / chance.randbytes(chance.randrange(60)))[20:])
        for _ in range(chance.randrange(4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        del body[chance.randrange(1, len(body) + 1):]
        flags = chance.choice(["", "", "", "DF", "MF"])
        yield IP(src=source, dst=address, proto=ip.__class__(bytes(ip / transport)).proto, flags=flags,
                 frag=chance.choice([0, 0, 0, 0, 1, 185])) / Raw(bytes(body))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", choices=["outbound", "inbound", "forged", "damaged", "random"])
    parser.add_argument("address")
    parser.add_argument("--port", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()

    address = arguments.address
    if arguments.cases == "outbound":
        cases = list(outbound_cases(address))
    elif arguments.cases == "inbound":
        cases = list(inbound_cases(address, arguments.port))
    elif arguments.cases == "forged":
        cases = [(None, packet) for packet in forged_cases(address)]
    elif arguments.cases == "damaged":
        damaged = IP(src="10.0.0.2", dst=address) / UDP(sport=5000, dport=7777, chksum=0x1234) / b"damaged"
        cases = [(None, damaged)]
    else:
        cases = [(None, packet) for packet in random_cases(address, arguments.count, arguments.seed)]

    own = get_if_hwaddr(INTERFACE)
    via = "203.0.113.1" if address == "203.0.113.1" else "10.0.0.1"
    ethernet = Ether(src=own, dst=gateway_hardware_address(via))
    socket = conf.L2socket(iface=INTERFACE)
    counts = collections.Counter()
    for reason, packet in cases:
        socket.send(ethernet / packet)
        if reason:
            counts[reason] += 1
    for reason, count in counts.items():
        print(reason, count)


if __name__ == "__main__":
    main()
