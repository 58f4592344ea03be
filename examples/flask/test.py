import pathlib

import pytest

from lib.process import wait_until

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(application):
    return application(HERE)


def test_the_session_is_in_the_cookie(daemon):
    first = daemon.get("/")
    assert "You have been here 1 time." in first.text
    cookie = first.headers["set-cookie"].split(";")[0]
    assert "2 times" in daemon.get("/", {"Cookie": cookie}).text
    assert "1 time." in daemon.get("/").text


def test_a_file_of_a_form_is_summed_up(daemon):
    body = ('--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
            "Content-Type: text/csv\r\n\r\n1,2\n3.5\n\r\n--x--\r\n")
    answer = daemon.post("/sum", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status, answer.json()) == (200, {"sum": 6.5})
    assert daemon.post("/sum", "").status == 400


def test_an_answer_in_pieces_is_whole(daemon):
    assert daemon.get("/numbers/100000").text == "".join(f"{i}\n" for i in range(100000))


def test_flask_answers_for_its_errors(daemon):
    assert daemon.get("/nothing/here").status == 404
    assert daemon.get("/broken").status == 500
    wait_until(lambda: "ValueError: on purpose" in daemon.stdout + daemon.log, "the traceback is told")
