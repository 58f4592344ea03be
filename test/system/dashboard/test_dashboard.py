"""The dashboard in a real Chromium, against a running mayfly with real requests. The cases are in web/test/cases.mjs."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from lib import process
from lib.cache import filled
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
}


def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium on PATH (Debian: chromium)")
    return path


def modules():
    """npm's packages for the tests: playwright-core and axe-core, as web/package-lock.json names them."""
    lock = ROOT / "web" / "package-lock.json"

    def fill(folder):
        if not shutil.which("npm"):
            pytest.skip("there is no npm on PATH to fetch playwright-core with")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / "web" / name, folder)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder,
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch playwright-core: {done.stderr.strip()[-300:]}")

    return filled("npm-dashboard-" + hashlib.sha256(lock.read_bytes()).hexdigest()[:16], fill) / "node_modules"


def start(project, folder):
    return Daemon(project, "--admin-listen", "127.0.0.1:0", allow_degraded=True, env={"HOME": str(folder)})


def described(daemon):
    return {"url": daemon.url, "admin": "http://%s:%d" % daemon.admin,
            "login": daemon.cli("dashboard", "--print").stdout.strip()}


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

    def fresh():
        daemons.append(start({"api/hello.py": HELLO}, home))
        return described(daemons[-1])

    answers = {"kill control": lambda: kill_control(daemons[0]), "fresh server": fresh}
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
