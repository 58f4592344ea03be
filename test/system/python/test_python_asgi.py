"""ASGI applications: http and lifespan."""
import os
import signal
import socket
import time

import pytest

HELLO = """
async def hello(send, text, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": text if isinstance(text, bytes) else repr(text).encode()})
"""
APP = HELLO + """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
%s
"""


def app(zygote, body, **more):
    return zygote("m", APP % "\n".join("    " + line for line in body.strip().splitlines()), **more)


def scope_of(zygote, env=None, **request):
    more = {"env": {**os.environ, **env}} if env else {}
    return eval(app(zygote, "await hello(send, scope)", **more).request(**request).body)


def test_scope_is_complete(zygote):
    scope = scope_of(zygote, method="POST", target="/a%20b/%C3%A4?x=1&y=%20", body=b"hello",
                     headers=[("Host", "example.org:8443"), ("X-One", "1"), ("X-ONE", "2"),
                              ("Mayfly-Client-Ip", "10.1.2.3")])
    headers = scope.pop("headers")
    assert scope == {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "method": "POST", "scheme": "http", "path": "/a b/\xe4", "raw_path": b"/a%20b/%C3%A4",
        "query_string": b"x=1&y=%20", "root_path": "", "client": ("10.1.2.3", 0),
        "server": ("example.org", 8443), "state": {}}
    assert headers[:4] == [(b"host", b"example.org:8443"), (b"x-one", b"1"), (b"x-one", b"2"),
                           (b"mayfly-client-ip", b"10.1.2.3")]
    assert (b"content-length", b"5") in headers


@pytest.mark.parametrize("peer,allowed,scheme,client", [
    ("127.0.0.1", None, "https", "10.9.9.9"),
    ("10.1.1.1", None, "http", "10.1.1.1"),
    ("10.1.1.1", "10.1.1.1", "https", "10.9.9.9"),
    ("10.1.1.1", "*", "https", "1.2.3.4"),
    ("127.0.0.1", "", "http", "127.0.0.1"),
], ids=["the machine itself", "anybody", "named", "all", "none"])
def test_a_proxy_is_believed_only_if_it_is_trusted(zygote, peer, allowed, scheme, client):
    env = {} if allowed is None else {"FORWARDED_ALLOW_IPS": allowed}
    scope = scope_of(zygote, env=env, headers=[("X-Forwarded-Proto", "https"), ("Mayfly-Client-Ip", peer),
                                               ("X-Forwarded-For", "1.2.3.4, 10.9.9.9")])
    assert (scope["scheme"], scope["client"]) == (scheme, (client, 0))


def test_body_comes_as_it_is_sent(zygote):
    z = app(zygote, """
sizes = []
while True:
    message = await receive()
    print(len(message["body"]), message["more_body"])
    if not message["more_body"]:
        break
await hello(send, b"")
""")
    worker = z.fork()
    worker.send_head("POST", chunked=True)
    worker.send_chunk(b"one")
    worker.stdout.wait_for(b"3 True")
    worker.send_chunk(b"three")
    worker.stdout.wait_for(b"5 True")
    worker.end_chunks()
    assert worker.read_reply().status == 200
    assert worker.end().stdout == "3 True\n5 True\n0 False\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_arrives_whole(zygote, chunked):
    z = app(zygote, """
import hashlib
sha, more = hashlib.sha256(), True
while more:
    message = await receive()
    sha.update(message["body"])
    more = message["more_body"]
await hello(send, sha.hexdigest())
""")
    body = os.urandom(3 << 20)
    pieces = [body[i:i + 50000] for i in range(0, len(body), 50000)]
    import hashlib
    reply = z.request("POST", body=pieces if chunked else body, chunked=chunked)
    assert reply.body.decode() == repr(hashlib.sha256(body).hexdigest())


def test_other_tasks_run_while_the_body_is_waited_for(zygote):
    z = app(zygote, """
import asyncio
async def tick():
    await asyncio.sleep(0.01)
    print("tick")
task = asyncio.ensure_future(tick())
await receive()
await hello(send, b"")
""")
    worker = z.fork()
    worker.send_head("POST", length=1)
    worker.stdout.wait_for(b"tick")
    worker.sock.sendall(b"x")
    assert worker.read_reply().status == 200
    worker.end()


def test_pieces_are_sent_as_they_come_and_other_tasks_run_while_the_client_is_slow(zygote):
    z = app(zygote, """
import asyncio
async def tick():
    while True:
        await asyncio.sleep(0.02)
        print("tick")
task = asyncio.ensure_future(tick())
await send({"type": "http.response.start", "status": 200})
await send({"type": "http.response.body", "body": b"one", "more_body": True})
print("first is out")
for i in range(100):
    await send({"type": "http.response.body", "body": b"x" * 40000, "more_body": True})
await send({"type": "http.response.body", "body": b"end"})
""")
    worker = z.fork()
    worker.send_head()
    response = worker.open_reply()
    assert response.read(3) == b"one"
    worker.stdout.wait_for(b"first is out\ntick\ntick\ntick\n")  # the socket is full, the loop turns
    assert response.read() == b"x" * 4000000 + b"end"
    worker.end()


def test_large_piece_keeps_its_length(zygote):
    reply = app(zygote, """
await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"1000000")]})
await send({"type": "http.response.body", "body": b"x" * 1000000})
""").request()
    assert (reply.get("Content-Length"), reply.get("Transfer-Encoding"), reply.body) == (
        "1000000", None, b"x" * 1000000)


def test_headers_and_status(zygote):
    reply = app(zygote, """
await hello(send, b"", 418, [(b"set-cookie", b"a=1"), [b"Set-Cookie", b"b=2"], (b"x-l", "\\xe9".encode("latin-1"))])
""").request()
    assert (reply.status, reply.all("Set-Cookie"), reply.get("X-L")) == (418, ["a=1", "b=2"], "\xe9")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_head_has_no_body(zygote, method):
    worker = app(zygote, 'await hello(send, b"hello", 200, [(b"content-length", b"5")])').fork()
    worker.send_head(method)
    text = worker.raw_reply()
    assert b"Content-Length: 5" in text and text.endswith(b"\r\n\r\n" if method == "HEAD" else b"hello")
    worker.end()


def test_disconnect_comes_behind_the_answer(zygote):
    z = app(zygote, """
import asyncio
async def listen():
    await receive()
    print((await receive())["type"])
task = asyncio.ensure_future(listen())
await asyncio.sleep(0)
await hello(send, b"done")
await task
""")
    reply = z.request()
    assert (reply.body, reply.ended.stdout) == (b"done", "http.disconnect\n")


def test_disconnect_comes_when_the_client_leaves(zygote):
    z = app(zygote, """
await receive()
print((await receive())["type"])
""")
    worker = z.fork()
    worker.send_head()
    worker.sock.shutdown(socket.SHUT_WR)
    worker.stdout.wait_for(b"http.disconnect")
    worker.hang_up()
    worker.zygote.wait_ended(worker.number)


def test_disconnect_comes_in_the_middle_of_a_body(zygote):
    worker = app(zygote, "print((await receive())['type'], (await receive())['type'])").fork()
    worker.send_head("POST", length=10)
    worker.sock.sendall(b"abc")
    worker.sock.shutdown(socket.SHUT_WR)
    worker.stdout.wait_for(b"http.request http.disconnect")
    worker.hang_up()
    worker.zygote.wait_ended(worker.number)


def test_background_work_belongs_to_the_request(zygote):
    z = app(zygote, """
import asyncio
await hello(send, b"done")
await asyncio.sleep(0.3)
print("background")
""")
    reply = z.request()
    assert (reply.body, reply.ended.stdout) == (b"done", "background\n")


def test_threads_work(zygote):
    reply = app(zygote, """
import asyncio, threading
name = await asyncio.get_running_loop().run_in_executor(None, lambda: threading.current_thread().name)
await hello(send, name)
""").request()
    assert reply.body != b"'MainThread'" and reply.status == 200


def test_tasks_that_are_left_are_cancelled(zygote):
    reply = app(zygote, """
import asyncio
async def work():
    try:
        await asyncio.sleep(100)
    finally:
        print("cleaned up")
task = asyncio.ensure_future(work())
await asyncio.sleep(0)
await hello(send, b"")
""").request()
    assert reply.ended.stdout == "cleaned up\n"


@pytest.mark.parametrize("body,error", [
    ("raise ValueError('broken')", "ValueError"),
    ("await send({'type': 'http.response.start', 'status': 200})\nraise ValueError('broken')", "ValueError"),
    ("pass", "RuntimeError"),
    ("await send({'type': 'http.response.start', 'status': 200})", "RuntimeError"),
    ("await send({'type': 'http.response.body', 'body': b'x'})", "RuntimeError"),
    ("await send({'type': 'websocket.accept'})", "RuntimeError"),
    ("await send({'type': 'http.response.start', 'status': 99})", "ValueError"),
    ("await hello(send, b'', 200, [(b'bad name', b'')])", "ValueError"),
    ("await hello(send, b'', 200, [(b'x', b'a\\r\\nSet-Cookie: b')])", "ValueError"),
    ("await hello(send, b'abc', 200, [(b'content-length', b'4')])", "ValueError"),
    ("import sys\nsys.exit(3)", "Runtime.ExitError"),
])
def test_errors_are_told(zygote, body, error):
    reply = app(zygote, body).request()
    assert reply.error["errorType"] == error
    assert reply.ended.stderr


def test_second_answer_is_an_error_and_the_first_stands(zygote):
    reply = app(zygote, "await hello(send, b'one')\nawait hello(send, b'two')").request()
    assert reply.body == b"one" and "RuntimeError" in reply.ended.stderr


def test_error_has_the_authors_frames_only(zygote):
    reply = app(zygote, "def deep():\n    raise ValueError('broken')\ndeep()").request()
    stack = "".join(reply.error["stackTrace"])
    assert "in deep\n" in stack and "in app\n" in stack
    assert "mayfly_host" not in stack + reply.ended.stderr and "asyncio" not in stack


def test_page_that_an_application_has_for_its_errors_stands_and_the_error_is_logged(zygote):
    reply = app(zygote, "await hello(send, b'sorry', 500)\nraise ValueError('broken')").request()
    assert (reply.status, reply.body, reply.get("Mayfly-Error")) == (500, b"sorry", None)
    assert "ValueError: broken" in reply.ended.stderr


def test_bare_internal_server_error_gives_way_to_the_error(zygote):
    reply = app(zygote, "await hello(send, b'Internal Server Error', 500)\nraise ValueError('broken')").request()
    assert reply.error["errorMessage"] == "broken"


def test_error_behind_the_first_piece_breaks_the_answer_off(zygote):
    worker = app(zygote, """
await send({"type": "http.response.start", "status": 200})
await send({"type": "http.response.body", "body": b"one", "more_body": True})
raise ValueError("late")
""").fork()
    worker.send_head()
    text = worker.raw_reply()
    assert b"one" in text and not text.endswith(b"0\r\n\r\n")
    assert "ValueError: late" in worker.end().stderr


def test_stack_at_the_deadline_names_each_task(zygote):
    worker = app(zygote, """
import asyncio
async def other():
    await asyncio.get_running_loop().create_future()
async def sleeper():
    print("ready")
    await asyncio.sleep(100)
task = asyncio.ensure_future(other())
await asyncio.sleep(0)
await sleeper()
""").fork()
    worker.send_head()
    worker.stdout.wait_for(b"ready")
    worker.signal(signal.SIGQUIT)
    ended = worker.end()
    assert ended.exit_code == 124
    for part in ("in app\n", "in sleeper\n", "await asyncio.sleep(100)", "in other\n"):
        assert part in ended.stack
    assert "mayfly_host" not in ended.stack


def test_instance_serves_one_request_after_the_other_on_one_loop(zygote):
    z = app(zygote, """
import asyncio
global loops
loops = globals().get("loops", set()) | {id(asyncio.get_running_loop())}
body = (await receive())["body"]
await hello(send, (len(loops), body))
""", isolation="instance")
    worker = z.fork()
    for i in range(3):
        reply = worker.request("POST", body=b"%d" % i)
        assert eval(reply.body) == (1, b"%d" % i)


# ---- lifespan ----

LIFESPAN = HELLO + """
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
%s
        return
    await hello(send, {k: v for k, v in scope["state"].items()})
    scope["state"]["mine"] = 1
"""
GOOD = """
print("startup")
scope["state"]["pid"] = os.getpid()
scope["state"]["list"] = []
await send({"type": "lifespan.startup.complete"})
assert (await receive())["type"] == "lifespan.shutdown"
print("shutdown")
await send({"type": "lifespan.shutdown.complete"})
"""


def lifespan(zygote, body, **more):
    return zygote("m", LIFESPAN % "\n".join("        " + line for line in body.strip().splitlines()), **more)


def test_lifespan_starts_in_the_standby_and_ends_behind_the_answer(zygote):
    worker = lifespan(zygote, GOOD).fork()
    worker.stdout.wait_for(b"startup")  # no request has come
    state = eval(worker.request().body)
    assert state["list"] == [] and "mine" not in state
    assert worker.end().stdout == "startup\nshutdown\n"


def test_lifespan_starts_once_in_an_instance_and_state_is_each_requests_own(zygote):
    worker = lifespan(zygote, GOOD, isolation="instance").fork()
    replies = {worker.request().body for _ in range(3)}
    assert len(replies) == 1 and b"mine" not in replies.pop()
    assert worker.stdout.data == b"startup\n"


@pytest.mark.parametrize("body,error,text", [
    ("raise_later = 1\nawait send({'type': 'lifespan.startup.failed', 'message': 'no database'})",
     "Runtime.LifespanError", "no database"),
    ("await send({'type': 'lifespan.startup.failed', 'message': 'x'})\nraise KeyError('DATABASE')",
     "KeyError", "'DATABASE'"),
    ("import sys\nsys.exit(1)", "Runtime.ExitError", "exit status 1"),
])
def test_startup_that_fails_is_the_requests_error(zygote, body, error, text):
    reply = lifespan(zygote, body).request()
    assert reply.error["errorType"] == error and text in reply.error["errorMessage"]
    assert error.rpartition(".")[2].replace("ExitError", "SystemExit") in reply.ended.stderr


@pytest.mark.parametrize("body", ["raise NotImplementedError()", "return", "assert False"])
def test_application_without_lifespan_goes_on(zygote, body):
    reply = lifespan(zygote, body).request()
    assert (reply.status, reply.body, reply.ended.stderr) == (200, b"{}", "")


def test_error_at_shutdown_is_logged_and_the_answer_stands(zygote):
    body = GOOD.replace('print("shutdown")', 'raise ValueError("at the end")')
    reply = lifespan(zygote, body).request()
    assert reply.status == 200 and "ValueError: at the end" in reply.ended.stderr


def test_startup_that_waits_is_part_of_the_first_request(zygote):
    body = GOOD.replace('print("startup")', "import asyncio\nawait asyncio.sleep(0.2)")
    begin = time.monotonic()
    assert lifespan(zygote, body).request().status == 200
    assert time.monotonic() - begin < 20


APPLICATIONS = {
    "a coroutine function": "async def app(scope, receive, send):\n    await hello(send, b'asgi')",
    "an object": "class A:\n    async def __call__(self, scope, receive, send):\n        await hello(send, b'asgi')\napp = A()",
    "an attribute": "class A:\n    async def asgi(self, scope, receive, send):\n        await hello(send, b'asgi')\n"
                    "    def __call__(self): pass\napp = A()",
    "a partial": "import functools\nasync def f(x, scope, receive, send):\n    await hello(send, b'asgi')\n"
                 "app = functools.partial(f, 1)",
}


@pytest.mark.parametrize("kind", list(APPLICATIONS))
@pytest.mark.parametrize("handler", ["m", "m.app"])
def test_what_is_an_asgi_application(zygote, handler, kind):
    assert zygote(handler, HELLO + APPLICATIONS[kind]).request().body == b"asgi"
