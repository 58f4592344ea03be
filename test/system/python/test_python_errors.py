"""Errors in a handler: told to the caller as JSON and to the log in full."""
import pytest

RAISES = [
    ("1 / 0", "ZeroDivisionError", "division by zero"),
    ("raise KeyError('k')", "KeyError", "'k'"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    ("raise GeneratorExit", "GeneratorExit", ""),
    ("raise MemoryError", "MemoryError", ""),
    ("return bytearray(1 << 62)", "MemoryError", ""),
    ("raise UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad')", "UnicodeDecodeError",
     "'utf-8' codec can't decode byte 0xff in position 0: bad"),
    ("raise type('Mine', (Exception,), {})('text')", "Mine", "text"),
    ("raise ValueError('\\ud800 ä 🦋')", "ValueError", "\ud800 ä 🦋"),
    ("raise ValueError('x' * 100000)", "ValueError", "x" * 100000),
    ("raise type('Bad', (Exception,), {'__str__': lambda s: 1 / 0})()", "Bad",
     "<the error's text cannot be made>"),
    ("import asyncio; raise asyncio.CancelledError()", "CancelledError", ""),
]


@pytest.mark.parametrize("statement, kind, message", RAISES, ids=[r[0] for r in RAISES])
def test_error_is_reported(zygote, statement, kind, message):
    reply = zygote("m.f", "def f(event, context):\n    " + statement).request()
    assert (reply.error["errorType"], reply.error["errorMessage"]) == (kind, message)
    assert len(reply.error["stackTrace"]) == 1
    assert reply.error["stackTrace"][0].startswith('  File "') and ", line 2, in f\n    " in \
        reply.error["stackTrace"][0]
    assert reply.ended.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert kind in reply.ended.stderr and "mayfly_host" not in reply.ended.stderr
    assert reply.ended.exit_code == 0


EXITS = [
    ("3", "RequestId: 0-1 Error: Runtime exited with error: exit status 3"),
    ("", "RequestId: 0-1 Error: Runtime exited without providing a reason"),
    ("0", "RequestId: 0-1 Error: Runtime exited without providing a reason"),
    ("'why'", "RequestId: 0-1 Error: Runtime exited with error: exit status 1"),
]


@pytest.mark.parametrize("code, message", EXITS)
def test_sys_exit_is_an_error_that_names_the_code(zygote, code, message):
    z = zygote("m.f", "import sys\ndef f(event, context):\n    sys.exit(%s)" % code)
    error = z.request(request_id="0-1").error
    assert (error["errorType"], error["errorMessage"]) == ("Runtime.ExitError", message)


def test_os_exit_is_a_crash(zygote):
    worker = zygote("m.f", "import os\ndef f(event, context):\n    os._exit(7)").fork()
    worker.send_head()
    assert worker.raw_reply() == b""
    assert worker.end().exit_code == 7


def test_recursion(zygote):
    reply = zygote("m.f", "def f(event, context): return f(event, context)").request()
    assert reply.error["errorType"] == "RecursionError"
    assert len(reply.error["stackTrace"]) < 20 and "repeated" in "".join(reply.error["stackTrace"])


def test_causes_are_in_the_log(zygote):
    reply = zygote("m.f", """
def f(event, context):
    try:
        {}["k"]
    except KeyError as e:
        raise ValueError("v") from e
""").request()
    assert "KeyError: 'k'" in reply.ended.stderr and "direct cause" in reply.ended.stderr


def test_error_group(zygote):
    z = zygote("m.f", """
def f(event, context):
    try:
        group = ExceptionGroup
    except NameError:
        raise ValueError("a") from None
    raise group("both", [ValueError("a"), TypeError("b")])
""")
    assert "ValueError: a" in z.request().ended.stderr


def test_error_keeps_what_was_printed(zygote):
    reply = zygote("m.f", """
import sys
def f(event, context):
    print("before", end="")
    sys.stderr.write("err before\\n")
    raise ValueError
""").request()
    assert reply.ended.stdout == "before"
    assert reply.ended.stderr.startswith("err before\nTraceback")


def test_closed_streams_do_no_harm(zygote):
    z = zygote("m.f", """
import sys
def f(event, context):
    sys.stdout.close()
    sys.stderr = None
    raise ValueError("still told")
""")
    assert z.request().error["errorMessage"] == "still told"


def test_error_in_wsgi_after_the_body_began_breaks_it_off(zygote):
    z = zygote("m", """
def app(environ, start_response):
    start_response("200 OK", [])
    def pieces():
        yield b"begun"
        raise ValueError("in the middle")
    return pieces()
""")
    worker = z.fork()
    worker.send_head()
    raw = worker.raw_reply()
    assert b"begun" in raw and not raw.endswith(b"0\r\n\r\n")
    ended = worker.end()
    assert "ValueError: in the middle" in ended.stderr and ended.exit_code == 1


def test_client_that_goes_away_ends_the_request(zygote):
    z = zygote("m", """
import time
def app(environ, start_response):
    start_response("200 OK", [])
    while True:
        yield b"x" * 10000
        time.sleep(0.01)
""")
    worker = z.fork()
    worker.send_head()
    worker.sock.recv(100)
    worker.hang_up()
    assert "BrokenPipeError" in worker.end().stderr


def test_body_that_breaks_off_is_an_error(zygote):
    z = zygote("echo.event")
    worker = z.fork()
    worker.send_head("POST", length=100)
    worker.sock.sendall(b"short")
    worker.sock.shutdown(1)
    assert worker.read_reply().error["errorType"] == "BrokenPipeError"
    worker.end()
