"""The experiments. Each returns plain dictionaries, which go to the JSON as they are."""

import contextlib
import random
import re
import resource
import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from . import load
from .load import LOADS
from .running import StartError, running
from .servers import COLDS, ROWS, SLEEPER_ANSWER, SLEEPERS, absent
from .tree import CLOCK_TICK_US

WARM_SECONDS = 1
SLEEPER_COUNT = 1000
SLEEPER_SAMPLE = 20       # processes whose memory is looked at
SLEEPER_LOOK_SECONDS = 2  # after the first request: all sleep, none has woken up
IDLE_SECONDS = 20
HEADROOM = 1.25


# ---- requests per second, latency, cost ----

def machine_busy_us():
    """CPU time that the machine has spent, idle and waiting aside; with what the host took."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * CLOCK_TICK_US


def own_busy_us():
    """CPU time of this process and the load generators it has waited for."""
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in both) * 1e6


def run_load(plan, row, server, seconds, programs):
    if plan.connections:
        return load.closed_loop(server.port, row.path, seconds, plan.connections, row.body)
    return load.open_loop(programs, server.port, row.path, seconds, plan.rate, row.body)


def measure_cell(plan, row, server, seconds, programs):
    """One load on one row. What the server does after the last answer (reaping, refilling,
    records) is part of the requests' cost."""
    tree, source = server.tree, server.cpu_source
    cpu, faults = tree.cpu_us(source), tree.faults()
    busy, own, start = machine_busy_us(), own_busy_us(), time.monotonic()

    result = run_load(plan, row, server, seconds, programs)

    elapsed_us = (time.monotonic() - start) * 1e6
    foreign = machine_busy_us() - busy - (own_busy_us() - own) - (tree.cpu_us(source) - cpu)
    tree.settle(source)
    requests = max(1, result["ok"])
    return {
        "row": row.name, "load": plan.name,
        "rate": result["ok"] / result["seconds"], "ok": result["ok"], "errors": result["errors"],
        **{key: result[key] for key in ("p50", "p90", "p99", "p999", "max")},
        "cpu_us": (tree.cpu_us(source) - cpu) / requests,
        "faults": (tree.faults() - faults) / requests if row.reaps else None,
        "foreign": max(0, foreign) / elapsed_us,  # CPUs that others used
    }


def is_over_capacity(plan, row, samples):
    """A rate that a server can hardly keep up with fills queues and says nothing of latency."""
    rates = [sample["rate"] for sample in samples
             if sample["row"] == row.name and sample["load"] == "closed-16"]
    return plan.rate > 0 and rates and statistics.median(rates) < plan.rate * HEADROOM


def start_rows(rows, places, stack, skipped):
    """Starts the rows' servers; returns {row: server} for those that answer as they should."""
    servers, ready = {}, {}
    for row in rows:
        if reason := absent(row.programs):
            skipped[row.name] = reason
            continue
        try:
            if row.server not in servers:
                servers[row.server] = None
                servers[row.server] = stack.enter_context(running(row.server, places))
            if server := servers[row.server]:
                server.check(row.path, row.answer, row.body)
                ready[row] = server
            else:
                skipped[row.name] = f"{row.server} does not run"
        except StartError as error:
            skipped[row.name] = str(error)
    return ready


def warm_connections(row):
    """As many as its loads have, up to 16: some servers end if they get two requests at once."""
    return min(16, max((LOADS[name].connections for name in row.loads), default=0) or 1)


def measure_rows(rows, places, options, progress, skipped):
    """All rows, interleaved: within a round, the rows take turns at each load, in random order."""
    samples = []
    with contextlib.ExitStack() as stack:
        progress.say("starting the servers")
        ready = start_rows(rows, places, stack, skipped)
        for row, server in ready.items():
            progress.say(f"warming up: {row.label}")
            load.closed_loop(server.port, row.path, WARM_SECONDS, warm_connections(row), row.body)
            server.cpu_source = server.tree.cpu_source()
            server.tree.settle(server.cpu_source)

        plans = [plan for plan in LOADS.values() if any(plan.name in row.loads for row in ready)]
        progress.expect(options.rounds * sum(plan.name in row.loads
                                             for plan in plans for row in ready))
        for number in range(options.rounds):
            for plan in plans:
                cells = [(row, server) for row, server in ready.items() if plan.name in row.loads]
                random.shuffle(cells)
                for row, server in cells:
                    progress.step(f"round {number + 1}/{options.rounds}, {plan.label}: {row.label}")
                    if is_over_capacity(plan, row, samples):
                        continue
                    sample = measure_cell(plan, row, server, options.seconds, places.programs)
                    samples.append({"round": number} | sample)
        sources = {row.server: server.cpu_source for row, server in ready.items()}
    return samples, sources


def medians(samples):
    """{row: {load: {key: median, ..., "rates": [...]}}}"""
    cells = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        cells[sample["row"]][sample["load"]].append(sample)
    return {row: {name: _median_of(group) for name, group in by_load.items()}
            for row, by_load in cells.items()}


def _median_of(group):
    keys = ("rate", "p50", "p90", "p99", "p999", "max", "cpu_us", "faults", "foreign")
    cell = {key: None if group[0][key] is None else
            round(statistics.median(sample[key] for sample in group), 3) for key in keys}
    rates = [sample["rate"] for sample in group]
    return cell | {"errors": sum(sample["errors"] for sample in group), "rounds": len(group),
                   "rate_min": round(min(rates), 1), "rate_max": round(max(rates), 1)}


# ---- cold start ----

def wait_until_idle(tree, base):
    """Waits until no more processes run than before the first request. Returns how many do."""
    deadline = time.monotonic() + IDLE_SECONDS
    while (extra := len(tree.processes()) - base) > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    return extra


def measure_cold(places, options, progress, skipped):
    """The first request to a function that has no process. The functions in question drop their
    zygotes after 0.1 s, so that one daemon can be asked again and again."""
    times = defaultdict(list)
    left = 0
    colds = [cold for cold in COLDS if not absent(cold.programs)]
    skipped.update((f"cold-{cold.name}", absent(cold.programs)) for cold in COLDS
                   if cold not in colds)
    try:
        with running("mayfly", places) as server:
            time.sleep(1)
            base = len(server.tree.processes())
            progress.expect(options.colds)
            for _ in range(options.colds):
                progress.step("cold starts")
                for cold in colds:
                    left = max(left, wait_until_idle(server.tree, base))
                    time.sleep(0.1)
                    try:
                        first = load.first_byte_ms(server.port, cold.path)
                        times[cold.name].append(first)
                    except (OSError, load.LoadError) as error:
                        skipped[f"cold-{cold.name}"] = str(error)
            left = max(left, wait_until_idle(server.tree, base))
    except StartError as error:
        skipped["cold"] = str(error)
    return {name: _spread(values) | {"processes_left": left} for name, values in times.items()}


def _spread(values):
    values = sorted(values)
    return {"n": len(values), "min": round(values[0], 2), "max": round(values[-1], 2),
            "p50": round(statistics.median(values), 2),
            "p90": round(values[int(len(values) * 0.9)], 2)}


# ---- a thousand sleepers ----

def available_kb():
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"MemAvailable:\s+(\d+)", text)[1])


def own_memory_kb(pid):
    """What would be free again if the process ended: pages that nobody shares."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return sum(int(kb) for kb in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+)", text))


def look_at_sleepers(tree, before, available_before):
    """Memory of the processes that came with the burst."""
    available = available_kb()
    new = list(tree.pids() - before)
    sample = random.sample(new, min(SLEEPER_SAMPLE, len(new)))
    own = [kb for kb in map(own_memory_kb, sample) if kb is not None]
    return {
        "processes": len(new),
        "own_kb": statistics.median(own) if own else None,
        "machine_kb": round((available_before - available) / len(new), 1) if new else None,
    }


def measure_sleep(sleeper, places):
    """A thousand requests at once, each of which sleeps three seconds."""
    with running(sleeper.server, places) as server:
        server.check(sleeper.path, SLEEPER_ANSWER)
        source = server.tree.cpu_source()
        server.tree.settle(source)
        cpu, before, available = server.tree.cpu_us(source), server.tree.pids(), available_kb()
        argv = load.open_loop_argv(places.programs, server.port, sleeper.path, timeout=60,
                                   burst=SLEEPER_COUNT)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as burst:
            time.sleep(SLEEPER_LOOK_SECONDS)
            memory = look_at_sleepers(server.tree, before, available)
            result = load.json.loads(burst.communicate()[0])
        server.tree.settle(source)
        return memory | {
            "total_s": round(result["last_answer"] / 1e6, 3),
            "spread_s": round((result["last_answer"] - result["first_answer"]) / 1e6, 3),
            "errors": result["errors"], "errors_by_kind": result["errors_by_kind"],
            "cpu_us": round((server.tree.cpu_us(source) - cpu) / SLEEPER_COUNT, 1),
        }


def measure_sleepers(sleepers, places, options, progress, skipped):
    runs = defaultdict(list)
    progress.expect(options.bursts * len(sleepers))
    for _ in range(options.bursts):
        for sleeper in sleepers:
            progress.step(f"{SLEEPER_COUNT} sleepers: {sleeper.label}")
            try:
                runs[sleeper.name].append(measure_sleep(sleeper, places))
            except StartError as error:
                skipped[f"sleepers-{sleeper.name}"] = str(error)
    return {name: _median_run(group) for name, group in runs.items()}


def _median_run(group):
    """The run with the median total; its numbers belong together."""
    return sorted(group, key=lambda run: run["total_s"])[len(group) // 2] | {"runs": len(group)}
