"""What README.md promises is there."""
import json
import re
import shutil
import subprocess

import pytest

from lib.daemon import BUILD, ROOT, SANITIZED, run_cli

README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="only the build was copied")


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_links_lead_somewhere(text):
    for page in (README, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_dev_has_the_commands(text):
    listed = subprocess.run([ROOT / "dev"], capture_output=True, text=True, check=True).stdout
    for page in (text, (ROOT / "CONTRIBUTING.md").read_text()):
        for command in set(re.findall(r"\./dev ([a-z]+)", page)):
            assert re.search(rf"^  {command} ", listed, re.M), command


def test_dev_refuses_other_commands():
    done = subprocess.run([ROOT / "dev", "nonsense"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such command: nonsense" in done.stderr


def test_mayfly_has_the_commands(text):
    known = {command["name"] for command in json.loads(run_cli("help", "--json").stdout)["commands"]}
    named = re.search(r"`mayfly ([a-z |]+)`", text)[1].split(" | ")
    assert set(named) <= known
    assert set(re.findall(r"^(?:build/)?mayfly ([a-z]+)", text, re.M)) <= known


def test_first_function_is_what_init_writes(text, tmp_path):
    command = re.search(r"^mayfly (init .*)$", text, re.M)[1].split()
    assert run_cli(*command, cwd=tmp_path).returncode == 0
    shown = re.search(r"```python\n(.*?)```", text, re.S)[1]
    assert shown in (tmp_path / "hello" / "api" / "hello.py").read_text()


def test_exit_codes(text):
    exits = json.loads(run_cli("help", "--json").stdout)["exits"]
    assert set(re.findall(r"\| (\d) \| \w", text)) == {str(code) for code in exits.values()}


def test_packages_are_named_once_a_group():
    groups = {}
    for line in (ROOT / "packaging" / "apt-packages.txt").read_text().splitlines():
        if line.startswith("["):
            group = groups.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+( /\S+)?", line), line
            group.append(line.split()[0])
    assert set(groups) == {"build", "test", "languages", "fuzz", "lint", "bench", "web"}
    assert all(sorted(set(names)) == sorted(names) for names in groups.values())


def test_installed_mayfly_finds_its_parts(mayfly, tmp_path, monkeypatch):
    if not (BUILD / "build.ninja").exists() or not shutil.which("meson"):
        pytest.skip("no build folder to install from")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp_path], check=True,
                   stdout=subprocess.DEVNULL, timeout=120)
    program, = tmp_path.rglob("bin/mayfly")
    monkeypatch.setattr("lib.daemon.MAYFLY", program)
    hosted = [lang for lang in ("ruby", "php", "perl") if (BUILD / "lib" / lang).exists() and not SANITIZED]
    for lang in ("python", "c", "exec", *hosted):
        subprocess.run([program, "init", tmp_path / lang, "--lang", lang], check=True, capture_output=True)
        assert mayfly(tmp_path / lang).get("/api/hello").text.startswith("Hello"), lang
