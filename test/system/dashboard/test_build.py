"""The dashboard's build: small, and never a reason that mayfly cannot be built."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from lib.daemon import BUILD, ROOT

BUILDER = ROOT / "web" / "build.py"
BUNDLE_BYTES_MAX = 60 * 1024


def files_of(source):
    """{path: compressed bytes} of a file that build.py has made."""
    files = {}
    for path, _, packed in re.findall(r'^\{"([^"]+)", .*?^\{\n(.*?),\n.*?^\{\n(.*?),\n    \d+\}\},', source, re.M | re.S):
        text = "".join(re.findall(r'^    "(.*)"$', packed, re.M))
        files[path] = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), text.encode())
    return files


def build(tmp_path, *arguments, **env):
    output = tmp_path / "dashboard-files.c"
    done = subprocess.run([sys.executable, BUILDER, "--output", output, *arguments], text=True, timeout=120,
                          capture_output=True, check=True, env={**os.environ, **env})
    return output.read_text(), done.stdout


def test_the_dashboard_is_small():
    source = (BUILD / "web" / "dashboard-files.c").read_text()
    if "dashboard_is_full = true" not in source:
        pytest.skip("mayfly was built without npm: it has the plain page")
    sizes = {path: len(packed) for path, packed in files_of(source).items()}
    assert any(path.endswith(".js") for path in sizes)
    assert sum(sizes.values()) < BUNDLE_BYTES_MAX, sizes


def test_what_is_embedded_is_what_was_written(tmp_path):
    source, _ = build(tmp_path, "--plain")
    files = files_of(source)
    script = next(path for path in files if path.endswith(".js"))
    assert gzip.decompress(files[script]) == (ROOT / "web" / "plain" / "plain.js").read_bytes()
    assert script.encode() in gzip.decompress(files["/index.html"])


def programs(tmp_path, **scripts):
    """A PATH with these and nothing else but what a script needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sleep", "env"):
        (folder / name).symlink_to(shutil.which(name))
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("scripts, why", [
    ({}, "there is no node"),
    ({"node": "echo v16.0.0"}, "is older than 18"),
    ({"node": "echo v20.0.0"}, "there is no npm"),
    ({"node": "echo v20.0.0", "npm": "echo no network; exit 1"}, "no network"),
])
def test_without_npm_or_network_the_plain_page_is_built_in(tmp_path, scripts, why):
    source, said = build(tmp_path, PATH=programs(tmp_path, **scripts), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "the plain page is built in" in said and why in said
    assert "dashboard_is_full = false" in source


def test_what_cannot_be_fetched_is_not_tried_again_at_once(tmp_path):
    tried = tmp_path / "tried"
    path = programs(tmp_path, node="echo v20.0.0", npm=f"echo once >> {tried}; exit 1")
    for _ in range(2):
        _, said = build(tmp_path, PATH=path, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert "the plain page is built in" in said
    assert tried.read_text() == "once\n"


def test_packages_are_named_without_the_registry_they_came_from():
    text = pathlib.Path(ROOT, "web", "package-lock.json").read_text()
    assert "resolved" not in text and "integrity" in text
