"""Functions that misbehave: each gets a clear answer and a record, and nobody else notices."""
import contextlib
import json
import os
import signal
import time
from urllib.parse import urlencode

import pytest

from lib.process import is_alive, wait_until
from lib.web import PROJECT, dial, messages, read_all, running, seen, within


@pytest.fixture(scope="module")
def serving():
    with running(PROJECT) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def developing():
    with running(PROJECT, command="dev") as daemon:
        yield daemon


@pytest.fixture
def daemon(serving):
    """After each test the same function and the others serve on."""
    yield serving
    assert serving.get("/bad?how=ok").text == "ok"
    assert serving.post("/count", b"hello").text.startswith("5 ")
    assert serving.get("/show").status == 200
    assert serving.get("/active_processes").json() == []


def bad(daemon, how, path="/bad", **query):
    started = time.monotonic()
    response = daemon.get(f"{path}?{urlencode({'how': how, **query})}")
    within(20, started)
    return response


def check(daemon, response, status, outcome, text=""):
    """The answer, the record, and that both say the same. Returns the record."""
    assert response.status == status, response
    record = daemon.record(response)
    assert (record["outcome"], record["status"]) == (outcome, status), record
    if status >= 500:
        told = response.json()
        assert told["errorType"] and told["errorMessage"]
        assert text in record["error"] + record["stack"], record
    return record


# ---- ends that are no answer ----

ENDS = {
    "exit 0": ("exit", {"n": 0}, "exited with status 0"),
    "exit 3": ("exit", {"n": 3}, "exited with status 3"),
    "SIGSEGV": ("segv", {}, "signal 11"),
    "SIGABRT": ("abort", {}, "signal 6"),
    "closing fd 3 and staying": ("close_sleep", {}, "file descriptor 3"),
    "closing everything and staying": ("close_all", {}, "file descriptor 3"),
    "closing fd 3 and going": ("close", {}, "before its answer was complete"),
}


@pytest.mark.core
@pytest.mark.parametrize("name", ENDS)
def test_a_worker_that_ends_without_an_answer_is_a_crash(daemon, name):
    how, query, text = ENDS[name]
    response = bad(daemon, how, **query)
    record = check(daemon, response, 502, "crash", text)
    assert text in response.json()["errorMessage"]
    assert response.json()["requestId"] == record["request_id"]


KILLING = [s for s in signal.valid_signals()
           if s not in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGSTOP,
                        signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU) and s < 32]


@pytest.mark.parametrize("number", KILLING)
@pytest.mark.parametrize("how", ["kill_self", "kill_child"])
def test_a_worker_that_signals_itself_ends_or_goes_on(daemon, how, number):
    """The init of a PID namespace cannot be killed from within; elsewhere it dies. Both are told."""
    response = bad(daemon, how, n=int(number))
    record = daemon.record(response)
    assert (response.status, record["outcome"]) in ((200, "ok"), (500, "error"), (502, "crash")), response
    if response.status == 200:
        assert response.text == "survived"


@pytest.mark.core
def test_a_worker_killed_from_outside_is_a_crash_with_the_signals_name(daemon):
    with dial(daemon) as sock:
        sock.sendall(b"GET /bad?how=pid HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        (pid,) = wait_until(lambda: daemon.get("/active_processes").json(), "it runs")
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        (told,) = messages(read_all(sock)[0])
        within(5, started)
    assert told[0] == 502 and "signal 9 (Killed)" in json.loads(told[2])["errorMessage"]
    record = daemon.record(told[1]["mayfly-request-id"][0])
    assert (record["outcome"], record["pid"], record["exit_status"]) == ("crash", pid, 9)


# ---- errors of the function ----

ERRORS = {
    "raise": ({}, "ValueError", "boom <&> \u2603"),
    "weird": ({}, "Weird", ""),
    "base": ({}, "KeyboardInterrupt", ""),
    "recursion": ({}, "RecursionError", ""),
    "long_error": ({}, "ValueError", "eeee"),
    "nonsense": ({}, "", "object"),
    "number_status": ({}, "", ""),
    "sys_exit": ({"n": 3}, "Runtime.ExitError", ""),
}


@pytest.mark.core
@pytest.mark.parametrize("how", ERRORS)
def test_an_unhandled_error_is_told_to_the_log_and_not_to_the_world(daemon, how):
    query, kind, text = ERRORS[how]
    response = bad(daemon, how, **query)
    record = check(daemon, response, 500, "error")
    assert "mayfly-error" not in response.headers
    assert kind in record["stack"]
    if how != "long_error":  # the record keeps 16 KB of it
        told = json.loads(record["stack"])
        assert kind in told["errorType"] and text in told["errorMessage"]
    if kind:
        assert kind not in response.text and "bad.py" not in response.text
    assert response.json()["requestId"] == record["request_id"]


@pytest.mark.parametrize("how", ERRORS)
def test_in_development_the_answer_says_what_went_wrong(developing, how):
    query, kind, text = ERRORS[how]
    response = bad(developing, how, **query)
    assert response.status == 500 and kind in response.text
    told = response.json()
    assert kind in told["errorType"] and text in told["errorMessage"]
    if how in ("raise", "base"):
        assert any("bad.py" in line for line in told["stackTrace"])


# ---- over the deadline ----

LATE = {"busy": ("/brief", "busy_inner"), "sleep": ("/brief", "sleep_inner"), "swallow": ("/brief", "swallow"),
        "ignore": ("/brief", ""), "async": ("/brief_async", "inner")}


@pytest.mark.core
@pytest.mark.parametrize("how", LATE)
def test_the_deadline_ends_a_worker_and_says_where_it_was(daemon, how):
    path, function = LATE[how]
    response = bad(daemon, how, path)
    record = check(daemon, response, 504, "timeout", "Timeout after 1.00 s")
    assert function in record["stack"], record
    assert "bad.py" not in response.text and "1.00 s" in response.json()["errorMessage"]
    assert not is_alive(record["pid"])


@pytest.mark.parametrize("how", ["busy", "sleep", "async"])
def test_in_development_the_answer_has_the_stack(developing, how):
    path, function = LATE[how]
    response = bad(developing, how, path)
    assert response.status == 504
    assert function in "".join(response.json()["stackTrace"])


# ---- what they start and hold ----


@pytest.mark.core
def test_what_a_function_leaves_behind_ends_with_it(daemon):
    before = set(daemon.tree())
    response = bad(daemon, "detach")
    check(daemon, response, 200, "ok")
    assert response.text == "detached"
    wait_until(lambda: not [p for p, name in daemon.tree().items() if p not in before and "zygote" not in name
                            and p in daemon.get("/active_processes").json()], "nothing runs", 5)
    pid = daemon.record(response)["pid"]
    assert not is_alive(pid)


def test_a_flood_on_stdout_harms_nobody(daemon):
    response = bad(daemon, "flood")
    record = check(daemon, response, 200, "ok")
    assert record["log_lines"] + record["log_dropped"] > 0


def test_a_worker_out_of_descriptors_can_still_say_so(daemon):
    response = bad(daemon, "files")
    record = daemon.record(response)
    assert (response.status, record["outcome"]) in ((500, "error"), (502, "crash"))


@pytest.mark.core
@pytest.mark.parametrize("how", ["pid", "busy", "ignore"])
def test_a_client_that_leaves_ends_its_worker(daemon, how):
    with dial(daemon) as sock:
        sock.sendall(f"GET /bad?how={how} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        (pid,) = wait_until(lambda: daemon.get("/active_processes").json(), "it runs")
    wait_until(lambda: not is_alive(pid), f"the end of {pid}", 5)
    record = wait_until(lambda: next((r for r in daemon.records if r["pid"] == pid), None))
    assert (record["outcome"], record["status"]) == ("hangup", 0)


def test_endless_output_ends_with_its_client(daemon):
    with dial(daemon) as sock:
        sock.sendall(b"GET /source?n=1000000000000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(50):
            assert sock.recv(65536)
        (pid,) = daemon.get("/active_processes").json()
    wait_until(lambda: not is_alive(pid), f"the end of {pid}", 5)


# ---- the bytes on fd 3 ----

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def raw(daemon, data, then="", method="POST"):
    """A function that answers with exactly these bytes. (answers, how the connection ended)"""
    with dial(daemon) as sock:
        sock.sendall(b"%s /raw?then=%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
                     (method.encode(), then.encode(), len(data)) + data)
        return read_all(sock)


def head(*lines, first=b"HTTP/1.1 200 OK", body=b"ok"):
    return b"\r\n".join([first, *lines, b"", b""]) + body


LENGTH = b"Content-Length: 2"
BAD_REPLIES = {
    "no HTTP": b"hello\r\n\r\n",
    "NUL bytes": bytes(100),
    "LF ends the lines": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "status 99": head(LENGTH, first=b"HTTP/1.1 99 X"),
    "status 099": head(LENGTH, first=b"HTTP/1.1 099 X"),
    "status 600": head(LENGTH, first=b"HTTP/1.1 600 X"),
    "status 1000": head(LENGTH, first=b"HTTP/1.1 1000 X"),
    "status abc": head(LENGTH, first=b"HTTP/1.1 abc X"),
    "HTTP/2.0": head(LENGTH, first=b"HTTP/2.0 200 OK"),
    "CR in a value": head(b"A: b\rc", LENGTH),
    "LF in a value": head(b"A: b\nSet-Cookie: c", LENGTH),
    "NUL in a value": head(b"A: b\0", LENGTH),
    "a folded header": head(b"A: b", b" c", LENGTH),
    "a blank before the colon": head(b"A : b", LENGTH),
    "no colon": head(b"abc", LENGTH),
    "no name": head(b": b", LENGTH),
    "CR in the reason": head(LENGTH, first=b"HTTP/1.1 200 O\rK"),
    "two Content-Lengths": head(LENGTH, LENGTH),
    "two different Content-Lengths": head(LENGTH, b"Content-Length: 3"),
    "a list of Content-Lengths": head(b"Content-Length: 2, 2"),
    "Content-Length -2": head(b"Content-Length: -2"),
    "Content-Length and Transfer-Encoding": head(LENGTH, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "gzip": head(b"Transfer-Encoding: gzip"),
    "chunked twice": head(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "too many headers": head(*[b"A: b"] * 200, LENGTH),
    "too big a head": head(b"A: " + b"b" * 300000, LENGTH),
    "101 unasked": head(b"Connection: Upgrade", b"Upgrade: x", first=b"HTTP/1.1 101 Switching", body=b"free bytes"),
    "nonsense behind an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nnonsense\r\n\r\n",
}


@pytest.mark.core
@pytest.mark.parametrize("then", ["", "hang"], ids=["goes", "stays"])
@pytest.mark.parametrize("name", BAD_REPLIES)
def test_an_answer_that_is_not_http_is_502_and_nothing_of_it_gets_out(daemon, name, then):
    started = time.monotonic()
    answer, _ = raw(daemon, BAD_REPLIES[name], then)
    within(10, started)
    ((status, headers, body, _),) = messages(answer)
    assert status == 502 and json.loads(body)["errorType"] == "BadReply", body
    assert not {"a", "set-cookie", "link"} & set(headers) and b"free bytes" not in answer
    record = daemon.record(headers["mayfly-request-id"][0])
    assert (record["outcome"], record["status"]) == ("bad_reply", 502) and record["error"]
    assert not is_alive(record["pid"])


BROKEN_OFF = {
    "Content-Length too long": head(b"Content-Length: 10", body=b"short"),
    "no last chunk": head(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
    "half a chunk": head(b"Transfer-Encoding: chunked", body=b"a\r\nhello"),
    "a bad chunk": head(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\nxyz\r\n"),
}


@pytest.mark.core
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", BROKEN_OFF)
def test_a_body_that_is_not_what_was_announced_is_broken_off(daemon, name, version):
    """The client can tell: it must not take what it got for the whole."""
    data = BROKEN_OFF[name]
    with dial(daemon) as sock:
        sock.sendall(b"POST /raw HTTP/%s\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" %
                     (version.encode(), len(data)) + data)
        answer, how = read_all(sock)
    with contextlib.suppress(AssertionError):
        told = messages(answer)  # that it can be read at all means a status of its own, or a reset
        assert how == "reset" or told[0][0] == 502
    record = next(r for r in reversed(seen(daemon)) if r["path"] == "/raw")
    assert record["outcome"] in ("crash", "bad_reply") and record["error"], record
    assert how == "reset" or b" 502 " in answer[:20]


def test_what_follows_an_answer_is_dropped(daemon):
    """Content-Length too short, or a second answer: neither reaches this client, nor the next."""
    for extra in (b"more", OK, b"\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n"):
        answer, _ = raw(daemon, OK + extra)
        (told,) = messages(answer)
        assert (told[0], told[2]) == (200, b"ok")
        with daemon.connect() as connection:
            data = OK + extra
            first = connection.request("POST", "/raw", data)
            second = connection.request("POST", "/count", b"hello")
        assert (first.body, second.text[:2]) == (b"ok", "5 ")


@pytest.mark.core
def test_headers_of_the_connection_end_at_the_gateway(daemon):
    lines = [b"Connection: keep-alive, X-Private", b"X-Private: 1", b"Keep-Alive: timeout=5", b"Upgrade: h2c",
             b"Proxy-Authenticate: Basic", b"TE: trailers", b"Trailer: X", b"Mayfly-Request-Id: forged",
             b"Mayfly-Outcome: forged", b"mayfly-anything: x", b"X-Kept: 1", b"Set-Cookie: a=1", b"Set-Cookie: b=2"]
    ((status, headers, body, _),) = messages(raw(daemon, head(*lines, LENGTH))[0])
    assert (status, body) == (200, b"ok")
    assert headers["x-kept"] == ["1"] and headers["set-cookie"] == ["a=1", "b=2"]
    assert headers["connection"] == ["close"] and headers["mayfly-request-id"] != ["forged"]
    assert not {"x-private", "keep-alive", "upgrade", "proxy-authenticate", "te", "trailer", "mayfly-outcome",
                "mayfly-anything"} & set(headers)


FRAMINGS = {
    "length": (head(LENGTH), b"ok"),
    "chunked": (head(b"Transfer-Encoding: chunked", body=b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: x\r\n\r\n"), b"ok"),
    "until the end": (head(), b"ok"),
    "HTTP/1.0": (head(first=b"HTTP/1.0 200 OK"), b"ok"),
    "no reason": (head(LENGTH, first=b"HTTP/1.1 200"), b"ok"),
    "interim answers before it": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok"),
    "204 without anything": (head(first=b"HTTP/1.1 204 No Content", body=b""), b""),
    "204 with a body": (head(LENGTH, first=b"HTTP/1.1 204 No Content"), b""),
    "304 with a length": (head(LENGTH, first=b"HTTP/1.1 304 Not Modified", body=b""), b""),
    "status 599": (head(LENGTH, first=b"HTTP/1.1 599 Own"), b"ok"),
}


@pytest.mark.core
@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("name", FRAMINGS)
def test_answers_of_any_framing_arrive(daemon, name, method):
    data, expected = FRAMINGS[name]
    answer, _ = raw(daemon, data, method=method)
    ((status, headers, body, _),) = messages(answer, [method])
    assert body == (b"" if method == "HEAD" else expected) and status != 502
    if status == 204:
        assert "content-length" not in headers and "transfer-encoding" not in headers
    record = daemon.record(headers["mayfly-request-id"][0])
    assert (record["outcome"], record["status"]) == ("ok", status)


# ---- what the Python host lets through ----


@pytest.mark.core
@pytest.mark.parametrize("query", [
    {"name": "X-A", "value": "a\r\nX-Evil: b"}, {"name": "X-A", "value": "a\nX-Evil: b"},
    {"name": "X-A", "value": "a\rb"}, {"name": "X-A", "value": "a\x01b"}, {"name": "X-A\r\nX-Evil", "value": "b"},
    {"name": "X A", "value": "b"}, {"name": "", "value": "b"}, {"name": "X-A:", "value": "b"}])
def test_a_header_cannot_smuggle_another(daemon, query):
    response = bad(daemon, "header", **query)
    assert response.status in (500, 502) and "x-evil" not in response.headers
    assert daemon.record(response)["outcome"] in ("error", "bad_reply")


@pytest.mark.parametrize("n", [-1, 0, 99, 100, 101, 199, 600, 1000, 10 ** 20])
def test_a_status_that_http_does_not_have_is_an_error(daemon, n):
    response = bad(daemon, "status", n=n)
    assert response.status in (500, 502)
    assert daemon.record(response)["outcome"] in ("error", "bad_reply")


@pytest.mark.parametrize("how", ["huge_header", "many_headers", "list_headers"])
def test_an_answer_that_cannot_be_sent_is_an_error(daemon, how):
    response = bad(daemon, how)
    assert response.status in (500, 502)
    assert daemon.record(response)["outcome"] in ("error", "bad_reply")


@pytest.mark.parametrize("how", ["garbage", "garbage_nul"])
def test_garbage_before_the_answer_is_a_bad_reply(daemon, how):
    check(daemon, bad(daemon, how), 502, "bad_reply", "not what HTTP allows")


def test_a_bad_reply_is_logged_with_the_functions_name(daemon):
    raw(daemon, BAD_REPLIES["two Content-Lengths"])
    assert "function=native" in wait_until(
        lambda: next((line for line in daemon.log.splitlines() if "worker.bad_reply" in line), None))
