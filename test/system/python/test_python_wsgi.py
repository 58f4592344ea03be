"""WSGI applications: PEP 3333."""
import time

import pytest

APP = """
def app(environ, start_response):
%s
"""


def app(zygote, body, **more):
    return zygote("m", APP % "\n".join("    " + line for line in body.strip().splitlines()), **more)


def environ_of(zygote, **request):
    lines = zygote("echo.environ").request(**request).body.decode().split("\n")
    environ = dict(line.split("=", 1) for line in lines[:-1])
    return {k: eval(v) if v[0] in "'\"(TFN0123456789" else v for k, v in environ.items()}, eval(lines[-1])


def test_environ_is_complete(zygote):
    environ, body = environ_of(zygote, method="POST", target="/a%20b/%C3%A4?x=1&y=%20",
                               headers=[("Host", "example.org:8443"), ("Content-Type", "text/plain"),
                                        ("X-One", "1"), ("Mayfly-Client-Ip", "10.1.2.3")], body=b"hello")
    assert body == b"hello"
    expected = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/a b/\xc3\xa4",
        "QUERY_STRING": "x=1&y=%20", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "5",
        "SERVER_NAME": "example.org", "SERVER_PORT": "8443", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.1.2.3", "HTTP_HOST": "example.org:8443", "HTTP_X_ONE": "1",
        "REQUEST_URI": "/a%20b/%C3%A4?x=1&y=%20", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.multithread": False, "wsgi.multiprocess": True, "wsgi.run_once": True,
        "wsgi.input_terminated": True,
    }
    assert {k: environ.get(k) for k in expected} == expected
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ


def test_input_is_read_when_it_is_asked_for(zygote):
    worker = app(zygote, """
print(environ["wsgi.input"].read1(3))
print(environ["wsgi.input"].read())
start_response("200 OK", [])
return []
""").fork()
    worker.send_head("POST", length=6)
    worker.sock.sendall(b"abc")
    worker.stdout.wait_for(b"b'abc'")
    worker.sock.sendall(b"def")
    assert worker.read_reply().status == 200
    assert worker.end().stdout == "b'abc'\nb'def'\n"


@pytest.mark.parametrize("peer,scheme", [("127.0.0.1", "https"), ("10.1.2.3", "http")])
def test_scheme_is_what_a_proxy_on_this_machine_says(zygote, peer, scheme):
    environ, _ = environ_of(zygote, headers=[("X-Forwarded-Proto", "https"), ("Mayfly-Client-Ip", peer)])
    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == (
        scheme, "443" if scheme == "https" else "80")


def test_header_names_with_underscore_cannot_pass_for_others(zygote):
    environ, _ = environ_of(zygote, headers=[("X_Forwarded_For", "forged"), ("X-Ok", "1")])
    assert "HTTP_X_FORWARDED_FOR" not in environ and environ["HTTP_X_OK"] == "1"


def test_repeated_headers_are_joined(zygote):
    environ, _ = environ_of(zygote, headers=[("X-A", "1"), ("X-A", "2"), ("Cookie", "a=1"),
                                             ("Cookie", "b=2")])
    assert (environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


def test_chunked_body_has_no_length_and_ends(zygote):
    environ, body = environ_of(zygote, method="POST", body=[b"ab", b"cd"], chunked=True)
    assert body == b"abcd"
    assert "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ


def test_input_is_a_file(zygote):
    z = app(zygote, """
f = environ["wsgi.input"]
parts = [f.read(3), f.readline(), f.readline(2), f.readlines(), f.read(), f.read(5), list(f)]
start_response("200 OK", [])
return [repr(parts).encode()]
""")
    reply = z.request("POST", "/", body=b"abcdef\nghij\nk\n")
    assert eval(reply.body) == [b"abc", b"def\n", b"gh", [b"ij\n", b"k\n"], b"", b"", []]


def test_input_without_a_body_is_empty(zygote):
    z = app(zygote, 'start_response("200 OK", [])\nreturn [repr(environ["wsgi.input"].read()).encode()]')
    assert z.request().body == b"b''"


def test_one_piece_gets_its_length(zygote):
    reply = app(zygote, 'start_response("200 OK", [])\nreturn [b"hello"]').request()
    assert (reply.get("Content-Length"), reply.body) == ("5", b"hello")


def test_length_of_the_application_is_kept(zygote):
    reply = app(zygote, 'start_response("200 OK", [("Content-Length", "6")])\n'
                        'return iter([b"abc", b"def"])').request()
    assert (reply.get("Content-Length"), reply.get("Transfer-Encoding"), reply.body) == (
        "6", None, b"abcdef")


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Wait", "418 I'm a teapot", "201"])
def test_status(zygote, status):
    assert app(zygote, "start_response(%r, [])\nreturn []" % status).request().status == int(status[:3])


def test_headers_of_the_same_name_stay_apart(zygote):
    reply = app(zygote, 'start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), '
                        '("X-L", "\\xe9")])\nreturn []').request()
    assert reply.all("Set-Cookie") == ["a=1", "b=2"] and reply.get("X-L") == "\xe9"


def test_pieces_of_a_generator_are_sent_as_they_come(zygote):
    z = app(zygote, """
import time
start_response("200 OK", [])
def pieces():
    yield b"one"
    time.sleep(0.5)
    yield b""
    yield b"two"
return pieces()
""")
    worker = z.fork()
    worker.send_head()
    response = worker.open_reply()
    begin = time.monotonic()
    assert response.read(3) == b"one"
    assert time.monotonic() - begin < 0.3
    assert response.read() == b"two"
    worker.end()


def test_write_of_start_response_sends_at_once(zygote):
    z = app(zygote, """
write = start_response("200 OK", [])
write(b"a")
write(b"b")
return [b"c"]
""")
    assert z.request().body == b"abc"


def test_close_is_called_even_after_an_error(zygote):
    z = zygote("m", """
class Pieces:
    def __init__(self, bad):
        self.bad = bad
    def __iter__(self):
        if self.bad:
            raise ValueError("bad")
        return iter([b"x"])
    def close(self):
        print("closed")
def app(environ, start_response):
    start_response("200 OK", [])
    return Pieces(environ["QUERY_STRING"])
""")
    for target, status in (("/", 200), ("/?bad", 500)):
        reply = z.request(target=target)
        assert (reply.status, reply.ended.stdout) == (status, "closed\n")


def test_start_response_may_be_called_again_with_exc_info_before_the_body(zygote):
    z = app(zygote, """
import sys
start_response("200 OK", [("X-A", "1")])
try:
    raise ValueError("late")
except ValueError:
    start_response("500 Oops", [("X-B", "2")], sys.exc_info())
return [b"sorry"]
""")
    reply = z.request()
    assert (reply.status, reply.get("X-A"), reply.get("X-B"), reply.body) == (500, None, "2", b"sorry")
    assert reply.get("Mayfly-Error") is None


def test_start_response_with_exc_info_after_the_body_raises_it(zygote):
    z = app(zygote, """
import sys
write = start_response("200 OK", [])
write(b"x")
try:
    raise ValueError("late")
except ValueError:
    start_response("500 Oops", [], sys.exc_info())
return []
""")
    worker = z.fork()
    worker.send_head()
    raw = worker.raw_reply()
    assert raw.startswith(b"HTTP/1.1 200") and not raw.endswith(b"0\r\n\r\n")  # broken off
    ended = worker.end()
    assert "ValueError: late" in ended.stderr and ended.exit_code == 1


BAD = [
    ('start_response("200 OK", [])\nstart_response("200 OK", [])\nreturn []', "AssertionError"),
    ("return []", "AssertionError"),
    ('return [b"x"]', "AssertionError"),
    ('start_response("200 OK", [])\nreturn ["text"]', "TypeError"),
    ('start_response("200 OK", [])\nreturn None', "TypeError"),
    ('start_response(200, [])\nreturn []', "ValueError"),
    ('start_response("OK", [])\nreturn []', "ValueError"),
    ('start_response("200 OK", [("A\\nB", "x")])\nreturn []', "ValueError"),
    ('start_response("200 OK", [("A", "x\\r\\ny")])\nreturn []', "ValueError"),
    ('start_response("200 OK", [("Content-Length", "3")])\nreturn [b"four"]', "ValueError"),
    ('start_response("200 OK", [("Content-Length", "30")])\nreturn [b"four"]', "ValueError"),
    ('raise LookupError("mine")', "LookupError"),
]


@pytest.mark.parametrize("body, kind", BAD, ids=[b[0] for b in BAD])
def test_what_breaks_the_rules_is_an_error(zygote, body, kind):
    reply = app(zygote, body).request()
    assert reply.error["errorType"] == kind
    assert kind in reply.ended.stderr


def test_file_wrapper_sends_a_file(zygote):
    z = app(zygote, """
import io
start_response("200 OK", [])
return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 200000), 4096)
""")
    assert z.request().body == b"x" * 200000


def test_errors_go_to_the_log(zygote):
    reply = app(zygote, 'environ["wsgi.errors"].write("careful\\n")\nstart_response("204 No", [])\n'
                        'return []').request()
    assert (reply.status, reply.ended.stderr) == (204, "careful\n")


def test_big_bodies_stream_both_ways(zygote):
    z = app(zygote, """
start_response("200 OK", [])
def pieces():
    while True:
        data = environ["wsgi.input"].read(100000)
        if not data:
            return
        yield data
return pieces()
""")
    body = bytes(range(256)) * (1 << 15)
    assert z.request("POST", "/", body=body).body == body
    chunks = [body[i:i + 99999] for i in range(0, len(body), 99999)]
    worker = z.fork()
    # Both directions at once: the worker answers while it is still being sent to.
    import threading
    def send():
        worker.send_head("POST", chunked=True)
        for chunk in chunks:
            worker.send_chunk(chunk)
        worker.end_chunks()
    thread = threading.Thread(target=send)
    thread.start()
    assert worker.read_reply().body == body
    thread.join()
    assert worker.end().memory_peak_bytes < 64 << 20


def test_head_and_204_have_no_body(zygote):
    z = app(zygote, 'start_response("200 OK", [("Content-Length", "5")])\nreturn [b"hello"]')
    reply = z.request("HEAD")
    assert (reply.status, reply.get("Content-Length"), reply.body) == (200, "5", b"")


def test_instance_is_not_run_once(zygote):
    z = app(zygote, 'start_response("200 OK", [])\nreturn [repr(environ["wsgi.run_once"]).encode()]',
            isolation="instance")
    worker = z.fork()
    assert worker.request().body == b"False"
    worker.hang_up()


KINDS = {
    "a class with __call__": ("m.thing", """
class App:
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [b"ok"]
thing = App()
"""),
    "a function by the name of its second parameter": ("m.anything", """
def anything(env, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""),
    "what app is set to": ("m", """
def make():
    def inner(a, b):
        b("200 OK", [])
        return [b"ok"]
    return inner
app = make()
"""),
    "application": ("m", """
def application(e, s):
    s("200 OK", [])
    return [b"ok"]
"""),
    "a decorated one": ("m.f", """
import functools
def decorate(f):
    @functools.wraps(f)
    def wrapper(*a, **k):
        return f(*a, **k)
    return wrapper
@decorate
def f(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_wsgi_is_recognised_in(zygote, kind):
    assert zygote(*KINDS[kind]).request().body == b"ok"


def test_flask(zygote):
    z = zygote("m", """
import sys
try:
    from flask import Flask, request, jsonify
except ImportError:
    app = lambda environ, start_response: start_response("501 No", []) and []
else:
    app = Flask(__name__)
    @app.route("/hello/<name>", methods=["GET", "POST"])
    def hello(name):
        return jsonify(name=name, q=request.args.get("q"), form=request.form.to_dict())
""")
    reply = z.request("POST", "/hello/w%C3%B6rld?q=1", {"Content-Type": "application/x-www-form-urlencoded"},
                      b"a=%26&b=")
    if reply.status == 501:
        pytest.skip("this interpreter has no Flask")
    assert reply.json == {"name": "wörld", "q": "1", "form": {"a": "&", "b": ""}}
    assert z.request(target="/nowhere").status == 404
