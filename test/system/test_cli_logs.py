"""`mayfly logs` against a daemon: what functions print, whose it is, and what comes while one looks."""
import json
import queue
import re
import subprocess
import threading

import pytest

from lib.daemon import MAYFLY
from lib.observed import PROJECT, log_lines, wait_lines, wait_records
from lib.process import wait_until


class Following:
    """`mayfly logs -f` with these arguments, until the end of the test."""

    def __init__(self, daemon, *arguments):
        self.process = subprocess.Popen([MAYFLY, "logs", "-f", *arguments], env=daemon.env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.notes = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=lambda: self.notes.extend(self.process.stderr), daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def next(self):
        """The next line that is not mayfly's own."""
        while True:
            line = self.lines.get(timeout=60)
            if " * " not in line:
                return line

    def said(self, text):
        wait_until(lambda: any(text in note for note in self.notes), f"{text} in {self.notes}")

    def end(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def follow():
    made = []

    def start(*arguments):
        made.append(Following(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.mark.core
def test_lines_say_whose_they_are(mayfly):
    daemon = mayfly(PROJECT)
    first, second = daemon.get("/hello?name=one"), daemon.get("/hello?name=two")
    wait_lines(daemon, 4)
    out = daemon.cli("logs", "hello").stdout.splitlines()
    found = {}
    for line in out:
        time, function, request, mark, text = re.fullmatch(r"([\d:.]{12}) (\S+) (\S{18}) ([|!*]) (.*)", line).groups()
        assert function == "hello"
        found.setdefault(request, []).append((mark, text))
    assert found[first.request_id[:18]][:2] == [("|", "hello one"), ("!", "to stderr")]
    assert found[second.request_id[:18]][:2] == [("|", "hello two"), ("!", "to stderr")]
    assert "no lines" in daemon.cli("logs", "slow").stderr
    assert "no function nosuch" in daemon.cli("logs", "nosuch", code=3).stderr
    assert "no function nosuch" in daemon.cli("records", "nosuch", code=3).stderr


@pytest.mark.core
def test_lines_can_be_chosen(mayfly):
    daemon = mayfly(PROJECT)
    wanted = daemon.get("/hello?name=wanted")
    daemon.get("/hello?name=other")
    daemon.get("/chatty?n=30")
    wait_lines(daemon, 34)
    texts = lambda *arguments: [line["text"] for line in log_lines(daemon, *arguments)]  # noqa: E731
    assert texts("--request", wanted.request_id) == ["hello wanted", "to stderr"]
    assert texts("--request", wanted.request_id[:18]) == ["hello wanted", "to stderr"]
    assert texts("--grep", "other") == ["hello other"]
    assert texts("hello", "--stream", "stderr") == ["to stderr", "to stderr"]
    assert texts("chatty", "--stream", "stdout", "-n", "2") == ["line 28", "line 29"]
    assert texts("chatty", "--stream", "stdout", "-n", "2", "--since", "1h") == ["line 28", "line 29"]
    assert len(texts("chatty", "--since", "1h")) == 30
    assert texts("--until", "1h") == []
    assert texts("--since", "2100-01-01") == []
    assert daemon.cli("logs", "--request", "0" * 36, code=2).stdout == ""
    assert log_lines(daemon, "--request", "00000000-0000-7000-8000-000000000000") == []


def test_more_lines_than_a_page(mayfly):
    daemon = mayfly(PROJECT)
    daemon.get("/chatty?n=2500")
    wait_lines(daemon, 2500, "--since", "1h")
    lines = [line["text"] for line in log_lines(daemon, "chatty", "--since", "1h")]
    assert lines == [f"line {i}" for i in range(2500)]


@pytest.mark.core
def test_json_lines_have_their_fields(mayfly):
    daemon = mayfly({"api/x.py": """
        import json
        def handler(event, context):
            print(json.dumps({"level": "info", "n": 3, "text": "\\x1b[2J"}))
            print("plain \\x1b[2J\\tand tab")
            return {"statusCode": 200, "body": ""}
    """})
    daemon.get("/api/x")
    first, second = wait_lines(daemon, 2)
    assert first["fields"] == {"level": "info", "n": 3, "text": "\x1b[2J"}
    assert "fields" not in second
    shown = daemon.cli("logs").stdout
    assert "plain \\x1b[2J\tand tab" in shown and "\x1b" not in shown
    assert "\x1b[33m" not in daemon.cli("logs", "--color", "never").stdout
    assert "\x1b[2m" in daemon.cli("logs", "--color", "always").stdout


@pytest.mark.core
def test_what_comes_is_followed_without_a_gap(mayfly, follow):
    daemon = mayfly(PROJECT)
    daemon.get("/hello?name=before")
    wait_lines(daemon, 2)
    following = follow(daemon, "hello")
    assert following.next().endswith("| hello before")
    assert following.next().endswith("! to stderr")
    for i in range(20):
        daemon.get(f"/hello?name={i}")
        daemon.get("/chatty?n=1")
    for i in range(20):
        assert following.next().endswith(f"| hello {i}")
        assert following.next().endswith("! to stderr")


def test_a_request_is_followed_while_it_runs(mayfly, follow):
    daemon = mayfly(PROJECT)
    daemon.get("/hello")
    wait_lines(daemon, 2)
    following = follow(daemon, "slow", "--stream", "stdout", "--json")
    with daemon.connect() as connection:
        connection.send(b"GET /slow?s=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        line = json.loads(following.next())
        assert (line["function"], line["text"]) == ("slow", "begun")


def test_following_goes_on_when_control_is_killed(mayfly, follow):
    daemon = mayfly(PROJECT)
    daemon.get("/hello?name=first")
    wait_lines(daemon, 2)
    following = follow(daemon, "hello", "--stream", "stdout")
    assert following.next().endswith("hello first")
    control = next(pid for pid, name in daemon.tree().items() if "control" in name)
    subprocess.run(["kill", "-9", str(control)], check=True)
    daemon.get("/hello?name=meanwhile")
    following.said("connection is lost")
    following.said("connected again")
    daemon.get("/hello?name=after")
    assert following.next().endswith("hello meanwhile")
    assert following.next().endswith("hello after")


def test_following_waits_for_the_daemon_to_come_back(mayfly, follow):
    daemon = mayfly(PROJECT)
    following = follow(daemon, "hello", "--stream", "stdout", "--state", daemon.state)
    daemon.get("/hello?name=first")
    assert following.next().endswith("hello first")
    daemon.stop()
    following.said("connection is lost")
    again = mayfly(daemon.project, "--state", daemon.state)
    following.said("connected again")
    again.get("/hello?name=second")
    assert following.next().endswith("hello second")


def test_nobody_who_reads_ends_it(mayfly):
    daemon = mayfly(PROJECT)
    with subprocess.Popen([MAYFLY, "logs", "-f"], env=daemon.env, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait(60) in (0, 1)


def test_records_are_found(mayfly):
    daemon = mayfly(PROJECT)
    for _ in range(3):
        daemon.get("/hello")
    failed = daemon.get("/fail")
    daemon.get("/busy?s=0.2")
    records = wait_records(daemon, 5)
    assert [r["function"] for r in records] == ["busy", "fail", "hello", "hello", "hello"]
    assert [r["request_id"] for r in wait_records(daemon, 1, "--failed")] == [failed.request_id]
    assert [r["request_id"] for r in wait_records(daemon, 1, "--outcome", "error")] == [failed.request_id]
    assert {r["function"] for r in wait_records(daemon, 3, "hello")} == {"hello"}
    assert [r["function"] for r in wait_records(daemon, 1, "busy", "--min", "200ms")] == ["busy"]
    assert wait_records(daemon, 0, "hello", "--min", "10m") == []
    slowest = [r["total_ns"] for r in wait_records(daemon, 5, "--slowest")]
    assert slowest == sorted(slowest, reverse=True)
    assert wait_records(daemon, 0, "--until", "1h") == []
    table = daemon.cli("records", "--failed").stdout.splitlines()
    assert len(table) == 2 and failed.request_id[:18] in table[1] and "GET /fail" in table[1]
