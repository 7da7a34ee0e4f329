"""What every client shares: whom it talks to, how it speaks to its user, and when it gives up for good."""

import time
from dataclasses import dataclass
from pathlib import Path

from wire import Address, Gone, Say, Wire

# Only for originals that would wait for ever; a test must end.
GAVE_UP = 3


@dataclass
class Call:
    """One transfer as the user asked for it."""

    wire: Wire
    server: Address
    local: Path
    remote: str
    say: Say
    deadline: float

    def send(self, data: bytes) -> None:
        self.wire.send(data, self.server)

    def recv(self, size: int, wait_s: float | None) -> tuple[bytes, Address] | None:
        """None is a time-out; a wait without end is cut at the deadline of the whole call."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Gone(GAVE_UP, "gave up: this call has lasted too long")
        heard = self.wire.recv(size, left if wait_s is None else min(wait_s, left))
        if heard is None and wait_s is None:
            raise Gone(GAVE_UP, "gave up: no answer, and no timer")
        return heard
