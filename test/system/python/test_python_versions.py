"""One build serves every CPython from 3.8 on: the core of each part, with each that can be found."""
import signal

import pytest

from lib.zygote_harness import LoadFailed, interpreters

FOUND = interpreters()
USABLE = [executable for executable, minor in FOUND if minor >= 8]
EVERY = pytest.mark.parametrize("python", USABLE)


def test_which_interpreters_there_are(capsys):
    with capsys.disabled():
        print("\ninterpreters:", *["%s (3.%d)" % item for item in FOUND])
    assert USABLE, "no python3 on PATH, nor in MAYFLY_TEST_PYTHONS"


@EVERY
def test_lambda(zygote, python):
    z = zygote("sums.sleep_and_sum", python=python)
    reply = z.request(target="/?a=1&b=2")
    assert (reply.json, reply.ended.stdout) == ({"sum": 3}, "summing\n")
    body = zygote("echo.event", python=python).request("POST", "/", {"Content-Type": "text/plain"}, b"x").json
    assert body["body"] == "x"


@EVERY
def test_wsgi_and_http_server(zygote, python):
    assert zygote("wsgi_app", python=python).request(target="/x%20y").body == b"/x y"
    assert zygote("web", python=python).request(target="/x%20y").body == b"/x%20y"


@EVERY
def test_asgi(zygote, python):
    worker = zygote("m", """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown")
        return await send({"type": "lifespan.shutdown.complete"})
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        return
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": body})
""", python=python)
    reply = worker.request("POST", body=b"ab")
    assert (reply.body, reply.ended.stdout, reply.ended.stderr) == (b"abab", "shutdown\n", "")
    socket = worker.fork()
    socket.send_head(headers=[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                              ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    socket.sock.sendall(b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0")
    assert socket.raw_reply().endswith(b"\r\n\r\n\x81\x02hi\x88\x00")
    assert socket.end().stderr == ""


@EVERY
def test_lambda_stream(zygote, python):
    z = zygote("m.f", "async def f(e, c):\n    yield 'a'\n    yield 'b'", python=python)
    assert z.request().body == b"ab"


@EVERY
def test_async(zygote, python):
    z = zygote("m.f", "import asyncio\nasync def f(e, c):\n    await asyncio.sleep(0)\n    return 1",
               python=python)
    assert z.request().json == 1


@EVERY
def test_error(zygote, python):
    error = zygote("m.f", "def f(e, c): return 1 / 0", python=python).request().error
    assert error["errorType"] == "ZeroDivisionError" and len(error["stackTrace"]) == 1


@EVERY
def test_marshal_error(zygote, python):
    error = zygote("m.f", "def f(e, c): return {'a': object()}", python=python).request().error
    assert error["errorType"] == "Runtime.MarshalError"


@EVERY
@pytest.mark.parametrize("hooks", ["", "import os; os.register_at_fork(after_in_child=lambda: 0)"],
                         ids=["", "all hooks"])
def test_random_and_threads(zygote, python, hooks):
    z = zygote("m.f", hooks + """
import random, threading, logging, asyncio, concurrent.futures, multiprocessing
def f(event, context):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]
    asyncio.run(asyncio.sleep(0))
    logging.warning("x")
    assert threading.main_thread().native_id == threading.get_native_id()
    return random.random()
""", python=python)
    drawn = [z.request().json for _ in range(3)]
    assert len(set(drawn)) == 3


@EVERY
def test_stacks(zygote, python):
    for source, number in (("time.sleep(100)", signal.SIGQUIT), ("ctypes.string_at(0)", None),
                           ("ctypes.PyDLL(None).sleep(100)", signal.SIGQUIT)):
        z = zygote("m.f", "import ctypes, time\ndef f(e, c):\n    print('ready')\n    " + source,
                   python=python)
        worker = z.fork()
        worker.send_head()
        worker.stdout.wait_for(b"ready")
        if number:
            worker.signal(number)
        assert "in f" in worker.end().stack


@EVERY
def test_loop_of_load_time(zygote, python):
    z = zygote("m.f", """
import asyncio
loop = asyncio.new_event_loop()
def f(e, c):
    loop.call_soon_threadsafe(print, "woken")
    return loop.run_until_complete(asyncio.sleep(0.01, 5))
""", python=python)
    for _ in range(2):
        reply = z.request()
        assert (reply.json, reply.ended.stdout) == (5, "woken\n")


@EVERY
def test_load_error(zygote, python):
    with pytest.raises(LoadFailed) as e:
        zygote("m.f", "def f(:\n", python=python)
    assert e.value.error["errorType"] == "SyntaxError" and "^" in e.value.log
