"""A real daemon on a project in a temporary folder."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time

from . import process
from .http import HANG_SECONDS, Connection
from .process import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("MAYFLY_BUILD") or ROOT / "build").resolve()
MAYFLY = BUILD / "mayfly"
SANITIZED = bool(os.environ.get("MAYFLY_SANITIZED"))
# Sanitizers and a busy machine take their time; only a hang should fail.
START_SECONDS = 120 if SANITIZED else 60


def sanitizer_environment():
    """What an interpreter needs that was not built with sanitizers, to load a module that was."""
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    environment = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
    return {"LD_PRELOAD": library.stdout.strip(), **environment}


def write_project(folder, files):
    """files: {path: text, or (text, mode)}; texts may be indented as the test is."""
    for name, text in files.items():
        mode = None
        if isinstance(text, tuple):
            text, mode = text
        if isinstance(text, dict):
            text = json.dumps(text, indent=2)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: who loads it in between would find half a file.
        half = path.with_name(path.name + "~")
        half.write_text(textwrap.dedent(text).lstrip("\n"))
        if mode is not None:
            half.chmod(mode)
        elif path.exists():
            half.chmod(path.stat().st_mode & 0o7777)
        half.replace(path)


class Daemon:
    """Runs until stop(). `project` is a folder, or a dict of files for one."""

    def __init__(self, project, *arguments, command="serve", env=None, wait=True,
                 allow_degraded=None, prepare=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mft."))
        self.state = self.folder / "state"
        self.project = self.folder / "project"
        if isinstance(project, dict):
            self.project.mkdir()
            write_project(self.project, project)
            if prepare:
                prepare(self.project)
        else:
            self.project = pathlib.Path(project)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.folder), "TMPDIR": str(self.folder),
                    **(env or {})}
        self.env.pop("MAYFLY_STATE", None)
        arguments = [str(a) for a in arguments]
        if "--state" in arguments:
            self.state = pathlib.Path(arguments[arguments.index("--state") + 1])
        elif command == "serve":
            arguments += ["--state", str(self.state)]
        if command == "serve":
            if allow_degraded is None:  # who asks for less means it
                allow_degraded = bool(self.env.get("MAYFLY_SANDBOX") or self.env.get("MAYFLY_CGROUPS"))
            if allow_degraded:
                arguments += ["--allow-degraded"]
        if "--listen" not in arguments:
            arguments += ["--listen", "127.0.0.1:0"]
        if "--admin-listen" not in arguments:  # who wants one says so: there is only one 8081
            arguments += ["--admin-listen", "off"]
        if SANITIZED:
            for name, value in sanitizer_environment().items():
                arguments += ["--env", f"{name}={value}"]
        self.stale = self._said()  # by a daemon before it that was killed
        self.started = time.monotonic()
        self.out = open(self.folder / "stdout", "w+b")
        self.err = open(self.folder / "stderr", "w+b")
        self.process = subprocess.Popen(
            [MAYFLY, command, self.project, *arguments], stdin=subprocess.DEVNULL, stdout=self.out,
            stderr=self.err, env=self.env, preexec_fn=process.die_with_parent)
        self.pid = self.process.pid
        self.address = None
        if wait:
            self.wait_ready()

    # ---- its life ----

    def _said(self):
        try:
            said = (self.state / "listen").stat()
        except OSError:
            return None
        return said.st_ino, said.st_mtime_ns

    def _bound(self):
        assert self.process.poll() is None, f"the daemon ended:\n{self.log}"
        if not self.state.is_dir():  # `mayfly dev` makes a folder of its own, and a note of it
            note = self.folder / "mayfly" / str(self.pid)
            if note.exists() and note.read_text():
                self.state = pathlib.Path(note.read_text())
        try:
            if self._said() == self.stale:
                return None
            text = (self.state / "listen").read_text()
        except OSError:
            return None
        return text.strip() if text.endswith("\n") else None

    def wait_ready(self):
        try:
            text = wait_until(self._bound, "the daemon listens", START_SECONDS)
        except AssertionError as error:
            log = self.log
            self.stop(signal.SIGKILL)
            raise AssertionError(f"{error}\n{log}") from None
        host, port = text.rsplit(":", 1)
        self.address = host.strip("[]"), int(port)
        self.admin = None  # of the admin listener, which only those have that were started with one
        if (self.state / "admin").exists():
            host, port = (self.state / "admin").read_text().strip().rsplit(":", 1)
            self.admin = host.strip("[]"), int(port)

    @property
    def url(self):
        return "http://%s:%d" % self.address

    def stop(self, how=signal.SIGTERM, seconds=HANG_SECONDS):
        """Ends it and returns its exit code. Fails if it does not end, or leaves something running."""
        below = process.tree(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._end_leftovers(below)
            raise AssertionError(f"not gone {seconds} s after signal {how}:\n{self.log}") from None
        # Whoever dies with a killed parent does so a moment later.
        try:
            wait_until(lambda: not self._leftovers(below), seconds=5)
        except AssertionError:
            left = self._leftovers(below)
            self._end_leftovers(left)
            raise AssertionError(f"still running: {left}\n{self.log}") from None
        return code

    def _leftovers(self, below):
        left = {pid: name for pid, name in below.items() if process.is_alive(pid)}
        for pid in set(below) - set(left):
            process.reap(pid)
        return left

    def _end_leftovers(self, below):
        for pid in below:
            process.end(pid)

    def remove(self):
        self.out.close()
        self.err.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- asking it ----

    def connect(self, timeout=HANG_SECONDS):
        return Connection(self.address, timeout)

    def request(self, method, target, body=None, headers=None, timeout=HANG_SECONDS):
        with self.connect(timeout) as connection:
            return connection.request(method, target, body, headers)

    def get(self, target, headers=None, **more):
        return self.request("GET", target, None, headers, **more)

    def post(self, target, body=b"", headers=None, **more):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json", **(headers or {})}
        return self.request("POST", target, body, headers, **more)

    def raw(self, data, timeout=HANG_SECONDS):
        """Sends bytes and returns everything until the server closes."""
        with self.connect(timeout) as connection:
            connection.send(data)
            return connection.rest()

    def cli(self, *arguments, input=None, code=0, env=None):
        """Runs `mayfly ARGUMENTS` against this daemon; checks the exit code unless it is None."""
        done = run_cli(*arguments, input=input, env={**self.env, **(env or {})})
        assert code is None or done.returncode == code, f"exit {done.returncode}: {done}\n{self.log}"
        return done

    # ---- looking at it ----

    @property
    def log(self):
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def stdout(self):
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def records(self):
        """The records so far, which `mayfly serve` prints as lines of JSON."""
        records = []
        for line in self.stdout.splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                record = json.loads(line)
                if "outcome" in record:
                    records.append(record)
        return records

    def record(self, response):
        """The record of a response's request."""
        wanted = response if isinstance(response, str) else response.request_id
        assert wanted, f"no Mayfly-Request-Id: {response}"
        return wait_until(lambda: next((r for r in self.records if r["request_id"] == wanted), None),
                          f"a record of {wanted}")

    def api(self, method, target, body=None, headers=None):
        """A request to the admin API, by the unix socket."""
        with Connection(str(self.state / "mayfly.sock")) as connection:
            return connection.request(method, target, body, headers)

    def ask(self, target, method="GET", body=None, headers=None):
        """The same with JSON; mostly to read something."""
        return self.api(method, target, json.dumps(body) if isinstance(body, (dict, list)) else body, headers)

    def stored(self, response):
        """The record of a response's request, once it is in the store."""
        wanted = response if isinstance(response, str) else response.request_id

        def look():
            answer = self.ask("/api/v1/records?limit=1&request=" + wanted)
            return answer.status == 200 and next(iter(answer.json()["records"]), None)
        return wait_until(look, f"the store has the record of {wanted}")

    def ps(self):
        with Connection(str(self.state / "mayfly.sock")) as connection:
            return connection.request("GET", "/api/v1/ps").json()

    def tree(self):
        return process.tree(self.pid)


def run_cli(*arguments, input=None, env=None, cwd=None, seconds=HANG_SECONDS * 2):
    if env is not None:  # what steers the sanitizers holds in any environment
        env = {**{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **env}
    stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    return subprocess.run([MAYFLY, *map(str, arguments)], env=env, cwd=cwd, text=True,
                          capture_output=True, timeout=seconds, check=False, **stdin)
