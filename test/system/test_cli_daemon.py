"""The command-line tool and the real daemon."""
import json
import os
import signal
import subprocess

import pytest

from lib.daemon import MAYFLY, run_cli
from lib.process import is_alive, wait_until

HELLO = {"api/hello.py": """
    import os, sys, time

    def handler(event, context):
        if "sleep" in event:
            time.sleep(event["sleep"])
        if "raise" in event:
            raise ValueError(event["raise"])
        if "exit" in event:
            os._exit(event["exit"])
        print("to the log")
        return {"echo": event}
""", "mayfly.json": {"defaults": {"timeout": 5}}}


@pytest.fixture
def daemon(mayfly):
    return mayfly(HELLO)


@pytest.fixture
def name(daemon):
    """What the function of api/hello.py is called."""
    names = daemon.cli("inspect", "--names").stdout.split()
    assert len(names) == 1
    return names[0]


@pytest.mark.core
def test_invoke(daemon, name):
    done = daemon.cli("invoke", name, "-d", '{"a": [1, "ü"]}')
    assert json.loads(done.stdout)["echo"] == {"a": [1, "ü"]}
    assert done.stderr == ""
    ids = [json.loads(daemon.cli("invoke", name, "--json", input="{}").stdout)["request_id"] for _ in range(3)]
    assert len({daemon.record(i)["pid"] for i in ids}) == 3


@pytest.mark.core
def test_invoke_tells_what_it_took(daemon, name):
    told = json.loads(daemon.cli("invoke", name, "-d", "{}", "--json").stdout)
    assert (told["exit"], told["outcome"], told["status"]) == (0, "ok", 200)
    assert told["record"]["request_id"] == told["request_id"]
    assert told["record"]["function"] == name
    done = daemon.cli("invoke", name, "-d", "{}", "--verbose")
    assert {"request_id", "outcome", "run", "memory_peak"} <= {line.split()[0] for line in done.stderr.splitlines()}
    assert daemon.record(told["request_id"])["trigger"] == "invoke"


@pytest.mark.core
def test_invoke_fails_as_the_function_does(daemon, name):
    done = daemon.cli("invoke", name, "-d", '{"raise": "no such item"}', code=6)
    assert "ValueError: no such item" in done.stderr
    assert json.loads(done.stdout)["errorType"] == "ValueError"
    assert daemon.cli("invoke", name, "-d", '{"exit": 3}', code=6).stderr
    assert "not" in daemon.cli("invoke", "nosuch", "-d", "{}", code=3).stderr.lower()


def test_invoke_over_the_timeout(mayfly):
    daemon = mayfly({**HELLO, "mayfly.json": {"defaults": {"timeout": 0.5}}})
    name = daemon.cli("inspect", "--names").stdout.strip()
    assert "imeout" in daemon.cli("invoke", name, "-d", '{"sleep": 20}', code=7).stderr
    told = json.loads(daemon.cli("invoke", name, "-d", '{"sleep": 20}', "--json", code=7).stdout)
    assert told["outcome"] == told["record"]["outcome"] == "timeout"


def test_ps_shows_a_worker_at_work(daemon, name):
    running = subprocess.Popen([MAYFLY, "invoke", name, "-d", '{"sleep": 2}'], env=daemon.env,
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def worker():
        found = json.loads(daemon.cli("ps", "--json").stdout)["processes"]
        return next((p for p in found if p["kind"] == "worker" and p["request_id"] and p["pid"]), None)

    found = wait_until(worker, "a worker")
    assert found["function"] == name
    assert is_alive(found["pid"])
    assert found["rss_bytes"] > found["own_bytes"] > 0
    assert f" {found['pid']} " in daemon.cli("ps").stdout
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 0 and b"echo" in output
    wait_until(lambda: not is_alive(found["pid"]), "the worker is gone")


def test_inspect_shows_functions(daemon, name):
    functions = json.loads(daemon.cli("inspect", "--json").stdout)["functions"]
    assert [(f["name"], f["runtime"], f["isolation"]) for f in functions] == [(name, "python", "request")]
    assert daemon.cli("inspect", "nosuch", code=3).stdout == ""


def test_inspect_without_a_daemon(tmp_path):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "hello.py").write_text("def handler(event, context):\n    return 1\n")
    done = run_cli("inspect", "--project", tmp_path, env=env)
    assert done.returncode == 0, done
    assert "/api/hello" in done.stdout
    (tmp_path / "mayfly.json").write_text('{\n  "functoins": {}\n}\n')
    done = run_cli("inspect", "--project", tmp_path, env=env)
    assert done.returncode != 0
    assert "mayfly.json:2" in done.stderr


@pytest.mark.core
def test_the_newest_daemon_is_found(mayfly):
    first = mayfly({**HELLO})
    second = mayfly({"api/other.py": "def handler(event, context):\n    return 'other'\n"},
                    env={"XDG_RUNTIME_DIR": first.env["XDG_RUNTIME_DIR"]})
    assert "other" in first.cli("inspect").stdout
    second.stop()
    assert "hello" in first.cli("inspect").stdout
    first.stop()
    assert first.cli("ps", code=8).stdout == ""


@pytest.mark.core
def test_state_folder_in_use_is_a_conflict(daemon):
    done = daemon.cli("serve", daemon.project, "--state", daemon.state, "--listen", "127.0.0.1:0",
                      "--admin-listen", "off", code=5)
    assert "runs already" in done.stderr


def test_port_in_use(mayfly, daemon):
    second = mayfly(HELLO, "--listen", "127.0.0.1:%d" % daemon.address[1], wait=False)
    assert second.process.wait(30) != 0
    assert "--listen" in second.log


@pytest.mark.core
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_dev_leaves_nothing(mayfly, how):
    daemon = mayfly(HELLO, command="dev")
    assert daemon.post("/api/hello", {"a": 1}).status == 200
    assert daemon.state.parent == daemon.folder  # below TMPDIR
    assert daemon.stop(how) == 0
    assert not daemon.state.exists()


def test_init_and_serve_in_each_language(mayfly, tmp_path):
    for lang in ("python", "c", "exec"):
        folder = tmp_path / lang
        assert run_cli("init", folder, "--lang", lang, "--name", "greet-me").returncode == 0
        daemon = mayfly(folder)
        response = daemon.get("/api/greet-me?name=you")
        assert response.status == 200, (lang, response, daemon.log)
        assert response.text.startswith("Hello")
        if lang != "exec":
            assert response.text == "Hello, you!\n"


def test_environment(mayfly):
    daemon = mayfly({"api/e.py": """
        import os

        def handler(event, context):
            return {k: os.environ.get(k) for k in ("A", "B", "SECRET", "MAYFLY_URL")}
    """}, "--env", "A=1=2", "-e", "B", env={"B": "from outside", "SECRET": "s"})
    assert daemon.get("/api/e").json() == {"A": "1=2", "B": "from outside", "SECRET": None,
                                           "MAYFLY_URL": daemon.url}
