"""The kernel says no, at any call: the daemon starts, or ends and says why; a gateway that is short
of something answers 503 and serves again when it has it."""
import errno
import os
import resource
import signal
import time

import pytest

from lib import leaks
from lib.http import HANG_SECONDS, Connection
from lib.process import wait_until
from lib.workload import Call, Load, Mark, processes, programs, work_project

# What a sandbox is built of, with the first and a later one of their kind (test/unit/test-sandbox-faults.c
# walks through all of them).
SANDBOX_CALLS = [f"{call}:{nth}" for call, nth in [
    ("capset", 1), ("clone", 1), ("dup", 1), ("hostname", 1), ("landlock", 2), ("link", 3), ("mkdir", 2), ("mknod", 4),
    ("mount", 1), ("mount", 6), ("open", 1), ("open", 9), ("pipe", 1), ("pivot", 1), ("prctl", 2), ("rlimit", 2),
    ("seccomp", 1), ("setid", 1)]]
CALLS = ["clone", "epoll", "memfd", "pidfd", "pipe", "recv", "send", "socket"]


def try_to_live(daemon, requests=4, timeout=HANG_SECONDS):
    """Asks a few times. Returns the statuses, or None where the connection broke or nobody was there."""
    statuses = []
    for _ in range(requests):
        try:
            statuses.append(daemon.get("/work", timeout=timeout).status)
        except (OSError, EOFError):
            statuses.append(None)
    return statuses


@pytest.mark.core
@pytest.mark.parametrize("call", CALLS)
def test_supervisor_survives_or_says_why(mayfly, call):
    """One call after the other fails, until there are no more of them in a short life."""
    mark = Mark()
    n_ended = 0
    for nth in (1, 2, 3, 4, 5, 6, 8, 10, 13, 17):
        daemon = mayfly(work_project(work={}), *mark.arguments,
                        env={**mark.env, "MAYFLY_FAULT": f"{call}:{nth}:{errno.EMFILE}"}, wait=False)
        wait_until(lambda: daemon.process.poll() is not None or "ready" in daemon.log, f"{call}:{nth}")
        if daemon.process.poll() is not None:
            n_ended += 1
            assert daemon.process.returncode == 1, (call, nth, daemon.log)
            assert "mayfly: " in daemon.log or "error" in daemon.log, (call, nth, "it says nothing")
            wait_until(lambda: not mark.find(), f"{call}:{nth} leaves nothing behind")
            continue
        daemon.wait_ready()
        wait_until(lambda: try_to_live(daemon, 1) == [200], f"{call}:{nth}: it recovers")
        assert daemon.stop() == 0, (call, nth, daemon.log)
        wait_until(lambda: not mark.find(), f"{call}:{nth} leaves nothing behind")
    assert n_ended < 10


@pytest.mark.core
@pytest.mark.parametrize("call", ["epoll", "pidfd", "pipe", "recv", "send", "socket"])
def test_gateway_survives_or_is_started_again(mayfly, call):
    mark = Mark()
    for nth in (1, 2, 3, 5, 8, 12, 20):
        daemon = mayfly(work_project(work={}), *mark.arguments,
                        env={**mark.env, "MAYFLY_FAULT_GATEWAY": f"{call}:{nth}:{errno.EMFILE}"}, wait=False)
        wait_until(lambda: daemon.process.poll() is not None or "ready" in daemon.log, f"{call}:{nth}")
        if daemon.process.poll() is None:
            daemon.wait_ready()
            # A gateway that is started again meets the same fault again: it may never come to serve.
            statuses = try_to_live(daemon, 1, timeout=1)
            if statuses != [None]:
                statuses += try_to_live(daemon, 7)
            # A request is served, refused as unavailable, or lost with the one who had it in hand.
            assert set(statuses) <= {200, 502, 503, None}, (call, nth, statuses, daemon.log)
            daemon.stop()
        assert "Assertion" not in daemon.log, (call, nth, daemon.log)
        wait_until(lambda: not mark.find(), f"{call}:{nth} leaves nothing behind")


@pytest.mark.core
def test_sandbox_that_cannot_be_built_is_named(mayfly):
    """The step that failed is told to whoever asked; nothing is left of it, and no code has run without it."""
    confined = "sandbox=degraded" not in mayfly(work_project(work={})).log
    if not confined:
        pytest.skip("no sandbox can be built here")
    for call in SANDBOX_CALLS:
        if call.startswith("setid") and os.geteuid() != 0:
            continue  # who has one user id does not change it
        daemon = mayfly(work_project(work={}), env={"MAYFLY_FAULT_SANDBOX": f"{call}:{errno.EIO}"})
        assert daemon.get("/work").status == 500, call
        rest = leaks.at_rest(daemon)  # with what is made once, for all zygotes
        time.sleep(1)  # in which a load that failed is the answer
        with Connection(str(daemon.state / "mayfly.sock")) as connection:
            response = connection.request("POST", "/api/v1/functions/work/invoke", "{}")
        assert response.status == 500, (call, response)
        assert "sandbox" in response.text and os.strerror(errno.EIO) in response.text, (call, response)
        leaks.assert_same(rest, daemon)
        assert daemon.stop() == 0
        again = mayfly(daemon.project, "--state", daemon.state)
        assert again.get("/work").status == 200, call
        assert again.stop() == 0


def memory_runs_out(mayfly, variable, nth, mark):
    """A short life in which one allocation fails. Returns whether there was such an allocation at all."""
    daemon = mayfly(work_project(work={}), *mark.arguments,
                    env={**mark.env, variable: f"malloc:{nth}:{errno.ENOMEM}"}, wait=False)
    wait_until(lambda: daemon.process.poll() is not None or "ready" in daemon.log, f"malloc:{nth}")
    if daemon.process.poll() is None:
        daemon.wait_ready()
        # A gateway that is started again meets the same fault again: it may never come to serve.
        statuses = try_to_live(daemon, 1, timeout=2)
        if statuses != [None] or variable == "MAYFLY_FAULT":
            statuses += try_to_live(daemon, 3, timeout=5)
        assert set(statuses) <= {200, 500, 502, 503, None}, (nth, statuses, daemon.log)
        if variable == "MAYFLY_FAULT":
            wait_until(lambda: try_to_live(daemon, 1, timeout=5) == [200], f"malloc:{nth}: it recovers")
        daemon.stop()
    else:
        assert daemon.process.returncode == 1, (nth, daemon.log)
        assert "mayfly: " in daemon.log or "error" in daemon.log, (nth, "it says nothing")
    assert "Assertion" not in daemon.log and "signal 11" not in daemon.log, (nth, daemon.log)
    wait_until(lambda: not mark.find(), f"malloc:{nth} leaves nothing behind")
    return "fault: malloc" in daemon.log


@pytest.mark.core
@pytest.mark.parametrize("variable", ["MAYFLY_FAULT", "MAYFLY_FAULT_GATEWAY"])
def test_memory_that_runs_out_ends_nobody_else(mayfly, variable):
    """Supervisor and gateway, at one allocation after the other."""
    mark = Mark()
    walk = range(1, 400) if os.environ.get("MAYFLY_CHAOS") else (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
    n_reached = 0
    for nth in walk:
        if not memory_runs_out(mayfly, variable, nth, mark):
            break
        n_reached += 1
    assert n_reached > 5


@pytest.mark.core
@pytest.mark.parametrize("call", ["pipe", "socket"])
def test_request_without_a_worker_is_503(mayfly, call):
    """The first worker cannot be made, and nobody is at work who could free what is missing."""
    daemon = mayfly(work_project(work={"standby": 0}),
                    env={"MAYFLY_FAULT_GATEWAY": f"{call}:1:{errno.EMFILE}"})
    response = daemon.get("/work")
    assert response.status == 503 and int(response.headers["retry-after"]) >= 1, response
    assert "file descriptors" in response.json()["errorMessage"]
    assert [daemon.get("/work").status for _ in range(5)] == [200] * 5


def limit_descriptors(pid, n):
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (n, hard))


@pytest.mark.core
def test_gateway_without_descriptors_recovers(mayfly):
    """More connections than it may have: those who wait are served when others leave."""
    daemon = mayfly(work_project(work={}), "--head-timeout", "1s")
    assert daemon.get("/work").status == 200
    gateway = programs(daemon)["gateway"]
    limit_descriptors(gateway, 60)
    crowd = [daemon.connect() for _ in range(150)]
    wait_until(lambda: "accept.pause" in daemon.log, "it runs short")
    for connection in crowd[:100]:
        connection.close()
    wait_until(lambda: set(try_to_live(daemon, 2)) == {200}, "it serves again")
    for connection in crowd:
        connection.close()
    load = Load(daemon, "/work")
    load.wait_more()
    assert load.stop() == []
    assert programs(daemon)["gateway"] == gateway


@pytest.mark.core
def test_workers_that_cannot_be_made_do_not_end_the_gateway(mayfly):
    """So few descriptors that not one worker can be connected, for a while."""
    daemon = mayfly(work_project(work={"standby": 0}))
    assert daemon.get("/work").status == 200
    gateway = programs(daemon)["gateway"]
    with daemon.connect() as connection:
        assert connection.request("GET", "/work").status == 200
        wait_until(lambda: not processes(daemon, "worker"))
        n_used = max(int(fd) for fd in os.listdir(f"/proc/{gateway}/fd")) + 1
        limit_descriptors(gateway, n_used + 1)
        for _ in range(5):
            response = connection.request("GET", "/work")
            assert response.status == 503, response
            assert int(response.headers["retry-after"]) >= 1
        limit_descriptors(gateway, 1000)
        assert connection.request("GET", "/work").status == 200
    assert programs(daemon)["gateway"] == gateway


@pytest.mark.core
@pytest.mark.skipif(os.geteuid() == 0, reason="no limit of processes holds for root")
def test_fork_that_fails_is_503(mayfly):
    daemon = mayfly(work_project(work={"standby": 0}))
    assert daemon.get("/work").status == 200
    zygote = processes(daemon, "zygote")[0]["pid"]
    resource.prlimit(zygote, resource.RLIMIT_NPROC, (1, 1))
    response = daemon.get("/work")
    assert response.status == 503, response
    assert "no process can be started" in response.json()["errorMessage"]


@pytest.mark.core
def test_zygote_that_sends_nonsense_costs_only_itself(mayfly):
    """It has run foreign code: whatever it says on its channels, nobody else is harmed by it."""
    code = {
        "junk": "s.send(b'junk')", "empty": "s.send(b'')", "huge": "s.send(b'x' * 131073)",
        "fds": "socket.send_fds(s, [b'junk'], [0, 1, 2])", "empty_fds": "socket.send_fds(s, [b'', b''], [0, 1, 2, 0])",
        "closed": "os.close(fd)",
        "liar": "s.send(struct.pack('<IQ', 23, 1) + bytes(60))",
    }
    files = {"mayfly.json": {"include": ["good", *code]}}
    project = work_project(good={})
    files |= {"good/work.py": project["work.py"], "good/mayfly.json": project["mayfly.json"]}
    for name, line in code.items():
        project = work_project(**{name: {"timeout": 5, "queue_timeout": 5, "init_timeout": 5}})
        body = (f"import os, socket, struct\nfor fd in (4, 5):\n    try:\n"
                f"        s = socket.socket(fileno=os.dup(fd))\n        s.setblocking(True)\n"
                f"        for _ in range(3):\n            {line}\n    except OSError:\n        pass\n")
        files |= {f"{name}/work.py": body + "\n" + "\n".join(l[4:] for l in project["work.py"].splitlines()),
                  f"{name}/mayfly.json": project["mayfly.json"]}
    daemon = mayfly(files)
    assert daemon.get("/good").status == 200
    gateway = programs(daemon)["gateway"]
    n_fds = len(os.listdir(f"/proc/{gateway}/fd"))
    load = Load(daemon, "/good", clients=1)
    calls = {name: Call(daemon, f"/{name}") for name in code}
    for name, call in calls.items():
        assert getattr(call.result(), "status", None) in (200, 500, 502, 503, 504), (name, call.result(), daemon.log)
    load.wait_more(10)
    assert load.stop() == []
    assert programs(daemon)["gateway"] == gateway, daemon.log
    assert daemon.process.poll() is None
    # Each function that lives has a channel and a pipe, each standby four: but none of what was sent.
    wait_until(lambda: len(os.listdir(f"/proc/{gateway}/fd")) <= n_fds + len(code) * (3 + 4 * 2) + 16, "no fd leaks")


@pytest.mark.core
def test_stopped_zygote_holds_up_nobody_else(mayfly):
    daemon = mayfly(work_project(good={}, stopped={"queue_timeout": 1, "timeout": 2, "standby": 0}))
    assert daemon.get("/good").status == daemon.get("/stopped").status == 200
    zygote = processes(daemon, "zygote", "stopped")[0]["pid"]
    os.kill(zygote, signal.SIGSTOP)
    call = Call(daemon, "/stopped")
    load = Load(daemon, "/good", clients=2)
    load.wait_more()
    assert call.result().status in (502, 503, 504)
    assert load.stop() == []
    os.kill(zygote, signal.SIGCONT)
    wait_until(lambda: daemon.get("/stopped").status == 200, "it goes on")


@pytest.mark.core
def test_zygotes_that_die_one_after_the_other_are_not_made_for_ever(mayfly):
    """Each gets ready, and ends before it has answered anything."""
    daemon = mayfly({"work.py": """
        import os, socket

        print("made", flush=True)

        def app(environ, start_response):
            return []

        channel = socket.socket(fileno=os.dup(5))
        channel.send(b"junk for the gateway")
        channel.detach()
    """, "mayfly.json": work_project(work={"queue_timeout": 20})["mayfly.json"]})
    response = daemon.get("/work")
    assert response.status == 500, response
    assert 1 <= wait_until(lambda: daemon.stdout.count("made"), "what it printed") <= 5
