"""Packages of pip and npm: installed once for each set, behind walls, kept, and offline after that.

Most packages here are made by the tests themselves, so that they take no network."""
import base64
import ctypes
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile

import pytest

from lib.daemon import BUILD, ROOT, run_cli
from lib.process import wait_until

sys.path.insert(0, str(ROOT / "runtimes/python"))
import deps  # noqa: E402  (the part that reads a project's files)

try:
    from pip._internal.models.index import PyPI
    DEFAULT_INDEX = PyPI.simple_url
except ImportError:
    DEFAULT_INDEX = "https://index.example/simple"

needs_npm = pytest.mark.skipif(not shutil.which("npm") or not shutil.which("node"), reason="there is no npm here")
needs_pip = pytest.mark.skipif(subprocess.run(["python3", "-c", "import venv, ensurepip"], check=False,
                                              capture_output=True).returncode != 0,
                               reason="this Python has no ensurepip: apt install python3-venv")
SHOW = """
    import {0}
    def handler(event, context):
        return {0}.__version__ + " " + {0}.__file__
    """


def wheel(folder, name="tiny", version="1.0", source=None):
    """A package without any dependency."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", source or f"__version__ = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            file.addfile(member, io.BytesIO(text.encode()))
    return path


def builds(daemon):
    return daemon.log.count("build.start")


def broken(daemon, path):
    answer = daemon.get(path)
    assert answer.status == 500, answer
    return answer.json()["errorMessage"]


# ---- Python ----

@needs_pip
@pytest.mark.core
def test_requirements_are_installed_once_and_shared(mayfly):
    daemon = mayfly({"api/a.py": SHOW.format("tiny"), "api/b.py": SHOW.format("tiny"),
                     "requirements.txt": "# ours\n-r more/base.txt\n", "more/base.txt": "./w/tiny-1.0-py3-none-any.whl\n"},
                    prepare=lambda project: wheel(project / "w"))
    assert daemon.get("/api/a").json().startswith("1.0 /")
    assert daemon.get("/api/b").json().startswith("1.0 /")
    assert builds(daemon) == 1
    sets = [p for p in (daemon.state / "deps").iterdir() if p.is_dir()]
    assert len(sets) == 1 and sorted(p.name for p in sets[0].iterdir()) == ["complete", "tree"]
    (daemon.project / "api/a.py").write_text("import tiny\ndef handler(e, c): return 'new'\n")
    # Other comments and blanks, and one file instead of two, are the same set.
    (daemon.project / "requirements.txt").write_text("\n./w/tiny-1.0-py3-none-any.whl   # ours\n")
    daemon.process.send_signal(1)
    wait_until(lambda: daemon.get("/api/a").json() == "new", "a reload")
    assert builds(daemon) == 1
    wheel(daemon.project / "w", source="__version__ = 'same name, other content'\n")
    (daemon.project / "api/a.py").write_text(textwrap.dedent(SHOW.format("tiny")))
    daemon.process.send_signal(1)
    wait_until(lambda: daemon.get("/api/a").json().startswith("same name"), "the other content")
    assert builds(daemon) == 2


@pytest.mark.core
def test_what_nobody_wants_for_long_is_removed(mayfly):
    daemon = mayfly({"api/a.py": "def handler(e, c): return 1\n"})
    for name, days in (("python-0a", 40), ("node-0b", 40), ("node-0c", 3), ("other", 40)):
        folder = daemon.state / "deps" / name
        (folder / "tree").mkdir(parents=True)
        (folder / "complete").touch()
        then = time.time() - days * 86400
        os.utime(folder / "complete", (then, then))
    daemon.process.send_signal(1)
    wait_until(lambda: not (daemon.state / "deps/python-0a").exists() and not (daemon.state / "deps/node-0b").exists(),
               "they are gone")
    assert sorted(p.name for p in (daemon.state / "deps").iterdir()) == ["node-0c", "other"]


@needs_pip
@pytest.mark.core
def test_a_second_start_asks_nobody(mayfly, tmp_path):
    files = {"api/a.py": SHOW.format("tiny"), "requirements.txt": "tiny==1.0\n"}
    wheel(tmp_path / "index")
    os.chmod(tmp_path.parent, 0o755)
    os.chmod(tmp_path, 0o755)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    first = mayfly(files, command="dev", env=env)
    version = first.get("/api/a").headers["mayfly-request-id"] and first.ps()["functions"][0]["version"]
    first.stop()
    shutil.rmtree(tmp_path / "index")
    second = mayfly(files, command="dev", env={**env, "PIP_INDEX_URL": "http://127.0.0.1:9/"})
    assert second.get("/api/a").json().startswith("1.0 /")
    assert builds(second) == 0
    assert second.ps()["functions"][0]["version"] == version


@needs_pip
@pytest.mark.core
def test_other_packages_are_another_version(mayfly, tmp_path):
    def prepare(project):
        wheel(project / "w")
        wheel(project / "w", version="2.0")
    daemon = mayfly({"api/a.py": SHOW.format("tiny"), "requirements.txt": "./w/tiny-1.0-py3-none-any.whl\n"},
                    command="dev", prepare=prepare, env={"XDG_CACHE_HOME": str(tmp_path)})
    assert daemon.get("/api/a").json().startswith("1.0 ")
    (daemon.project / "requirements.txt").write_text("./w/tiny-2.0-py3-none-any.whl\n")
    wait_until(lambda: daemon.get("/api/a").json().startswith("2.0 "), "the other version", 60)


@needs_pip
@pytest.mark.core
def test_a_failure_says_what_pip_says_and_is_not_tried_again_for_nothing(mayfly, tmp_path):
    daemon = mayfly({"api/a.py": SHOW.format("tiny"), "api/other.py": "def handler(e, c): return 'as ever'\n",
                     "requirements.txt": "tiny==9.9\n"}, command="dev",
                    env={"PIP_NO_INDEX": "1", "XDG_CACHE_HOME": str(tmp_path)})
    said = broken(daemon, "/api/a")
    assert "requirements.txt: cannot be installed:" in said and "tiny==9.9" in said
    assert "No matching distribution" in said and "is there such a version" in said
    (daemon.project / "api/a.py").write_text("import tiny\ndef handler(e, c): return 'still not'\n")
    wait_until(lambda: daemon.log.count("reloaded") or daemon.log.count("is broken") > 1, "a reload")
    assert builds(daemon) == 1
    assert broken(daemon, "/api/a") == said
    wheel(daemon.project / "w")
    (daemon.project / "requirements.txt").write_text("./w/tiny-1.0-py3-none-any.whl\n")
    wait_until(lambda: daemon.get("/api/a").status == 200, "the mend", 60)


@needs_pip
@pytest.mark.core
@pytest.mark.parametrize("sandbox", ["whole", "degraded"])
def test_a_hostile_setup_reaches_nothing(mayfly, tmp_path, sandbox):
    """Its build backend is run by pip, as a setup.py would be."""
    canary = tmp_path / "canary"
    canary.mkdir()
    canary.chmod(0o777)
    evil = """
        import base64, glob, json, os, signal, zipfile
        found = {"uid": os.getuid()}
        def attempt(name, what):
            try:
                found[name] = repr(what())
            except BaseException as error:
                found[name] = "no: " + type(error).__name__
        attempt("secrets", lambda: glob.glob("@STATE@/**", recursive=True) + glob.glob("/root/.ssh/*"))
        attempt("read", lambda: open("@STATE@/secrets/key", "rb").read())
        attempt("write", lambda: open("@CANARY@/owned", "w").write("x"))
        attempt("project", lambda: open("/var/task/owned", "w").write("x"))
        attempt("lib", lambda: open("/run/mayfly/lib/python/deps.py", "a").write("x"))
        attempt("kill", lambda: os.kill(@PID@, signal.SIGTERM))
        attempt("all", lambda: os.kill(-1, 0))
        attempt("mount", lambda: os.system("mount -t tmpfs none /usr 2>/dev/null") and 1 / 0)
        attempt("environment", lambda: [n for n in os.environ if "SECRET" in n] or 1 / 0)
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 256)  # or pip waits for what it says
            import time
            time.sleep(1000)
        def build_wheel(folder, config_settings=None, metadata_directory=None):
            name = "evil-1.0-py3-none-any.whl"
            with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
                file.writestr("evil.py", "found = " + repr(found))
                file.writestr("evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: evil\\nVersion: 1.0\\n")
                file.writestr("evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
                file.writestr("evil-1.0.dist-info/RECORD", "")
            return name
        """
    daemon = mayfly({"api/e.py": "import evil\ndef handler(e, c): return evil.found\n"},
                    env={"SECRET_OF_THE_DAEMON": "1", **({"MAYFLY_SANDBOX": "degraded"} if sandbox == "degraded" else {})})
    secret = daemon.state / "secrets/key"
    secret.parent.mkdir(exist_ok=True)
    if not secret.exists():
        secret.write_text("secret")
    text = textwrap.dedent(evil).replace("@STATE@", str(daemon.state)).replace("@CANARY@", str(canary)) \
        .replace("@PID@", str(daemon.pid))
    archive(daemon.project / "evil-1.0.tar.gz", {
        "evil-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "evil-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n", "evil-1.0/backend.py": text})
    (daemon.project / "requirements.txt").write_text("./evil-1.0.tar.gz\n")
    daemon.process.send_signal(1)
    wait_until(lambda: daemon.get("/api/e").status == 200 or "cannot be" in daemon.log, "it is installed", 120)
    found = daemon.get("/api/e").json()
    assert found.pop("uid") != 0 or sandbox == "degraded", found
    if sandbox == "degraded":
        abi = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(): which one the kernel has
        if abi < 1:
            pytest.skip("this kernel has no Landlock")
        if abi < 6:
            found.pop("kill")
    assert found.pop("secrets") in ("[]", "['" + str(daemon.state) + "/']"), found
    assert all(value.startswith("no: ") for name, value in found.items() if name != "all"), found
    assert list(canary.iterdir()) == [] and not (daemon.project / "owned").exists()
    assert daemon.process.poll() is None
    for path in (daemon.state / "deps").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o6022, path


@needs_pip
@pytest.mark.core
def test_an_installation_that_hangs_stops_neither_reload_nor_end(mayfly):
    daemon = mayfly({"api/e.py": "def handler(e, c): return 'first'\n"})
    archive(daemon.project / "slow-1.0.tar.gz", {
        "slow-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "slow-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n",
        "slow-1.0/backend.py": "import time\ntime.sleep(3000)\n"})
    (daemon.project / "requirements.txt").write_text("./slow-1.0.tar.gz\n")
    daemon.process.send_signal(1)
    wait_until(lambda: builds(daemon) == 1, "it is being installed")
    assert daemon.get("/api/e").json() == "first"
    (daemon.project / "requirements.txt").write_text("")
    (daemon.project / "api/e.py").write_text("def handler(e, c): return 'second'\n")
    daemon.process.send_signal(1)
    wait_until(lambda: daemon.get("/api/e").json() == "second", "the reload")
    (daemon.project / "requirements.txt").write_text("./slow-1.0.tar.gz\n")
    daemon.process.send_signal(1)
    wait_until(lambda: builds(daemon) == 2, "it is being installed again")
    assert daemon.stop() == 0


def interpreters():
    found = {}
    for path, version, _ in deps.candidates():
        if version and deps.numbers(version)[:2] >= deps.OLDEST:
            found.setdefault(".".join(version.split(".")[:2]), path)
    return found


@pytest.mark.core
def test_python_version_chooses_among_the_interpreters(mayfly):
    versions = [v for v in interpreters() if os.access(interpreters()[v], os.X_OK)]
    default = deps.ask(shutil.which("python3"))[2]
    others = [v for v in versions if not default.startswith(v + ".")]
    if not others:
        pytest.skip("there is a single Python here")
    daemon = mayfly({"api/v.py": "import sys\ndef handler(e, c): return '%d.%d' % sys.version_info[:2]\n",
                     ".python-version": others[0] + "\n"}, command="dev")
    assert daemon.get("/api/v").json() == others[0]
    another = others[1] if len(others) > 1 else ".".join(default.split(".")[:2])
    (daemon.project / ".python-version").write_text(f"3.99 # not here\n{another}\n")  # this file is watched
    wait_until(lambda: daemon.get("/api/v").json() == another, "the other one")


@pytest.mark.core
@pytest.mark.parametrize("files, said", [
    ({".python-version": "3.99\n"}, ".python-version: there is no Python 3.99 here, only "),
    ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=4"\n'},
     'pyproject.toml: there is no Python ">=4" here, only '),
    ({"pyproject.toml": "[project\n"}, "pyproject.toml: Expected"),
    ({"requirements.txt": "-e .\n"}, 'requirements.txt:1: "-e .": packages that can be edited cannot be shared'),
    ({"requirements.txt": "# ours\n\n./here\n"}, 'requirements.txt:3: "./here" is a folder with sources'),
    ({"requirements.txt": "-r /etc/passwd\n"}, "requirements.txt:1: there is no file /etc/passwd in the project"),
    ({"requirements.txt": "-r ../x.txt\n"}, "requirements.txt:1: there is no file ../x.txt in the project"),
    ({"requirements.txt": "-r requirements.txt\n"}, "that name one another"),
])
def test_what_cannot_be_is_said_with_the_place(mayfly, files, said):
    assert said in broken(mayfly({"api/v.py": "def handler(e, c): return 1\n", **files}, command="dev"), "/api/v")


@needs_pip
def test_numpy_works_in_forked_workers(mayfly):
    daemon = mayfly({"api/n.py": """
        import numpy as np
        def handler(event, context):
            a = np.arange(10000.0).reshape(100, 100)
            return [float((a @ a.T).trace()), float(np.random.rand()), np.__version__]
        """, "requirements.txt": "numpy\n"}, command="dev",
        env={"XDG_CACHE_HOME": str(BUILD / "test-cache")}, wait=False)
    try:
        daemon.wait_ready()
    except AssertionError as error:
        pytest.skip(f"numpy cannot be had: {error}")
    if daemon.get("/api/n").status != 200 and "does not answer" in daemon.log:
        pytest.skip("the package index does not answer")
    answers = [daemon.get("/api/n").json() for _ in range(4)]
    assert {a[0] for a in answers} == {333283335000.0 / 1.0} or len({a[0] for a in answers}) == 1
    assert len({a[1] for a in answers}) == 4


# ---- reading files: pure functions ----

@pytest.mark.core
@pytest.mark.parametrize("specifier, yes, no", [
    (">=3.9,<3.13", ["3.9.0", "3.12.9"], ["3.8.18", "3.13.0"]),
    ("==3.11.*", ["3.11.0", "3.11.7"], ["3.12.0"]),
    ("==3.11", ["3.11.0"], ["3.11.7"]),
    ("~=3.10", ["3.10.1", "3.13.0"], ["3.9.9", "4.0.0"]),
    ("~=3.10.2", ["3.10.2", "3.10.9"], ["3.11.0", "3.10.1"]),
    ("!=3.9.*,>3.8", ["3.10.0", "3.8.1"], ["3.9.18", "3.8.0"]),
    ("^3.9", ["3.9.1", "3.13.0"], ["3.8.0", "4.0.0"]),
    ("", ["3.8.0"], []),
])
def test_ranges_of_versions(specifier, yes, no):
    assert [deps.specifier_holds(deps.numbers(v), specifier) for v in yes + no] == [True] * len(yes) + [False] * len(no)
    assert deps.specifier_holds((3, 9), "python3") is None


@pytest.mark.core
def test_lock_files_become_lines(tmp_path):
    (tmp_path / "Pipfile.lock").write_text(json.dumps({
        "_meta": {"sources": [{"name": "pypi", "url": DEFAULT_INDEX}], "requires": {"python_version": "3.11"}},
        "default": {"six": {"version": "==1.16.0", "hashes": ["sha256:bb", "sha256:aa"], "markers": "python_version > '3'"},
                    "httpx": {"version": "==0.27.0", "extras": ["http2"]}},
        "develop": {"pytest": {"version": "==8.0.0"}}}))
    found, requires = deps.find_dependencies(str(tmp_path))
    assert found.requirements == ["httpx[http2]==0.27.0",
                                  "six==1.16.0 ; python_version > '3' --hash=sha256:aa --hash=sha256:bb"]
    assert requires == [("==3.11.*", "Pipfile.lock")]
    mirror = {"name": "pypi", "url": "https://mirror.example/simple"}
    assert deps.is_default_index({"name": "pypi", "url": DEFAULT_INDEX + "/"})
    assert deps.is_default_index(mirror) == (DEFAULT_INDEX == "https://index.example/simple")
    if sys.version_info >= (3, 11):
        (tmp_path / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.9"\ndependencies = ["six>1"]\n')
        (tmp_path / "uv.lock").write_text('[[package]]\nname = "six"\nversion = "1.16.0"\n'
                                          'source = {registry = "https://index.example/simple"}\n'
                                          '[[package]]\nname = "own"\nversion = "1"\nsource = {editable = "."}\n')
        found, requires = deps.find_dependencies(str(tmp_path))
        assert (found.file, found.requirements, found.constraints) == ("pyproject.toml", ["six>1"], ["six==1.16.0"])
    (tmp_path / "requirements.txt").write_text("a == 1 # why\\\n\n-c other.txt\nb \\\n  --hash=x\n")
    (tmp_path / "other.txt").write_text("c<2\n")
    found, _ = deps.find_dependencies(str(tmp_path))
    assert (found.file, found.packages) == ("requirements.txt", 2)
    assert [" ".join(line.split()) for line in found.requirements] == ["a == 1", "b --hash=x"]
    assert found.constraints == ["c<2"]


@pytest.mark.core
@pytest.mark.parametrize("text", ['{"default": []}', '{"default": {"x": 1}}', "[]", "nonsense", '{"_meta": 3}',
                                  '{"default": {"-x": {"version": "==1"}}}',
                                  '{"default": {"x": {"version": "==1\\n-e ."}}}'])
def test_a_pipfile_lock_of_another_shape_is_no_crash(tmp_path, text):
    (tmp_path / "Pipfile.lock").write_text(text)
    answer = deps.describe(str(tmp_path), sys.executable)
    assert "broken" in answer or "requirements" not in answer


# ---- Node ----

class Registry(http.server.BaseHTTPRequestHandler):
    """Serves one package's archive."""
    data = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def package(tmp_path):
    """package(files) -> the files of a project that wants a package "mini" with these."""
    servers = []

    def make(files, script=None):
        about = {"name": "mini", "version": "1.0.0", "main": "index.js"}
        if script:
            about["scripts"] = {"postinstall": script}
        data = archive(tmp_path / "mini.tgz", {"package/package.json": json.dumps(about),
                                               **{"package/" + k: v for k, v in files.items()}}).read_bytes()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("R", (Registry,), {"data": data}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_port}/mini-1.0.0.tgz"
        entry = {"version": "1.0.0", "resolved": url,
                 "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()}
        if script:
            entry["hasInstallScript"] = True
        project = {"name": "p", "version": "1.0.0", "dependencies": {"mini": url}}
        return {"package.json": json.dumps({**project, "scripts": {"postinstall": "exit 1"}}),
                "package-lock.json": json.dumps({"name": "p", "version": "1.0.0", "lockfileVersion": 3, "requires": True,
                                                 "packages": {"": project, "node_modules/mini": entry}})}
    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


USE = ("""#!/usr/bin/env node
const required = require('mini');
import('mini').then((m) => process.stdout.write('Content-Type: text/plain\\n\\n' + required + ' ' + m.default));
""", 0o755)


@needs_npm
@pytest.mark.core
def test_npm_packages_are_found_by_require_and_import(mayfly, package):
    daemon = mayfly({**package({"index.js": "module.exports = 'mini';"}), "api/deep/use": USE})
    assert daemon.get("/api/deep/use").text == "mini mini"
    assert builds(daemon) == 1
    assert not (daemon.project / "node_modules").exists()


@needs_npm
@needs_pip
@pytest.mark.core
def test_without_namespaces_packages_are_used_where_they_lie(mayfly, package):
    daemon = mayfly({**package({"index.js": "module.exports = 'mini';"}), "api/a.py": SHOW.format("tiny"),
                     "requirements.txt": "./w/tiny-1.0-py3-none-any.whl\n", "api/use": (
                         "#!/usr/bin/env node\nprocess.stdout.write('Content-Type: text/plain\\n\\n' + require('mini'));\n",
                         0o755)}, env={"MAYFLY_SANDBOX": "degraded"}, prepare=lambda project: wheel(project / "w"))
    assert daemon.get("/api/use").text == "mini"
    answer = daemon.get("/api/a")
    if answer.status != 200 and os.geteuid() == 0 and "Permission denied" in daemon.log:
        pytest.skip("root's Python lies in a folder that others cannot enter")
    assert answer.json().startswith(f"1.0 {daemon.state}/deps/python-")


@needs_npm
@pytest.mark.core
def test_functions_in_javascript_find_their_packages(mayfly, package):
    daemon = mayfly({**package({"index.js": "module.exports = 'mini';"}),
                     "api/c.js": "const mini = require('mini');\nmodule.exports = (req, res) => res.end(mini + ' c');\n",
                     "api/deep/m.mjs": "import mini from 'mini';\nexport default (req, res) => res.end(mini + ' m');\n"})
    assert (daemon.get("/api/c").text, daemon.get("/api/deep/m").text) == ("mini c", "mini m")
    assert builds(daemon) == 1


@needs_npm
@pytest.mark.core
def test_a_hostile_install_script_reaches_nothing(mayfly, package, tmp_path):
    script = "node -e \"" + (
        "const fs=require('fs');const r={uid:process.getuid()};"
        "const t=(n,f)=>{try{r[n]=String(f())}catch(e){r[n]='no '+e.code}};"
        f"t('write',()=>fs.writeFileSync('{tmp_path}/owned','x'));"
        "t('task',()=>fs.writeFileSync('/var/task/owned','x'));"
        "t('parent',()=>process.kill(process.ppid+100000,0));"
        f"t('root',()=>fs.readdirSync('{tmp_path}'));"
        "t('npmrc',()=>fs.readFileSync(process.env.HOME+'/.npmrc'));"
        "r.tokens=Object.keys(process.env).filter(n=>/token|SECRET/i.test(n)).join();"
        "fs.writeFileSync('found.json',JSON.stringify(r))") + "\""
    tmp_path.chmod(0o777)
    daemon = mayfly({**package({"index.js": "module.exports = JSON.stringify(require('./found.json'));"}, script),
                     "api/use": ("#!/usr/bin/env node\nprocess.stdout.write('Content-Type: application/json\\n\\n'"
                                 " + require('mini'));\n", 0o755)},
                    env={"NPM_TOKEN": "x", "SECRET_OF_THE_DAEMON": "1"})
    found = daemon.get("/api/use").json()
    assert found.pop("uid") != 0 and found.pop("tokens") == "", found
    assert all(value.startswith("no ") for value in found.values()), found
    assert not (tmp_path / "owned").exists() and not (daemon.project / "owned").exists()


@needs_npm
@pytest.mark.core
@pytest.mark.parametrize("files, said", [
    ({"package.json": '{"dependencies": {"x": "1"}}'}, "package.json: it has dependencies, and there is neither"),
    ({"package.json": '{"dependencies": {"x": "1"}}', "yarn.lock": ""}, "yarn.lock: only package-lock.json"),
    ({"package.json": "{]"}, "package.json:1"),
    ({"package.json": "{}", "package-lock.json": '{"packages": {"node_modules/x": {"link": true}}}'},
     "is a folder of the project"),
])
def test_what_npm_cannot_install_is_said(mayfly, files, said):
    assert said in broken(mayfly({"api/use": USE, **files}, command="dev"), "/api/use")


@pytest.mark.core
def test_node_modules_that_are_there_are_used_and_counted(mayfly):
    if not shutil.which("node"):
        pytest.skip("there is no node here")
    daemon = mayfly({"api/use": USE, "package.json": '{"dependencies": {"mini": "1"}}',
                     "node_modules/mini/index.js": "module.exports = 'mine';",
                     "node_modules/.package-lock.json": "{}"})
    assert daemon.get("/api/use").text == "mine mine"
    assert builds(daemon) == 0
    version = daemon.ps()["functions"][0]["version"]
    (daemon.project / "node_modules/.package-lock.json").write_text('{"a": 1}')
    daemon.process.send_signal(1)
    wait_until(lambda: daemon.ps()["functions"][0]["version"] != version, "a new version")


@needs_pip
@pytest.mark.core
def test_inspect_tells_interpreter_and_packages(mayfly, tmp_path):
    daemon = mayfly({"api/a.py": SHOW.format("tiny"), "requirements.txt": "./w/tiny-1.0-py3-none-any.whl\n"},
                    prepare=lambda project: wheel(project / "w"), command="dev",
                    env={"XDG_CACHE_HOME": str(tmp_path)})
    done = run_cli("inspect", "api/a", "--project", daemon.project, "--json", env=daemon.env)
    about = json.loads(done.stdout)["functions"][0]["about"]
    assert about["dependencies"] == "1 Python package of requirements.txt"
    shown = daemon.cli("inspect", "api/a").stdout
    assert "  dependencies=1 Python package of requirements.txt\n" in shown and "  interpreter=/" in shown
    assert about["dependencies_folder"].startswith(str(tmp_path)) and about["interpreter_version"].startswith("3.")
