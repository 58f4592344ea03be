"""Ten at once: each has its own process, and together they take no longer than one."""
import concurrent.futures
import pathlib
import time

import pytest
from lib.process import wait_until

HERE = pathlib.Path(__file__).parent
SLEEP_SECONDS = 1


@pytest.fixture
def daemon(mayfly):
    return mayfly(HERE, "--env", f"SLEEP_SECONDS={SLEEP_SECONDS}")


def test_ten_at_once(daemon):
    assert daemon.get("/sleep_and_sum?num1=0&num2=0").text == "0"  # loaded, from here on
    with concurrent.futures.ThreadPoolExecutor(11) as pool:
        start = time.monotonic()
        answers = [pool.submit(daemon.get, f"/sleep_and_sum?num1={i}&num2={2 * i}") for i in range(10)]
        active = []
        while len(active) < 10 and time.monotonic() < start + SLEEP_SECONDS:
            active = daemon.get("/active_processes").json()
            time.sleep(0.02)
        results = [answer.result() for answer in answers]
        seconds = time.monotonic() - start
    assert [result.text for result in results] == [str(3 * i) for i in range(10)]
    assert len(set(active)) == 10
    assert SLEEP_SECONDS <= seconds < 3 * SLEEP_SECONDS + 2
    assert daemon.get("/active_processes").json() == []


@pytest.mark.parametrize("target, answer", [
    ("?num1=1&num2=2", "3"),
    ("?b=-5&a=3", "-2"),
    ("?x=%2B7&y=99999999999999999999", "100000000000000000006"),
    ("/1+2", "3"),
    ("/1%2B2", "3"),
    ("/-4+3", "-1"),
])
def test_sums(mayfly, target, answer):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    response = daemon.get("/sleep_and_sum" + target)
    assert (response.status, response.text) == (200, answer)
    assert response.headers["content-type"].startswith("text/plain")


def test_mistakes(mayfly):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    for target in ("", "?num1=1", "?num1=1&num2=x", "?a=1&b=2&c=3", "?a=1.5&b=2", "/1", "/1+2+3", "/a+b"):
        response = daemon.get("/sleep_and_sum" + target)
        assert response.status == 400, target
        assert "two integers" in response.text


def test_counter(mayfly):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    before = int(daemon.get("/request_counter").text)
    for _ in range(3):
        assert daemon.get("/sleep_and_sum?a=1&b=1").status == 200
    wait_until(lambda: int(daemon.get("/request_counter").text) == before + 3, "all three are counted")
