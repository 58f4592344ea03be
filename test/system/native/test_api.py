"""mayfly.h, function by function, against a real zygote."""
import contextlib
import http.client
import threading
import time

import pytest


def lines(reply, prefix):
    return [line[len(prefix):] for line in reply.body.decode().splitlines() if line.startswith(prefix)]


def test_request_line_and_our_headers(zygote):
    reply = zygote.request("PUT", "/a%20b%2Bc?x=%31&y")
    assert reply.body.decode().splitlines()[:8] == [
        "method=PUT", "target=/a%20b%2Bc?x=%31&y", "path=/a b+c", "query=x=%31&y",
        "id=00000000-0000-7000-8000-000000000000", "function=f", "version=0123456789abcdef", "trigger=http"]


@pytest.mark.parametrize("query, params", [
    ("", []),
    ("?", []),
    ("?a=1&b=2&a=3", ["a=1", "b=2", "a=3"]),
    ("?a", ["a="]),
    ("?a=&=b&=", ["a=", "=b", "="]),
    ("?&&a=1&", ["a=1"]),
    ("?a=1=2", ["a=1=2"]),
    ("?a+b=c+d", ["a b=c d"]),
    ("?%61=%C3%BC%2B%26%3D", ["a=ü+&="]),
    ("?a=%", ["a=%"]),
    ("?a=%zz+&b=%41", ["a=%zz+", "b=A"]),
    ("?a=b%00c", ["a=b%00c"]),  # a string in C would end there
])
def test_query_parameters(zygote, query, params):
    reply = zygote.request("GET", "/" + query)
    assert lines(reply, "param ") == params
    assert lines(reply, "counts=")[0].split(",")[0] == str(len(params))
    assert lines(reply, "beyond=") == ["-1,1"]


def test_many_parameters(zygote):
    reply = zygote.request("GET", "/?" + "&".join(f"name{i}=value{i}" for i in range(500)))
    assert lines(reply, "param ") == [f"name{i}=value{i}" for i in range(500)]


def test_headers_in_order_and_as_sent(zygote):
    reply = zygote.request("GET", "/", [("X-One", "1"), ("x-two", "  2 "), ("X-One", "3")])
    assert lines(reply, "header ")[:4] == ["Host=localhost", "X-One=1", "x-two=2", "X-One=3"]


def test_long_headers(zygote):
    reply = zygote.request("GET", "/", [("X-Long", "v" * 20000), ("X-After", "1")])
    assert lines(reply, "header ")[1:3] == ["X-Long=" + "v" * 20000, "X-After=1"]


def test_lookup_by_name(zygote):
    reply = zygote.request("GET", "/find?b=0&a=1&a=2", [("X-Some", "first"), ("X-Some", "second")])
    assert reply.body == b"1 NULL first NULL 1"


def test_deadline(zygote):
    assert 0 < int(zygote.request("GET", "/remaining", timeout_ms=5000).body) <= 5000
    assert int(zygote.request("GET", "/remaining", timeout_ms=-1000).body) == 0


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_whole_body(zygote, size, chunked):
    body = bytes(i * 7 % 256 for i in range(size))
    pieces = [body[i:i + 50000] for i in range(0, size, 50000)]
    reply = zygote.request("POST", "/body", body=pieces if chunked else body, chunked=chunked)
    assert reply.body == body


def test_whole_body_has_a_ceiling(zygote):
    reply = zygote.request("POST", "/body", body=b"x" * (64 * 1024 * 1024 + 1))
    assert b"too_big=1" in reply.body
    worker = zygote.fork()
    worker.send_head("POST", "/body", chunked=True)
    with contextlib.suppress(BrokenPipeError):  # the handler stops reading
        for _ in range(65):
            worker.send_chunk(b"x" * 1024 * 1024)
    assert b"too_big=1" in worker.read_reply().body
    worker.end()


def test_a_body_that_is_broken_off_is_an_error(zygote):
    worker = zygote.fork()
    worker.send_head("POST", "/body", length=10)
    worker.sock.sendall(b"half")
    worker.sock.shutdown(1)
    assert worker.read_reply().body.startswith(b"errno=")
    worker.end()


def test_streams_both_ways_at_once(zygote):
    worker = zygote.fork()
    worker.send_head("POST", "/echo", chunked=True)
    worker.send_chunk(b"ping")
    response = worker.open_reply()
    assert response.read(4) == b"ping"  # while the body is still open
    worker.send_chunk(b"pong")
    assert response.read(4) == b"pong"
    worker.end_chunks()
    assert response.read() == b""
    assert worker.end().exit_code == 0


def test_big_body_through_and_back(zygote):
    body = b"0123456789" * 2_000_000
    worker = zygote.fork()
    worker.send_head("POST", "/echo", length=len(body))
    sender = threading.Thread(target=worker.sock.sendall, args=(body,))
    sender.start()
    reply = worker.read_reply()
    sender.join()
    assert reply.body == body
    worker.end()


# ---- the response ----


def test_status_and_headers(zygote):
    reply = zygote.request("GET", "/head")
    assert (reply.status, reply.body) == (201, b"made")
    assert reply.all("Set-Cookie") == ["a=1", "b=2"]
    assert reply.get("Content-Type") == "x/y"
    assert reply.all("Content-Length") == ["4"]  # the author's are not believed
    assert reply.all("Transfer-Encoding") == []


def test_mistakes_are_refused_with_an_errno(zygote):
    assert zygote.request("GET", "/mistakes").body == b"-8"


def test_limits_on_headers(zygote):
    worker = zygote.fork()
    worker.send_head("GET", "/limits")
    head, _, body = worker.raw_reply().partition(b"\r\n\r\n")
    worker.end()
    assert head.startswith(b"HTTP/1.1 200 ")
    long, rest = divmod(int(body), 10000)
    assert long == 16  # 16 KB in all
    assert rest == 10 * (100 - 16) + 1  # and 100 of them


def test_a_handler_that_writes_nothing(zygote):
    reply = zygote.request("GET", "/nothing")
    assert (reply.status, reply.body, reply.get("Content-Length")) == (200, b"", "0")
    assert reply.get("Content-Type") is None
    reply = zygote.request("GET", "/empty")
    assert (reply.status, reply.body) == (204, b"")


def test_default_type(zygote):
    assert zygote.request("GET", "/").get("Content-Type") == "text/plain; charset=utf-8"


def test_head_request_has_the_head_only(zygote):
    reply = zygote.request("HEAD", "/head")
    assert (reply.status, reply.body) == (201, b"")


def test_flush_streams(zygote):
    worker = zygote.fork()
    worker.send_head("POST", "/stream", length=1)
    response = worker.open_reply()
    assert response.readline() == b"first\n"  # the handler still waits
    worker.sock.sendall(b"x")
    assert response.read() == b"second\n"
    worker.end()


@pytest.mark.parametrize("query, framing", [("", "Transfer-Encoding"), ("?length", "Content-Length")])
def test_big_response(zygote, query, framing):
    reply = zygote.request("GET", "/big" + query)
    assert len(reply.body) == 50_000_000
    assert reply.get(framing)
    assert reply.ended.memory_peak_bytes < 64 << 20  # it was not collected in memory


def test_long_printf(zygote):
    assert zygote.request("GET", "/long_printf").body == b"%5000d" % 7
    assert zygote.request("GET", "/hog?a=" + "x" * 100).body == b"x" * 100_000


def test_announced_length_is_kept(zygote):
    assert zygote.request("GET", "/too_long").body == b"yes"
    assert zygote.request("GET", "/too_short").error["errorType"] == "BadLength"
    with pytest.raises(http.client.IncompleteRead):  # a broken-off answer, not a short one
        zygote.request("GET", "/too_short?flush")


# ---- errors, the log, isolation ----


def test_fail_says_why(zygote):
    assert zygote.request("GET", "/fail").error == {
        "errorType": "OutOfStock", "errorMessage": 'no tea "left"', "stackTrace": []}


def test_a_value_that_is_not_0_is_an_error(zygote):
    assert zygote.request("GET", "/return_3").error["errorMessage"] == "the handler returned 3"


def test_fail_after_the_answer_began_breaks_it_off(zygote):
    with pytest.raises(http.client.IncompleteRead) as caught:
        zygote.request("GET", "/fail_late")
    assert caught.value.partial in (b"", b"seen")


def test_what_is_printed_is_in_the_log(zygote):
    ended = zygote.request("GET", "/print").ended
    assert ended.stdout == "a line\nand a piece"
    assert ended.stderr == "an error\nin a file"


def test_the_log_is_complete_before_the_answer(zygote):
    worker = zygote.fork()
    worker.request("GET", "/print")
    deadline = time.monotonic() + 1  # the pipe has it; our reader takes a moment
    while b"piece" not in worker.stdout.data and time.monotonic() < deadline:
        time.sleep(0.001)
    assert worker.stdout.data.endswith(b"and a piece")
    worker.end()


def test_every_request_starts_clean(zygote):
    assert [zygote.request("GET", "/count").body for _ in range(3)] == [b"1"] * 3


def test_a_standby_that_is_not_needed_exits_with_0(zygote):
    worker = zygote.fork()
    worker.sock.shutdown(1)
    ended = worker.end()
    assert (ended.exit_code, ended.stderr) == (0, "")


def test_a_client_that_is_gone_ends_the_handler(zygote):
    worker = zygote.fork()
    worker.send_head("GET", "/big")
    worker.hang_up()
    assert worker.zygote.wait_ended(worker.number)["status"] != 11


def test_names_of_the_author_and_of_mayfly_do_not_meet(zygote):
    assert zygote.request("GET", "/names").body == b"123"
