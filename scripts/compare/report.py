"""The record as sentences and as tables in Markdown."""

import measures

# Counters of the emulator that say how well it kept its word, if it has them.
LATE_MEAN, LATE_MAX, KERNEL_DROPS = "late_mean_us", "late_max_us", "kernel_drops"


def merge(records):
    """Several records as one; of the conditions, the first's."""
    merged = {**records[0], "scenarios": {}}
    for record in records:
        merged["scenarios"] |= record["scenarios"]
        merged["versions"] = {**record["versions"], **merged["versions"]}
        merged["absent"] = {**record["absent"], **merged["absent"]}
    return merged


def sentence(kind, result):
    """One run in a line."""
    if "failed" in result:
        return f"failed: {result['failed']}"
    if kind == "together":
        shares = ", ".join(f"{f['tool']} {f['shared_mbit']:.1f} Mbit/s ({f['share']:.0%})" for f in result["flows"])
        return f"{shares}; Jain index {result['jain']:.3f}"
    flow = result["flows"][0]
    if not flow["whole"]:
        why = f"; {flow['words']}" if flow.get("words") and not flow["cut_off"] else ""
        return f"{not_whole(flow)} after {flow['seconds']:.1f} s{why}"
    steady = f", steady {flow['steady_mbit']:.1f}" if flow["steady_mbit"] else ""
    queue = f", queueing {result['queue_ms']['0.5']:.1f} ms" if result.get("queue_ms") else ""
    return f"whole in {flow['seconds']:.2f} s, {flow['mbit']:.1f} Mbit/s{steady}{queue}"


def not_whole(flow):
    return ("cut off" if flow["cut_off"] else f"not whole (exit code {flow['code']})") + f" at {amount(flow['arrived'])}"


def amount(count):
    return f"{count / 1e6:.1f} MB"


def markdown(record):
    """All tables of a record."""
    lines = head(record)
    for name, section in record["scenarios"].items():
        lines += ["", f"### {name}: {section['title']}", ""]
        lines += {"together": together, "queue": queue, "loopback": loopback, "alone": alone}[section["kind"]](section)
        lines += [""] + remarks(section)
    return "\n".join(lines) + "\n"


def head(record):
    at = record["conditions"]
    rounds = "1 round" if record["rounds"] == 1 else f"{record['rounds']} rounds"
    lines = [
        f"{at['date']}; Linux {at['kernel']}, {at['cores']} cores ({at['processor']}), "
        f"load {at['load'][0]:.2f} at the start; link by `{at['emulator']}`; {rounds} in turn, medians (least-most).",
        "",
    ]
    lines += [f"- {name}: {version}" for name, version in record["versions"].items() if version]
    lines += [f"- absent: {name}: {why}" for name, why in record["absent"].items()]
    return lines


def by_variant(section):
    variants = {}
    for result in section["runs"]:
        variants.setdefault(result["variant"], []).append(result)
    return variants


def number(values, form="{:.1f}", without=False):
    """A median with its range, or a dash."""
    spread = measures.spread(values)
    if spread is None:
        return "-"
    median, least, most = (form.format(value) for value in spread)
    return median if least == most or without else f"{median} ({least}-{most})"


def flows_of(results):
    return [result["flows"][0] for result in results if result["flows"]]


def whole_cell(flows, unit="mbit"):
    """The rate of what was whole; else how far it came."""
    whole = [flow for flow in flows if flow["whole"]]
    cell = number([flow.get(unit) for flow in whole]) if whole else ""
    if len(whole) < len(flows):
        broken = [flow for flow in flows if not flow["whole"]]
        rate = number([flow["arrived_mbit"] for flow in broken], without=True)
        words = f"**{not_whole(broken[0])}**, {rate} Mbit/s until then"
        cell += f"; {len(broken)} of {len(flows)}: {words}" if whole else words
    return cell or "failed"


def whole_rates(flows):
    return [flow["mbit"] for flow in flows if flow["whole"]]


def alone(section):
    most, size = section["deliverable"], section["size"]
    lines = [
        "| tool | whole, Mbit/s | whole, % of deliverable | steady, % of deliverable "
        "| sent again, % | on the wire, % | CPU s | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, results in by_variant(section).items():
        flows = flows_of(results)
        good = [result for result in results if result["flows"] and result["flows"][0]["whole"]]
        cells = [
            name,
            whole_cell(flows),
            number([100 * rate / most for rate in whole_rates(flows)], without=True),
            number([100 * flow["steady_mbit"] / most for flow in flows if flow["steady_mbit"]]),
            number([100 * again(flow) / flow["arrived"] for flow in flows if again(flow) is not None and flow["arrived"]]),
            number([100 * result["bytes_on_link"] / size for result in good], without=True),
            number([cpu(result) for result in good], "{:.2f}", without=True),
            str(len(results)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    ceiling = f"; TCP without loss through the same link: {section['ceiling']:.1f} Mbit/s" if section.get("ceiling") else ""
    return lines + ["", f"Deliverable: {most:.1f} Mbit/s{ceiling}."]


def again(flow):
    return flow.get("repeated_bytes")


def cpu(result):
    return result["client_cpu_seconds"] + result["server_cpu_seconds"]


def queue(section):
    lines = [
        "| tool | whole, Mbit/s | queueing delay, ms: median | 95 % | most |",
        "|---|---|---|---|---|",
    ]
    for name, results in by_variant(section).items():
        waits = [result["queue_ms"] for result in results if result.get("queue_ms")]
        cells = [name, whole_cell(flows_of(results))]
        cells += [number([wait[part] for wait in waits]) for part in ("0.5", "0.95", "1.0")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def together(section):
    lines = ["| case | flow | Mbit/s while all run | share, % | Jain index |", "|---|---|---|---|---|"]
    alone_rates = {}
    for name, results in by_variant(section).items():
        results = [result for result in results if result["flows"]]
        for index, flow in enumerate(results[0]["flows"] if results else []):
            flows = [result["flows"][index] for result in results]
            rates = [flow["shared_mbit"] for flow in flows]
            if len(results[0]["flows"]) == 1:
                alone_rates[flow["tool"]] = measures.spread(rates)[0]
            cells = [name if index == 0 else "", flow["tool"], number(rates)]
            cells += [number([100 * flow["share"] for flow in flows])]
            cells += [number([result["jain"] for result in results], "{:.3f}") if index == 0 else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return lines + kept(section, alone_rates)


def kept(section, alone_rates):
    """What a flow keeps, of what it had alone, when others come."""
    lines = []
    for name, results in by_variant(section).items():
        results = [result for result in results if len(result["flows"]) > 1]
        for index, flow in enumerate(results[0]["flows"] if results else []):
            if alone_rates.get(flow["tool"]):
                parts = [100 * result["flows"][index]["shared_mbit"] / alone_rates[flow["tool"]] for result in results]
                lines += ["", f"{name}: {flow['tool']} keeps {number(parts)} % of what it has alone."]
    return lines


def loopback(section):
    many = section["files"] > 1
    rate = "files/s" if many else "Gbit/s"
    lines = [
        f"| tool | wall s | {rate} | CPU s sender | CPU s receiver | peak RSS sender, MB | peak RSS receiver, MB | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, results in by_variant(section).items():
        flows = flows_of(results)
        good = [result for result in results if result["flows"] and result["flows"][0]["whole"]]
        seconds = [result["flows"][0]["seconds"] for result in good]
        rates = [section["files"] / wall if many else section["size"] * 8 / wall / 1e9 for wall in seconds]
        cells = [name, number(seconds, "{:.2f}") if len(good) == len(results) else whole_cell(flows)]
        cells.append(number(rates, "{:.0f}" if many else "{:.2f}", without=True))
        for key in ("client_cpu_seconds", "server_cpu_seconds"):
            cells.append(number([result[key] for result in good], "{:.2f}", without=True))
        for key in ("client_peak_rss_mb", "server_peak_rss_mb"):
            cells.append(number([result[key] or None for result in good], "{:.0f}", without=True))
        lines.append("| " + " | ".join([*cells, str(len(results))]) + " |")
    return lines


def remarks(section):
    """What one must know before believing a figure."""
    words = []
    loads = [result["load"] for result in section["runs"]]
    if loads:
        words.append(f"Load average before the runs {extent(loads, '{:.2f}')}.")
    ways = [result["emulator"].get("ab") for result in section["runs"] if result.get("emulator")]
    ways = [way for way in ways if isinstance(way, dict)]
    late = [way[LATE_MEAN] for way in ways if LATE_MEAN in way]
    if late:
        words.append(
            f"The emulator was late by {extent(late, '{:.0f}')} us on average, "
            f"by {max(way.get(LATE_MAX, 0) for way in ways) / 1000:.1f} ms at most; "
            f"kernel drops {sum(way.get(KERNEL_DROPS, 0) for way in ways)}."
        )
    for result in section["runs"]:
        if "failed" in result:
            words.append(f"{result['variant']}, round {result['round']}: {result['failed']}.")
        for flow in result["flows"]:
            if flow.get("words") and not flow["cut_off"]:
                words.append(f"{flow['tool']}, round {result['round']}: {flow['words']}.")
    return [" ".join(words)] if words else []


def extent(values, form):
    """The least and the most."""
    least, most = form.format(min(values)), form.format(max(values))
    return least if least == most else f"{least}-{most}"
