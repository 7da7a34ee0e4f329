"""The known servers of the three message exercises, as their authors wrote them: server.py KIND."""

import socket
import sys

LOOPBACK = "127.0.0.1"
BUFFER = 1024


def sequenced(sock: socket.socket, deaf_to: int) -> None:
    """Splits at the first colon, takes a number for a number, notes duplicates and answers them all the same."""
    seen: set[tuple[tuple[str, int], int]] = set()
    heard = 0
    while True:
        data, address = sock.recvfrom(BUFFER)
        heard += 1
        if deaf_to and heard % deaf_to == 1:
            continue
        try:
            number, payload = data.decode().split(":", 1)
            seq = int(number)
        except ValueError:
            print(f"malformed: {data!r}", flush=True)
            continue
        if (address, seq) in seen:
            print(f"duplicate {seq}", flush=True)
        else:
            seen.add((address, seq))
            print(f"message {seq}: {payload}", flush=True)
        sock.sendto(f"{seq}:ACK:{payload}".encode(), address)


def echo(sock: socket.socket, before: bytes, behind: bytes) -> None:
    while True:
        data, address = sock.recvfrom(BUFFER)
        sock.sendto(before + data + behind, address)


def acknowledge(sock: socket.socket) -> None:
    """Strict about UTF-8: other bytes kill it."""
    while True:
        data, address = sock.recvfrom(BUFFER)
        sock.sendto(f"Server acknowledges: {data.decode('utf-8')}".encode(), address)


def shout(sock: socket.socket) -> None:
    """Acknowledges with another text, and with what a terminal would obey."""
    while True:
        data, address = sock.recvfrom(BUFFER)
        seq, payload = data.decode().split(":", 1)
        sock.sendto(f"{seq}:ACK:{payload.upper()}\x1b]0;owned\x07\x1b[2J".encode(), address)


def main() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 0))
    print(f"listening on {LOOPBACK}:{sock.getsockname()[1]}", flush=True)
    match sys.argv[1]:
        case "sequenced":
            sequenced(sock, 0)
        case "sequenced-deaf":
            sequenced(sock, 3)
        case "echo":
            echo(sock, b"", b"")
        case "echo-colon":
            echo(sock, b"Echo: ", b"")
        case "echo-hello":
            echo(sock, b"Hello, ", b"!")
        case "acknowledge":
            acknowledge(sock)
        case "shout":
            shout(sock)
        case kind:
            sys.exit(f"no such server: {kind}")


if __name__ == "__main__":
    main()
