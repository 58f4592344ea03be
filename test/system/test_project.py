"""A project as its author sees it: files become routes, requests start clean, changes are noticed."""
import concurrent.futures
import json
import signal
import time

import pytest

from lib.daemon import write_project
from lib.process import wait_until

COUNT = """
    count = 0

    def handler(event, context):
        global count
        count += 1
        return {"statusCode": 200, "body": str(count)}
"""


def says(word):
    return f"def handler(event, context):\n    return {{'statusCode': 200, 'body': {word!r}}}\n"


@pytest.mark.core
def test_every_request_starts_clean_in_a_process_of_its_own(mayfly):
    daemon = mayfly({"api/count.py": COUNT})
    answers = [daemon.get("/api/count") for _ in range(5)]
    assert [a.text for a in answers] == 5 * ["1"]
    records = [daemon.record(a) for a in answers]
    assert len({r["pid"] for r in records}) == 5
    assert [r["cold"] for r in records] == [1, 0, 0, 0, 0]
    assert {r["outcome"] for r in records} == {"ok"}


@pytest.mark.core
def test_isolation_instance_keeps_its_state(mayfly):
    daemon = mayfly({"count.py": COUNT, "mayfly.json": {"functions": {"count": {
        "handler": "count.handler", "runtime": "python", "routes": ["/count"], "isolation": "instance"}}}})
    assert [daemon.get("/count").text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.core
def test_files_are_routes(mayfly):
    show = """
        def handler(event, context):
            return {"statusCode": 200, "body": "%s " + event["rawQueryString"]}
    """
    daemon = mayfly({"api/users.py": show % "users", "api/x/index.py": show % "index",
                     "api/[team]/[id].py": show % "member", "api/_hidden.py": show % "hidden",
                     "api/.dot.py": show % "dot", "api/notes.txt": "no function"})
    for path, text in (("/api/users", "users "), ("/api/users/", "users "), ("/api/users.py", "users "),
                       ("/api/users?a=1", "users a=1"), ("/api/x", "index "), ("/api/x/index", "index "),
                       ("/api/red/7", "member team=red&id=7"), ("/api/red/7?q=1", "member team=red&id=7&q=1")):
        response = daemon.get(path)
        assert (response.status, response.text) == (200, text), path
    for path in ("/api/_hidden", "/api/.dot", "/api/notes.txt", "/api/nosuch", "/", "/api"):
        assert daemon.get(path).status == 404, path


@pytest.mark.core
def test_the_most_specific_route_wins(mayfly):
    routes = {"rest": ["/a/*"], "any": ["/a/[x]"], "exact": ["/a/b"], "post": ["POST /a/b"]}
    functions = {name: {"handler": f"{name}.handler", "runtime": "python", "routes": patterns}
                 for name, patterns in routes.items()}
    daemon = mayfly({**{f"{name}.py": says(name) for name in routes}, "mayfly.json": {"functions": functions}})
    assert [daemon.get(path).text for path in ("/a/b", "/a/c", "/a/c/d")] == ["exact", "any", "rest"]
    assert daemon.post("/a/b").text == "post"


def test_projects_in_a_project(mayfly):
    daemon = mayfly({
        "mayfly.json": {"include": [{"path": "one", "prefix": "/first"}, "two"]},
        "one/mayfly.json": {"routes": {"/count": "builtin:request_counter"}}, "one/api/f.py": says("one"),
        "two/mayfly.json": {"routes": {"/count": "builtin:request_counter"}}, "two/api/f.py": says("two")})
    assert daemon.get("/first/api/f").text == "one"
    assert daemon.get("/api/f").text == "two"
    assert daemon.get("/api/f").text == "two"
    wait_until(lambda: (daemon.get("/first/count").text.strip(), daemon.get("/count").text.strip()) == ("1", "2"),
               "each project counts its own")


@pytest.mark.core
def test_nothing_outlives_a_request(mayfly):
    daemon = mayfly({"api/leave.py": """
        import subprocess

        def handler(event, context):
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            subprocess.Popen(["sh", "-c", "trap '' TERM; (sleep 1000 &) ; sleep 1000"])
            return {"statusCode": 200, "body": "left three behind"}
    """})
    assert daemon.get("/api/leave").status == 200
    wait_until(lambda: not [name for name in daemon.tree().values() if name in ("sleep", "sh")],
               "what the request started is gone")


@pytest.mark.core
def test_a_function_over_its_timeout_is_ended(mayfly):
    daemon = mayfly({"api/slow.py": "import time\ndef handler(event, context):\n    time.sleep(60)\n",
                     "mayfly.json": {"defaults": {"timeout": 0.5}}})
    start = time.monotonic()
    response = daemon.get("/api/slow")
    assert response.status == 504
    assert time.monotonic() - start < 15
    record = daemon.record(response)
    assert record["outcome"] == "timeout"
    assert "sleep" in record["stack"]


@pytest.mark.core
def test_a_function_that_fails(mayfly):
    daemon = mayfly({"api/bad.py": "def handler(event, context):\n    raise KeyError('x')\n",
                     "api/worse.py": "import os\ndef handler(event, context):\n    os._exit(9)\n",
                     "api/broken.py": "def handler(:\n", "api/good.py": says("good")})
    for path, outcome in (("bad", "error"), ("worse", "crash"), ("broken", "init")):
        response = daemon.get("/api/" + path)
        assert response.status in (500, 502), path
        assert daemon.record(response)["outcome"] == outcome
        assert b"KeyError" not in response.body  # what went wrong is the author's affair, not the client's
    assert daemon.get("/api/good").text == "good"


def test_development_tells_the_client_why(mayfly):
    daemon = mayfly({"api/bad.py": "def handler(event, context):\n    raise KeyError('x')\n"}, command="dev")
    error = daemon.get("/api/bad").json()
    assert error["errorType"] == "KeyError"
    assert any("bad.py" in line for line in error["stackTrace"])


def test_a_client_that_goes_away_ends_its_request(mayfly):
    daemon = mayfly({"api/slow.py": "import time\ndef handler(event, context):\n    time.sleep(60)\n"})
    connection = daemon.connect()
    connection.send(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "a worker")
    connection.close()
    wait_until(lambda: [r for r in daemon.records if r["outcome"] == "hangup"], "the record")
    assert not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"]


# ---- changes ----

def test_dev_loads_what_is_saved(mayfly):
    daemon = mayfly({"api/f.py": says("before")}, command="dev")
    assert daemon.get("/api/f").text == "before"
    write_project(daemon.project, {"api/f.py": says("after"), "api/g.py": says("new")})
    wait_until(lambda: daemon.get("/api/f").text == "after", "the change is served")
    wait_until(lambda: daemon.get("/api/g").text == "new", "the new file is served")
    (daemon.project / "api" / "f.py").unlink()
    wait_until(lambda: daemon.get("/api/f").status == 404, "the deleted file is not")


def test_serve_loads_on_sighup_and_loses_no_request(mayfly):
    daemon = mayfly({"api/f.py": says("before")})
    assert daemon.get("/api/f").text == "before"
    write_project(daemon.project, {"api/f.py": says("after")})
    time.sleep(0.3)
    assert daemon.get("/api/f").text == "before"
    daemon.process.send_signal(signal.SIGHUP)
    answers = []

    def changed():
        response = daemon.get("/api/f")
        answers.append(response.status)
        return response.text == "after"

    wait_until(changed, "the change is served")
    assert set(answers) == {200}


def test_a_broken_change_leaves_the_old_one_running(mayfly):
    daemon = mayfly({"api/f.py": says("good"), "mayfly.json": {}}, command="dev")
    assert daemon.get("/api/f").text == "good"
    write_project(daemon.project, {"mayfly.json": '{\n  "functoins": {}\n}\n'})
    wait_until(lambda: "mayfly.json:2" in daemon.log + daemon.stdout, "the mistake is named")
    assert "functions" in daemon.log + daemon.stdout  # what was meant
    assert daemon.get("/api/f").text == "good"
    write_project(daemon.project, {"mayfly.json": {"defaults": {"timeout": 3}}})
    wait_until(lambda: daemon.get("/api/f").text == "good", "mended")


def test_serve_does_not_start_on_a_broken_project(mayfly):
    daemon = mayfly({"mayfly.json": '{\n  "functions": 7\n}\n'}, wait=False)
    assert daemon.process.wait(30) != 0
    assert "mayfly.json:2" in daemon.log


# ---- logs ----

def test_lines_are_credited_to_their_request(mayfly):
    daemon = mayfly({"api/say.py": """
        import sys

        def handler(event, context):
            print("out of", event["rawQueryString"])
            print("and err", file=sys.stderr)
            return {"statusCode": 200, "body": ""}
    """})
    answers = [daemon.get(f"/api/say?{i}") for i in range(3)]
    assert [daemon.record(a)["log_lines"] for a in answers] == 3 * [2]
    lines = [json.loads(line) for line in daemon.stdout.splitlines() if line.startswith("{")]
    for i, answer in enumerate(answers):
        told = [json.dumps(line) for line in lines if line.get("request_id") == answer.request_id]
        assert any(f"out of {i}" in line for line in told), told


@pytest.mark.core
def test_the_user_of_a_worker_has_a_name(mayfly):
    """Programs such as ssh and git, and libpq, refuse to run without one."""
    daemon = mayfly({"api/me.py": """
        import grp, os, pwd, subprocess, time
        def handler(event, context):
            time.sleep(0.3)  # several at once
            user = pwd.getpwuid(os.getuid())
            said = subprocess.run(["id", "-un"], capture_output=True, text=True)
            return {"statusCode": 200, "body": " ".join([user.pw_name, user.pw_dir, grp.getgrgid(os.getgid()).gr_name,
                                                         said.stdout.strip(), pwd.getpwnam("nobody").pw_name])}
    """})
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = {answer.text for answer in pool.map(daemon.get, ["/api/me"] * 6)}
    if "sandbox=degraded" in daemon.log:
        return  # it is the daemon's user, by that one's name
    assert answers == {"function /tmp function function nobody"}
