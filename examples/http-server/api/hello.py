"""A request handler of the standard library is a function, too."""
import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

BODY_MAX = 1024 * 1024


class handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = parse_qs(urlsplit(self.path).query).get("name", ["world"])[0]
        self.answer(200, "text/plain; charset=utf-8", f"Hello, {name}!\n")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > BODY_MAX:
            self.answer(413, "text/plain", "That is too much.\n")
            return
        try:
            name = json.loads(self.rfile.read(length))["name"]
        except (ValueError, KeyError, TypeError):
            self.answer(400, "text/plain", 'Please send JSON, as in {"name": "you"}.\n')
            return
        self.answer(200, "application/json", json.dumps({"greeting": f"Hello, {name}!"}))

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
