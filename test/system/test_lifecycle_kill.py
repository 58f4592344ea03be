"""Whatever is killed: what was not part of it goes on, and what was comes again."""
import signal
import socket
import threading
import time

import pytest

from lib import process
from lib.process import is_alive, wait_until
from lib.workload import (PROFILE_IDS, PROFILES, Call, Load, Mark, busy_pids, kill, programs,
                          work_project, zygote_pid)

LONG = 120  # seconds that a request would take if it were not ended


@pytest.mark.core
def test_killing_a_worker_fails_its_request_alone(mayfly):
    daemon = mayfly(work_project(work={}, victim={"timeout": 300}))
    assert daemon.get("/victim").status == 200
    load = Load(daemon, "/work", "/victim")
    load.wait_more()
    for _ in range(8):
        call = Call(daemon, f"/victim?sleep={LONG}")
        record_of = wait_until(lambda: next(
            (p for p in daemon.ps()["processes"]
             if p["kind"] == "worker" and p["function"] == "victim" and p["pid"] and p["age_ms"] > 300), None),
            "a worker that sleeps")
        kill(record_of["pid"])
        response = call.result()
        assert response.status == 502, response
        assert daemon.record(response)["outcome"] == "crash"
    load.wait_more()
    assert load.stop() == []
    assert daemon.get("/victim").status == 200


@pytest.mark.core
def test_killing_a_zygote_leaves_other_functions_alone(mayfly):
    daemon = mayfly(work_project(work={}, victim={"timeout": 300}))
    assert daemon.get("/work").status == daemon.get("/victim").status == 200
    other = zygote_pid(daemon, "work")
    load = Load(daemon, "/work")
    for _ in range(3):
        calls = [Call(daemon, f"/victim?sleep={LONG}") for _ in range(4)]
        workers = busy_pids(daemon, "victim", 4)
        before = zygote_pid(daemon, "victim")
        kill(before)
        for call in calls:
            response = call.result()
            assert response.status == 502, response
            assert "died" in response.json()["errorMessage"]
        assert daemon.get("/victim").status == 200
        assert zygote_pid(daemon, "victim") not in (before, None)
        wait_until(lambda: not any(map(is_alive, workers)), "its workers are gone")
    load.wait_more()
    assert load.stop() == []
    assert zygote_pid(daemon, "work") == other


@pytest.mark.core
def test_killing_the_gateway_refuses_no_connection(mayfly):
    daemon = mayfly(work_project(work={"timeout": 300}))
    assert daemon.get("/work").status == 200
    zygote = zygote_pid(daemon, "work")
    refused, n_connected, stopping = [], [0], threading.Event()

    def connect():
        while not stopping.is_set():
            try:
                socket.create_connection(daemon.address, 30).close()
                n_connected[0] += 1
            except OSError as error:
                refused.append(error)
            time.sleep(0.002)

    connector = threading.Thread(target=connect, daemon=True)
    connector.start()
    load = Load(daemon, "/work")
    for _ in range(5):
        load.wait_more(10)
        call = Call(daemon, f"/work?sleep={LONG}")
        workers = wait_until(lambda: [p["pid"] for p in daemon.ps()["processes"]
                                      if p["kind"] == "worker" and p["age_ms"] > 300], "a worker that sleeps")
        kill(programs(daemon)["gateway"])
        # The listening socket is not the gateway's own: who connects now is served by the next one.
        assert daemon.get("/work").status == 200
        call.result()
        wait_until(lambda: not any(map(is_alive, workers)), "nobody works for clients that are gone")
    load.wait_more()
    load.stop()
    stopping.set()
    connector.join(30)
    assert refused == [] and n_connected[0] > 50
    assert zygote_pid(daemon, "work") == zygote  # taken over, not started again
    # Only what was in flight when it died has failed: at most one request a client and kill.
    assert len(load.bad) <= 5 * 3 * 2, load.bad
    assert all(isinstance(what, (OSError, EOFError)) for _, what in load.bad), load.bad


@pytest.mark.core
def test_killing_control_stops_no_request_and_records_come_again(mayfly):
    daemon = mayfly(work_project(work={}))
    load = Load(daemon, "/work")
    for _ in range(3):
        load.wait_more(20)
        before = programs(daemon)["control"]
        kill(before)
        wait_until(lambda: programs(daemon).get("control") not in (before, None), "a new control")
    load.wait_more()
    assert load.stop() == []
    wait_until(lambda: _recorded(daemon), "records", seconds=30, interval=0.3)


def _recorded(daemon):
    response = daemon.get("/work?say=here")
    time.sleep(0.5)
    return any(r["request_id"] == response.request_id for r in daemon.records)


@pytest.mark.core
@pytest.mark.parametrize("profile", PROFILES, ids=PROFILE_IDS)
def test_killing_the_supervisor_leaves_no_process(mayfly, profile):
    mark = Mark(**profile)
    daemon = mayfly(work_project(work={"timeout": 300}, other={}), *mark.arguments, env=mark.env)
    assert daemon.get("/other").status == 200
    calls = [Call(daemon, f"/work?leave=daemon&sleep={LONG}"), Call(daemon, f"/work?leave=program&sleep={LONG}")]
    busy_pids(daemon, "work", 2)
    wait_until(lambda: len(mark.strays(daemon)) >= 2, "both have left one behind")
    ours = {p["pid"] for p in daemon.ps()["processes"]} | set(programs(daemon).values())
    kill(daemon.pid)
    assert daemon.process.wait(30) == -signal.SIGKILL
    for call in calls:
        call.result()
    wait_until(lambda: not any(map(is_alive, ours)), "nothing of ours runs")
    # Without PID namespaces nobody is left who could end what a function has made a daemon of.
    if "sandbox=degraded" not in daemon.log:
        wait_until(lambda: not mark.find(), "nothing of the functions runs")
    for pid in mark.find():
        process.end(pid)


@pytest.mark.core
@pytest.mark.parametrize("profile", PROFILES, ids=PROFILE_IDS)
def test_killing_a_zygote_ends_what_its_requests_started(mayfly, profile):
    mark = Mark(**profile)
    daemon = mayfly(work_project(work={"timeout": 300}), *mark.arguments, env=mark.env)
    calls = [Call(daemon, f"/work?leave=tree&sleep={LONG}") for _ in range(2)]
    busy_pids(daemon, "work", 2)
    wait_until(lambda: len(mark.strays(daemon)) >= 20, "they have started others")
    kill(zygote_pid(daemon, "work"))
    assert [call.result().status for call in calls] == [502, 502]
    mark.wait_no_strays(daemon)
    assert daemon.get("/work").status == 200


def test_random_kills_under_load_never_hang_a_request(mayfly):
    """Everything but the supervisor, many times: each request ends, and at last all is well."""
    daemon = mayfly(work_project(a={}, b={}))
    load = Load(daemon, "/a", "/b?sleep=0.05", "/b", "/a?say=x", clients=4)
    for i in range(24):
        load.wait_more(5)
        found = process.tree(daemon.pid)
        ours = ("mayfly-gateway", "mayfly-control")
        found = {pid: name for pid, name in found.items() if (name in ours) == (i % 8 == 7)}
        if found:
            try:
                kill(list(found)[i % len(found)])
            except ProcessLookupError:
                pass
    load.wait_more()
    load.stop()
    # Who was killed while it loaded is not tried again for a second.
    wait_until(lambda: daemon.get("/a").status == daemon.get("/b").status == 200, "all is well")
    # 502: killed at work; 500: its function was killed while it loaded; 503: no fork, its namespace was dying.
    assert [r for _, r in load.bad if hasattr(r, "status") and r.status not in (500, 502, 503)] == []
