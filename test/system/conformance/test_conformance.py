"""Every kind of function, in every isolation, does the same: see README.md and table.py."""
import base64
import contextlib
import hashlib
import http.client
import json
import socket
import threading

import pytest

from conformance.table import SOURCES, cells, functions
from lib.process import wait_until
from lib.web import gateway_pid, rss, running

pytestmark = pytest.mark.core

MIB = 1 << 20
LARGE = 100 * MIB
GROWTH_MAX = 24 * MIB


@pytest.fixture(scope="module")
def daemon():
    project = {**SOURCES, "mayfly.json": {"functions": functions()}}
    with running(project, command="dev") as daemon:
        yield daemon


@pytest.fixture(params=cells(), ids=lambda cell: f"{cell[0].name}-{cell[1]}")
def cell(request, daemon):
    kind, isolation = request.param
    if kind.missing:
        pytest.skip(kind.missing)
    return Cell(daemon, kind, isolation)


class Cell:
    def __init__(self, daemon, kind, isolation):
        self.daemon, self.kind, self.isolation = daemon, kind, isolation

    def target(self, verb, late=False):
        return f"{'/late' if late else ''}/{self.kind.name}/{self.isolation}/{verb}"

    def get(self, verb, late=False, **more):
        return self.daemon.get(self.target(verb, late), **more)

    def post(self, verb, body, **more):
        return self.daemon.post(self.target(verb), body, **more)


def ok(response, status=200):
    assert response.status == status, response
    return response


# ---- the request ----


def test_method_path_query_and_headers_arrive(cell):
    response = ok(cell.daemon.request("PUT", cell.target("a%20b/%C3%BC/echo?x=1&y=%26&x=2&empty=&p=a+b"), "body", {
        "X-Once": "word", "X-MIXED-Case": "MiXed", "Content-Type": "text/x-own", "Cookie": "a=1; b=2"}))
    seen = response.json()
    path = cell.target("a b/ü/echo") if cell.kind.decoded else cell.target("a%20b/%C3%BC/echo")
    assert (seen["method"], seen["path"]) in ((("PUT", path)), ("PUT", cell.target("a%20b/%C3%BC/echo")))
    assert seen["query"] == {"x": "1,2", "y": "&", "empty": "", "p": "a b"}
    headers = seen["headers"]
    assert headers["x-once"] == "word" and headers["x-mixed-case"] == "MiXed"
    assert headers["content-type"] == "text/x-own" and headers["host"] == "localhost"
    assert headers["cookie"] == "a=1; b=2"
    assert base64.b64decode(seen["body"]) == b"body"


def test_a_header_that_comes_twice_arrives_twice(cell):
    answer = cell.daemon.raw(f"GET {cell.target('echo')} HTTP/1.1\r\nHost: localhost\r\nX-Twice: 1\r\n"
                             "X-Twice: 2\r\nConnection: close\r\n\r\n".encode())
    body = answer.partition(b"\r\n\r\n")[2]
    seen = json.loads(body[body.index(b"{"):body.rindex(b"}") + 1])
    assert seen["headers"]["x-twice"].replace(", ", ",") == "1,2"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_arrives(cell, method):
    assert ok(cell.daemon.request(method, cell.target("echo"))).json()["method"] == method


@pytest.mark.parametrize("body", [bytes(range(256)), b"", "grüße 🦋".encode(), b"\xff\xfe\x00"],
                         ids=["all bytes", "empty", "unicode", "no text"])
def test_a_body_arrives_byte_for_byte(cell, body):
    seen = ok(cell.post("echo", body, headers={"Content-Type": "application/octet-stream"})).json()
    assert base64.b64decode(seen["body"]) == body


# ---- the answer ----


@pytest.mark.parametrize("status", [200, 201, 404, 418, 503])
def test_the_status_is_the_functions(cell, status):
    assert ok(cell.get(f"status?code={status}"), status).text == "status"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(cell, status):
    assert ok(cell.get(f"status?code={status}"), status).body == b""
    assert ok(cell.get("status")).text == "status"  # and nothing is left over


def test_head_is_answered_without_a_body(cell):
    assert ok(cell.daemon.request("HEAD", cell.target("status"))).body == b""


def test_headers_go_out_and_cookies_stay_apart(cell):
    answer = cell.daemon.raw(f"GET {cell.target('headers')} HTTP/1.1\r\nHost: localhost\r\n"
                             "Connection: close\r\n\r\n".encode())
    lines = answer.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    assert [line for line in lines if line.startswith("set-cookie:")] == ["set-cookie: a=1; path=/", "set-cookie: b=2"]
    assert "x-mixed-case: mixed" in lines and b"MiXed" in answer


def test_a_binary_body_goes_out_byte_for_byte(cell):
    response = ok(cell.get("binary"))
    assert response.body == bytes(range(256))
    assert response.headers["content-type"] == "application/octet-stream"


def test_a_unicode_body_goes_there_and_back(cell):
    response = ok(cell.post("unicode", "grüße 🦋", headers={"Content-Type": "text/plain; charset=utf-8"}))
    assert response.text == "grüße 🦋"


def test_pieces_go_out_as_they_come(cell):
    if not cell.kind.streams:
        pytest.skip("this kind has its answer in one piece")
    with socket.create_server(("127.0.0.1", 0)) as server, cell.daemon.connect() as connection:
        server.settimeout(30)
        connection.send(f"GET {cell.target('stream')}?port={server.getsockname()[1]} HTTP/1.1\r\n"
                        "Host: localhost\r\nConnection: close\r\n\r\n".encode())
        connection._until(b"one\n")  # the function waits, so what has come was not held back
        function, _ = server.accept()
        with function:
            function.send(b"x")
        assert b"two\n" in connection.rest()


# ---- large bodies ----


@contextlib.contextmanager
def little_memory(daemon):
    """Fails if the gateway's memory grows meanwhile. The function's is held by its limit."""
    pid = gateway_pid(daemon)
    before, most, over = rss(pid), [0], threading.Event()

    def look():
        while not over.wait(0.02):
            most[0] = max(most[0], rss(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()
    assert most[0] - before < GROWTH_MAX, f"{before} -> {most[0]}"


def test_a_large_body_arrives_in_constant_memory(cell):
    size = cell.kind.whole_max or LARGE
    piece = bytes(range(256)) * 256
    sha = hashlib.sha256()
    with little_memory(cell.daemon), cell.daemon.connect() as connection:
        connection.send(f"POST {cell.target('upload')} HTTP/1.1\r\nHost: localhost\r\n"
                        f"Content-Length: {size}\r\n\r\n".encode())
        for _ in range(size // len(piece)):
            connection.send(piece)
            sha.update(piece)
        response = ok(connection.response("POST"))
    assert response.text == f"{size} {sha.hexdigest()}"


def test_a_large_answer_goes_out_in_constant_memory(cell):
    mb = 100 if cell.kind.streams else cell.kind.whole_max // MIB
    client = http.client.HTTPConnection(*cell.daemon.address, timeout=60)
    total = 0
    with little_memory(cell.daemon), contextlib.closing(client):
        client.request("GET", cell.target(f"download?mb={mb}"))
        response = client.getresponse()
        assert response.status == 200
        while piece := response.read(1 << 18):
            assert piece.count(b"d") == len(piece)
            total += len(piece)
    assert total == mb * MIB


# ---- failures ----


def test_an_error_is_told_with_its_type_message_and_stack(cell):
    response = cell.get("error")
    assert response.status in (500, 502), response
    if cell.kind.errors:
        told = response.json()
        assert response.status == 500 and "broken on purpose" in told["errorMessage"]
        assert told["errorType"].endswith(("ValueError", "TypeError"))
    if cell.kind.stack:
        assert cell.kind.stack in response.text
        wait_until(lambda: cell.kind.stack in cell.daemon.stdout + cell.daemon.log, "the stack is in the terminal")
    assert ok(cell.get("status")).text == "status"  # the next one is well


def test_the_stack_at_the_deadline_names_the_place(cell):
    response = ok(cell.get("sleep", late=True), 504)
    assert cell.kind.sleeper == "" or cell.kind.sleeper in response.text, response
    if not cell.kind.hangs:
        assert ok(cell.get("status", late=True)).text == "status"


# ---- its surroundings ----


def test_what_it_prints_is_in_the_log(cell):
    if not cell.kind.logs:
        pytest.skip("this kind's output is not of one request")
    response = ok(cell.get("log"))
    assert response.text == "logged"

    def lines():
        text = cell.daemon.stdout
        at = text.find(response.request_id[-8:])
        return at >= 0 and text.count("to stderr: grüße") > 0

    wait_until(lines, "the lines are in the terminal")
    assert cell.daemon.stdout.count("\\xc3") == 0


def test_its_variables_are_there(cell):
    assert ok(cell.get("env")).text == "grüß dich"


def test_state_stays_as_long_as_the_isolation_says(cell):
    counts = [int(ok(cell.get("count")).text) for _ in range(4)]
    if cell.isolation == "request" or not cell.kind.counts:
        assert counts == [1] * 4
    else:
        assert counts == list(range(counts[0], counts[0] + 4))


def test_no_two_workers_draw_the_same_numbers(cell):
    lines = [ok(cell.get("random")).text.splitlines() for _ in range(6)]
    for draws in zip(*lines):
        assert len(set(draws)) == len(draws), draws


@pytest.fixture(scope="module")
def fresh():
    with running({**SOURCES, "mayfly.json": {"functions": functions()}}) as daemon:
        yield daemon


def test_the_first_request_is_cold_and_the_second_is_warm(cell, fresh):
    records = [fresh.record(ok(fresh.get(cell.target("status")))) for _ in range(2)]
    assert [record["cold"] for record in records] == [True, False]
    assert [record["outcome"] for record in records] == ["ok", "ok"]
