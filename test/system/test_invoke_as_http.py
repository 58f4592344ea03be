"""Invoking a function with the HTTP request that it is to see: what "Try it" in the dashboard does."""
import json

import pytest

from lib.http import Connection
from lib.process import wait_until

PROJECT = {
    "api/users/[id].py": """
        import json

        def handler(event, context):
            return {"statusCode": 200, "body": json.dumps(event)}
    """,
}
NAME = "api%2Fusers%2F%5Bid%5D"


def invoke(address, wanted, body=None, **headers):
    with Connection(address) as connection:
        return connection.request("POST", f"/api/v1/functions/{NAME}/invoke", body,
                                  {"Mayfly-Invoke": wanted, **headers})


def let_in(answer):
    """The gateway hears of a new token a moment after its maker."""
    return answer if answer.status != 401 else None


def socket_of(daemon):
    return str(daemon.state / "mayfly.sock")


@pytest.mark.core
def test_the_function_sees_the_request_that_was_named(mayfly):
    daemon = mayfly(PROJECT)
    answer = invoke(socket_of(daemon), "PUT /api/users/7?x=1", "new", **{"X-Word": "hello"})
    event = answer.json()
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["rawPath"] == "/api/users/7"
    assert event["queryStringParameters"] == {"id": "7", "x": "1"}
    assert event["headers"]["x-word"] == "hello" and event["body"] == "new"
    assert not [name for name in event["headers"] if name.startswith("mayfly-invoke")]
    record = daemon.record(answer)
    assert (record["method"], record["path"], record["trigger"]) == ("PUT", "/api/users/7", "http")


def test_a_path_of_another_function_is_just_a_path(mayfly):
    daemon = mayfly({**PROJECT, "api/other.py": "def handler(e, c): return 'other'"})
    assert invoke(socket_of(daemon), "GET /api/other").json()["rawPath"] == "/api/other"


@pytest.mark.parametrize("wanted", ["", "GET", "GET x", "GET /a/../b", "GET /a b", "HEAD /", "CONNECT /", "G(T /", "GET /#a",
                                    "GET /%zz", "GET /a\tb"])
def test_what_is_no_request_is_refused(mayfly, wanted):
    daemon = mayfly(PROJECT)
    answer = invoke(socket_of(daemon), wanted)
    assert answer.status == 400 and "Mayfly-Invoke" in answer.json()["errorMessage"]


def test_what_lets_in_at_the_admin_listener_is_not_for_the_function(mayfly):
    daemon = mayfly(PROJECT, "--admin-listen", "127.0.0.1:0")
    with Connection(socket_of(daemon)) as connection:
        token = connection.request("POST", "/api/v1/tokens", json.dumps({"name": "test"}),
                                   {"Content-Type": "application/json"}).json()["token"]
    for authorization in (f"Bearer {token}", f"bearer  {token}"):
        answer = wait_until(lambda: let_in(invoke(daemon.admin, "GET /api/users/7", Authorization=authorization)))
        assert answer.status == 200 and token not in answer.text
