"""Many requests: memory, descriptors and processes stay where they were. MAYFLY_SOAK sets how many."""
import os
import threading

import pytest

from lib import process
from lib.process import wait_until
from lib.workload import WORK, count_fds, programs, status_fields, zygote_pid

N_REQUESTS = int(os.environ.get("MAYFLY_SOAK") or 5000)
CLIENTS = 6
# A round of warming up fills caches and buffers; after it little may be added, however many come.
# (The address sanitizer keeps what was freed for a while.)
GROWTH_KB_MAX = 300_000 if os.environ.get("MAYFLY_SANITIZED") else 2048

NATIVE = r"""
    #include <mayfly.h>

    #include <stdio.h>

    int soak(mayfly_request *request, mayfly_response *response)
    {
        printf("a line of the log\n");
        return mayfly_puts(response, "1 native");
    }
"""

PROJECT = {
    "work.py": WORK, "soak.c": NATIVE,
    "mayfly.json": {"functions": {
        "python": {"handler": "work.app", "runtime": "python", "routes": ["/python"]},
        "instance": {"handler": "work.app", "runtime": "python", "routes": ["/instance"], "isolation": "instance"},
        "native": {"handler": "soak.soak", "runtime": "native", "routes": ["/native"]}}},
}
# What a client asks, in turn: answers, log lines, crashes, what is not there.
TARGETS = ["/native"] * 12 + ["/python", "/instance", "/native?x=1", "/python?say=hello", "/nosuch",
                              "/python?leave=program", "/instance", "/native"]
CRASH_EVERY = 500


def measure(daemon):
    pids = {"supervisor": daemon.pid, **programs(daemon)}
    for name in ("python", "instance", "native"):
        pids[f"zygote {name}"] = zygote_pid(daemon, name)
    return {name: {"pid": pid, "rss_kb": status_fields(pid, "VmRSS")["VmRSS"], "fds": count_fds(pid)}
            for name, pid in pids.items()}


def zombies(daemon):
    return [pid for pid in process.tree(daemon.pid) if (process.stat(pid) or (0, ""))[1] == "Z"]


def ask(daemon, n):
    """n requests by several clients, each over connections of 100 requests."""
    errors, lock, left = [], threading.Lock(), [n]

    def client():
        done, connection = 0, None
        while True:
            with lock:
                if left[0] <= 0:
                    break
                left[0] -= 1
                k = left[0]
            if connection is None or done % 100 == 0:
                if connection:
                    connection.close()
                connection = daemon.connect()
            done += 1
            target = "/python?exit=1" if k % CRASH_EVERY == 7 else TARGETS[k % len(TARGETS)]
            expected = 502 if "exit" in target else 404 if target == "/nosuch" else 200
            response = connection.request("GET", target)
            if response.status != expected:
                errors.append((target, response))
        connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def settle(daemon):
    """Until nobody is at work."""
    wait_until(lambda: not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "all have ended")


@pytest.mark.core
def test_nothing_grows_with_the_requests(mayfly, capsys):
    daemon = mayfly(PROJECT)
    ask(daemon, max(1000, N_REQUESTS // 5))
    settle(daemon)
    before = measure(daemon)
    ask(daemon, N_REQUESTS)
    settle(daemon)
    after = measure(daemon)
    lines = [f"soak: {N_REQUESTS} requests after {max(1000, N_REQUESTS // 5)} of warming up"]
    for name, a in after.items():
        b = before[name]
        lines.append(f"  {name:16} rss {b['rss_kb']:6} -> {a['rss_kb']:6} kB   fds {b['fds']:3} -> {a['fds']:3}")
    processes = sorted(process.tree(daemon.pid).values())
    lines.append(f"  processes below the supervisor: {len(processes)}, zombies: {len(zombies(daemon))}")
    with capsys.disabled():
        if "MAYFLY_SOAK" in os.environ:
            print("\n" + "\n".join(lines))
    for name, a in after.items():
        b = before[name]
        assert a["pid"] == b["pid"], f"{name} was started again\n{daemon.log}"
        assert a["rss_kb"] - b["rss_kb"] <= GROWTH_KB_MAX, "\n".join(lines)
    standbys = len([p for p in daemon.ps()["processes"] if p["kind"] == "standby"])
    # A standby costs the gateway a socket, two pipes and a pidfd.
    assert abs(after["gateway"]["fds"] - before["gateway"]["fds"]) <= 4 * 16 * 3
    for name, a in after.items():
        if name != "gateway":
            assert abs(a["fds"] - before[name]["fds"]) <= 1, "\n".join(lines)
    wait_until(lambda: not zombies(daemon), "no zombies")
    assert len(process.tree(daemon.pid)) <= 2 + 3 + standbys + 16 * 3, processes
