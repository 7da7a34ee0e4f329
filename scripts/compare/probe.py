"""Measures round trips beside a transfer with small UDP datagrams, and answers them at the other end."""

import socket
import struct
import threading
import time

INTERVAL_SECONDS = 0.05
# Before the transfer begins, for the round trip of the empty link.
ALONE_SECONDS = 0.5


def start_echo(port):
    """Sends back every datagram that comes to a port, in a thread of its own."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("0.0.0.0", port))

    def answer():
        while True:
            datagram, address = listener.recvfrom(64)
            listener.sendto(datagram, address)

    threading.Thread(target=answer, daemon=True).start()


class Prober(threading.Thread):
    """Asks again and again, and keeps (moment of the question, round trip) in seconds."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((address, port))
        self.samples = []
        self.over = False

    def run(self):
        threading.Thread(target=self.listen, daemon=True).start()
        while not self.over:
            try:
                self.socket.send(struct.pack("!d", time.monotonic()))
            except OSError:
                pass
            time.sleep(INTERVAL_SECONDS)

    def listen(self):
        while not self.over:
            try:
                (sent,) = struct.unpack("!d", self.socket.recv(64))
            except OSError:
                continue
            self.samples.append([sent, time.monotonic() - sent])

    def stop(self):
        self.over = True
        return self.samples
