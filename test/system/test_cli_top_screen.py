"""What `mayfly top` draws on a terminal, what keys do, and that the terminal is given back however it ends. The
daemon is played by the test, so that the numbers are known."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib.daemon import MAYFLY
from lib.played import answer, played  # noqa: F401
from lib.process import wait_until
from lib.terminal import terminal  # noqa: F401

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def function(name, **more):
    return {"name": name, "version": "12", "state": "warm", "standbys": 2, "busy": 1, "queued": 0, "oldest_queued_ms": 0,
            "rate": 1.0, "error_rate": 0, "p50_us": 1200, "p90_us": 2000, "p99_us": 9000, "cpu_percent": 3.3,
            "memory_bytes": 1 << 22, "cold": 0, "cold_rate": 0, **more}


def worker(number, name, **more):
    return {"kind": "worker", "function": name, "pid": 1000 + number, "age_ms": 1000 * number, "state": "running",
            "request_id": f"01928c9f-4a77-7{number:03d}-8abc-0192abcd0192", **more}


class Live:
    """Events as the daemon sends them: the newest one again and again, a few times a second."""

    def __init__(self, played, **routes):
        self.functions = [function("alpha", rate=5.0), function("beta", rate=50.0, memory_bytes=1 << 20),
                          function("gamma", rate=0.5, error_rate=0.25, queued=3, state="cold")]
        self.processes = [worker(1, "alpha"), worker(2, "beta"), worker(3, "beta"),
                          worker(4, "alpha", kind="standby", request_id="", state="idle")]
        self.rate, self.omitted = 55.5, 0
        self.down = threading.Event()
        self.killed = []
        self.daemon = played(routes={"GET /api/v1/stream?events=live": self.stream,
                                     "GET /api/v1/live": lambda _: [answer(self.event())],
                                     "POST /api/v1/requests/": self.kill, **routes})

    def event(self):
        return {"time_us": int(time.time() * 1e6), "rate": self.rate, "error_rate": 0.25, "p50_us": 1234,
                "p99_us": 98765, "workers": 3, "workers_max": 100, "queued": 3, "omitted": self.omitted,
                "machine": {"cpus": 2, "cpu_percent": 45.3, "memory_bytes": 4 << 30, "memory_used_bytes": 3 << 30},
                "functions": self.functions, "processes": self.processes}

    def stream(self, _request):
        if self.down.is_set():
            yield answer({"errorType": "Unavailable", "errorMessage": "no control"}, "503 Service Unavailable")
            return
        yield HEAD
        while not self.down.is_set():
            yield b"event: live\ndata: " + json.dumps(self.event()).encode() + b"\n\n"
            time.sleep(0.05)

    def kill(self, request):
        self.killed.append(request.split()[1])
        return [answer(b"", "202 Accepted")]

    def top(self, terminal, *arguments, env=None, **more):
        started = terminal(MAYFLY, "top", *arguments, env=self.daemon.environment(**(env or {})), **more)
        started.wait("FUNCTION", "Help")
        return started


@pytest.fixture
def live(played):  # noqa: F811
    return Live(played)


def order(screen, names=("alpha", "beta", "gamma")):
    """The functions in their rows, from above."""
    found = []
    for line in screen.lines:
        if "PID" in line:
            break
        found += [word for word in line.split()[:1] if word in names]
    return found


def pids(screen):
    below = screen.text.partition("PID")[2].splitlines()[1:]
    return [int(line.split()[0]) for line in below if line.strip() and line.split()[0].isdigit()]


@pytest.mark.core
def test_the_screen_shows_what_the_daemon_tells(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.wait("45.3% of 2", "3.0G/4.0G", "3/100", "55.5 requests/s", "0.5% errors", "p50 1.23ms", "p99 98.8ms",
                "queued 3", "█")
    assert order(screen) == ["beta", "alpha", "gamma"]
    assert screen.row("beta").split() == ["beta", "warm", "50.0", "0.0", "1.20ms", "9.00ms", "1", "2", "0", "0", "3.3",
                                          "1.0M"]
    assert screen.row("gamma").split()[:4] == ["gamma", "cold", "0.5", "50.0"]
    assert pids(screen) == [1003, 1002, 1001]
    assert screen.row("1003").split() == ["1003", "worker", "3.0s", "running", "beta", worker(3, "")["request_id"]]
    assert "more than are listed" not in screen.text
    live.functions, live.processes, live.rate, live.omitted = [function("delta", rate=999.0)], [], 77.7, 12
    screen.wait("delta", "12 processes more than are listed here", "77.7 requests/s", without=["alpha", "beta", "gamma"])
    screen.keys("q")
    assert screen.wait_end() == 0
    assert screen.is_restored()


def test_keys_sort_both_tables(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("M")
    wait_until(lambda: order(screen) == ["alpha", "gamma", "beta"])
    screen.keys("r")
    wait_until(lambda: order(screen) == ["beta", "gamma", "alpha"])
    screen.keys("R")
    wait_until(lambda: order(screen) == ["beta", "alpha", "gamma"])
    screen.keys("\x1b[D\x1b[D")  # two columns to the left: by name
    wait_until(lambda: order(screen) == ["alpha", "beta", "gamma"])
    screen.keys("\tA")  # the workers are sorted by it already: the other way around
    wait_until(lambda: pids(screen) == [1001, 1002, 1003])
    screen.keys("a")
    wait_until(lambda: pids(screen) == [1001, 1002, 1003, 1004])


def test_a_filter_looks_at_both_tables(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("/bex")
    screen.wait("Filter: bex_")
    screen.keys("\x7f")
    wait_until(lambda: (order(screen), pids(screen)) == (["beta"], [1003, 1002]))
    screen.keys("\n")
    screen.wait("filter: be", without=["Filter: "])
    screen.keys("\x1b")
    wait_until(lambda: len(order(screen)) == 3)


def test_a_pause_keeps_the_screen(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("p")
    screen.wait("paused")
    live.rate = 99.9
    time.sleep(0.5)  # events go on; none may show
    assert "55.5 requests/s" in screen.text
    screen.keys(" ")
    screen.wait("99.9 requests/s", without=["paused"])


def test_help_and_back(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("?")
    screen.wait("Any key goes back", "kill the worker's request", without=["REQ/S"])
    screen.keys("x")
    screen.wait("REQ/S", without=["Any key goes back"])
    screen.keys("\x1bOP")  # F1
    screen.wait("Any key goes back")


@pytest.mark.core
def test_a_request_is_killed_only_after_a_yes(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("\t\x1b[B")  # the second worker
    screen.keys("k")
    screen.wait(f"Kill request {worker(2, '')['request_id']} of beta? y/N")
    screen.keys("n")
    screen.wait("nothing is killed")
    screen.keys("k")
    screen.wait("y/N")
    assert live.killed == []
    screen.keys("y")
    screen.wait(f"killed {worker(2, '')['request_id']}")
    assert live.killed == [f"/api/v1/requests/{worker(2, '')['request_id']}/kill"]


@pytest.mark.parametrize("status, says", [("404 Not Found", "does not run any more"), ("500 No", "answers 500 why not")])
def test_what_is_not_killed_is_said(played, terminal, status, says):  # noqa: F811
    body = {"errorType": "X", "errorMessage": "why not"}
    live = Live(played, **{"POST /api/v1/requests/": answer(body, status)})
    screen = live.top(terminal, columns=120)
    screen.keys("\tky")
    screen.wait(says)


def lines(*numbers, text="line %d"):
    return [{"id": n, "time_us": 1_700_000_000_000_000 + n, "function": "beta", "version": "12", "request_id": "x",
             "stream": ("stdout", "stderr", "system")[n % 3], "text": text % n} for n in numbers]


def log_event(numbers, omitted=0):
    return b"event: log\ndata: " + json.dumps({"lines": lines(*numbers), "omitted": omitted}).encode() + b"\n\n"


def test_lines_of_a_request_are_shown_and_followed(played, terminal):  # noqa: F811
    more = threading.Event()

    def stream(_request):
        yield HEAD + log_event([40])  # together with the head: the page has it, too
        more.wait(60)
        yield log_event([40, 41, 42])
        more.clear()
        more.wait(60)

    page = answer({"lines": lines(*range(1, 41)) + lines(0, text="\x1b[31m %d"), "next": None})
    live = Live(played, **{"GET /api/v1/stream?events=log": stream, "GET /api/v1/logs": page})
    screen = live.top(terminal, rows=20)
    screen.keys("\t\n")
    screen.wait("logs of beta", worker(3, "")["request_id"], "| line 39", "! line 40", "following", without=["line 22 "])
    assert [r.decode().split()[1] for r in live.daemon.requests if b"/logs" in r] == [
        f"/api/v1/logs?function=beta&request={worker(3, '')['request_id']}&limit=1000"]
    more.set()
    screen.wait("* line 41", "| line 42")
    assert screen.text.count("line 40") == 1
    screen.keys("\x1b[H")  # home
    screen.wait("! line 1", "* line 2", without=["following", "line 42"])
    screen.keys("\x1b[6~")
    screen.wait("line 20", without=["line 2\n"])
    screen.keys("\x1b[F")
    screen.wait("line 42", "following")
    screen.keys("q")
    screen.wait("REQ/S")
    screen.keys("q")
    assert screen.wait_end() == 0


@pytest.mark.core
@pytest.mark.parametrize("columns, rows", [(200, 60), (80, 24), (60, 12), (40, 8), (20, 5), (10, 3), (2, 2), (1, 1)])
def test_it_resizes(live, terminal, columns, rows):  # noqa: F811
    screen = live.top(terminal)
    screen.resize(columns, rows)
    if columns >= 40:
        screen.wait("beta", "FUNCTION", "REQ/S")
    if rows >= 12:
        screen.wait("requests/s", "CPU[")
        wait_until(lambda: screen.lines[rows - 1].startswith("?Help"))
    screen.keys("?x\t\n")
    screen.keys("q")
    screen.resize(100, 30)
    screen.wait("beta", "requests/s", "?Help", "CPU[", "1003")
    screen.keys("q")
    assert screen.wait_end() == 0
    assert screen.is_restored()


@pytest.mark.core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
                                    signal.SIGABRT])
def test_the_terminal_is_given_back_at_a_signal(live, terminal, number):  # noqa: F811
    screen = live.top(terminal)
    assert not screen.is_restored()
    screen.signal(number)
    assert screen.wait_end() == -number
    assert screen.is_restored()


def test_ctrl_c_ends_it(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.keys("\x03")
    assert screen.wait_end() == -signal.SIGINT
    assert screen.is_restored()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back(live, terminal):  # noqa: F811
    shell = terminal("bash", "--norc", "--noprofile", "-i", env=live.daemon.environment(PS1="shell> "))
    shell.wait("shell>")
    shell.keys(f"{MAYFLY} top\n")
    shell.wait("REQ/S", "?Help")
    shell.keys("\x1a")
    shell.wait("Stopped", "shell>")
    shell.keys("echo still $((40 + 2))\n")
    shell.wait("still 42")
    shell.resize(90, 20)  # while it sleeps
    live.rate = 88.8
    shell.keys("fg\n")
    shell.wait("88.8 requests/s", "?Help", without=["still 42"])
    wait_until(lambda: shell.lines[19].startswith("?Help"))
    shell.keys("q")
    shell.wait("\nshell>")
    shell.keys("exit\n")
    assert shell.wait_end() == 0
    assert shell.raw.count(b"\x1b[?1049h") == shell.raw.count(b"\x1b[?1049l") == 2


def colors(screen):
    rows = range(len(screen.lines))
    return {color for y in rows for x in range(80) for color in (screen.at(y, x).fg, screen.at(y, x).bg)} - {"default"}


def test_colors_are_left_out_where_nobody_wants_them(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    screen.wait("beta")
    assert colors(screen)
    screen = live.top(terminal, env={"NO_COLOR": "1"})
    screen.wait("beta")
    assert not colors(screen)
    selected = next(y for y, line in enumerate(screen.lines) if line.startswith(" beta"))
    assert screen.at(selected, 1).reverse  # what is selected shows all the same


def test_ascii_does_where_the_terminal_knows_no_more(live, terminal):  # noqa: F811
    live.functions.append(function("größe"))
    screen = live.top(terminal, env={"LANG": "C", "LC_ALL": "C"})
    screen.wait("beta", "requests/s", "gr??")
    assert screen.text.isascii()


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "nosuch-terminal"}, {"TERM": ""},
                                 {"TERM": "vt100", "TERMINFO": "/nonexistent", "TERMINFO_DIRS": "/nonexistent"}])
def test_plain_tables_where_nothing_can_be_drawn(live, terminal, env):  # noqa: F811
    """vt100 may be known to ncurses without a file; then it is drawn on."""
    screen = terminal(MAYFLY, "top", env=live.daemon.environment(**env), columns=150, rows=60)
    screen.wait("requests/s", "beta", "1003")
    if env["TERM"] != "vt100":
        assert b"\x1b[?1049h" not in screen.raw and b"\x1b[H" not in screen.raw
        wait_until(lambda: screen.raw.count(b"FUNCTION") >= 4)
    screen.keys("\x03")
    assert screen.wait_end() == -signal.SIGINT


def test_a_terminal_of_another_name_is_drawn_on_all_the_same(live, terminal):  # noqa: F811
    screen = live.top(terminal, env={"TERM": "xterm-of-the-future"})
    screen.wait("beta", "?Help")


def test_once_and_without_a_terminal(live):
    done = live.daemon.cli("top", "--once")
    assert done.returncode == 0
    assert "55.5 requests/s" in done.stdout and "\x1b" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line]
    assert [row[0] for row in rows if row[0] in ("alpha", "beta", "gamma")] == ["beta", "alpha", "gamma"]
    told = json.loads(live.daemon.cli("top", "--once", "--json").stdout)
    assert told["functions"] == live.functions


def test_json_goes_on_until_nobody_reads(live):
    with subprocess.Popen([MAYFLY, "top", "--json"], env=live.daemon.environment(), stdout=subprocess.PIPE,
                          text=True) as process:
        for _ in range(3):
            assert json.loads(process.stdout.readline())["rate"] == 55.5
        process.stdout.close()
        assert process.wait(60) in (0, 1)


def test_it_waits_for_a_daemon_that_comes_back(live, terminal):  # noqa: F811
    screen = live.top(terminal)
    live.down.set()
    screen.wait("no connection: ")
    live.rate = 11.1
    live.down.clear()
    screen.wait("11.1 requests/s", without=["no connection"])


@pytest.mark.parametrize("reply, code, says", [
    (answer({"errorType": "Unauthorized", "errorMessage": "no such token"}, "401 Unauthorized"), 4, "asks for a token"),
    (answer(b"", "404 Not Found"), 3, "answers 404"),
    (answer(b"", "503 Service Unavailable"), 8, "answers 503"),
    (b"", 8, "broke off"),
    (HEAD + b"data: " + b"x" * (17 << 20), 1, "too long"),
])
def test_without_a_stream_the_screen_is_left_alone(played, terminal, reply, code, says):  # noqa: F811
    daemon = played(routes={"GET ": reply})
    screen = terminal(MAYFLY, "top", env=daemon.environment())
    assert screen.wait_end() == code
    assert says.encode() in screen.raw
    if code != 1:
        assert b"\x1b[?1049h" not in screen.raw
    else:
        assert screen.raw.count(b"\x1b[?1049h") == screen.raw.count(b"\x1b[?1049l")


def test_nothing_of_a_function_reaches_the_terminal_as_it_is(played, terminal):  # noqa: F811
    live = Live(played, **{"GET /api/v1/logs": answer({"lines": lines(1, text="\x1b]0;x\x07\u009b31m %d"), "next": None}),
                           "GET /api/v1/stream?events=log": HEAD})
    live.functions = [function("\x1b[31mevil\u009b")]
    screen = live.top(terminal)
    screen.wait("\\x1b[31mevil")
    screen.keys("\n")
    screen.wait("\\x1b]0;x\\x07\\xc2\\x9b31m 1")
    assert b"\x1b]0;" not in screen.raw
