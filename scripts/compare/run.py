"""One run: one or several flows over one link, from fresh folders to numbers."""

import json
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys

import measures
import probe
from tools import GRACE_SECONDS, Place

HERE = os.path.dirname(os.path.abspath(__file__))
# Addresses of the sender and the receiver on the emulated link, as the emulator gives them.
SENDER, RECEIVER = "10.77.0.1", "10.77.0.2"
FIRST_PORT = 23000
PROBE_PORT = 22999
# The emulator and both sides may need so long beside the cut-off; then the emulator ends the run.
MARGIN_SECONDS = 30
# 64 MB: a bandwidth-delay product of 1 Gbit/s and half a second; the smaller two are Linux's own.
TCP_MEMORY = ("net.ipv4.tcp_wmem=4096 16384 67108864", "net.ipv4.tcp_rmem=4096 131072 67108864")
# A segment on a path of 1500 bytes with time stamps (RFC 7323).
SEGMENT_BYTES = 1448


class Failed(Exception):
    """The run came to nothing; the text says why."""


class Run:
    """What is needed for one run; `flows` are (tool's name, tool, seconds after which it starts)."""

    def __init__(self, folder, source, scenario, flows, cutoff):
        self.folder, self.source, self.scenario, self.cutoff = folder, source, scenario, cutoff
        self.flows = flows
        self.names = [f"{index}-{name}" for index, (name, _, _) in enumerate(flows)]
        self.places = []

    def measure(self, emulator):
        """Runs it, over the emulator if there is a link, and returns what came out."""
        os.mkdir(self.folder)
        try:
            server, client = self.write_specs()
            link_report = {}
            if self.scenario.link is None:
                self.run_here(server, client)
            else:
                link_report = self.run_over(emulator, server, client)
            return self.judge(link_report)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    # ---- What the two sides are told.

    def write_specs(self):
        link = self.scenario.link
        spec = {
            "server": {"flows": [], "stop_when": self.path("all.done"), "report": self.path("server.json")},
            "client": {"flows": [], "all_done": self.path("all.done"), "report": self.path("client.json"), "ready": []},
        }
        for index, (name, (tool_name, tool, start)) in enumerate(zip(self.names, self.flows)):
            place = self.make_place(index, name, link)
            tool.prepare(place)
            self.places.append(place)
            server, ready, done = tool.server(place), self.path(f"{name}.ready"), self.path(f"{name}.done")
            if server:
                flow = {"name": name, "command": server, "log": self.path(f"{name}.server.log"), "done": done}
                # Homing's server ends by itself; it may take a moment.
                flow |= {"kind": tool.kind, "port": place.port, "ready": ready, "grace": 2 if tool.events else GRACE_SECONDS}
                flow |= {"watch": None if place.tree or tool.events else place.root}
                spec["server"]["flows"].append(flow)
                spec["client"]["ready"].append(ready)
            flow = {"name": name, "command": tool.client(place), "log": self.path(f"{name}.client.log")}
            flow |= {"start": start, "events": tool.events, "cutoff": max(1, self.cutoff - start)}
            flow |= {"wait_for": done if tool.ends_with_receiver else None}
            spec["client"]["flows"].append(flow)
        if self.scenario.kind == "queue":
            spec["server"]["probe_echo"] = PROBE_PORT
            spec["client"]["probe"] = [RECEIVER, PROBE_PORT]
        commands = []
        for side, content in spec.items():
            with open(self.path(f"{side}.spec"), "w", encoding="utf-8") as file:
                json.dump(content, file)
            commands.append([sys.executable, os.path.join(HERE, "side.py"), self.path(f"{side}.spec")])
        return commands

    def make_place(self, index, name, link):
        root, scratch = self.path(f"{name}.received"), self.path(f"{name}.scratch")
        os.mkdir(root)
        os.mkdir(scratch, 0o700)
        return Place(
            address=RECEIVER if link else "127.0.0.1",
            own_address=SENDER if link else "127.0.0.1",
            port=FIRST_PORT + index if link else free_port(),
            source=self.source,
            root=root,
            scratch=scratch,
            tree=self.scenario.files > 1,
            rate=link.rate if link else 0,
            rtt=link.rtt if link else 0,
        )

    # ---- How they are run.

    def run_here(self, server, client):
        with open(self.path("log"), "ab") as log:
            receiver = subprocess.Popen(server, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            sender = subprocess.Popen(client, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                sender.wait(self.cutoff + MARGIN_SECONDS)
                receiver.wait(MARGIN_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failed("a side did not end") from None
            finally:
                end([sender, receiver])

    def run_over(self, emulator, server, client):
        congestion = {tool.congestion for _, tool, _ in self.flows if tool.congestion}
        settings = [*TCP_MEMORY, *(f"net.ipv4.tcp_congestion_control={name}" for name in congestion)]
        timeout = self.cutoff + MARGIN_SECONDS
        return emulator.run(self.scenario.link, settings, server, client, timeout, self.path("log"), self.path("link.json"))

    # ---- What came of it.

    def judge(self, link_report):
        sides = {}
        for side in ("client", "server"):
            try:
                with open(self.path(f"{side}.json"), encoding="utf-8") as file:
                    sides[side] = json.load(file)
            except (OSError, ValueError):
                raise Failed(f"nothing from the {side}'s side: {last_words(self.path('log'))}") from None
        growths = {flow["name"]: flow["growth"] for flow in sides["server"]["flows"]}
        result = {"flows": [], "emulator": link_report}
        for name, place, (tool_name, tool, _), client in zip(
            self.names, self.places, self.flows, sides["client"]["flows"]
        ):
            result["flows"].append(self.judge_flow(name, place, tool_name, tool, client, growths, sides["client"]))
        for side, report in sides.items():
            result[f"{side}_cpu_seconds"] = report["cpu_seconds"]
            result[f"{side}_peak_rss_mb"] = report["peak_rss_kib"] * 1024 / 1e6
        result["bytes_on_link"] = sides["client"]["counters"]["bytes_sent"] if self.scenario.link else None
        self.judge_queue(result, sides["client"])
        if self.scenario.kind == "together":
            judge_shares(result)
        return result

    def judge_flow(self, name, place, tool_name, tool, client, growths, side):
        size, seconds = self.scenario.size, client["ended"] - client["began"]
        growth = events_growth(client["events"]) if tool.events else growths.get(name, [])
        growth = [[time - client["began"], count] for time, count in growth]
        flow = {"tool": tool_name, "code": client["code"], "cut_off": client["cut_off"], "seconds": seconds}
        flow["began"], flow["ended"] = client["began"] - side["began"], client["ended"] - side["began"]
        flow["arrived"] = max([count for _, count in growth], default=0)
        together = self.scenario.kind == "together"
        flow["whole"] = not together and not client["cut_off"] and same(place.source, place.result)
        if flow["whole"]:
            flow["arrived"] = size
            flow["mbit"] = measures.mbit(size, seconds)
        flow["steady_mbit"] = measures.steady(growth, size) if growth and not together else None
        flow["arrived_mbit"] = measures.mbit(flow["arrived"], seconds)
        if not flow["whole"] and not together:
            why = [last_words(self.path(f"{name}.{end}.log")) for end in ("client", "server")]
            flow["words"] = "; ".join(word for word in why if word)
        last = last_event(client["events"])
        if tool.events:
            flow["repeated_bytes"] = last.get("bytes_again")
            flow["reported"] = {key: last.get(key) for key in ("rtt_ms", "loss", "packet_size", "congestion", "reason")}
        elif tool.counts_repeats and self.scenario.link and not together:
            flow["repeated_bytes"] = side["counters"]["tcp_repeated"] * SEGMENT_BYTES
        flow["growth"] = thin(growth)
        return flow

    def judge_queue(self, result, client):
        """How much later than on the empty link the probes came back while data flowed, in ms."""
        if not client["probes"]:
            return
        flow = client["flows"][0]
        alone = [trip for sent, trip in client["probes"] if sent < flow["began"]]
        beside = [trip for sent, trip in client["probes"] if flow["began"] + 1 <= sent <= flow["ended"]]
        if alone and beside:
            waits = [(trip - min(alone)) * 1000 for trip in beside]
            result["queue_ms"] = {str(part): measures.percentile(waits, part) for part in (0.5, 0.95, 1.0)}


def judge_shares(result):
    """What each got while all ran."""
    flows = result["flows"]
    begin, end = max(flow["began"] for flow in flows), min(flow["ended"] for flow in flows)
    result["window_seconds"] = end - begin
    for flow in flows:
        shift = flow["began"]
        flow["shared_mbit"] = measures.rate_within(flow["growth"], begin - shift, end - shift)
    rates = [flow["shared_mbit"] for flow in flows]
    for flow in flows:
        flow["share"] = flow["shared_mbit"] / sum(rates) if sum(rates) else 0.0
    result["jain"] = measures.jain(rates)


def events_growth(events):
    """(moment, bytes) of the progress that the sender reports, one JSON object a line."""
    growth = []
    for moment, line in events:
        event = parse(line)
        if event.get("event") == "progress":
            growth.append([moment, event["bytes"]])
        elif event.get("event") == "finished":
            growth.append([moment, event["bytes"]])
    return growth


def last_event(events):
    """The last event that says how it ended or, before that, how far it is."""
    for _, line in reversed(events):
        event = parse(line)
        if event.get("event") in ("finished", "failed"):
            return event
    return {}


def parse(line):
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def thin(growth, most=200):
    """Not more samples than a record needs."""
    step = max(1, len(growth) // most)
    return [[round(time, 3), count] for time, count in growth[::step] + growth[-1:]]


def same(source, result):
    """Byte for byte."""
    command = ["diff", "-rq"] if os.path.isdir(source) else ["cmp", "-s"]
    return subprocess.run([*command, source, result], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def last_words(path):
    """The last line of a log."""
    try:
        with open(path, "rb") as file:
            lines = file.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:200] if lines else ""


def free_port():
    """A port that neither TCP nor UDP uses on this machine."""
    while True:
        port = random.randrange(23000, 32000)
        try:
            for sort in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, sort) as trial:
                    trial.bind(("0.0.0.0", port))
            return port
        except OSError:
            continue


def end(processes):
    """Ends those that still run, and waits for them."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def shell(command):
    """A command as one word for a shell."""
    return "exec " + shlex.join(command)
