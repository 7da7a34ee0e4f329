"""The known clients of the three message exercises, as their authors wrote them: client.py KIND HOST:PORT MESSAGE..."""

import socket
import sys

BUFFER = 65535
TIMEOUT_S = 2.0
ATTEMPTS = 2


def sequenced(sock: socket.socket, server: tuple[str, int], messages: list[str]) -> None:
    """Counts from 1, waits two seconds, sends twice at most; the number goes on after giving up."""
    sock.settimeout(TIMEOUT_S)
    for seq, message in enumerate(messages, start=1):
        for _ in range(ATTEMPTS):
            sock.sendto(f"{seq}:{message}".encode(), server)
            try:
                reply = sock.recvfrom(BUFFER)[0].decode()
            except TimeoutError:
                continue
            if reply.startswith(f"{seq}:ACK:"):
                print(f"reply: {reply}")
                break
        else:
            print(f"no acknowledgement of {seq}")


def plain(sock: socket.socket, server: tuple[str, int], messages: list[str]) -> None:
    """Sends whatever was typed and prints whatever comes."""
    sock.settimeout(TIMEOUT_S)
    for message in messages:
        sock.sendto(message.encode("utf-8", "surrogateescape"), server)
        print(f"reply: {sock.recvfrom(BUFFER)[0].decode('utf-8', 'backslashreplace')}")


def main() -> None:
    kind, target, *messages = sys.argv[1:]
    host, port = target.rsplit(":", 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    (sequenced if kind == "sequenced" else plain)(sock, (host, int(port)), messages)


if __name__ == "__main__":
    main()
