#!/usr/bin/python3
"""Small clients and a server for the tests: every answer can be checked against its question."""

import argparse
import asyncio
import hashlib
import secrets
import socket
import sys
import time

SO_NO_CHECK = 11  # Linux: datagrams are sent with a checksum of zero, which means none


def answer_to(question: bytes) -> bytes:
    return hashlib.sha256(question).hexdigest().encode() + b"\n"


def udp_socket(address):
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


class UdpServer(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(answer_to(data), address)


async def serve(arguments):
    """Answers each line over TCP, then closes; answers each datagram over UDP."""

    async def on_connection(reader, writer):
        try:
            writer.write(answer_to(await reader.readline()))
            await writer.drain()
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    udp = udp_socket(arguments.address)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    udp.bind((arguments.address, arguments.port))
    await loop.create_datagram_endpoint(UdpServer, sock=udp)
    server = await asyncio.start_server(
        on_connection, arguments.address, arguments.port, backlog=4096
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


def ask_udp(arguments):
    """One datagram from each source port, in order; prints the ports that were answered rightly."""
    answered = []
    for port in arguments.ports:
        time.sleep(0.003)  # the NAT's clock counts milliseconds
        with udp_socket(arguments.address) as udp:
            if arguments.no_checksum:
                udp.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            udp.bind(("", port))
            udp.connect((arguments.address, arguments.port))
            udp.settimeout(arguments.timeout)
            question = f"{arguments.name} {port} {secrets.token_hex(8)}".encode()
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
        time.sleep(0.02)


def port_list(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["serve", "connections", "udp", "flood"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--name", default="")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--ports", type=port_list, default=range(0))
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
    else:
        flood(arguments)


if __name__ == "__main__":
    main()
