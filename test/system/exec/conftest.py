"""Writes programs into a folder of their own and runs them as functions."""
import pytest

from lib.zygote_harness import Zygote, lib_dir


@pytest.fixture(scope="session")
def host():
    return lib_dir() / "exec/mayfly-exec"


@pytest.fixture
def program(tmp_path, host):
    """program("#!/bin/sh ...") starts the zygote of a script; `name` and `mode` are the file's."""
    zygotes = []

    def start(source, name="program", mode=0o755, **more):
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        path.chmod(mode)
        zygotes.append(Zygote([host, path], cwd=tmp_path, **more))
        return zygotes[-1]

    yield start
    for zygote in zygotes:
        zygote.close()
