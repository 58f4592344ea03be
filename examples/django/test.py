import pathlib
import re

import pytest

from lib.process import wait_until

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(application):
    return application(HERE)


def test_a_form_is_taken_with_its_token_and_kept_in_the_session(daemon):
    page = daemon.get("/")
    cookie = page.headers["set-cookie"].split(";")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text).group(1)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    answer = daemon.post("/", f"csrfmiddlewaretoken={token}&line=Roses+%26+thorns", form)
    assert (answer.status, answer.headers["location"]) == (302, "/")
    assert daemon.post("/", "line=x", form).status == 403
    empty = daemon.post("/", f"csrfmiddlewaretoken={token}&line=", form)
    assert empty.status == 200 and "This field is required" in empty.text


def test_the_next_request_knows_nothing(daemon):
    assert daemon.get("/lines").json() == {"lines": []}
    assert daemon.get("/nothing").status == 404
    assert daemon.get("/broken").status == 500
    wait_until(lambda: "RuntimeError: on purpose" in daemon.stdout + daemon.log, "the traceback is told")
