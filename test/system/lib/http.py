"""HTTP/1.1 by raw sockets, so that tests see and send exactly what is on the wire."""
import json
import socket

HANG_SECONDS = 30  # whatever takes longer hangs


class Response:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers  # lower-case name: value; of several the last
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.headers.get("mayfly-request-id")

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:500]!r}>"


class Connection:
    """A connection to an (address, port) or a unix socket's path; may carry several requests."""

    def __init__(self, address, timeout=HANG_SECONDS):
        family = socket.AF_UNIX if isinstance(address, str) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, target, body=None, headers=None):
        lines = [f"{method} {target} HTTP/1.1"]
        headers = {"Host": "localhost", **(headers or {})}
        if body is not None:
            body = body.encode() if isinstance(body, str) else body
            headers.setdefault("Content-Length", str(len(body)))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.response(method)

    def _more(self):
        data = self.socket.recv(65536)
        self.pending += data
        return bool(data)

    def _until(self, end):
        while end not in self.pending:
            if not self._more():
                raise EOFError(f"the server closed after {self.pending!r}")
        part, self.pending = self.pending.split(end, 1)
        return part

    def _exactly(self, n):
        while len(self.pending) < n:
            if not self._more():
                raise EOFError(f"the server closed {n - len(self.pending)} bytes early")
        part, self.pending = self.pending[:n], self.pending[n:]
        return part

    def response(self, method="GET"):
        """Reads one response; 1xx ones are passed over."""
        while True:
            first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            _, status, reason = (first + " ").split(" ", 2)
            headers = {}
            for line in lines:
                name, value = line.split(":", 1)
                headers[name.strip().lower()] = value.strip()
            if not 100 <= int(status) < 200 or int(status) == 101:
                break
        return Response(int(status), reason.strip(), headers, self._body(method, int(status), headers))

    def _body(self, method, status, headers):
        if method == "HEAD" or status in (101, 204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self._until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    while self._until(b"\r\n"):
                        pass
                    return body
                body += self._exactly(size)
                assert self._until(b"\r\n") == b""
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        return self.rest()

    def rest(self):
        """Everything until the server closes."""
        while self._more():
            pass
        part, self.pending = self.pending, b""
        return part
