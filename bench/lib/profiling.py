"""Where the time of a request goes, by process role: cpu, syscalls, faults, counts.

  cpu       samples every 0.2 ms: CPU time per request by role, and the hottest functions
  syscalls  system calls per request by role (strace: slow, but it counts right)
  faults    page faults per request by role, by the code that faults and by the memory touched
  counts    context switches, migrations, page faults and CPU time per request, nearly undisturbed

A process that runs before the load has the role its command line tells; one that comes with the
load is a worker.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import load
from .load import LOADS
from .measure import run_load
from .report import table
from .running import BENCH, Places, StartError, compile_programs, running
from .servers import ROWS
from .tree import adopt_orphans

SAMPLE_HZ = 5000
TOP = 25
ATTACH_SECONDS = 0.7  # perf and strace need a moment to attach to everything


# ---- roles ----

def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def roles_of(tree):
    """{pid: role} of the processes that run now."""
    processes = tree.processes()
    depth = {processes[0].pid: 0}
    roles = {}
    for process in processes:
        depth.setdefault(process.pid, depth.get(process.parent, 0) + 1)
        words = command_line(process.pid).split() or [process.name]
        kind = [word for word in words if re.fullmatch(r"(.*[/-])?(gateway|control|zygote)", word)]
        if depth[process.pid] == 0:
            roles[process.pid] = "supervisor"
        elif kind:
            roles[process.pid] = re.split("[/-]", kind[0])[-1]
        else:
            roles[process.pid] = f"{process.name}@{depth[process.pid]}"
    return roles


# ---- running a load under an observer ----

def observed(argv, options, row, server, programs):
    """Runs the load while argv, given SIGINT at the end, watches. Returns the requests answered."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as observer:
        time.sleep(ATTACH_SECONDS)
        result = run_load(LOADS[options.load], row, server, options.seconds, programs)
        time.sleep(0.3)
        observer.send_signal(signal.SIGINT)
        complaint = observer.communicate()[1]
    if not result["ok"] or observer.returncode not in (0, -signal.SIGINT):
        raise StartError(f"{argv[0]} ended with {observer.returncode}, {result['ok']} answers: "
                         f"{complaint[-300:]}")
    return result["ok"]


def perf_samples(event, options, row, server, programs, extra=()):
    """Runs perf record on the tree; returns (requests, perf script's lines)."""
    options.out.mkdir(parents=True, exist_ok=True)
    data = options.out / f"{options.what}-{row.name}.data"
    pids = ",".join(map(str, server.tree.pids()))
    requests = observed(["perf", "record", "-e", event, *extra, "-o", str(data), "-p", pids],
                        options, row, server, programs)
    fields = "pid,ip,sym,dso" + (",addr" if "-d" in extra else "")
    script = subprocess.run(["perf", "script", "-i", str(data), "-F", fields], text=True,
                            capture_output=True)
    print(f"raw data: {data} (perf report -i ...)\n", file=sys.stderr)
    return requests, script.stdout.splitlines()


def top(title, head, counter, divisor, digits=2):
    rows = [[" ".join(key) if isinstance(key, tuple) else key, f"{value / divisor:.{digits}f}"]
            for key, value in counter.most_common(TOP)]
    rows.append(["all", f"{sum(counter.values()) / divisor:.{digits}f}"])
    print(table(title, head, rows))


# ---- the four views ----

SAMPLE = re.compile(r"\s*(\d+)\s+([0-9a-f]+)\s+(\S+)(?:\+0x[0-9a-f]+)?.*\((.*)\)$")


def show_cpu(options, row, server, programs):
    roles = roles_of(server.tree)
    requests, lines = perf_samples("cpu-clock", options, row, server, programs,
                                   ("-F", str(SAMPLE_HZ)))
    by_role, by_symbol = Counter(), Counter()
    for line in lines:
        if match := SAMPLE.match(line):
            role = roles.get(int(match[1]), "worker")
            by_role[role] += 1
            by_symbol[role, match[3], Path(match[4]).name.strip("[]")] += 1
    per_request = requests * SAMPLE_HZ / 1e6  # samples -> us per request
    top("CPU us per request by role", ["role", "us"], by_role, per_request, 1)
    top("CPU us per request by function", ["role, function, file", "us"], by_symbol, per_request, 1)


def show_syscalls(options, row, server, programs):
    roles = roles_of(server.tree)
    with tempfile.NamedTemporaryFile("r", prefix="strace-") as trace:
        attach = [word for pid in roles for word in ("-p", str(pid))]
        requests = observed(["strace", "-f", "-qq", "-o", trace.name, *attach], options, row,
                            server, programs)
        counts = Counter()
        for line in trace:
            if match := re.match(r"(\d+) +(\w+)\(", line):
                counts[roles.get(int(match[1]), "worker"), match[2]] += 1
    by_role = Counter()
    for (role, _), value in counts.items():
        by_role[role] += value
    top(f"System calls per request by role ({requests} requests)", ["role", "calls"], by_role,
        requests)
    top("System calls per request", ["role, call", "calls"], counts, requests)


# pid, address, symbol at the address, (its file), ip, symbol, (its file)
FAULT = re.compile(r"\s*(\d+)\s+[0-9a-f]+ (\S+) \((.*?)\)\s+[0-9a-f]+ (\S+).*\((.*)\)$")


def show_faults(options, row, server, programs):
    roles = roles_of(server.tree)
    requests, lines = perf_samples("page-faults", options, row, server, programs,
                                   ("-c", "1", "-d"))
    by_role, by_symbol, by_memory = Counter(), Counter(), Counter()
    for line in lines:
        if match := FAULT.match(line):
            role = roles.get(int(match[1]), "worker")
            by_role[role] += 1
            by_memory[role, Path(match[3]).name, match[2].split("+")[0]] += 1
            by_symbol[role, match[4].split("+")[0], Path(match[5]).name.strip("[]")] += 1
    top("Page faults per request by role", ["role", "faults"], by_role, requests)
    top("by the code that faulted", ["role, function, file", "faults"], by_symbol, requests)
    top("by the memory that was touched", ["role, mapping, symbol", "faults"], by_memory, requests)


def show_counts(options, row, server, programs):
    events = "context-switches,cpu-migrations,page-faults,task-clock"
    by_role = {}
    for pid, role in roles_of(server.tree).items():
        by_role.setdefault(role, []).append(str(pid))
    requests, rows = None, []
    for role, pids in by_role.items():
        with tempfile.NamedTemporaryFile("r", prefix="perf-stat-") as out:
            requests = observed(["perf", "stat", "-j", "-e", events, "-o", out.name, "-p",
                                 ",".join(pids)], options, row, server, programs)
            values = {}
            for line in out:
                if line.startswith("{"):
                    event = json.loads(line)
                    values[event["event"]] = float(event["counter-value"]) / requests
        rows.append([role] + [f"{value * (1000 if name == 'task-clock' else 1):.2f}"
                              for name, value in values.items()])
    print(table("Per request, by role with the children it has meanwhile (a zygote's workers)",
                ["role", "switches", "migrations", "faults", "CPU us"], rows))


VIEWS = {"cpu": show_cpu, "syscalls": show_syscalls, "faults": show_faults, "counts": show_counts}


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench/profile", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=VIEWS)
    parser.add_argument("row", choices=[row.name for row in ROWS], metavar="ROW",
                        help="as in bench/run --list")
    parser.add_argument("--load", choices=LOADS, default="closed-16")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--mayfly", type=Path, default=BENCH.parent / "build" / "mayfly")
    parser.add_argument("--out", type=Path, default=BENCH / "results" / "raw" / "profile")
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    row = next(row for row in ROWS if row.name == options.row)
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="mayfly-profile-") as tmp:
        places = Places(Path(tmp), options.mayfly.absolute(), BENCH / "results" / "raw" / "bin")
        compile_programs(places)
        try:
            with running(row.server, places) as server:
                server.check(row.path, row.answer, row.body)
                load.closed_loop(server.port, row.path, 1, 16, row.body)
                server.tree.settle("/proc")  # observers attach to processes that must be there
                VIEWS[options.what](options, row, server, places.programs)
        except StartError as error:
            print(f"bench/profile: {error}", file=sys.stderr)
            return 1
    return 0
