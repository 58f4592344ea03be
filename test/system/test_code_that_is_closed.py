"""Root may read everything; the user that a function runs as may not."""
import os
import pathlib

import pytest
from lib.process import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the functions of a plain user run as that user")

HELLO = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello'}\n"


@pytest.mark.parametrize("files, closed", [
    ({"api/hello.py": (HELLO, 0o600)}, "api/hello.py"),
    ({"api/hello.py": "import lib.words\n" + HELLO, "lib/words.py": (HELLO, 0o640)}, "lib/words.py"),
])
def test_a_function_is_broken_by_code_that_others_may_not_read(mayfly, files, closed):
    daemon = mayfly(files)
    assert daemon.get("/api/hello").status == 500
    assert f"others may not read {daemon.project}/{closed}" in daemon.log
    assert f"chmod -R o+rX {daemon.project}" in daemon.log


@pytest.mark.parametrize("closed", ["", "api", "lib"])
def test_a_folder_above_code_may_be_closed_too(mayfly, closed):
    files = {"api/hello.py": "import lib.words\n" + HELLO, "lib/words.py": HELLO}
    daemon = mayfly(files, command="dev", prepare=lambda folder: (folder / closed).chmod(0o700))
    assert daemon.get("/api/hello").status == 500
    assert f"others may not read {(daemon.project / closed)}," in daemon.log
    for path in [pathlib.Path(daemon.project), *pathlib.Path(daemon.project).rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # what the message says
    wait_until(lambda: daemon.get("/api/hello").text == "hello", "it is mended without a restart")


def test_data_that_others_may_not_read_is_their_owners_will(mayfly):
    daemon = mayfly({"api/hello.py": HELLO, "deploy.pem": ("secret", 0o600), "data/rows.db": ("", 0o600)},
                    prepare=lambda folder: (folder / "data").chmod(0o700))
    assert daemon.get("/api/hello").text == "hello"


@pytest.mark.parametrize("profile", ["degraded", "user"])
def test_functions_that_run_as_the_daemons_user_read_what_it_reads(mayfly, profile):
    daemon = mayfly({"api/hello.py": (HELLO, 0o600)}, env={"MAYFLY_SANDBOX": profile})
    assert daemon.get("/api/hello").text == "hello"


def test_dev_names_files_as_an_editor_finds_them(mayfly):
    daemon = mayfly({"api/hello.py": "def handler(event, context):\n    return 1 / 0\n"}, command="dev")
    response = daemon.get("/api/hello")
    assert response.status == 500
    wait_until(lambda: f"{daemon.project}/api/hello.py" in daemon.stdout, "the traceback")
    assert "/var/task" not in daemon.stdout
