"""Under a steady load something is killed again and again: what fails is what the dead process carried,
and nothing else; nothing hangs, nothing is left behind. `./dev chaos` does each for a minute, with
MAYFLY_CHAOS=SECONDS; without it each takes some seconds. Only processes of the test's own daemon are killed."""
import os
import random
import select
import signal
import threading
import time

import pytest

from lib import leaks, process
from lib.http import HANG_SECONDS, Connection
from lib.process import wait_until
from lib.workload import programs

SECONDS = float(os.environ.get("MAYFLY_CHAOS") or 3)
LONG = bool(os.environ.get("MAYFLY_CHAOS"))
CLIENTS = 12
NEWS = 0.05  # seconds, until the others know that one is dead
EARLY = 0.15  # seconds; a worker that is at it for no longer has its answer still to give

NAP = """
    #include <mayfly.h>

    #include <stdlib.h>
    #include <time.h>

    int nap(mayfly_request *request, mayfly_response *response)
    {
        long ms = atol(mayfly_query(request));
        struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        nanosleep(&t, NULL);
        return mayfly_puts(response, "rested");
    }
"""
PY = """
    import time

    def app(environ, start_response):
        time.sleep(int(environ["QUERY_STRING"] or 0) / 1000)
        start_response("200 OK", [])
        return [b"rested"]
"""


def project(**limits):
    function = {"timeout": 20, "queue_timeout": 20, **limits}
    return {"nap.c": NAP, "nap.py": PY, "mayfly.json": {"functions": {
        "victim": {"handler": "nap.nap", "runtime": "native", "routes": ["/victim"], **function},
        "other": {"handler": "nap.nap", "runtime": "native", "routes": ["/other"], **function},
        "python": {"handler": "nap.app", "runtime": "python", "routes": ["/python"], **function}}}}


class Asked:
    """One request: when, what, what came of it."""

    def __init__(self, target, started, ended, status, text="", request_id=None):
        self.target, self.started, self.ended, self.status = target, started, ended, status
        self.text, self.request_id = text, request_id

    def __repr__(self):
        return f"<{self.target} {self.started:.3f}-{self.ended:.3f} {self.status} {self.text}>"


class Storm:
    """Clients that ask steadily, each by a connection of its own, and something else that kills."""

    def __init__(self, daemon, targets, clients=CLIENTS, pause=0):
        self.daemon, self.pause = daemon, pause
        self.asked, self.refused = [], []
        self.kills = []  # (when, when it was dead, pid, what)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(targets[i % len(targets)],), daemon=True)
                        for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _client(self, target):
        connection = None
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                connection = connection or Connection(self.daemon.address, HANG_SECONDS)
            except OSError as error:
                self.refused.append(error)
                time.sleep(0.01)
                continue
            try:
                r = connection.request("GET", target)
                done = Asked(target, started, time.monotonic(), r.status, "" if r.status == 200 else r.text[:160], r.request_id)
            except (OSError, EOFError) as error:
                done = Asked(target, started, time.monotonic(), None, repr(error)[:80])
                connection = connection.close()
            self.asked.append(done)
            time.sleep(self.pause)
        if connection:
            connection.close()

    def rage(self, rate, choose, seconds=SECONDS):
        """Kills what choose() returns, (pid, what) or None, so many times a second."""
        end = time.monotonic() + seconds
        due = time.monotonic()
        while time.monotonic() < end:
            found = choose()
            started = time.monotonic()
            if found and kill_own(self.daemon, found[0]):
                self.kills.append((started, time.monotonic(), *found))
            due = max(due + 1 / rate, time.monotonic() - 1 / rate)
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        time.sleep(0.3)
        self.stopping.set()
        for thread in self.threads:
            thread.join(HANG_SECONDS)
            assert not thread.is_alive(), "a request hangs"
        assert self.refused == [], self.refused[:3]
        return self

    def failed(self, target=None):
        return [a for a in self.asked if a.status != 200 and (target is None or a.target.startswith(target))]

    def outside(self, failed):
        """Those that were not in flight while something died, or while the news of it spread."""
        return [a for a in failed
                if not any(a.started <= dead + NEWS and killed <= a.ended for killed, dead, *_ in self.kills)]

    def recoveries(self, target=None):
        """Seconds from each kill to the end of the first good answer to a request made after it."""
        good = sorted((a.started, a.ended) for a in self.asked
                      if a.status == 200 and (target is None or a.target.startswith(target)))
        found = []
        for when, *_ in self.kills:  # which includes the death itself
            ends = [ended for started, ended in good if started >= when][:CLIENTS]
            if ends:
                found.append(min(ends) - when)
        return sorted(found)


def kill_own(daemon, pid):
    """kill -9, by a pidfd that is known to be of the daemon's children tree. Returns whether it was there."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if pid not in process.tree(daemon.pid):
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], HANG_SECONDS)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def percentile(sorted_values, p):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p))] if sorted_values else float("nan")


def report(capsys, what, storm, target=None):
    times = [t * 1000 for t in storm.recoveries(target)]
    with capsys.disabled():
        if LONG:
            print(f"\nchaos: {what:10} {SECONDS:4.0f} s  {len(storm.asked):6} asked  {len(storm.kills):5} kills  "
                  f"{len(storm.failed()):5} failed  {len(storm.refused)} refused   good again after "
                  f"p50 {percentile(times, .5):.1f} p99 {percentile(times, .99):.1f} max {percentile(times, 1):.1f} ms")


def warm(daemon, *targets):
    for target in targets:
        assert daemon.get(target).status == 200
    return leaks.at_rest(daemon)


def processes_of(daemon, kind, function):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        found = connection.request("GET", "/api/v1/ps").json()["processes"]
    return [p for p in found if p["kind"] == kind and p["function"] == function and p["pid"]]


@pytest.mark.core
def test_a_killed_worker_costs_exactly_its_own_request(mayfly, capsys):
    daemon = mayfly(project())
    before = warm(daemon, "/victim", "/other")
    storm = Storm(daemon, ["/victim?500", "/victim?500", "/victim?500", "/other?5"], clients=4 * CLIENTS)
    carried = {}  # request: pid

    def choose():
        asked = time.monotonic()
        busy = [p for p in processes_of(daemon, "worker", "victim")
                if p["state"] == "busy" and p["age_ms"] < EARLY * 1000 and p["request_id"] not in carried]
        if not busy or time.monotonic() - asked > EARLY:
            return None
        p = random.choice(busy)
        carried[p["request_id"]] = p["pid"]
        return p["pid"], p["request_id"]

    storm.rage(50, choose)
    storm.stop()
    killed = {request_id for *_, request_id in storm.kills}
    failed = {a.request_id: a for a in storm.failed()}
    report(capsys, "workers", storm)
    assert len(killed) == len(storm.kills) > SECONDS
    assert set(failed) == killed, (set(failed) ^ killed, list(failed.values())[:3])
    assert {a.status for a in failed.values()} == {502}
    assert storm.failed("/other") == []
    leaks.assert_same(before, daemon)


@pytest.mark.core
def test_a_killed_standby_costs_nothing_that_it_did_not_have(mayfly, capsys):
    daemon = mayfly(project())
    before = warm(daemon, "/victim", "/other")
    storm = Storm(daemon, ["/victim?20", "/other?5"], clients=2, pause=0.1)
    killed = set()

    def choose():
        standbys = processes_of(daemon, "standby", "victim")
        if standbys:
            killed.add(standbys[0]["pid"])
        return (standbys[0]["pid"], "standby") if standbys else None

    storm.rage(30, choose)
    storm.stop()
    report(capsys, "standbys", storm)
    for failed in storm.failed():  # it was given a request after we had looked
        assert failed.status == 502 and daemon.record(failed.request_id)["pid"] in killed, failed
    if not storm.kills:
        pytest.skip("the machine is too busy: no standbys are made")
    leaks.assert_same(before, daemon)


@pytest.mark.core
@pytest.mark.parametrize("function", ["victim", "python"])
def test_a_killed_zygote_costs_what_its_function_had_in_flight(mayfly, capsys, function):
    daemon = mayfly(project())
    before = warm(daemon, "/" + function, "/other")
    storm = Storm(daemon, [f"/{function}?10", f"/{function}?30", "/other?5"], clients=6)

    def choose():
        found = processes_of(daemon, "zygote", function)
        if not found:
            return None
        pid = found[0]["pid"]
        parent = (process.stat(pid) or (0,))[0]
        is_init = (process.stat(parent) or (0, "", ""))[2] == "mayfly-init"
        return (parent, "init") if is_init and random.random() < 0.3 else (pid, "zygote")

    storm.rage(10 if function == "victim" else 2, choose)
    storm.stop()
    report(capsys, "zygotes " + function, storm, "/" + function)
    assert len(storm.kills) > 1
    assert storm.failed("/other") == []
    assert storm.outside(storm.failed()) == []
    assert {a.status for a in storm.failed()} <= {502, 503}, storm.failed()[:5]
    assert len([a for a in storm.asked if a.status == 200 and a.target.startswith("/" + function)]) > SECONDS
    leaks.assert_same(before, daemon)


@pytest.mark.core
def test_a_killed_gateway_costs_what_was_in_flight_and_refuses_nobody(mayfly, capsys):
    daemon = mayfly(project())
    before = warm(daemon, "/victim", "/python")
    storm = Storm(daemon, ["/victim?5", "/python?20"], clients=8)

    def choose():
        pid = programs(daemon).get("gateway")
        return (pid, "gateway") if pid else None

    storm.rage(1, choose, max(SECONDS, 4))
    storm.stop()
    report(capsys, "gateway", storm)
    assert len(storm.kills) >= 3
    # All of them were cut, not one was answered wrongly; nobody who came while there was no gateway was turned away.
    assert {a.status for a in storm.failed()} <= {None}, storm.failed()[:5]
    assert storm.outside(storm.failed()) == []
    assert len(storm.failed()) <= len(storm.kills) * 8
    leaks.assert_same(before, daemon)


@pytest.mark.core
def test_a_killed_control_costs_nothing(mayfly, capsys):
    daemon = mayfly(project())
    before = warm(daemon, "/victim", "/python")
    storm = Storm(daemon, ["/victim?5", "/python?20"], clients=8)

    def choose():
        pid = programs(daemon).get("control")
        return (pid, "control") if pid else None

    storm.rage(1, choose, max(SECONDS, 4))
    storm.stop()
    report(capsys, "control", storm)
    assert len(storm.kills) >= 3 and storm.failed() == []
    leaks.assert_same(before, daemon)


def test_everything_at_once(mayfly, capsys):
    """Workers, zygotes, gateway and control: every request ends, and at last it is as it was at first."""
    daemon = mayfly(project())
    before = warm(daemon, "/victim", "/python", "/other")
    storm = Storm(daemon, ["/victim?20", "/python?20", "/other?5"], clients=9)
    ours = ("mayfly-gateway", "mayfly-control")

    def choose():
        found = process.tree(daemon.pid)
        chosen = [pid for pid, name in found.items() if (name in ours) == (random.random() < 0.05)]
        return (random.choice(chosen), "any") if chosen else None

    storm.rage(20, choose)
    storm.stop()
    report(capsys, "everything", storm)
    # Three zygotes in a row that die before they have answered count as the function's fault, for a second.
    wait_until(lambda: [daemon.get(t).status for t in ("/victim", "/python", "/other")] == [200] * 3, "all is well", 10)
    leaks.assert_same(before, daemon)


@pytest.mark.core
def test_nothing_is_left_on_the_machine(mayfly):
    """After the supervisor itself has been killed in the midst of work: mounts, groups, processes."""
    daemon = mayfly(project())
    mounts = leaks.mounts("self", daemon)
    warm(daemon, "/victim", "/python")
    groups = leaks.cgroups(daemon)
    storm = Storm(daemon, ["/victim?50", "/python?20"], clients=4)
    time.sleep(0.5)
    tree = process.tree(daemon.pid)
    storm.stopping.set()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait(HANG_SECONDS)
    wait_until(lambda: not any(map(process.is_alive, tree)), "all are gone")
    assert leaks.mounts("self", daemon) == mounts
    again = mayfly(daemon.project, "--state", daemon.state)  # the last state wins
    assert again.get("/victim").status == 200
    again.stop()
    assert groups >= leaks.cgroups(again)
