"""A layer of the sandbox that is missing is never passed over in silence."""
import json
import os

import pytest
from lib.daemon import Daemon, run_cli
from lib.http import Connection
from lib.process import wait_until

PROJECT = {"api/hello.py": "def handler(event, context):\n    return 'hello'\n"}
OF_ROOT_ONLY = {"uid-range", "metadata", "cgroup-memory", "cgroup-cpu", "cgroup-processes", "cgroup-kill", "watchdog"}


@pytest.fixture
def start():
    daemons = []

    def run(*arguments, **options):
        daemons.append(Daemon(PROJECT, *arguments, wait=False, **options))
        return daemons[-1]

    yield run
    for daemon in daemons:
        daemon.stop()
        daemon.remove()


def health(daemon):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        return connection.request("GET", "/healthz")


def refused(daemon):
    """What a daemon that does not start says."""
    assert daemon.process.wait(60) == 1, daemon.log
    return daemon.log


def doctor(env=None):
    done = run_cli("doctor", "--json", env={**os.environ, **(env or {})})
    return done.returncode, json.loads(done.stdout)["sandbox"]


@pytest.mark.core
def test_healthz_tells_the_layers(start):
    daemon = start()
    daemon.wait_ready()
    response = health(daemon)
    body = response.json()
    assert (response.status, body["status"]) == (200, "ok")
    assert body["sandbox"]["profile"] == ("root" if os.geteuid() == 0 else "user")
    assert body["sandbox"]["missing"] == {}
    layers = body["sandbox"]["layers"]
    absent = {name for name, state in layers.items() if state != "on"}
    assert {"user-namespace", "own-root", "pid-namespace", "proc", "private-tmp", "seccomp",
            "landlock"} <= {name for name, state in layers.items() if state == "on"}
    assert os.geteuid() != 0 or not absent & OF_ROOT_ONLY
    assert all(layers[name] == "not-in-profile" for name in absent)
    assert f"sandbox={body['sandbox']['profile']}\n" in daemon.log


@pytest.mark.core
def test_doctor_and_daemon_agree(start):
    daemon = start()
    daemon.wait_ready()
    code, sandbox = doctor()
    assert (code, sandbox["missing"]) == (0, 0)
    assert {layer["name"]: layer["state"] for layer in sandbox["layers"]} == health(daemon).json()["sandbox"]["layers"]
    assert all(layer["protects"] for layer in sandbox["layers"])
    assert all((layer["reason"] is None) == (layer["state"] == "on") for layer in sandbox["layers"])


@pytest.mark.core
def test_less_than_the_profile_is_refused(start):
    daemon = start(env={"MAYFLY_SANDBOX": "degraded"}, allow_degraded=False)
    said = refused(daemon)
    assert "own-root, pid-namespace" in said and "mayfly doctor" in said and "--allow-degraded" in said
    code, sandbox = doctor({"MAYFLY_SANDBOX": "degraded"})
    missing = [layer for layer in sandbox["layers"] if layer["state"] == "off"]
    assert (code, sandbox["missing"], sandbox["profile"]) == (1, len(missing), "degraded")
    assert {layer["reason"] for layer in missing} == {"MAYFLY_SANDBOX asks for less"}
    assert all(layer["mend"] for layer in missing)


@pytest.mark.core
def test_less_is_served_when_allowed_and_healthz_shows_it(start):
    daemon = start(env={"MAYFLY_SANDBOX": "degraded"}, allow_degraded=True)
    daemon.wait_ready()
    body = health(daemon).json()
    assert (body["status"], body["sandbox"]["profile"]) == ("degraded", "degraded")
    assert body["sandbox"]["missing"]["own-root"] == "MAYFLY_SANDBOX asks for less"
    assert "missing=user-namespace,own-root" in daemon.log
    assert daemon.get("/api/hello").json() == "hello"


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user has only the profile user")
def test_the_users_profile_is_less_for_root(start):
    said = refused(start(env={"MAYFLY_SANDBOX": "user"}, allow_degraded=False))
    assert "missing here: uid-range;" in said


@pytest.mark.core
@pytest.mark.parametrize("fault, layer", [("pivot:1:1", "own-root"), ("capset:1:1", "no-capabilities"),
                                          ("mount:1:1", "private-tmp")])
def test_what_the_kernel_refuses_is_named(start, fault, layer):
    said = refused(start(env={"MAYFLY_FAULT": fault}))
    assert layer in said.split("missing here: ")[1].split(";")[0].split(", ")


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's")
def test_control_groups_are_layers(start):
    said = refused(start(env={"MAYFLY_CGROUPS": "none"}, allow_degraded=False))
    assert "missing here: metadata, cgroup-memory, cgroup-cpu, cgroup-processes, cgroup-kill;" in said
    daemon = start(env={"MAYFLY_CGROUPS": "none"}, allow_degraded=True)
    daemon.wait_ready()
    sandbox = health(daemon).json()["sandbox"]
    assert (sandbox["profile"], len(sandbox["missing"])) == ("root", 5)
    assert "MAYFLY_CGROUPS asks for less" in sandbox["missing"]["cgroup-memory"]


@pytest.mark.core
def test_dev_serves_with_less_and_says_so(start):
    daemon = start(command="dev", env={"MAYFLY_SANDBOX": "degraded"})
    daemon.wait_ready()
    lines = [line for line in daemon.log.splitlines() if "confined without" in line]
    assert len(lines) == 1 and "own-root" in lines[0]


def test_healthz_outlives_the_gateway(start):
    daemon = start(env={"MAYFLY_SANDBOX": "degraded"}, allow_degraded=True)
    daemon.wait_ready()
    first = health(daemon).json()
    gateway = next(pid for pid, name in daemon.tree().items() if name == "mayfly-gateway")
    os.kill(gateway, 9)
    wait_until(lambda: gateway not in daemon.tree(), "the gateway is gone")
    assert daemon.get("/api/hello").json() == "hello"
    assert health(daemon).json() == first
