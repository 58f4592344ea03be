import hashlib
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(application):
    return application(HERE)


def test_lifespan_has_run(daemon):
    for _ in range(2):
        assert daemon.get("/").json() == {"state": "ready", "path": "/"}
    assert daemon.get("/else").status == 404


def test_an_upload_is_read_as_it_comes(daemon):
    body = bytes(range(256)) * 20000
    answer = daemon.post("/digest", body).json()
    assert answer == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_a_download_comes_whole(daemon):
    assert daemon.get("/download/5").body == b"x" * (5 << 20)
