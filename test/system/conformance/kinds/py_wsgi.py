"""A WSGI application."""
from urllib.parse import parse_qsl

import probe


def headers_of(environ):
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-"), value
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            yield name.replace("_", "-"), environ[name]


def app(environ, start_response):
    body = iter(lambda: environ["wsgi.input"].read(65536), b"")
    status, headers, pieces = probe.answer({
        "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"].encode("latin-1").decode(),
        "query": parse_qsl(environ["QUERY_STRING"], keep_blank_values=True),
        "headers": headers_of(environ), "body": body})
    start_response(f"{status} Status", headers)
    return pieces
