import json
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    return mayfly(HERE)


def test_hello(daemon):
    response = daemon.get("/lambda")
    assert response.status == 200
    assert json.loads(response.text) == "Hello from Lambda!"


def test_order(daemon):
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {}):
        response = daemon.post("/orders", '{"item": "tea"}', headers)
        assert (response.status, response.text) == (200, "Order for tea processed!")
    assert daemon.get("/orders").status == 405


def test_mistakes(daemon):
    for body in ("", "tea", "[]", "{}", '{"item": ""}', '{"item": 7}', json.dumps({"item": 201 * "x"})):
        assert daemon.post("/orders", body).status == 400, body
