"""The Python side of dependencies. mayfly-control runs it twice:

deps.py describe DIR DEFAULT [only]
                               which interpreter a project wants of those that there are (or the one that is
                               given), and which packages; answers in JSON. Reads files, runs nothing.
deps.py application DIR        what pyproject.toml and the dependencies say of a project that is one
                               application; answers in JSON.
deps.py install PROJECT        in the sandbox of mayfly-build, with such an answer on stdin: makes a
                               virtual environment of the current folder and installs into it.

Runs on CPython 3.8 and newer, with nothing but the standard library and what pip brings along."""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys

FILE_MAX = 4 * 1024 * 1024
FILES_MAX = 64
LINES_MAX = 5000
OLDEST = (3, 8)  # for the runtime's extension module
ASK_SECONDS = 10
QUESTION = ("import json, platform, sys, sysconfig; print(json.dumps([sys.executable, "
            "[sys.base_prefix, sys.base_exec_prefix, sys.prefix], platform.python_version(), "
            "'-'.join(map(str, (sys.implementation.cache_tag, sysconfig.get_config_var('SOABI'), "
            "sysconfig.get_platform())))]))")


class Mistake(Exception):
    """What the author has to mend, in words."""


def read(path):
    with open(path, "rb") as file:
        data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise Mistake(f"{os.path.basename(path)}: larger than {FILE_MAX >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Mistake(f"{os.path.basename(path)}: is not UTF-8") from None


def load_toml(path):
    name = os.path.basename(path)
    try:
        import tomllib
    except ImportError:
        try:
            from pip._vendor import tomli as tomllib
        except ImportError:
            raise Mistake(f"{name}: reading it takes Python 3.11 or newer, or pip; run: "
                          "apt install python3-pip") from None
    try:
        return tomllib.loads(read(path))
    except tomllib.TOMLDecodeError as error:
        raise Mistake(f"{name}: {error}") from None
    except RecursionError:
        raise Mistake(f"{name}: nested too deeply") from None


def at(table, *keys):
    """A value below tables; None if a step is missing or no table."""
    for key in keys:
        if not isinstance(table, dict):
            return None
        table = table.get(key)
    return table


# ---- versions ----

def numbers(version):
    """(3, 12, 1) of "3.12.1", "3.13.0rc2" and the like."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(n[:9]) for n in match.group().split(".")) if match else ()


def compare(a, b):
    length = max(len(a), len(b))
    a, b = a + (0,) * (length - len(a)), b + (0,) * (length - len(b))
    return (a > b) - (a < b)


def clause_holds(version, clause):
    """One clause of a version specifier (PEP 440) for a released interpreter; None if it is none."""
    match = re.fullmatch(r"\s*(~=|===|==|!=|<=|>=|<|>|\^|~|)\s*v?(\d+(?:\.\d+)*)(\.\*)?(?:[a-z.+-]\S*)?\s*",
                         clause)
    if not match:
        return None
    operator, text, star = match.groups()
    wanted = numbers(text)
    order = compare(version, wanted)
    begins = version[:len(wanted)] == wanted
    if operator in ("==", "===", ""):
        return begins if star or operator == "" else order == 0
    if operator == "!=":
        return not (begins if star else order == 0)
    if operator == "~=":
        return len(wanted) > 1 and order >= 0 and version[:len(wanted) - 1] == wanted[:-1]
    if operator == "^":  # Poetry's
        return order >= 0 and version[:1] == wanted[:1]
    if operator == "~":
        return order >= 0 and version[:2] == wanted[:2]
    return {"<=": order <= 0, ">=": order >= 0, "<": order < 0, ">": order > 0}[operator]


def specifier_holds(version, specifier):
    """Whether a version is in ">=3.9,<3.13"; None if that is no specifier."""
    result = True
    for clause in specifier.split(","):
        if not clause.strip():
            continue
        holds = clause_holds(version, clause)
        if holds is None:
            return None
        result = result and holds
    return result


# ---- interpreters ----

def ask(path):
    """(program, folders, version, tag) of an interpreter, or None if it does not answer."""
    try:
        done = subprocess.run([path, "-I", "-c", QUESTION], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=ASK_SECONDS,
                              check=True)
        program, folders, version, tag = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return program, folders, version, tag


def candidates():
    """(path, what is known of its version, its name) of those that are installed beside the default."""
    home = os.path.expanduser("~")
    folders = [f for f in os.environ.get("PATH", "").split(":") if f.startswith("/")]
    for folder in [f for f in folders if not f.rstrip("/").endswith("/shims")] + ["/usr/local/bin", "/usr/bin"]:
        for path in sorted(glob.glob(glob.escape(folder) + "/python3.*")):
            match = re.fullmatch(r"python(3\.\d+)", os.path.basename(path))
            if match:
                yield path, match.group(1), None
    for root, pattern in ((os.environ.get("PYENV_ROOT") or home + "/.pyenv", "/versions/*"),
                          (os.environ.get("UV_PYTHON_INSTALL_DIR") or home + "/.local/share/uv/python", "/*")):
        for folder in sorted(glob.glob(glob.escape(root) + pattern)):
            name = os.path.basename(folder)
            match = re.fullmatch(r"(?:cpython-)?(3\.\d+(?:\.\d+)?)(?:[a-z+-].*)?", name)
            path = folder + "/bin/python3"
            if not os.path.islink(folder) and os.access(path, os.X_OK):
                yield path, match.group(1) if match else None, name


class Interpreters:
    """Asked only as far as it takes."""

    def __init__(self, default):
        self.default = default
        self.asked = {}
        self.all = None

    def ask(self, path):
        if path not in self.asked:
            self.asked[path] = ask(path)
        return self.asked[path]

    def known(self):
        if self.all is None:
            self.all, seen = [], set()
            for path, version, name in candidates():
                real = os.path.realpath(path)
                if real not in seen and (not version or numbers(version)[:2] >= OLDEST):
                    seen.add(real)
                    self.all.append((path, version, name))
        return self.all

    def find(self, holds, name=None):
        """The default one if it does, else the newest that does; by its folder's name first."""
        for path, _, folder in self.known() if name else ():
            if folder == name:
                return path
        if self.default:
            answer = self.ask(self.default)
            if answer and numbers(answer[2])[:2] >= OLDEST and holds(numbers(answer[2])):
                return self.default
        found = []
        for path, version, _ in self.known():
            if version and len(numbers(version)) < 3:  # of "3.11" the rest is not known
                answer = self.ask(path)
                version = answer and answer[2]
            if version and holds(numbers(version)):
                found.append((numbers(version), path))
        return max(found)[1] if found else None

    def names(self):
        """What there is, for a message."""
        versions = {version for _, version, _ in self.known() if version and len(numbers(version)) > 2}
        answer = self.ask(self.default) if self.default else None
        if answer:
            versions.add(answer[2])
        return ", ".join(sorted(versions, key=numbers)) or "none"


def wanted_lines(directory):
    path = directory + "/.python-version"
    if not os.path.isfile(path):
        return []
    return [line.split("#")[0].strip() for line in read(path).splitlines() if line.split("#")[0].strip()]


def choose(directory, interpreters, requires):
    """requires: [(specifier, file that says so)]. Returns a path."""
    def holds_all(version):
        return all(specifier_holds(version, s) for s, _ in requires)

    for specifier, file in requires:
        if specifier_holds((3, 11), specifier) is None:
            raise Mistake(f"{file}: \"{specifier}\" is no range of Python versions; write it like "
                          "\">=3.9,<3.13\"")
    lines = wanted_lines(directory)
    for line in lines:
        if line == "system" and interpreters.default:
            return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else interpreters.default
        text = re.sub(r"^(cpython|python)[-@]?", "", line)
        wanted = numbers(text)
        path = interpreters.find(lambda v: v[:len(wanted)] == wanted if wanted and
                                 re.fullmatch(r"[\d.]+(-dev)?", text) else specifier_holds(v, text), line)
        if path:
            return path
    if lines:
        raise Mistake(f".python-version: there is no Python {' or '.join(lines)} here, only "
                      f"{interpreters.names()}; install it (pyenv install, uv python install), or change the file")
    path = interpreters.find(holds_all)
    if path:
        return path
    if requires:
        raise Mistake(f"{requires[0][1]}: there is no Python \"{requires[0][0]}\" here, only "
                      f"{interpreters.names()}; install one (pyenv install, uv python install)")
    raise Mistake(f"there is no Python {OLDEST[0]}.{OLDEST[1]} or newer, only {interpreters.names()}; run: "
                  "apt install python3")


# ---- which packages ----

class Dependencies:
    def __init__(self, directory, file):
        self.directory = directory
        self.file = file
        self.requirements = []
        self.constraints = []
        self.artefacts = []  # hashes of local files
        self.packages = 0
        self.files = 0

    def add(self, lines, line):
        if len(self.requirements) + len(self.constraints) >= LINES_MAX:
            raise Mistake(f"{self.file}: more than {LINES_MAX} lines")
        lines.append(line)


def logical_lines(text):
    """(number, line) without comments, continued lines joined, as pip reads them."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            held += line[:-1] + " "
            continue
        held = re.sub(r"(^|\s)#.*$", "", held + line).strip()
        if held:
            yield first, held
        held, first = "", 0
    if held.strip():
        yield first, held.strip()


def local_file(dependencies, where, text):
    """A path in a requirement: a wheel or archive within the project, or a mistake."""
    path = re.sub(r"\s*(;|--).*$", "", text.split(" @ ")[-1])
    path = re.sub(r"\[[^\]]*\]$", "", re.sub(r"^file:(//)?", "", path.strip()))
    whole = os.path.realpath(os.path.join(dependencies.directory, path))
    if not re.search(r"\.(whl|zip|tar\.gz|tar\.bz2|tgz)$", path):
        raise Mistake(f"{where}: \"{text}\" is a folder with sources, which would change without notice; build it "
                      "(pip wheel --no-deps) and name the .whl file")
    if not is_within(dependencies.directory, path) or not os.path.isfile(whole):
        raise Mistake(f"{where}: there is no file \"{path}\" in the project")
    digest = hashlib.sha256()
    with open(whole, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    dependencies.artefacts.append(f"{path} {digest.hexdigest()}")


def is_within(directory, path):
    """Whether a path lies in the project, links followed."""
    return os.path.realpath(os.path.join(directory, path)).startswith(os.path.realpath(directory) + "/")


def read_requirements(dependencies, file, lines, depth=0):
    """Takes over a file's lines, with those of the files that it names in their place."""
    directory = dependencies.directory
    if depth > 10 or dependencies.files >= FILES_MAX:
        raise Mistake(f"{file}: more than {FILES_MAX} files that name one another")
    dependencies.files += 1
    for number, line in logical_lines(read(os.path.join(directory, file))):
        where = f"{file}:{number}"
        match = re.match(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?=[^-\s]))(.+)$", line)
        if match:
            option, name = match.group(1), match.group(2).strip().strip("\"'")
            into = lines if option in ("-r", "--requirement") else dependencies.constraints
            if "://" in name:
                raise Mistake(f"{where}: files from elsewhere change without notice; keep a copy of {name} here")
            other = os.path.normpath(os.path.join(os.path.dirname(file), name))
            if not is_within(directory, other) or not os.path.isfile(os.path.join(directory, other)):
                raise Mistake(f"{where}: there is no file {other} in the project")
            read_requirements(dependencies, other, into, depth + 1)
            continue
        if re.match(r"(-e|--editable)\b", line):
            raise Mistake(f"{where}: \"{line}\": packages that can be edited cannot be shared; name the package without "
                          "-e, or leave it out: what is in the project's folder can be imported as it is")
        if not line.startswith("-"):
            if re.match(r"(\.|/|file:)", line) or re.search(r"\s@\s*(file:|\.|/)", line):
                local_file(dependencies, where, line)
            dependencies.packages += lines is dependencies.requirements
        dependencies.add(lines, line)


def from_requirements(directory):
    dependencies = Dependencies(directory, "requirements.txt")
    read_requirements(dependencies, "requirements.txt", dependencies.requirements)
    return dependencies


def from_pyproject(directory, project):
    """[project] dependencies, at the versions of a uv.lock that lies beside."""
    names = at(project, "dependencies")
    if not isinstance(names, list):
        return None
    dependencies = Dependencies(directory, "pyproject.toml")
    for name in names:
        if not isinstance(name, str) or "\n" in name or name.lstrip().startswith("-"):
            raise Mistake("pyproject.toml: dependencies: each is a string like \"flask>=3\"")
        if re.search(r"\s@\s*(file:|\.|/)", name):
            local_file(dependencies, "pyproject.toml: dependencies", name)
        dependencies.packages += 1
        dependencies.add(dependencies.requirements, name)
    lock = directory + "/uv.lock"
    if os.path.isfile(lock):
        versions = {}
        packages = at(load_toml(lock), "package")
        for package in packages if isinstance(packages, list) else []:
            name, version = at(package, "name"), at(package, "version")
            if isinstance(name, str) and isinstance(version, str) and at(package, "source", "registry"):
                versions.setdefault(name, set()).add(version)
        for name, locked in sorted(versions.items()):
            if len(locked) == 1:  # else it depends on the platform, which pip finds out by itself
                dependencies.add(dependencies.constraints, f"{name}=={locked.pop()}")
    return dependencies


def is_default_index(source):
    """Whether a source of pipenv's is the index that pip asks unless it is told another. Without pip its name
    is all there is to go by."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return at(source, "name") == "pypi"
    return source["url"].rstrip("/") == PyPI.simple_url.rstrip("/")


def from_pipfile(lock, directory):
    dependencies = Dependencies(directory, "Pipfile.lock")
    sources = at(lock, "_meta", "sources")
    sources = [source for source in sources if re.fullmatch(r"https?://\S+", str(at(source, "url")))
               ] if isinstance(sources, list) else []
    for i, source in enumerate(sources):
        url = source["url"]
        if not is_default_index(source):
            dependencies.add(dependencies.requirements, ("--extra-index-url " if i else "--index-url ") + url)
    default = at(lock, "default")
    for name, entry in sorted(default.items()) if isinstance(default, dict) else []:
        version, git = at(entry, "version"), at(entry, "git")
        extras = at(entry, "extras")
        line = name + (f"[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else "")
        if isinstance(git, str) and isinstance(at(entry, "ref"), str):
            line += f" @ git+{git}@{at(entry, 'ref')}"
        elif isinstance(version, str):
            line += version
        else:
            raise Mistake(f"Pipfile.lock: {name}: has no version; only packages of an index or of git can be installed")
        if isinstance(at(entry, "markers"), str):
            line += " ; " + at(entry, "markers")
        hashes = at(entry, "hashes")
        for value in sorted(map(str, hashes)) if isinstance(hashes, list) and not git else []:
            line += " --hash=" + value
        if re.search(r"[\n\r]", line) or line.startswith("-"):
            raise Mistake(f"Pipfile.lock: {name!r}: is no name of a package")
        dependencies.packages += 1
        dependencies.add(dependencies.requirements, line)
    return dependencies


def find_dependencies(directory):
    """(dependencies or None, [(range of Python versions, the file that says so)])"""
    requires, project, lock = [], None, None
    if os.path.isfile(directory + "/pyproject.toml"):
        table = load_toml(directory + "/pyproject.toml")
        project = at(table, "project")
        needed = at(project, "requires-python") or at(table, "tool", "poetry", "dependencies", "python")
        if isinstance(needed, str):
            requires.append((needed, "pyproject.toml"))
    if os.path.isfile(directory + "/requirements.txt"):
        return from_requirements(directory), requires
    dependencies = from_pyproject(directory, project)
    if dependencies is None and os.path.isfile(directory + "/Pipfile.lock"):
        try:
            lock = json.loads(read(directory + "/Pipfile.lock"))
        except (ValueError, RecursionError) as error:
            raise Mistake(f"Pipfile.lock: {error}") from None
        dependencies = from_pipfile(lock, directory)
        version = at(lock, "_meta", "requires", "python_full_version") or at(lock, "_meta", "requires",
                                                                            "python_version")
        if isinstance(version, str):
            requires.append(("==" + version + ("" if version.count(".") > 1 else ".*"), "Pipfile.lock"))
    return dependencies, requires


def describe(directory, default, only=False):
    interpreters = Interpreters(default)
    try:
        dependencies, requires = find_dependencies(directory)
        path = default if only else choose(directory, interpreters, requires)
        answer = interpreters.ask(path)
        if not answer:
            raise Mistake(f"the Python interpreter {path} does not run")
    except Mistake as mistake:
        return {"broken": str(mistake)}
    except OSError as error:
        return {"broken": f"{os.path.basename(error.filename or directory)}: {error.strerror}"}
    program, folders, version, tag = answer
    result = {"program": program, "paths": folders, "version": version, "tag": tag}
    if dependencies and dependencies.packages:
        result.update(file=dependencies.file, packages=dependencies.packages,
                      requirements=dependencies.requirements, constraints=dependencies.constraints,
                      artefacts=sorted(dependencies.artefacts))
    return result


# ---- applications ----

FRAMEWORKS = ("django", "fastapi", "flask", "starlette", "litestar", "quart", "sanic", "falcon", "bottle",
              "pyramid", "python-fasthtml", "blacksheep", "connexion", "aiohttp-wsgi")


def application(directory):
    """Files that are wrong are told where the packages are installed from them."""
    result = {"entrypoint": None, "script": None, "framework": None}
    try:
        if os.path.isfile(directory + "/pyproject.toml"):
            table = load_toml(directory + "/pyproject.toml")
            for key, value in (("entrypoint", at(table, "tool", "vercel", "entrypoint")),
                               ("script", at(table, "project", "scripts", "app"))):
                if isinstance(value, str):
                    result[key] = value
        dependencies, _ = find_dependencies(directory)
        for line in dependencies.requirements if dependencies else ():
            name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]*", line).group()).lower()
            if name in FRAMEWORKS:
                result["framework"] = name
                break
    except (Mistake, OSError):
        pass
    return result


# ---- installing ----

HINTS = (
    (r"Python\.h: No such file", "the headers of this Python are missing; run: apt install python3-dev"),
    (r"command '?(gcc|cc|x86_64-linux-gnu-gcc|g\+\+|c\+\+)'? failed: No such file|error: command .*gcc.* failed"
     r"|Unknown compiler|No such file or directory: '(gcc|cc)'",
     "a package has to be compiled and there is no compiler; run: apt install build-essential python3-dev"),
    (r"can't find Rust compiler|cargo.*not found", "a package has to be compiled and there is no Rust; run: apt install cargo"),
    (r"Cannot find command 'git'", "run: apt install git"),
    (r"fatal error: (\S+): No such file", "a library's headers are missing; install the -dev package that has the file"),
    (r"Name or service not known|name resolution|NewConnectionError|Network is unreachable|Connection refused"
     r"|ConnectTimeout|ProxyError", "the package index does not answer; is there a network, is PIP_INDEX_URL right?"),
    (r"THESE PACKAGES DO NOT MATCH THE HASHES", "a package is not the one that was locked; lock anew if that is meant"),
    (r"In --require-hashes mode", "once one line has a --hash all of them need one"),
    (r"requires a different Python|Requires-Python", "choose another Python with .python-version, or other versions"),
    (r"ResolutionImpossible|conflicting dependencies", "two lines exclude one another; loosen one of them"),
    (r"No matching distribution", "is the name right, and is there such a version for this Python?"),
    (r"No space left on device", "free some space"),
)


def words_of(output):
    """What of pip's words explains a failure: from the first error on, without what pip says of itself."""
    lines = [line.rstrip() for line in output.splitlines()
             if line.strip() and not line.startswith("[notice]") and "WARNING: Retrying" not in line]
    for pattern in (r"\s*(ERROR|error|fatal)\b", r"\s*.*\b(error|Error)\b"):
        at_line = next((i for i, line in enumerate(lines) if re.match(pattern, line)), None)
        if at_line is not None:
            break
    lines = lines[at_line:] if at_line is not None else lines
    if len(lines) > 14:
        lines = lines[:6] + ["..."] + lines[-7:]
    hint = next((hint for pattern, hint in HINTS if re.search(pattern, output)), None)
    return "\n".join([line[:300] for line in lines] + ([hint] if hint else []))


def run(command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **more)
    if done.returncode != 0:
        print(words_of(done.stdout) or f"{command[0]} ended with {done.returncode}", flush=True)
        sys.exit(1)


def make_environment(folder):
    """Returns the words that run its pip."""
    import importlib.util
    import venv
    own_pip = importlib.util.find_spec("ensurepip") is not None
    builder = venv.EnvBuilder(symlinks=True, with_pip=False)
    builder.create(folder)
    python = folder + "/bin/python"
    if own_pip:
        run([python, "-Im", "ensurepip", "--upgrade", "--default-pip"])
        return [python, "-m", "pip"]
    if importlib.util.find_spec("pip") is None:
        print(f"Python {sys.version.split()[0]} has neither ensurepip nor pip; run: apt install python3-venv")
        sys.exit(1)
    from pip import __version__
    if numbers(__version__) < (22, 3):
        print("pip is too old to install for another environment; run: apt install python3-venv")
        sys.exit(1)
    return [sys.executable, "-m", "pip", "--python", python]


def install(project):
    wanted = json.load(sys.stdin)
    folder, scratch = os.getcwd(), os.environ["HOME"]
    pip = make_environment(folder)
    command = pip + ["install", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"]
    for option, name in (("-r", "requirements"), ("-c", "constraints")):
        path = f"{scratch}/{name}.txt"
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in wanted[name]))
        if wanted[name]:
            command += [option, path]
    run(command, cwd=project)


def main():
    if len(sys.argv) >= 3 and sys.argv[1] == "describe":
        json.dump(describe(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None, "only" in sys.argv[4:]),
                  sys.stdout)
    elif len(sys.argv) == 3 and sys.argv[1] == "application":
        json.dump(application(sys.argv[2]), sys.stdout)
    elif len(sys.argv) == 3 and sys.argv[1] == "install":
        install(sys.argv[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
