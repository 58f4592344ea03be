#!/usr/bin/env python3
"""A CGI program."""
import os
import sys
from urllib.parse import parse_qsl

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import probe  # noqa: E402
from py_wsgi import headers_of  # noqa: E402

sys.stdout.reconfigure(encoding="utf-8")
sys.stderr.reconfigure(encoding="utf-8")
own, sys.stdout = sys.stdout, sys.stderr  # a CGI program's stdout is its answer
status, headers, pieces = probe.answer({
    "method": os.environ["REQUEST_METHOD"], "path": os.environ["PATH_INFO"],
    "query": parse_qsl(os.environ["QUERY_STRING"], keep_blank_values=True), "headers": headers_of(os.environ),
    "body": iter(lambda: sys.stdin.buffer.read(65536), b"")})
out = own.buffer
out.write(f"Status: {status}\r\n".encode())
out.writelines(f"{name}: {value}\r\n".encode() for name, value in headers)
out.write(b"\r\n")
for piece in pieces:
    out.write(piece)
    out.flush()
