"""Where the time of a request goes, by process role: cpu, syscalls, faults, counts.

  cpu       samples every 0.2 ms: CPU time per request by role, and the hottest functions
  syscalls  system calls per request by role (strace: slow, but it counts right)
  faults    page faults per request by role, by the code that faults and by the memory touched
  counts    context switches, migrations, page faults and CPU time per request, nearly undisturbed

A process that runs before the load has a role by its name and its place in the tree; one that
comes with the load is a worker.
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

PROGRAMS = ("supervisor", "gateway", "control")  # mayfly's own: mayfly-gateway and so on
BY_DEPTH = ("supervisor", "zygote", "standby")   # all others in mayfly's tree
PEER_BY_DEPTH = ("parent", "child", "grandchild")


def role_of(process, depth, is_mayfly):
    by_depth = BY_DEPTH if is_mayfly else PEER_BY_DEPTH
    program = process.name.removeprefix("mayfly-")[:len("supervisor")]
    return program if program in PROGRAMS else by_depth[min(depth, len(by_depth) - 1)]


def roles_of(tree, is_mayfly):
    """{pid: role} of the processes that run now."""
    depth, roles = {}, {}
    for process in tree.processes():
        depth[process.pid] = depth.get(process.parent, -1) + 1
        roles[process.pid] = role_of(process, depth[process.pid], is_mayfly)
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


def perf_samples(argv, script_argv, options, row, server, programs):
    """Runs perf record; returns (requests, perf script's lines)."""
    options.out.mkdir(parents=True, exist_ok=True)
    data = options.out / f"{options.what}-{row.name}.data"
    requests = observed(["perf", "record", *argv, "-o", str(data)], options, row, server, programs)
    script = subprocess.run(["perf", "script", "-i", str(data), *script_argv], text=True,
                            capture_output=True)
    print(f"raw data: {data} (perf report -i ...)\n", file=sys.stderr)
    return requests, script.stdout.splitlines()


def top(title, head, counter, divisor, digits=2):
    rows = [[" ".join(key) if isinstance(key, tuple) else key, f"{value / divisor:.{digits}f}"]
            for key, value in counter.most_common(TOP)]
    rows.append(["all", f"{sum(counter.values()) / divisor:.{digits}f}"])
    print(table(title, head, rows))


# ---- the four views ----

def show_cpu(options, row, server, programs):
    """Samples the CPUs, not the processes: a timer of a worker's own would hardly ever fire in a
    life of 50 us."""
    roles = roles_of(server.tree, row.is_mayfly)
    requests, lines = perf_samples(["-a", "-e", "cpu-clock", "-F", str(SAMPLE_HZ), "-g"],
                                   ["--show-task-events", "-F", "comm,pid,ip,sym,dso"],
                                   options, row, server, programs)
    by_role, by_symbol = Counter(), Counter()
    for role, symbol, file in innermost(lines, roles):
        by_role[role] += 1
        by_symbol[role, symbol.split("+")[0], Path(file).name.strip("[]")] += 1
    per_request = requests * SAMPLE_HZ / 1e6  # samples -> us per request
    top("CPU us per request by role", ["role", "us"], by_role, per_request, 1)
    top("CPU us per request by function", ["role, function, file", "us"], by_symbol, per_request, 1)


FORK = re.compile(r".*PERF_RECORD_FORK\((\d+):\d+\):\((\d+):")
HEADING = re.compile(r"\S.*?\s+(\d+)\s*$")         # comm pid
FRAME = re.compile(r"\s+[0-9a-f]+ (\S+).*\((.*)\)$")  # ip symbol (file)


def innermost(lines, roles):
    """(role, innermost symbol, its file) of each sample in a process of ours. Samples and forks
    come in the order of time, so a PID means what it was last given to."""
    roles = dict(roles)
    role = None
    for line in lines:
        if match := FORK.match(line):
            child, parent = int(match[1]), int(match[2])
            if child != parent and parent in roles:
                roles[child] = "worker" if child not in roles else roles[child]
            elif child != parent and roles.get(child) == "worker":
                del roles[child]
        elif match := HEADING.match(line):
            role = roles.get(int(match[1]))
        elif role and (match := FRAME.match(line)):
            yield role, match[1], match[2]
            role = None


def show_syscalls(options, row, server, programs):
    roles = roles_of(server.tree, row.is_mayfly)
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
    roles = roles_of(server.tree, row.is_mayfly)
    pids = ",".join(map(str, roles))
    requests, lines = perf_samples(["-e", "page-faults", "-c", "1", "-d", "-p", pids],
                                   ["-F", "pid,addr,ip,sym,dso"], options, row, server, programs)
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


COUNTS = ("context-switches", "cpu-migrations", "page-faults", "task-clock")


def perf_stat(pids, options, row, server, programs):
    """{event: count per request} of the processes and the children they have meanwhile."""
    with tempfile.NamedTemporaryFile("r", prefix="perf-stat-") as out:
        requests = observed(["perf", "stat", "-j", "-e", ",".join(COUNTS), "-o", out.name, "-p",
                             ",".join(map(str, pids))], options, row, server, programs)
        events = [json.loads(line) for line in out if line.startswith("{")]
    # An event that never came is "<not counted>".
    return {event["event"]: float(event["counter-value"].replace("<not counted>", "0")) / requests
            for event in events}


def show_counts(options, row, server, programs):
    by_role = {}
    for pid, role in roles_of(server.tree, row.is_mayfly).items():
        by_role.setdefault(role, []).append(pid)
    by_role.pop("standby", None)  # each is gone after its first request
    rows = []
    for role, pids in by_role.items():
        values = perf_stat(pids, options, row, server, programs)
        values["task-clock"] *= 1000  # given in ms
        rows.append([role] + [f"{values[event]:.2f}" for event in COUNTS])
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
