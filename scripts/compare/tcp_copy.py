"""Copies one file over TCP, as plainly as can be: for machines without socat.

Usage: tcp_copy.py receive PORT FILE, then tcp_copy.py send HOST PORT FILE. The receiver ends when the file has come.
"""

import socket
import sys

BLOCK_BYTES = 262144


def receive(port, path):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(port)))
    listener.listen(1)
    connection, _ = listener.accept()
    buffer = bytearray(BLOCK_BYTES)
    with connection, open(path, "wb") as file:
        while count := connection.recv_into(buffer):
            file.write(memoryview(buffer)[:count])


def send(host, port, path):
    with socket.create_connection((host, int(port))) as connection, open(path, "rb") as file:
        connection.sendfile(file)


{"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
