"""`class handler(BaseHTTPRequestHandler)`: it must not notice that there is no socket."""
import time

import pytest

CLASS = """
from http.server import BaseHTTPRequestHandler
import time

class handler(BaseHTTPRequestHandler):
%s
"""


def handler(zygote, methods, **more):
    return zygote("m", CLASS % "\n".join("    " + line for line in methods.strip("\n").splitlines()),
                  **more)


def test_plain_answer(zygote):
    reply = handler(zygote, """
def do_GET(self):
    self.send_response(201)
    self.send_header("X-Path", self.path)
    self.send_header("Set-Cookie", "a=1")
    self.send_header("Set-Cookie", "b=2")
    self.end_headers()
    self.wfile.write(b"hello")
""").request(target="/api/x.py?query=hello%20%40world")
    assert (reply.status, reply.body, reply.get("Content-Length")) == (201, b"hello", "5")
    assert reply.get("X-Path") == "/api/x.py?query=hello%20%40world"
    assert reply.all("Set-Cookie") == ["a=1", "b=2"]
    assert reply.get("Server").startswith("BaseHTTP/")


def test_what_a_handler_can_see(zygote):
    reply = handler(zygote, """
def do_PATCH(self):
    seen = [self.command, self.path, self.request_version, self.requestline, self.headers["X-One"],
            self.headers.get_all("X-Two"), self.client_address[0], self.headers.get("Transfer-Encoding"),
            self.rfile.read(int(self.headers["Content-Length"])), self.address_string()]
    self.send_response(200)
    self.end_headers()
    self.wfile.write(repr(seen).encode())
""").request("PATCH", "/a%20b?c=d", [("X-One", "\xe9"), ("X-Two", "1"), ("X-Two", "2"),
                                     ("Mayfly-Client-Ip", "192.0.2.1")], b"body\nof two lines")
    assert eval(reply.body) == ["PATCH", "/a%20b?c=d", "HTTP/1.1", "PATCH /a%20b?c=d HTTP/1.1", "\xe9",
                                ["1", "2"], "192.0.2.1", None, b"body\nof two lines", "192.0.2.1"]


def test_missing_method_is_501(zygote):
    z = handler(zygote, "def do_GET(self): pass")
    reply = z.request("DELETE")
    assert reply.status == 501 and b"Unsupported method" in reply.body
    assert reply.get("Mayfly-Error") is None


def test_head_is_its_own_method(zygote):
    reply = handler(zygote, """
def do_HEAD(self):
    self.send_response(200)
    self.send_header("Content-Length", "1234")
    self.end_headers()
""").request("HEAD")
    assert (reply.status, reply.get("Content-Length"), reply.body) == (200, "1234", b"")


def test_send_error(zygote):
    reply = handler(zygote, "def do_GET(self): self.send_error(404, 'Nothing here')").request()
    assert reply.status == 404 and b"Nothing here" in reply.body


def test_log_message_is_in_the_log(zygote):
    reply = handler(zygote, "def do_GET(self): self.send_response(204); self.end_headers()").request()
    assert '"GET / HTTP/1.1" 204 -' in reply.ended.stderr


def test_body_that_was_not_read_is_no_second_request(zygote):
    reply = handler(zygote, """
protocol_version = "HTTP/1.1"
def do_POST(self):
    print("called")
    self.send_response(200)
    self.send_header("Content-Length", "2")
    self.end_headers()
    self.wfile.write(b"ok")
""").request("POST", "/", body=b"POST /evil HTTP/1.1\r\n\r\n")
    assert (reply.body, reply.ended.stdout) == (b"ok", "called\n")


def test_own_chunked_framing_is_taken_apart(zygote):
    reply = handler(zygote, """
protocol_version = "HTTP/1.1"
def do_GET(self):
    self.send_response(200)
    self.send_header("Transfer-Encoding", "chunked")
    self.end_headers()
    self.wfile.write(b"5\\r\\nhello\\r\\n6;x=y\\r\\n world\\r\\n0\\r\\n\\r\\n")
""").request()
    assert reply.body == b"hello world"


def test_interim_answers_are_left_out(zygote):
    reply = handler(zygote, """
def do_GET(self):
    self.wfile.write(b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 103 Early\\r\\nLink: x\\r\\n\\r\\n")
    self.send_response(200)
    self.end_headers()
    self.wfile.write(b"after")
""").request()
    assert (reply.status, reply.body, reply.get("Link")) == (200, b"after", None)


def test_writes_in_any_pieces(zygote):
    reply = handler(zygote, """
def do_GET(self):
    for b in b"HTTP/1.0 200 OK\\r\\nX-A: 1\\r\\nContent-Length: 3\\r\\n\\r\\nabc":
        self.wfile.write(bytes([b]))
""").request()
    assert (reply.status, reply.get("X-A"), reply.body) == (200, "1", b"abc")


STREAM = """
def do_GET(self):
    self.send_response(200)
    self.send_header("Content-Type", %r)
    self.end_headers()
    for i in range(3):
        self.wfile.write(b"data %%d\\n" %% i)
        %s
        time.sleep(0.4)
"""


@pytest.mark.parametrize("kind, flush", [("text/event-stream", ""), ("text/plain", "self.wfile.flush()")])
def test_pieces_arrive_when_they_are_written(zygote, kind, flush):
    worker = handler(zygote, STREAM % (kind, flush)).fork()
    worker.send_head()
    response = worker.open_reply()
    begin = time.monotonic()
    assert response.read(7) == b"data 0\n"
    assert time.monotonic() - begin < 0.3
    assert response.read() == b"data 1\ndata 2\n"
    assert time.monotonic() - begin > 0.7
    worker.end()


def test_big_body_streams(zygote):
    z = handler(zygote, """
def do_POST(self):
    n = int(self.headers["Content-Length"])
    self.send_response(200)
    self.send_header("Content-Length", str(n))
    self.end_headers()
    while n > 0:
        data = self.rfile.read(min(n, 65536))
        n -= len(data)
        self.wfile.write(data)
""")
    body = bytes(range(256)) * (1 << 14)
    reply = z.request("POST", "/", body=body)
    assert reply.body == body
    assert reply.ended.memory_peak_bytes < 64 << 20


BAD = {
    "nothing": "pass",
    "no HTTP": "self.wfile.write(b'hello\\n\\n')",
    "half a head": "self.wfile.write(b'HTTP/1.1 200 OK\\r\\nX: ')",
    "too short a body": "self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nabc')",
    "a header of two lines": "self.send_response(200); self.send_header('X', 'a\\r\\n b\\r\\nc'); self.end_headers()",
    "text": "self.send_response(200); self.end_headers(); self.wfile.write('text')",
    "an exception": "raise ValueError('mine')",
}


@pytest.mark.parametrize("what", list(BAD))
def test_no_answer_is_an_error(zygote, what):
    reply = handler(zygote, "def do_GET(self):\n    " + BAD[what]).request()
    assert reply.error["errorType"] in ("ValueError", "TypeError")
    assert reply.error["errorType"] in reply.ended.stderr


def test_own_constructor_is_respected(zygote):
    z = zygote("m", """
import os
from http.server import SimpleHTTPRequestHandler
class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory=os.path.dirname(__file__), **kwargs)
""")
    reply = z.request(target="/m.py")
    assert reply.status == 200 and b"SimpleHTTPRequestHandler" in reply.body
    assert z.request(target="/none").status == 404


def test_buffered_output(zygote):
    reply = handler(zygote, """
wbufsize = -1
def do_GET(self):
    self.send_response(200)
    self.end_headers()
    self.wfile.write(b"buffered")
""").request()
    assert (reply.status, reply.body) == (200, b"buffered")
