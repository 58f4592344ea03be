import os
import sys
from pathlib import Path

import pytest

from lib.zygote_harness import Zygote, lib_dir

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
PYTHON = os.environ.get("MAYFLY_TEST_PYTHON") or sys.executable


@pytest.fixture
def zygote(tmp_path):
    """zygote(handler) or zygote(handler, source): a loaded function; ended with the test."""
    opened = []

    def open_zygote(handler, source=None, python=PYTHON, files=None, **more):
        cwd = FIXTURES
        if source is not None or files is not None:
            cwd = tmp_path
            for name, text in {**(files or {}), **({"m.py": source} if source else {})}.items():
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        more.setdefault("env", {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        z = Zygote([python, lib_dir() / "python" / "main.py"], cwd, handler, **more)
        opened.append(z)
        return z

    yield open_zygote
    for z in opened:
        z.close()
