#!/usr/bin/python3
"""Runs a program at a terminal of its own, and types lines once it has said something.

at_terminal.py SAID LINE,LINE… PROGRAM ARGUMENT…: prints what the terminal shows; exits with the program's status.
"""

import os
import pty
import sys


def main():
    said, lines, command = sys.argv[1].encode(), sys.argv[2].split(","), sys.argv[3:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown = b""
    while True:
        try:
            some = os.read(terminal, 4096)
        except OSError:  # nobody has the other end any more
            break
        if not some:
            break
        shown += some
        if lines and said in shown:
            for line in lines:
                os.write(terminal, line.encode() + b"\n")
            lines = []
    sys.stdout.buffer.write(shown)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
