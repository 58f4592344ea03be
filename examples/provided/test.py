import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent


def test_the_shell_answers(mayfly):
    if not shutil.which("curl"):
        pytest.skip("there is no curl on PATH")
    assert mayfly(HERE).get("/hello").text == "Hello from hello.greet\n"
