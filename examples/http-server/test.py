import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    return mayfly(HERE)


def test_get(daemon):
    assert daemon.get("/api/hello").text == "Hello, world!\n"
    response = daemon.get("/api/hello?name=J%C3%BCrgen%20M")
    assert (response.status, response.text) == (200, "Hello, Jürgen M!\n")


def test_post(daemon):
    assert daemon.post("/api/hello", {"name": "you"}).json() == {"greeting": "Hello, you!"}
    assert daemon.post("/api/hello", "no JSON").status == 400
    assert daemon.request("PUT", "/api/hello", "x").status == 501


def test_relay(daemon):
    response = daemon.get("/api/relay?name=you")
    assert (response.status, response.text) == (200, "Hello, you!\n")
    assert response.headers["x-upstream-status"] == "200"


def test_relay_without_upstream(mayfly):
    daemon = mayfly(HERE, "--env", "UPSTREAM_URL=http://127.0.0.1:1/nothing")
    assert daemon.get("/api/relay").status == 502
