"""What cannot start says why, once and clearly, and holds up nobody else: the daemon, and a function."""
import os
import socket
import time

import pytest

from lib.daemon import run_cli
from lib.process import wait_until
from lib.workload import WORK, Call, Load, processes, work_project

# ---- the daemon ----


def serve_fails(tmp_path, project, *arguments):
    done = run_cli("serve", project, "--state", tmp_path / "state",
                   "--admin-listen", "off", *arguments)
    assert done.returncode != 0, done
    assert "assert" not in done.stderr.lower() and "ready" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path):
    project = tmp_path / "project"
    (project / "api").mkdir(parents=True)
    (project / "api" / "work.py").write_text("def handler(event, context):\n    return 1\n")
    return project


@pytest.mark.core
def test_port_in_use(tmp_path, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = serve_fails(tmp_path, folder, "--listen", address)
    assert done.returncode == 1
    assert address in done.stderr and "another program has this port" in done.stderr
    assert not (tmp_path / "state" / "mayfly.sock").exists()


@pytest.mark.core
@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", "example.org:80", "127.0.0.1:x"])
def test_address_that_is_none(tmp_path, folder, listen):
    done = serve_fails(tmp_path, folder, "--listen", listen)
    assert done.returncode == 2 and listen in done.stderr


@pytest.mark.core
def test_project_that_is_not_there(tmp_path):
    done = serve_fails(tmp_path, tmp_path / "nosuch", "--listen", "127.0.0.1:0")
    assert "nosuch" in done.stderr
    (tmp_path / "file").write_text("")
    assert "file" in serve_fails(tmp_path, tmp_path / "file", "--listen", "127.0.0.1:0").stderr


@pytest.mark.core
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_project_that_may_not_be_read(tmp_path, folder):
    folder.chmod(0)
    try:
        assert "project" in serve_fails(tmp_path, folder, "--listen", "127.0.0.1:0").stderr
    finally:
        folder.chmod(0o755)


@pytest.mark.core
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_state_folder_that_may_not_be_written(tmp_path, folder):
    (tmp_path / "state").mkdir(mode=0o500)
    assert "state" in serve_fails(tmp_path, folder, "--listen", "127.0.0.1:0").stderr


@pytest.mark.core
def test_project_that_is_broken(tmp_path, folder):
    (folder / "mayfly.json").write_text('{\n  "functoins": {}\n}\n')
    assert "mayfly.json:2" in serve_fails(tmp_path, folder, "--listen", "127.0.0.1:0").stderr


@pytest.mark.core
def test_state_folder_of_another_daemon(mayfly):
    first = mayfly(work_project(work={}))
    done = run_cli("serve", first.project, "--state", first.state, "--listen", "127.0.0.1:0",
                   "--admin-listen", "off")
    assert done.returncode == 5 and "runs already" in done.stderr
    assert first.get("/work").status == 200
    assert (first.state / "listen").exists()  # the second has taken nothing away


@pytest.mark.core
def test_state_folder_of_a_daemon_that_was_killed_is_taken_over(mayfly):
    first = mayfly(work_project(work={}))
    first.process.kill()
    first.process.wait()
    assert (first.state / "listen").exists()
    first.state.joinpath("listen").unlink()  # so that what is there later is the second one's
    second = mayfly(work_project(work={}), "--state", first.state)
    assert second.get("/work").status == 200


# ---- a function ----

BROKEN = {
    "syntax": ("def app(:\n", "SyntaxError", "work.py"),
    "import": ("import nosuchmodule\n", "", "nosuchmodule"),
    "raises": ("raise RuntimeError('no database')\n", "RuntimeError", "no database"),
    "no_handler": ("x = 1\n", "", "app"),
    "sys_exit": ("import sys\nsys.exit(3)\n", "", "3"),
    "exit": ("import os\nos._exit(4)\n", "", "status 4"),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "", ""),
    "hangs": ("import time\ntime.sleep(600)\n", "Runtime.InitTimeout", "init_timeout"),
    "closes": ("import os\nos.closerange(3, 50)\n", "", ""),
    "recurses": ("def f():\n    f()\nf()\n", "RecursionError", ""),
}


@pytest.fixture
def broken_project():
    """One function a kind of failure, in a folder each, and a good one."""
    files = {"mayfly.json": {"include": [*BROKEN, "good"]}}
    for name, (code, _, _) in BROKEN.items():
        project = work_project(**{name: {"init_timeout": 2 if name == "hangs" else 60, "queue_timeout": 60}})
        files |= {f"{name}/work.py": code, f"{name}/mayfly.json": project["mayfly.json"]}
    good = work_project(good={})
    return files | {"good/work.py": WORK, "good/mayfly.json": good["mayfly.json"]}


def test_function_that_cannot_load(mayfly, broken_project):
    daemon = mayfly(broken_project, command="dev")
    load = Load(daemon, "/good", clients=1)
    calls = {name: [Call(daemon, f"/{name}") for _ in range(2)] for name in BROKEN}
    for name, (_, error_type, message) in BROKEN.items():
        for call in calls[name]:
            response = call.result()
            assert response.status == 500, (name, response)
            if name == "closes":
                continue  # what it says then is nobody's word
            assert error_type in response.json()["errorType"], (name, response)
            assert message in response.json()["errorMessage"], (name, response)
    load.wait_more(10)
    assert load.stop() == []
    # None of them is left running, nor started again and again.
    wait_until(lambda: {p["function"] for p in processes(daemon)} == {"good"}, "the others are gone")


@pytest.mark.core
def test_load_that_fails_is_tried_again_but_not_all_the_time(mayfly, broken_project):
    daemon = mayfly({"work.py": "print('trying', flush=True)\nraise OSError('later')\n",
                     "mayfly.json": work_project(work={})["mayfly.json"]})
    end = time.monotonic() + 2.5
    n = 0
    while time.monotonic() < end:
        assert daemon.get("/work").status == 500
        n += 1
    n_tried = wait_until(lambda: daemon.stdout.count('trying'), "what it printed")
    assert n > 10 * n_tried, "each request tries"
    (daemon.project / "work.py").write_text("import os\n" + "def app(e, s):\n    s('200 OK', [])\n    return [b'1 1']\n")
    wait_until(lambda: daemon.get("/work").status == 200, "it is mended, without a reload")


@pytest.mark.core
def test_interpreter_that_is_missing(mayfly):
    daemon = mayfly({"mayfly.json": {"functions": {
        "gone": {"handler": "gone", "runtime": "exec", "routes": ["/gone"]},
        "none": {"handler": "none.sh", "runtime": "exec", "routes": ["/none"]},
        "work": {"handler": "work.app", "runtime": "python", "routes": ["/work"]}}},
        "none.sh": ("#!/nonexistent/interpreter\n", 0o755), "work.py": WORK}, command="dev")
    for name in ("gone", "none"):
        response = daemon.get(f"/{name}")
        assert response.status >= 500, response
        assert name in response.text or "interpreter" in response.text, response
    assert daemon.get("/work").status == 200


@pytest.mark.core
def test_daemon_that_gives_up_on_a_load_still_ends(mayfly):
    daemon = mayfly(work_project(work={"init_timeout": 600}) | {"work.py": "import time\ntime.sleep(600)\n"})
    call = Call(daemon, "/work")
    wait_until(lambda: processes(daemon, "zygote"), "it loads")
    daemon.process.terminate()
    time.sleep(0.2)
    daemon.process.terminate()
    assert daemon.process.wait(30) == 0
    call.result()
