import pathlib

import pytest

from lib.daemon import BUILD, SANITIZED

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    if SANITIZED or not (BUILD / "lib/php/mayfly-php").exists():
        pytest.skip("mayfly was built without PHP, or with sanitizers")
    return mayfly(HERE)


def test_the_front_controller_greets(daemon):
    assert daemon.get("/hello/PHP%20you").text == "Hello, PHP you!\n"
    assert daemon.get("/other").status == 404
