"""What HTTP/1.1 promises to well-behaved clients."""
import json
import time

import pytest

from lib.web import PROJECT, chunks, dial, exchange, messages, n_fds, gateway_pid, read_all, running
from lib.process import wait_until

CLOSE = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT) as daemon:
        yield daemon


def ask(daemon, method, target, *headers, body=b"", version=b"1.1", then=CLOSE, methods=None):
    """Raw, and then a request that closes. Returns the first answer."""
    head = [b"%s %s HTTP/%s" % (method, target, version), b"Host: localhost", *headers]
    data, _ = exchange(daemon, b"\r\n".join(head) + b"\r\n\r\n" + body + then)
    return messages(data, methods or [method.decode(), "GET"])[0]


# ---- pipelining and keep-alive ----


@pytest.mark.core
def test_ten_requests_in_one_packet_are_answered_in_their_order(daemon):
    data = b"".join(b"GET /show?i=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i for i in range(10))
    answer, _ = exchange(daemon, data + CLOSE)
    told = messages(answer)
    assert [m[0] for m in told] == [200] * 10 + [404]
    assert [json.loads(m[2])["query"]["i"] for m in told[:10]] == [[str(i)] for i in range(10)]
    assert len({m[1]["mayfly-request-id"][0] for m in told[:10]}) == 10


@pytest.mark.core
def test_a_mixture_in_one_packet_is_answered_in_its_order(daemon):
    """Functions, answers of the gateway, bodies of both framings, HEAD and 204 side by side."""
    host = b" HTTP/1.1\r\nHost: localhost\r\n"
    parts = [(b"GET /nothing" + host + b"\r\n", 404, "GET"),
             (b"POST /count" + host + b"Content-Length: 5\r\n\r\nhello", 200, "POST"),
             (b"HEAD /show" + host + b"\r\n", 200, "HEAD"),
             (b"OPTIONS *" + host + b"\r\n", 204, "OPTIONS"),
             (b"POST /count" + host + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"hello", 2), 200, "POST"),
             (b"DELETE /only" + host + b"\r\n", 405, "DELETE"),
             (b"GET /source?n=70000" + host + b"\r\n", 200, "GET"),
             (b"GET /request_counter" + host + b"\r\n", 200, "GET")]
    for order in (parts, parts[::-1], parts * 3):
        answer, _ = exchange(daemon, b"".join(p[0] for p in order) + CLOSE)
        told = messages(answer, [p[2] for p in order])
        assert [m[0] for m in told] == [p[1] for p in order] + [404]


def test_a_connection_carries_many_requests(daemon):
    with daemon.connect() as connection:
        for i in range(30):
            assert connection.request("POST", "/count", b"x" * i).text.startswith(f"{i} ")
        assert connection.request("GET", "/nothing").status == 404
        last = connection.request("GET", "/count", headers={"Connection": "close"})
        assert last.headers["connection"] == "close"
        assert connection.rest() == b""


def test_http_1_0_closes_unless_asked_to_stay(daemon):
    status, headers, body, _ = ask(daemon, b"GET", b"/show?a=1", version=b"1.0", then=b"")
    assert (status, headers["connection"]) == (200, ["close"])
    assert json.loads(body)["query"] == {"a": ["1"]}
    data = b"GET /count HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer, _ = exchange(daemon, data + CLOSE)
    first, second = messages(answer)
    assert (first[0], first[1]["connection"], second[0]) == (200, ["keep-alive"], 404)


def test_http_1_0_gets_no_chunks(daemon):
    status, headers, body, _ = ask(daemon, b"GET", b"/source?n=300000", version=b"1.0", then=b"")
    assert status == 200 and body == b"s" * 300000
    assert "transfer-encoding" not in headers and headers["connection"] == ["close"]


# ---- methods ----


@pytest.mark.parametrize("target", [b"/show", b"/source?n=200000", b"/source?n=200000&length=1", b"/nothing"])
def test_head_has_the_head_of_get_and_no_body(daemon, target):
    got = ask(daemon, b"GET", target)
    head = ask(daemon, b"HEAD", target)
    assert head[0] == got[0] and head[2] == b""
    assert head[1].get("content-type") == got[1].get("content-type")
    if target.endswith(b"length=1"):
        assert head[1]["content-length"] == ["200000"]


def test_options_star_is_answered_by_the_gateway(daemon):
    assert ask(daemon, b"OPTIONS", b"*")[0] == 204
    assert ask(daemon, b"OPTIONS", b"http://localhost")[0] == 204


def test_functions_see_any_method(daemon):
    for method in (b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"REPORT", b"X-Y!"):
        assert json.loads(ask(daemon, method, b"/show")[2])["method"] == method.decode()


@pytest.mark.core
def test_a_method_that_no_route_takes_is_405_with_allow(daemon):
    status, headers, body, _ = ask(daemon, b"DELETE", b"/only")
    assert status == 405 and json.loads(body)["errorType"] == "MethodNotAllowed"
    assert {m.strip() for m in headers["allow"][0].split(",")} >= {"GET", "PUT"}
    assert "DELETE" not in headers["allow"][0]


@pytest.mark.core
def test_a_path_without_a_function_is_404(daemon):
    status, _, body, _ = ask(daemon, b"GET", b"/nothing/here?x=1")
    told = json.loads(body)
    assert (status, told["errorType"]) == (404, "NotFound") and "/nothing/here" in told["errorMessage"]


# ---- targets ----

PATHS = {
    b"/show?a=1&b=%20x+y&a=2": {"path": "/show", "query": {"a": ["1", "2"], "b": [" x y"]}},
    b"/show?": {"path": "/show", "query": {}},
    b"/show?a=/../b?c": {"path": "/show", "query": {"a": ["/../b?c"]}},
    b"http://localhost/show?a=1": {"path": "/show", "query": {"a": ["1"]}, "target": "/show?a=1"},
    b"HTTP://LOCALHOST/show": {"path": "/show", "target": "/show"},
    b"/show/adam": {"path": "/show/adam", "query": {"name": ["adam"]}},
    b"/show/adam?name=eve": {"query": {"name": ["adam", "eve"]}},
    b"/show/a%20b%2Bc": {"path": "/show/a b+c", "query": {"name": ["a b+c"]}},
    b"/show/a%26b%3Dc": {"query": {"name": ["a&b=c"]}},
    b"/show/%C3%BC": {"query": {"name": ["\u00fc"]}},
    b"/show/1/x/2?q=3": {"query": {"a": ["1"], "b": ["2"], "q": ["3"]}},
    b"/%73how": {"path": "/show"},
}


@pytest.mark.core
@pytest.mark.parametrize("target", PATHS)
def test_a_target_reaches_the_function_as_it_was_meant(daemon, target):
    status, _, body, _ = ask(daemon, b"GET", target)
    assert status == 200, body
    told = json.loads(body)
    assert {key: told[key] for key in PATHS[target]} == PATHS[target]


@pytest.mark.parametrize("target", [
    b"/show/..", b"/show/../count", b"/./show", b"/show/%2e%2e/x", b"/show/.%2E", b"/show/%2e", b"/show/%zz",
    b"/show/%", b"/show/%4", b"/show/%00", b"/show/a%00b", b"/show/a\\b", b"/show/%5c", b"/show/%0d%0aX",
    b"/show/..%2fx", b"/show/x%2f..", b"/show/%7f"])
def test_a_path_that_could_name_two_things_is_refused(daemon, target):
    status, headers, body, _ = ask(daemon, b"GET", target)
    assert status == 400, body
    assert json.loads(body)["errorType"] == "BadRequest" and "connection" not in headers


def test_an_encoded_slash_does_not_part_a_path(daemon):
    assert json.loads(ask(daemon, b"GET", b"/show/a%2Fb")[2])["query"] == {"name": ["a/b"]}


# ---- headers ----


@pytest.mark.core
def test_a_client_cannot_speak_for_the_gateway(daemon):
    told = json.loads(ask(daemon, b"GET", b"/show", b"Mayfly-Request-Id: forged", b"Mayfly-Client-Ip: 6.6.6.6",
                          b"mayfly-trigger: queue", b"MAYFLY-Anything: x")[2])
    assert told["headers"].get("mayfly_client_ip", "127.0.0.1") == "127.0.0.1"
    assert "forged" not in str(told) and "6.6.6.6" not in str(told) and "queue" not in str(told)
    assert "mayfly_anything" not in told["headers"]


def test_headers_of_the_connection_end_at_the_gateway(daemon):
    told = json.loads(ask(daemon, b"GET", b"/show", b"Connection: keep-alive, x-private, X-Other",
                          b"Keep-Alive: timeout=5", b"X-Private: 1", b"x-oTHER: 2", b"TE: trailers",
                          b"Proxy-Authorization: secret", b"Proxy-Connection: x", b"X-Kept: 3")[2])
    assert told["headers"]["x_kept"] == "3"
    assert not {"keep_alive", "x_private", "x_other", "te", "proxy_authorization", "proxy_connection",
                "connection"} & set(told["headers"])


def test_values_lose_the_blanks_around_them_and_nothing_else(daemon):
    told = json.loads(ask(daemon, b"GET", b"/show", b"X-A: \t a  b\t ", b"X-B:", b"X-C:c", b"X-D: \xe4\"\\")[2])
    headers = told["headers"]
    assert (headers["x_a"], headers["x_b"], headers["x_c"], headers["x_d"]) == ("a  b", "", "c", "\xe4\"\\")


# ---- bodies ----

BODY = bytes(range(256)) * 300


@pytest.mark.core
@pytest.mark.parametrize("size", [1, 7, 4096, 65536, 100000])
def test_chunks_of_any_size_are_one_body(daemon, size):
    body = BODY[:2000] if size < 10 else BODY
    status, _, answer, _ = ask(daemon, b"POST", b"/show", b"Transfer-Encoding: chunked", body=chunks(body, size))
    told = json.loads(answer)
    assert (status, told["length"]) == (200, len(body))
    assert told["body"] == body[:200].decode("latin-1")


def test_trailers_are_read_and_dropped(daemon):
    body = b"5;a=1;b=\"x y\"\r\nhello\r\n0;last\r\nX-Trailer: 1\r\nContent-Length: 3\r\nHost: evil\r\n\r\n"
    status, _, answer, _ = ask(daemon, b"POST", b"/show", b"Transfer-Encoding: chunked", b"Trailer: X-Trailer",
                               body=body)
    told = json.loads(answer)
    assert (status, told["body"]) == (200, "hello")
    assert not {"x_trailer", "trailer", "content_length"} & set(told["headers"])
    assert told["headers"].get("host", "localhost") == "localhost"


def test_chunked_may_be_written_in_any_case(daemon):
    status, _, answer, _ = ask(daemon, b"POST", b"/show", b"transfer-ENCODING: ChUnKeD", body=b"A\r\n0123456789\r\n0\r\n\r\n")
    assert (status, json.loads(answer)["length"]) == (200, 10)


@pytest.mark.parametrize("length, n", [(b"0", 0), (b"005", 5), (b" 5 ", 5)])
def test_lengths_that_can_be_read_in_one_way_only(daemon, length, n):
    status, _, answer, _ = ask(daemon, b"POST", b"/show", b"Content-Length: " + length, body=b"hello"[:n])
    assert (status, json.loads(answer)["length"]) == (200, n)


@pytest.mark.core
@pytest.mark.parametrize("framing, body", [(b"Content-Length: 5", b"hello"),
                                           (b"Transfer-Encoding: chunked", chunks(b"hello", 3))])
def test_100_continue_comes_before_the_body(daemon, framing, body):
    with dial(daemon) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\n" + framing + b"\r\n\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body + CLOSE)
        answer, _ = read_all(sock)
    told = messages(answer)
    assert [m[0] for m in told] == [200, 404] and told[0][2].startswith(b"5 ")


@pytest.mark.parametrize("target, status", [(b"/nothing", 404), (b"/empty", 413)])
def test_no_100_continue_for_a_body_that_nobody_wants(daemon, target, status):
    with dial(daemon) as sock:
        sock.sendall(b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                     b"Content-Length: 5\r\n\r\n")
        answer, _ = read_all(sock)
    (told,) = messages(answer)
    assert told[0] == status and told[1]["connection"] == ["close"]


def test_no_100_continue_without_a_body_or_for_http_1_0(daemon):
    assert ask(daemon, b"GET", b"/count", b"Expect: 100-continue")[0] == 200
    assert ask(daemon, b"POST", b"/count", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello",
               version=b"1.0", then=b"")[0] == 200


# ---- upgrade ----

UPGRADE = b"GET /tunnel%s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n%s\r\n"


def read_until(sock, end):
    data = b""
    while end not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(65536)
        assert piece, f"closed after {data[:100]!r}"
        data += piece
    return data


def test_after_101_bytes_pass_both_ways(daemon):
    with dial(daemon) as sock:
        sock.sendall(UPGRADE % (b"", b""))
        head, _, rest = read_until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"X-Own: 1" in head
        assert head.lower().count(b"upgrade: echo") == 1 and head.lower().count(b"connection: upgrade") == 1
        assert rest == b""
        for piece in (b"\0\r\n\xff", b"GET / HTTP/1,1\r\n\r\n", b"x" * 200000):
            sock.sendall(piece)
            assert read_exactly(sock, len(piece)) == piece
        sock.sendall(b".")
        assert read_all(sock) == (b".", "closed")


def test_all_that_a_tunnel_sends_at_its_end_arrives(daemon):
    with dial(daemon, receive_buffer=4096) as sock:
        sock.sendall(UPGRADE % (b"?more=1000000", b"") + b"early.")
        time.sleep(0.5)
        data, how = read_all(sock)
    assert how == "closed" and data.partition(b"\r\n\r\n")[2] == b"early." + b"m" * 1000000


def test_a_client_that_leaves_a_tunnel_ends_its_worker(daemon):
    with dial(daemon) as sock:
        sock.sendall(UPGRADE % (b"", b"") + b"x")
        read_until(sock, b"x")
        (pid,) = daemon.get("/active_processes").json()
    wait_until(lambda: daemon.get("/active_processes").json() == [], f"the end of {pid}", 5)
    record = wait_until(lambda: next((r for r in daemon.records if r["pid"] == pid), None))
    assert (record["outcome"], record["status"]) == ("hangup", 101)


def test_nothing_is_passed_through_before_the_101(daemon):
    """A function that does not upgrade gets one request; what follows it is the next one."""
    smuggled = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer, _ = exchange(daemon, (UPGRADE % (b"", b"")).replace(b"/tunnel", b"/count") + smuggled + CLOSE)
    first, second, _ = messages(answer)
    assert (first[0], second[0]) == (200, 404) and first[2].startswith(b"0 ")
    assert "upgrade" not in first[1]


def test_no_101_before_the_body_has_ended(daemon):
    for framing, part in ((b"Content-Length: 10\r\n", b"hello"), (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n")):
        with dial(daemon) as sock:
            sock.sendall(UPGRADE % (b"", framing) + part)
            answer, _ = read_all(sock)
        (told,) = messages(answer)
        assert told[0] == 502 and b"before the request's body had ended" in told[2]


def test_no_101_for_http_1_0(daemon):
    answer, _ = exchange(daemon, (UPGRADE % (b"", b"")).replace(b"HTTP/1.1", b"HTTP/1.0"))
    (told,) = messages(answer)
    assert told[0] == 502 and b"asks for no upgrade" in told[2]


# ---- many at once ----


@pytest.mark.core
def test_a_thousand_idle_connections_do_not_disturb(daemon):
    gateway = gateway_pid(daemon)
    before = n_fds(gateway)
    socks = [dial(daemon) for _ in range(1000)]
    try:
        wait_until(lambda: n_fds(gateway) >= before + 1000, "all are accepted")
        started = time.monotonic()
        assert daemon.post("/count", b"hello").status == 200
        assert time.monotonic() - started < 5
        for sock in socks[::100]:  # they still work
            sock.sendall(CLOSE)
            assert messages(read_all(sock)[0])[0][0] == 404
    finally:
        for sock in socks:
            sock.close()
    wait_until(lambda: n_fds(gateway) <= before + 10, "all are gone")
