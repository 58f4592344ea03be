"""ASGI 3: one application, called once a request, on an event loop that belongs to the worker.

The loop is made in the worker, ahead of its request where that is possible: one made in the zygote
would share its epoll with all workers. What an application does when its answer is out, such as
background tasks, is part of the request: the answer is complete when the application returns.
"""

import asyncio
import importlib
import sys

from . import errors, forwarded
from .lifespan import Lifespan

PIECE_BYTES = 32768  # of an answer, at once
READ_BYTES = 65536
VERSIONS = {"version": "3.0", "spec_version": "2.4"}
FD = 3  # the request's socket


class Ready:
    """Waits until the request's socket can be read or written."""

    def __init__(self, loop, fd=FD):
        self.loop = loop
        self.fd = fd
        self.readers = []
        self.writers = []

    async def readable(self):
        await self._wait(self.readers, self.loop.add_reader, self.loop.remove_reader)

    async def writable(self):
        await self._wait(self.writers, self.loop.add_writer, self.loop.remove_writer)

    async def _wait(self, waiting, add, remove):
        future = self.loop.create_future()
        waiting.append(future)
        if len(waiting) == 1:
            add(self.fd, _wake, waiting)
        try:
            await future
        finally:
            waiting.remove(future)
            if not waiting:
                remove(self.fd)

    def wake_readers(self):
        _wake(self.readers)


def _wake(waiting):
    for future in waiting:
        if not future.done():
            future.set_result(None)


def scope_of(request, kind, state):
    """What http and websocket have in common."""
    peer = request.get("Mayfly-Client-Ip") or ""
    scheme = forwarded.scheme_of(request, peer)
    host, colon, port = request.host.rpartition(":")
    if not (colon and port.isdigit()):
        host, port = request.host, 443 if scheme == "https" else 80
    client = forwarded.client_of(request, peer)
    if kind == "websocket":
        scheme = "wss" if scheme == "https" else "ws"
    return {
        "type": kind,
        "asgi": VERSIONS.copy(),
        "http_version": "1.1",
        "scheme": scheme,
        "path": request.decoded_path().encode("latin-1").decode("utf-8", "replace"),
        "raw_path": request.path.encode("latin-1"),
        "query_string": request.query.encode("latin-1"),
        "root_path": "",
        "headers": request.asgi_headers(),
        "client": (client, 0) if client else None,
        "server": (host or "localhost", int(port)),
        "state": state.copy(),
    }


def response_head(message):
    """(status, headers, length) of http.response.start and websocket.http.response.start."""
    headers, length = [], -1
    for name, value in message.get("headers") or ():
        if name.lower() == b"content-length":
            length = int(value)
        headers.append((bytes(name), bytes(value)))
    return message["status"], headers, length


class Response:
    """An answer that goes out without holding up the loop: each piece when there is room for it."""

    def __init__(self, request, ready):
        self.request = request
        self.ready = ready
        self.is_started = False
        self.is_ended = False
        self.is_flushed = False
        self.status = 0
        self.last_piece = b""

    @property
    def is_the_applications(self):
        """Whether it is complete, and stands even if the application fails afterwards: frameworks send a
        page and pass the error on. A bare "Internal Server Error" says less than the error itself."""
        is_bare = self.status == 500 and self.last_piece == b"Internal Server Error"
        return self.is_ended and not (is_bare and not self.is_flushed)

    def start(self, message):
        if self.is_started:
            raise RuntimeError("the answer has begun already: %r came again" % message["type"])
        self.request.start(*response_head(message))
        self.status = message["status"]
        self.is_started = True

    async def body(self, message):
        if not self.is_started or self.is_ended:
            raise RuntimeError("%r came %s" % (message["type"], "when the answer was complete"
                               if self.is_ended else "before the answer's start"))
        data = message.get("body", b"")
        more = message.get("more_body", False)
        if len(data) <= PIECE_BYTES and not more:
            self.request.write(data)
        else:
            await self._pieces(data)
        if more:
            await self._room()
            self.request.flush()
            self.is_flushed = True
        else:
            self.is_ended = True
            self.last_piece = data

    async def _pieces(self, data):
        with memoryview(data) as view:
            for at in range(0, len(view), PIECE_BYTES):
                await self._room()
                self.request.write(bytes(view[at:at + PIECE_BYTES]))

    async def _room(self):
        while not self.request.is_writable:
            await self.ready.writable()


class Http:
    """receive() and send() of one request."""

    def __init__(self, request, ready):
        self.request = request
        self.ready = ready
        self.response = Response(request, ready)
        self.left = request.content_length  # of the body, or -1
        self.is_body_told = False
        self.is_gone = False

    async def receive(self):
        if not self.is_body_told:
            data = await self._read() if self.left else b""
            if data is not None:
                self.is_body_told = not self.left
                return {"type": "http.request", "body": data, "more_body": bool(self.left)}
        await self._until_gone()
        return {"type": "http.disconnect"}

    async def _read(self):
        """The next piece of the body, or None if it breaks off."""
        while True:
            try:
                data = self.request.read_now(READ_BYTES)
            except OSError:
                self.is_gone = self.is_body_told = True
                return None
            if data is not None:
                break
            await self.ready.readable()
            if not self.left:
                return b""  # another task has read it
        if not data:
            self.left = 0
        elif self.left > 0:
            self.left -= len(data)
        return data

    async def _until_gone(self):
        while not self.is_gone and not self.response.is_ended:
            await self.ready.readable()
            self.is_gone = self.request.is_hung_up
            if not self.is_gone and not self.response.is_ended:
                await asyncio.sleep(0.1)  # bytes that are not this request's

    async def send(self, message):
        kind = message["type"]
        if kind == "http.response.body":
            await self.response.body(message)
            if self.response.is_ended:
                self.ready.wake_readers()
        elif kind == "http.response.start":
            self.response.start(message)
        else:
            raise RuntimeError("%r is no message for an http request" % (kind,))


def check_ended(response):
    if not response.is_started:
        raise RuntimeError("the ASGI application returned without an answer")
    if not response.is_ended:
        raise RuntimeError("the ASGI application returned before its answer was complete: no "
                           "http.response.body came without more_body")


class Adapter:
    def __init__(self, mayfly, app, start):
        self.app = app
        if not _takes_three(app) and callable(getattr(app, "asgi", None)):
            self.app = app.asgi
        self.is_single = start["isolation"] == "request"
        _load_the_rest()
        self.loop = self.ready = self.lifespan = None
        self.startup_error = None

    # ---- the process ----

    def _open(self):
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
            self.ready = Ready(self.loop)
            self.lifespan = None

    def _start(self):
        """Once a process; once more if it failed and another request comes."""
        self._open()
        if self.lifespan is None:
            self.loop.run_until_complete(self._start_lifespan())

    async def _start_lifespan(self):
        lifespan = Lifespan(self.app, self.loop, VERSIONS.copy())
        await lifespan.start()
        self.lifespan = lifespan

    def on_touch(self):
        try:
            self._start()
        except BaseException as e:  # for the request to tell
            self.startup_error = e

    # ---- requests ----

    def answer_request(self, request):
        error, self.startup_error = self.startup_error, None
        if error:
            raise error
        self._start()
        self.loop.run_until_complete(self._serve(request, self.app, self.lifespan))

    async def _serve(self, request, app, lifespan):
        upgrade = request.get("Upgrade")
        if upgrade and upgrade.lower() == "websocket" and request.method == "GET":
            from . import asgi_socket
            await asgi_socket.serve(app, request, self.ready, lifespan.state)
        else:
            await self._http(request, app, lifespan.state)
        if not request.is_upgraded and not request.is_rehearsal:
            request.complete()
        if self.is_single:
            await self._end(lifespan)

    async def _http(self, request, app, state):
        scope = scope_of(request, "http", state)
        scope["method"] = request.method
        http = Http(request, self.ready)
        try:
            await app(scope, http.receive, http.send)
        except Exception as e:
            if not http.response.is_the_applications:
                raise
            # Its own page for errors: that is the answer, and the log has the error.
            errors.tell(errors.report(e)[1])
        check_ended(http.response)

    async def _end(self, lifespan):
        """Behind the answer of the only request. What takes longer than the gateway's patience is
        ended by force."""
        error = await lifespan.end()
        if error:
            errors.tell(errors.report(error)[1])
        me = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not me]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    def answer_null(self, request):
        """The rehearsal: in the zygote all of a process' life on a loop that does not outlive it, in a
        worker no more than what comes ahead of the request."""
        self._open()
        if request.is_rehearsal:
            self.loop.run_until_complete(self._rehearse(request))
            self.loop.close()
            asyncio.set_event_loop(None)
            self.loop = None
        else:
            self.loop.run_until_complete(self._http(request, _null_app, {}))

    async def _rehearse(self, request):
        lifespan = Lifespan(_null_app, self.loop, VERSIONS.copy())
        await lifespan.start()
        await self._serve(request, _null_app, lifespan)
        await self._end(lifespan)


def _load_the_rest():
    """What is loaded by the first request that needs it, if that is left to the libraries: 30 ms for the
    first plain function of FastAPI's or the first stream of Starlette's."""
    names = ["concurrent.futures.thread"]
    if "anyio" in sys.modules:
        names.append("anyio._backends._asyncio")
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            pass


def _takes_three(app):
    from . import detect
    return detect.is_three(app)


async def _null_app(scope, receive, send):
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": "lifespan.%s.complete" % stage})
        return
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"7")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"touched"})
