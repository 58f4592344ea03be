"""Packages from npm, for the tests that want real ones. They are fetched once into the build's
test-cache and shared."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from .daemon import BUILD

CACHE = BUILD / "test-cache"


def node():
    """The path of Node.js 18 or newer; skips the test without one."""
    path = shutil.which("node")
    if not path:
        pytest.skip("there is no node (Node.js) on PATH")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 18:
        pytest.skip(f"Node.js {version.strip()} is older than 18")
    return path


def packages(**versions):
    """The folder node_modules with these, such as packages(express="5.1.0"). Skips the test if they
    cannot be had."""
    wanted = {name.replace("__", "/"): version for name, version in sorted(versions.items())}
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    folder = CACHE / f"npm-{key}"
    if not folder.exists():
        _install(wanted, folder)
    return folder / "node_modules"


def _install(wanted, folder):
    if not shutil.which("npm"):
        pytest.skip("there is no npm on PATH to fetch %s with" % ", ".join(wanted))
    CACHE.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix="npm.", dir=CACHE))
    try:
        (temporary / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=temporary, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip("npm cannot fetch %s: %s" % (", ".join(wanted), done.stderr.strip()[-300:]))
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.exists():  # else another test was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
