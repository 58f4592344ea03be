"""What the gateway answers of itself: whether all is in order, what runs, and an end to what should not."""
import os
import signal

import pytest

from lib.http import Connection
from lib.process import wait_until
from lib.workload import Call, busy_pids, programs, work_project

LONG = 120


def local(daemon, method, target, body=None):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        return connection.request(method, target, body)


def running(daemon, n=1):
    """The ids of n requests that are being carried out."""
    def find():
        ids = [p["request_id"] for p in daemon.ps()["processes"] if p["kind"] == "worker" and p["state"] == "busy"]
        return ids if len(ids) >= n and all(ids) else None

    return wait_until(find, f"{n} requests run")


@pytest.mark.core
def test_ready_tells_of_each_part(mayfly):
    daemon = mayfly(work_project(work={}))
    ready = wait_until(lambda: (a := local(daemon, "GET", "/readyz")).status == 200 and a.json(), "it is ready")
    assert ready["ready"] is True
    assert (ready["gateway"], ready["control"]) == ("ok", "ok")
    assert ready["store"]["status"] == "ok"
    assert ready["sandbox"]
    assert local(daemon, "GET", "/version").json()["name"] == "mayfly"
    assert local(daemon, "HEAD", "/healthz").status == 200
    os.kill(daemon.pid, signal.SIGSTOP)  # the supervisor cannot start it again
    try:
        os.kill(programs(daemon)["control"], signal.SIGKILL)
        told = wait_until(lambda: (a := local(daemon, "GET", "/readyz")).status == 503 and a.json(), "it is not")
        assert (told["ready"], told["control"], told["gateway"]) == (False, "away", "ok")
        assert "store" not in told  # nobody knows
        assert local(daemon, "GET", "/healthz").status == 200  # requests are carried out
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: local(daemon, "GET", "/readyz").status == 200, "it is ready again")


@pytest.mark.core
def test_an_operator_ends_one_request(mayfly):
    daemon = mayfly(work_project(work={"timeout": 300}))
    calls = [Call(daemon, f"/work?sleep={LONG}") for _ in range(2)]
    victim, other = running(daemon, 2)[:2]
    assert local(daemon, "POST", f"/api/v1/requests/{victim}/kill").status == 202
    wait_until(lambda: any(not c.is_alive() for c in calls), "one has ended")
    ended = next(c for c in calls if not c.is_alive()).result()
    assert ended.status == 502 and ended.request_id == victim
    record = daemon.record(victim)
    assert (record["outcome"], record["error"]) == ("crash", "killed by an operator")
    assert other in running(daemon)
    assert local(daemon, "POST", f"/api/v1/requests/{victim}/kill").status == 404  # it is over
    assert local(daemon, "POST", "/api/v1/requests/nonsense/kill").status == 404
    assert local(daemon, "POST", f"/api/v1/requests/{other}/kill").status == 202
    for call in calls:
        call.result()


@pytest.mark.core
def test_an_operator_ends_a_request_that_waits(mayfly):
    daemon = mayfly(work_project(work={"timeout": 300, "concurrency": 1, "queue_timeout": 300}))
    first = Call(daemon, f"/work?sleep={LONG}")
    busy_pids(daemon, "work")
    second = Call(daemon, f"/work?sleep={LONG}")
    live = wait_until(lambda: (f := of(live_now(daemon), "work"))["queued"] == 1 and f, "one waits")
    assert (live["busy"], live["state"]) == (1, "warm")
    runs = running(daemon)[0]
    assert local(daemon, "POST", f"/api/v1/requests/{runs}/kill").status == 202
    assert first.result().status == 502
    wait_until(lambda: running(daemon)[0] != runs, "the other has its turn")
    assert local(daemon, "POST", f"/api/v1/requests/{running(daemon)[0]}/kill").status == 202
    assert second.result().status == 502


def live_now(daemon):
    return local(daemon, "GET", "/api/v1/live").json()


def of(live, name):
    return next((f for f in live["functions"] if f["name"] == name), {"queued": 0})


def test_what_runs_is_told_to_who_watches(mayfly):
    daemon = mayfly(work_project(work={"timeout": 300}))
    call = Call(daemon, f"/work?sleep={LONG}")
    request = running(daemon)[0]
    live = wait_until(lambda: (now := live_now(daemon))["processes"] and of(now, "work").get("busy") == 1 and now,
                      "it is told")
    worker = next(p for p in live["processes"] if p["kind"] == "worker" and p["state"] == "busy")
    assert worker["request_id"] == request and worker["pid"] in daemon.tree()
    assert live["workers"] >= 1 and live["workers_max"] >= live["workers"] and live["omitted"] == 0
    assert local(daemon, "POST", f"/api/v1/requests/{request}/kill").status == 202
    call.result()
