"""class handler(BaseHTTPRequestHandler); started as a program, a server of its own on $PORT."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import probe


class handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def answer(self):
        url = urlsplit(self.path)
        status, headers, pieces = probe.answer({
            "method": self.command, "path": url.path, "query": parse_qsl(url.query, keep_blank_values=True),
            "headers": self.headers.items(), "body": self.body()})
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        bodyless = status in (204, 304) or self.command == "HEAD"
        if not bodyless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces if not bodyless else []:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
            self.wfile.flush()
        if not bodyless:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), handler).serve_forever()
