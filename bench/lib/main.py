"""The command line of the benchmark."""

import argparse
import datetime
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from . import measure, plot, report
from .progress import Progress
from .running import BENCH, Places, compile_programs, versions
from .servers import ROWS, SLEEPERS
from .tree import adopt_orphans

EXPERIMENTS = ("rows", "cold", "sleepers")


def parse(argv):
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true",
                        help="1 round of 2 s, 5 cold starts, 1 burst: a look, not a measurement")
    parser.add_argument("--only", metavar="PATTERN",
                        help="rows whose name this regular expression matches from its start; no"
                             " cold starts and sleepers unless --what says so")
    parser.add_argument("--what", metavar="LIST",
                        help="of: " + ",".join(EXPERIMENTS) + " (all of them)")
    parser.add_argument("--rounds", type=int, metavar="N", help="(5)")
    parser.add_argument("--seconds", type=int, metavar="S", help="per load (3)")
    parser.add_argument("--mayfly", type=Path, default=BENCH.parent / "build" / "mayfly",
                        help="the daemon to measure (build/mayfly)")
    parser.add_argument("--results", type=Path, metavar="DIR",
                        help="where to (bench/results; with --quick or --only its raw/latest)")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    options = parser.parse_args(argv)

    is_partial = options.quick or options.only or options.what
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (2 if options.quick else 3)
    options.colds = 5 if options.quick else 30
    options.bursts = 1 if options.quick else 3
    options.what = (options.what or ("rows" if options.only else ",".join(EXPERIMENTS))).split(",")
    options.results = options.results or BENCH / "results" / ("raw/latest" if is_partial else "")
    if unknown := set(options.what) - set(EXPERIMENTS):
        parser.error(f"no such experiment: {', '.join(unknown)}")
    return options


def chosen(items, pattern):
    return [item for item in items if not pattern or re.match(pattern, item.name)]


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {"cpu": cpu[1] if cpu else "?", "cpus": os.cpu_count(),
            "load": os.getloadavg()[0]}


def measure_all(options, places, progress):
    skipped, samples, sources, cold, sleepers = {}, [], {}, {}, {}
    results = {"date": datetime.date.today().isoformat(), "machine": machine(),
               "versions": versions(), "rounds": options.rounds, "seconds": options.seconds}
    if "rows" in options.what:
        samples, sources = measure.measure_rows(chosen(ROWS, options.only), places, options,
                                                progress, skipped)
    if "cold" in options.what:
        cold = measure.measure_cold(places, options, progress, skipped)
    if "sleepers" in options.what:
        sleepers = measure.measure_sleepers(chosen(SLEEPERS, options.only), places, options,
                                            progress, skipped)
    return results | {"cpu_source": sources, "rows": measure.medians(samples), "cold": cold,
                      "sleepers": sleepers, "skipped": skipped, "samples": samples}


def main(argv):
    options = parse(argv)
    if options.list:
        print("\n".join(f"{row.name:24}{row.label}" for row in ROWS))
        return 0
    # An end by signal takes the same way out, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    adopt_orphans()
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as tmp:
        os.chmod(tmp, 0o755)
        programs = BENCH / "results" / "raw" / "bin"
        places = Places(Path(tmp), options.mayfly.absolute(), programs)
        compile_programs(places)
        try:
            results = measure_all(options, places, progress)
        except KeyboardInterrupt:
            return 1
        finally:
            progress.end()
    report.write(results, options.results)
    made, problem = plot.draw(results, options.results)
    print(report.text(results))
    print("\n".join(["written to:", *map(str, [options.results / "results.txt",
                                               options.results / "results.json", *made])]))
    if problem:
        print(problem, file=sys.stderr)
    return 0
