"""`mayfly token` and `mayfly dashboard` against a daemon: who gets in by the admin listener."""
import http.client
import json
import re
import subprocess
import urllib.parse

import pytest

from lib.daemon import MAYFLY
from lib.observed import PROJECT as OBSERVED, wait_lines
from lib.process import wait_until

PROJECT = {"api/x.py": "def handler(event, context):\n    return {'statusCode': 200, 'body': ''}\n"}


@pytest.fixture
def daemon(mayfly):
    return mayfly(PROJECT, "--admin-listen", "127.0.0.1:0")


def url(daemon):
    return "http://%s:%d" % daemon.admin


def by_token(daemon, token, *arguments, code=0):
    env = {"MAYFLY_URL": url(daemon), **({"MAYFLY_TOKEN": token} if token else {})}
    return daemon.cli(*arguments, env=env, code=code)


@pytest.mark.core
def test_a_token_lets_in_until_it_is_removed(daemon):
    done = daemon.cli("token", "create", "laptop")
    token = done.stdout.strip()
    assert token.startswith("mf_") and "only time" in done.stderr
    row = daemon.cli("token", "ls").stdout.splitlines()[1].split()
    assert row[0] == "laptop" and row[-1] == "never"
    assert daemon.cli("token", "ls", "--names").stdout == "laptop\n"
    assert token not in daemon.cli("token", "ls", "--json").stdout
    for verb in (["ps"], ["logs"], ["records"], ["usage"], ["top", "--once"], ["inspect"], ["token", "ls"]):
        assert by_token(daemon, token, *verb).returncode == 0
    assert daemon.cli("token", "create", "laptop", code=5).stdout == ""
    assert daemon.cli("token", "rm", "laptop").returncode == 0
    assert daemon.cli("token", "rm", "laptop", code=3).stdout == ""
    wait_until(lambda: by_token(daemon, token, "ps", code=None).returncode == 4, "the token does not hold any more")
    assert daemon.cli("token", "ls", "--names").stdout == ""


@pytest.mark.core
@pytest.mark.parametrize("token", [None, "mf_nonsense"])
def test_nobody_gets_in_without(daemon, token):
    for verb in (["ps"], ["logs"], ["logs", "-f"], ["records"], ["usage"], ["top", "--once"], ["top"],
                 ["token", "ls"], ["trace", "last"]):
        done = by_token(daemon, token, *verb, code=4)
        assert done.stdout == ""
        assert "MAYFLY_TOKEN" in done.stderr


@pytest.mark.core
def test_by_a_token_logs_are_followed_and_functions_called(mayfly):
    daemon = mayfly(OBSERVED, "--admin-listen", "127.0.0.1:0")
    token = json.loads(daemon.cli("token", "create", "x", "--json").stdout)["token"]
    daemon.get("/hello?name=first")
    wait_lines(daemon, 2)
    env = {**daemon.env, "MAYFLY_URL": url(daemon), "MAYFLY_TOKEN": token}
    with subprocess.Popen([MAYFLY, "logs", "-f", "hello", "--stream", "stdout"], env=env, text=True,
                          stdout=subprocess.PIPE) as following:
        assert following.stdout.readline().endswith("| hello first\n")
        daemon.get("/hello?name=second")
        assert following.stdout.readline().endswith("| hello second\n")
        following.terminate()
    done = by_token(daemon, token, "invoke", "hello", "-d", "{}")
    assert json.loads(done.stdout)["statusCode"] == 200


def get(address, cookie=None):
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.request("GET", target, headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    response.read()
    return response


@pytest.mark.core
def test_the_dashboards_address_lets_in_once(daemon):
    done = daemon.cli("dashboard", "--no-open")
    assert "lets in once" in done.stderr
    address = done.stdout.strip()
    assert address.startswith(url(daemon) + "/login?code=")
    first = get(address)
    assert (first.status, first.getheader("Location")) == (303, "/")
    cookie = first.getheader("Set-Cookie").split(";")[0]
    assert get(address).status != 303
    assert get(url(daemon) + "/api/v1/system").status == 401
    wait_until(lambda: get(url(daemon) + "/api/v1/system", cookie).status == 200, "the session holds")
    done = daemon.cli("dashboard", "--print")
    assert done.stderr == "" and done.stdout.strip() != address
    assert json.loads(daemon.cli("dashboard", "--json").stdout)["url"].startswith(url(daemon))


def test_the_desktop_is_asked_to_open_it(daemon, tmp_path):
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho chatter\nprintf %s "$1" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    path = f"{tmp_path}:{daemon.env['PATH']}"
    done = daemon.cli("dashboard", env={"PATH": path, "DISPLAY": ":7"})
    assert done.stdout.strip() == (tmp_path / "opened").read_text()
    (tmp_path / "opened").unlink()
    for arguments, env in ((["--no-open"], {"DISPLAY": ":7"}), (["--print"], {"DISPLAY": ":7"}), ([], {"DISPLAY": ""})):
        daemon.cli("dashboard", *arguments, env={"PATH": path, "WAYLAND_DISPLAY": "", **env})
        assert not (tmp_path / "opened").exists()
    opener.write_text("#!/bin/sh\nexit 3\n")
    assert "could not open it" in daemon.cli("dashboard", env={"PATH": path, "DISPLAY": ":7"}).stderr


@pytest.mark.core
def test_dev_prints_an_address_that_lets_in_once(mayfly):
    daemon = mayfly(PROJECT, "--admin-listen", "127.0.0.1:0", command="dev")
    address = wait_until(lambda: re.search(r"^dashboard (http://\S+/login\?code=\S+) ", daemon.log, re.M))[1]
    assert address.startswith(url(daemon))
    assert get(address).status == 303
    assert get(address).status != 303


def test_dev_without_an_admin_listener_prints_none(mayfly):
    daemon = mayfly(PROJECT, command="dev")
    daemon.get("/api/x")
    assert "dashboard" not in daemon.log


def test_without_an_admin_listener_there_is_no_dashboard(mayfly):
    daemon = mayfly(PROJECT)
    done = daemon.cli("dashboard", code=None)
    assert done.returncode != 0 and done.stdout == ""
