"""Bodies stream both ways, as fast as the slower side, and the gateway holds almost nothing of them."""
import hashlib
import threading
import time

import pytest

from lib.process import wait_until
from lib.web import PROJECT, chunks, dial, gateway_pid, messages, read_all, rss, running, seen, send

MIB = 1 << 20
SIZE = 100 * MIB
PIECE = bytes(range(256)) * 256  # 64 KB
GROWTH_MAX = 20 * MIB


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT) as daemon:
        daemon.post("/count", b"warm")
        daemon.post("/web/count", b"warm")
        yield daemon


def quiet(daemon, seconds=30):
    wait_until(lambda: daemon.get("/active_processes").json() == [], "nothing runs", seconds)


class Watch:
    """The gateway's memory while something goes on: fails if it grows."""

    def __init__(self, daemon):
        self.pid = gateway_pid(daemon)

    def __enter__(self):
        self.before = self.most = rss(self.pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()
        return self

    def look(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, rss(self.pid))

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None:
            assert self.most - self.before < GROWTH_MAX, f"{self.before} -> {self.most}"


def upload(sock, path, size, chunked):
    """Sends a request with that much body. Returns its SHA-256."""
    sha = hashlib.sha256()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    sock.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + framing + b"\r\n\r\n")
    for _ in range(size // len(PIECE)):
        sock.sendall(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        sha.update(PIECE)
    if chunked:
        sock.sendall(b"0\r\n\r\n")
    return sha.hexdigest()


@pytest.mark.core
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("path", [b"/count", b"/web/count"], ids=["native", "wsgi"])
def test_100_mb_of_request_arrive_as_they_are(daemon, path, chunked):
    with Watch(daemon), dial(daemon) as sock:
        sha = upload(sock, path, SIZE, chunked)
        ((status, headers, body, _),) = messages(read_all(sock)[0])
    assert (status, body.decode()) == (200, f"{SIZE} {sha}")
    assert daemon.record(headers["mayfly-request-id"][0])["bytes_in"] == SIZE


def body_of(sock, slow=False):
    """The length of an answer's body as it comes; checks framing and bytes."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, data = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    chunked, total, left = b"transfer-encoding: chunked" in head.lower(), 0, 0
    wire = len(data)
    while True:
        if not chunked:
            assert data.count(b"s") == len(data)
            total, data = total + len(data), b""
        while chunked and data:
            if left == 0:
                line, mark, rest = data.partition(b"\r\n")
                if not mark or len(rest) < 2 and int(line, 16) == 0:
                    break
                left, data = int(line, 16), rest
                if left == 0:
                    assert data == b"\r\n"
                    return total
                left += 2
            piece, data = data[:left], data[left:]
            left -= len(piece)
            total += piece.count(b"s")
        more = sock.recv(1 << 20)
        if not more:
            assert not chunked, "broken off"
            return total
        wire += len(more)
        data += more
        if slow and wire // (4 * MIB) != (wire - len(more)) // (4 * MIB):
            time.sleep(0.05)


@pytest.mark.core
@pytest.mark.parametrize("framing", ["", "&length=1"], ids=["chunked", "length"])
@pytest.mark.parametrize("path", ["/source", "/web/source"], ids=["native", "wsgi"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_100_mb_of_answer_arrive_as_they_are(daemon, path, framing, slow):
    with Watch(daemon), dial(daemon, receive_buffer=65536 if slow else None) as sock:
        sock.sendall(f"GET {path}?n={SIZE}{framing} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert body_of(sock, slow) == SIZE


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_100_mb_there_and_back_at_once(daemon, chunked):
    with Watch(daemon), dial(daemon) as sock:
        sent = []
        sender = threading.Thread(target=lambda: sent.append(upload(sock, b"/echo", SIZE, chunked)))
        sender.start()
        ((status, _, body, _),) = messages(read_all(sock)[0])
        sender.join()
    assert status == 200 and len(body) == SIZE and hashlib.sha256(body).hexdigest() == sent[0]


@pytest.mark.core
def test_a_sender_waits_for_a_function_that_does_not_read(daemon):
    """Back-pressure goes through to the client: it cannot get rid of more than some buffers."""
    with Watch(daemon), dial(daemon) as sock:
        sock.sendall(b"POST /count?sleep=2500 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % SIZE)
        sock.setblocking(False)
        sent, end = 0, time.monotonic() + 1
        while sent < SIZE and time.monotonic() < end:
            try:
                sent += sock.send(PIECE)
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 20 * MIB


@pytest.mark.core
def test_a_function_waits_for_a_client_that_does_not_read(daemon):
    quiet(daemon)
    with Watch(daemon), dial(daemon, receive_buffer=4096) as sock:
        sock.sendall(b"GET /source?n=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % SIZE)
        time.sleep(1)
        assert len(daemon.get("/active_processes").json()) == 1
    quiet(daemon, 5)
    record = next(r for r in reversed(seen(daemon)) if r["path"] == "/source")
    assert record["outcome"] == "hangup" and 0 < record["bytes_out"] < 20 * MIB


@pytest.mark.core
def test_events_arrive_as_they_are_sent(daemon):
    """Each event is made only after the client has confirmed the one before: none may be held back."""
    with dial(daemon) as sock:
        sock.sendall(b"POST /web/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                     b"Connection: close\r\n\r\n")
        data = b""
        for i in range(5):
            while b"data: %d\n\n" % i not in data:
                piece = sock.recv(65536)
                assert piece, data
                data += piece
            sock.sendall(b"1\r\nx\r\n")
        sock.sendall(b"0\r\n\r\n")
        data += read_all(sock)[0]
    (told,) = messages(data)
    assert told[0] == 200 and told[2] == b"".join(b"data: %d\n\n" % i for i in range(5))


def test_events_arrive_one_by_one(daemon):
    with dial(daemon) as sock:
        sock.sendall(b"GET /web/clock HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        reads = []
        while True:
            data = sock.recv(65536)
            if not data:
                break
            reads.append(data)
    assert len([r for r in reads if b"data: " in r]) == 4


@pytest.mark.core
def test_an_early_answer_arrives_before_the_body(daemon):
    with dial(daemon) as sock:
        sock.sendall(b"POST /late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        data = b""
        while b"early\n" not in data:
            piece = sock.recv(65536)
            assert piece
            data += piece
        sock.sendall(bytes(100000) + b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data += read_all(sock)[0]
    told = messages(data)
    assert told[0][2] == b"early\ndone\n"
    assert [m[0] for m in told[1:]] in ([404], [])  # [] if it said that it closes
    assert (told[0][1].get("connection") == ["close"]) == (len(told) == 1)


def test_a_client_that_leaves_amid_its_body_ends_the_worker(daemon):
    quiet(daemon)
    with dial(daemon) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        wait_until(lambda: daemon.get("/active_processes").json(), "it runs")
    quiet(daemon, 5)
    record = next(r for r in reversed(seen(daemon)) if r["path"] == "/count")
    assert (record["outcome"], record["status"]) == ("hangup", 0)


def test_twenty_streams_at_once_keep_apart(daemon):
    """Different bytes on each connection come back on that connection."""
    results = {}

    def run(i):
        body = bytes([i]) * (MIB + i)
        with dial(daemon) as sock:
            sender = threading.Thread(target=send, args=(sock, (
                b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
                chunks(body, 30000 + i))))
            sender.start()
            ((status, _, echoed, _),) = messages(read_all(sock)[0])
            sender.join()
            results[i] = (status, echoed == body)

    with Watch(daemon):
        threads = [threading.Thread(target=run, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {i: (200, True) for i in range(20)}


@pytest.mark.core
@pytest.mark.parametrize("leaves", [False, True], ids=["reads on", "leaves"])
def test_each_invocation_ends_whenever_its_worker_did(daemon, leaves):
    """Answers of all sizes, so that of some the worker is gone long before the client has taken the
    end, and the gateway has the rest in a socket that nobody holds any more."""
    sizes = range(50_000, 7_000_000, 150_000)
    before = len([r for r in seen(daemon) if r["path"] == "/source"])
    socks = []
    for n in sizes:
        socks.append(dial(daemon, receive_buffer=4096))
        socks[-1].sendall(b"GET /source?n=%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % n)
    time.sleep(1)
    for sock in socks:
        if not leaves:
            ((status, _, body, _),) = messages(read_all(sock)[0])
            assert status == 200 and len(body) == sizes[socks.index(sock)]
        sock.close()
    wait_until(lambda: len([r for r in daemon.records if r["path"] == "/source"]) - before == len(sizes),
               "a record of each", 10)
    wait_until(lambda: not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "no worker left", 10)
