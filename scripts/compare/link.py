"""The program that emulates the link: which it is, and one run of two commands over it."""

import json
import os
import shlex
import shutil
import subprocess

import measures
import run

HERE = os.path.dirname(os.path.abspath(__file__))
FALLBACK = os.path.join(HERE, "netem_link.sh")
CEILING_SECONDS = 5


class Emulator:
    """A program with the command line that compare.sh describes."""

    def __init__(self, program, options):
        self.program, self.options = os.path.abspath(program) if program else FALLBACK, options
        self.round = 1

    def absent(self):
        """Why there is no link; None if there is one."""
        if os.geteuid() != 0:
            return "a link between two network namespaces needs root"
        if self.program != FALLBACK:
            return None if os.access(self.program, os.X_OK) else f"{self.program} is no program"
        check = subprocess.run([FALLBACK, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return None if check.returncode == 0 else check.stdout.decode("utf-8", "replace").strip()

    def run(self, link, settings, server, client, timeout, log_path, json_path):
        """Runs `server` and `client` at the two ends, and returns the link's own counters."""
        command = [self.program, "run", *link.arguments()]
        command += shlex.split(self.options.replace("{round}", str(self.round)))
        for setting in settings:
            command += ["--sysctl", setting]
        command += ["--json", json_path, "--timeout", str(round(timeout)), "--", run.shell(server), run.shell(client)]
        with open(log_path, "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                process.wait(timeout + run.MARGIN_SECONDS)
            except subprocess.TimeoutExpired:
                raise run.Failed("the emulator did not end") from None
            finally:
                run.end([process])
        try:
            with open(json_path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def ceiling(self, link, congestion, folder):
        """Mbit/s of TCP through the link without loss, by iperf3; None if it says nothing."""
        warm_up = round(max(2, 15 * link.rtt))
        report = os.path.join(folder, "iperf.json")
        sender = ["iperf3", "-c", run.RECEIVER, "-t", str(CEILING_SECONDS), "-O", str(warm_up), "-J"]
        client = ["sh", "-c", f"sleep 0.3; {shlex.join(sender)} >{shlex.quote(report)}"]
        settings = [*run.TCP_MEMORY, f"net.ipv4.tcp_congestion_control={congestion}"]
        os.mkdir(folder)
        try:
            paths = [os.path.join(folder, name) for name in ("log", "link.json")]
            self.run(link.clean(), settings, ["iperf3", "-s", "-1"], client, 20 + warm_up, *paths)
            with open(report, encoding="utf-8") as file:
                received = json.load(file)["end"]["sum_received"]
            return measures.mbit(received["bytes"], received["seconds"])
        except (OSError, ValueError, KeyError, run.Failed):
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
