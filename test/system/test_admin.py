"""The admin interface: what the gateway knows it answers itself, the rest goes to control with its connection."""
import os
import signal

import pytest

from lib.http import Connection
from lib.process import wait_until
from lib.workload import programs, work_project

UNKNOWN = "/api/v1/no-such-thing"


def local(daemon):
    return Connection(str(daemon.state / "mayfly.sock"))


@pytest.mark.core
def test_what_the_gateway_does_not_know_control_answers(mayfly):
    daemon = mayfly(work_project(work={}))
    for _ in range(3):
        with local(daemon) as connection:
            assert connection.request("GET", "/api/v1/ps").status == 200  # and the connection goes on
            answer = connection.request("GET", UNKNOWN)
            assert answer.status == 404
            assert answer.json()["errorType"] == "NotFound"
            assert connection.rest() == b""
    assert daemon.get("/work").status == 200


def test_a_request_goes_over_however_it_is_cut(mayfly):
    daemon = mayfly(work_project(work={}))
    request = f"GET {UNKNOWN} HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 20000}\r\n\r\n".encode()
    for pieces in ([request], [request[:5], request[5:]], [request[i:i + 999] for i in range(0, len(request), 999)],
                   [request[:60] + b"\r\n\r\n" + request[:60]]):
        with local(daemon) as connection:
            for piece in pieces:
                connection.send(piece)
            assert connection.rest().startswith(b"HTTP/1.1 404 "), pieces


def test_who_waits_for_a_100_is_sent_one(mayfly):
    daemon = mayfly(work_project(work={}))
    with local(daemon) as connection:
        connection.send(f"POST {UNKNOWN} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                        "Expect: 100-continue\r\n\r\n".encode())
        told = connection.socket.recv(4096)
        assert told.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(b"12345")
        assert b"HTTP/1.1 404 " in told + connection.rest()


@pytest.mark.core
def test_while_control_sleeps_only_so_many_wait_for_it(mayfly):
    daemon = mayfly(work_project(work={}))
    control = programs(daemon)["control"]
    os.kill(control, signal.SIGSTOP)
    waiting, told = [], b""
    try:
        for _ in range(3000):
            connection = local(daemon)
            waiting.append(connection)
            connection.send(f"GET {UNKNOWN} HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 8000}\r\n\r\n".encode())
            connection.socket.settimeout(0.01)
            try:
                told = connection.socket.recv(4096)
                break
            except TimeoutError:
                continue
        assert told.startswith(b"HTTP/1.1 503 ") and b"control is busy" in told, told
        assert b"Retry-After: 1\r\n" in told
        assert daemon.get("/work").status == 200
    finally:
        os.kill(control, signal.SIGCONT)
    for connection in waiting[:-1]:
        connection.socket.settimeout(60)
        assert connection.rest().startswith(b"HTTP/1.1 404 ")
    for connection in waiting:
        connection.close()


@pytest.mark.core
def test_while_control_is_gone_who_asks_is_told(mayfly):
    daemon = mayfly(work_project(work={}))
    assert daemon.get("/work").status == 200
    os.kill(daemon.pid, signal.SIGSTOP)  # the supervisor cannot start it again
    try:
        os.kill(programs(daemon)["control"], signal.SIGKILL)
        with local(daemon) as connection:
            answer = wait_until(lambda: (a := ask(daemon)) and a.status == 503 and a, "a word of control")
            assert answer.headers["retry-after"] == "1"
            assert answer.json() == {"errorType": "Unavailable", "errorMessage": "control is away"}
            assert connection.request("GET", "/api/v1/ps").status == 200
        assert daemon.get("/work").status == 200
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: (a := ask(daemon)) and a.status == 404, "control is back")


def ask(daemon):
    """The answer to a request for control, or None if it took that with it."""
    with local(daemon) as connection:
        try:
            return connection.request("GET", UNKNOWN)
        except (ConnectionError, EOFError):
            return None
