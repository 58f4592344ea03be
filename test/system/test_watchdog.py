"""Deadlines hold while every CPU is busy, and who holds them costs nothing when there is nothing to do."""
import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

from lib.daemon import ROOT
from lib.process import is_alive, wait_until
from lib.workload import (PROFILE_IDS, PROFILES, Call, busy_pids, kill, programs, work_project,
                          zygote_pid)

TIMEOUT = 0.5
STACK_GRACE = 0.25  # in which a worker over its time may tell where it is

SPIN = """
    #include <mayfly.h>

    #include <signal.h>

    int spin(mayfly_request *request, mayfly_response *response)
    {
        volatile unsigned long n = 0;

        signal(SIGQUIT, SIG_IGN);
        if (mayfly_query(request)[0]) {
            mayfly_puts(response, "so far");
            mayfly_flush(response);
        }
        for (;;)
            n++;
        return 0;
    }
"""
PROJECT = {"spin.c": SPIN, "mayfly.json": {"functions": {
    "spin": {"handler": "spin.spin", "runtime": "native", "routes": ["/spin"], "timeout": TIMEOUT}}}}


@contextlib.contextmanager
def hogs(n):
    """Programs that never sleep."""
    running = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(n)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def message_type(name):
    text = (ROOT / "src/wire/messages.tbl.h").read_text()
    return re.findall(r"^MSG\((\w+)", text, re.M).index(name) + 1


def watchdog(daemon):
    return daemon.ps()["watchdog"]


@pytest.mark.core
@pytest.mark.parametrize("profile", PROFILES, ids=PROFILE_IDS)
def test_a_function_over_its_time_is_ended_while_every_cpu_is_busy(mayfly, profile, capsys):
    daemon = mayfly(PROJECT, env=profile)
    daemon.get("/spin")
    took = []
    with hogs(8):
        for _ in range(3):
            started = time.monotonic()
            calls = [Call(daemon, "/spin") for _ in range(2)]
            for call in calls:
                response = call.result()
                assert response.status == 504, response
                assert f"Timeout after {TIMEOUT:.2f} s" in response.text, response
            took.append(time.monotonic() - started)
            for call in calls:  # the record is written when the process has been reaped
                assert not is_alive(daemon.record(call.response)["pid"])
    told = watchdog(daemon)
    with capsys.disabled():
        if os.environ.get("MAYFLY_CHAOS"):
            print(f"\nwatchdog: over after {', '.join(f'{t * 1000:.0f}' for t in took)} ms "
                  f"({(TIMEOUT + STACK_GRACE) * 1000:.0f} at the best), {told}")
    assert max(took) < 10, told


@pytest.mark.core
def test_it_kills_when_nobody_else_does(mayfly):
    """The supervisor, who kills as a rule, has been stopped: the gateway's thread needs nobody."""
    daemon = mayfly(PROJECT)
    daemon.get("/spin")
    before = watchdog(daemon)["kills"]
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        call = Call(daemon, "/spin")
        (worker, *_) = busy_pids(daemon, "spin")
        response = call.result()
        assert response.status == 504 and f"Timeout after {TIMEOUT:.2f} s" in response.text, response
        wait_until(lambda: not is_alive(worker), "it is dead")
        wait_until(lambda: watchdog(daemon)["kills"] > before, "it is counted")
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert f"watchdog.kill function=spin pid={worker}" in daemon.log
    assert daemon.get("/spin").status == 504


@pytest.mark.core
def test_a_loop_that_comes_late_says_timeout_nevertheless(mayfly):
    """The gateway's own loop sees the end of a worker before it sees that its time is over."""
    daemon = mayfly(PROJECT)
    daemon.get("/spin")
    gateway = programs(daemon)["gateway"]
    for target in ("/spin", "/spin?begin=1"):
        call = Call(daemon, target)
        (worker, *_) = busy_pids(daemon, "spin")
        os.kill(gateway, signal.SIGSTOP)  # all its threads, the watchdog's, too
        time.sleep(TIMEOUT + STACK_GRACE + 0.3)
        os.kill(gateway, signal.SIGCONT)
        result = call.result()
        assert getattr(result, "status", 504) == 504, result
        record = wait_until(lambda: next((r for r in daemon.records if r["pid"] == worker), None), "its record")
        assert record["outcome"] == "timeout" and record["error"] == f"Timeout after {TIMEOUT:.2f} s", record


@pytest.mark.core
def test_who_ends_in_time_is_never_killed(mayfly):
    """Many short lives with deadlines close behind them, while numbers of processes and descriptors go round."""
    daemon = mayfly(work_project(work={"timeout": 2}, instance={"timeout": 2, "isolation": "instance"}))
    for i in range(150):
        target = ("/work", "/instance")[i % 2]
        response = daemon.get(f"{target}?sleep={i % 5 / 100}")
        assert response.status == 200, response
    assert watchdog(daemon)["kills"] == 0


@pytest.mark.core
def test_it_kills_only_children_of_the_zygote(mayfly):
    """A zygote has run foreign code and might name anybody as its worker: the daemon itself, for one."""
    daemon = mayfly({"work.py": """
        import os, socket, time

        # Its channels were made by the supervisor, whom the kernel names as the other end's owner.
        SO_PEERPIDFD = 77
        channel = socket.socket(fileno=os.dup(5))
        theirs = channel.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)

        if os.fork() == 0:
            head = (WORKER_STARTED).to_bytes(4, "little")
            channel.setblocking(True)
            while True:
                for generation in range(4):
                    for index in range(2):
                        worker = generation << 32 | index
                        socket.send_fds(channel, [head + worker.to_bytes(8, "little")], [theirs])
                time.sleep(0.0001)

        def app(environ, start_response):
            time.sleep(30)
    """.replace("WORKER_STARTED", str(message_type("WORKER_STARTED"))),
                     "mayfly.json": work_project(work={"timeout": TIMEOUT, "queue_timeout": 2})["mayfly.json"]})
    wait_until(lambda: daemon.get("/work").status in (200, 500, 502, 503, 504)
               and "names a process" in daemon.log)
    assert daemon.process.poll() is None
    assert "names a process that is none of its own" in daemon.log
    time.sleep(TIMEOUT + STACK_GRACE + 0.1)
    assert daemon.process.poll() is None


@pytest.mark.core
def test_an_idle_gateway_sleeps(mayfly):
    # Without standbys: on a busy machine it looks again and again whether it may make some.
    daemon = mayfly(work_project(work={"timeout": 900, "standby": 0}))
    for _ in range(20):
        assert daemon.get("/work").status == 200
    wait_until(lambda: not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "all have ended")
    before = watchdog(daemon)["looks"]
    for _ in range(20):  # each with a deadline later than the first one's: nothing to wake for
        assert daemon.get("/work").status == 200
    assert watchdog(daemon)["looks"] == before
    gateway = programs(daemon)["gateway"]

    def switches():
        return {task: int(next(line.split()[1] for line in open(f"/proc/{gateway}/task/{task}/status", encoding="utf-8")
                               if line.startswith("voluntary_ctxt")))
                for task in os.listdir(f"/proc/{gateway}/task")}

    time.sleep(1.5)  # what the last request has left to do
    first = switches()
    time.sleep(2)
    assert switches() == first


@pytest.mark.core
def test_it_comes_again_with_a_new_gateway(mayfly):
    daemon = mayfly(PROJECT)
    assert daemon.get("/spin").status == 504
    zygote = zygote_pid(daemon, "spin")
    before = programs(daemon)["gateway"]
    kill(before)
    wait_until(lambda: programs(daemon).get("gateway") not in (before, None), "a new gateway")
    assert daemon.get("/spin").status == 504
    assert zygote_pid(daemon, "spin") == zygote
