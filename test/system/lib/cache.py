"""Folders that are filled once, from a registry, and shared by tests that run at the same time."""
import os
import pathlib
import shutil
import tempfile

import pytest

from .daemon import BUILD

CACHE = BUILD / "test-cache"


def filled(name, fill):
    """The folder of that name below CACHE. If it is not there, fill(folder) makes it, and may skip the
    test: under another name, so that what is there is whole."""
    folder = CACHE / name
    if folder.exists():
        return folder
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        half = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}.", dir=CACHE))
    except OSError as e:
        pytest.skip(f"{name} cannot be fetched to {CACHE}: {e.strerror}")
    try:
        fill(half)
        half.chmod(0o755)
        try:
            os.rename(half, folder)
        except OSError:
            if not folder.exists():  # else another test was faster
                raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return folder
