"""Runs the programs of one side of a run, and writes down when they ran, what they cost, and how the data came.

Usage: side.py SPEC.json, as `run.py` writes it. Both sides see the same files, through which they tell each other that a
server is ready, that it is done, and that the clients are. Times are of the system's monotonic clock, the same for both.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import probe

SAMPLE_SECONDS = 0.05
# From the request to end until the end by force.
PATIENCE_SECONDS = 1.0
READY_SECONDS = 15.0
# linux/prctl.h: orphans of our children become our children, so that what they cost is counted.
PR_SET_CHILD_SUBREAPER = 36


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    side = Side(spec)
    signal.signal(signal.SIGTERM, lambda *_: side.stop())
    signal.signal(signal.SIGINT, lambda *_: side.stop())
    side.run()


class Flow:
    """One program of this side, and a thread that waits for its end."""

    def __init__(self, spec):
        self.spec = spec
        self.process = self.began = self.ended = None
        self.cut_off = self.asked_to_end = False
        self.events, self.growth = [], []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        spec = self.spec
        time.sleep(spec.get("start", 0))
        with open(spec["log"], "ab") as log:
            output = subprocess.PIPE if spec.get("events") else log
            self.began = time.monotonic()
            try:
                self.process = subprocess.Popen(
                    spec["command"], stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=spec.get("env")
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                self.ended = time.monotonic()
                return
        if spec.get("events"):
            reader = threading.Thread(target=self.read_events, daemon=True)
            reader.start()
        # Not reaped here: its descendants are found through it as long as it is there.
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        ended = time.monotonic()
        if spec.get("events"):
            reader.join(1)
        while spec.get("wait_for") and not self.cut_off and self.process_failed() is None:
            if os.path.exists(spec["wait_for"]):
                with open(spec["wait_for"], encoding="utf-8") as file:
                    ended = max(ended, float(file.read()))
                break
            time.sleep(0.002)
        self.process.wait()
        if self.cut_off:
            ended = time.monotonic()
        self.ended = ended
        if spec.get("done"):
            announce(spec["done"])

    def process_failed(self):
        """The exit code if it is known and a failure: then there is nothing to wait for."""
        code = self.process.poll()
        return code if code else None

    def read_events(self):
        for line in self.process.stdout:
            self.events.append([time.monotonic(), line.decode("utf-8", "replace").rstrip("\n")])

    def sample(self, now):
        if self.spec.get("watch") and self.began is not None and self.ended is None:
            self.growth.append([now, bytes_below(self.spec["watch"])])

    def report(self):
        code = self.process.returncode if self.process else 127
        if self.spec.get("watch"):
            self.growth.append([self.ended, bytes_below(self.spec["watch"])])
        return {
            "name": self.spec["name"],
            "began": self.began,
            "ended": self.ended,
            "code": code,
            "cut_off": self.cut_off,
            "growth": self.growth,
            "events": self.events,
        }


class Side:
    """All programs of this side."""

    def __init__(self, spec):
        self.spec = spec
        self.flows = [Flow(flow) for flow in spec["flows"]]
        self.stopping = False
        self.peak_rss_kib = 0

    def stop(self):
        self.stopping = True

    def run(self):
        spec = self.spec
        prober = None
        if spec.get("probe_echo"):
            probe.start_echo(spec["probe_echo"])
        wait_for_all(spec.get("ready", []), READY_SECONDS)
        if spec.get("probe"):
            prober = probe.Prober(*spec["probe"])
            prober.start()
            time.sleep(probe.ALONE_SECONDS)
        before = counters()
        began = time.monotonic()
        for flow in self.flows:
            flow.thread.start()
        self.watch()
        report = {
            "began": began,
            "flows": [flow.report() for flow in self.flows],
            "cpu_seconds": reap_all(),
            "peak_rss_kib": self.peak_rss_kib,
            "counters": {name: value - before.get(name, 0) for name, value in counters().items()},
            "probes": prober.stop() if prober else [],
        }
        with open(spec["report"], "w", encoding="utf-8") as file:
            json.dump(report, file)
        if spec.get("all_done"):
            announce(spec["all_done"])

    def watch(self):
        """Samples until all have ended, and ends whom time or the other side tells to."""
        announced = set()
        last_call = None
        while any(flow.thread.is_alive() for flow in self.flows):
            now = time.monotonic()
            for flow in self.flows:
                flow.sample(now)
                self.announce_ready(flow, announced)
                cutoff = flow.spec.get("cutoff")
                if cutoff and flow.began and not flow.ended and now - flow.began > cutoff:
                    flow.cut_off = True
                    self.end(flow)
            self.peak_rss_kib = max([self.peak_rss_kib] + [peak_rss(pid) for pid in descendants(os.getpid())])
            over = self.spec.get("stop_when")
            if over and last_call is None and os.path.exists(over):
                last_call = now
            for flow in self.flows:
                if self.stopping or (last_call is not None and now - last_call > flow.spec.get("grace", 0)):
                    self.end(flow)
            time.sleep(SAMPLE_SECONDS)

    def announce_ready(self, flow, announced):
        port, kind, path = flow.spec.get("port"), flow.spec.get("kind"), flow.spec.get("ready")
        if path and path not in announced and flow.began and listens(kind, port):
            announce(path)
            announced.add(path)

    def end(self, flow):
        """Ends one program with all that it started, in a thread of its own, once."""
        if not flow.asked_to_end and flow.process is not None:
            flow.asked_to_end = True
            threading.Thread(target=end_tree, args=(flow.process.pid,), daemon=True).start()


def end_tree(pid):
    """Ends a process and its descendants by their numbers, and what is left after a while by force."""
    pids = [pid, *descendants(pid)]
    for sort in (signal.SIGTERM, signal.SIGKILL):
        for each in pids:
            try:
                os.kill(each, sort)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and any(is_running(each) for each in pids):
            time.sleep(0.01)
        pids = [each for each in pids if is_running(each)]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def descendants(pid):
    """All processes that this one started, and theirs."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as file:
                for child in map(int, file.read().split()):
                    found += [child, *descendants(child)]
    except OSError:
        pass
    return found


def peak_rss(pid):
    """The most memory a process had until now, in KiB; 0 if it is still this program, about to become another."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file, open("/proc/self/cmdline", "rb") as own:
            if file.read() == own.read():
                return 0
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def reap_all():
    """Ends and reaps what is left, and returns the processor seconds of all that ran."""
    for pid in descendants(os.getpid()):
        end_tree(pid)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bytes_below(folder):
    """Bytes that files in a folder have: not more than their length, and no holes."""
    total = 0
    try:
        for entry in os.scandir(folder):
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                total += min(status.st_size, status.st_blocks * 512)
    except OSError:
        pass
    return total


def counters():
    """What this network namespace has sent: TCP segments, repeated ones, and bytes on its devices."""
    found = {}
    with open("/proc/net/snmp", encoding="utf-8") as file:
        names, values = [line.split()[1:] for line in file if line.startswith("Tcp:")]
    fields = dict(zip(names, values))
    found["tcp_segments"], found["tcp_repeated"] = int(fields["OutSegs"]), int(fields["RetransSegs"])
    with open("/proc/net/dev", encoding="utf-8") as file:
        devices = [line.replace(":", " ").split() for line in file.readlines()[2:]]
    found["bytes_sent"] = sum(int(device[9]) for device in devices if device[0] != "lo")
    return found


def listens(kind, port):
    """Whether something in this namespace listens on a port."""
    wanted = f":{port:04X}"
    for path in (f"/proc/net/{kind}", f"/proc/net/{kind}6"):
        try:
            with open(path, encoding="utf-8") as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    # 0A is TCP_LISTEN, 07 an unconnected UDP socket (net/tcp_states.h).
                    if fields[1].endswith(wanted) and fields[3] in ("0A", "07"):
                        return True
        except OSError:
            pass
    return False


def announce(path):
    """Writes a file with the present moment at once, so that nobody reads half of it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(str(time.monotonic()))
    os.rename(path + ".new", path)


def wait_for_all(paths, seconds):
    deadline = time.monotonic() + seconds
    while not all(map(os.path.exists, paths)) and time.monotonic() < deadline:
        time.sleep(0.01)


main()
