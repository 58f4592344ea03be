"""WSGI, PEP 3333: one application, called once a request."""

import io
import sys

from . import forwarded


class _Body(io.RawIOBase):
    """The request's body as a file. A BufferedReader around it has readline() and the rest."""

    def __init__(self, request):
        self._read = request.read

    def readable(self):
        return True

    def readinto(self, target):
        data = self._read(len(target))
        target[:len(data)] = data
        return len(data)


class FileWrapper:
    """wsgi.file_wrapper: the pieces of a file."""

    def __init__(self, file, block_size=65536):
        self.file = file
        self.block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.file.read(self.block_size)
        if data:
            return data
        raise StopIteration


class _Reply:
    """start_response() and the write() it returns, for one request."""

    __slots__ = ("request", "length", "called")

    def __init__(self, request):
        self.request = request
        self.length = -1
        self.called = False

    def start(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.request.is_written:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.called:
            raise AssertionError("start_response() was called again without exc_info")
        self.called = True
        self.length = -1
        for name, value in headers:
            if name.lower() == "content-length":
                self.length = int(value)
        if not isinstance(status, str) or not status[:3].isdigit():
            raise ValueError("the status must be text such as '200 OK', not %r" % (status,))
        self.request.start(int(status[:3]), headers, self.length)
        return self.write

    def write(self, data):
        self.request.write(data)
        self.request.flush()


class Adapter:
    on_touch = None

    def __init__(self, mayfly, app, start):
        self.app = app
        self.base = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "REQUEST_URI": "/",
            "RAW_URI": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "mayfly",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": None,
            "wsgi.input_terminated": True,  # it ends where the body ends, with or without a length
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": start["isolation"] == "request",
            "wsgi.file_wrapper": FileWrapper,
        }

    def answer_request(self, request):
        self.answer(request, self.app)

    def answer_null(self, request):
        self.answer(request, _null_app)

    def environ(self, request):
        environ = self.base.copy()
        environ["REQUEST_METHOD"] = request.method
        environ["PATH_INFO"] = request.decoded_path()
        environ["QUERY_STRING"] = request.query
        environ["REQUEST_URI"] = environ["RAW_URI"] = request.target
        host, colon, port = request.host.rpartition(":")
        if colon and port.isdigit():
            environ["SERVER_NAME"], environ["SERVER_PORT"] = host, port
        elif request.host:
            environ["SERVER_NAME"] = request.host
        client = request.get("Mayfly-Client-Ip")
        if client:
            environ["REMOTE_ADDR"] = client
            if request.get("X-Forwarded-Proto") and \
                    forwarded.scheme_of(request, client) == "https":
                environ["wsgi.url_scheme"] = "https"
                if not port.isdigit():
                    environ["SERVER_PORT"] = "443"
        request.fill_environ(environ)
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.input"] = io.BufferedReader(_Body(request)) if request.content_length else \
            io.BytesIO()
        return environ

    def answer(self, request, app):
        reply = _Reply(request)
        pieces = app(self.environ(request), reply.start)
        try:
            self.send(request, reply, pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close:
                close()

    def send(self, request, reply, pieces):
        """A list is all there already, so it goes out in one; anything else is sent as it comes.
        Without a Content-Length the worker counts what it holds back, so one piece gets its own."""
        whole = isinstance(pieces, (list, tuple)) or (hasattr(pieces, "__len__") and
                                                      len(pieces) == 1)
        for piece in pieces:
            if not piece:
                continue
            if not reply.called:
                raise AssertionError("the application gave a body before start_response()")
            request.write(piece)
            if not whole:
                request.flush()
        if not reply.called:
            raise AssertionError("the application did not call start_response()")


def _null_app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"touched"]
