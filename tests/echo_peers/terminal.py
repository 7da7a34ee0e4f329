"""Types at a program on a terminal of its own: terminal.py CASE PROGRAM ARGUMENTS... Ends with 0 if it saw what it should."""

import os
import pty
import signal
import sys
import termios
import time
from typing import NoReturn

PATIENCE_S = 20.0


class Terminal:
    """A program, the keys that are typed at it, and everything that it showed."""

    def __init__(self, command: list[str]) -> None:
        self.shown = b""
        own, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.own = own
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(theirs)
            os.environ["TERM"] = "xterm"
            os.execv(command[0], command)

    def press(self, keys: bytes) -> None:
        os.write(self.own, keys)

    def await_text(self, text: bytes) -> None:
        """Reads until this is shown; what was shown before it is not looked at again."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            if time.monotonic() > deadline:
                self.fail(f"{text!r} was not shown")
            os.set_blocking(self.own, False)
            try:
                self.shown += os.read(self.own, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        self.shown = self.shown[self.shown.index(text) + len(text) :]

    def end(self, code: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                if os.waitstatus_to_exitcode(status) != code:
                    self.fail(f"it ended with {os.waitstatus_to_exitcode(status)}")
                if termios.tcgetattr(self.theirs) != self.before:
                    self.fail("the terminal is not as it was")
                return
            time.sleep(0.01)
        self.fail("it does not end")

    def fail(self, why: str) -> NoReturn:
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"{why}; the rest is {self.shown!r}")


def main() -> None:
    case, *command = sys.argv[1:]
    terminal = Terminal(command)
    terminal.await_text(b"> ")
    match case:
        case "history":
            terminal.press(b"hellx\x7fo\r")
            terminal.await_text(b"1:ACK:hello  (")
            terminal.await_text(b"> ")
            terminal.press(b"\x1b[A!\r")
            terminal.await_text(b"2:ACK:hello!  (")
            terminal.await_text(b"> ")
            terminal.press(b"\x04")
            terminal.await_text(b"2 messages, 2 answered")
            terminal.end(0)
        case "quit":
            terminal.press(b"quit\r")
            terminal.end(0)
        case "interrupt":
            terminal.press(b"half\x03")
            terminal.end(130)
        case "terminate":
            terminal.press(b"half")
            terminal.await_text(b"half")
            os.kill(terminal.pid, signal.SIGTERM)
            terminal.end(143)
        case "interrupt-waiting":
            terminal.press(b"hello\r")
            time.sleep(0.5)
            terminal.press(b"\x03")
            terminal.end(130)
        case "chat":
            terminal.press(b"half a li")
            terminal.await_text(b"half a li")
            print("half a line is typed", flush=True)
            terminal.await_text(b"bob (1) wants to talk: accept or reject")
            terminal.await_text(b"> half a li")
            terminal.press(b"\x15acc\t\r")
            terminal.await_text(b"connected with bob")
            terminal.press(b"send hello bob\r")
            terminal.await_text(b"bob: hello alice")
            terminal.press(b"\x04")
            terminal.await_text(b"you have left")
            terminal.end(0)


if __name__ == "__main__":
    main()
