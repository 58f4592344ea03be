"""Functions that take all there is of something, again and again, beside one that is asked steadily: the
bomb hears which limit it has hit, everybody else goes on, and nothing of it is left. How slow the
neighbour becomes is printed (with MAYFLY_CHAOS=SECONDS) and holds within a bound there; in an ordinary
run only that it is answered at all, because others use the machine as well."""
import json
import os
import threading
import time

import pytest

from lib import leaks
from lib.daemon import ROOT
from lib.http import HANG_SECONDS
from lib.process import wait_until
from lib.web import running
from lib.workload import programs, zygote_pid

LONG = bool(os.environ.get("MAYFLY_CHAOS"))
PROJECT = ROOT / "test" / "system" / "projects" / "bombs"
QUIET_SECONDS = 5 if LONG else 1
BOMB_SECONDS = 4 if LONG else 0.4  # how long one kind is thrown; each has its own end
ROUNDS = int(os.environ.get("MAYFLY_BOMBS") or (100 if LONG else 2))
PROBES_PER_SECOND = 100
SLOWER, SLOW_MS = 2, 20  # the neighbour's p99 stays below the larger of twice its own and this

# What may be hit, besides the time, which may always be over first. "" is a crash that no limit caused.
WAYS = {
    "cpu": {"processes"}, "threads": {"processes", "memory"}, "fork": {"processes", "memory"}, "memory": {"memory"},
    "memory_of_many": {"memory", "processes", ""}, "descriptors": {"files"}, "disk": {"tmp", "files"},
    "inodes": {"tmp_files"}, "file": {"file_size"}, "log": {"log"}, "stack": {"memory", ""}, "answer": {"response"},
}


class Prober(threading.Thread):
    """Asks at a steady rate. It stands for clients on other machines, so it goes before what runs here, where
    it may."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.asked = daemon
        self.took = []  # (when, seconds)
        self.bad = []
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(2))
        except OSError:
            pass
        with self.asked.connect() as connection:
            due = time.monotonic()
            while not self.stopping.is_set():
                started = time.monotonic()
                try:
                    response = connection.request("GET", "/probe")
                    if response.status != 200:
                        self.bad.append(response)
                except (OSError, EOFError) as error:
                    self.bad.append(error)
                    break
                self.took.append((started, time.monotonic() - started))
                due = max(due + 1 / PROBES_PER_SECOND, time.monotonic())
                time.sleep(max(0, due - time.monotonic()))

    def p(self, share, since, until=None):
        """Milliseconds that this share of those asked in that time took at most."""
        found = sorted(t for s, t in self.took if since <= s <= (until or s))
        return found[min(len(found) - 1, int(len(found) * share))] * 1000 if found else float("nan")

    def stop(self):
        self.stopping.set()
        self.join(HANG_SECONDS)
        assert not self.is_alive(), "the probe hangs"
        assert self.bad == [], self.bad[:3]


class Bomb(threading.Thread):
    def __init__(self, daemon, function, way):
        super().__init__(daemon=True)
        self.daemon_asked, self.function, self.way = daemon, function, way
        self.response = self.broken = None
        self.start()

    def run(self):
        try:
            self.response = self.daemon_asked.post("/" + self.function, self.way, timeout=120)
        except (OSError, EOFError) as error:  # an answer that had begun
            self.broken = error

    def wait(self):
        self.join(150)
        assert not self.is_alive(), f"{self.function} {self.way} hangs"
        return self


class Records:
    """What the daemon prints, read on and on: with the bombs' own output it is too much to be read twice."""

    def __init__(self, daemon):
        self.file = open(daemon.folder / "stdout", "rb")
        self.rest = b""
        self.found = {}

    def __getitem__(self, request_id):
        return wait_until(lambda: self._read() or self.found.pop(request_id, None), f"a record of {request_id}")

    def _read(self):
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        for line in lines:
            if b'"outcome"' in line and b'"/probe"' not in line:
                record = json.loads(line)
                self.found[record["request_id"]] = record


def check(records, bomb):
    """Whether it was told what it did wrong."""
    may = WAYS[bomb.way] | {"timeout"}
    if bomb.response is None:
        assert bomb.way == "answer", bomb.broken
        return "broken off"
    record = records[bomb.response.request_id]
    if bomb.response.status == 200:
        assert bomb.way == "memory_of_many", (bomb.function, bomb.way, record)
        return "200"
    assert bomb.response.status in (500, 502, 504), (bomb.function, bomb.way, bomb.response)
    assert record["limit"] in may and record["error"], (bomb.function, bomb.way, record["outcome"], record["error"])
    if record["limit"]:
        assert record["error"].split(":")[0].split(" ")[0] in bomb.response.text, (record, bomb.response)
    return record["error"]


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT, "--listen", "127.0.0.1:0") as daemon:
        wait_until(lambda: "sandbox=" in daemon.log)
        if "sandbox=degraded" in daemon.log:
            pytest.skip("nothing confines a bomb here: no namespaces")
        assert daemon.get("/probe").status == 200
        for function in ("python", "native"):
            assert daemon.post("/" + function, "nothing").status == 200
        yield daemon


def survivors(daemon):
    return {**programs(daemon), "supervisor": daemon.pid,
            **{name: zygote_pid(daemon, name) for name in ("probe", "python", "native")}}


def bound(daemon, quiet):
    if "cgroup.missing" in daemon.log:
        return float("inf")  # nobody holds a function to its share of the CPUs here
    return max(SLOWER * quiet, SLOW_MS)


@pytest.mark.core
def test_a_bomb_hurts_itself(daemon, capsys):
    before, at_first = leaks.at_rest(daemon), survivors(daemon)
    prober, records, lines, slow = Prober(daemon), Records(daemon), [], []
    started = time.monotonic()
    time.sleep(QUIET_SECONDS)
    quiet = prober.p(0.99, started)
    lines.append(f"{'quiet':24} probe p50 {prober.p(.5, started):6.2f} p99 {quiet:6.2f} max {prober.p(1, started):6.2f} ms")
    for way in WAYS:
        for function in ("python", "native"):
            started, told = time.monotonic(), []
            while not told or time.monotonic() < started + BOMB_SECONDS:
                told += [check(records, bomb.wait()) for bomb in [Bomb(daemon, function, way) for _ in range(2)]]
            p99 = prober.p(0.99, started)
            slow += [(function, way, p99)] if p99 > bound(daemon, quiet) else []
            lines.append(f"{function + ' ' + way:24} probe p50 {prober.p(.5, started):6.2f} p99 {p99:6.2f} "
                         f"max {prober.p(1, started):6.2f} ms  {len(told):3} bombs: {', '.join(sorted(set(told)))}")
    prober.stop()
    with capsys.disabled():
        if LONG:
            print("\nbombs, two of a kind at a time:\n  " + "\n  ".join(lines))
    assert survivors(daemon) == at_first, daemon.log[-3000:]
    assert prober.p(1, 0) < HANG_SECONDS * 1000
    leaks.assert_same(before, daemon)
    assert not LONG or not slow, (quiet, slow)


def test_rounds_of_all_bombs_at_once(daemon, capsys):
    """Two dozen at a time: here it counts that all of us survive."""
    before, at_first = leaks.at_rest(daemon), survivors(daemon)
    prober, records = Prober(daemon), Records(daemon)
    started = time.monotonic()
    time.sleep(QUIET_SECONDS)
    quiet = prober.p(0.99, started)
    began, n, ends = time.monotonic(), 0, {}
    for _ in range(ROUNDS):
        bombs = [Bomb(daemon, function, way) for way in WAYS for function in ("python", "native")]
        for bomb in bombs:
            n += 1
            end = check(records, bomb.wait()).split(":")[0]
            ends[end] = ends.get(end, 0) + 1
    took = time.monotonic() - began
    p99 = prober.p(0.99, began)
    prober.stop()
    with capsys.disabled():
        if LONG:
            print(f"\nbombs, {ROUNDS} rounds of {len(WAYS) * 2} at once: {n} in {took:.0f} s: {ends}\n"
                  f"  probe: quiet p99 {quiet:.2f} ms, meanwhile p50 {prober.p(.5, began):.2f} p99 {p99:.2f} "
                  f"max {prober.p(1, began):.2f} ms, {len(prober.took)} answered, none failed")
    assert survivors(daemon) == at_first, [line for line in daemon.log.splitlines() if "watchdog.kill" not in line]
    leaks.assert_same(before, daemon)


@pytest.mark.core
def test_a_bomb_dies_with_its_client(daemon):
    """Who leaves takes the bomb along: processes and all."""
    before = leaks.at_rest(daemon)
    for function, way in (("python", "cpu"), ("native", "fork"), ("native", "memory_of_many")):
        connection = daemon.connect()
        connection.send(f"POST /{function} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(way)}\r\n\r\n{way}".encode())
        time.sleep(0.5)
        connection.close()
    leaks.assert_same(before, daemon)
