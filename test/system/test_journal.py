"""Records and lines on their way to the store: each arrives, once, whoever dies on the way."""
import os
import signal
import time

import pytest

from lib.http import Connection
from lib.process import wait_until
from lib.workload import programs

PROJECT = {"api/tell.py": """
    def handler(event, context):
        n = event["queryStringParameters"]["n"]
        print("line", n)
        return {"statusCode": 200, "body": n}
"""}


def api(daemon, target):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        return connection.request("GET", target)


def pages(daemon, what, key, **query):
    """All rows of a list, in the order of its pages."""
    rows, cursor = [], None
    while True:
        asked = "&".join(f"{k}={v}" for k, v in {**query, "limit": 1000, **({"cursor": cursor} if cursor else {})}.items())
        answer = api(daemon, f"/api/v1/{what}?{asked}")
        assert answer.status == 200, answer
        rows += answer.json()[key]
        cursor = answer.json()["next"]
        if not cursor:
            return rows


def stored(daemon):
    """The ids in the store, or none while control is away."""
    try:
        return [r["request_id"] for r in pages(daemon, "records", "records")]
    except (ConnectionError, EOFError, AssertionError):
        return []


def printed(daemon):
    """What functions have printed, without what mayfly says of them."""
    return [line["text"] for line in pages(daemon, "logs", "lines", since=1) if line["stream"] == "stdout"]


def control(daemon):
    return wait_until(lambda: programs(daemon).get("control"), "control runs")


def requests(daemon, first, n):
    with daemon.connect() as connection:
        return [connection.request("GET", f"/api/tell?n={i}").request_id for i in range(first, first + n)]


@pytest.mark.core
def test_a_control_that_is_killed_costs_no_record_and_doubles_none(mayfly):
    daemon = mayfly(PROJECT)
    ids = requests(daemon, 0, 50)
    for i in range(1, 6):
        ids += requests(daemon, 100 * i, 30)
        os.kill(control(daemon), signal.SIGKILL)  # some are stored, some on the way, some not yet told
        ids += requests(daemon, 100 * i + 30, 30)
    found = wait_until(lambda: len(s := stored(daemon)) >= len(ids) and s, "all are stored", 60)
    assert sorted(found) == sorted(ids)
    assert {r["request_id"] for r in daemon.records} == set(ids)
    wanted = [f"line {i}" for i in range(50)] + [f"line {100 * k + i}" for k in range(1, 6) for i in range(60)]
    assert sorted(printed(daemon)) == sorted(wanted)
    assert "lost" not in daemon.stdout
    assert api(daemon, "/api/v1/system").json()["losses"] == []


@pytest.mark.core
def test_while_control_is_gone_records_wait(mayfly):
    daemon = mayfly(PROJECT)
    ids = requests(daemon, 0, 3)
    os.kill(daemon.pid, signal.SIGSTOP)  # the supervisor cannot start it again
    try:
        os.kill(control(daemon), signal.SIGKILL)
        ids += requests(daemon, 3, 200)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert sorted(wait_until(lambda: len(s := stored(daemon)) >= len(ids) and s, "all are stored", 60)) == sorted(ids)


def test_what_is_beyond_the_ceiling_is_lost_oldest_first_and_told(mayfly):
    daemon = mayfly({"api/flood.py": """
        def handler(event, context):
            for i in range(1500):
                print(event["queryStringParameters"]["n"], "x" * 500)
            return {"statusCode": 200, "body": ""}
    """})
    assert daemon.get("/api/flood?n=first").status == 200
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        os.kill(control(daemon), signal.SIGKILL)
        ids = [daemon.get(f"/api/flood?n={n}").request_id for n in range(12)]  # three times what is kept
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    found = wait_until(lambda: set(ids) <= set(s := stored(daemon)) and s, "no record is lost by it", 60)
    assert len(found) == 13
    losses = wait_until(lambda: api(daemon, "/api/v1/system").json()["losses"], "the loss is told")
    assert [loss["what"] for loss in losses] == ["log lines"]
    kept = pages(daemon, "logs", "lines", since=1)
    said = sum(line["stream"] == "system" for line in kept)  # of each request, by mayfly
    assert len(kept) + losses[0]["n"] == 13 * 1500 + said
    assert printed(daemon)[-1].startswith("11 ")  # the newest are there


def test_a_control_that_sleeps_is_sent_no_more_than_it_takes(mayfly):
    daemon = mayfly(PROJECT)
    ids = requests(daemon, 0, 3)
    pid = control(daemon)
    os.kill(pid, signal.SIGSTOP)
    try:
        ids += requests(daemon, 3, 400)
        time.sleep(0.3)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert sorted(wait_until(lambda: len(s := stored(daemon)) >= len(ids) and s, "all are stored", 60)) == sorted(ids)
    assert sorted(r["request_id"] for r in daemon.records) == sorted(ids)


def test_the_last_record_is_told_before_the_end(mayfly):
    daemon = mayfly(PROJECT)
    ids = requests(daemon, 0, 200)
    daemon.stop()
    assert sorted(r["request_id"] for r in daemon.records) == sorted(ids)
