"""Packages from PyPI, for the tests that want real ones, once for an interpreter."""
import subprocess
import sys

import pytest

from .cache import digest, filled


def packages(*requirements, python=sys.executable):
    """The folder with these, such as packages("wsproto==1.2.0"), for sys.path. Skips the test if they
    cannot be had."""
    version = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True,
                             text=True, check=True).stdout

    def fill(folder):
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
             "--only-binary", ":all:", "--target", folder, *requirements],
            capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip("pip cannot fetch %s: %s" % (", ".join(requirements), done.stderr.strip()[-300:]))

    return filled(f"pypi-{digest(repr((sorted(requirements), version)))}", fill)
