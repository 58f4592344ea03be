"""Recorded requests: what is kept of them, carried out again, compared, and debugged."""
import json
import os
import pty
import select
import shutil
import socket
import threading
import time

import pytest

from lib import process
from lib.daemon import MAYFLY, SANITIZED, write_project
from lib.http import Connection
from lib.process import wait_until

PRICE = """
    import json, os

    def handler(event, context):
        items = json.loads(event.get("body") or "{}")
        total = items.get("n", 0) * PRICE
        return {"statusCode": 200, "headers": {"X-Price": str(PRICE), "Set-Cookie": "session=abc"},
                "body": json.dumps({"total": total, "path": event["rawPath"], "ip": event["requestContext"]["http"]["sourceIp"],
                                    "token": "s3cret-in-the-answer", "trigger": os.environ.get("X", "")})}
"""


def project(price=2, **function):
    return {"price.py": PRICE.replace("PRICE", str(price)),
            "mayfly.json": {"functions": {"price": {"handler": "price.handler", "routes": ["/price/*", "/price"],
                                                    "recording": 1024, **function}}}}


def recorded(daemon, request_id):
    """The recording, as soon as it is there."""
    target = f"/api/v1/records/{request_id}/recording"
    wait_until(lambda: daemon.api("GET", target).status == 200, "the request is recorded")
    return daemon.api("GET", target).json()


def replay(daemon, request_id, **body):
    recorded(daemon, request_id)
    wait_until(lambda: daemon.api("GET", f"/api/v1/records/{request_id}").status == 200, "the record is there")
    return daemon.api("POST", f"/api/v1/records/{request_id}/replay", json.dumps(body) if body else None)


def post(daemon, path="/price", body='{"n": 3}', **headers):
    answer = daemon.request("POST", path, body, {"Content-Type": "application/json", **headers})
    assert answer.status == 200, answer.text
    return answer


@pytest.mark.core
def test_the_same_request_has_the_same_answer_in_a_new_process(mayfly):
    daemon = mayfly(project())
    first = post(daemon, "/price/%C3%A4?a=1&a=2")
    answer = replay(daemon, first.request_id)
    assert answer.status == 200, answer.text
    told = answer.json()
    assert told["same"] and told["differences"] == [] and told["original"]["request_id"] == first.request_id
    again = told["again"]["request_id"]
    assert again != first.request_id
    wait_until(lambda: daemon.api("GET", f"/api/v1/records/{again}").status == 200, "its record")
    before, after = (daemon.api("GET", f"/api/v1/records/{i}").json() for i in (first.request_id, again))
    assert (before["trigger"], after["trigger"]) == ("http", "replay") and before["pid"] != after["pid"]
    assert before["path"] == after["path"] and before["method"] == after["method"] == "POST"


@pytest.mark.core
def test_what_another_version_answers_is_shown_place_by_place(mayfly):
    daemon = mayfly(project(2), command="dev")
    first = post(daemon)
    old = recorded(daemon, first.request_id)["answer"]["version"]
    write_project(daemon.project, {"price.py": PRICE.replace("PRICE", "5")})
    wait_until(lambda: post(daemon).json()["total"] == 15, "the new version serves")
    told = replay(daemon, first.request_id).json()
    assert not told["same"] and told["original"]["version"] == old != told["again"]["version"]
    rows = {row["where"]: (row["before"], row["after"]) for row in told["differences"]}
    assert rows == {"header X-Price": ("2", "5"), "body.total": ("6", "15")}
    refused = replay(daemon, first.request_id, version=old)
    assert refused.status == 409 and old in refused.text
    cli = daemon.cli("replay", first.request_id, code=1)
    assert "body.total" in cli.stdout and "before  6" in cli.stdout and "after   15" in cli.stdout


@pytest.mark.core
def test_an_invocation_is_replayed_as_one(mayfly):
    daemon = mayfly({"e.py": "def handler(event, context):\n    return event\n", "mayfly.json": {"functions": {
        "e": {"handler": "e.handler", "recording": 4096}}}})
    done = daemon.cli("invoke", "e", "-d", '{"a": [1, 2]}')
    assert json.loads(done.stdout) == {"a": [1, 2]}
    wait_until(lambda: daemon.cli("records", "--json").stdout.strip(), "the record")
    cli = daemon.cli("replay", "last", "--json")
    assert cli.returncode == 0, cli.stderr
    told = json.loads(cli.stdout)
    assert told["same"] and json.loads(told["again"]["body"]) == {"a": [1, 2]}


@pytest.mark.core
def test_what_is_secret_is_not_kept(mayfly):
    daemon = mayfly(project(redact=["x-mine", "pin"]))
    first = post(daemon, "/price?access_token=hush-1&a=2", '{"n": 3, "pin": "hush-2", "deep": [{"Password": "hush-3"}]}',
                 Authorization="Bearer hush-4", Cookie="session=hush-5", **{"X-Mine": "hush-6", "X-Other": "kept"})
    told = recorded(daemon, first.request_id)
    text = json.dumps(told)
    assert "hush" not in text and "s3cret-in-the-answer" not in text and "session=abc" not in text
    assert told["redacted"] and text.count("[redacted]") == 8
    assert ["X-Other", "kept"] in told["request"]["headers"] and "a=2" in told["request"]["target"]
    database = b"".join(path.read_bytes() for path in daemon.state.iterdir() if path.name.startswith("mayfly.db"))
    assert b"hush" not in database and b"s3cret-in-the-answer" not in database
    told = replay(daemon, first.request_id)
    assert told.json()["same"], "what was redacted is not compared"
    assert "s3cret-in-the-answer" not in told.text and "session=abc" not in told.text, "nor shown"


@pytest.mark.core
@pytest.mark.parametrize("kind, body", [
    ("application/json", '{"password": "hush", '), ("text/json", '{"password": "hush"} and more'),
    ("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhush\r\n--x--')])
def test_a_body_that_cannot_be_read_in_full_is_left_out_if_it_may_hold_a_secret(mayfly, kind, body):
    daemon = mayfly({"f.py": "def app(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n", "mayfly.json": {
        "functions": {"f": {"handler": "f.app", "routes": ["/f"], "recording": 1024}}}})
    first = daemon.request("POST", "/f", body, {"Content-Type": kind})
    told = recorded(daemon, first.request_id)
    assert "hush" not in json.dumps(told) and "left out" in told["request"]["body"]


@pytest.mark.core
def test_an_answer_that_was_left_out_or_tells_a_secret_is_the_same_again(mayfly):
    import test_secrets
    daemon = test_secrets.start(mayfly, {
        "f.py": "import os\n\ndef app(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n"
                "    return [b'{\"token\": ' if environ['PATH_INFO'] == '/f' else os.environ['PW'].encode()]\n",
        "mayfly.json": {"functions": {"f": {"handler": "f.app", "routes": ["/f", "/g"], "recording": 1024,
                                            "env": {"PW": "${secret:PW}"}}}}}, {"PW": "hush-hush-hush"})
    for path in ("/f", "/g"):
        first = daemon.get(path)
        told = replay(daemon, first.request_id)
        assert told.json()["same"] and "hush-hush-hush" not in told.text, told.text


@pytest.mark.core
def test_a_form_loses_its_password_only(mayfly):
    daemon = mayfly({"f.py": "def app(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n", "mayfly.json": {
        "functions": {"f": {"handler": "f.app", "routes": ["/f"], "recording": 1024}}}})
    first = daemon.request("POST", "/f", "user=me&password=hush&flag&empty=", {"Content-Type": "application/x-www-form-urlencoded"})
    assert recorded(daemon, first.request_id)["request"]["body"] == "user=me&password=[redacted]&flag&empty="


@pytest.mark.core
def test_a_request_that_was_cut_is_shown_but_not_sent_again(mayfly):
    daemon = mayfly(project())
    first = post(daemon, body=json.dumps({"n": 1, "filling": "x" * 2000}))
    told = recorded(daemon, first.request_id)
    assert told["request"]["cut"] and len(told["request"]["body"]) == 1024
    answer = replay(daemon, first.request_id)
    assert answer.status == 409 and "recording" in answer.json()["errorMessage"]


@pytest.mark.core
def test_of_a_long_answer_the_beginning_is_compared(mayfly):
    daemon = mayfly({"l.py": "def app(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'long ' * 1000]\n",
                     "mayfly.json": {"functions": {"l": {"handler": "l.app", "routes": ["/l"], "recording": 1000}}}}, command="dev")
    first = daemon.get("/l")
    told = recorded(daemon, first.request_id)
    assert told["answer"]["cut"] and told["answer"]["body"] == "long " * 200
    assert replay(daemon, first.request_id).json()["same"]
    write_project(daemon.project, {"l.py": "def app(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'wide ' * 1000]\n"})
    wait_until(lambda: daemon.get("/l").text.startswith("wide"), "the new version serves")
    assert [row["where"] for row in replay(daemon, first.request_id).json()["differences"]] == ["body, line 1"]


@pytest.mark.core
def test_nothing_is_recorded_unless_it_is_asked_for(mayfly):
    daemon = mayfly(project(recording=0))
    first = post(daemon)
    wait_until(lambda: daemon.api("GET", f"/api/v1/records/{first.request_id}").status == 200, "the record")
    answer = daemon.api("GET", f"/api/v1/records/{first.request_id}/recording")
    assert answer.status == 404 and "recording" in answer.text
    cli = daemon.cli("replay", first.request_id, code=3)
    assert "recording" in cli.stderr
    assert daemon.api("POST", "/api/v1/records/nonsense/replay").status == 404


WAITS = """
    import socket

    def handler(event, context):
        with socket.create_connection(("127.0.0.1", int(event["queryStringParameters"]["port"]))) as link:
            return link.recv(1).decode()
"""


@pytest.mark.core
def test_a_client_that_leaves_during_a_replay_ends_it(mayfly):
    daemon = mayfly({"w.py": WAITS, "mayfly.json": {"functions": {"w": {
        "handler": "w.handler", "routes": ["/w"], "recording": 1024, "timeout": 600}}}})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        threading.Thread(target=lambda: server.accept()[0].send(b"x")).start()
        first = daemon.get(f"/w?port={server.getsockname()[1]}")
        assert first.json() == "x"
        recorded(daemon, first.request_id)
        with Connection(str(daemon.state / "mayfly.sock")) as client:
            client.send(f"POST /api/v1/records/{first.request_id}/replay HTTP/1.1\r\nHost: x\r\n"
                        "Content-Length: 0\r\n\r\n".encode())
            link = server.accept()[0]
        link.settimeout(60)
        assert link.recv(1) == b"", "its worker is gone"
    wait_until(lambda: daemon.api("GET", "/api/v1/records?outcome=hangup").json()["records"], "a record of that")


class Session:
    """`mayfly replay ID --debug` on a terminal of its own."""

    def __init__(self, daemon, request_id):
        self.shown = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execv(MAYFLY, [str(MAYFLY), "replay", request_id, "--debug", "--state", str(daemon.state)])

    def expect(self, text, since=0):
        end = time.monotonic() + 120
        while text not in self.shown[since:]:
            assert time.monotonic() < end, self.shown
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.fd, 65536).decode("utf-8", "replace")
                except OSError:  # it has ended
                    assert text in self.shown[since:], self.shown
        return self

    def type(self, line, answer):
        mark = len(self.shown)
        os.write(self.fd, (line + "\n").encode())
        return self.expect(answer, mark)

    def end(self):
        def ended():
            try:
                while select.select([self.fd], [], [], 0)[0] and os.read(self.fd, 65536):
                    pass
            except OSError:
                pass
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        try:
            wait_until(ended, "the debugger ends")
        except AssertionError:
            process.end(self.pid)
            raise AssertionError(self.shown) from None
        os.close(self.fd)


IN_PYTHON = {
    "wsgi": ("def app(environ, start):\n    start('200 OK', [])\n    word = 'from-wsgi'\n    return [word.encode()]\n", "m.app"),
    "asgi": ("async def app(scope, receive, send):\n    word = b'from-asgi'\n"
             "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
             "    await send({'type': 'http.response.body', 'body': word})\n", "m.app"),
    "async": ("async def handler(event, context):\n    word = 'from-async'\n    return word\n", "m.handler"),
    "class": ("from http.server import BaseHTTPRequestHandler\n\nclass handler(BaseHTTPRequestHandler):\n    def do_GET(self):\n"
              "        word = b'from-class'\n        self.send_response(200)\n        self.end_headers()\n"
              "        self.wfile.write(word)\n", "m.handler"),
}


@pytest.mark.skipif(SANITIZED, reason="an interpreter that was not built for it is too slow under a sanitizer")
@pytest.mark.parametrize("kind", IN_PYTHON)
def test_pdb_stops_in_code_of_any_kind(mayfly, kind):
    source, handler = IN_PYTHON[kind]
    daemon = mayfly({"m.py": source, "mayfly.json": {"functions": {"m": {
        "handler": handler, "runtime": "python", "routes": ["/m"], "recording": 1024}}}})
    first = daemon.get("/m")
    assert f"from-{kind}" in first.text
    recorded(daemon, first.request_id)
    session = Session(daemon, first.request_id).expect("(Pdb)")
    assert "m.py(" in session.shown and "mayfly_host" not in session.shown
    while "word" not in session.shown[-200:]:
        session.type("n", "(Pdb)")
    session.type("n", "(Pdb)").type("p word", f"from-{kind}").type("c", f"from-{kind}")
    session.end()


@pytest.mark.core
@pytest.mark.skipif(SANITIZED or not shutil.which("node"), reason="there is no node, or a sanitizer is in its way")
def test_node_inspect_stops_at_a_breakpoint_in_the_handler(mayfly):
    daemon = mayfly({"h.js": "exports.handler = async (event) => {\n  const word = event.rawPath + '-seen';\n  return word;\n};\n",
                     "mayfly.json": {"functions": {"h": {"handler": "h.handler", "routes": ["/h"], "recording": 1024}}}})
    first = daemon.get("/h")
    assert first.json() == "/h-seen"
    recorded(daemon, first.request_id)
    session = Session(daemon, first.request_id).expect("debug>")
    session.type("setBreakpoint('h.js', 3)", "debug>").type("c", "word;")
    session.type("exec('word')", "/h-seen").type("c", '"/h-seen"')
    os.write(session.fd, b".exit\n")
    session.end()


@pytest.mark.core
@pytest.mark.skipif(SANITIZED, reason="an interpreter that was not built for it is too slow under a sanitizer")
def test_pdb_stops_at_the_first_line_of_the_handler(mayfly):
    daemon = mayfly(project())
    first = post(daemon, "/price/x")
    recorded(daemon, first.request_id)
    session = Session(daemon, first.request_id).expect("(Pdb)")
    assert "price.py" in session.shown and "mayfly_host" not in session.shown
    session.type("p event['rawPath']", "'/price/x'").type("n", "(Pdb)").type("n", "(Pdb)").type("p total", "6")
    session.type("c", '"total": 6')
    session.end()
    assert process.tree(daemon.pid), "the daemon was not asked"


NATIVE = """
    #include <mayfly.h>

    int handler(mayfly_request *request, mayfly_response *response)
    {
        return mayfly_printf(response, "seven");
    }
"""


@pytest.mark.core
@pytest.mark.skipif(SANITIZED or not shutil.which("gdb"), reason="there is no gdb, or a sanitizer is in its way")
def test_gdb_stops_at_the_handler(mayfly):
    daemon = mayfly({"n.c": NATIVE, "mayfly.json": {"functions": {"n": {
        "handler": "n.handler", "routes": ["/n"], "recording": 1024}}}})
    first = daemon.get("/n")
    assert first.status == 200, first.text
    recorded(daemon, first.request_id)
    session = Session(daemon, first.request_id).expect("Breakpoint 1, handler")
    session.type("bt", "handler").type("continue", "seven")
    os.write(session.fd, b"quit\n")
    session.end()
