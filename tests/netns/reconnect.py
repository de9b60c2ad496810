#!/usr/bin/python3
"""TCP ends that lose their connections, and clients that come back from the same port.

reconnect.py serve ADDRESS PORT            echoes one message of each connection, or loses it
reconnect.py ask SOURCE ADDRESS PORT WORD  from port SOURCE; WORD:
  talk    is echoed, then both ends close
  vanish  is echoed, then the client alone loses the connection, without a packet
  lose    is echoed, then both ends do
  try     gives up when nobody answers the first SYN
"""

import fcntl
import socket
import sys
import termios
import threading
import time

TCP_REPAIR = 19
PATIENCE = 20


def forget(connection):
    """Closes without telling the other end."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    connection.close()


def unacknowledged(connection):
    size = bytearray(4)
    fcntl.ioctl(connection, termios.TIOCOUTQ, size)
    return int.from_bytes(size, sys.byteorder)


def answer(connection):
    try:
        word = connection.recv(100)
        connection.sendall(word)
        if word == b"lose":
            while unacknowledged(connection):
                time.sleep(0.01)
            forget(connection)
        else:
            connection.recv(100)
            connection.close()
    except ConnectionError:
        connection.close()


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, int(port)), family=family) as server:
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()


def ask(source, address, port, word):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("", int(source)))
    client.settimeout(0.5 if word == "try" else PATIENCE)
    try:
        client.connect((address, int(port)))
    except TimeoutError:
        print("no answer")
        return
    client.sendall(word.encode())
    print("echoed" if client.recv(100) == word.encode() else "not echoed")
    if word == "talk":
        client.shutdown(socket.SHUT_WR)
        client.recv(100)
        client.close()
    else:
        # What came is acknowledged before, or it would be sent again, and reset.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        forget(client)


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
