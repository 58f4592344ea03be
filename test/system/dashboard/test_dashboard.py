"""The dashboard in a real Chromium, against a running mayfly with real requests. The cases are in web/test/cases.mjs."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from lib import process
from lib.browser import chromium, modules
from lib.daemon import BUILD, ROOT, Daemon
from lib.npm import node

CASES = re.findall(r"^export async function (\w+)\(", (ROOT / "web" / "test" / "cases.mjs").read_text(), re.M)
# MAYFLY_DASHBOARD_CASES="name name" runs only these, for who works on one.
SECONDS = 900  # for all cases, on a machine that is busy with others
HELLO = """
    def handler(event, context):
        name = (event.get("queryStringParameters") or {}).get("name", "world")
        print("greeting", name)
        return {"statusCode": 200, "body": f"hello {name}\\n"}
"""
PROJECT = {
    "api/hello.py": HELLO,
    "api/slow.py": """
        import time

        def handler(event, context):
            time.sleep(float(event["queryStringParameters"]["seconds"]))
            return {"statusCode": 200, "body": "slept"}
    """,
    "api/broken.py": """
        def handler(event, context):
            print("about to fail")
            raise ValueError("no such tea")
    """,
    "api/users/[id].py": HELLO,
    "api/clock.py": """
        import time

        def handler(event, context):
            return {"statusCode": 200, "body": f"it is {time.monotonic()}"}
    """,
    "mayfly.json": {"defaults": {"recording": 4096}},
}


def start(project, folder, **env):
    return Daemon(project, "--admin-listen", "127.0.0.1:0", allow_degraded=True, env={"HOME": str(folder), **env})


def described(daemon):
    return {"url": daemon.url, "admin": "http://%s:%d" % daemon.admin,
            "login": daemon.cli("dashboard", "--print").stdout.strip()}


def plain_page(home):
    """What a mayfly that was built without npm has."""
    folder = home / "plain"
    (folder / "assets").mkdir(parents=True)
    shutil.copy(ROOT / "web" / "plain" / "index.html", folder)
    for path in ("plain/plain.js", "plain/plain.css", "src/icon.svg"):
        shutil.copy(ROOT / "web" / path, folder / "assets")
    return folder


def kill_control(daemon):
    pid = next(pid for pid, name in daemon.tree().items() if "control" in name)
    os.kill(pid, signal.SIGKILL)
    return {}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Runs all cases once: {name: error or None}."""
    if "dashboard_is_full = true" not in (BUILD / "web" / "dashboard-files.c").read_text():
        pytest.skip("mayfly was built without npm: it has the plain page")
    command = [node(), ROOT / "web" / "test" / "browser.mjs", modules(), chromium(),
               *os.environ.get("MAYFLY_DASHBOARD_CASES", "").split()]
    home = tmp_path_factory.mktemp("home")
    daemons = [start(PROJECT, home)]

    def another(**env):
        daemons.append(start({"api/hello.py": HELLO}, home, **env))
        return described(daemons[-1])

    answers = {"kill control": lambda: kill_control(daemons[0]), "login": lambda: described(daemons[0])["login"],
               "fresh server": another, "plain server": lambda: another(MAYFLY_UI_DIR=str(plain_page(home)))}
    found = {}
    errors = open(home / "stderr", "w+")
    browser = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                               env={**os.environ, "HOME": str(home)}, preexec_fn=process.die_with_parent,
                               start_new_session=True)
    # Chromium is many processes: whatever happens, none of them stays.
    watchdog = subprocess.Popen(["sh", "-c", f"sleep {SECONDS}; kill -9 -{browser.pid}"], start_new_session=True)
    try:
        send(browser, described(daemons[0]))
        for line in browser.stdout:
            message = json.loads(line)
            if "ask" in message:
                send(browser, answers[message["ask"]]())
            else:
                found[message["case"]] = message.get("error")
        browser.wait(30)
        errors.seek(0)
        found.setdefault("", errors.read()[-3000:] if len(found) < len(CASES) else None)
        yield found
    finally:
        for group in (browser, watchdog):
            try:
                os.killpg(group.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            group.wait()
        for daemon in daemons:
            daemon.stop()
            daemon.remove()


def send(browser, message):
    browser.stdin.write(json.dumps(message) + "\n")
    browser.stdin.flush()


@pytest.mark.parametrize("case", CASES)
def test_dashboard(results, case):
    if case not in results and os.environ.get("MAYFLY_DASHBOARD_CASES"):
        pytest.skip("it is not among MAYFLY_DASHBOARD_CASES")
    assert case in results, f"the browser did not come so far: {results['']}"
    assert results[case] is None, results[case]
