"""Packages from PyPI, for the tests that want real ones. They are fetched once for an interpreter into
the build's test-cache and shared."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from .daemon import BUILD

CACHE = BUILD / "test-cache"


def packages(*requirements, python=sys.executable):
    """The folder with these, such as packages("wsproto==1.2.0"), for sys.path. Skips the test if they
    cannot be had."""
    version = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True,
                             text=True, check=True).stdout
    key = hashlib.sha256(repr((sorted(requirements), version)).encode()).hexdigest()[:16]
    folder = CACHE / f"pypi-{key}"
    if not folder.exists():
        _install(requirements, python, folder)
    return folder


def _install(requirements, python, folder):
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix="pypi.", dir=CACHE))
    except OSError as e:
        pytest.skip("%s cannot be fetched to %s: %s" % (", ".join(requirements), CACHE, e.strerror))
    try:
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
             "--only-binary", ":all:", "--target", str(temporary), *requirements],
            capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip("pip cannot fetch %s: %s" % (", ".join(requirements), done.stderr.strip()[-300:]))
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.exists():  # else another test was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
