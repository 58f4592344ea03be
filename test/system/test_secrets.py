"""Secrets reach the functions that are to have them, and nothing else: canaries of 64 characters are
planted and looked for in everything that a daemon leaves, shows or holds."""
import hashlib
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import stat
import subprocess
import termios
import time

import pytest

from lib import process
from lib.daemon import MAYFLY, SANITIZED, run_cli
from lib.process import wait_until

AS_ROOT = os.geteuid() == 0


def canary(name):
    """64 characters, and no two alike."""
    return f"canary-{hashlib.sha256((name + str(os.getpid())).encode()).hexdigest()}"[:64]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


PYTHON = """
    import hashlib, json, os, subprocess, time

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()

    def handler(event, context):
        query = event.get("queryStringParameters") or {}
        if "sleep" in query:
            time.sleep(float(query["sleep"]))
        run = lambda command: subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        return {"statusCode": 200, "body": json.dumps({
            "environ": digest(os.environ["PW"]), "getenv": digest(os.getenv("PW")),
            "environb": digest(os.environb[b"PW"].decode()), "in": "PW" in os.environ,
            "child": digest(run('printf %s "$PW"')), "url": digest(os.environ["URL"]),
            "plain": os.environ["PLAIN"], "pid": os.getpid()})}
"""

NATIVE = """
    #include <mayfly.h>
    #include <stdlib.h>
    #include <string.h>

    int handler(mayfly_request *request, mayfly_response *response)
    {
        const char *pw = getenv("PW");

        if (!pw)
            return mayfly_fail(response, "Missing", "no PW");
        for (; *pw; pw++)
            if (mayfly_printf(response, "%02x", (unsigned char)*pw) < 0)
                return -1;
        return 0;
    }
"""

SHELL = """
    #!/bin/sh
    printf 'Content-Type: text/plain\\n\\n'
    printf %s "$PW" | sha256sum
"""

OTHER = """
    import ctypes, json, os, re

    needle = re.compile(rb"can[a]ry-[0-9a-f]{57}")

    def look(path):
        try:
            with open(path, "rb") as file:
                return needle.findall(file.read())
        except OSError:
            return []

    def memory():
        hits = []
        with open("/proc/self/maps") as maps:
            lines = [line.split() for line in maps]
        for span, rights, *_, name in lines:
            start, end = (int(x, 16) for x in span.split("-"))
            if "r" in rights and not name.startswith("[v"):  # /proc/self/mem is closed to it
                hits += needle.findall(ctypes.string_at(start, end - start))
        return hits

    def handler(event, context):
        found = {"environ": [k for k, v in os.environ.items() if needle.search(v.encode())]}
        for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
            for name in ("environ", "cmdline"):
                if look(f"/proc/{pid}/{name}"):
                    found.setdefault("proc", []).append(f"{pid}/{name}")
        found["files"] = [path for top in ("/tmp", "/run", "/var", "/dev/shm", "/etc")
                          for folder, _, files in os.walk(top) for path in
                          (os.path.join(folder, f) for f in files)
                          if os.path.isfile(path) and look(path)]
        found["fds"] = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                        if os.path.islink(f"/proc/self/fd/{fd}")]
        found["memory"] = len(memory())
        return {"statusCode": 200, "body": json.dumps(found)}
"""

LOADER = """
    import hashlib, os
    DIGEST = hashlib.sha256(os.environ["PW"].encode()).hexdigest()

    def handler(event, context):
        return {"statusCode": 200, "body": DIGEST}
"""

ENV = {"PW": "${secret:DB.pass-word_1}", "URL": "pg://u:${secret:DB.pass-word_1}@h/$${x}", "PLAIN": "$${secret:A}"}


def project(functions=None, files=None, **more):
    return {"mayfly.json": {"functions": functions or {}, **more}, **(files or {})}


QUIET = project(
    {"api/py": {"env": ENV}, "api/inst": {"env": ENV, "isolation": "instance"},
     "api/load": {"env": ENV, "secrets": "load"}, "api/nat": {"env": ENV},
     "sh": {"handler": "sh.sh", "routes": ["/sh"], "env": ENV}, "api/other": {"env": {"OWN": "${secret:OTHER}"}}},
    {"api/py.py": PYTHON, "api/inst.py": PYTHON, "api/load.py": LOADER, "api/nat.c": NATIVE,
     "sh.sh": (SHELL, 0o755), "api/other.py": OTHER})


def set_secret(daemon, name, value):
    done = daemon.cli("secret", "set", name, "--state", daemon.state, input=value)
    assert value not in done.stdout + done.stderr


def version(daemon, function):
    return next(f["version"] for f in daemon.ps()["functions"] if f["name"] == function)


def wait_version(daemon, function, change):
    """Carries out a change, and waits until it has made another version of the function."""
    before = version(daemon, function)
    change()
    wait_until(lambda: version(daemon, function) != before, f"another version of {function}")


def start(mayfly, project, secrets, **options):
    """A daemon that has taken its secrets over."""
    daemon = mayfly(project, **options)
    for name, value in secrets.items():
        set_secret(daemon, name, value)
    settle(daemon)
    return daemon


def settle(daemon):
    """Waits until all that was set has been loaded: a load that is asked for finds nothing new."""
    def asked():
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        return "no function has changed" in daemon.log
    wait_until(asked, "nothing is new")


def memory_has(pid, needle):
    """How often the bytes are in a process' memory."""
    n = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            if "r" not in rights or "[v" in line:
                continue
            try:
                mem.seek(begin)
                n += mem.read(end - begin).count(needle)
            except (OSError, OverflowError, ValueError):
                pass
    return n


def read_bytes(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def files_with(folder, needle):
    return [str(path) for path in pathlib.Path(folder).rglob("*")
            if path.is_file() and not path.is_symlink() and needle in read_bytes(path)]


def processes_with(daemon, needle, *names):
    return [f"{name} of {pid} ({comm})" for pid, comm in [(daemon.pid, "supervisor"), *daemon.tree().items()]
            for name in names if needle in read_bytes(f"/proc/{pid}/{name}")]


@pytest.fixture
def quiet(mayfly):
    return start(mayfly, QUIET, {"DB.pass-word_1": canary("db"), "OTHER": canary("other")})


# ---- where they are to be ----

@pytest.mark.core
def test_each_runtime_has_them_in_its_environment(quiet):
    value = canary("db")
    for path in ("/api/py", "/api/inst", "/api/inst"):
        answer = quiet.get(path).json()
        assert answer.pop("pid") > 0
        assert answer == {"environ": digest(value), "getenv": digest(value), "environb": digest(value), "in": True,
                          "child": digest(value), "url": digest(f"pg://u:{value}@h/${{x}}"),
                          "plain": "${secret:A}"}
    assert quiet.get("/api/load").text == digest(value)
    assert bytes.fromhex(quiet.get("/api/nat").text).decode() == value
    assert quiet.get("/sh").text.split()[0] == digest(value)


def test_defaults_hold_for_all_and_a_function_goes_before_them(mayfly):
    show = """
        import hashlib, os
        def handler(event, context):
            return {"statusCode": 200, "body": str({k: os.environ.get(k, "-")[:5] for k in "ABC"})}
    """
    daemon = start(mayfly, project({"api/b": {"env": {"A": "plain", "B": "${secret:TWO}"}}},
                                   {"api/a.py": show, "api/b.py": show},
                                   defaults={"env": {"A": "${secret:ONE}", "B": "x", "C": "${secret:ONE}"}}),
                   {"ONE": "1-one-one", "TWO": "2-two-two"})
    assert daemon.get("/api/a").text == str({"A": "1-one", "B": "x", "C": "1-one"})
    assert daemon.get("/api/b").text == str({"A": "plain", "B": "2-two", "C": "1-one"})


def test_large_and_odd_values_arrive_whole(mayfly):
    odd = "a=b \"'\\\n\tä😀$`\r\nx"
    large = "0123456789abcdef" * 4096  # the most that a secret may have
    daemon = start(mayfly, project({"api/py": {"env": {"ODD": "${secret:ODD}", "LARGE": "${secret:LARGE}"}}}, {
        "api/py.py": """
            import hashlib, os
            def handler(event, context):
                return {"statusCode": 200, "body": " ".join(
                    hashlib.sha256(os.environb[k]).hexdigest() for k in (b"ODD", b"LARGE"))}
        """}), {"ODD": odd, "LARGE": large})
    assert daemon.get("/api/py").text == f"{digest(odd)} {digest(large)}"


# ---- where they must not be ----

@pytest.mark.core
def test_nothing_that_a_daemon_shows_or_leaves_has_a_value(quiet):
    for path in ("/api/py", "/api/inst", "/api/load", "/api/nat", "/sh", "/api/other"):
        quiet.record(quiet.get(path))
    quiet.cli("ps", "--state", quiet.state)
    shown = quiet.cli("inspect", "--state", quiet.state, "--json").stdout
    checked = quiet.cli("inspect", "--project", quiet.project, "--json").stdout
    for value in (canary("db"), canary("other")):
        needle = value.encode()
        assert value not in quiet.stdout + quiet.log + shown + checked
        assert files_with(quiet.folder, needle) == []
        assert processes_with(quiet, needle, "cmdline", "environ") == []
        listed = subprocess.run(["ps", "axeww"], capture_output=True, check=False).stdout
        assert needle not in listed
    assert "${secret:DB.pass-word_1}" in checked


@pytest.mark.skipif(not AS_ROOT, reason="only root may read the memory of others")
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow memory is too large to be read")
def test_no_memory_but_that_of_workers_and_control_has_a_value(quiet):
    needle = canary("db").encode()
    for path in ("/api/py", "/api/inst", "/api/load", "/api/nat", "/sh", "/api/other"):
        assert quiet.get(path).status == 200
    zygotes = {p["function"]: p["pid"] for p in quiet.ps()["processes"] if p["kind"] == "zygote"}
    # That the search finds what is there: it was told to be there.
    assert memory_has(zygotes["api/load"], needle) > 0
    for function in ("api/py", "api/inst", "api/nat", "sh", "api/other"):
        assert memory_has(zygotes[function], needle) == 0, function
    names = {comm: pid for pid, comm in quiet.tree().items()}
    gateway = next(pid for comm, pid in names.items() if comm.startswith("mayfly-gateway"))
    assert memory_has(gateway, needle) == 0
    assert memory_has(quiet.pid, needle) == 0
    with quiet.connect() as connection:
        connection.send(b"GET /api/py?sleep=30 HTTP/1.1\r\nHost: x\r\n\r\n")
        worker = wait_until(lambda: next((p["pid"] for p in quiet.ps()["processes"]
                                          if p["kind"] == "worker" and p["function"] == "api/py"), None))
        wait_until(lambda: memory_has(worker, needle) > 0, "a worker has it")
        others = [p["pid"] for p in quiet.ps()["processes"] if p["function"] == "api/other"]
        assert others and [pid for pid in others if memory_has(pid, needle)] == []


@pytest.mark.core
def test_another_function_finds_none(quiet):
    for path in ("/api/py", "/api/inst", "/api/nat", "/sh"):
        assert quiet.get(path).status == 200
    found = quiet.get("/api/other").json()
    assert found["environ"] == ["OWN"]
    assert found["files"] == []
    assert not [fd for fd in found["fds"] if "mayfly-secrets" in fd]
    assert "proc" not in found
    # Its own value, in the bundle and in os.environ; nobody else's (there were four others).
    assert found["memory"] <= 4


def test_a_worker_has_no_descriptor_of_them_left(mayfly):
    daemon = start(mayfly, project({"api/py": {"env": {"PW": "${secret:S}"}}}, {"api/py.py": """
        import os
        def handler(event, context):
            fds = ["/proc/self/fd/" + f for f in os.listdir("/proc/self/fd") if int(f) > 3]
            return {"statusCode": 200, "body": str([os.readlink(f) for f in fds if os.path.exists(f)])}
    """}), {"S": canary("s")})
    assert daemon.get("/api/py").text == "[]"


@pytest.mark.skipif(SANITIZED, reason="a crash is the sanitizer's")
def test_no_core_is_written(mayfly):
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        daemon = start(mayfly, project({"api/crash": {"env": {"PW": "${secret:S}"}}}, {
            "api/crash.c": """
                #include <mayfly.h>
                #include <stdlib.h>
                int handler(mayfly_request *request, mayfly_response *response)
                {
                    return *(volatile int *)8;
                }
            """, "api/limit.py": """
                def handler(event, context):
                    with open("/proc/self/limits") as limits:
                        return {"statusCode": 200, "body": limits.read()}
            """}), {"S": canary("s")})
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert daemon.get("/api/crash").status == 502
    # 1: too small for a file, and the number at which the kernel starts no collector of dumps.
    assert re.search(r"^Max core file size +[01] +[01] ", daemon.get("/api/limit").text, re.M)
    assert files_with(daemon.folder, canary("s").encode()) == []
    assert not [p for p in daemon.project.rglob("core*") if p.is_file()]


# ---- functions that tell ----

TELLER = """
    import base64, json, os, sys, urllib.parse

    def handler(event, context):
        pw, key = os.environ["PW"], os.environ["KEY"]
        how = event["queryStringParameters"]["how"]
        if how == "print":
            print("it is", pw)
            print(key, file=sys.stderr)
            print(json.dumps({"pw": pw, "key": key}), base64.b64encode(b"me:" + pw.encode()).decode(),
                  urllib.parse.quote(key))
        elif how == "raise":
            raise ValueError("no access with " + pw + " and " + key)
        elif how == "chain":
            try:
                {}[pw]
            except KeyError:
                raise RuntimeError(pw) from None
        elif how == "exit":
            sys.exit("bye " + pw)
        elif how == "crash":
            os.write(2, ("dies with " + pw).encode())
            os.abort()
        elif how == "stack":
            os.write(2, ("\\036stack\\nat " + pw + "\\n").encode())
            os.abort()
        elif how == "long":
            for before in range(16384 - 80, 16384 + 2):
                os.write(1, b"x" * before + pw.encode() + b"y\\n")
        return {"statusCode": 200, "body": "ok"}
"""

TELL_NATIVE = """
    #include <mayfly.h>
    #include <stdlib.h>
    int handler(mayfly_request *request, mayfly_response *response)
    {
        return mayfly_fail(response, getenv("PW"), "no access with %s", getenv("PW"));
    }
"""

TELL_SHELL = """
    #!/bin/sh
    echo "fails with $PW" >&2
    exit 3
"""

TELL_LOAD = """
    import os
    raise ValueError("cannot load with " + os.environ["PW"])
    def handler(event, context):
        pass
"""

TELLERS = project(
    {"sh": {"handler": "sh.sh", "routes": ["/sh"]}, "api/load": {"secrets": "load"}},
    {"api/py.py": TELLER, "api/nat.c": TELL_NATIVE, "sh.sh": (TELL_SHELL, 0o755), "api/load.py": TELL_LOAD},
    defaults={"env": {"PW": "${secret:PW}", "KEY": "${secret:KEY}"}})
KEY = "-----BEGIN KEY-----\n" + canary("line one") + "\n" + canary("line two") + "\n-----END KEY-----"


@pytest.mark.core
@pytest.mark.parametrize("command", ["serve", "dev"])
def test_what_a_function_tells_of_its_secrets_is_taken_out(mayfly, tmp_path, command):
    secrets = {"PW": canary("pw"), "KEY": KEY}
    env = {"XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    if command == "dev" and AS_ROOT:
        pytest.skip("root's secrets are in /var/lib/mayfly: not for a test to write to")
    if command == "serve":
        daemon = start(mayfly, TELLERS, secrets, env=env)
    else:
        daemon = mayfly(TELLERS, command="dev", env=env)
        for name, value in secrets.items():
            daemon.cli("secret", "set", name, "--project", daemon.project, input=value)
        settle(daemon)
    # In dev mode a stack report goes to the client as the function made it: it may as well answer so.
    ways = ["print", "raise", "chain", "exit", "crash", "long"] + ["stack"] * (command == "serve")
    answers = [daemon.get(f"/api/py?how={how}") for how in ways]
    answers += [daemon.get(path) for path in ("/api/nat", "/sh", "/api/load")]
    assert {a.status for a in answers} == {200, 500, 502}
    for answer in answers:
        if command == "serve":
            daemon.record(answer)
    wait_until(lambda: "[secret PW]y" in daemon.stdout or "y" * 2 in daemon.stdout, "the long lines")
    told = daemon.stdout + daemon.log + "".join(a.text + str(a.headers) for a in answers)
    assert "[secret PW]" in told and "[secret KEY]" in told
    for needle in (canary("pw"), canary("line one"), canary("line two"), "BEGIN KEY"):
        assert needle not in told
        assert needle not in daemon.stdout.replace("\\n", "").replace("\n", "")
    # Not in parts of it either, as long as they would be of use; see docs/SECRETS.md.
    parts = {canary("pw")[i:i + 8] for i in range(0, 57)}
    assert [told[told.index(p) - 60:told.index(p) + 60] for p in parts if p in told] == []


def test_errors_of_a_load_and_of_a_request_are_json_without_the_value(mayfly):
    daemon = start(mayfly, TELLERS, {"PW": 'qu"ote\\d-' + canary("pw")[:32], "KEY": "unused-unused"})
    for path in ("/api/py?how=raise", "/api/load", "/api/nat"):
        record = daemon.record(daemon.get(path))
        error = json.loads(record["stack"])
        assert "[secret PW]" in error["errorMessage"] and canary("pw")[:8] not in record["stack"]


# ---- the command, and a daemon that runs ----

EXPLAINER = project({"api/py": {"env": {"PW": "${secret:LATE}"}}}, {"api/py.py": """
    import os
    def handler(event, context):
        return {"statusCode": 200, "body": os.environ["PW"][::-1]}
"""})


@pytest.mark.core
def test_a_running_daemon_takes_changes_over(mayfly):
    daemon = mayfly(EXPLAINER)
    assert f"secret LATE is not set: mayfly secret set LATE --state {daemon.state}" in daemon.log
    assert daemon.get("/api/py").status == 500
    wait_version(daemon, "api/py", lambda: set_secret(daemon, "LATE", "first-value"))
    assert daemon.get("/api/py").text == "eulav-tsrif"
    wait_version(daemon, "api/py", lambda: set_secret(daemon, "LATE", "other-value"))
    assert daemon.get("/api/py").text == "eulav-rehto"
    wait_version(daemon, "api/py", lambda: daemon.cli("secret", "rm", "LATE", "--state", daemon.state))
    assert daemon.get("/api/py").status == 500


def test_values_survive_a_restart_and_another_secret_changes_no_version(mayfly):
    daemon = start(mayfly, EXPLAINER, {"LATE": "first-value"})
    before = version(daemon, "api/py")
    set_secret(daemon, "UNUSED", "x" * 20)
    n = daemon.log.count("no function has changed")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.count("no function has changed") > n)
    assert version(daemon, "api/py") == before
    control = next(pid for pid, comm in daemon.tree().items() if comm.startswith("mayfly-control"))
    os.kill(control, 9)
    wait_until(lambda: any(c.startswith("mayfly-control") and p != control for p, c in daemon.tree().items()))
    set_secret(daemon, "LATE", "after-that")
    wait_until(lambda: version(daemon, "api/py") != before)
    assert daemon.get("/api/py").text == "taht-retfa"


@pytest.mark.parametrize("spoil, complaint", [
    (lambda state: (state / "secrets.key").chmod(0o644), "others can read the key"),
    (lambda state: (state / "secrets.key").write_bytes(b"k" * 32), "another key"),
    (lambda state: (state / "secrets.key").unlink(), "is missing"),
    (lambda state: (state / "secrets" / "LATE").write_bytes(b"x" * 100), "is damaged"),
    (lambda state: os.rename(state / "secrets" / "OTHER", state / "secrets" / "LATE"), "is damaged"),
])
def test_what_cannot_be_opened_is_told(mayfly, spoil, complaint):
    daemon = start(mayfly, EXPLAINER, {"LATE": "first-value", "OTHER": "other-value"})
    assert daemon.get("/api/py").status == 200
    spoil(daemon.state)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: re.search(f"api/py is broken: .*{complaint}", daemon.log), complaint)
    wait_until(lambda: daemon.get("/api/py").status == 500, "the gateway knows")


@pytest.mark.core
def test_set_ls_rm(tmp_path):
    state = tmp_path / "state"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MAYFLY_STATE": str(state)}
    value = canary("cli")
    assert run_cli("secret", "ls", env=env).stdout == ""
    done = run_cli("secret", "set", "A", env=env, input=value + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "A is set\n")
    done = run_cli("secret", "set", "B", "--json", env=env, input=value)
    assert json.loads(done.stdout) == {"secret": "B", "done": "set", "state": str(state)}
    assert [line.split()[0] for line in run_cli("secret", "ls", env=env).stdout.splitlines()] == ["A", "B"]
    assert run_cli("secret", "ls", "--names", env=env).stdout == "A\nB\n"
    listed = json.loads(run_cli("secret", "ls", "--json", env=env).stdout)["secrets"]
    assert [s["name"] for s in listed] == ["A", "B"] and all(s["set"].startswith("20") for s in listed)
    assert files_with(state, value.encode()) == []
    modes = {str(p.relative_to(state)): stat.S_IMODE(p.stat().st_mode) for p in state.rglob("*")}
    assert modes == {"secrets": 0o700, "secrets.key": 0o600, "secrets/A": 0o600, "secrets/B": 0o600}
    assert run_cli("secret", "rm", "A", env=env).returncode == 0
    assert run_cli("secret", "rm", "A", env=env).returncode == 3
    assert run_cli("secret", "ls", "--names", env=env).stdout == "B\n"


@pytest.mark.parametrize("value, complaint", [("", "empty"), ("x" * 65537, "larger than"), ("a\0b", "NUL")])
def test_values_that_cannot_be_one(tmp_path, value, complaint):
    done = run_cli("secret", "set", "A", "--state", tmp_path, input=value)
    assert done.returncode == 2 and complaint in done.stderr
    assert not (tmp_path / "secrets" / "A").exists()


def test_a_project_has_its_secrets_where_its_daemon_looks(mayfly, tmp_path):
    if AS_ROOT:
        pytest.skip("root's are in /var/lib/mayfly: not for a test to write to")
    env = {"XDG_STATE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    daemon = mayfly(EXPLAINER, command="dev", env=env)
    assert "mayfly secret set LATE\n" in daemon.log
    wait_version(daemon, "api/py", lambda: daemon.cli("secret", "set", "LATE", "--project", daemon.project,
                                                      input="first-value"))
    assert daemon.get("/api/py").text == "eulav-tsrif"
    elsewhere = run_cli("secret", "set", "LATE", env={**daemon.env}, cwd=tmp_path, input="x")
    assert elsewhere.returncode == 3 and "--project" in elsewhere.stderr


@pytest.mark.skipif(not AS_ROOT, reason="only root can act for another user")
def test_what_root_sets_is_the_daemons_to_read(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    assert run_cli("secret", "set", "A", "--state", state, input="some-value").returncode == 0
    assert {p.stat().st_uid for p in state.rglob("*")} == {65534}


# ---- code that is loaded ahead of all requests ----

def test_a_missing_variable_at_load_is_explained(mayfly):
    daemon = start(mayfly, project({"api/py": {"env": {"PW": "${secret:S}"}}}, {"api/py.py": LOADER}),
                   {"S": canary("s")})
    error = json.loads(daemon.record(daemon.get("/api/py"))["stack"])
    assert error["errorType"] == "KeyError"
    assert '"secrets": "load"' in error["errorMessage"] and "'PW'" in error["errorMessage"]


def test_another_missing_variable_is_not(mayfly):
    daemon = start(mayfly, project({"api/py": {"env": {"X": "${secret:S}"}}}, {"api/py.py": LOADER}),
                   {"S": canary("s")})
    assert json.loads(daemon.record(daemon.get("/api/py"))["stack"])["errorMessage"] == "'PW'"


# ---- the terminal ----

class Terminal:
    """`mayfly secret set` in a terminal of its own."""

    def __init__(self, state):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
            os.execv(MAYFLY, [str(MAYFLY), "secret", "set", "A", "--state", str(state)])
        self.shown = ""

    def expect(self, text):
        end = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.fd, 4096).decode()
                except OSError:  # it has ended
                    assert text in self.shown, self.shown
        return self

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, text):
        wait_until(lambda: not self.echoes(), "the echo is off")
        os.write(self.fd, text.encode())
        return self

    def code(self):
        end = time.monotonic() + 60
        while (done := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                process.end(self.pid)
                raise AssertionError(f"it does not end: {self.shown}")
            time.sleep(0.01)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(done[1])


@pytest.mark.core
def test_a_terminal_asks_twice_and_shows_nothing(tmp_path):
    value = canary("tty")
    terminal = Terminal(tmp_path).expect("not shown): ").type(value + "\n").expect("again: ").type(value + "\n")
    terminal.expect("A is set")
    assert value not in terminal.shown and terminal.code() == 0
    assert (tmp_path / "secrets" / "A").stat().st_size == 44 + len(value)


def test_two_values_that_differ_are_not_set(tmp_path):
    terminal = Terminal(tmp_path).expect("not shown): ").type("value-one\n").expect("again: ").type("value-two\n")
    terminal.expect("not the same")
    assert terminal.code() == 2
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("key, status", [("\x03", -2), ("\x04", 1)])
def test_a_terminal_has_its_echo_back(tmp_path, key, status):
    terminal = Terminal(tmp_path).expect("not shown): ")
    wait_until(lambda: not terminal.echoes())
    keep = os.dup(terminal.fd)
    terminal.type(key)
    assert terminal.code() == status
    assert termios.tcgetattr(keep)[3] & termios.ECHO
    os.close(keep)
