import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def express(mayfly):
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    daemon = mayfly(HERE / "express")
    answer = daemon.get("/notes", timeout=120)
    if "cannot be installed" in answer.text or "npm" in answer.text:
        pytest.skip("npm cannot fetch Express: " + answer.text[-300:])
    return daemon


def test_express_is_served_unchanged(express):
    assert express.get("/notes").json() == []
    assert express.post("/notes", {"text": "buy milk"}).status == 201
    assert express.get("/notes").json() == [{"text": "buy milk"}]  # the same process
    assert express.get("/nowhere").status == 404


def test_events_come_as_they_are_sent(express):
    with express.connect() as stream:
        stream.send(b"GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n")
        for n in (1, 2, 3):
            stream._until(b"data: %d\n\n" % n)


def test_a_python_server_is_served_unchanged(mayfly):
    daemon = mayfly(HERE / "python")
    assert daemon.get("/a?b=c").json() == {"path": "/a?b=c", "client": "127.0.0.1"}
