"""A daemon played by a test: what the command-line tool makes of answers that a real one would rarely give."""
import json
import os
import shutil
import socket
import tempfile
import threading

import pytest

from .daemon import run_cli


def answer(body, status="200 OK", **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Played:
    """Listens as a daemon would, on the socket in a state folder, or with tcp=True on a port. Gives each
    connection the same answer, in the pieces it is made of (a function among them is called); to a question for
    a record, the next one of `records`, or 404. `routes` go before: {"GET /path": pieces, or a function that is
    called with the request and gives them}; a path stands for all that begin with it, the longest counts."""

    def __init__(self, *pieces, records=(), routes=None, tcp=False):
        self.state = tempfile.mkdtemp(prefix="mft.")
        self.pieces = pieces
        self.records = list(records)
        self.routes = routes or {}
        self.requests = []
        if tcp:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.state + "/mayfly.sock")
            self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.routes:  # a stream among them lasts
                threading.Thread(target=self.reply, args=(connection,), daemon=True).start()
            else:
                self.reply(connection)

    def choose(self, request):
        text = request.decode(errors="replace")
        for path in sorted(self.routes, key=len, reverse=True):
            if text.startswith(path):
                found = self.routes[path]
                return found(text) if callable(found) else [found] if isinstance(found, bytes) else found
        if not self.routes and request.startswith(b"GET /api/v1/records/"):
            return [self.records.pop(0) if self.records else answer(b"", "404 Not Found")]
        return self.pieces

    def reply(self, connection):
        with connection:
            request = self.read(connection)
            if self.routes or not request.startswith(b"GET /api/v1/records/"):
                self.requests.append(request)
            try:
                for piece in self.choose(request):
                    if callable(piece):
                        piece = piece()
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
            except OSError:
                pass  # the tool had enough

    @staticmethod
    def read(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return data
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def environment(self, **more):
        return {"PATH": os.environ["PATH"], "HOME": self.state, "MAYFLY_STATE": self.state, **more}

    def cli(self, *arguments, env=None, **more):
        return run_cli(*arguments, env=self.environment(**(env or {})), **more)

    def close(self):
        self.listener.close()
        shutil.rmtree(self.state)


@pytest.fixture
def played():
    made = []

    def play(*pieces, **more):
        made.append(Played(*pieces, **more))
        return made[-1]

    yield play
    for one in made:
        one.close()
