"""Servers for the tests of the runtime web, as their authors would write them."""

# One process with threads. What it does is in the path.
THREADED = '''
import hashlib, http.server, os, socket, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, text, status=200, headers=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        self.wfile.flush()

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (n := int(self.rfile.readline(), 16)) > 0:
                while n > 0:
                    data = self.rfile.read(min(n, 65536))
                    n -= len(data)
                    yield data
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left > 0:
                data = self.rfile.read(min(left, 65536))
                left -= len(data)
                yield data

    def do_POST(self):
        digest, n = hashlib.sha256(), 0
        for data in self.body():
            digest.update(data)
            n += len(data)
        self.reply(f"{n} {digest.hexdigest()}")

    do_PUT = do_POST

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "1234")
        self.end_headers()

    def do_GET(self):
        name, _, argument = self.path.lstrip("/").partition("/")
        getattr(self, "on_" + name, self.on_)(argument)

    def on_(self, argument):
        self.reply("hello " + self.path)

    def on_pid(self, argument):
        time.sleep(float(argument or 0))
        self.reply("%s %d" % (os.readlink("/proc/self/ns/pid"), os.getpid()))

    def on_headers(self, argument):
        self.reply("".join(f"{n}: {v}\\n" for n, v in self.headers.items()))

    def on_events(self, argument):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(3):
            self.chunk(b"data: %d\\n\\n" % i)
            while not os.path.exists(f"/tmp/go{i}"):
                time.sleep(0.005)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def on_go(self, argument):
        open("/tmp/go" + argument, "w").close()
        self.reply("gone on")

    def on_down(self, argument):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        piece = b"x" * 65536
        for _ in range(int(argument) * 16):
            self.chunk(piece)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def raw(self, data):
        self.wfile.write(data)
        self.close_connection = True

    def on_until_close(self, argument):
        self.raw(b"HTTP/1.0 200 OK\\r\\nX-Kind: old\\r\\n\\r\\nuntil the end")

    def on_early_hints(self, argument):
        self.raw(b"HTTP/1.1 103 Early Hints\\r\\nLink: </a>\\r\\n\\r\\n"
                 b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nlate")

    def on_trailers(self, argument):
        self.raw(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n0\\r\\nX-T: 1\\r\\n\\r\\n")

    def on_no_content(self, argument):
        self.send_response(204)
        self.end_headers()

    def on_not_http(self, argument):
        self.raw(b"220 mail.example ESMTP\\r\\n")

    def on_two_lengths(self, argument):
        self.raw(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nContent-Length: 4\\r\\n\\r\\nabcd")

    def on_nothing(self, argument):
        self.raw(b"")

    def on_half(self, argument):
        self.raw(b"HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nhalf")

    def on_crash(self, argument):
        print("about to crash", flush=True)
        os._exit(3)

    def on_sleep(self, argument):
        time.sleep(float(argument))
        self.reply("slept")

    def on_left(self, argument):
        """Waits for its client to leave, and leaves a note."""
        self.request.settimeout(20)
        try:
            gone = self.request.recv(1) == b""
        except ConnectionError:
            gone = True
        open("/tmp/left", "w").write(str(gone))

    def on_has_left(self, argument):
        self.reply(str(os.path.exists("/tmp/left")))

    def on_name(self, argument):
        self.reply("%s %d" % self.server.socket.getsockname()[:2])

    def on_uid(self, argument):
        self.reply(str(os.getuid()))

    def on_upgrade(self, argument):
        """Echo, after a handshake; the first bytes come with it."""
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\n"
                         b"Upgrade: echo\\r\\n\\r\\nwelcome")
        while data := self.connection.recv(65536):
            self.connection.sendall(data.upper())
        self.close_connection = True

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
    request_queue_size = 128

Server((ADDRESS, int(os.environ["PORT"])), Handler).serve_forever()
'''


def threaded(address="127.0.0.1"):
    return f"ADDRESS = {address!r}\n" + THREADED.lstrip()


# One process, one request at a time.
SINGLE = '''
import http.server, os, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3 if self.path == "/slow" else 0)
        body = ("%s %d" % (os.readlink("/proc/self/ns/pid"), os.getpid())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
'''


def project(source=None, command=("python3", "server.py"), **settings):
    function = {"runtime": "web", "command": list(command) if isinstance(command, tuple) else command,
                "routes": ["/*"], **settings}
    return {"server.py": source or threaded(), "mayfly.json": {"functions": {"app": function}}}
