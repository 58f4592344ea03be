import concurrent.futures
import pathlib
import time

import pytest

HERE = pathlib.Path(__file__).parent
SLEEP_SECONDS = 0.5


@pytest.mark.parametrize("target, answer", [
    ("?num1=1&num2=2", "3"),
    ("?b=-5&a=3", "-2"),
    ("?x=%2B7&y=+8", "15"),
    ("?a=9223372036854775807&b=-9223372036854775808", "-1"),
    ("/1+2", "3"),
    ("/1%2B2", "3"),
    ("/-4+3", "-1"),
    ("/-4+-3", "-7"),
])
def test_sums(mayfly, target, answer):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    response = daemon.get("/c/sleep_and_sum" + target)
    assert (response.status, response.text) == (200, answer)
    assert response.headers["content-type"].startswith("text/plain")


def test_mistakes(mayfly):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    for target in ("", "?num1=1", "?num1=1&num2=x", "?a=1&b=2&c=3", "?a=1.5&b=2", "?a=&b=2", "/1", "/1+2+3",
                   "/a+b", "/+"):
        response = daemon.get("/c/sleep_and_sum" + target)
        assert response.status == 400, target
        assert "two integers, as in" in response.text


def test_too_big_is_refused_not_wrapped(mayfly):
    daemon = mayfly(HERE, "--env", "SLEEP_SECONDS=0")
    for target in ("?a=9223372036854775807&b=1", "?a=1&b=9223372036854775808", "/-9223372036854775808+-1"):
        response = daemon.get("/c/sleep_and_sum" + target)
        assert response.status == 400, target
        assert "64 bits" in response.text


def test_ten_sleep_at_the_same_time(mayfly):
    daemon = mayfly(HERE, "--env", f"SLEEP_SECONDS={SLEEP_SECONDS}")
    daemon.get("/c/sleep_and_sum/0+0")  # loaded, from here on
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        start = time.monotonic()
        answers = list(pool.map(lambda i: daemon.get(f"/c/sleep_and_sum/{i}+{i}").text, range(10)))
        seconds = time.monotonic() - start
    assert answers == [str(2 * i) for i in range(10)]
    assert SLEEP_SECONDS <= seconds < 5 * SLEEP_SECONDS + 2
