"""`class handler(BaseHTTPRequestHandler)`: made for a socket, so it is given one that is none.

The class runs as in http.server: its own constructor reads the head, finds do_<METHOD> (501 if there
is none) and calls it. What it writes is raw HTTP, which the worker takes apart again.
"""

import http.server
import io
import sys

# Both call wfile.flush() when the handler is done: not the author's wish to send now.
_FLUSH_AT_END = (http.server.BaseHTTPRequestHandler.handle_one_request.__code__,
                 http.server.BaseHTTPRequestHandler.finish.__code__)


class _Input(io.RawIOBase):
    """The head as bytes, then the body."""

    def __init__(self, request):
        self._head = memoryview(request.raw_head())
        self._read = request.read

    def readable(self):
        return True

    def readinto(self, target):
        data = self._head[:len(target)]
        if data:
            self._head = self._head[len(data):]
        else:
            data = self._read(len(target))
        target[:len(data)] = data
        return len(data)


class _Output(io.RawIOBase):
    """Unbuffered on a socket, so each write is to arrive soon: one piece of body is held back, as most
    answers have just that, and gets its length; from the second on each goes out at once. An event
    stream is never held back, nor anything after flush()."""

    def __init__(self, request):
        self._request = request
        self._pieces = 0
        self._head = b""
        self._is_stream = False

    def writable(self):
        return True

    def write(self, data):
        with memoryview(data) as view:
            length = view.nbytes
        has_head = self._request.is_started
        if not has_head:
            self._head += bytes(data)
        if self._request.raw_feed(data):
            if not has_head:
                head, _, body = self._head.partition(b"\r\n\r\n")
                self._is_stream = b"text/event-stream" in head.lower()
                self._pieces += bool(body)
                self._head = b""
            else:
                self._pieces += 1
            if self._is_stream or self._pieces > 1:
                self._request.flush()
        return length

    def flush(self):
        if self.closed or sys._getframe(1).f_code in _FLUSH_AT_END:
            return
        self._request.flush()


class _Connection:
    """As much of a socket as socketserver's handlers use."""

    def __init__(self, request, client):
        self._request = request
        self._client = client
        self._output = _Output(request)

    def makefile(self, mode="r", buffering=-1, **text):
        if "w" not in mode:
            return io.BufferedReader(_Input(self._request))
        return io.BufferedWriter(self._output, buffering) if buffering > 1 else self._output

    def sendall(self, data, flags=0):
        self._output.write(data)

    def send(self, data, flags=0):
        return self._output.write(data)

    def getpeername(self):
        return self._client

    def getsockname(self):
        return ("127.0.0.1", 80)

    def settimeout(self, seconds):
        pass

    def setsockopt(self, *args):
        pass

    def shutdown(self, how):
        pass

    def close(self):
        pass


class _Server:
    """What handlers read off self.server."""

    server_name = "localhost"
    server_port = 80
    server_address = ("127.0.0.1", 80)
    timeout = None


class Adapter:
    on_touch = None

    def __init__(self, mayfly, handler, start):
        self.handler = handler
        self.server = _Server()
        # 0 would make socketserver use a writer of its own, which does not pass flush() on.
        if handler.wbufsize == 0:
            handler.wbufsize = 1

    def answer_request(self, request):
        self.answer(request, self.handler)

    def answer_null(self, request):
        self.answer(request, _NullHandler)

    def answer(self, request, handler):
        client = (request.get("Mayfly-Client-Ip") or "127.0.0.1", 0)
        request.raw_begin()
        handler(_Connection(request, client), client, self.server)
        request.raw_end()


class _NullHandler(http.server.BaseHTTPRequestHandler):
    wbufsize = 1

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"touched")

    def log_message(self, format, *args):
        stderr, sys.stderr = sys.stderr, io.StringIO()
        try:
            super().log_message(format, *args)
        finally:
            sys.stderr = stderr
