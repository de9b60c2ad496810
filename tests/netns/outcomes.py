#!/usr/bin/python3
"""What becomes of a question from each source port, in order: "answered", or the name of the error."""

import argparse
import errno
import socket
import sys

import traffic


def socket_for(arguments):
    family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if arguments.protocol == "tcp" else socket.SOCK_DGRAM)


def outcome(arguments, port):
    question = f"{port}\n".encode()
    with socket_for(arguments) as client:
        client.settimeout(10)
        client.bind(("", port))
        try:
            client.connect((arguments.address, arguments.port))
            client.send(question)
            seen = client.recv(2048)
        except socket.timeout:
            return "silence"
        except OSError as error:
            return errno.errorcode[error.errno]
    return "answered" if seen == traffic.answer_to(question) else sys.exit(f"{port}: {seen!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=["tcp", "udp"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("ports", type=traffic.port_list)
    parser.add_argument("--only-send", action="store_true", help="a datagram from each, not waiting for anything")
    arguments = parser.parse_args()
    if not arguments.only_send:
        print(*(outcome(arguments, port) for port in arguments.ports))
        return
    for port in arguments.ports:
        with socket_for(arguments) as client:
            client.bind(("", port))
            client.sendto(b"question", (arguments.address, arguments.port))


if __name__ == "__main__":
    main()
