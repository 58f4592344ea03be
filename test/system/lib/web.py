"""What the tests of HTTP share: a daemon for a whole module, bytes on the wire, the gateway's memory."""
import contextlib
import os
import pathlib
import socket
import time

from . import process
from .daemon import ROOT, Daemon
from .http import HANG_SECONDS

PROJECT = ROOT / "test" / "system" / "projects" / "http"


_supervisors = set()  # of daemons that other fixtures run at the same time


@contextlib.contextmanager
def running(project, *arguments, **options):
    """As the fixture `mayfly`, for fixtures that live longer than a test."""
    process.become_subreaper()
    before = set(process.children())
    daemon = Daemon(project, *arguments, **options)
    _supervisors.add(daemon.pid)
    try:
        yield daemon
    finally:
        _supervisors.remove(daemon.pid)
        try:
            daemon.stop()
            left = {pid: process.stat(pid) for pid in set(process.children()) - before - _supervisors}
            for pid in left:
                process.end(pid)
            assert not left, f"left behind: {left}\n{daemon.log}"
            assert "Sanitizer" not in daemon.log and "peer.died" not in daemon.log, daemon.log
        finally:
            daemon.remove()


# ---- the gateway's process ----


def gateway_pid(daemon):
    return next(pid for pid, name in daemon.tree().items() if name == "mayfly-gateway")


def rss(pid):
    """Bytes of memory that the process has now."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no memory of {pid}")


def n_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# ---- bytes ----


def dial(daemon, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(HANG_SECONDS)
    sock.connect(daemon.address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_all(sock):
    """(bytes, how it ended): "closed" or "reset"."""
    pieces = []
    while True:
        try:
            piece = sock.recv(1 << 20)
        except ConnectionError:
            return b"".join(pieces), "reset"
        if not piece:
            return b"".join(pieces), "closed"
        pieces.append(piece)


def send(sock, data):
    """Whether the server took it all."""
    try:
        sock.sendall(data)
    except ConnectionError:
        return False
    return True


def exchange(daemon, data):
    """Sends, and reads until the server closes."""
    with dial(daemon) as sock:
        send(sock, data)
        return read_all(sock)


def messages(data, methods=()):
    """Takes the answers in `data` apart: [(status, {name: [values]}, body, raw head)]. Whatever is no
    HTTP fails; a last answer without a length has the rest as its body."""
    found, methods = [], list(methods)
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"half a head: {head!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        status = int(first.split(" ", 2)[1])
        headers = {}
        for line in lines:
            name, colon, value = line.partition(": ")
            assert colon, line
            headers.setdefault(name.lower(), []).append(value)
        method = methods.pop(0) if methods and status >= 200 else "GET"
        body, at = b"", 0
        if method == "HEAD" or status in (204, 304) or status < 200:
            pass
        elif headers.get("transfer-encoding") == ["chunked"]:
            pieces, n = [], 1
            while n > 0:
                end = data.find(b"\r\n", at)
                assert end >= 0, "half a chunk"
                n = int(data[at:end], 16)
                at = end + 2 + n + 2
                assert data[at - 2:at] == b"\r\n", "half a chunk"
                pieces.append(data[end + 2:at - 2])
            body, data = b"".join(pieces), data[at:]
        elif "content-length" in headers:
            n = int(headers["content-length"][0])
            assert len(data) >= n, f"{n - len(data)} bytes too few"
            body, data = data[:n], data[n:]
        else:
            body, data = data, b""
        found.append((status, headers, body, head))
    return found


def chunks(body, size):
    out = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size])
                   for i in range(0, len(body), size))
    return out + b"0\r\n\r\n"


def seen(daemon):
    """All records of what came before this call: a record is written when the worker has ended."""
    process.wait_until(lambda: not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "no workers")
    daemon.record(daemon.get("/show?barrier"))
    return daemon.records


def within(seconds, since):
    took = time.monotonic() - since
    assert took < seconds, f"took {took:.1f} s"
