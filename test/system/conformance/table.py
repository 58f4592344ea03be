"""The kinds of functions, and what each can do at all. See README.md."""
import dataclasses
import pathlib
import shutil
import sys

KINDS = pathlib.Path(__file__).parent / "kinds"
HTTP_C = KINDS.parents[1] / "projects" / "http" / "native.c"


@dataclasses.dataclass
class Kind:
    name: str
    function: dict  # as in mayfly.json
    isolations: tuple = ("request", "instance")
    streams: bool = True  # an answer's pieces go out as they come, and bodies of any size come in
    whole_max: int = 0  # or the largest body, in bytes, if the kind has it in one piece
    stack: str = "deep_down"  # what the stack of an error names; "": it has none
    sleeper: str = "sleeper"  # and the stack at the deadline
    errors: bool = True  # an error of the function is known as one, with its type and message
    logs: bool = True  # what it prints belongs to the request
    decoded: bool = True  # its path is percent-decoded
    needs: tuple = ()  # programs; without them the kind is skipped
    hangs: bool = False  # a request that never ends keeps others from the process that they share
    counts: bool = True  # what it counts in a process is there for the process' next request

    @property
    def missing(self):
        return next((f"there is no {tool}" for tool in self.needs if not shutil.which(tool)), None)


REQUEST, INSTANCE = ("request",), ("instance",)
LAMBDA_MAX = 4 << 20  # of a body, whose base64 must fit AWS' 6 MB

TABLE = [
    Kind("native", {"handler": "native.handler"}, stack=""),
    Kind("python-lambda", {"handler": "py_lambda.handler"}, streams=False, whole_max=LAMBDA_MAX),
    Kind("python-wsgi", {"handler": "py_wsgi.app"}),
    Kind("python-asgi", {"handler": "py_asgi.app"}),
    Kind("python-http-server", {"handler": "py_http_server.handler"}),
    Kind("node-lambda", {"handler": "node_lambda.handler"}, streams=False, whole_max=LAMBDA_MAX, needs=("node",)),
    Kind("node-lambda-stream", {"handler": "node_lambda_stream.handler"}, whole_max=LAMBDA_MAX, needs=("node",)),
    Kind("node-reqres", {"handler": "node_reqres.default"}, needs=("node",)),
    Kind("node-fetch", {"handler": "node_fetch.default"}, needs=("node",)),
    Kind("node-server", {"handler": "node_server.default"}, errors=False, needs=("node",)),
    Kind("ruby-rack", {"handler": "config.ru"}, needs=("ruby",)),
    Kind("perl-psgi", {"handler": "perl.psgi"}, needs=("perl",)),
    Kind("php", {"handler": "script.php"}, whole_max=8 << 20, needs=("php",), counts=False),
    Kind("web", {"command": ["python3", "py_http_server.py"], "runtime": "web", "readiness": "tcp"}, INSTANCE,
         errors=False, stack="", sleeper="waiting for the program's answer", logs=False,
         needs=("python3",)),
    Kind("bootstrap", {"command": ["./bootstrap.py"], "runtime": "provided"}, streams=False, whole_max=LAMBDA_MAX,
         sleeper="bootstrap.py"),
    Kind("web-node", {"command": ["node", "node_server.js"], "runtime": "web", "readiness": "tcp"}, INSTANCE,
         errors=False, sleeper="waiting for the program's answer", logs=False, hangs=True, needs=("node",)),
    Kind("cgi", {"handler": "cgi.py", "runtime": "exec"}, REQUEST, errors=False, stack="", sleeper="cgi.py"),
]

# What a project of all kinds consists of: {path: (text, mode)}.
SOURCES = {path.name: (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777)
           for path in sorted(KINDS.iterdir()) if path.is_file()}
SOURCES["http.c"] = (HTTP_C.read_text(encoding="utf-8"), 0o644)


def functions():
    """mayfly.json's functions: each kind with each isolation, and one of a second for the deadline."""
    result = {}
    for kind in TABLE:
        if kind.missing:
            continue
        for isolation in kind.isolations:
            common = {**kind.function, "isolation": isolation, "env": {"GREETING": "grüß dich"}}
            if isolation == "request" and kind.function.get("runtime") == "exec":
                del common["isolation"]
            result[f"{kind.name}-{isolation}"] = {
                "timeout": 60, "memory": 256, **common, "routes": [f"/{kind.name}/{isolation}/*"]}
            result[f"{kind.name}-{isolation}-late"] = {
                "timeout": 2, "memory": 256, **common, "routes": [f"/late/{kind.name}/{isolation}/*"]}
    return result


def cells():
    """(kind, isolation), for pytest."""
    return [(kind, isolation) for kind in TABLE for isolation in kind.isolations]


if __name__ == "__main__":
    for kind, isolation in cells():
        sys.stdout.write(f"{kind.name:24} {isolation:10} {kind.missing or ''}\n")
