"""WSGI applications: one shows what it was asked, one streams."""
import hashlib
import json
import time
from urllib.parse import parse_qs


def show(environ, start_response):
    body = environ["wsgi.input"].read()
    told = json.dumps({
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "target": environ["REQUEST_URI"],
        "query": parse_qs(environ["QUERY_STRING"], keep_blank_values=True),
        "headers": {k[5:].lower(): v for k, v in environ.items() if k.startswith("HTTP_")},
        "length": len(body),
        "body": body[:200].decode("latin-1"),
        "sha256": hashlib.sha256(body).hexdigest(),
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(told)))])
    return [told]


def count(environ):
    sha, n = hashlib.sha256(), 0
    while True:
        data = environ["wsgi.input"].read(65536)
        if not data:
            break
        sha.update(data)
        n += len(data)
    yield b"%d %s" % (n, sha.hexdigest().encode())


def source(environ):
    left = int(parse_qs(environ["QUERY_STRING"])["n"][0])
    while left > 0:
        piece = min(left, 65536)
        yield b"s" * piece
        left -= piece


def events(environ):
    """Each event only when the client has said, by a piece of its body, that it has the one before."""
    for i in range(5):
        yield b"data: %d\n\n" % i
        environ["wsgi.input"].read1(1)


def clock(environ):
    """Events by time alone."""
    for i in range(4):
        yield b"data: %d\n\n" % i
        time.sleep(0.3)


def app(environ, start_response):
    what = environ["PATH_INFO"].rpartition("/")[2]
    headers = [("Content-Type", "text/event-stream" if what in ("events", "clock") else "text/plain")]
    if what == "source" and "length" in environ["QUERY_STRING"]:
        headers.append(("Content-Length", parse_qs(environ["QUERY_STRING"])["n"][0]))
    start_response("200 OK", headers)
    return {"count": count, "source": source, "events": events, "clock": clock}[what](environ)
