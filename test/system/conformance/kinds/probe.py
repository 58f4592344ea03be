"""What the function does, for the kinds in Python. An answer is (status, [(name, value)], pieces)."""
import base64
import hashlib
import json
import os
import random
import socket
import sys
import time
import uuid

TEXT = ("Content-Type", "text/plain; charset=utf-8")
asked = 0


def deep_down():
    raise ValueError("broken on purpose")


def sleeper():
    time.sleep(100)


def wait_for_client(port):
    """Until the client has seen what was sent so far and says so."""
    with socket.create_connection(("127.0.0.1", int(port))) as link:
        link.recv(1)


def joined(pairs):
    result = {}
    for name, value in pairs:
        result[name] = f"{result[name]},{value}" if name in result else value
    return result


def echo(request):
    seen = {"method": request["method"], "path": request["path"], "query": joined(request["query"]),
            "headers": joined((name.lower(), value) for name, value in request["headers"]),
            "body": base64.b64encode(b"".join(request["body"])).decode()}
    return 200, [("Content-Type", "application/json")], [json.dumps(seen).encode()]


def stream(request):
    yield b"one\n"
    wait_for_client(dict(request["query"])["port"])
    yield b"two\n"


def upload(request):
    sha, total = hashlib.sha256(), 0
    for piece in request["body"]:
        sha.update(piece)
        total += len(piece)
    return f"{total} {sha.hexdigest()}".encode()


def log():
    print("to stdout: grüße")
    print("to stderr: grüße", file=sys.stderr)
    return b"logged"


def numbers():
    return "\n".join([str(random.random()), str(uuid.uuid4()), os.urandom(8).hex()]).encode()


def answer(request):
    """request: method, path, query and headers as pairs, body as an iterable of bytes."""
    global asked
    asked += 1
    query = dict(request["query"])
    verb = request["path"].rsplit("/", 1)[-1]
    if verb == "echo":
        return echo(request)
    if verb == "headers":
        return 200, [("X-Mixed-Case", "MiXed"), ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), TEXT], [b"ok"]
    if verb == "binary":
        return 200, [("Content-Type", "application/octet-stream")], [bytes(range(256))]
    if verb == "stream":
        return 200, [TEXT], stream(request)
    if verb == "download":
        return 200, [TEXT], (b"d" * 65536 for _ in range(int(query["mb"]) * 16))
    simple = {"status": lambda: b"status", "unicode": lambda: b"".join(request["body"]),
              "upload": lambda: upload(request), "error": deep_down, "sleep": sleeper, "log": log,
              "env": lambda: os.environ["GREETING"].encode(), "count": lambda: b"%d" % asked, "random": numbers}
    return int(query.get("code", 200)), [TEXT], [simple[verb]()]
