"""Who is let in, who waits, who is refused; and that each has its turn."""
import time

import pytest

from lib import process
from lib.process import is_alive, wait_until
from lib.workload import Call, Load, busy_pids, kill, processes, programs, work_project, zygote_pid


@pytest.mark.core
def test_concurrency_of_one_never_has_two_at_work(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 1}))
    load = Load(daemon, "/work?sleep=0.02", clients=6)
    aim = 60
    while load.n_ok < aim:
        assert len([p for p in processes(daemon, "worker", "work") if p["state"] == "busy"]) <= 1
        assert load.bad == []
    assert load.stop() == []


@pytest.mark.core
def test_waiting_too_long_is_503_with_retry_after(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 1, "queue_timeout": 0.5, "timeout": 60}))
    assert daemon.get("/work").status == 200
    first = Call(daemon, "/work?sleep=5")
    busy_pids(daemon, "work")
    late = [Call(daemon, "/work") for _ in range(3)]
    for call in late:
        response = call.result()
        assert response.status == 503 and int(response.headers["retry-after"]) >= 1
        assert "queue_timeout" in response.json()["errorMessage"]
        assert daemon.record(response)["outcome"] == "unavailable"
    assert first.result().status == 200
    assert daemon.get("/work").status == 200


@pytest.mark.core
def test_full_queue_is_429_with_retry_after(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 1, "queue": 2}))
    assert daemon.get("/work").status == 200
    first = Call(daemon, "/work?sleep=3")
    busy_pids(daemon, "work")
    others = [Call(daemon, "/work") for _ in range(6)]
    statuses = sorted(call.result().status for call in [first, *others])
    assert statuses == [200] * 3 + [429] * 4
    refused = next(call.result() for call in others if call.result().status == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert daemon.record(refused)["outcome"] == "throttled"


@pytest.mark.core
def test_queue_of_none_still_waits_for_a_cold_start(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 1, "queue": 0}))
    assert daemon.get("/work").status == 200
    # Until its process has gone a worker counts, so that there are never two.
    wait_until(lambda: not processes(daemon, "worker"))
    first = Call(daemon, "/work?sleep=2")
    busy_pids(daemon, "work")
    assert daemon.get("/work").status == 429
    assert first.result().status == 200


@pytest.mark.core
def test_rate_and_burst(mayfly):
    daemon = mayfly(work_project(work={"rate": 1, "burst": 5}))
    responses = [daemon.get("/work") for _ in range(12)]
    statuses = [r.status for r in responses]
    assert statuses[:5] == [200] * 5  # what was saved up
    assert 429 in statuses[5:] and set(statuses) == {200, 429}
    refused = next(r for r in responses if r.status == 429)
    assert int(refused.headers["retry-after"]) >= 1 and "rate" in refused.json()["errorMessage"]
    wait_until(lambda: daemon.get("/work").status == 200, "a token comes every second")


@pytest.mark.core
def test_refused_requests_leave_the_connection_in_order(mayfly):
    daemon = mayfly(work_project(work={"rate": 1}))
    with daemon.connect() as connection:
        statuses = {connection.request("POST", "/work", b"x" * 5000).status for _ in range(20)}
    assert statuses == {200, 429}


@pytest.mark.core
def test_ceiling_is_shared_and_nobody_starves(mayfly):
    daemon = mayfly(work_project(busy={}, other={}, third={}), "--workers-max", "3")
    load = Load(daemon, "/busy?sleep=0.03", clients=8)
    load.wait_more(10)
    gateway = programs(daemon)["gateway"]
    others = Load(daemon, "/other", "/third", clients=2)
    deadline = time.monotonic() + 30
    while others.n_ok < 20 and time.monotonic() < deadline:
        assert len([p for p in processes(daemon) if p["kind"] != "zygote"]) <= 3
    others.wait_more(10)
    load.wait_more(10)
    assert others.stop() == [] and load.stop() == []
    assert programs(daemon)["gateway"] == gateway


@pytest.mark.core
def test_ceiling_of_one(mayfly):
    daemon = mayfly(work_project(a={}, b={}, c={"isolation": "instance"}), "--workers-max", "1")
    load = Load(daemon, "/a", "/b", "/c", clients=3)
    wait_until(lambda: {r["function"] for r in daemon.records} == {"a", "b", "c"},
               "all three to have had their turn")
    load.wait_more(60)
    assert load.stop() == []


@pytest.mark.core
def test_without_standbys(mayfly):
    daemon = mayfly(work_project(work={"standby": 0}))
    load = Load(daemon, "/work", clients=3)
    load.wait_more(30)
    assert processes(daemon, "standby") == []
    assert load.stop() == []


def standbys_of(daemon):
    try:
        return wait_until(lambda: {p["pid"] for p in processes(daemon, "standby") if p["pid"]}, seconds=10)
    except AssertionError:
        pytest.skip("no standby within 10 s: they are made of idle CPU time, and this machine has none")


@pytest.mark.core
def test_standbys_appear_and_are_used(mayfly):
    daemon = mayfly(work_project(work={}))
    assert daemon.get("/work").status == 200
    used = 0
    for _ in range(10):
        standbys = standbys_of(daemon)
        response = daemon.get("/work")
        used += daemon.record(response)["pid"] in standbys
    assert used >= 8  # another standby may have been made and taken in between
    assert len(processes(daemon, "standby")) <= 16


@pytest.mark.core
def test_standby_that_is_killed_is_not_used(mayfly):
    daemon = mayfly(work_project(work={}))
    assert daemon.get("/work").status == 200
    for _ in range(10):
        for pid in standbys_of(daemon):
            try:
                kill(pid)
            except ProcessLookupError:
                pass
        response = daemon.get("/work")
        assert response.status in (200, 502)  # 502: it died in the moment it was chosen
    wait_until(lambda: daemon.get("/work").status == 200)


@pytest.mark.core
def test_instance_reuses_one_process_and_serves_one_at_a_time(mayfly):
    daemon = mayfly(work_project(work={"isolation": "instance", "concurrency": 1}))
    load = Load(daemon, "/work?sleep=0.01", clients=4)
    load.wait_more(40)
    workers = {p["pid"] for p in processes(daemon) if p["kind"] in ("worker", "standby") and p["pid"]}
    assert load.stop() == []
    assert len({body for bodies in load.bodies for body in bodies}) == 1  # the pid that it sees
    assert len({r["pid"] for r in daemon.records}) == 1 and len(workers) == 1


@pytest.mark.core
def test_instance_grows_with_requests_at_once(mayfly):
    daemon = mayfly(work_project(work={"isolation": "instance"}))
    calls = [Call(daemon, "/work?sleep=1") for _ in range(4)]
    assert [call.result().status for call in calls] == [200] * 4
    records = wait_until(lambda: len(r := daemon.records) == 4 and r)
    assert len({r["pid"] for r in records}) == 4
    assert daemon.get("/work").status == 200
    assert daemon.record(daemon.get("/work"))["pid"] in {r["pid"] for r in records}


@pytest.mark.core
def test_instance_that_crashes_is_replaced(mayfly):
    daemon = mayfly(work_project(work={"isolation": "instance"}))
    before = daemon.record(daemon.get("/work"))["pid"]
    assert daemon.get("/work?exit=1").status == 502
    after = daemon.get("/work")
    assert after.status == 200 and daemon.record(after)["pid"] != before


# ---- to nothing and back ----

@pytest.mark.core
def test_idle_function_leaves_no_process_and_starts_again(mayfly):
    daemon = mayfly(work_project(work={"standby_idle": 0.2, "zygote_idle": 0.5},
                                 instance={"standby_idle": 0.2, "zygote_idle": 0.5, "isolation": "instance"}))
    for _ in range(3):
        for target in ("/work", "/instance"):
            response = daemon.get(target)
            assert response.status == 200
            assert daemon.record(response)["cold"]
        zygote = zygote_pid(daemon, "work")
        wait_until(lambda: processes(daemon) == [], "nothing is left running")
        wait_until(lambda: sorted(process.tree(daemon.pid).values()) == ["mayfly-control", "mayfly-gateway"])
        assert zygote is None or not is_alive(zygote)


@pytest.mark.core
def test_standbys_go_before_the_zygote(mayfly):
    daemon = mayfly(work_project(work={"standby_idle": 0.3, "zygote_idle": 60}))
    assert daemon.get("/work").status == 200
    standbys_of(daemon)
    zygote = zygote_pid(daemon, "work")
    wait_until(lambda: not processes(daemon, "standby") and not processes(daemon, "worker"), "no standby")
    assert zygote_pid(daemon, "work") == zygote
    response = daemon.get("/work")
    assert response.status == 200 and not daemon.record(response)["cold"]


@pytest.mark.core
def test_request_longer_than_the_idle_time_is_not_cut(mayfly):
    daemon = mayfly(work_project(work={"standby_idle": 0.1, "zygote_idle": 0.2}))
    assert daemon.get("/work?sleep=2").status == 200
