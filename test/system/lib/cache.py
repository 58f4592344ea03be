"""Folders that are filled once, from a registry, and shared by tests that run at the same time."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile

import pytest

from .daemon import BUILD

CACHE = BUILD / "test-cache"


def digest(text):
    """A short name for this text, or bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def filled(name, fill):
    """The folder of that name below CACHE. If it is not there, fill(folder) makes it, and may skip the
    test: under another name, so that what is there is whole."""
    folder = CACHE / name
    if folder.exists():
        return folder
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        lock = open(CACHE / f"{name}.lock", "w")  # who comes second waits, and finds it
        half = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}.", dir=CACHE))
    except OSError as e:
        pytest.skip(f"{name} cannot be fetched to {CACHE}: {e.strerror}")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not folder.exists():
                fill(half)
                half.chmod(0o755)
                os.rename(half, folder)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return folder
