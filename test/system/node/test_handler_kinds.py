"""The handler kinds of Node functions without the daemon: runs unit/*.test.js, each file with Node's
own test runner, a process for each function and request."""
import os
import pathlib
import subprocess

import pytest

from lib import npm

HERE = pathlib.Path(__file__).parent / "unit"
PACKAGES = {"express": "5.1.0", "fastify": "5.2.1", "koa": "2.16.1", "ws": "8.18.0"}


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.js")))
def test_handler_kinds(file):
    environment = {**os.environ, "MAYFLY_TEST_MODULES": ""}
    if file == "packages.test.js":
        environment["MAYFLY_TEST_MODULES"] = str(npm.packages(**PACKAGES))
    environment.pop("NODE_OPTIONS", None)
    done = subprocess.run([npm.node(), "--test", "--test-reporter=tap", HERE / file], env=environment,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr
    assert "\n# fail 0\n" in done.stdout and "\n# pass 0\n" not in done.stdout
