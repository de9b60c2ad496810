#!/usr/bin/python3
"""A client of PCP (RFC 6887) that does what tests need, also what no honest client does, and what else they ask with.

pcp.py announce|map|peer SERVER [OPTION…]   asks until it is answered: "RESULT lifetime N epoch N external ENDPOINT"
pcp.py flood SERVER SECONDS                 requests of all kinds as fast as they go; prints how many
pcp.py name NAME PORT                       answers each datagram and each line of a connection with NAME
pcp.py ask tcp|udp ADDRESS PORT             prints what such a server answers, or "no answer"
pcp.py torrent GATEWAY PORT                 has libtorrent map the port, by its own client of PCP; prints what it says
"""

import argparse
import asyncio
import ipaddress
import os
import random
import socket
import struct
import sys
import time

RESULTS = (
    "SUCCESS UNSUPP_VERSION NOT_AUTHORIZED MALFORMED_REQUEST UNSUPP_OPCODE UNSUPP_OPTION MALFORMED_OPTION "
    "NETWORK_FAILURE NO_RESOURCES UNSUPP_PROTOCOL USER_EX_QUOTA CANNOT_PROVIDE_EXTERNAL ADDRESS_MISMATCH "
    "EXCESSIVE_REMOTE_PEERS"
).split()
OPCODES = {"announce": 0, "map": 1, "peer": 2}
PROTOCOLS = {"tcp": 6, "udp": 17, "all": 0, "sctp": 132}
ATTEMPTS = 8
THIRD_PARTY, PREFER_FAILURE = 1, 2


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def octets_of(address):
    parsed = ipaddress.ip_address(address)
    return parsed.packed if parsed.version == 6 else b"\0" * 10 + b"\xff\xff" + parsed.packed


def text_of(octets, port):
    address = ipaddress.IPv6Address(octets)
    return f"{address.ipv4_mapped}:{port}" if address.ipv4_mapped else f"[{address}]:{port}"


def split(endpoint):
    address, _, port = endpoint.rpartition(":")
    return address.strip("[]"), int(port)


def option(code, body=b""):
    return struct.pack("!BBH", code, 0, len(body)) + body


def request_of(arguments, client):
    message = struct.pack("!BBHI", arguments.version, OPCODES[arguments.what], 0, arguments.lifetime)
    message += octets_of(arguments.client or client)
    if arguments.what != "announce":
        address, port = split(arguments.suggest or ("[::]:0" if ":" in client else "0.0.0.0:0"))
        message += bytes.fromhex(arguments.nonce) + struct.pack("!B3x", PROTOCOLS[arguments.protocol])
        message += struct.pack("!HH", arguments.port, port) + octets_of(address)
    if arguments.what == "peer":
        address, port = split(arguments.remote)
        message += struct.pack("!HH", port, 0) + octets_of(address)
    if arguments.prefer_failure:
        message += option(PREFER_FAILURE)
    if arguments.third_party:
        message += option(THIRD_PARTY, octets_of(arguments.third_party))
    return message


def shown(answer):
    _, _, _, result, lifetime, epoch = struct.unpack("!BBBBII", answer[:12])
    text = f"{RESULTS[result]} lifetime {lifetime} epoch {epoch}"
    if len(answer) < 60:
        return text
    _, port = struct.unpack("!HH", answer[40:44])
    return f"{text} external {text_of(answer[44:60], port)}"


def ask_server(arguments):
    with socket.socket(family_of(arguments.server), socket.SOCK_DGRAM) as client:
        client.connect((arguments.server, 5351))
        client.settimeout(0.5)
        request = request_of(arguments, client.getsockname()[0])
        for _ in range(arguments.attempts):
            try:
                client.send(request)
                return shown(client.recv(2048))
            except (socket.timeout, ConnectionRefusedError):
                continue
    return "no answer"


def flood(server, seconds):
    end = time.monotonic() + float(seconds)
    sent = 0
    with socket.socket(family_of(server), socket.SOCK_DGRAM) as client:
        client.connect((server, 5351))
        client.setblocking(False)
        own = octets_of(client.getsockname()[0])
        header = struct.pack("!BBHI", 2, 1, 0, 3600) + own
        while time.monotonic() < end:
            for _ in range(100):
                body = struct.pack("!B3xHH", 17, random.randrange(1, 65536), 0) + octets_of("0.0.0.0")
                requests = [header + random.randbytes(12) + body, b"\0\0", b"\2\0" + b"\0" * 22, random.randbytes(60)]
                try:
                    client.send(random.choice(requests))
                    sent += 1
                except OSError:
                    pass
    print(sent)


async def name(text, port):
    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(text.encode(), address)

    async def on_connection(reader, writer):
        await reader.readline()
        writer.write(text.encode())
        writer.close()

    loop = asyncio.get_running_loop()
    for address in ("0.0.0.0", "::"):
        udp = socket.socket(family_of(address), socket.SOCK_DGRAM)
        if ":" in address:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind((address, int(port)))
        await loop.create_datagram_endpoint(Datagrams, sock=udp)
        await asyncio.start_server(on_connection, address, int(port))
    await asyncio.Event().wait()


def ask(protocol, address, port):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for _ in range(3):
        with socket.socket(family_of(address), kind) as client:
            client.settimeout(1)
            try:
                client.connect((address, int(port)))
                client.sendall(b"who?\n")
                return client.recv(100).decode()
            except OSError:
                continue
    return "no answer"


def torrent(gateway, port):
    import libtorrent

    settings = {
        "listen_interfaces": f"{os.environ['OWN_ADDRESS']}:{port}",
        "enable_natpmp": True,
        "enable_upnp": False,
        "enable_lsd": False,
        "enable_dht": False,
        "alert_mask": libtorrent.alert.category_t.port_mapping_notification
        | libtorrent.alert.category_t.port_mapping_log_notification,
    }
    session = libtorrent.session(settings)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        session.wait_for_alert(500)
        for alert in session.pop_alerts():
            print(type(alert).__name__, alert.message(), flush=True)
            if isinstance(alert, libtorrent.portmap_alert):
                time.sleep(0.2)
                for other in session.pop_alerts():
                    print(type(other).__name__, other.message(), flush=True)
                # It ends without giving the port back, as a program that crashes.
                os._exit(0)
    sys.exit(f"{gateway} gives nothing")


def main():
    if len(sys.argv) > 1 and sys.argv[1] in ("flood", "ask", "torrent"):
        answer = {"flood": flood, "ask": ask, "torrent": torrent}[sys.argv[1]](*sys.argv[2:])
        if answer is not None:
            print(answer)
        return
    if len(sys.argv) > 1 and sys.argv[1] == "name":
        asyncio.run(name(*sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=OPCODES)
    parser.add_argument("server")
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="udp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--lifetime", type=int, default=0)
    parser.add_argument("--nonce", default="00" * 12)
    parser.add_argument("--suggest")
    parser.add_argument("--remote")
    parser.add_argument("--client")
    parser.add_argument("--third-party")
    parser.add_argument("--prefer-failure", action="store_true")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    print(ask_server(parser.parse_args()))


main()
