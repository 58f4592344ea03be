"""The admin listener: where it is, who may use it, and that it cannot be kept from those who may."""
import json
import os
import signal
import socket

import pytest

from lib.http import Connection
from lib.process import wait_until
from lib.workload import programs, work_project

ANY = ("--admin-listen", "127.0.0.1:0")


def ask(daemon, method, target, **headers):
    with Connection(daemon.admin) as connection:
        return connection.request(method, target, headers={k.replace("_", "-"): v for k, v in headers.items()})


def taken_port():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, taken.getsockname()[1]


@pytest.mark.core
def test_it_says_where_it_is_and_whether_we_live(mayfly):
    daemon = mayfly(work_project(work={}), *ANY)
    assert "admin=127.0.0.1:%d " % daemon.admin[1] in daemon.log
    assert ask(daemon, "GET", "/healthz").json()["status"] in ("ok", "degraded")
    assert ask(daemon, "GET", "/work").request_id is None  # functions are not there
    assert daemon.get("/healthz").status == 404  # nor is it where the functions are
    daemon.stop()
    assert not (daemon.state / "admin").exists()


def test_who_puts_it_where_others_reach_it_is_warned(mayfly):
    daemon = mayfly(work_project(work={}), "--admin-listen", "0.0.0.0:0")
    assert "admin.exposed" in daemon.log
    daemon.admin = ("127.0.0.1", daemon.admin[1])
    assert ask(daemon, "GET", "/healthz", Host="127.0.0.1").status == 200
    assert ask(daemon, "GET", "/healthz", Host="evil.example").status == 421
    assert "admin.exposed" not in mayfly(work_project(work={}), *ANY).log


def test_off_means_none(mayfly):
    daemon = mayfly(work_project(work={}), "--admin-listen", "off")
    assert daemon.admin is None and "admin=off" in daemon.log


def test_a_port_that_is_taken_is_an_error_to_serve_and_a_detour_to_dev(mayfly):
    taken, port = taken_port()
    with taken:
        served = mayfly(work_project(work={}), "--admin-listen", f"127.0.0.1:{port}", wait=False)
        assert served.process.wait(30) == 1
        assert f"--admin-listen 127.0.0.1:{port}: another program has this port" in served.log
        daemon = mayfly(work_project(work={}), "--admin-listen", str(port), command="dev")
        assert daemon.admin[1] not in (0, port)
        assert f"has 127.0.0.1:{port}: the admin interface is at 127.0.0.1:{daemon.admin[1]}" in daemon.log
        assert ask(daemon, "GET", "/healthz").status == 200


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6") or
                    not open("/proc/net/if_inet6").read(), reason="this machine has no IPv6")
def test_it_may_be_an_address_of_ipv6(mayfly):
    daemon = mayfly(work_project(work={}), "--admin-listen", "[::1]:0")
    assert "admin=[::1]:" in daemon.log
    assert ask(daemon, "GET", "/healthz", Host="[::1]:%d" % daemon.admin[1]).status == 200
    assert ask(daemon, "GET", "/healthz", Host="evil.example").status == 421


@pytest.mark.core
def test_without_a_token_there_is_nothing_to_be_had(mayfly):
    daemon = mayfly(work_project(work={}), *ANY)
    for method, target in (("GET", "/api/v1/ps"), ("GET", "/api/v1/version"), ("GET", "/metrics"),
                           ("POST", "/api/v1/functions/work/invoke"), ("GET", "/api/v1/no-such-thing"),
                           ("POST", "/api/v1/logins"), ("GET", "/%61pi/v1/ps"), ("POST", "/")):
        answer = ask(daemon, method, target)
        assert answer.status == 401, (method, target)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["errorType"] == "Unauthorized"
    assert ask(daemon, "GET", "/api/v1/ps?token=mf_x").json()["errorMessage"].startswith("a token belongs into")
    assert daemon.records == []  # the function was not called


def token_of(daemon, name="test"):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        answer = connection.request("POST", "/api/v1/tokens", json.dumps({"name": name}))
    assert answer.status == 201, answer
    return answer.json()["token"]


ECHO = {"api/echo.py": """
    import json
    def handler(event, context):
        return {"statusCode": 200, "body": json.dumps(event, default=str)}
"""}


@pytest.mark.core
def test_a_token_holds_from_when_it_is_told_until_it_is_taken_back(mayfly):
    daemon = mayfly(ECHO, *ANY)
    token = token_of(daemon)
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(daemon, "GET", "/api/v1/ps", **bearer).status == 200  # by the gateway
    assert ask(daemon, "GET", "/api/v1/functions", **bearer).status == 200  # by control
    assert ask(daemon, "GET", "/metrics", **bearer).status == 200
    for wrong in (f"Bearer {token}x", f"Bearer {token[:-1]}", f"Basic {token}", token, "Bearer mf_", "Bearer "):
        assert ask(daemon, "GET", "/api/v1/ps", Authorization=wrong).status == 401, wrong
    assert ask(daemon, "GET", f"/api/v1/ps?token={token}").status == 401
    assert ask(daemon, "GET", f"/api/v1/ps?access_token={token}", **bearer).status == 401
    assert ask(daemon, "POST", "/api/v1/logins", **bearer).status in (403, 404)  # by the unix socket only
    os.kill(programs(daemon)["gateway"], signal.SIGKILL)  # a new one is told
    wait_until(lambda: ask(daemon, "GET", "/api/v1/ps", **bearer).status == 200, "it still holds")
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        assert connection.request("DELETE", "/api/v1/tokens/test").status == 204
    assert ask(daemon, "GET", "/api/v1/ps", **bearer).status == 401
    assert token not in daemon.log + daemon.stdout


@pytest.mark.core
def test_a_function_does_not_see_the_token_of_who_calls_it(mayfly):
    daemon = mayfly(ECHO, *ANY)
    token = token_of(daemon)
    answer = ask(daemon, "POST", "/api/v1/functions/api%2Fecho/invoke", Authorization=f"Bearer {token}")
    assert answer.status == 200 and token not in answer.text
    assert "mine" in daemon.get("/api/echo", {"Authorization": "Bearer mine"}).text  # a client's own is its own affair


def session_of(daemon):
    """What a browser has after `mayfly dashboard`: its cookie."""
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        url = connection.request("POST", "/api/v1/logins").json()["url"]
    login = url[url.index("/login?"):]
    answer = ask(daemon, "GET", login)
    assert answer.status == 303, answer
    assert ask(daemon, "GET", login).status != 303  # once only
    assert {"HttpOnly", "SameSite=Strict"} <= set(answer.headers["set-cookie"].split("; "))
    return answer.headers["set-cookie"].split(";")[0]


@pytest.mark.core
def test_a_page_of_another_site_changes_nothing_with_a_session(mayfly):
    daemon = mayfly(work_project(work={}), *ANY)
    session = session_of(daemon)
    host = "127.0.0.1:%d" % daemon.admin[1]
    assert ask(daemon, "GET", "/api/v1/ps", Cookie=session).status == 200
    invoke = ("POST", "/api/v1/functions/work/invoke")
    for origin in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"},
                   {"Origin": f"http://{host}.evil.example"}, {"Referer": f"http://{host}/"}):
        assert ask(daemon, *invoke, Host=host, Cookie=session, **origin).status == 403, origin
    assert daemon.records == []
    assert ask(daemon, *invoke, Host=host, Cookie=session, Origin=f"http://{host}").status == 200
    for wrong in (session + "x", session[:-1], "mayfly_session="):
        assert ask(daemon, "GET", "/api/v1/ps", Cookie=wrong).status == 401, wrong
    assert ask(daemon, "GET", "/api/v1/ps", Cookie=session, Authorization="Bearer mf_wrong").status == 401


@pytest.mark.core
def test_a_page_of_another_site_reaches_nothing_by_a_name_of_its_own(mayfly):
    daemon = mayfly(work_project(work={}), *ANY, "--admin-host", "admin.example.org,other.example.org",
                    "--admin-host", "third.example.org")
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"):
        for target in ("/", "/healthz", "/api/v1/ps"):
            assert ask(daemon, "GET", target, Host=host).status == 421, (host, target)
    for host in ("localhost", "127.0.0.1:1", "admin.example.org", "Other.example.org:443", "third.example.org"):
        assert ask(daemon, "GET", "/healthz", Host=host).status == 200, host


def test_a_new_gateway_listens_on(mayfly):
    daemon = mayfly(work_project(work={}), *ANY)
    before = programs(daemon)["gateway"]
    os.kill(before, signal.SIGKILL)
    assert ask(daemon, "GET", "/healthz").status in (200, 503)  # 503: it is being loaded
    assert wait_until(lambda: programs(daemon).get("gateway")) != before


@pytest.mark.core
def test_connections_that_stay_silent_keep_nobody_out(mayfly):
    daemon = mayfly(work_project(work={}), *ANY)
    silent = [Connection(daemon.admin) for _ in range(400)]
    for connection in silent[::2]:
        try:
            connection.send(b"GET /healthz HTTP/1.1\r\nHost: loc")  # half a head
        except ConnectionError:
            pass  # made room already
    assert ask(daemon, "GET", "/healthz").status == 200
    assert daemon.get("/work").status == 200
    for connection in silent:
        connection.close()


def test_a_head_that_comes_slowly_is_given_up(mayfly):
    daemon = mayfly(work_project(work={}), *ANY, "--head-timeout", "200ms")
    with Connection(daemon.admin) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert connection.rest().startswith(b"HTTP/1.1 408 ")


def test_limits_of_the_project_s_requests_do_not_hold_here(mayfly):
    daemon = mayfly(work_project(work={}), *ANY, "--head-max", "1024", "--line-max", "256")
    assert ask(daemon, "GET", "/healthz?" + "x" * 2000, X_Long="y" * 4000).status == 200
    assert ask(daemon, "GET", "/healthz", X_Long="y" * 40000).status == 431


@pytest.mark.core
def test_functions_never_see_the_session_of_the_dashboard(mayfly):
    """Browsers send a cookie to every port of the host, whoever listens there."""
    daemon = mayfly({"api/echo.py": """
        def handler(event, context):
            return {"statusCode": 200, "body": event["headers"].get("cookie", "none") + "".join(event.get("cookies", []))}
    """})
    assert "secret" not in daemon.get("/api/echo", {"Cookie": "a=1; mayfly_session=secret; b=2"}).text
    assert "a=1" in daemon.get("/api/echo", {"Cookie": "a=1; mayfly_session=secret; b=2"}).text
    assert daemon.get("/api/echo", {"Cookie": "mayfly_session=secret"}).text == "none"


def test_functions_cannot_lock_out_who_uses_the_dashboard(mayfly):
    daemon = mayfly({"api/set.py": """
        def handler(event, context):
            return {"statusCode": 200, "body": "",
                    "multiValueHeaders": {"Set-Cookie": ["a=1", "mayfly_session=x; Path=/api"]}}
    """}, *ANY)
    session = session_of(daemon)
    answer = daemon.raw(b"GET /api/set HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"a=1" in answer and b"mayfly_session" not in answer
    assert ask(daemon, "GET", "/api/v1/ps", Cookie=f"mayfly_session=x; {session}").status == 200
