"""Load on a daemon, functions that do what they are asked for, and a way to find every process that
a daemon has started, wherever it has gone."""
import os
import signal
import threading
import uuid

from . import process
from .http import HANG_SECONDS
from .process import wait_until

# /work?...: what a WSGI function is asked for in its query, in this order.
WORK = """
    import os, subprocess, sys, threading, time
    from urllib.parse import parse_qsl

    VERSION = "1"
    if "MFT_MARK" in os.environ:
        import ctypes
        ctypes.CDLL(None).prctl(15, os.environ["MFT_MARK"][:15].encode(), 0, 0, 0)  # PR_SET_NAME

    def background():
        time.sleep(600)

    def double_fork():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                background()
            os._exit(0)
        os.wait()

    def leave_behind(kind):
        if kind == "daemon":
            double_fork()
        elif kind == "program":
            subprocess.Popen(["sleep", "600"])
        elif kind == "quiet program":
            subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
        elif kind == "tree":
            for _ in range(5):
                double_fork()
                subprocess.Popen(["sh", "-c", "trap '' TERM HUP INT; sleep 600 & sleep 600 & wait"])
        elif kind == "thread":
            threading.Thread(target=background).start()
        elif kind == "daemon thread":
            threading.Thread(target=background, daemon=True).start()

    def app(environ, start_response):
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        if "leave" in query:
            leave_behind(query["leave"])
        if "say" in query:
            print(query["say"], flush=True)
        if "sleep" in query:
            time.sleep(float(query["sleep"]))
        if "exit" in query:
            os._exit(int(query["exit"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{VERSION} {os.getpid()}".encode()]
"""


def work_project(**functions):
    """A project of functions by name, each with WORK as its code and a route of its own."""
    return {"work.py": WORK,
            "mayfly.json": {"functions": {
                name: {"handler": "work.app", "runtime": "python", "routes": [f"/{name}"], **settings}
                for name, settings in functions.items()}}}


class Call(threading.Thread):
    """One request in the background."""

    def __init__(self, daemon, target, **more):
        super().__init__(daemon=True)
        self.daemon_asked, self.target, self.more = daemon, target, more
        self.response = self.error = None
        self.start()

    def run(self):
        try:
            self.response = self.daemon_asked.get(self.target, **self.more)
        except (OSError, EOFError) as error:
            self.error = error

    def result(self, seconds=HANG_SECONDS):
        """The response, or the error that broke the connection."""
        self.join(seconds)
        assert not self.is_alive(), f"{self.target} hangs"
        return self.response or self.error


class Load:
    """Clients that ask without a pause, by keep-alive connections, until stop()."""

    def __init__(self, daemon, *targets, clients=3):
        self.daemon = daemon
        self.stopping = threading.Event()
        self.n_ok = 0
        self.bad = []  # (target, what came instead of a 200)
        self.bodies = []  # per client, in order
        self.threads = []
        for i in range(clients):
            bodies = []
            self.bodies.append(bodies)
            self.threads.append(threading.Thread(target=self._run, daemon=True,
                                                 args=(targets[i % len(targets)], bodies)))
        for thread in self.threads:
            thread.start()

    def _run(self, target, bodies):
        connection = None
        while not self.stopping.is_set() and process.is_alive(self.daemon.pid):
            try:
                connection = connection or self.daemon.connect()
                response = connection.request("GET", target)
                if response.status == 200:
                    self.n_ok += 1
                    bodies.append(response.text)
                else:
                    self.bad.append((target, response))
                if response.headers.get("connection") == "close":
                    connection = connection.close()
            except (OSError, EOFError) as error:
                self.bad.append((target, error.with_traceback(None)))
                connection = connection and connection.close()
        if connection:
            connection.close()

    def wait_more(self, n=30, seconds=HANG_SECONDS):
        """Until n more requests have been answered."""
        aim = self.n_ok + n
        wait_until(lambda: self.n_ok >= aim, f"{n} more answers: {self.bad[-3:]}", seconds)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(HANG_SECONDS)
            assert not thread.is_alive(), "a request hangs"
        return self.bad


# ---- processes ----

class Mark:
    """A word in the environment of a daemon and of its functions, by which all their processes are
    found: `mayfly(project, *mark.arguments, env=mark.env)`. Processes that nobody of the same user
    may look into carry it as their name."""

    def __init__(self, **env):
        self.word = f"mft-{uuid.uuid4()}"
        self.env = {"MFT_MARK": self.word, **env}
        self.arguments = ["--env", f"MFT_MARK={self.word}"]

    def find(self):
        """{pid: name} of all that carry the mark and are alive."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            stat = process.stat(int(entry))
            marked = stat is not None and stat[2] == self.word[:15]
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    marked = marked or self.word.encode() in file.read()
            except OSError:
                pass
            if marked and stat and stat[1] not in "ZX":
                found[int(entry)] = stat[2]
        return found

    def strays(self, daemon):
        """Those that the daemon does not know of."""
        found = self.find()
        known = {p["pid"] for p in daemon.ps()["processes"]} | {daemon.pid, *programs(daemon).values()}
        return {pid: name for pid, name in found.items() if pid not in known}

    def wait_no_strays(self, daemon):
        wait_until(lambda: not self.strays(daemon), f"nothing is left of a request: {daemon.log}")


def programs(daemon):
    """{"gateway": pid, "control": pid} as they run now."""
    return {name.removeprefix("mayfly-"): pid for pid, name in daemon.tree().items()
            if name in ("mayfly-gateway", "mayfly-control") and (process.stat(pid) or (0,))[0] == daemon.pid}


def processes(daemon, kind=None, function=None):
    """Those of `ps`."""
    return [p for p in daemon.ps()["processes"]
            if (kind is None or p["kind"] == kind) and (function is None or p["function"] == function)]


def zygote_pid(daemon, function):
    found = [p["pid"] for p in processes(daemon, "zygote", function) if p["state"] == "warm"]
    return found[0] if found else None


def busy_pids(daemon, function, n=1):
    """The pids of n workers at work, as soon as there are as many."""
    def find():
        found = [p["pid"] for p in processes(daemon, "worker", function) if p["state"] == "busy" and p["pid"]]
        return found if len(found) >= n else None

    return wait_until(find, f"{n} workers of {function}")


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def status_fields(pid, *names):
    """Numbers of /proc/PID/status."""
    fields = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, value = line.split(":", 1)
            if name in names:
                fields[name] = int(value.split()[0])
    return fields


def count_fds(pid):
    """0 for a process that keeps secrets, which nobody but root may look into."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


# Profiles: PID namespaces where the machine gives them, and none.
PROFILES = [{}, {"MAYFLY_SANDBOX": "degraded"}]
PROFILE_IDS = ["namespaces", "degraded"]
