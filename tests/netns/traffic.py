#!/usr/bin/python3
"""Small clients and a server for the tests: every answer can be checked against its question."""

import argparse
import asyncio
import hashlib
import os
import secrets
import socket
import sys
import time

SO_NO_CHECK = 11  # Linux: datagrams are sent with a checksum of zero, which means none
SO_MARK = 36
LONGEST_LINE = 1 << 20


def answer_to(question: bytes) -> bytes:
    return hashlib.sha256(question).hexdigest().encode() + b"\n"


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_socket(address):
    return socket.socket(family_of(address), socket.SOCK_DGRAM)


class UdpServer(asyncio.DatagramProtocol):
    def __init__(self, answer, delay):
        self.answer = answer
        self.delay = delay

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if not self.delay:
            self.transport.sendto(self.answer(data), address)
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay, self.transport.sendto, self.answer(data), address)


async def serve(arguments):
    """Answers each line over TCP, and each datagram over UDP. "0.0.0.0" and "::" are all addresses of a family."""
    answer = (lambda question: question) if arguments.echo else answer_to

    async def on_connection(reader, writer):
        try:
            while line := await reader.readline():
                await asyncio.sleep(arguments.delay)
                writer.write(answer(line))
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    udp = udp_socket(arguments.address)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    udp.bind((arguments.address, arguments.port))
    await loop.create_datagram_endpoint(lambda: UdpServer(answer, arguments.delay), sock=udp)
    server = await asyncio.start_server(
        on_connection, arguments.address, arguments.port, backlog=4096, limit=LONGEST_LINE
    )
    await server.serve_forever()


async def connections(arguments):
    """Many short connections, a bounded number of them at once."""
    wrong = []
    numbers = iter(range(arguments.count))

    async def one(number):
        question = f"{arguments.name} {number} {secrets.token_hex(16)}\n".encode()
        reader, writer = await asyncio.open_connection(arguments.address, arguments.port)
        writer.write(question)
        writer.write_eof()
        seen = await reader.read()
        writer.close()
        if seen != answer_to(question):
            wrong.append(f"{arguments.name} {number}: asked {question!r}, was answered {seen!r}")

    async def take_turns():
        for number in numbers:
            try:
                await asyncio.wait_for(one(number), arguments.timeout)
            except (OSError, asyncio.TimeoutError) as error:
                wrong.append(f"{arguments.name} {number}: {type(error).__name__} {error}")

    await asyncio.gather(*(take_turns() for _ in range(arguments.parallel)))
    if wrong:
        print("\n".join(wrong[:20]), f"{len(wrong)} of {arguments.count} went wrong", sep="\n")
        sys.exit(1)
    print(f"{arguments.count} connections, each with its own answer")


def sources(arguments):
    """Addresses and ports to ask from, in order."""
    return [(address, port) for address in arguments.sources for port in arguments.ports]


def prepare(client, arguments):
    client.settimeout(arguments.timeout)
    if arguments.fwmark:
        client.setsockopt(socket.SOL_SOCKET, SO_MARK, arguments.fwmark)


def new_question(arguments, port):
    text = f"{arguments.name} {port} {secrets.token_hex(8)}"
    return text.ljust(arguments.size, ".").encode()


def ask_udp(arguments):
    """One datagram from each source port, in order; prints the ports that were answered rightly."""
    answered = []
    for address, port in sources(arguments):
        time.sleep(0.003)  # the NAT's clock counts milliseconds
        with udp_socket(arguments.address) as udp:
            prepare(udp, arguments)
            if arguments.no_checksum:
                udp.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            udp.bind((address, port))
            udp.connect((arguments.address, arguments.port))
            question = new_question(arguments, port)
            if arguments.growing:
                question += b"." * (len(answered) * 70 + len(answered) % 4)
            try:
                udp.send(question)
                seen = udp.recv(2048)
            except (socket.timeout, OSError):
                continue
            if seen != answer_to(question):
                sys.exit(f"{arguments.name} {port}: asked {question!r}, was answered {seen!r}")
            answered.append(port)
    print(*answered)


def open_connections(arguments):
    """From each source that can: its port, and the connection."""
    for address, port in sources(arguments):
        client = socket.socket(family_of(arguments.address), socket.SOCK_STREAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        prepare(client, arguments)
        try:
            client.bind((address, port))
            client.connect((arguments.address, arguments.port))
        except OSError as error:
            print(f"{port}: {error}", file=sys.stderr)
            client.close()
            continue
        yield port, client


def is_answered(arguments, port, client):
    question = new_question(arguments, port) + b"\n"
    seen = b""
    try:
        client.sendall(question)
        while not seen.endswith(b"\n"):
            more = client.recv(2048)
            if not more:
                raise ConnectionError("closed")
            seen += more
    except OSError as error:
        print(f"{port}: {error}", file=sys.stderr)
        return False
    if seen != answer_to(question):
        sys.exit(f"{arguments.name} {port}: asked {question!r}, was answered {seen!r}")
    return True


def ask_tcp(arguments):
    """A connection from each source port, all at once; prints the ports that were answered rightly on them. With
    --again, asks once more when that file exists."""
    clients = list(open_connections(arguments))
    answered = [port for port, client in clients if is_answered(arguments, port, client)]
    if arguments.again:
        print("at first:", *answered, flush=True)
        while not os.path.exists(arguments.again):
            time.sleep(0.05)
        answered = [port for port, client in clients if is_answered(arguments, port, client)]
    print(*answered)


def flood(arguments):
    """Datagrams from several ports at a steady pace for a bounded time, answers ignored."""
    sockets = [udp_socket(arguments.address) for _ in range(64)]
    end = time.monotonic() + arguments.seconds
    number = 0
    while time.monotonic() < end:
        for udp in sockets:
            try:
                udp.sendto(f"{arguments.name} {number}".encode(), (arguments.address, arguments.port))
            except OSError:
                pass  # an ICMP error for an earlier datagram
            number += 1
        time.sleep(arguments.pause)


def port_list(text):
    ports = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        ports += range(int(first), int(last or first) + 1)
    return ports


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["serve", "connections", "udp", "tcp", "flood"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--name", default="")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--ports", type=port_list, default=range(0))
    parser.add_argument("--sources", nargs="+", default=[""], metavar="ADDRESS")
    parser.add_argument("--size", type=int, default=0, help="of a question, at least")
    parser.add_argument("--fwmark", type=lambda text: int(text, 0), default=0)
    parser.add_argument("--again", metavar="FILE")
    parser.add_argument("--echo", action="store_true", help="serve: an answer is the question")
    parser.add_argument("--delay", type=float, default=0, help="serve: seconds before an answer")
    parser.add_argument("--pause", type=float, default=0.02, help="flood: seconds between 64 datagrams")
    parser.add_argument("--growing", action="store_true", help="datagrams of even and odd sizes")
    parser.add_argument("--no-checksum", action="store_true")
    parser.add_argument("--timeout", type=float, help="seconds to wait for an answer; 2 over UDP, 30 over TCP")
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    arguments.timeout = arguments.timeout or (30 if arguments.what == "connections" else 2)
    if arguments.what == "serve":
        asyncio.run(serve(arguments))
    elif arguments.what == "connections":
        asyncio.run(connections(arguments))
    elif arguments.what == "udp":
        ask_udp(arguments)
    elif arguments.what == "tcp":
        ask_tcp(arguments)
    else:
        flood(arguments)


if __name__ == "__main__":
    main()
