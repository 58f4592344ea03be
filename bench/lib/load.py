"""The load: wrk for the closed loop, our openloop for the open one, and single requests."""

import http.client
import json
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

REPORT_LUA = Path(__file__).with_name("report.lua")
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Load:
    name: str
    label: str
    connections: int = 0  # closed loop
    rate: int = 0         # open loop, requests per second


LOADS = {load.name: load for load in (
    Load("closed-1", "1 connection", connections=1),
    Load("closed-16", "16 connections", connections=16),
    Load("closed-64", "64 connections", connections=64),
    Load("open-200", "200 requests/s", rate=200),
    Load("open-1000", "1000 requests/s", rate=1000),
    Load("open-4000", "4000 requests/s", rate=4000),
)}


class LoadError(Exception):
    """The load generator itself failed: our bug or a broken installation, not a slow server."""


def run_json(argv, timeout):
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    lines = result.stdout.strip().splitlines()
    if result.returncode != 0 or not lines:
        raise LoadError(f"{argv[0]}: {result.stderr.strip() or 'no output'}")
    return json.loads(lines[-1])


def closed_loop(port, path, seconds, connections, body=None):
    """As many requests as `connections` clients get answered that each wait for their answer."""
    argv = ["wrk", "--threads", "1", "--connections", str(connections), "--duration",
            f"{seconds}s", "--timeout", "10s", "--script", str(REPORT_LUA),
            f"http://{HOST}:{port}{path}"]
    return run_json(argv + (["--", body] if body else []), seconds + 60)


def open_loop_argv(programs, port, path, body=None, **options):
    argv = [f"{programs}/openloop", "--port", str(port), "--path", path]
    argv += ["--body", body] if body else []
    return argv + [word for key, value in options.items() for word in (f"--{key}", str(value))]


def open_loop(programs, port, path, seconds, rate, body=None):
    """Requests at fixed times; latency counts from the time at which each was due."""
    argv = open_loop_argv(programs, port, path, body, rate=rate, seconds=seconds)
    result = run_json(argv, seconds + 60)
    return result | {"seconds": seconds}


def request(port, path, body=None, timeout=10):
    """One ordinary request. Returns (status, body)."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("POST" if body else "GET", path, body,
                           {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def first_byte_ms(port, path, timeout=30):
    """Milliseconds from connect() to the first byte of a good answer."""
    text = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    start = time.perf_counter()
    with socket.create_connection((HOST, port), timeout=timeout) as client:
        client.sendall(text)
        head = client.recv(4096)
        elapsed = time.perf_counter() - start
    if not head.startswith(b"HTTP/1.1 200"):
        raise LoadError(f"{path}: {head[:60]!r}")
    return elapsed * 1000
