"""The clients of Lambda's Runtime API that others have written, each with both isolations. What their
functions do is the same in each language: provided/clients."""
import dataclasses
import json
import shutil

import pytest

from lib import clients, pypi

PYTHON = shutil.which("python3", path="/usr/bin") or "python3"


@dataclasses.dataclass
class Client:
    name: str
    error: str  # the type of the error that the function ends with
    panic: str  # and what is said of one that breaks down
    prepare: object  # (folder of the project) -> what mayfly.json says
    streams: bool = True
    stack: str = ""  # what the stack of that error names
    survives: bool = False  # the process goes on after a panic
    breaks: bool = True  # it tells of an error in the middle of a stream

    @property
    def streamer(self):
        return "stream" if self.name == "node" else "f"


def python(path):
    shutil.copytree(pypi.packages("awslambdaric==4.2.2", python=PYTHON), path, dirs_exist_ok=True)
    shutil.copy(clients.SOURCES / "app.py", path)
    return {"handler": "app.handler", "command": [PYTHON, "-m", "awslambdaric", "app.handler"]}


def node(path, handler="app.handler"):
    program, client = clients.node()
    shutil.copytree(client, path / "node_modules/aws-lambda-ric", dirs_exist_ok=True)
    shutil.copy(clients.SOURCES / "app.js", path)
    return {"handler": handler, "command": [program, "node_modules/aws-lambda-ric/bin/index.mjs", handler]}


def binary(build):
    def prepare(path):
        shutil.copy(build(), path / "bootstrap")
        return {"handler": "bootstrap"}
    return prepare


CLIENTS = [
    Client("python", "ValueError", "Runtime exited with error: exit status 3", python, streams=False, stack="app.py"),
    Client("node", "TypeError", "in a timer", node, stack="app.js"),
    Client("go", "errorString", "a panic", binary(clients.go)),
    Client("rust", "&alloc::boxed::Box<dyn core::error::Error + core::marker::Send + core::marker::Sync>",
           "Lambda panicked: a panic", binary(clients.rust), survives=True, breaks=False),
]


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request):
    return request.param


@pytest.fixture
def daemon(mayfly, client):
    """Functions f of isolation request and i of isolation instance; with node another pair that streams."""
    def prepare(path):
        said = {"f": client.prepare(path)}
        if client.name == "node":
            said["stream"] = node(path, "app.stream")
        table = {}
        for name, function in said.items():
            for isolation in ("request", "instance"):
                table[f"{name}-{isolation}"] = {"runtime": "provided", "isolation": isolation, "timeout": 60,
                                                "memory": 512, "routes": [f"/{isolation}/{name}/*"], **function}
        (path / "mayfly.json").write_text(json.dumps({"functions": table}))

    return mayfly({}, prepare=prepare)


@pytest.fixture(params=["request", "instance"])
def isolation(request):
    return request.param


def why(daemon, response):
    return json.loads(daemon.record(response)["stack"])


def counts(daemon, isolation):
    return [int(daemon.get(f"/{isolation}/f/count").text) for _ in range(3)]


def test_each_request_or_each_instance_has_its_process(daemon, isolation):
    assert counts(daemon, isolation) == ([1, 1, 1] if isolation == "request" else [1, 2, 3])


def test_bodies_headers_and_cookies_reach_it_and_come_back(daemon, isolation):
    for body, kind in ((b"\xff\0\x80", "application/octet-stream"), ("grüß".encode(), "text/plain; charset=utf-8"),
                       (bytes(range(256)) * 4096, "application/octet-stream")):
        answer = daemon.request("POST", f"/{isolation}/f/echo", body, {"Content-Type": kind})
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["x-function"] == f"f-{isolation}"
        assert answer.headers["set-cookie"] == "d=2"  # the last of both


def test_an_error_has_its_type_and_message_and_the_next_request_is_served(client, daemon, isolation):
    response = daemon.get(f"/{isolation}/f/error")
    error = why(daemon, response)
    assert response.status == 500
    assert (error["errorType"], error["errorMessage"]) == (client.error, "broken")
    assert client.stack in json.dumps(error["stackTrace"]) if client.stack else True
    assert counts(daemon, isolation) == ([1, 1, 1] if isolation == "request" else [2, 3, 4])


def test_one_that_breaks_down_is_told_of_and_the_next_request_is_served(client, daemon, isolation):
    response = daemon.get(f"/{isolation}/f/panic")
    assert response.status >= 500
    assert client.panic in why(daemon, response)["errorMessage"]
    goes_on = client.survives and isolation == "instance"
    assert int(daemon.get(f"/{isolation}/f/count").text) == (2 if goes_on else 1)


@pytest.mark.parametrize("client", [c for c in CLIENTS if c.streams], ids=lambda client: client.name)
def test_a_stream_arrives_with_its_prelude(client, daemon, isolation):
    for _ in range(2):
        response = daemon.get(f"/{isolation}/{client.streamer}/stream")
        assert (response.status, response.text) == (202, "one two")
        assert response.headers["x-a"] == "b" and response.headers["set-cookie"] == "d=2"


# The one for Rust writes such an error into the stream's body, where nobody can tell it from the rest.
@pytest.mark.parametrize("client", [c for c in CLIENTS if c.streams and c.breaks], ids=lambda client: client.name)
def test_a_stream_that_breaks_does_not_pass_for_complete(client, daemon, isolation):
    try:
        response = daemon.get(f"/{isolation}/{client.streamer}/late")
    except (EOFError, ConnectionError):  # broken off in the middle
        pass
    else:
        assert response.status >= 500
    assert daemon.get(f"/{isolation}/{client.streamer}/stream").text == "one two"
