"""The command-line tool without a daemon: the table of commands and what is made of it."""
import json
import os
import re
import shutil
import subprocess

import pytest

from lib.daemon import MAYFLY, run_cli

EXITS = {"ok": 0, "failure": 1, "usage": 2, "not_found": 3, "auth": 4, "conflict": 5, "function": 6,
         "timeout": 7, "unreachable": 8}
COMMANDS = {"init", "dev", "serve", "invoke", "ps", "top", "logs", "trace", "records", "replay", "usage", "inspect", "secret",
            "token", "dashboard", "doctor", "completion", "help", "version"}


@pytest.fixture(scope="module")
def tree():
    return json.loads(run_cli("help", "--json").stdout)


@pytest.fixture
def alone(tmp_path):
    """An environment in which no daemon is known."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.mark.core
def test_help_names_every_command(tree):
    text = run_cli("--help").stdout
    assert {command["name"] for command in tree["commands"]} == COMMANDS
    for command in tree["commands"]:
        assert re.search(rf"^  {command['name']} +{re.escape(command['summary'])}$", text, re.M)


@pytest.mark.core
def test_help_of_a_command_names_its_options(tree):
    for command in tree["commands"]:
        done = run_cli(command["name"], "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == run_cli("help", command["name"]).stdout
        assert done.stdout.startswith(f"usage: mayfly {command['name']} ")
        for option in command["options"]:
            letter = f"-{option['letter']}, " if option["letter"] else ""
            value = f" {option['value']}" if option["value"] else ""
            assert re.search(rf"^ +{letter}--{option['name']}{re.escape(value)} ", done.stdout, re.M)
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_letters_and_names_are_unique(tree):
    for command in tree["commands"]:
        for key in ("letter", "name"):
            values = [option[key] for option in command["options"] if option[key]]
            assert len(set(values)) == len(values), command["name"]


def test_exit_codes_are_documented(tree):
    assert tree["exits"] == EXITS
    text = run_cli("--help").stdout
    manual = run_cli("help", "--man").stdout
    for code in EXITS.values():
        assert re.search(rf"^  {code} +\w", text, re.M)
        assert f"\n.B {code}\n" in manual


@pytest.mark.core
@pytest.mark.parametrize("arguments, code", [
    ([], 2),
    (["--nonsense"], 2),
    (["nonsense"], 2),
    (["help", "nonsense"], 2),
    (["ps", "--nonsense"], 2),
    (["ps", "operand"], 2),
    (["invoke"], 2),
    (["invoke", "f", "-d"], 2),
    (["invoke", "f", "-d", "{"], 2),
    (["invoke", "f", "-d", "1 2"], 2),
    (["invoke", "f", "-d", "{}", "--event", "x"], 2),
    (["invoke", "f", "--event", "/nonexistent"], 3),
    (["invoke", "f", "--timeout", "soon"], 2),
    (["invoke", "f" * 300], 2),
    (["invoke", "f", "-d", "{}"], 8),
    (["ps"], 8),
    (["ps", "--state", "/nonexistent"], 8),
    (["serve", "/nonexistent"], 3),
    (["serve", "/etc/passwd"], 2),
    (["serve", "--listen", "nowhere"], 2),
    (["serve", "--listen", "127.0.0.1:65536"], 2),
    (["serve", "--listen", "[::1:80"], 2),
    (["serve", "--workers-max", "0"], 2),
    (["serve", "--drain-timeout", "-1"], 2),
    (["serve", "--body-max", "much"], 2),
    (["serve", "--env", "=x"], 2),
    (["serve", "--env", "A B=x"], 2),
    (["dev", "--color", "purple"], 2),
    (["completion", "tcsh"], 2),
    (["init", "x"], 2),
    (["init", "x", "--lang", "cobol"], 2),
    (["init", "x", "--lang", "c", "--name", "../x"], 2),
    (["inspect", "--project", "/nonexistent"], 3),
    (["secret"], 2),
    (["secret", "show"], 2),
    (["secret", "set"], 2),
    (["secret", "ls", "X"], 2),
    (["secret", "set", "../x", "--state", "/nonexistent"], 2),
    (["secret", "rm", "X", "--state", "/nonexistent"], 3),
    (["secret", "ls", "--project", "/nonexistent"], 3),
    (["secret", "ls", "--project", "/", "--state", "/"], 2),
    (["top"], 8),
    (["top", "--once"], 8),
    (["top", "--interval", "often"], 2),
    (["logs"], 8),
    (["logs", "f", "g"], 2),
    (["logs", "--since", "soon"], 2),
    (["logs", "--lines", "many"], 2),
    (["logs", "--lines", "1001"], 2),
    (["logs", "--lines", "1001", "--since", "1h"], 8),
    (["logs", "--stream", "stdin"], 2),
    (["logs", "--follow", "--until", "1h"], 2),
    (["logs", "--follow"], 8),
    (["trace"], 2),
    (["trace", "nonsense"], 2),
    (["trace", "0192abc"], 2),
    (["trace", "0192abcd-0192-7abc-8abc-0192abcd0192-"], 8),
    (["trace", "0192abcd-0192-7abc-8abc-0192abcd01923"], 2),
    (["trace", "last"], 8),
    (["logs", "--request", "nonsense"], 2),
    (["replay"], 2),
    (["replay", "nonsense"], 2),
    (["replay", "last"], 8),
    (["records"], 8),
    (["records", "--outcome", "good"], 2),
    (["records", "--min", "long"], 2),
    (["records", "--limit", "-1"], 2),
    (["usage"], 8),
    (["usage", "--by", "hour"], 2),
    (["usage", "--price", "/nonexistent"], 3),
    (["usage", "--price", "/etc/passwd"], 2),
    (["token"], 2),
    (["token", "show"], 2),
    (["token", "create"], 2),
    (["token", "ls", "x"], 2),
    (["token", "ls"], 8),
    (["dashboard"], 8),
    (["dashboard", "--url", "http://127.0.0.1:1"], 2),
    (["version"], 0),
    (["--version"], 0),
])
def test_exit_code(alone, arguments, code):
    done = run_cli(*arguments, env=alone)
    assert done.returncode == code, done
    if code:
        assert done.stdout == ""
        assert done.stderr.startswith(("mayfly: ", "usage: "))
    if not code or not arguments:
        return
    done = run_cli(*arguments, "--json", env=alone)
    if done.stdout:  # the command was known
        error = json.loads(done.stdout)["error"]
        assert (error["exit"], EXITS[error["code"]], done.returncode) == (code, code, code)
        assert done.stderr == ""


def test_message_says_what_to_do(alone):
    done = run_cli("ps", env=alone)
    assert done.stderr == ("mayfly: ps: no daemon of yours is running; start one with `mayfly dev`, or name its "
                           "state folder with --state\n")


def test_message_has_no_control_characters(alone):
    done = run_cli("serve", "/no\x1b[31m\r\u202esuch", env=alone)
    assert done.returncode == 3
    assert "\x1b" not in done.stderr and "\r" not in done.stderr and "\u202e" not in done.stderr


@pytest.mark.parametrize("env, arguments, colored", [
    ({}, [], False),  # no terminal
    ({"FORCE_COLOR": "1"}, [], True),
    ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
    ({"FORCE_COLOR": "1", "NO_COLOR": ""}, [], True),
    ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ({"FORCE_COLOR": "1"}, ["--color=never"], False),
])
def test_color(alone, env, arguments, colored):
    done = run_cli("doctor", *arguments, env={**alone, **env})
    assert ("\x1b[" in done.stdout) == colored


@pytest.mark.core
def test_doctor(alone):
    done = run_cli("doctor", "--json", env=alone)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert {"kernel", "pidfd", "open files", "cc", "python3", "node", "perl"} <= set(checks)
    assert checks["kernel"]["health"] == checks["pidfd"]["health"] == "ok"
    assert all(c["use"] and c["detail"].strip() and (c["mend"] or c["health"] == "ok") for c in checks.values())
    assert done.returncode == (1 if report["worst"] == "broken" or report["sandbox"]["missing"] else 0)
    text = run_cli("doctor", env=alone).stdout
    assert all(re.search(rf"^{c['health']} +{c['name']} ", text, re.M) for c in checks.values())


def test_doctor_misses_programs(alone, tmp_path):
    checks = json.loads(run_cli("doctor", "--json", env={**alone, "PATH": str(tmp_path)}).stdout)["checks"]
    found = {check["name"]: check["health"] for check in checks}
    assert [found[name] for name in ("cc", "python3", "node", "perl")] == 4 * ["missing"]


def test_doctor_does_not_wait_for_ever(alone, tmp_path):
    (tmp_path / "perl").write_text("#!/bin/sh\ntrap '' TERM PIPE\nwhile :; do sleep 1; done\n")
    (tmp_path / "perl").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    checks = json.loads(run_cli("doctor", "--json", env={**alone, "PATH": path}).stdout)["checks"]
    assert next(check for check in checks if check["name"] == "perl")["health"] == "warn"


def test_doctor_says_that_python_is_old(alone, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho Python 3.7.9\n")
    old.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    checks = json.loads(run_cli("doctor", "--json", env={**alone, "PATH": path}).stdout)["checks"]
    python = next(check for check in checks if check["name"] == "python3")
    assert (python["health"], python["detail"]) == ("warn", "Python 3.7.9")


@pytest.mark.core
@pytest.mark.parametrize("lang, files", [
    ("python", {"api/greet-me.py", "mayfly.json"}),
    ("c", {"greet-me.c", "mayfly.json"}),
    ("exec", {"greet-me.sh", "mayfly.json"}),
])
def test_init(tmp_path, lang, files):
    done = run_cli("init", tmp_path / "new", "--lang", lang, "--name", "greet-me")
    assert done.returncode == 0, done
    new = tmp_path / "new"
    assert {str(p.relative_to(new)) for p in new.rglob("*") if p.is_file()} == files
    assert done.stdout.splitlines() == [f"mayfly dev {new}", "curl http://127.0.0.1:8080/api/greet-me"]
    json.loads((new / "mayfly.json").read_text())
    assert "@" not in "".join(p.read_text() for p in new.rglob("*") if p.is_file())


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "mayfly.json").write_text("mine")
    done = run_cli("init", tmp_path, "--lang", "python", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (5, "conflict")
    assert [p.name for p in tmp_path.iterdir()] == ["mayfly.json"]
    assert (tmp_path / "mayfly.json").read_text() == "mine"


def test_init_does_not_follow_a_dangling_link(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mayfly.json").symlink_to(tmp_path / "elsewhere")
    assert run_cli("init", tmp_path / "p", "--lang", "exec").returncode == 5
    assert not (tmp_path / "elsewhere").exists()


def test_notes_of_dead_daemons_are_ignored(alone, tmp_path):
    notes = tmp_path / "mayfly"
    notes.mkdir()
    (notes / "4194304").write_text(str(tmp_path))  # above the largest PID
    (notes / "1").write_text(str(tmp_path))  # runs, but nobody listens there
    (notes / "x").write_text("\xff" * 5000)
    assert run_cli("ps", env=alone).returncode == 8
    assert sorted(p.name for p in notes.iterdir()) == ["1", "x"]


def test_stdout_that_takes_nothing_is_a_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([MAYFLY, "help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr


# ---- completions and manual pages ----

def bash_complete(*words):
    script = run_cli("completion", "bash").stdout
    call = "COMP_WORDS=(" + " ".join(f"'{w}'" for w in ("mayfly", *words)) + f"); COMP_CWORD={len(words)}\n"
    done = subprocess.run(["bash", "-c", script + call + '_mayfly; printf "%s\\n" "${COMPREPLY[@]}"'],
                          capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completion(tree):
    assert bash_complete("") >= COMMANDS
    assert bash_complete("in") == {"init", "inspect", "invoke"}
    for command in tree["commands"]:
        assert bash_complete(command["name"], "--") == {f"--{o['name']}" for o in command["options"]}
    assert bash_complete("init", "--lang", "") == {"python", "node", "c", "exec", "ruby", "php", "perl"}
    assert bash_complete("secret", "") == {"set", "ls", "rm"}
    assert bash_complete("token", "") == {"create", "ls", "rm"}
    assert bash_complete("logs", "--stream", "") == {"stdout", "stderr", "system"}
    assert bash_complete("help", "ser") == {"serve"}
    assert bash_complete("completion", "") == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_of_other_shells(tree, shell):
    script = run_cli("completion", shell).stdout
    for command in tree["commands"]:
        assert command["name"] in script
        for option in command["options"]:
            assert f"-l {option['name']} " in script if shell == "fish" else f"--{option['name']}" in script
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed: only the words were looked at")
    subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, timeout=30, check=True)


def test_manual_pages(tree):
    for command in ["", *(command["name"] for command in tree["commands"])]:
        page = run_cli("help", *([command] if command else []), "--man").stdout
        assert page.startswith(f".TH MAYFLY{'-' if command else ''}{command} 1 ")
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION"):
            assert f"\n.SH {section}\n" in page
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, text=True,
                                  capture_output=True, timeout=30, check=True)
            assert done.stderr == "", command
