"""Limits hold exactly, cost the gateway no memory, and end with the request that they are for."""
import json

import pytest

from lib.web import PROJECT, chunks, dial, exchange, gateway_pid, messages, read_all, rss, running, seen, send

MIB = 1 << 20
LINE_MAX, HEAD_MAX, BODY_MAX, HEADERS_MAX = 300, 2000, 3 * MIB, 100
CLOSE = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT, "--line-max", LINE_MAX, "--head-max", HEAD_MAX, "--body-max", BODY_MAX) as daemon:
        yield daemon


def line_of(n):
    start, end = b"GET /count?", b" HTTP/1.1"
    return start + b"x" * (n - len(start) - len(end)) + end + b"\r\nHost: localhost\r\n\r\n"


def head_of(n):
    start = b"GET /count HTTP/1.1\r\nHost: localhost\r\nX: "
    return start + b"x" * (n - len(start) - 4) + b"\r\n\r\n"


def headers_of(n):
    return b"GET /count HTTP/1.1\r\nHost: localhost\r\n" + b"A:b\r\n" * (n - 1) + b"\r\n"


def body_of(path, n, chunked=False, size=10000):
    head = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n"
    if chunked:
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(bytes(n), size)
    return head + b"Content-Length: %d\r\n\r\n" % n + bytes(n)


def trailers_of(n):
    start = b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    return start + b"x" * (n - 7) + b"\r\n\r\n"


CASES = {
    "request line": (line_of, LINE_MAX, 414),
    "head": (head_of, HEAD_MAX, 431),
    "headers": (headers_of, HEADERS_MAX, 431),
    "trailers": (trailers_of, HEAD_MAX, 431),
    "body of the function": (lambda n: body_of(b"/small", n), MIB, 413),
    "chunks of the function": (lambda n: body_of(b"/small", n, True), MIB, 413),
    "body of a function that takes none": (lambda n: body_of(b"/empty", n), 0, 413),
    "chunks of a function that takes none": (lambda n: body_of(b"/empty", n, True), 0, 413),
    "body of the daemon": (lambda n: body_of(b"/count", n), BODY_MAX, 413),
    "chunks of the daemon": (lambda n: body_of(b"/count", n, True), BODY_MAX, 413),
    "one chunk of the daemon": (lambda n: body_of(b"/count", n, True, n), BODY_MAX, 413),
}


def statuses(daemon, data):
    return [m[0] for m in messages(exchange(daemon, data)[0])]


@pytest.mark.core
@pytest.mark.parametrize("name", CASES)
def test_a_limit_holds_to_the_byte(daemon, name):
    make, limit, status = CASES[name]
    assert statuses(daemon, make(limit) + CLOSE) == [200, 404]
    answer, _ = exchange(daemon, make(limit + 1) + CLOSE)
    first, *rest = messages(answer)
    assert first[0] == status
    if first[1].get("connection") == ["close"]:
        assert not rest
    else:  # a small rest was read and dropped
        assert [m[0] for m in rest] == [404]
    assert json.loads(first[2])["errorMessage"]


def test_a_refused_body_never_reaches_its_end_in_a_function(daemon):
    for chunked in (False, True):
        assert statuses(daemon, body_of(b"/small", MIB + 1, chunked)) == [413]
    records = [r for r in seen(daemon) if r["path"] == "/small" and r["outcome"] != "ok"]
    # By its length it is refused before there is an invocation.
    assert {(r["outcome"], r["status"]) for r in records} == {("bad_request", 413)}


def test_one_functions_limit_is_not_the_next_ones(daemon):
    """On one connection, in both orders, by both framings."""
    for chunked in (False, True):
        data = (body_of(b"/small", MIB, chunked) + body_of(b"/count", 2 * MIB, chunked) +
                body_of(b"/empty", 0, chunked) + body_of(b"/count", 2 * MIB, chunked) +
                body_of(b"/small", MIB, chunked))
        assert statuses(daemon, data + CLOSE) == [200] * 5 + [404]
        assert statuses(daemon, body_of(b"/count", 2 * MIB, chunked) + body_of(b"/small", MIB + 1, chunked)) == [200, 413]


@pytest.mark.core
def test_a_refused_long_body_is_answered_before_it_has_come(daemon):
    """Whoever announces 10 GB hears of it at once."""
    with dial(daemon) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n")
        answer, _ = read_all(sock)
    (told,) = messages(answer)
    assert (told[0], told[1]["connection"]) == (413, ["close"])


def test_who_sends_on_can_read_the_refusal(daemon):
    for data in (body_of(b"/small", 8 * MIB), body_of(b"/small", 8 * MIB, True)):
        assert statuses(daemon, data) == [413]


OVERSIZED = [line_of(LINE_MAX + 1), line_of(200000), head_of(HEAD_MAX + 1), head_of(200000), headers_of(10000),
             trailers_of(100000), body_of(b"/empty", 60000), body_of(b"/empty", 60000, True),
             b"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n" + bytes(100000),
             b"POST /empty HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2540BE400\r\n" + bytes(100000)]


@pytest.mark.core
def test_a_thousand_oversized_requests_leave_no_memory_behind(daemon):
    gateway = gateway_pid(daemon)

    def wave(n):
        for _ in range(n):
            for data in OVERSIZED:
                with dial(daemon) as sock:
                    send(sock, data)
                    assert sock.recv(12)[9:10] == b"4"

    wave(20)
    before = rss(gateway)
    wave(100)
    assert rss(gateway) - before < 4 * MIB
    assert statuses(daemon, CLOSE) == [404]


def test_limits_at_their_defaults(mayfly):
    daemon = mayfly({"api/f.py": "def handler(event, context):\n    return 'ok'\n"})
    host = b"Host: localhost\r\n"
    for data, expected in [
        (b"GET /api/f?" + b"x" * (8192 - 20) + b" HTTP/1.1\r\n" + host + b"\r\n", 200),
        (b"GET /api/f?" + b"x" * (8193 - 20) + b" HTTP/1.1\r\n" + host + b"\r\n", 414),
        (b"GET /api/f HTTP/1.1\r\n" + host + b"X: " + b"x" * 30000 + b"\r\n\r\n", 200),
        (b"GET /api/f HTTP/1.1\r\n" + host + b"X: " + b"x" * 32768 + b"\r\n\r\n", 431),
        (b"POST /api/f HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n\r\n" % (100 * MIB + 1), 413),
    ]:
        assert statuses(daemon, data + CLOSE)[0] == expected
