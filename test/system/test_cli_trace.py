"""`mayfly trace` against a daemon: one request whole, as it was."""
import json
import re

import pytest

from lib.observed import PROJECT, wait_lines, wait_records


@pytest.mark.core
def test_a_request_is_shown_whole(mayfly):
    daemon = mayfly(PROJECT)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = daemon.get("/hello?name=you", headers={"traceparent": parent})
    wait_lines(daemon, 2)
    told = json.loads(daemon.cli("trace", response.request_id, "--json").stdout)
    record = told["record"]
    assert (record["request_id"], record["function"], record["status"]) == (response.request_id, "hello", 200)
    assert [line["text"] for line in told["logs"] if line["stream"] != "system"] == ["hello you", "to stderr"]
    assert told["traceparent"].split("-")[1] == parent.split("-")[1]
    shown = daemon.cli("trace", response.request_id, env={"LC_ALL": "C"}).stdout
    lines = shown.splitlines()
    assert lines[0] == "GET /hello  200 ok"
    assert f"request   {response.request_id}" in lines
    assert any(line.startswith("function  hello, version ") for line in lines)
    assert "trace     " + told["traceparent"] in lines
    assert re.search(r"^ +\+\S+ \| hello you$", shown, re.M) and re.search(r"^ +\+\S+ ! to stderr$", shown, re.M)
    for title in ("CPU", "memory", "faults", "bytes", "process"):
        assert any(line.startswith(f"  {title} ") for line in lines)
    assert f"process  {record['pid']}, exit 0" in shown
    bars = {line.split()[0]: line for line in lines if line.startswith(("  wait ", "  init ", "  run "))}
    assert set(bars) == {"wait", "init", "run"}
    assert all("#" in bars[phase] for phase in bars if record[f"{phase}_ns"])
    # One phase begins where the one before has ended.
    begins = [bars[phase].index("#") for phase in ("wait", "init", "run") if "#" in bars[phase]]
    assert begins == sorted(begins)
    assert "cold start" in shown


@pytest.mark.core
def test_ids_sort_by_arrival_even_within_a_millisecond(mayfly):
    daemon = mayfly(PROJECT)
    ids = [daemon.get("/hello").request_id for _ in range(30)]
    assert ids == sorted(ids) and len(set(ids)) == 30


@pytest.mark.core
def test_the_newest_and_beginnings(mayfly):
    daemon = mayfly(PROJECT)
    responses = [daemon.get("/hello") for _ in range(3)]
    wait_records(daemon, 3)
    ids = [response.request_id for response in responses]
    traced = lambda name: json.loads(daemon.cli("trace", name, "--json").stdout)["record"]["request_id"]  # noqa: E731
    assert traced("last") == ids[-1]
    for one in ids:
        assert traced(one[:18]) == one
        assert traced(one.replace("-", "").upper()[:20]) == one
    unknown = "f" + ids[0][1:]
    done = daemon.cli("trace", unknown, code=3)
    assert done.stdout == "" and done.stderr.startswith("mayfly: trace: ")
    done = daemon.cli("trace", unknown[:12], code=3)
    assert f"no record of a request whose id begins with {unknown[:12]}" in done.stderr


def test_a_failure_has_its_stack(mayfly):
    daemon = mayfly(PROJECT)
    response = daemon.get("/fail")
    wait_records(daemon, 1)
    shown = daemon.cli("trace", response.request_id).stdout
    assert shown.startswith("GET /fail  500 error\n")
    assert "\nerror     " in shown
    stack = shown.split("\n  stack\n")[1]
    assert stack.startswith("  ValueError: no such \\x1b[31mitem\n")
    assert 'File "/var/task/code.py"' in stack and "in fail" in stack
    assert "\x1b" not in shown
    assert "\x1b[31m500 error" in daemon.cli("trace", response.request_id, "--color", "always").stdout


def test_a_request_that_runs_has_no_record_yet(mayfly):
    daemon = mayfly(PROJECT)
    daemon.get("/hello")
    with daemon.connect() as connection:
        connection.send(b"GET /slow?s=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        line, = wait_lines(daemon, 1, "slow")
        done = daemon.cli("trace", line["request_id"], code=3)
        assert "still runs" in done.stderr
