"""Chromium, and what drives it: playwright-core and axe-core, in the versions of web/package-lock.json."""
import hashlib
import shutil
import subprocess

import pytest

from .cache import filled
from .daemon import ROOT


def chromium():
    """Its path; skips the test without one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium on PATH (Debian: chromium)")
    return path


def modules():
    """The folder node_modules; skips the test if npm cannot fetch it."""
    lock = ROOT / "web" / "package-lock.json"

    def fill(folder):
        if not shutil.which("npm"):
            pytest.skip("there is no npm on PATH to fetch playwright-core with")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / "web" / name, folder)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                              cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch playwright-core: {done.stderr.strip()[-300:]}")

    return filled("npm-dashboard-" + hashlib.sha256(lock.read_bytes()).hexdigest()[:16], fill) / "node_modules"
