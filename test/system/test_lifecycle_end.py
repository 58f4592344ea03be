"""How a daemon ends: what is in flight is finished, nobody new is kept waiting, nothing is left."""
import signal
import socket
import time

import pytest

from lib.process import wait_until
from lib.workload import Call, Load, busy_pids, kill, programs, work_project

ENDS = [signal.SIGTERM, signal.SIGINT]


def connects(daemon):
    """Whether somebody takes a connection, asks and is answered."""
    try:
        with daemon.connect() as connection:
            return bool(connection.request("GET", "/work"))
    except (OSError, EOFError):
        return False


@pytest.mark.core
@pytest.mark.parametrize("how", ENDS)
def test_drain_finishes_what_is_in_flight(mayfly, how):
    daemon = mayfly(work_project(work={}))
    assert daemon.get("/work").status == 200
    idle = daemon.connect()
    assert idle.request("GET", "/work").status == 200
    calls = [Call(daemon, "/work?sleep=2") for _ in range(4)]
    busy_pids(daemon, "work", 4)
    daemon.process.send_signal(how)
    # A connection that asks nothing is closed, and nobody new is let in, nor kept waiting.
    assert idle.rest() == b""
    wait_until(lambda: not connects(daemon), "new connections are refused")
    assert daemon.process.poll() is None
    for call in calls:
        response = call.result()
        assert response.status == 200, response
        assert response.headers["connection"] == "close"
    assert daemon.process.wait(30) == 0
    assert len([r for r in daemon.records if r["outcome"] == "ok"]) == 6


@pytest.mark.core
def test_second_signal_does_not_wait(mayfly):
    daemon = mayfly(work_project(work={"timeout": 600}))
    call = Call(daemon, "/work?sleep=500")
    busy_pids(daemon, "work")
    daemon.process.terminate()
    wait_until(lambda: not connects(daemon), "it drains")
    assert daemon.process.poll() is None
    daemon.process.terminate()
    assert daemon.process.wait(30) == 0
    assert isinstance(call.result(), (OSError, EOFError))


@pytest.mark.core
def test_drain_waits_no_longer_than_its_timeout(mayfly):
    daemon = mayfly(work_project(work={"timeout": 600}), "--drain-timeout", "500ms")
    call = Call(daemon, "/work?sleep=500")
    busy_pids(daemon, "work")
    daemon.process.terminate()
    assert daemon.process.wait(30) == 0
    assert isinstance(call.result(), (OSError, EOFError))


@pytest.mark.core
def test_drain_without_a_gateway(mayfly):
    daemon = mayfly(work_project(work={}))
    kill(programs(daemon)["gateway"])
    daemon.process.terminate()
    assert daemon.process.wait(30) == 0


@pytest.mark.core
def test_stopping_under_load_breaks_no_answer(mayfly):
    """Each client has its answer whole, or its connection is closed before it was asked anything."""
    for _ in range(3):
        daemon = mayfly(work_project(work={}))
        load = Load(daemon, "/work", "/work?sleep=0.2", clients=4)
        load.wait_more()
        assert daemon.stop() == 0
        for _, what in load.stop():
            # The request and the end may cross on the wire: then not a byte of an answer came.
            assert isinstance(what, ConnectionError) or "after b''" in str(what), what


@pytest.mark.core
def test_idle_daemon_ends_at_once_and_leaves_its_files_in_order(mayfly):
    daemon = mayfly(work_project(work={}))
    address = daemon.address
    started = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - started < 30
    assert not (daemon.state / "listen").exists() and not (daemon.state / "mayfly.sock").exists()
    with socket.socket() as taken:  # the port is free
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
