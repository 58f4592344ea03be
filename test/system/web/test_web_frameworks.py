"""Servers that people run: several processes, other languages, WebSocket."""
import base64
import concurrent.futures
import os
import shutil
import struct

import pytest
from lib import npm
from lib.process import wait_until
from lib.web import dial
from servers import project

WSGI = '''
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %s %s" % (os.getpid(), environ["PATH_INFO"], environ.get("HTTP_X_FORWARDED_FOR"))).encode()]
'''


@pytest.fixture
def gunicorn():
    if not shutil.which("python3"):
        pytest.skip("there is no python3")
    return {"requirements.txt": "gunicorn==23.0.0\n", "app.py": WSGI}


def ready(daemon, path):
    """Its answer; skips the test if packages cannot be had."""
    answer = daemon.get(path, timeout=180)
    if answer.status == 500 and "Runtime.StartFailed" in answer.text:
        pytest.skip(answer.text[-400:])
    assert answer.status == 200, answer
    return answer


@pytest.mark.parametrize("command", [
    "gunicorn app:app --bind 0.0.0.0:$PORT --workers 2",
    ("gunicorn", "app:app", "--workers", "2", "--bind", "[::]:8080"),
    # Without --bind it looks at PORT itself, and binds all addresses.
    ("python", "-m", "gunicorn", "app:app", "--workers", "2", "--reuse-port")])
def test_gunicorn_forks_after_it_has_bound(mayfly, gunicorn, command):
    files = {**project(command=command, memory=512), **gunicorn}
    daemon = mayfly(files, command="dev")
    assert ready(daemon, "/first").text.endswith(" /first 127.0.0.1")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: daemon.get("/x").text.split()[0], range(60)))
    assert 1 <= len(set(answers)) <= 2


CLUSTER = """
const cluster = require('cluster');
const http = require('http');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
} else {
  http.createServer((req, res) => res.end(String(process.pid))).listen(process.env.PORT);
}
"""


def test_nodes_cluster_passes_its_listener_on(mayfly):
    npm.node()
    files = project(command=("node", "cluster.js"), memory=1024, processes=256)
    daemon = mayfly({**files, "cluster.js": CLUSTER}, command="dev")
    assert ready(daemon, "/").text.isdigit()
    wait_until(lambda: len({daemon.get("/").text for _ in range(10)}) == 2, seconds=20)


WEBSOCKET = """
const { WebSocketServer } = require('ws');
const http = require('http');
const server = http.createServer((req, res) => res.end('plain'));

new WebSocketServer({ server }).on('connection', (socket) => {
  socket.send('welcome');
  socket.on('message', (data) => socket.send(`echo ${data}`));
});
server.listen(process.env.PORT);
"""


def frame(text):
    """A text frame as a client sends it: masked."""
    mask = os.urandom(4)
    data = text.encode()
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data))


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        assert piece, data
        data += piece
    return data


def read_frame(sock):
    first, length = struct.unpack("!BB", read_exactly(sock, 2))
    assert first == 0x81
    return read_exactly(sock, length).decode()


def test_websockets_of_node_are_passed_through(mayfly):
    npm.node()
    modules = npm.packages(ws="8.18.0")
    files = project(command=("node", "ws.js"), memory=512)
    daemon = mayfly({**files, "ws.js": WEBSOCKET},
                    prepare=lambda folder: shutil.copytree(modules, folder / "node_modules"))
    assert daemon.get("/").text == "plain"
    sock = dial(daemon)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall((f"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(sock, 1)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert read_frame(sock) == "welcome"
    for word in ("one", "two"):
        sock.sendall(frame(word))
        assert read_frame(sock) == "echo " + word
    assert daemon.get("/").text == "plain"  # meanwhile
    sock.close()
