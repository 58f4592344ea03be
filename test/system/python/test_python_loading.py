"""From `handler` to a function, and what is said when that fails."""
import json

import pytest

from lib.zygote_harness import LoadFailed

OK = "def f(event, context): return __name__\n"

FOUND = [
    # handler, files, the module's name
    ("m.f", {"m.py": OK}, "m"),
    ("api/users.f", {"api/users.py": OK}, "users"),
    ("api.users.f", {"api/users.py": OK}, "users"),
    ("api/[id].f", {"api/[id].py": OK}, "[id]"),
    ("api/[team]/[id].f", {"api/[team]/[id].py": OK}, "[id]"),
    ("a.b.f", {"a.b.py": OK}, "a.b"),
    ("api/my-file.f", {"api/my-file.py": OK}, "my-file"),
    ("pkg/mod.f", {"pkg/__init__.py": "", "pkg/mod.py": OK}, "pkg.mod"),
    ("pkg.f", {"pkg/__init__.py": OK}, "pkg"),
    ("m.C.f", {"m.py": "class C:\n    @staticmethod\n    " + OK}, "m"),
    ("random.f", {"random.py": OK}, "random"),
    ("json.f", {"json.py": OK}, "mayfly_json"),
    ("main.f", {"main.py": OK}, "main"),
]


@pytest.mark.parametrize("handler, files, name", FOUND, ids=[f[0] for f in FOUND])
def test_handler_is_found(zygote, handler, files, name):
    assert zygote(handler, files=files).request().json == name


DETECTED = [
    ("api/users", "def handler(event, context): return 'lambda'", b'"lambda"'),
    ("api/users.py", "def handler(event, context): return 'lambda'", b'"lambda"'),
    ("api/users", "def lambda_handler(event, context): return 'lambda'", b'"lambda"'),
    ("api/users", "async def handler(event, context): return 'async'", b'"async"'),
    ("api/users", "def app(e, s): s('200 OK', []); return [b'wsgi']", b"wsgi"),
    ("api/users", "app: object = lambda e, s: s('200 OK', []) and None or [b'wsgi']", b"wsgi"),
    ("api/users", "def handler(event, context): return 1\n"
                  "def application(e, s): s('200 OK', []); return [b'wsgi']", b"wsgi"),
    ("api/users", "from http.server import BaseHTTPRequestHandler as B\nclass Handler(B):\n"
                  "    def do_GET(self): self.wfile.write(b'HTTP/1.1 200 OK\\r\\n\\r\\nclass')", b"class"),
]


@pytest.mark.parametrize("handler, source, body", DETECTED)
def test_entry_is_detected(zygote, handler, source, body):
    assert zygote(handler, files={"api/users.py": source}).request().body == body


def test_first_entry_in_the_file_wins(zygote):
    source = """
from http.server import BaseHTTPRequestHandler
%s
def app(e, s): s('200 OK', []); return [b'wsgi']
class handler(BaseHTTPRequestHandler):
    def do_GET(self): self.wfile.write(b'HTTP/1.1 200 OK\\r\\n\\r\\nclass')
"""
    assert zygote("m", source % "").request().body == b"wsgi"


def test_relative_imports_work_in_a_package(zygote):
    files = {"pkg/__init__.py": "", "pkg/mod.py": "from . import other\nf = other.f", "pkg/other.py": OK}
    assert zygote("pkg/mod.f", files=files).request().json == "pkg.other"


def test_neighbours_and_the_root_can_be_imported(zygote):
    files = {"api/users.py": "import helper, top\ndef f(e, c): return [helper.x, top.x]",
             "api/helper.py": "x = 1", "top.py": "x = 2"}
    assert zygote("api/users.f", files=files).request().json == [1, 2]


def test_module_is_an_ordinary_one(zygote):
    z = zygote("m.f", """
import sys, os, dataclasses, pickle
@dataclasses.dataclass
class D:
    x: int
def f(event, context):
    return [__name__, os.path.basename(__file__), sys.modules[__name__].f is f, sys.argv, sys.path[0] == os.getcwd(),
            pickle.loads(pickle.dumps(D(3))).x, "main" in sys.modules, __spec__.name]
""")
    assert z.request().json == ["m", "m.py", True, ["m.f"], True, 3, False, "m"]


# ---- what goes wrong ----


def failure(zygote, handler, source=None, **more):
    with pytest.raises(LoadFailed) as e:
        zygote(handler, source, **more)
    assert set(e.value.error) == {"errorType", "errorMessage", "stackTrace"}, e.value.text
    assert "mayfly_host" not in e.value.text and "importlib" not in e.value.text
    return e.value


def test_missing_file_names_what_there_is(zygote):
    error = failure(zygote, "api/user.f", files={"api/users.py": OK}).error
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "api/user.py" in error["errorMessage"] and "users.py" in error["errorMessage"]
    assert error["stackTrace"] == []


def test_missing_folder(zygote):
    error = failure(zygote, "nowhere/users.f", files={"m.py": OK}).error
    assert "nowhere" in error["errorMessage"]


def test_missing_name_lists_the_callables(zygote):
    error = failure(zygote, "m.handle", "import os\ndef handler(e, c): pass\nclass K: pass\nx = 1\n").error
    assert error["errorType"] == "Runtime.HandlerNotFound"
    assert "'handle'" in error["errorMessage"]
    assert error["errorMessage"].endswith("it has handler, K")


def test_name_that_cannot_be_called(zygote):
    error = failure(zygote, "m.x", "x = 1").error
    assert error["errorType"] == "Runtime.HandlerNotFound" and "int" in error["errorMessage"]


def test_no_entry_to_detect(zygote):
    error = failure(zygote, "m", "def other(e, c): pass").error
    assert error["errorType"] == "Runtime.HandlerNotFound"
    assert "BaseHTTPRequestHandler" in error["errorMessage"] and "app" in error["errorMessage"]


def test_syntax_error_shows_line_and_caret(zygote):
    failed = failure(zygote, "m.f", "x = 1\ndef f(:\n    pass\n")
    assert failed.error["errorType"] == "SyntaxError"
    assert "line 2" in failed.error["errorMessage"]
    text = "".join(failed.error["stackTrace"])
    assert "def f(:" in text and "^" in text and "line 2" in text
    assert "def f(:" in failed.log


def test_error_at_import_shows_the_authors_frames(zygote):
    failed = failure(zygote, "m.f", files={"m.py": "import helper\n",
                                           "helper.py": "def g():\n    1 / 0\ng()\n"})
    assert failed.error["errorType"] == "ZeroDivisionError"
    assert failed.error["errorMessage"] == "division by zero"
    frames = failed.error["stackTrace"]
    assert [("m.py" in frames[0]), ("helper.py" in frames[1]), ("in g" in frames[2])] == [True] * 3
    assert len(frames) == 3 and "1 / 0" in frames[2]
    assert "Traceback (most recent call last)" in failed.log


def test_missing_module_hints_at_pip(zygote):
    error = failure(zygote, "m.f", "import surely_not_there.sub").error
    assert error["errorType"] == "ModuleNotFoundError"
    assert "No module named 'surely_not_there'" in error["errorMessage"]
    assert "pip install surely_not_there" in error["errorMessage"]
    assert ".venv" in error["errorMessage"]


def test_exit_at_import(zygote):
    error = failure(zygote, "m.f", "import sys\nsys.exit(3)").error
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.ExitError", "Runtime exited with error: exit status 3")


def test_chained_errors_are_in_the_log(zygote):
    failed = failure(zygote, "m.f", "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e")
    assert failed.error["errorType"] == "ValueError"
    assert "KeyError: 'k'" in failed.log and "direct cause" in failed.log


def test_class_that_is_no_handler(zygote):
    error = failure(zygote, "m.K", "class K: pass").error
    assert "BaseHTTPRequestHandler" in error["errorMessage"]


def test_what_is_printed_at_load_is_in_the_log(zygote):
    z = zygote("m.f", "import sys\nprint('loading ä')\nprint('to err', file=sys.stderr)\n" + OK)
    z.wait_log("to err\n")
    assert z.log == "loading ä\nto err\n"


def test_threads_at_load_are_named(zygote):
    z = zygote("m.f", """
import threading
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
def f(event, context):
    t = threading.Thread(target=print, args=("from a thread",))
    t.start()
    t.join()
    return [x.name for x in threading.enumerate()]
""")
    z.wait_log("threads do not go on")
    assert "poller" in z.log
    reply = z.request()
    assert (reply.json, reply.ended.stdout) == (["MainThread"], "from a thread\n")


def test_error_is_valid_json_with_any_text(zygote):
    failed = failure(zygote, "m.f", "raise ValueError('\\ud800\\x00ä' * 20)")
    assert json.loads(failed.text)["errorType"] == "ValueError"
