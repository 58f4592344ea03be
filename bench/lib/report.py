"""The results as text tables and JSON."""

import json
import math

from .budgets import judge
from .load import LOADS
from .servers import COLDS, ROWS, SLEEPERS

NOISE_WARNING = 0.1  # CPUs used by others


def table(title, head, rows):
    """The first column to the left, the others to the right."""
    if not rows:
        return ""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))
        return "  ".join([first, *rest]).rstrip()

    rule = "-" * len(line(head))
    return "\n".join([title, rule, line(head), rule, *map(line, rows), rule, ""])


def count(value):
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def micro(value):
    """Microseconds in three digits and a unit."""
    if value is None:
        return "-"
    for limit, divisor, unit in ((1e3, 1, "us"), (1e6, 1e3, "ms")):
        if value < limit:
            return f"{value / divisor:.3g} {unit}" if divisor > 1 else f"{value:.0f} {unit}"
    return f"{value / 1e6:.3g} s"


def measured_rows(results):
    """(row, cells by load) of each row that was measured, in the order of servers.py."""
    return [(row, results["rows"][row.name]) for row in ROWS if row.name in results["rows"]]


def closed_loop(results):
    plans = [plan for plan in LOADS.values() if plan.connections]
    head = ["closed loop"] + [text for plan in plans
                              for text in (f"c={plan.connections}: req/s", "p50", "p99")]
    rows = [[row.label] + [text for plan in plans for text in _closed_cell(cells.get(plan.name))]
            for row, cells in measured_rows(results)]
    return table("Requests per second, and latency under that load (median of the rounds)", head,
                 rows)


def _closed_cell(cell):
    return (count(cell["rate"]), micro(cell["p50"]), micro(cell["p99"])) if cell else ("",) * 3


def open_loop(results):
    plans = [plan for plan in LOADS.values() if plan.rate]
    head = ["open loop"] + [text for plan in plans
                            for text in (f"{plan.rate}/s: p50", "p99", "p99.9")]
    rows = [[row.label] + [text for plan in plans for text in _open_cell(row, plan, cells)]
            for row, cells in measured_rows(results)]
    return table("Latency at a fixed rate, from the time at which each request was due", head, rows)


def _open_cell(row, plan, cells):
    """A load that a row has, but no cell for, was left out: measure.is_over_capacity()."""
    cell = cells.get(plan.name)
    if not cell and plan.name in row.loads:
        return "too fast", "", ""
    return tuple(micro(cell[key]) for key in ("p50", "p99", "p999")) if cell else ("",) * 3


def cost(results):
    head = ["cost per request", "c=16: CPU", "page faults", "200/s: CPU", "page faults", "errors",
            "req/s min..max", "others' CPU"]
    rows = []
    for row, cells in measured_rows(results):
        busy, calm = cells.get("closed-16"), cells.get("open-200")
        if not busy:
            continue
        foreign = max(cell["foreign"] for cell in cells.values())
        rows.append([
            row.label, micro(busy["cpu_us"]), count(busy["faults"]),
            micro(calm["cpu_us"]) if calm else "", count(calm["faults"]) if calm else "",
            str(sum(cell["errors"] for cell in cells.values())),
            f"{busy['rate_min']:,.0f}..{busy['rate_max']:,.0f}",
            f"{foreign:.2f}" + ("  !" if foreign > NOISE_WARNING else "")])
    return table("Whole server, its finished children included", head, rows)


def cold(results):
    head = ["cold start", "n", "min", "p50", "p90", "max"]
    rows = [[item.label, str(cell["n"])] +
            [f"{cell[key]:.1f} ms" for key in ("min", "p50", "p90", "max")]
            for item in COLDS if (cell := results["cold"].get(item.name))]
    return table("First byte of a function that has no process yet", head, rows)


def sleepers(results):
    head = ["1,000 x sleep_and_sum", "all answered", "first..last", "errors", "own memory",
            "machine / process", "CPU / request"]
    rows = [[item.label, f"{cell['total_s']:.2f} s", f"{cell['spread_s']:.2f} s",
             str(cell["errors"]), f"{count(cell['own_kb'])} KB", f"{count(cell['machine_kb'])} KB",
             micro(cell["cpu_us"])]
            for item in SLEEPERS if (cell := results["sleepers"].get(item.name))]
    return table("A thousand requests at once, three seconds each", head, rows)


def ratio_text(ratio):
    """Rounded down, so that what is missed by a hair does not read 1.00."""
    return "" if ratio is None else f"{math.floor(min(ratio, 999) * 100) / 100:.2f}"


def budgets(results):
    rows = [[verdict.text, verdict.measured,
             ratio_text(verdict.ratio), verdict.word]
            for verdict in judge(results)]
    return table("Budgets (ratio 1 or more is met)", ["budget", "measured", "ratio", ""], rows)


def skipped(results):
    return "".join(f"skipped {name}: {reason}\n" for name, reason in results["skipped"].items())


def text(results):
    parts = [section(results)
             for section in (closed_loop, open_loop, cost, cold, sleepers, budgets, skipped)]
    machine = results["machine"]
    head = (f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {results['versions']['kernel']}; "
            f"{results['rounds']} rounds of {results['seconds']} s; {results['date']}\n")
    return "\n".join([head, *filter(None, parts)])


def write(results, folder):
    """results.txt for people, results.json for programs, raw/samples.json for doubts."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    samples = results["samples"]
    summary = {key: value for key, value in results.items() if key != "samples"}
    summary["budgets"] = [vars(verdict) | {"verdict": verdict.word} for verdict in judge(results)]
    (raw / "samples.json").write_text(json.dumps(samples, indent=0) + "\n")
    (folder / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    (folder / "results.txt").write_text(text(results))
