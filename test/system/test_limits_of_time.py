"""Slow clients: each wait has its end, and nobody else waits with them."""
import contextlib
import time

import pytest

from lib.process import wait_until
from lib.web import PROJECT, dial, messages, read_all, running, seen, send, within

HEAD, IDLE, BODY, WRITE = 0.7, 1.6, 0.7, 2  # seconds
POST = b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def ms(seconds):
    return f"{int(seconds * 1000)}ms"


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT, "--head-timeout", ms(HEAD), "--idle-timeout", ms(IDLE), "--body-timeout", ms(BODY),
                 "--write-timeout", ms(WRITE)) as daemon:
        daemon.post("/count", b"warm")
        yield daemon


@contextlib.contextmanager
def others_served(daemon):
    """While something is slow, a probe is answered promptly, at the beginning and at the end."""
    def probe():
        started = time.monotonic()
        assert daemon.post("/count", b"hello").text.startswith("5 ")
        within(5, started)

    probe()
    yield
    probe()


def drip(sock, pieces, pause):
    """Sends until the server has had enough, and returns what it said."""
    for piece in pieces:
        if not send(sock, piece):
            break
        sock.settimeout(pause)
        try:
            data = sock.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
        sock.settimeout(30)
        return data + read_all(sock)[0]
    sock.settimeout(30)
    return read_all(sock)[0]


@pytest.mark.core
def test_a_head_that_drips_is_dropped_however_steadily(daemon):
    started = time.monotonic()
    with others_served(daemon), dial(daemon) as sock:
        answer = drip(sock, [b"GET /count HTTP/1.1\r\nHost: localhost\r\n"] + [b"X: y\r\n"] * 1000, 0.1)
    (told,) = messages(answer)
    assert told[0] == 408 and told[1]["connection"] == ["close"]
    within(HEAD + 10, started)


def test_a_hundred_dripping_heads_at_once(daemon):
    socks = [dial(daemon) for _ in range(100)]
    started = time.monotonic()
    with others_served(daemon):
        for sock in socks:
            sock.sendall(b"GET /count HTTP/1.1\r\nHost:")
        for sock in socks:
            assert messages(read_all(sock)[0])[0][0] == 408
            sock.close()
    within(HEAD + 10, started)


def test_a_connection_that_says_nothing_is_closed(daemon):
    started = time.monotonic()
    with dial(daemon) as sock:
        assert read_all(sock) == (b"", "closed")
    within(HEAD + 10, started)


@pytest.mark.parametrize("path", ["/count", "/nothing"])
def test_a_kept_connection_is_closed_when_it_idles_and_not_before(daemon, path):
    """Its time is the idle one, not that of a head, whoever gave the answer before."""
    with daemon.connect() as connection:
        connection.request("GET", path)
        time.sleep(HEAD + 0.4)
        assert connection.request("GET", "/request_counter").status == 200
        started = time.monotonic()
        assert connection.rest() == b""
        assert time.monotonic() - started > HEAD
        within(IDLE + 10, started)


def test_a_head_begun_on_a_kept_connection_has_the_time_of_a_head(daemon):
    with daemon.connect() as connection:
        connection.request("GET", "/nothing")
        connection.send(b"GET /nothing HTTP/1.1\r\nHo")
        assert messages(connection.rest())[0][0] == 408


@pytest.mark.core
def test_a_body_that_stops_coming_is_dropped(daemon):
    started = time.monotonic()
    with others_served(daemon), dial(daemon) as sock:
        sock.sendall(POST % 100000 + b"x" * 50000)
        (told,) = messages(read_all(sock)[0])
    assert told[0] == 408 and b"too slowly" in told[2]
    within(BODY * 2 + 10, started)
    record = [r for r in seen(daemon) if r["outcome"] == "bad_request"][-1]
    assert record["status"] == 408


def test_a_body_that_drips_is_dropped(daemon):
    with others_served(daemon), dial(daemon) as sock:
        answer = drip(sock, [POST % 100000] + [b"x" * 10] * 1000, 0.05)
    assert messages(answer)[0][0] == 408


def test_a_body_that_comes_steadily_is_taken(daemon):
    with dial(daemon) as sock:
        n, piece = 20, b"x" * 10000
        sock.sendall(POST % (n * len(piece)))
        for _ in range(n):
            sock.sendall(piece)
            time.sleep(0.1)
        sock.shutdown(0)
    # It is enough that none of them was refused.
    wait_until(lambda: [r for r in seen(daemon) if r["bytes_in"] == n * len(piece)])


def test_a_function_that_does_not_read_is_not_the_clients_fault(daemon):
    """The body waits for the function for longer than a slow client may take."""
    body = b"x" * 3_000_000
    done = daemon.post(f"/count?sleep={int(BODY * 2500)}", body)
    assert done.status == 200 and done.text.startswith("3000000 ")


def test_a_client_that_waits_for_its_function_is_not_slow(daemon):
    assert daemon.get(f"/count?sleep={int(max(HEAD, IDLE, BODY, WRITE) * 1200)}").status == 200


@pytest.mark.core
@pytest.mark.parametrize("target", ["/source?n=300000000", "/source?n=300000000&length=1"])
def test_a_client_that_never_reads_is_dropped(daemon, target):
    with others_served(daemon), dial(daemon, receive_buffer=4096) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        started = time.monotonic()
        time.sleep(0.3)
        pids = daemon.get("/active_processes").json()
        assert pids
        wait_until(lambda: not set(pids) & set(daemon.get("/active_processes").json()), seconds=WRITE + 10)
        assert time.monotonic() - started > WRITE
        data, how = read_all(sock)
        assert len(data) < 300000000
    record = next(r for r in reversed(seen(daemon)) if r["pid"] in pids)
    assert record["outcome"] == "hangup"


def test_an_answer_of_the_gateway_that_nobody_reads_is_dropped(daemon):
    request = b"GET /nothing/" + b"x" * 150 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with others_served(daemon), dial(daemon, receive_buffer=4096) as sock:
        sock.settimeout(WRITE + 20)
        started = time.monotonic()
        with pytest.raises(ConnectionError):
            while True:
                sock.sendall(request * 1000)
        within(WRITE + 15, started)


def test_a_reader_that_pauses_and_goes_on_gets_all(daemon):
    """Shorter than the time for a stall, again and again, and while its own body comes."""
    n = 8_000_000
    with dial(daemon, receive_buffer=65536) as sock:
        sock.sendall(f"GET /source?n={n}&length=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got = 0
        for _ in range(3):
            time.sleep(WRITE * 0.5)
            for _ in range(10):
                got += len(sock.recv(65536))
        got += len(read_all(sock)[0])
    assert got > n


def test_an_echo_that_stalls_both_ways_for_a_while_goes_on(daemon):
    """The pause is the reader's, so the body may wait for longer than a body's time."""
    size, n = 65536, 200
    with dial(daemon, receive_buffer=65536) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (size * n))
        sock.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < size * n:
                sent += sock.send(bytes(min(size, size * n - sent)))
                time.sleep(0.002)
        time.sleep(max(BODY, HEAD) + 0.3)
        got = 0
        while sent < size * n:
            with contextlib.suppress(BlockingIOError):
                sent += sock.send(bytes(min(size, size * n - sent)))
            with contextlib.suppress(BlockingIOError):
                data = sock.recv(1 << 20)
                assert data, "closed early"
                got += len(data)
        sock.settimeout(30)
        got += len(read_all(sock)[0])
    assert got > size * n


def test_a_quiet_tunnel_is_left_alone(daemon):
    """It had to wait for its client once; that must not end it later."""
    with dial(daemon, receive_buffer=4096) as sock:
        sock.sendall(b"GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        sock.sendall(b"x" * 300000)
        time.sleep(0.3)
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 300000:
            piece = sock.recv(65536)
            assert piece
            got += piece
        time.sleep(max(WRITE, IDLE, HEAD, BODY) + 0.7)
        sock.sendall(b".")
        assert read_all(sock) == (b".", "closed")


@pytest.mark.core
def test_a_crowd_of_all_slow_kinds_does_not_hold_up_a_probe(daemon):
    kinds = [b"", b"GET /cou", POST % 1000 + b"x", b"GET /source?n=10000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    socks = []
    try:
        for i in range(200):
            socks.append(dial(daemon, receive_buffer=4096))
            socks[-1].sendall(kinds[i % 40 if i % 40 < 4 else i % 3])
        for _ in range(10):
            started = time.monotonic()
            assert daemon.post("/count", b"hello").status == 200
            within(5, started)
            time.sleep(0.1)
        for sock in socks:
            read_all(sock)  # every one of them ends
    finally:
        for sock in socks:
            sock.close()
