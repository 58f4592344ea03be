"""Clients of the admin interface that are slow, many, or rude; and that it goes on while something is built."""
import shutil
import socket

import pytest

from lib.daemon import write_project
from lib.events import Events
from lib.http import Connection
from lib.process import wait_until

PROJECT = {"api/hello.py": """
    def handler(event, context):
        return {"statusCode": 200, "body": "hi"}
"""}
CONNECTIONS_MAX = 128


def connection(daemon):
    return Connection(str(daemon.state / "mayfly.sock"))


def test_more_connections_than_there_may_be_are_told_so_and_the_others_stay(mayfly):
    daemon = mayfly(PROJECT)
    streams = [Events(daemon, "/api/v1/stream?events=record") for _ in range(CONNECTIONS_MAX)]
    refused = daemon.ask("/api/v1/functions")
    assert refused.status == 503 and refused.headers["retry-after"] == "1"
    assert daemon.get("/api/hello").text == "hi"
    for stream in streams:
        assert stream.until("record").data["records"][0]["function"] == "api/hello"
    streams.pop().connection.close()
    wait_until(lambda: daemon.ask("/api/v1/functions").status == 200, "room for one")
    for stream in streams:
        stream.connection.close()


@pytest.mark.core
def test_who_sends_slowly_or_takes_nothing_holds_up_nobody(mayfly):
    daemon = mayfly(PROJECT)
    with connection(daemon) as slow, connection(daemon) as deaf:
        slow.send(b"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"na")
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.send(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(3):
            assert daemon.ask("/api/v1/functions").status == 200
        slow.send(b'me":"a"}\n')
        assert slow.response().status == 201
        assert deaf.response().json()["openapi"].startswith("3.1.")


def test_a_request_that_does_not_come_to_its_end_is_given_up(mayfly):
    daemon = mayfly(PROJECT)
    with connection(daemon) as slow:
        slow.socket.settimeout(90)  # mayfly's own patience are 15 s
        slow.send(b"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{")
        assert slow.response().status == 408


@pytest.mark.core
def test_what_is_no_request_is_refused_with_a_reason(mayfly):
    daemon = mayfly(PROJECT)
    for head, status in (
            (b"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
            (b"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            (b"GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400),
            (b"DELETE /api/v1/tokens/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400)):
        with connection(daemon) as rude:
            rude.send(head)
            answer = rude.response()
        assert answer.status == status, (head, answer)
        assert answer.json()["errorType"] and answer.json()["errorMessage"]
    assert daemon.ask("/api/v1/functions").status == 200


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(mayfly):
    daemon = mayfly(PROJECT)
    for _ in range(2 * CONNECTIONS_MAX):
        with connection(daemon) as gone:
            gone.send(b"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{")
    wait_until(lambda: daemon.ask("/api/v1/functions").status == 200, "all of them are gone")


def test_the_api_goes_on_while_a_function_is_compiled(mayfly, tmp_path):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no compiler")
    # One that says when it runs, and ends when it is told to.
    slow = tmp_path / "cc"
    slow.write_text(f"""#!/bin/sh
        touch {tmp_path}/running
        while [ ! -e {tmp_path}/go ]; do sleep 0.05; done
        exec {compiler} "$@"
    """)
    slow.chmod(0o755)
    tmp_path.chmod(0o755)
    daemon = mayfly(PROJECT, command="dev", env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    write_project(daemon.project, {"api/fast.c": """
        #include <mayfly.h>
        int handler(mayfly_request *request, mayfly_response *response)
        {
            return 0;
        }
    """})
    wait_until(lambda: (tmp_path / "running").exists(), "the compiler runs")
    try:
        with Events(daemon, "/api/v1/stream?events=record") as events:
            for _ in range(3):
                answer = daemon.get("/api/hello")
                assert events.until("record").data["records"][0]["request_id"] == answer.request_id
                assert daemon.stored(answer)["outcome"] == "ok"
        names = [f["name"] for f in daemon.ask("/api/v1/functions").json()["functions"]]
        assert names == ["api/hello"]
    finally:
        (tmp_path / "go").touch()
    wait_until(lambda: len(daemon.ask("/api/v1/functions").json()["functions"]) == 2, "it is served")


def by_tcp(daemon, method, target, headers):
    with Connection(daemon.admin) as tcp:
        return tcp.request(method, target, None, {"Host": "%s:%d" % daemon.admin, **headers})


@pytest.mark.core
def test_a_token_tells_when_it_was_used(mayfly):
    daemon = mayfly(PROJECT, "--admin-listen", "127.0.0.1:0")
    token = daemon.ask("/api/v1/tokens", "POST", {"name": "ci"}).json()["token"]
    assert "used_us" not in daemon.ask("/api/v1/tokens").json()["tokens"][0]
    headers = {"Authorization": "Bearer " + token}
    wait_until(lambda: by_tcp(daemon, "GET", "/api/v1/functions", headers).status == 200, "it is let in")
    known = daemon.ask("/api/v1/tokens").json()["tokens"][0]
    assert known["used_us"] >= known["created_us"] // 60000000 * 60000000


@pytest.mark.core
def test_a_login_is_good_once_and_its_session_until_it_is_ended(mayfly):
    daemon = mayfly(PROJECT, "--admin-listen", "127.0.0.1:0")
    made = daemon.ask("/api/v1/logins", "POST")
    assert made.status == 201
    host = "http://%s:%d" % daemon.admin
    target = made.json()["url"].removeprefix(host)
    assert target.startswith("/login?code=")
    entered = by_tcp(daemon, "GET", target, {})
    assert entered.status == 303 and entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert by_tcp(daemon, "GET", target, {}).status == 403
    session = {"Cookie": cookie.split(";")[0]}
    wait_until(lambda: by_tcp(daemon, "GET", "/api/v1/system", session).status == 200, "it is let in")
    # At TCP nobody makes logins, not even who is in.
    assert by_tcp(daemon, "POST", "/api/v1/logins", {**session, "Origin": host}).status == 403
    assert by_tcp(daemon, "DELETE", "/api/v1/logins", {**session, "Origin": host}).status == 204
    wait_until(lambda: by_tcp(daemon, "GET", "/api/v1/system", session).status == 401, "it has ended")


def test_a_stream_ends_with_the_token_that_it_came_with(mayfly):
    daemon = mayfly(PROJECT, "--admin-listen", "127.0.0.1:0")
    tokens = {name: daemon.ask("/api/v1/tokens", "POST", {"name": name}).json()["token"] for name in ("one", "two")}
    streams = {}
    for name, token in tokens.items():
        headers = {"Authorization": "Bearer " + token}
        wait_until(lambda h=headers: by_tcp(daemon, "GET", "/api/v1/system", h).status == 200, "it is let in")
        streams[name] = Connection(daemon.admin)
        streams[name].send(("GET /api/v1/stream?events=record HTTP/1.1\r\nHost: %s:%d\r\n" % daemon.admin +
                            f"Authorization: Bearer {token}\r\n\r\n").encode())
        assert b"HTTP/1.1 200" in streams[name]._until(b"\r\n\r\n")
    assert daemon.ask("/api/v1/tokens/one", "DELETE").status == 204
    assert b"event" not in streams["one"].rest()  # it was closed
    daemon.get("/api/hello")
    streams["two"]._until(b"event: record\n")
    for stream in streams.values():
        stream.close()
