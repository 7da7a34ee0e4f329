#!/usr/bin/env python3
"""Draws the exchanges in docs/ as ladders: time runs down, the client is on the left, the server on the right.

    scripts/ladders.py            writes docs/picture.svg and its smaller sisters
    scripts/ladders.py FOLDER     writes them there

A ladder is a list of rungs from top to bottom, see LADDERS. Only the standard library is needed.
"""

import sys
from html import escape
from pathlib import Path

WIDTH = 900
CLIENT, SERVER = 162, 706  # the lifelines
FIRST, STEP, FALL = 118, 62, 16  # the first rung, one rung to the next, how far a message sinks on its way
HELD = 0.40  # where on its way a message is lost or held up, and (from the other end) where it goes on

AGAIN = ["again"]  # stands below the bracket of the time-out
INK, NOTE, LINE = "#1f2937", "#4b5563", "#cbd5e1"
THERE, BACK, LOST, LATE = "#1d4ed8", "#047857", "#dc2626", "#b45309"

STYLE = """
text { fill: %s; font: 19px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.said { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.said { text-anchor: middle; }
.who { font-size: 22px; font-weight: 600; text-anchor: middle; }
.note { fill: %s; }
.left { text-anchor: end; }
.middle { text-anchor: middle; }
line, path, circle { stroke-linecap: round; stroke-linejoin: round; fill: none; }
""" % (INK, NOTE)


class Ladder:
    """One picture. Every method that adds a rung returns where it begins, for `timeout`."""

    def __init__(self, title):
        self.title = title
        self.y = FIRST
        self.shapes = []

    # -- rungs

    def there(self, said, left=(), right=(), fate="arrives"):
        """A message of the client."""
        return self._message(said, CLIENT, SERVER, THERE, left, right, fate)

    def back(self, said, left=(), right=(), fate="arrives"):
        """A message of the server."""
        return self._message(said, SERVER, CLIENT, BACK, left, right, fate)

    def pause(self, words):
        """Something that is not drawn message by message."""
        self._text(words, (CLIENT + SERVER) / 2, self.y, "note middle")
        self.y += STEP * 0.85

    def gap(self, share=0.4):
        """Time passes."""
        self.y += STEP * share

    def timeout(self, top, bottom):
        """A bracket beside the client's line, from one of its messages to the next."""
        x = CLIENT - 12
        self._path(f"M{x} {top:g} h-10 V{bottom:g} h10", LOST, width=2)
        self._text("time-out", x - 20, (top + bottom) / 2 + 6, "left", LOST)

    # -- the parts of a rung

    def _message(self, said, start, end, colour, left, right, fate):
        top = self.y
        ahead = 1 if end > start else -1

        def at(share):
            return start + (end - start) * share, top + FALL * share

        if fate == "arrives":
            self._arrow(at(0), at(1), ahead, colour)
        elif fate == "lost":
            self._line(at(0), at(1 - HELD), LOST)
            self._cross(at(1 - HELD), ahead)
        elif fate == "held up":
            self._line(at(0), at(HELD), LATE)
            self._clock(at(HELD), ahead, "held up on the way", behind=False)
        elif fate == "late":
            self._arrow(at(1 - HELD), at(1), ahead, LATE)
            self._clock(at(1 - HELD), ahead, "late", behind=True)
        self._text(said, (start + end) / 2, top + FALL / 2 - 18, "said")
        self._note(left, CLIENT - 20, top + (FALL if start == SERVER else 18 if left == AGAIN else 0), "note left")
        self._note(right, SERVER + 20, top + (0 if start == SERVER else FALL), "note")
        self.y += STEP
        return top

    def _note(self, lines, x, y, kind):
        for index, words in enumerate(lines):
            self._text(words, x, y + 6 + 23 * (index - (len(lines) - 1) / 2), kind)

    def _arrow(self, start, end, ahead, colour):
        (x, y) = end
        self._line(start, (x - 5 * ahead, y), colour)
        self._path(f"M{x - 14 * ahead:g} {y - 7:g} L{x - 3 * ahead:g} {y:g} L{x - 14 * ahead:g} {y + 7:g}", colour)

    def _cross(self, centre, ahead):
        (x, y) = centre
        self._path(f"M{x - 9:g} {y - 9:g} l18 18 m0 -18 l-18 18", LOST, width=4)
        self._beside("lost", x, y, ahead, LOST)

    def _clock(self, centre, ahead, words, behind):
        (x, y) = centre
        circle = f'cx="{x:g}" cy="{y:g}" r="10" stroke="{LATE}" stroke-width="2.5" style="fill:#fff"'
        self.shapes.append(f"<circle {circle}/>")
        self._path(f"M{x:g} {y - 6:g} v6 l4 3", LATE, width=2)
        self._beside(words, x, y, -ahead if behind else ahead, LATE)

    def _beside(self, words, x, y, side, colour):
        self._text(words, x + 20 * side, y + 8, "left" if side < 0 else "", colour)

    # -- ink

    def _line(self, start, end, colour):
        (x1, y1), (x2, y2) = start, end
        self._path(f"M{x1:g} {y1:g} L{x2:g} {y2:g}", colour)

    def _path(self, path, colour, width=2.5):
        self.shapes.append(f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>')

    def _text(self, words, x, y, kind="", colour=""):
        attributes = (f' class="{kind}"' if kind else "") + (f' style="fill:{colour}"' if colour else "")
        self.shapes.append(f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>')

    def svg(self):
        height = round(self.y)
        ends = []
        for x, who in ((CLIENT, "client"), (SERVER, "server")):
            ends += [
                f'<line x1="{x}" y1="62" x2="{x}" y2="{height - 26}" stroke="{LINE}" stroke-width="2.5"/>',
                f'<rect x="{x - 60}" y="22" width="120" height="40" rx="20" fill="#f1f5f9" stroke="{LINE}"/>',
                f'<text x="{x}" y="49" class="who">{who}</text>',
            ]
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
            f' viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(self.title)}</title>',
            f"<style>{STYLE}</style>",
            f'<rect x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="18" fill="#fff" stroke="{LINE}"/>',
            *ends,
            *self.shapes,
            "</svg>",
            "",
        ])


# The picture in tests/fixtures: 110 chunks of 1383 bytes, the last one shorter.
SEQ = 1215752192
NAME, SIZE, BUFSIZE, DIGEST = "pigeon.jpg", 151234, 1400, "ff96…"


def start():
    return f"s | {SEQ} | {NAME} | 0…{SIZE}"


def start_ack():
    return f"a | {SEQ + 1} | {BUFSIZE} | homing/1 checked"


def data(n):
    return f"d | {SEQ + n} | <{chunk()} bytes>"


def ack(n):
    """Acknowledges the n-th chunk by naming the number after it."""
    return f"a | {SEQ + n + 1}"


def chunk():
    return BUFSIZE - len(f"d | {SEQ} | ")


def chunks():
    return -(-SIZE // chunk())


def picture():
    ladder = Ladder("A file crosses a lossy network: a chunk is lost and sent again, a checksum ends the exchange.")
    ladder.there(start())
    ladder.back(start_ack())
    ladder.there(data(1), right=["stored"])
    ladder.back(ack(1))
    first = ladder.there(data(2), fate="lost")
    ladder.gap()
    again = ladder.there(data(2), left=AGAIN, right=["stored"])
    ladder.timeout(first, again)
    ladder.back(ack(2))
    ladder.pause(f"⋮   {chunks() - 2} more chunks, each acknowledged   ⋮")
    end = chunks() + 1
    checksum = f"c | {SEQ + end} | sha256:{DIGEST} | start:51ab…"
    ladder.there(checksum, right=["checksum right:", "the file appears", "under its name"])
    ladder.back(ack(end), left=["done"])
    return ladder


def lost_start():
    ladder = Ladder("The start is lost: the client sends the same start again after its time-out.")
    first = ladder.there(start(), fate="lost")
    ladder.gap()
    again = ladder.there(start(), left=AGAIN, right=["the transfer", "begins"])
    ladder.timeout(first, again)
    ladder.back(start_ack())
    ladder.there(data(1), right=["stored"])
    ladder.back(ack(1))
    return ladder


def lost_ack():
    ladder = Ladder("An acknowledgement is lost: the chunk comes again, is answered again and stored only once.")
    first = ladder.there(data(1), right=["stored"])
    ladder.back(ack(1), fate="lost")
    ladder.gap()
    again = ladder.there(data(1), left=AGAIN, right=["seen before:", "not stored,", "but answered"])
    ladder.timeout(first, again)
    ladder.back(ack(1))
    ladder.there(data(2), right=["stored"])
    ladder.back(ack(2))
    return ladder


def delayed_duplicate():
    ladder = Ladder("Late messages: the server is silent about an old chunk, the client about an old acknowledgement.")
    first = ladder.there(data(1), fate="held up")
    ladder.gap()
    again = ladder.there(data(1), left=AGAIN, right=["stored"])
    ladder.timeout(first, again)
    ladder.back(ack(1))
    ladder.there(data(2), right=["stored"])
    ladder.back(ack(2))
    ladder.there(data(1), right=["an old chunk:", "silence"], fate="late")
    ladder.gap()
    first = ladder.there(data(3), right=["stored"])
    ladder.back(ack(3), fate="held up")
    ladder.gap()
    again = ladder.there(data(3), left=AGAIN, right=["seen before:", "only answered"])
    ladder.timeout(first, again)
    ladder.back(ack(3))
    ladder.there(data(4), right=["stored"])
    ladder.back(ack(3), left=["not awaited:", "nothing is", "sent again"], fate="late")
    ladder.back(ack(4))
    return ladder


LADDERS = {
    "picture.svg": picture,
    "lost-start.svg": lost_start,
    "lost-ack.svg": lost_ack,
    "delayed-duplicate.svg": delayed_duplicate,
}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "docs"
    for name, draw in LADDERS.items():
        (folder / name).write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
