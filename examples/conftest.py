"""The tests of the examples run on a real daemon, like those in test/system."""
import json
import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "test" / "system"))

from lib.daemon import BUILD, SANITIZED, run_cli  # noqa: E402
from lib.fixtures import mayfly  # noqa: E402,F401


def packages_cache():
    """Where `mayfly dev` keeps packages: shared by all tests of a user."""
    folder = BUILD / "test-cache" / f"packages-{os.geteuid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = pathlib.Path(tempfile.gettempdir()) / f"mayfly-packages-{os.geteuid()}"
        folder.mkdir(exist_ok=True)
    return str(folder)


@pytest.fixture
def application(mayfly):  # noqa: F811
    """application(folder): a daemon on a folder whose packages come from an index. Skips the test where
    they cannot be had."""
    def start(folder):
        if SANITIZED:
            pytest.skip("packages are not built with sanitizers")
        env = {"XDG_CACHE_HOME": packages_cache()}
        done = run_cli("inspect", "--project", folder, "--json", env={**os.environ, **env}, seconds=600)
        assert done.returncode in (0, 1), done
        broken = json.loads(done.stdout)["functions"][0]["broken"] or ""
        if "package index does not answer" in broken or "ensurepip" in broken:
            pytest.skip(broken)
        assert not broken, broken
        return mayfly(folder, command="dev", env=env)

    return start
