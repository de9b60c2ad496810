"""Sends packets and tells where each of them ends: queues.py FORMAT, from queues.sh, which made the interfaces."""

import collections
import json
import re
import socket
import struct
import subprocess
import sys
import time

import wire

TCP, UDP, GRE = 6, 17, 47
HOPS = 77  # by which the counters know the test's packets
EXTERNAL, SECOND, REMOTE, TENANT = "203.0.113.1", "203.0.113.2", "203.0.113.100", "10.0.0.2"
EXTERNAL6, REMOTE6, TENANT6 = "2001:db8:1::1", "2001:db8:1::100", "fd00::2"
ERRORS = {4: (3, 11), 6: (1, 2, 3, 4)}

iptables = sys.argv[1] == "iptables"


def ip(source, destination, protocol, data):
    if wire.is_ipv6(source):
        return wire.ipv6(source, destination, protocol, data, hops=HOPS)
    return wire.ipv4(source, destination, protocol, data, hops=HOPS)


def udp(source, source_port, destination, port):
    return ip(source, destination, UDP, struct.pack("!HHHH", source_port, port, 8, 0))


def tcp(source, source_port, destination, port):
    return ip(source, destination, TCP, struct.pack("!HHIIHHHH", source_port, port, 1, 0, 0x5002, 1000, 0, 0))


def echo(source, destination, identification, reply=False):
    if wire.is_ipv6(source):
        kind = 129 if reply else 128
        return ip(source, destination, wire.ICMPV6, wire.icmpv6(source, destination, kind, identification << 16, b""))
    return ip(source, destination, wire.ICMP, wire.icmp(0 if reply else 8, identification << 16, b""))


def error(source, destination, kind, quoted):
    if wire.is_ipv6(source):
        return ip(source, destination, wire.ICMPV6, wire.icmpv6(source, destination, kind, 0, quoted))
    return ip(source, destination, wire.ICMP, wire.icmp(kind, 0, quoted))


def halves(source, destination, port, identification):
    """A UDP datagram in two fragments."""
    return [wire.fragment(source, destination, port, identification, half, HOPS) for half in ("first", "last")]


def named_counters():
    """The test's own, and those of the table: the queues that stand in for the kernel's, and the drops by reason."""
    listed = json.loads(subprocess.check_output(["nft", "-j", "list", "counters"]))
    counters = [each["counter"] for each in listed["nftables"] if "counter" in each]
    return {each["name"]: each["packets"] for each in counters if each["table"] in ("watch", "swnat")}


def queue_counters():
    queues = collections.Counter()
    for program in ("iptables-save", "ip6tables-save"):
        saved = subprocess.check_output([program, "-c"], stderr=subprocess.DEVNULL, text=True)
        for packets, number in re.findall(r"^\[(\d+):.*--queue-num (\d+)", saved, re.MULTILINE):
            queues[f"queue{number}"] += int(packets)
    return queues


def counters():
    counted = collections.Counter(named_counters())
    if iptables:
        counted += queue_counters()
    for reports in ("reports4", "reports6"):  # of the gateway's own
        counted.pop(reports, None)
    return counted


known = counters()


def seen():
    """Where packets ended since the last time; none but the marker are on their way any more."""
    global known
    for _ in range(100):
        now = counters()
        change = now - known
        if change.pop("marker", 0) > 0:
            known = now
            return change
        time.sleep(0.05)
    sys.exit("the marker did not arrive")


failures = 0


def fail(what):
    global failures
    failures += 1
    print(f"FAILED: {what}", file=sys.stderr)


def expect(what, expected, sender):
    """Expected: the places and their packets, as in "queue0 2", or nothing for what is dropped."""
    sender()
    wire.send("far-wan0", wire.ipv4(REMOTE, EXTERNAL, 253, b""))
    places = " ".join(f"{place} {count}" for place, count in sorted(seen().items()))
    if places != expected:
        fail(f"{what}: expected '{expected}', seen '{places}'")


def packets(what, interface, expected, *many):
    expect(what, expected, lambda: [wire.send(f"far-{interface}", each) for each in many])


def from_outside(external, remote, other_external):
    version = 6 if wire.is_ipv6(external) else 4
    packets("UDP to a port of the NAT", "wan0", "queue0 1", udp(remote, 53, external, 40001))
    packets("UDP to another one", "wan0", "queue1 1", udp(remote, 53, external, 40002))
    packets("TCP to a port of the NAT", "wan0", "queue1 1", tcp(remote, 80, external, 40003))
    packets("UDP to a port of the gateway", "wan0", "local 1", udp(remote, 53, external, 500))
    packets("a reply", "wan0", "queue1 1", echo(remote, external, 40002, reply=True))
    packets("a reply to the gateway", "wan0", "local 1", echo(remote, external, 500, reply=True))
    packets("a request", "wan0", "local 1", echo(remote, external, 40002))
    for kind in ERRORS[version]:
        packets(f"an error {kind} about UDP", "wan0", "queue0 1", error(remote, external, kind, udp(external, 40002, remote, 53)))
        packets(f"an error {kind} about a ping", "wan0", "queue0 1", error(remote, external, kind, echo(external, remote, 40001)))
        packets(f"an error {kind} about the gateway's UDP", "wan0", "queue0 1",
                error(remote, external, kind, udp(external, 500, remote, 53)))
    packets("fragments arrive whole", "wan0", "queue1 1", *halves(remote, external, 40002, 77))
    if other_external:
        packets("a forwarded port", "wan0", "queue0 1", tcp(remote, 5000, external, 80))
        packets("the same port of another address", "wan0", "local 1", tcp(remote, 5000, other_external, 80))
        packets("the same port of another protocol", "wan0", "local 1", udp(remote, 5000, external, 80))
        packets("an error about it", "wan0", "queue0 1", error(remote, external, 3, tcp(external, 80, remote, 5000)))
        packets("an error about the other", "wan0", "queue0 1", error(remote, other_external, 3, tcp(other_external, 80, remote, 5000)))
    else:
        packets("a forwarded port", "wan0", "queue0 1", udp(remote, 5000, external, 7000))
        packets("the same port of another protocol", "wan0", "local 1", tcp(remote, 5000, external, 7000))
        packets("an error about it", "wan0", "queue0 1", error(remote, external, 1, udp(external, 7000, remote, 5000)))


def from_tenants(tenant, remote, forged, inside):
    version = 6 if wire.is_ipv6(tenant) else 4
    for interface in ("blue0", "green0"):
        packets(f"UDP from {interface}", interface, "queue1 1", udp(tenant, 5002, remote, 53))
        packets(f"TCP from {interface}", interface, "queue0 1", tcp(tenant, 5001, remote, 53))
        packets(f"a ping from {interface}", interface, "queue1 1", echo(tenant, remote, 2))
        packets(f"fragments from {interface}", interface, "queue1 2", *halves(tenant, remote, 53, 2))
        packets(f"other fragments from {interface}", interface, "queue0 2", *halves(tenant, remote, 53, 5))
        packets(f"a forged source from {interface}", interface, "forged_source 1", udp(forged, 5002, remote, 53))
        packets(f"an error from {interface}", interface, "queue0 1",
                error(tenant, remote, ERRORS[version][0], udp(remote, 53, tenant, 5002)))
    packets("UDP to the gateway itself", "blue0", "local 1", udp(tenant, 5002, inside, 53))
    packets("fragments to the gateway itself", "blue0", "local 1", *halves(tenant, inside, 53, 9))


def untranslated(tenant, server, other):
    packets("to where blue gets without NAT", "blue0", "wan0 1", udp(tenant, 5002, server, 53))
    packets("fragments of it", "blue0", "wan0 2", *halves(tenant, server, 53, 9))
    packets("with another source", "blue0", "forged_source 1", udp(other, 5002, server, 53))
    packets("green to there", "green0", "queue1 1", udp(tenant, 5002, server, 53))
    packets("from there", "wan0", "blue0 1", udp(server, 53, tenant, 5002))
    packets("fragments from there", "wan0", "blue0 2", *halves(server, tenant, 53, 10))
    # In IPv4 the kernel finds before that there is no way back.
    version = 6 if wire.is_ipv6(tenant) else 4
    dropped = "other_tenant 1" if version == 6 else ""
    packets("from elsewhere", "wan0", dropped, udp(other, 53, tenant, 5002))
    for kind in ERRORS[version]:
        packets(f"an error {kind} of a router on the way", "wan0", "blue0 1",
                error(other, tenant, kind, udp(tenant, 5002, server, 53)))
        packets(f"an error {kind} about something else", "wan0", dropped,
                error(other, tenant, kind, udp(tenant, 5002, other, 53)))


def hairpins(tenant, external, remote):
    version = 6 if wire.is_ipv6(tenant) else 4
    packets("a hairpin", "green0", "queue1 1", udp(tenant, 5000, external, 40002))
    packets("fragments of one", "green0", "queue1 2", *halves(tenant, external, 40000, 2))
    packets("an error about one", "green0", "queue0 1",
            error(tenant, external, ERRORS[version][0], udp(external, 40002, tenant, 5000)))
    forwarded = udp(tenant, 5000, external, 7000) if version == 6 else tcp(tenant, 5000, external, 80)
    packets("a hairpin to a forwarded port", "green0", "queue0 1", forwarded)
    packets("to a port of the gateway", "green0", "local 1", udp(tenant, 5000, external, 500))


def redirects():
    for interface in ("blue0", "green0"):
        packets(f"redirected, from {interface}", interface, "queue1 1", udp(TENANT, 5002, "198.51.100.53", 53))
    packets("fragments to there", "blue0", "queue1 2", *halves(TENANT, "198.51.100.53", 53, 2))
    packets("an error to there", "blue0", "queue0 1",
            error(TENANT, "198.51.100.53", 3, udp("198.51.100.53", 53, TENANT, 5002)))
    packets("to another port there", "blue0", "untranslated_source 1", udp(TENANT, 5002, "198.51.100.53", 54))
    packets("an answer", "side0", "queue1 1", udp("198.51.100.7", 5353, EXTERNAL, 40002))
    packets("an answer from a tenant's interface", "blue0", "forged_source 1", udp("198.51.100.7", 5353, EXTERNAL, 40002))
    packets("no answer", "side0", "unowned 1", udp("198.51.100.7", 5354, EXTERNAL, 40002))
    packets("an error on the way", "side0", "queue0 1",
            error("198.51.100.9", EXTERNAL, 3, udp(EXTERNAL, 40002, "198.51.100.7", 5353)))
    packets("redirected, IPv6", "blue0", "queue1 1", tcp(TENANT6, 5002, "2001:db8:53::1", 53))
    packets("not redirected for green, IPv6", "green0", "untranslated_source 1", tcp(TENANT6, 5002, "2001:db8:53::1", 53))
    packets("fragments to there, IPv6", "blue0", "queue1 2", *halves(TENANT6, "2001:db8:53::1", 53, 2))
    packets("an answer, IPv6", "side0", "queue1 1", tcp("2001:db8:53::2", 53, EXTERNAL6, 40002))


def protocols_without_ports(tenant, external, remote):
    packets("GRE before a tenant spoke it", "wan0", "local 1", ip(remote, external, GRE, bytes(8)))
    packets("GRE from a tenant", "blue0", "queue0 1", ip(tenant, remote, GRE, bytes(8)))
    packets("GRE from there", "wan0", "queue0 1", ip(remote, external, GRE, bytes(8)))
    packets("another protocol from there", "wan0", "local 1", ip(remote, external, GRE + 1, bytes(8)))


def neighbours():
    """What hosts on a link need of each other passes, with whatever source they have by then."""
    solicitation = bytes(4) + socket.inet_pton(socket.AF_INET6, "fd00::1")
    for source, destination in (("fe80::2", "ff02::1:ff00:1"), ("::", "ff02::1:ff00:1"), (TENANT6, "fd00::1"),
                                ("fe80::2", "fd00::1")):
        message = wire.icmpv6(source, destination, 135, 0, solicitation[4:])
        packets(f"a solicitation from {source}", "blue0", "local 1", ip(source, destination, wire.ICMPV6, message))
    packets("a DHCPv6 client", "blue0", "local 1", udp("fe80::2", 546, "ff02::1", 547))
    packets("a link-local source to the outside", "blue0", "", udp("fe80::2", 5000, REMOTE6, 53))
    packets("a link-local source to the NAT", "blue0", "unowned 1", udp("fe80::2", 5000, EXTERNAL6, 40002))
    packets("nobody to the outside", "blue0", "forged_source 1", udp("::", 5000, REMOTE6, 53))
    packets("a DHCP client", "blue0", "local 1", udp("0.0.0.0", 68, "255.255.255.255", 67))


def own_errors():
    """What the gateway sends with a tenant's fwmark goes to that tenant."""
    for interface, fwmark in (("blue0", 1), ("green0", 2)):
        for family, protocol, address, level, option in (
                (socket.AF_INET, wire.ICMP, TENANT, socket.IPPROTO_IP, socket.IP_TTL),
                (socket.AF_INET6, wire.ICMPV6, TENANT6, socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)):
            def send():
                with socket.socket(family, socket.SOCK_RAW, protocol) as gateway:
                    gateway.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, fwmark)
                    gateway.setsockopt(level, option, HOPS)
                    gateway.sendto(struct.pack("!BBHI", 3, 13, 0, 0) + bytes(28), (address, 0))
            expect(f"an error to {interface}, {address}", f"{interface} 1", send)


def own_reports():
    """The gateway's reports of multicast groups leave. Those of other groups may be counted, too."""
    index = socket.if_nametoindex("wan0")
    for family, level, option, group, counter in (
            (socket.AF_INET, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             socket.inet_aton("239.1.2.3") + struct.pack("=4si", bytes(4), index), "reports4"),
            (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
             socket.inet_pton(socket.AF_INET6, "ff05::1:3") + struct.pack("=i", index), "reports6")):
        before = named_counters()[counter]
        with socket.socket(family, socket.SOCK_DGRAM) as member:
            member.setsockopt(level, option, group)
            if not any(named_counters()[counter] > before or time.sleep(0.1) for _ in range(100)):
                fail(f"none of the {counter} leaves")


def guard():
    """Nothing private leaves even if nothing is queued, or nothing has a fwmark. nft only."""
    subprocess.check_call(["nft", "flush", "chain", "inet", "swnat", "outgoing"])
    for tenant, remote in ((TENANT, REMOTE), (TENANT6, REMOTE6)):
        packets(f"not queued: {tenant}", "blue0", "untranslated_source 1", udp(tenant, 5002, remote, 53))
        packets(f"its fragments: {tenant}", "blue0", "untranslated_source 2", *halves(tenant, remote, 53, 9))
    subprocess.check_call(["nft", "flush", "chain", "inet", "swnat", "early"])
    for tenant, remote, external in ((TENANT, REMOTE, EXTERNAL), (TENANT6, REMOTE6, EXTERNAL6)):
        # By the routes: no table of the kernel's rules ever sees it.
        packets(f"without a fwmark: {tenant}", "blue0", "", udp(tenant, 5002, remote, 53))
        packets(f"without one, as after a redirect: {external}", "blue0", "wan0 1", udp(external, 40002, remote, 53))


from_outside(EXTERNAL, REMOTE, SECOND)
from_outside(EXTERNAL6, REMOTE6, None)
from_tenants(TENANT, REMOTE, "10.0.9.2", "10.0.0.1")
from_tenants(TENANT6, REMOTE6, "fd00:0:0:9::2", "fd00::1")
untranslated(TENANT, "192.168.1.1", "198.51.100.9")
untranslated(TENANT6, "fd77::1", "2001:db8:9::1")
hairpins(TENANT, EXTERNAL, REMOTE)
hairpins(TENANT6, EXTERNAL6, REMOTE6)
redirects()
protocols_without_ports(TENANT, EXTERNAL, REMOTE)
protocols_without_ports(TENANT6, EXTERNAL6, REMOTE6)
neighbours()
own_errors()
own_reports()
if not iptables:
    guard()
sys.exit(1 if failures else 0)
