"""What is counted is what was: known requests give exactly their sums, however control fares meanwhile, and
the meter says what the function itself was told by the kernel."""
import collections
import json
import os
import signal
import threading

import pytest

from lib import process
from lib.daemon import SANITIZED
from lib.process import wait_until

PROJECT = {
    "mayfly.json": {"functions": {
        "good": {"handler": "code.good", "routes": ["/good"]},
        "bad": {"handler": "code.bad", "routes": ["/bad"]},
        "slow": {"handler": "code.slow", "routes": ["/slow"], "timeout": 0.3},
        "dies": {"handler": "code.dies", "routes": ["/dies"]},
        "rated": {"handler": "code.good", "routes": ["/rated"], "rate": 1, "burst": 2},
        "burns": {"handler": "code.burns", "routes": ["/burns"], "timeout": 60},
    }},
    "code.py": """
        import json, os, resource, time
        def good(event, context):
            return {"statusCode": 200, "body": "hi"}
        def bad(event, context):
            raise ValueError("no")
        def slow(event, context):
            time.sleep(60)
        def dies(event, context):
            os._exit(3)
        def burns(event, context):
            until = time.process_time() + 0.25
            while time.process_time() < until:
                sum(range(2000))
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {"statusCode": 200, "body": json.dumps([used.ru_utime, used.ru_stime])}
    """,
}
# By what a client is told, how the request ended.
OUTCOMES = {"good": {200: "ok"}, "bad": {502: "error", 500: "error"}, "slow": {504: "timeout"},
            "dies": {502: "crash"}, "rated": {200: "ok", 429: "throttled"}}


def load(daemon, plan, threads=4):
    """Carries out the plan, {path: n}; returns {(function, outcome): n} by what the clients were told."""
    todo = [name for name, n in plan.items() for _ in range(n)]
    todo.sort(key=lambda name: hash((name, len(todo))))
    counts, lock = collections.Counter(), threading.Lock()

    def client():
        while True:
            with lock:
                if not todo:
                    return
                name = todo.pop()
            answer = daemon.get("/" + name)
            with lock:
                counts[name, OUTCOMES[name][answer.status]] += 1

    clients = [threading.Thread(target=client) for _ in range(threads)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert sum(counts.values()) == sum(plan.values())
    return counts


def all_records(daemon):
    records, query = [], "limit=1000"
    while True:
        page = daemon.ask("/api/v1/records?" + query).json()
        records += page["records"]
        if page["next"] is None:
            return records
        query = "limit=1000&cursor=" + page["next"]


def check_sums(daemon, counts):
    """Records, series and usage say the same as the clients."""
    total = sum(counts.values())

    def stored():
        answer = daemon.ask("/api/v1/system")
        return answer.status == 200 and answer.json()["store"]["records"] >= total
    wait_until(stored, f"{total} records", 60)
    records = all_records(daemon)
    assert len({r["request_id"] for r in records}) == len(records)
    assert collections.Counter((r["function"], r["outcome"]) for r in records) == counts
    assert daemon.ask("/api/v1/system").json()["losses"] == []
    usage = {row["function"]: row for row in daemon.ask("/api/v1/usage?by=function").json()["rows"]}
    for name in {function for function, _ in counts}:
        mine = {outcome: n for (function, outcome), n in counts.items() if function == name}
        points = daemon.ask(f"/api/v1/series?function={name}").json()["points"]
        outcomes = collections.Counter()
        for point in points:
            outcomes.update(point["outcomes"])
            assert point["count"] == sum(point["outcomes"].values())
        assert +outcomes == collections.Counter(mine)
        own = [r for r in records if r["function"] == name]
        assert usage[name]["invocations"] == sum(mine.values()) == len(own)
        assert usage[name]["errors"] == sum(n for outcome, n in mine.items() if outcome != "ok")
        for key in ("user_us", "system_us", "bytes_in", "bytes_out"):
            assert usage[name][key] == sum(r[key] for r in own), (name, key)
            if key in points[0]:
                assert sum(p[key] for p in points) == usage[name][key]
        # Each is rounded down once, at the end.
        assert abs(usage[name]["run_us"] - sum(r["run_ns"] for r in own) // 1000) <= 1
        assert sum(p["cold"] for p in points) == sum(r["cold"] for r in own)


@pytest.mark.core
def test_known_requests_give_exactly_their_counts(mayfly):
    daemon = mayfly(PROJECT)
    check_sums(daemon, load(daemon, {"good": 40, "bad": 15, "slow": 3, "dies": 5, "rated": 12}))


def control_of(daemon):
    return next((pid for pid, name in process.tree(daemon.pid).items() if "control" in name), None)


@pytest.mark.core
def test_the_counts_are_as_exact_when_control_is_killed_in_between(mayfly):
    daemon = mayfly(PROJECT)
    daemon.get("/good")
    ended = threading.Event()
    killed = []

    def killer():
        while not ended.is_set():
            pid = control_of(daemon)
            if pid and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            ended.wait(0.7)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        counts = load(daemon, {"good": 600, "bad": 60, "dies": 6})
        wait_until(lambda: len(killed) >= 2, "control was killed twice")
    finally:
        ended.set()
        thread.join()
    counts["good", "ok"] += 1
    check_sums(daemon, counts)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer works at the exit of a process, too")
def test_the_cpu_time_is_what_the_function_was_told_itself(mayfly):
    daemon = mayfly(PROJECT)
    daemon.get("/burns")
    told = recorded = 0
    for _ in range(8):
        answer = daemon.get("/burns")
        told += sum(json.loads(answer.body)) * 1e6
        record = daemon.stored(answer)
        recorded += record["user_us"] + record["system_us"]
    # What it cannot know itself, its birth and its end, are in the record, too.
    assert told > 8 * 0.25e6
    assert told * 0.95 < recorded < told * 1.05, (told, recorded)
