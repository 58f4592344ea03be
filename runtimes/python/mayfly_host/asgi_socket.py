"""WebSocket connections of an ASGI application: the handshake, then websocket.py's frames on the
request's socket.

When the client is gone the gateway ends the worker at once, so the answer to a client's closing frame,
behind which the client leaves, is held back for a moment: until the application has returned.
"""

import asyncio
import socket
from collections import deque

from . import asgi, websocket

QUEUE_MAX = 16         # messages that wait for the application; then the socket is not read
OUT_BYTES_MAX = 65536  # that wait for the client; then send() does
CLOSE_S = 1            # for the application to return when the client has closed
LINGER_S = 1           # for the client to answer a close
READ_BYTES = 65536

CONNECTING, OPEN, RESPONDING, CLOSED = range(4)


class ClosedError(OSError):
    """What send() raises when the connection is closed."""


async def serve(app, request, ready, state):
    try:
        key = websocket.accept_key(request.get("Sec-WebSocket-Version"),
                                   request.get("Sec-WebSocket-Key"))
    except websocket.HandshakeError as e:
        _refuse(request, e.status, e.text, e.headers)
        return
    scope = asgi.scope_of(request, "websocket", state)
    offered = [value for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    scope["subprotocols"] = [name.strip() for value in offered
                             for name in value.decode("latin-1").split(",") if name.strip()]
    scope["extensions"] = {"websocket.http.response": {}}
    connection = Connection(request, ready, key, scope["subprotocols"])
    try:
        await app(scope, connection.receive, connection.send)
    except ClosedError:
        pass  # it has heard of it, and has nothing more to say
    except BaseException:
        if request.is_upgraded:
            await connection.end(websocket.INTERNAL_ERROR)
        raise
    await connection.end(websocket.NORMAL)


def _refuse(request, status, text, headers=()):
    body = (text + "\n").encode()
    request.start(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], len(body))
    request.write(body)


class Connection:
    def __init__(self, request, ready, key, subprotocols):
        self.request = request
        self.ready = ready
        self.loop = ready.loop
        self.key = key
        self.subprotocols = subprotocols
        self.response = asgi.Response(request, ready)
        self.stage = CONNECTING
        self.is_connect_told = False
        self.reader = websocket.Reader()
        self.sock = None
        self.messages = deque()
        self.waiters = []        # receive() and drain()
        self.out = bytearray()
        self.is_watched = self.is_written = False
        self.close_sent = False
        self.close_got = None    # (code, reason) once nothing more is read
        self.close_held = None   # the frame that answers the client's
        self.is_gone = False

    # ---- what the application calls ----

    async def receive(self):
        if not self.is_connect_told:
            self.is_connect_told = True
            return {"type": "websocket.connect"}
        if self.stage in (CONNECTING, RESPONDING):
            while self.stage in (CONNECTING, RESPONDING) and not self.request.is_hung_up:
                await self.ready.readable()
            if self.stage != OPEN:
                return self._disconnect()
        while self.stage == OPEN:
            if self.messages:
                kind, data = self.messages.popleft()
                self._watch()
                is_text = kind == websocket.TEXT
                return {"type": "websocket.receive", "text": data} if is_text else \
                    {"type": "websocket.receive", "bytes": data}
            if self.close_got:
                break
            await self._change()
        return self._disconnect()

    def _disconnect(self):
        code, reason = self.close_got or (websocket.ABNORMAL, "")
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def send(self, message):
        kind = message["type"]
        if self.stage == CONNECTING and kind == "websocket.accept":
            self._accept(message)
        elif self.stage == CONNECTING and kind == "websocket.close":
            self.stage = CLOSED
            _refuse(self.request, 403, "Forbidden")
            self.ready.wake_readers()
        elif self.stage == CONNECTING and kind == "websocket.http.response.start":
            self.response.start(message)
            self.stage = RESPONDING
        elif self.stage == RESPONDING and kind == "websocket.http.response.body":
            await self.response.body(message)
            if self.response.is_ended:
                self.stage = CLOSED
                self.ready.wake_readers()
        elif self.stage == OPEN and kind == "websocket.send":
            await self._send(message)
        elif self.stage == OPEN and kind == "websocket.close":
            self._close(message.get("code") or websocket.NORMAL, message.get("reason") or "")
            await self._drain(0)
        else:
            raise RuntimeError("%r is not what the WebSocket protocol expects here" % (kind,))

    # ---- the handshake ----

    def _accept(self, message):
        headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", self.key)]
        chosen = message.get("subprotocol")
        if chosen is not None:
            if chosen not in self.subprotocols:
                raise RuntimeError("the subprotocol %r is none that the client offers" % (chosen,))
            headers.append(("Sec-WebSocket-Protocol", chosen))
        for name, value in message.get("headers") or ():
            if name.lower() == b"sec-websocket-protocol":
                raise RuntimeError("the subprotocol is websocket.accept's `subprotocol`")
            headers.append((bytes(name), bytes(value)))
        self.request.start(101, headers)
        fd, early = self.request.upgrade()
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(False)
        self.stage = OPEN
        self._watch()
        self._take(early)
        self.ready.wake_readers()

    # ---- from the client ----

    def _watch(self):
        """Reads as long as there is room; a client that is not listened to has to wait."""
        wanted = self.close_got is None and len(self.messages) < QUEUE_MAX and \
            len(self.out) <= OUT_BYTES_MAX  # pongs for somebody who does not read them
        if wanted and not self.is_watched:
            self.loop.add_reader(self.sock, self._on_readable)
        elif self.is_watched and not wanted:
            self.loop.remove_reader(self.sock)
        self.is_watched = wanted

    def _on_readable(self):
        try:
            data = self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._lost()
        self._watch()

    def _take(self, data):
        self.reader.feed(data)
        try:
            for kind, value in self.reader.events():
                if kind == websocket.PING:
                    self._put(websocket.frame(websocket.PONG, value))
                elif kind == websocket.CLOSE:
                    self._on_close(*value)
                elif kind != websocket.PONG and not self.close_sent:
                    self.messages.append((kind, value))
        except websocket.ProtocolError as e:
            self.close_got = self.close_got or (e.code, e.reason)
            self._put_close(websocket.close_frame(e.code, e.reason))
        self._changed()

    def _on_close(self, code, reason):
        self.close_got = code, reason
        if not self.close_sent:
            self.close_held = websocket.close_frame(code)
            self.loop.call_later(CLOSE_S, self._release)

    def _release(self):
        held, self.close_held = self.close_held, None
        if held:
            self._put_close(held)

    def _lost(self):
        self.is_gone = True
        self.close_got = self.close_got or (websocket.ABNORMAL, "")
        self.out.clear()
        self._changed()

    # ---- to the client ----

    async def _send(self, message):
        if self.close_sent or self.is_gone:
            raise ClosedError("the WebSocket is closed")
        text, data = message.get("text"), message.get("bytes")
        if text is None and data is None:
            raise RuntimeError("websocket.send without text and bytes")
        if text is not None:
            self._put(websocket.frame(websocket.TEXT, text.encode()))
        else:
            self._put(websocket.frame(websocket.BINARY, bytes(data)))
        await self._drain(OUT_BYTES_MAX)

    def _close(self, code, reason):
        if self.close_sent:
            raise RuntimeError("the WebSocket is closed already")
        if not websocket.is_close_code(code):
            raise ValueError("%r is no code to close a WebSocket with" % (code,))
        self.close_held = None
        self._put_close(websocket.close_frame(code, reason))

    def _put_close(self, frame):
        if not self.close_sent:
            self._put(frame)
            self.close_sent = True

    def _put(self, frame):
        if self.close_sent or self.is_gone:
            return
        self.out += frame
        if not self.is_written:
            self._flush()

    def _flush(self):
        try:
            while self.out:
                with memoryview(self.out) as view:
                    n = self.sock.send(view[:READ_BYTES])
                del self.out[:n]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lost()
        if bool(self.out) != self.is_written:
            self.is_written = bool(self.out)
            if self.is_written:
                self.loop.add_writer(self.sock, self._flush)
            else:
                self.loop.remove_writer(self.sock)
                self._watch()
        self._changed()

    async def _drain(self, most):
        while len(self.out) > most:
            await self._change()

    # ---- the end ----

    async def end(self, code):
        """The application has returned: closes what it has left open."""
        if self.stage == OPEN:
            self._release()
            self._put_close(websocket.close_frame(code))
            try:
                await asyncio.wait_for(self._farewell(), LINGER_S)
            except asyncio.TimeoutError:
                pass
            self._hang_up()
        elif self.stage != CLOSED:
            if self.stage == CONNECTING:
                raise RuntimeError("the ASGI application returned and left the WebSocket unanswered")
            asgi.check_ended(self.response)

    async def _farewell(self):
        await self._drain(0)
        while not self.close_got:
            self.messages.clear()
            self._watch()
            await self._change()

    def _hang_up(self):
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        self.is_watched = self.is_written = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.detach()  # the descriptor is the worker's
        self.stage = CLOSED

    # ---- waiting ----

    async def _change(self):
        future = self.loop.create_future()
        self.waiters.append(future)
        try:
            await future
        finally:
            self.waiters.remove(future)

    def _changed(self):
        for future in self.waiters:
            if not future.done():
                future.set_result(None)
