"""The trivial answer, and an echo of a JSON body: a bare WSGI application."""

import json

HELLO = b'{"hello":"mayfly"}\n'


def app(environ, start_response):
    body = HELLO
    if environ["REQUEST_METHOD"] == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        value = json.loads(environ["wsgi.input"].read(length))
        body = json.dumps(value, separators=(",", ":")).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
