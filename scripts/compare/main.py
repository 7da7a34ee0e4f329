"""Takes the options, plans the runs, runs them in turn, and writes the record and the table after each."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from subprocess import SubprocessError

import conditions
import link as links
import report
import run
import scenarios as catalogue
import tools as toolbox

# What a run needs beside the transfer: namespaces, keys, the ends of servers, the comparison.
OVERHEAD_SECONDS = 3
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def main():
    options = parse()
    if options.table:
        records = []
        for path in options.table:
            with open(path, encoding="utf-8") as file:
                records.append(json.load(file))
        print(report.markdown(report.merge(records)), end="")
        return
    scenarios = choose_scenarios(options)
    tools = toolbox.all_tools(options.bin_dir)
    chosen = choose(options.tools, tools, "tool") if options.tools else toolbox.DEFAULT_TOOLS
    if options.list:
        show_list(scenarios, tools)
        return
    # An end from outside cleans up like one from within.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="compare-", dir=options.work)
    try:
        with conditions.separation_folder(), conditions.allowed("cubic"):
            Comparison(options, scenarios, tools, chosen, folder).run()
    except KeyboardInterrupt:
        say("interrupted; what was measured is kept")
        sys.exit(130)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(prog="compare.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("--emulator", default=os.environ.get("EMULATOR") or None)
    parser.add_argument("--emulator-options", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--tools", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=size)
    parser.add_argument("--files", type=int)
    parser.add_argument("--cutoff", type=float)
    parser.add_argument("--once-cut-off", action="store_true")
    parser.add_argument("--bin-dir", default=os.environ["HOMING_BIN_DIR"])
    parser.add_argument("--output", default=time.strftime("comparison-%Y%m%d-%H%M%S"))
    parser.add_argument("--work", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", nargs="+")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def size(text):
    """Bytes of a size like 100m, 64ki or 1gi."""
    digits = text.lower().rstrip("kmgi")
    unit = text.lower()[len(digits) :]
    if unit not in UNITS or float(digits) < 1:
        raise ValueError(text)
    return round(float(digits) * UNITS[unit])


def choose(text, known, what):
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            say(f"compare.sh: there is no {what} {name}; known are {', '.join(known)}")
            sys.exit(2)
    return names


def choose_scenarios(options):
    known = catalogue.all_scenarios()
    names = choose(options.only, {**known, **catalogue.GROUPS}, "scenario") or known
    flat = [each for name in names for each in catalogue.GROUPS.get(name, (name,))]
    changed = []
    for scenario in (known[name] for name in flat):
        if scenario.files > 1 and options.files:
            scenario = replace(scenario, files=options.files, size=options.files * catalogue.FILE_BYTES)
        elif scenario.files == 1 and options.size and scenario.kind != "together":
            scenario = replace(scenario, size=options.size)
        changed.append(replace(scenario, cutoff=options.cutoff) if options.cutoff else scenario)
    return changed


def show_list(scenarios, tools):
    for scenario in scenarios:
        print(f"{scenario.name:16} {scenario.title()}; cut off after {scenario.cutoff:g} s")
    for name, tool in tools.items():
        print(f"{name:18} {tool.absent() or 'here'}")


class Comparison:
    def __init__(self, options, scenarios, tools, chosen, folder):
        self.options, self.tools, self.folder = options, tools, folder
        self.absent = {name: why for name in tools if (why := tools[name].absent())}
        self.emulator = links.Emulator(options.emulator, options.emulator_options)
        self.plan = [entry for scenario in scenarios for entry in self.plan_scenario(scenario, chosen)]
        self.took, self.over = {}, set()
        self.record = {
            "conditions": conditions.conditions(self.emulator.program),
            "versions": {name: tools[name].version() for name in chosen if name not in self.absent},
            "absent": {name: self.absent[name] for name in chosen if name in self.absent},
            "rounds": options.rounds,
            "scenarios": {},
        }

    def plan_scenario(self, scenario, chosen):
        """(scenario, round, variant, flows) of each run, the variants in turn within each round."""
        if scenario.kind == "together":
            variants = scenario.variants
        else:
            names = [name for name in chosen if name in scenario.tools or (not scenario.tools and name != "cp")]
            variants = {name: [(name, 0)] for name in names}
        if scenario.files > 1:
            variants = {name: flows for name, flows in variants.items() if self.tools[name].copies_trees}
        there = {
            name: [(tool, self.tools[tool], start) for tool, start in flows]
            for name, flows in variants.items()
            if not any(tool in self.absent for tool, _ in flows)
        }
        rounds = range(1, self.options.rounds + 1)
        return [(scenario, number, variant, flows) for number in rounds for variant, flows in there.items()]

    def run(self):
        for name, why in self.record["absent"].items():
            say(f"absent: {name}: {why}")
        if any(scenario.link for scenario, *_ in self.plan) and (why := self.emulator.absent()):
            say(f"no link, so only loopback is compared: {why}")
            self.record["absent"]["link"] = why
            self.plan = [entry for entry in self.plan if entry[0].link is None]
        for index, entry in enumerate(self.plan):
            self.step(index, *entry)
        print(report.markdown(self.record), end="")
        say(f"written: {self.options.output}.json, {self.options.output}.md")

    def step(self, index, scenario, number, variant, flows):
        if (scenario.name, variant) in self.over:
            return
        section = self.section(scenario)
        left = sum(self.expected(*entry) for entry in self.plan[index:])
        say(f"{index + 1}/{len(self.plan)} {scenario.name}, round {number}: {variant} ... (about {duration(left)} left)")
        began, load = time.monotonic(), os.getloadavg()[0]
        self.emulator.round = number
        source = self.source(scenario)
        one = run.Run(os.path.join(self.folder, "run"), source, scenario, flows, scenario.cutoff)
        result = {"round": number, "variant": variant, "load": load}
        try:
            result |= one.measure(self.emulator)
        except (run.Failed, OSError, SubprocessError) as error:
            result |= {"failed": str(error), "flows": []}
        self.took[scenario.name, variant] = time.monotonic() - began
        if self.options.once_cut_off and any(flow["cut_off"] for flow in result["flows"]):
            if scenario.kind != "together":
                self.over.add((scenario.name, variant))
        section["runs"].append(result)
        say("    " + report.sentence(scenario.kind, result))
        self.write()

    def section(self, scenario):
        """The scenario's part of the record, begun when it is met first."""
        if scenario.name not in self.record["scenarios"]:
            section = {"title": scenario.title(), "kind": scenario.kind, "size": scenario.size, "runs": []}
            section |= {"files": scenario.files, "cutoff": scenario.cutoff}
            if scenario.link:
                section["link"] = scenario.link.arguments()
                section["deliverable"] = scenario.link.deliverable
                section["ceiling"] = self.ceiling(scenario)
            self.record["scenarios"][scenario.name] = section
        return self.record["scenarios"][scenario.name]

    def ceiling(self, scenario):
        """TCP through the same link without loss, measured once for each such link."""
        clean = scenario.link.clean()
        if toolbox.find("iperf3") is None:
            return None
        if clean not in self.took:
            say(f"{scenario.name}: iperf3 through the same link without loss ...")
            name = "cubic" if "tcp-bbr" in self.absent else "bbr"
            self.took[clean] = self.emulator.ceiling(clean, name, os.path.join(self.folder, "ceiling"))
        return self.took[clean]

    def expected(self, scenario, _, variant, flows):
        """Seconds that a run will take, by what it took before or by what such tools take."""
        if (scenario.name, variant) in self.over:
            return 0
        if (scenario.name, variant) in self.took:
            return self.took[scenario.name, variant]
        if scenario.kind == "together":
            return scenario.cutoff + OVERHEAD_SECONDS
        if scenario.link is None:
            return OVERHEAD_SECONDS * 2
        tool = flows[0][1]
        if tool.congestion == "cubic" and tool.counts_repeats and scenario.link.mean_loss:
            return scenario.cutoff + OVERHEAD_SECONDS
        slower, round_trips = (1.5, 10) if isinstance(tool, (toolbox.Homing, toolbox.Tcp)) else (3, 30)
        seconds = scenario.size * 8 / scenario.link.rate * slower + round_trips * scenario.link.rtt
        return min(seconds, scenario.cutoff) + OVERHEAD_SECONDS

    def source(self, scenario):
        """Random bytes to be copied, made once for each size; the former ones are removed."""
        parent = os.path.join(self.folder, f"source-{scenario.size}-{scenario.files}")
        path = os.path.join(parent, "tree" if scenario.files > 1 else "file")
        if not os.path.exists(path):
            for name in os.listdir(self.folder):
                if name.startswith("source-"):
                    shutil.rmtree(os.path.join(self.folder, name))
            os.mkdir(parent)
            catalogue.write_source(path, scenario)
        return path

    def write(self):
        for name, text in (("json", json.dumps(self.record) + "\n"), ("md", report.markdown(self.record))):
            with open(f"{self.options.output}.{name}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{self.options.output}.{name}.new", f"{self.options.output}.{name}")


def duration(seconds):
    return f"{round(seconds / 60)} min" if seconds >= 120 else f"{round(seconds)} s"


def say(text):
    print(text, file=sys.stderr, flush=True)


main()
