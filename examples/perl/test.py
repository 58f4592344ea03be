import pathlib

import pytest

from lib.daemon import BUILD, SANITIZED

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(mayfly):
    if SANITIZED or not (BUILD / "lib/perl/mayfly-perl").exists():
        pytest.skip("mayfly was built without Perl, or with sanitizers")
    return mayfly(HERE)


def test_the_handler_greets(daemon):
    assert daemon.get("/api/hello?name=Perl").text == "Hello, Perl!\n"
    assert daemon.get("/api/hello").text == "Hello, world!\n"


def test_the_application_shouts(daemon):
    assert daemon.request("POST", "/shout", b"quiet").text == "QUIET"
