"""Starting servers, and making sure that they answer before anything is measured."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import load
from .servers import PATH, PLAIN_USER, PYTHON, SERVERS
from .tree import Tree

BENCH = Path(__file__).parent.parent
START_SECONDS = 30
BUILD_SECONDS = 300
COMPILER = ["gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra"]


class StartError(Exception):
    """A server cannot be started or does not answer; its rows are skipped with this reason."""


@dataclass
class Places:
    """Where things are; what servers.py calls {functions} and so on."""
    tmp: Path
    mayfly: Path
    programs: Path
    functions: Path = BENCH / "functions"
    peers: Path = BENCH / "peers"

    def names(self):
        return {key: str(value) for key, value in vars(self).items()}


def compile_programs(places):
    """Builds the load generator and, static as they would be in use, what mayfly and peers run."""
    places.programs.mkdir(parents=True, exist_ok=True)
    for source, target, extra in (
            (BENCH / "openloop.c", places.programs / "openloop", []),
            (places.functions / "hello_cgi.c", places.functions / "hello.cgi", ["-static"]),
            (places.functions / "hello_bootstrap.c", places.functions / "hello.bootstrap",
             ["-static"])):
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([*COMPILER, *extra, "-o", str(target), str(source)], check=True)


def build_go(package, version, places):
    """Has Go fetch and build a program, once for each version."""
    target = places.programs / Path(package).name
    stamp = target.with_suffix(".version")
    if target.exists() and stamp.exists() and stamp.read_text() == version:
        return
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        raise StartError("go is not installed, which builds it: apt install golang-go")
    try:
        subprocess.run([go, "install", f"{package}@{version}"], check=True, capture_output=True,
                       text=True, timeout=BUILD_SECONDS,
                       env=os.environ | {"GOBIN": str(places.programs.absolute())})
    except subprocess.CalledProcessError as error:
        raise StartError(f"go cannot build it: {error.stderr.strip()[-300:]}") from None
    except subprocess.TimeoutExpired:
        raise StartError(f"go did not build it in {BUILD_SECONDS} s") from None
    stamp.write_text(version)


def free_port():
    with socket.socket() as probe:
        probe.bind((load.HOST, 0))
        return probe.getsockname()[1]


def environment(places, server, tmp):
    """Debian's Python first, so that every server runs the same interpreter."""
    return os.environ | {"PATH": PATH,
                         "PYTHONPATH": str(places.functions), "LC_ALL": "C.UTF-8",
                         "HOME": tmp, **server.env}


@dataclass
class Running:
    """A server that answers."""
    tree: Tree
    port: int
    cpu_source: str = "/proc"
    stops: str = ""

    def check(self, path, expected, body=None, seconds=START_SECONDS):
        """Asks until the answer is right. A refused connection may mean: not yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, answer = load.request(self.port, path, body)
            except OSError as error:
                problem = str(error)
            else:
                if status == 200 and answer.strip() == expected.strip():
                    self.tree.stop_named(self.stops)
                    return
                problem = f"status {status}, {answer[:200]!r}"
            if not self.tree.is_alive():
                raise StartError(f"ended with status {self.tree.process.returncode}: "
                                 f"{stderr_tail(self.tree.name)}")
            if time.monotonic() > deadline:
                raise StartError(f"no good answer to {path} in {seconds} s: {problem}")
            time.sleep(0.05)


STDERR = {}


def stderr_tail(name):
    file = STDERR[name]
    file.seek(0)
    return file.read().strip()[-400:].replace("\n", " | ")


@contextlib.contextmanager
def running(name, places):
    """Starts a server of servers.py, yields it, and ends it with its whole tree."""
    server = SERVERS[name]
    if reason := server.missing(places.names()):
        raise StartError(reason)
    if server.go:
        build_go(*server.go, places)

    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=places.tmp) as tmp, \
            tempfile.TemporaryFile("w+") as STDERR[name]:
        port = free_port()
        names = places.names() | {"tmp": tmp, "port": port, "other_port": free_port(),
                                  "user": "user root;" if os.geteuid() == 0 else ""}
        for file, text in server.files.items():
            Path(tmp, file).write_text(text.format(**names))
        argv = [word.format(**names) for word in server.argv]
        if server.plain:
            os.chown(tmp, PLAIN_USER, PLAIN_USER)
        with Tree.start(name, argv, cwd=places.functions, env=environment(places, server, tmp),
                        stderr=STDERR[name]) as tree:
            if server.is_mayfly:
                wait_for_file(Path(tmp, "listen"), tree)
            yield Running(tree, port, stops=server.stops)


def wait_for_file(path, tree):
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if not tree.is_alive() or time.monotonic() > deadline:
            raise StartError(f"does not listen: {stderr_tail(tree.name)}")
        time.sleep(0.02)


def versions():
    """What is compared, for the report."""
    commands = {
        "python": [PYTHON, "--version"], "gunicorn": ["gunicorn", "--version"],
        "uwsgi": ["uwsgi", "--version"], "nginx": ["nginx", "-v"],
        "flask": [PYTHON, "-c", "import flask; print(flask.__version__)"],
        "node": ["node", "--version"],
        "kernel": ["uname", "-r"],
        "commit": ["git", "-C", str(BENCH), "describe", "--always", "--dirty"],
    }
    found = {}
    for name, argv in commands.items():
        with contextlib.suppress(OSError):
            result = subprocess.run(argv, capture_output=True, text=True,
                                    env=os.environ | {"PATH": PATH})
            if result.returncode == 0:
                found[name] = (result.stdout or result.stderr).strip().splitlines()[-1]
    return found
