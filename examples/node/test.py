import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    if not shutil.which("node"):
        pytest.skip("there is no node")
    return mayfly(HERE)


def test_lambda(daemon):
    first, second = daemon.get("/api/hello?name=you"), daemon.get("/api/hello")
    assert (first.text, second.text) == ("Hello, you!\n", "Hello, world!\n")
    assert first.headers["x-loaded-at"] == second.headers["x-loaded-at"]


def test_helpers_and_a_state_that_is_gone(daemon):
    for _ in range(2):
        assert daemon.post("/api/notes", {"text": "new"}).json() == {"id": 2, "text": "new"}
    assert [note["id"] for note in daemon.get("/api/notes").json()] == [1]


def test_a_stream(daemon):
    assert daemon.get("/api/count?to=4").text == "1\n2\n3\n4\n"


def test_a_server_that_listens(daemon):
    assert daemon.get("/api/server").text == "GET /api/server\n"
