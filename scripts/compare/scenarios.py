"""What is compared: the links, the sizes, and who runs at the same time."""

import os
from dataclasses import dataclass, field, replace

import measures

MB = 1_000_000
MBIT = 1_000_000


@dataclass(frozen=True)
class Link:
    """An emulated link; both directions have the same properties."""

    rate: int  # bit/s
    rtt: float  # seconds, there and back
    loss: float = 0.0  # of each packet, 0 to 1
    queue: int = 0  # bytes that wait for the rate; 0: one bandwidth-delay product, at least 64 kB
    burst: tuple = ()  # Gilbert-Elliott: chance to enter and to leave a burst, in which all is lost
    jitter: float = 0.0  # seconds, one way, up to so much less or more
    duplicates: float = 0.0  # of each packet, 0 to 1

    @property
    def mean_loss(self):
        return measures.mean_burst_loss(*self.burst) if self.burst else self.loss

    @property
    def deliverable(self):
        """Mbit/s."""
        return measures.deliverable(self.rate, self.mean_loss)

    def clean(self):
        """The same link without loss, jitter and duplicates."""
        return replace(self, loss=0.0, burst=(), jitter=0.0, duplicates=0.0)

    def arguments(self):
        """As the emulator takes them."""
        words = ["--rate", f"{self.rate}bit", "--delay", f"{round(self.rtt / 2 * 1e6)}us"]
        if self.loss:
            words += ["--loss", f"{self.loss * 100:g}%"]
        if self.queue:
            words += ["--queue", str(self.queue)]
        if self.burst:
            words += ["--burst", ",".join(f"{chance * 100:g}%" for chance in self.burst)]
        if self.jitter:
            words += ["--jitter", f"{round(self.jitter * 1e6)}us"]
        if self.duplicates:
            words += ["--dup", f"{self.duplicates * 100:g}%"]
        return words

    def words(self):
        """As people read them."""
        rate = self.rate / MBIT
        parts = [f"{rate / 1000:g} Gbit/s" if rate >= 1000 else f"{rate:g} Mbit/s", f"RTT {self.rtt * 1000:g} ms"]
        if self.burst:
            parts.append("bursts of loss {:g} % / {:g} %".format(*(chance * 100 for chance in self.burst)))
        else:
            parts.append(f"loss {self.loss * 100:g} %")
        if self.queue:
            parts.append(f"queue {self.queue / 1000:g} kB")
        if self.jitter:
            parts.append(f"jitter ±{self.jitter * 1000:g} ms one way")
        if self.duplicates:
            parts.append(f"duplicates {self.duplicates * 100:g} %")
        return ", ".join(parts)


@dataclass(frozen=True)
class Scenario:
    """One section of the table.

    kind "alone": each tool by itself. "queue": the same, with probes of the round trip beside it. "together": the
    variants, each a list of (tool, seconds after which it starts), for `cutoff` seconds. "loopback": without a link.
    """

    name: str
    kind: str
    size: int  # bytes
    cutoff: float  # seconds
    link: Link = None
    variants: dict = field(default_factory=dict)
    files: int = 1
    tools: tuple = ()  # empty: all

    def title(self):
        if self.kind == "loopback":
            what = f"{self.files} files, {self.size / MB:g} MB in all" if self.files > 1 else f"{self.size / MB:g} MB"
            return f"loopback, memory to memory, {what}"
        return f"{self.link.words()}" if self.kind == "together" else f"{self.link.words()}, {self.size / MB:g} MB"


def buffer_of(rate, rtt, products):
    """Bytes of so many bandwidth-delay products."""
    return round(rate * rtt / 8 * products)


def all_scenarios():
    """By name, in the order in which they run."""
    line = Link(100 * MBIT, 0.1)
    scenarios = [
        Scenario(f"loss-{name}", "alone", 100 * MB, 40, replace(line, loss=loss))
        for name, loss in (("0", 0.0), ("0.1", 0.001), ("1", 0.01), ("5", 0.05), ("10", 0.1))
    ]
    scenarios += [
        Scenario("slow", "alone", 20 * MB, 40, Link(20 * MBIT, 0.3, 0.02)),
        Scenario("gigabit-0.1", "alone", 300 * MB, 20, Link(1000 * MBIT, 0.05, 0.001)),
        Scenario("gigabit-1", "alone", 300 * MB, 20, Link(1000 * MBIT, 0.05, 0.01)),
        Scenario("long", "alone", 300 * MB, 120, Link(100 * MBIT, 1.0, 0.05)),
        Scenario("shallow", "alone", 100 * MB, 40, Link(100 * MBIT, 0.04, queue=65536)),
        Scenario("bursts", "alone", 100 * MB, 40, replace(line, burst=(0.005, 0.2))),
        # Up to half of the round trip less or more, in each direction.
        Scenario("jitter", "alone", 100 * MB, 40, replace(line, jitter=0.05, duplicates=0.01)),
    ]
    scenarios += together()
    scenarios += [
        Scenario(
            f"queue-{round(rtt * 1000)}",
            "queue",
            100 * MB,
            40,
            Link(100 * MBIT, rtt, queue=buffer_of(100 * MBIT, rtt, 4)),
            tools=("homing", "homing-background", "tcp-bbr", "tcp-cubic", "qcp"),
        )
        for rtt in (0.02, 0.1)
    ]
    scenarios += [
        Scenario("loopback-file", "loopback", 1 << 30, 60, tools=LOOPBACK_TOOLS),
        Scenario("loopback-files", "loopback", 10_000 * FILE_BYTES, 60, files=10_000, tools=LOOPBACK_TOOLS),
    ]
    return {scenario.name: scenario for scenario in scenarios}


def together():
    """Flows that share a link whose queue is one bandwidth-delay product."""
    shared = Link(100 * MBIT, 0.04, queue=buffer_of(100 * MBIT, 0.04, 1))
    # More than can pass until the cut-off, so that all run until then.
    size, cutoff = 400 * MB, 28
    variants = {
        "fairness": {
            "homing first": [("homing", 0), ("tcp-cubic", LATER_SECONDS)],
            "TCP first": [("tcp-cubic", 0), ("homing", LATER_SECONDS)],
        },
        "four": {"four at once": [("homing", 0)] * 4},
        "background": {
            "TCP alone": [("tcp-cubic", 0)],
            "TCP first, background beside it": [("tcp-cubic", 0), ("homing-background", LATER_SECONDS)],
        },
    }
    return [Scenario(name, "together", size, cutoff, shared, cases) for name, cases in variants.items()]


def write_source(path, scenario):
    """Random bytes as one file, or as files of the same size, a hundred in a folder."""
    if scenario.files == 1:
        with open(path, "wb") as file:
            for begin in range(0, scenario.size, BLOCK_BYTES):
                file.write(os.urandom(min(BLOCK_BYTES, scenario.size - begin)))
        return
    for index in range(scenario.files):
        folder = os.path.join(path, f"{index // 100:03}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{index:06}"), "wb") as file:
            file.write(os.urandom(FILE_BYTES))


BLOCK_BYTES = 1 << 20
FILE_BYTES = 4096
# A name that stands for several.
GROUPS = {"loopback": ("loopback-file", "loopback-files"), "queue": ("queue-20", "queue-100")}
LOOPBACK_TOOLS = ("homing", "scp", "rsync", "qcp", "cp")
LATER_SECONDS = 3
