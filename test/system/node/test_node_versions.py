"""Which node a project gets of those that are installed, and that it is tried out only once."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lib import npm
from lib.process import wait_until

SAYS = "module.exports = (req, res) => res.end(process.versions.node);"


@pytest.fixture(autouse=True)
def node():
    return npm.node()


def version_of(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def nvm(tmp_path):
    """A folder as nvm has it, with Node.js 18 and 22 in it; (its environment, their versions)."""
    versions = []
    for major in (18, 22):
        program = npm.node_of(major)
        versions.append(version_of(program))
        link = tmp_path / "versions/node" / versions[-1] / "bin/node"
        link.parent.mkdir(parents=True)
        link.symlink_to(program)
    tmp_path.chmod(0o755)
    return {"NVM_DIR": str(tmp_path)}, [version.lstrip("v") for version in versions]


def said(daemon, path="/api/one"):
    return daemon.get(path).text


def message(daemon):
    response = daemon.get("/api/one")
    assert response.status == 500
    return response.json()["errorMessage"]


def test_nvmrc_chooses_among_the_installed_nodes(mayfly, nvm, node):
    env, (old, new) = nvm
    default = version_of(node).lstrip("v")
    daemon = mayfly({"api/one.js": SAYS, ".nvmrc": "18\n"}, command="dev", env=env)
    assert said(daemon) == old
    for text, version in ((f"# ours\nv{new}\n", new), ("22.x", new), ("lts/hydrogen", old), ("system", default),
                          (default.split(".")[0], default)):
        (daemon.project / ".nvmrc").write_text(text)
        wait_until(lambda version=version: said(daemon) == version, f"{text!r} gives {version}", 60)


def test_node_version_is_read_too_and_mayfly_json_goes_first(mayfly, nvm, node):
    env, (old, new) = nvm
    daemon = mayfly({"api/one.js": SAYS, ".node-version": f"{new}\n"}, command="dev", env=env)
    assert said(daemon) == new
    daemon = mayfly({"api/one.js": SAYS, ".node-version": new, "mayfly.json": {"node": str(npm.node_of(18))}},
                    command="dev", env=env)
    assert said(daemon) == old


@pytest.mark.core
@pytest.mark.parametrize("file, text, told", [
    (".nvmrc", "99", r"\.nvmrc: there is no Node\.js 99 here, only \d+\.\d+\.\d+.*; install it \(nvm install 99\)"),
    (".node-version", "18.99.1\n", r"\.node-version: there is no Node\.js 18\.99\.1 here, only .*nvm install 18\.99\.1"),
    (".nvmrc", "\x1bnewer", r"\.nvmrc: \S*newer\S* is no version; write one as in 20"),
    (".nvmrc", "", r"\.nvmrc: \S* is no version"),
    (".nvmrc", "lts/argon", r"\.nvmrc: \S* is no version"),
])
def test_what_is_not_there_or_no_version_is_told_with_the_file(mayfly, file, text, told):
    daemon = mayfly({"api/one.js": SAYS}, command="dev", prepare=lambda path: (path / file).write_text(text))
    assert re.search(told, message(daemon)), message(daemon)
    assert "\x1b" not in message(daemon)


@pytest.mark.parametrize("ending, module", [("mts", True), ("cts", False), ("ts", True)])
def test_typescript_by_all_its_endings(mayfly, ending, module):
    text = "const word: string = 'typed';\n"
    text += "export default (req: unknown, res: any) => res.end(word);" if module else \
            "module.exports = (req: unknown, res: any) => res.end(word);"
    daemon = mayfly({"mayfly.json": {"node": str(npm.node_of(24))}, f"api/one.{ending}": text,
                     f"api/types.d.{ending}": "export default 1;"}, command="dev")
    assert said(daemon) == "typed"
    assert daemon.get("/api/types").status == 404


# ---- the canary ----


class Inspected:
    """`mayfly inspect` of a project with a node of its own, which a test may touch."""

    def __init__(self, mayfly, folder, node):
        self.program = folder / "bin/node"
        self.program.parent.mkdir()
        shutil.copy(os.path.realpath(node), self.program)
        self.cache = folder / "cache"
        self.daemon = mayfly({"mayfly.json": {"node": str(self.program)}, "api/one.js": SAYS}, wait=False)
        time.sleep(0.3)  # what has changed just now is not kept

    def __call__(self, **env):
        told = self.daemon.cli("inspect", "--project", self.daemon.project, "api/one", "--json",
                               env={"XDG_CACHE_HOME": str(self.cache), **env}).stdout
        return json.loads(told)["functions"][0]["about"]

    def kept(self):
        return sorted(self.cache.rglob("checked-*"))

    def claim(self, version):
        """Makes what is kept say another version, so that it can be told from the truth."""
        [kept] = self.kept()
        kept.write_text(kept.read_text().replace(f"\n{self.version}\n", f"\n{version}\n"))

    @property
    def version(self):
        return version_of(self.program).lstrip("v")


@pytest.fixture
def inspected(mayfly, tmp_path, node):
    with open(node, "rb") as file:
        if file.read(4) != b"\x7fELF":
            pytest.skip(f"{node} is no program of its own")
    return Inspected(mayfly, tmp_path, node)


def test_a_canary_that_sang_is_not_asked_again_for_the_same_node(inspected):
    if inspected()["workers"] != "forked":
        pytest.skip("node cannot be forked here")
    assert inspected()["interpreter_version"] == inspected.version
    inspected.claim("97.0.0")
    assert inspected()["interpreter_version"] == "97.0.0"  # so it was not asked


@pytest.mark.parametrize("change", ["times", "content", "environment", "closed"])
def test_it_is_asked_again_when_anything_has_changed(inspected, change):
    if inspected()["workers"] != "forked":
        pytest.skip("node cannot be forked here")
    inspected.claim("97.0.0")
    env = {}
    if change == "times":
        os.utime(inspected.program)
    elif change == "content":
        other = inspected.program.with_name("other")
        shutil.copy(inspected.program, other)
        os.utime(other, ns=(0, inspected.program.stat().st_mtime_ns))
        other.replace(inspected.program)
    elif change == "environment":
        env = {"NODE_OPTIONS": "--no-warnings"}
    else:
        inspected.kept()[0].chmod(0o666)  # another might have written it
    assert inspected(**env)["interpreter_version"] == inspected.version


def test_that_it_cannot_be_forked_is_not_kept(inspected):
    assert "MAYFLY_NODE_FORK=0" in inspected(MAYFLY_NODE_FORK="0")["workers"]
    assert inspected.kept() == []


def test_what_is_kept_and_makes_no_sense_is_not_believed(inspected):
    if inspected()["workers"] != "forked":
        pytest.skip("node cannot be forked here")
    [kept] = inspected.kept()
    whole = kept.read_text()
    for text in ("", "\n" * 9, whole[:100], whole.replace(" 1 ", " 2 ", 1), whole.replace(str(inspected.program), "/bin/sh"),
                 "x" * 70000, whole.split("\n", 1)[0] + "\n\n/bin/sh\n97.0.0\nfork\n\n"):
        kept.write_text(text)
        told = inspected()
        assert (told["interpreter_version"], told["workers"]) == (inspected.version, "forked"), json.dumps(text)
