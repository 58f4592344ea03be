"""`mayfly top` against a daemon: what is on the screen is what runs."""
import json
import threading

import pytest

from lib.daemon import MAYFLY
from lib.observed import PROJECT, wait_records
from lib.process import wait_until
from lib.terminal import terminal  # noqa: F401


def once(daemon):
    return json.loads(daemon.cli("top", "--once", "--json").stdout)


@pytest.mark.core
def test_once_tells_what_runs(mayfly):
    daemon = mayfly(PROJECT)
    with daemon.connect() as connection:
        connection.send(b"GET /slow?s=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        worker = wait_until(lambda: next((p for p in once(daemon)["processes"]
                                          if p["kind"] == "worker" and p["function"] == "slow"), None))
        live = once(daemon)
        assert live["workers"] >= 1 and live["machine"]["cpus"] >= 1
        assert {f["name"] for f in live["functions"]} == set(PROJECT["mayfly.json"]["functions"])
        table = daemon.cli("top", "--once").stdout
        assert str(worker["pid"]) in table and worker["request_id"] in table


@pytest.mark.core
def test_the_screen_follows_a_request_and_kills_it(mayfly, terminal):  # noqa: F811
    daemon = mayfly(PROJECT)
    daemon.get("/hello")
    screen = terminal(MAYFLY, "top", env=daemon.env, columns=120, rows=40)
    screen.wait("hello", "slow", "REQ/S", "?Help")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(daemon.get("/slow?s=600")))
    asking.start()
    screen.wait("worker", "busy")
    assert screen.text.count("slow") == 2  # the function and its worker
    screen.keys("\t\n")
    screen.wait("logs of slow", "| begun")
    screen.keys("q")
    screen.wait("REQ/S")
    screen.keys("k")
    screen.wait("Kill request ", " of slow? y/N")
    screen.keys("y")
    screen.wait("killed ")
    asking.join(60)
    assert answers and answers[0].status >= 500
    record = wait_records(daemon, 1, "slow")[0]
    assert "killed" in record["error"] and "operator" in record["error"]
    wait_until(lambda: screen.text.count("slow") == 1, "the worker's row is gone")
    screen.keys("q")
    assert screen.wait_end() == 0
    assert screen.is_restored()


def test_the_rate_on_the_screen_is_that_of_the_load(mayfly, terminal):  # noqa: F811
    daemon = mayfly(PROJECT)
    screen = terminal(MAYFLY, "top", env=daemon.env, columns=120, rows=40)
    screen.wait("hello", "?Help")
    seen = threading.Event()

    def load():
        while not seen.is_set():
            assert daemon.get("/hello").status == 200

    loading = threading.Thread(target=load)
    loading.start()
    try:
        wait_until(lambda: (screen.row("hello") or "").split()[2:3] not in ([], ["0.0"]), "a rate on the screen")
        told = wait_until(lambda: next(f["rate"] for f in once(daemon)["functions"] if f["name"] == "hello"))
    finally:
        seen.set()
        loading.join(60)
    assert told > 0
    # What it was in 10 seconds, and not more than there have been requests in them.
    assert 0 < float(screen.row("hello").split()[2]) <= len(wait_records(daemon, 1, "hello"))
