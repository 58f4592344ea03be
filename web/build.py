#!/usr/bin/env python3
"""Makes the dashboard, and a C file that holds it.

usage: build.py --output FILE.c [--depfile FILE] [--plain]
       build.py --watch DIR     keep DIR up to date while you work (MAYFLY_UI_DIR=DIR mayfly dev ...)

npm's packages are fetched once for each package-lock.json, into $XDG_CACHE_HOME/mayfly/web. Without npm, or
where it cannot fetch, the plain page in web/plain is taken: the build needs neither.
"""
import argparse
import contextlib
import fcntl
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

WEB = pathlib.Path(__file__).resolve().parent
FETCH_SECONDS = 90  # for all of `npm ci`
RETRY_SECONDS = 600  # after a failure, so that not each build folder waits for a network that is not there
BUNDLE_SECONDS = 60
NODE_MIN = 18
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Unavailable(Exception):
    """Why the full dashboard cannot be built here."""


def run(command, seconds, **options):
    """Runs it in a group of its own, so that nothing of it is left when the time is over."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Unavailable(f"{pathlib.Path(command[0]).name} took more than {seconds} s") from None
    said = said.decode(errors="replace").strip()
    if process.returncode != 0:
        first = "; ".join(line.removeprefix("npm error ").strip() for line in said.splitlines()[:4])
        raise Unavailable(f"{pathlib.Path(command[0]).name} {pathlib.Path(command[1]).name} failed: {first[:400]}")
    return said


# ---- npm's packages ----

def program(name):
    path = shutil.which(name)
    if not path:
        raise Unavailable(f"there is no {name}")
    return path


def cache_folder(beside):
    """Where packages are kept: the user's cache, or beside the output where that cannot be written."""
    home = os.environ.get("HOME", "")
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = pathlib.Path(cache) if cache.startswith("/") else pathlib.Path(home or "/nonexistent", ".cache")
    for folder in (base / "mayfly" / "web", beside / "dashboard-packages"):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    raise Unavailable("there is no folder to fetch packages to")


def fetch(folder):
    """npm ci in `folder`, whole or not at all."""
    half = pathlib.Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(WEB / name, half)
        run([program("npm"), "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund",
             "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=20000", "--loglevel=error"],
            FETCH_SECONDS, cwd=half)
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def packages(beside):
    """The folder node_modules."""
    node = program("node")
    version = run([node, "--version"], 20)
    if int(version.lstrip("v").split(".")[0]) < NODE_MIN:
        raise Unavailable(f"Node.js {version} is older than {NODE_MIN}")
    key = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = cache_folder(beside) / key
    failed = folder.with_suffix(".failed")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            if failed.exists() and time.time() - failed.stat().st_mtime < RETRY_SECONDS:
                raise Unavailable(f"{failed.read_text()} (not tried again before {RETRY_SECONDS // 60} "
                                  f"minutes are over, or {failed} is removed)")
            try:
                fetch(folder)
            except Unavailable as why:
                failed.write_text(str(why))
                raise
    return folder / "node_modules"


# ---- files ----

def bundle(beside, outdir, *arguments):
    run([program("node"), str(WEB / "bundle.mjs"), str(packages(beside)), str(outdir), *arguments], BUNDLE_SECONDS)


def hashed(name, content):
    stem, suffix = os.path.splitext(name)
    return f"/assets/{stem}-{hashlib.sha256(content).hexdigest()[:10]}{suffix}"


def page(html, assets):
    """Assets are {name: content}; the page names them as assets/NAME."""
    files = {}
    for name, content in assets.items():
        path = hashed(name, content)
        html = html.replace(f"/assets/{name}".encode(), path.encode())
        files[path] = content
    files["/index.html"] = html
    return files


def full(beside):
    with tempfile.TemporaryDirectory(prefix="dashboard.", dir=beside) as out:
        bundle(beside, out)
        assets = {name: (pathlib.Path(out) / name).read_bytes() for name in ("main.js", "main.css")}
    assets["icon.svg"] = (WEB / "src" / "icon.svg").read_bytes()
    return page((WEB / "src" / "index.html").read_bytes(), assets)


def plain():
    assets = {name: (WEB / "plain" / name).read_bytes() for name in ("plain.js", "plain.css")}
    assets["icon.svg"] = (WEB / "src" / "icon.svg").read_bytes()
    return page((WEB / "plain" / "index.html").read_bytes(), assets)


def literal(content):
    """A string of C, some lines long. Digits behind an octal number are no part of it: it has three."""
    text = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\{c:03o}" for c in content)
    return "\n".join(f'    "{line}"' for line in re.findall(r"(?:\\...|[^\\]){1,100}", text)) or '    ""'


def c_source(files, is_full):
    lines = ["/* Made by web/build.py. */", "", '#include "control/dashboard.h"', "",
             f"const bool dashboard_is_full = {'true' if is_full else 'false'};", "",
             "const struct dashboard_file dashboard_files[] = {"]
    for path, content in sorted(files.items()):
        packed = gzip.compress(content, 9, mtime=0)
        etag = hashlib.sha256(content).hexdigest()[:20]
        lines += [f'{{"{path}", "{TYPES[os.path.splitext(path)[1]]}", "\\"{etag}\\"",',
                  f"{{\n{literal(content)},\n    {len(content)}}},", f"{{\n{literal(packed)},\n    {len(packed)}}}}},"]
    return "\n".join(lines + ["};", "", f"const size_t dashboard_files_n = {len(files)};", ""])


def put(path, text):
    half = path.with_name(path.name + "~")
    half.write_text(text)
    half.replace(path)


def build(output, only_plain):
    try:
        if only_plain:
            raise Unavailable("that is what was asked for")
        files, is_full = full(output.parent), True
    except Unavailable as why:
        print(f"dashboard: the plain page is built in, since {why}", flush=True)
        files, is_full = plain(), False
    put(output, c_source(files, is_full))


def watch(folder):
    """Bundles anew when a source changes, until Ctrl-C."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    shutil.copy(WEB / "src" / "index.html", folder)
    shutil.copy(WEB / "src" / "icon.svg", folder / "assets")
    seen = None
    while True:
        now = max(path.stat().st_mtime for path in (WEB / "src").rglob("*"))
        if now != seen:
            try:
                bundle(folder, folder / "assets", "--debug")
                shutil.copy(WEB / "src" / "index.html", folder)
                print("dashboard: built", flush=True)
            except Unavailable as why:
                print(why, flush=True)
            seen = now
        time.sleep(0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--depfile", type=pathlib.Path)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--watch", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.watch:
        with contextlib.suppress(KeyboardInterrupt):
            watch(arguments.watch.resolve())
        return
    if not arguments.output:
        parser.error("--output or --watch")
    build(arguments.output.resolve(), arguments.plain or os.environ.get("MAYFLY_PLAIN_DASHBOARD") == "1")
    if arguments.depfile:
        sources = [p for folder in ("src", "plain") for p in sorted((WEB / folder).rglob("*")) if p.is_file()]
        put(arguments.depfile, f"{arguments.output}: {' '.join(map(str, sources))}\n")


if __name__ == "__main__":
    sys.exit(main())
