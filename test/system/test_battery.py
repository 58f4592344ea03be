"""The battery (test/battery): forbidden acts, tried by a function inside the sandbox. All must be
denied there, other functions must notice nothing, and the next request must find nothing. The same
acts by a program outside show that they are possible at all."""
import copy
import errno
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from lib.daemon import ROOT
from lib.process import wait_until
from lib.workload import zygote_pid

BATTERY = ROOT / "test/battery"
ACTS_LEAST = 80

# Who is asked for what: by default the best that this user can have.
PROFILES = [pytest.param({}, id="default")]
if os.geteuid() == 0:
    PROFILES.append(pytest.param({"MAYFLY_SANDBOX": "user"}, id="user"))

NEIGHBOUR = """
    #include <mayfly.h>
    #include <stdlib.h>
    #include <string.h>
    static char secret[64];
    int mayfly_init(void) { strncpy(secret, getenv("SECRET"), sizeof(secret) - 1); return 0; }
    int handler(mayfly_request *q, mayfly_response *p)
    {
        return mayfly_printf(p, "%d %s %s", (int)strlen(secret), secret, getenv("SECRET"));
    }
"""
PROJECT = {
    "mayfly.json": {"functions": {
        "battery": {"handler": "battery/battery.handler", "runtime": "native", "timeout": 120, "init_timeout": 120,
                    "queue_timeout": 120, "routes": ["/battery"]},
        "neighbour": {"handler": "neighbour/neighbour.handler", "runtime": "native", "routes": ["/neighbour"],
                      "env": {"SECRET": "a-secret-of-its-own"}}}},
    "neighbour/neighbour.c": NEIGHBOUR,
}
NEIGHBOUR_SAYS = "19 a-secret-of-its-own a-secret-of-its-own"


# What code can do while it is loaded, in the zygote, which makes workers: processes and mounts in
# namespaces of its own, ids of its own range; it knows its channels, and is believed nothing on them.
BY_THE_ZYGOTE = {"clone-processes", "clone-mounts", "mount-tmpfs", "mount-devpts", "kill-all",
                 "other-descriptors", "talk-on-channels"}
BY_THE_ZYGOTE_OF = {
    "root": {"setuid", "setgid", "setgroups", "setfsuid", "capset", "ambient"},
    "user": {"prlimit-others", "schedule-others"},  # init is of the same user
}
# What it finds around it that is no worker of its own: the program that has started it, and the relay of the
# same request, which has no rights that it lacks.
BY_A_PROGRAM = {"read-memory", "read-environment", "read-maps", "read-arguments", "open-files", "open-program",
                "enter-root", "enter-folder", "see-others", "kill-by-number", "kill-by-proc", "kill-all",
                "prlimit-others", "schedule-others"}
PYTHON = shutil.which("python3", path="/usr/bin") or "python3"


def project(**environment):
    sources = {f"battery/{path.name}": path.read_text() for path in BATTERY.iterdir()
               if path.name != "standalone.c"}
    config = copy.deepcopy(PROJECT)
    config["mayfly.json"]["functions"]["battery"]["env"] = environment
    return {**config, **sources}


@pytest.fixture(params=PROFILES)
def start(request, mayfly):
    """start(NAME=value): a daemon with the battery, which has that in its environment."""
    return lambda **environment: start_with(mayfly, request.param, environment)


@pytest.fixture
def daemon(start):
    return start()


def start_with(mayfly, profile, environment):
    return sandboxed(mayfly(project(**environment), env=profile))


def sandboxed(daemon):
    """The daemon; skips the test if it has no sandbox."""
    said = wait_until(lambda: re.search(r"sandbox=(\S+)( missing=(\S+))?", daemon.log), "the log names the sandbox")
    if said[1] == "degraded":
        pytest.skip("no namespaces for this user: there is no sandbox to be tested")
    daemon.missing = set((said[3] or "").split(",")) - {""}
    daemon.profile = said[1]
    return daemon


@pytest.fixture
def abstract_socket():
    """Somebody outside who listens; yields the name."""
    name = f"battery-outside-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen(8)
        yield name


class Neighbour(threading.Thread):
    """Asks another function all the time, until told to stop."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon_, self.stopped = daemon, threading.Event()
        self.n, self.wrong = 0, []

    def run(self):
        while not self.stopped.is_set():
            answer = self.daemon_.get("/neighbour")
            self.n += 1
            if (answer.status, answer.text) != (200, NEIGHBOUR_SAYS):
                self.wrong.append((answer.status, answer.text))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


def named(word):
    """Processes of the whole machine that carry the word as their name."""
    found = []
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().startswith(word):
                found.append(int(comm.parent.name))
        except OSError:
            pass
    return found


def everything_is_denied(acts, *, but=frozenset()):
    denied = [act for act in acts if act["wanted"] == "denied"]
    ordinary = [act for act in acts if act["wanted"] == "allowed"]
    assert len(denied) >= ACTS_LEAST and len(ordinary) >= 10
    print(f"{sum(act['forbidden'] for act in denied)} of {len(denied)} forbidden acts were denied")
    assert [(act["name"], act["got"]) for act in denied if not act["forbidden"] and act["name"] not in but] == []
    assert [(act["name"], act["got"]) for act in ordinary if act["forbidden"]] == []


@pytest.mark.core
def test_no_forbidden_act_succeeds_and_the_neighbour_notices_nothing(daemon, abstract_socket):
    secret = daemon.project / "neighbour/neighbour.c"
    assert daemon.get("/neighbour").text == NEIGHBOUR_SAYS
    before = zygote_pid(daemon, "neighbour")
    with Neighbour(daemon) as neighbour:
        answer = daemon.get(f"/battery?secret={secret}&socket={daemon.state / 'mayfly.sock'}"
                            f"&abstract={abstract_socket}")
    assert answer.status == 200, answer.text
    everything_is_denied(json.loads(answer.text))
    assert neighbour.wrong == [] and neighbour.n > 0
    assert zygote_pid(daemon, "neighbour") == before


def test_while_it_is_loaded_code_has_the_rights_of_a_zygote_and_no_others(start, abstract_socket):
    daemon = start(BATTERY="load", ABSTRACT_SOCKET=abstract_socket)
    answer = daemon.get("/battery?loading=1")
    assert answer.status == 200, answer.text
    acts = [act for act in json.loads(answer.text) if act["wanted"] == "denied"]
    assert len(acts) >= ACTS_LEAST
    done = {act["name"] for act in acts if not act["forbidden"]}
    assert done - BY_THE_ZYGOTE - BY_THE_ZYGOTE_OF[daemon.profile] == set()
    # And what it has done to its mounts is not what workers see.
    everything_is_denied(json.loads(daemon.get("/battery").text))


@pytest.mark.core
def test_the_next_request_finds_nothing_of_what_was_planted(daemon):
    words = [f"plant{i}x{os.getpid() % 10000}" for i in range(5)]
    for word in words:
        planted = daemon.get(f"/battery?plant={word}")
        assert planted.status == 200 and int(planted.text) >= 4, planted.text  # two daemons, a thread, a file
        found = daemon.get(f"/battery?look={word}")
        assert (found.status, found.text) == (200, "[]")
        wait_until(lambda: named(word) == [], "the daemons that it started are gone", 10)


def test_a_parallel_request_finds_nothing_of_what_is_planted(daemon):
    word = f"plantp{os.getpid() % 10000}"
    with daemon.connect() as planting:
        planting.send(f"GET /battery?stay={word} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wait_until(lambda: len(named(word)) >= 2, "it has planted", 30)
        found = daemon.get(f"/battery?look={word}")
        assert (found.status, found.text) == (200, "[]")
    wait_until(lambda: named(word) == [], "what it started ends with the client", 10)


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    program = tmp_path_factory.mktemp("battery") / "standalone"
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-o", program, BATTERY / "standalone.c"], check=True)
    return program


LINKING = """
    import glob, os

    def handler(event, context):
        target = event["queryStringParameters"]["target"]
        for name in glob.glob("/run/mayfly/path*/sub"):
            if os.path.islink(name):
                continue
            os.rename(name, name + "-before")
            os.symlink("/host" + target, name)
        return {"statusCode": 200, "body": " ".join(glob.glob("/run/mayfly/path*/secret"))}
"""


@pytest.mark.core
@pytest.mark.parametrize("profile", PROFILES)
def test_a_link_that_a_function_leaves_where_it_may_write_leads_its_next_zygote_nowhere(mayfly, profile, tmp_path):
    """A place below one that is written to is shown to a function as it is, or not at all."""
    data, secret = tmp_path / "data", tmp_path / "others/secret"
    for folder in (data / "sub", secret.parent):
        folder.mkdir(parents=True)
    for folder in (data, data / "sub"):
        folder.chmod(0o777)
    secret.write_text("of the host")
    tmp_path.chmod(0o755)
    function = {"handler": "f.handler", "routes": ["/f"], "writes": [str(data)], "reads": [str(data / "sub")]}
    daemon = sandboxed(mayfly({"f.py": LINKING, "mayfly.json": {"functions": {"f": function}}}, env=profile))
    first = daemon.get(f"/f?target={secret.parent}")
    assert (first.status, first.text) == (200, "")
    assert (data / "sub").is_symlink()
    os.kill(zygote_pid(daemon, "f"), signal.SIGKILL)

    def says_why():
        answer = daemon.get(f"/f?target={secret.parent}")
        assert "secret" not in answer.text
        return os.strerror(errno.ELOOP) in json.dumps(daemon.record(answer))

    wait_until(says_why, "the next zygote is not started, for the link")


# A program of the author's own behind mayfly's relay, which starts the battery for each request.
BOOTSTRAP = """
    import json, os, subprocess, urllib.request
    API = "http://%s/2018-06-01/runtime/invocation/" % os.environ["AWS_LAMBDA_RUNTIME_API"]
    while True:
        with urllib.request.urlopen(API + "next") as asked:
            id, event = asked.headers["Lambda-Runtime-Aws-Request-Id"], json.load(asked)
        told = {**os.environ, **event["queryStringParameters"]}
        body = subprocess.run(["./standalone"], env=told, stdout=subprocess.PIPE, text=True).stdout
        urllib.request.urlopen(API + id + "/response", json.dumps({"statusCode": 200, "body": body}).encode()).close()
"""
SERVER = """
    import http.server, os, subprocess, urllib.parse
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            told = {**os.environ, **dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))}
            body = subprocess.run(["./standalone"], env=told, stdout=subprocess.PIPE).stdout
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
OWN = {
    "provided-request": {"runtime": "provided", "command": [PYTHON, "bootstrap.py"]},
    "provided-instance": {"runtime": "provided", "command": [PYTHON, "bootstrap.py"], "isolation": "instance"},
    "web": {"runtime": "web", "command": [PYTHON, "server.py"], "readiness": "tcp"},
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("profile", PROFILES)
def test_no_forbidden_act_succeeds_in_a_program_of_ones_own(mayfly, kind, profile, standalone, abstract_socket):
    files = copy.deepcopy(PROJECT)
    files["mayfly.json"]["functions"]["battery"] = {**OWN[kind], "timeout": 120, "routes": ["/battery"],
                                                     "env": {"BATTERY": "inside"}}
    files.update({"bootstrap.py": BOOTSTRAP, "server.py": SERVER})
    daemon = sandboxed(mayfly(files, env=profile, prepare=lambda path: shutil.copy(standalone, path)))
    secret = daemon.project / "neighbour/neighbour.c"
    with Neighbour(daemon) as neighbour:
        answer = daemon.get(f"/battery?SECRET={secret}&MAYFLY_SOCKET={daemon.state / 'mayfly.sock'}"
                            f"&ABSTRACT_SOCKET={abstract_socket}", timeout=120)
    assert answer.status == 200, answer.text
    everything_is_denied(json.loads(answer.text), but=BY_A_PROGRAM)
    assert neighbour.wrong == [] and neighbour.n > 0


def test_outside_the_sandbox_most_acts_are_possible(standalone, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a plain user may do few of them anywhere")
    done = subprocess.run([standalone], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    acts = [act for act in json.loads(done.stdout) if act["wanted"] == "denied"]
    possible = [act["name"] for act in acts if not act["forbidden"]]
    print(f"{len(possible)} of {len(acts)} forbidden acts are possible outside")
    assert len(possible) >= len(acts) / 2
    assert list(tmp_path.iterdir()) == []  # and it cleans up
