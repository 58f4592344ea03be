import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    return mayfly(HERE)


def test_environment(daemon):
    lines = daemon.get("/environment?a=1&b", headers={"X-Colour": "blue"}).text.splitlines()
    assert {"REQUEST_METHOD=GET", "QUERY_STRING=a=1&b", "HTTP_X_COLOUR=blue"} <= set(lines)


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl")
def test_words(daemon):
    response = daemon.request("POST", "/words", "to be or\nnot to be")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"be": 2, "not": 1, "or": 1, "to": 2}


def test_upper_needs_no_headers(daemon):
    response = daemon.request("POST", "/upper", "shout\n")
    assert (response.status, response.text) == (200, "SHOUT\n")
    assert response.headers["content-type"].startswith("text/plain")


def test_primes_are_compiled_when_asked_for(daemon):
    assert daemon.get("/primes?20").text.split() == ["2", "3", "5", "7", "11", "13", "17", "19"]
    assert daemon.get("/primes").text.split()[-1] == "97"
    assert daemon.get("/primes?x").status == 400
