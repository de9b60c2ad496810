"""Clients of the control socket that do not behave, and a daemon that does not.

control.py nonsense SOCKET          requests that make no sense: each must be refused with one line
control.py gone SOCKET              clients that go away at any moment
control.py slow SOCKET              asks for the sessions, reads nothing until the daemon gives up, prints the rest
control.py list SOCKET COMMAND      prints an answer as it comes
control.py answer SOCKET TEXT       answers one client with TEXT, in which \\n ends a line
"""

import json
import os
import select
import socket
import sys


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(path)
    return client


def rest(client):
    taken = b""
    try:
        while piece := client.recv(65536):
            taken += piece
    except ConnectionResetError:  # it was closed with something of ours unread
        pass
    return taken


def ask(path, request):
    with connect(path) as client:
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        return rest(client)


def nonsense(path):
    for request in [
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"command":1}\n',
        b'{"command":"no\\u0000such"}\n',
        b'{"command":"\xff\xfe"}\n',
        b'{"command":"sessions","state":"free"}\n',
        b'{"command":"sessions","remote":["10.0.0.2"]}\n',
        b'{"command":"flush","namespace":"nobody"}\n',
        b'{"command":"flush","idle":null}\n',
        b'{"command":"namespaces","used":1}\n',
        b'{"command":"watch","events":"nothing"}\n',
        b'{"command":"watch","idle":"5m"}\n',
        b"\0" * 100 + b"\n",
        b"[" * 4000 + b"\n",
        b'{"command":' * 370 + b"\n",
        b'{"command":"status"',
        b"x" * 4096 + b"\n",
        b"x" * 4097 + b"\n",
    ]:
        answer = ask(path, request)
        assert answer.endswith(b"\n") and answer.count(b"\n") == 1, (request[:40], answer)
        assert json.loads(answer)["ok"] is False, (request[:40], answer)
    ask(path, b"x" * 1_000_000)


def gone(path):
    for request in [b"", b'{"comm', b'{"command":"metrics"}\n', b'{"command":"sessions"}\n'] * 25:
        with connect(path) as client:
            client.sendall(request)
            if request.endswith(b"\n"):
                client.recv(10)


def slow(path):
    with connect(path) as client:
        client.sendall(b'{"command":"sessions"}\n')
        end = select.poll()
        end.register(client, 0)  # told by itself: the other side is closed
        assert end.poll(30_000), "the daemon does not give up"
        sys.stdout.buffer.write(rest(client))


def answer(path, text):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    client, _ = server.accept()
    os.unlink(path)
    client.recv(4096)
    client.sendall(text.replace("\\n", "\n").encode())
    client.close()


def main():
    command, path, *more = sys.argv[1:]
    if command == "list":
        request = json.dumps({"command": more[0]}).encode() + b"\n"
        sys.stdout.buffer.write(ask(path, request))
    else:
        {"nonsense": nonsense, "gone": gone, "slow": slow, "answer": answer}[command](path, *more)


main()
