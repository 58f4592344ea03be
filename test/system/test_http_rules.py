"""The rules of HTTP that the gateway never bends: what can be read in two ways is refused, the
connection closed, and nothing behind it is carried out."""
import re
import time

import pytest

from lib.web import PROJECT, chunks, dial, exchange, messages, read_all, running, seen, send

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /count HTTP/1.1\r\nHost: localhost\r\n"
TE = POST + b"Transfer-Encoding: chunked\r\n"


def get(*lines, first=b"GET /count HTTP/1.1", host=b"Host: localhost"):
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


def te(*values):
    return POST + b"".join(b"Transfer-Encoding: %s\r\n" % v for v in values) + b"\r\n0\r\n\r\n"


def cl(*values):
    return POST + b"".join(b"Content-Length: %s\r\n" % v for v in values) + b"\r\nhello"


# Refused by the head alone: no function hears of them.
BAD_HEADS = {
    "bare LF ends all lines": (b"GET /count HTTP/1.1\nHost: localhost\n\n", 400),
    "bare LF ends the request line": (b"GET /count HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    "bare LF ends a header": (get(b"A: b\nC: d"), 400),
    "bare LF ends the head": (b"GET /count HTTP/1.1\r\nHost: localhost\r\n\n", 400),
    "bare CR in a value": (get(b"A: b\rC: d"), 400),
    "bare CR in the request line": (get(first=b"GET /count\r HTTP/1.1"), 400),
    "CR CR LF": (get(b"A: b\r"), 400),
    "NUL in a value": (get(b"A: b\0c"), 400),
    "NUL in a name": (get(b"A\0: b"), 400),
    "NUL in the target": (get(first=b"GET /cou\0nt HTTP/1.1"), 400),
    "folded with a blank": (get(b"A: b", b" c"), 400),
    "folded with a tab": (get(b"A: b", b"\tc"), 400),
    "blank before the colon": (get(b"A : b"), 400),
    "tab before the colon": (get(b"A\t: b"), 400),
    "blank before the colon of Content-Length": (POST + b"Content-Length : 5\r\n\r\nhello", 400),
    "no name": (get(b": b"), 400),
    "no colon": (get(b"Abc"), 400),
    "brackets in a name": (get(b"(A): b"), 400),
    "a byte above ASCII in a name": (get(b"\xc3\xa4: b"), 400),
    "a control byte in a value": (get(b"A: b\x01c"), 400),
    "DEL in a value": (get(b"A: b\x7fc"), 400),
    "vertical tab before chunked": (te(b"\x0bchunked"), 400),
    "a blank before the first header": (b"GET /count HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
    "Transfer-Encoding and Content-Length": (TE + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "Content-Length and Transfer-Encoding": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "Transfer-Encoding in HTTP/1.0": (TE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n0\r\n\r\n", 400),
    "chunked twice": (te(b"chunked, chunked"), 400),
    "chunked in two headers": (te(b"chunked", b"chunked"), 400),
    "no transfer coding": (te(b""), 400),
    "a parameter of chunked": (te(b"chunked;q=1"), 400),
    "chunked in quotes": (te(b'"chunked"'), 400),
    "chunked and an empty element": (te(b"chunked,"), 400),
    "gzip": (te(b"gzip"), 501),
    "gzip, chunked": (te(b"gzip, chunked"), 501),
    "chunked, gzip": (te(b"chunked, gzip"), 501),
    "identity": (te(b"identity"), 501),
    "identity, chunked": (te(b"identity", b"chunked"), 501),
    "xchunked": (te(b"xchunked"), 501),
    "two equal Content-Lengths": (cl(b"5", b"5"), 400),
    "two different Content-Lengths": (cl(b"5", b"0"), 400),
    "a list of Content-Lengths": (cl(b"5, 5"), 400),
    "Content-Length +5": (cl(b"+5"), 400),
    "Content-Length -1": (cl(b"-1"), 400),
    "Content-Length 0x5": (cl(b"0x5"), 400),
    "Content-Length 5.0": (cl(b"5.0"), 400),
    "Content-Length 5 5": (cl(b"5 5"), 400),
    "Content-Length 5 and a letter": (cl(b"5a"), 400),
    "Content-Length empty": (cl(b""), 400),
    "Content-Length 2^63": (cl(b"9223372036854775808"), 400),
    "Content-Length 2^64 + 5": (cl(b"18446744073709551621"), 400),
    "two Hosts": (get(b"Host: localhost"), 400),
    "two different Hosts": (get(b"Host: other"), 400),
    "no Host": (get(host=None), 400),
    "an empty Host": (get(host=b"Host:"), 400),
    "Host with a user": (get(host=b"Host: a@localhost"), 400),
    "Host with a path": (get(host=b"Host: localhost/x"), 400),
    "Host with a comma": (get(host=b"Host: localhost, other"), 400),
    "Host with a blank": (get(host=b"Host: local host"), 400),
    "Host with a bad port": (get(host=b"Host: localhost:80a"), 400),
    "Host with a port too big": (get(host=b"Host: localhost:65536"), 400),
    "the target's host is not Host": (get(first=b"GET http://other/count HTTP/1.1"), 400),
    "the target's port is not Host's": (get(first=b"GET http://localhost:81/count HTTP/1.1"), 400),
    "a user in the target": (get(first=b"GET http://u@localhost/count HTTP/1.1"), 400),
    "another scheme": (get(first=b"GET ftp://localhost/count HTTP/1.1"), 400),
    "a target without a slash": (get(first=b"GET count HTTP/1.1"), 400),
    "a fragment": (get(first=b"GET /count#x HTTP/1.1"), 400),
    "a raw byte above ASCII in the target": (get(first=b"GET /\xc3\xa4 HTTP/1.1"), 400),
    "* with GET": (get(first=b"GET * HTTP/1.1"), 400),
    "CONNECT": (get(first=b"CONNECT localhost:80 HTTP/1.1"), 501),
    "HTTP/0.9": (b"GET /count\r\n", 400),
    "HTTP/0.9 by name": (get(first=b"GET /count HTTP/0.9"), 505),
    "HTTP/1.2": (get(first=b"GET /count HTTP/1.2"), 505),
    "HTTP/2.0": (get(first=b"GET /count HTTP/2.0"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.10": (get(first=b"GET /count HTTP/1.10"), 400),
    "HTTP/11": (get(first=b"GET /count HTTP/11"), 400),
    "http/1.1": (get(first=b"GET /count http/1.1"), 400),
    "HTTP 1.1": (get(first=b"GET /count HTTP 1.1"), 400),
    "two blanks before the target": (get(first=b"GET  /count HTTP/1.1"), 400),
    "two blanks before the version": (get(first=b"GET /count  HTTP/1.1"), 400),
    "a blank behind the version": (get(first=b"GET /count HTTP/1.1 "), 400),
    "a tab for a blank": (get(first=b"GET\t/count HTTP/1.1"), 400),
    "a method that is no token": (get(first=b"G(T /count HTTP/1.1"), 400),
    "no method": (get(first=b" /count HTTP/1.1"), 400),
    "a TLS hello": (bytes.fromhex("1603010200010001fc0303") + bytes(200), 400),
    "an unknown expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    "two expectations": (POST + b"Expect: 100-continue, x\r\nContent-Length: 5\r\n\r\nhello", 417),
}

# Refused in the body: the function may have heard of the request, but not of its end.
BAD_BODIES = {
    "no size": b"\r\nhello\r\n",
    "a size that is no number": b"G\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a size of 17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size of 2^64 - 1": b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a size that wraps around": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "CR CR LF behind the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than the size": b"5\r\nhelloX\r\n0\r\n\r\n",
    "data shorter than the size": b"6\r\nhello\r\n0\r\n\r\n",
    "an empty extension": b"5;\r\nhello\r\n0\r\n\r\n",
    "an extension without a name": b"5;=x\r\nhello\r\n0\r\n\r\n",
    "an extension with a quoted pair": b'5;a="\\""\r\nhello\r\n0\r\n\r\n',
    "an extension with an open quote": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "LF in an extension": b"5;a\n\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "an extension above 4 KB": b"5;a=" + b"x" * 4096 + b"\r\nhello\r\n0\r\n\r\n",
    "LF ends the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "LF ends the trailers": b"5\r\nhello\r\n0\r\n\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nabc\r\n\r\n",
    "a blank before a trailer's colon": b"5\r\nhello\r\n0\r\nA : b\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nA: \0\r\n\r\n",
}


@pytest.fixture(scope="module")
def daemon():
    """None of the module's bad requests may leave more than the record of a bad request."""
    with running(PROJECT) as daemon:
        yield daemon
        records = seen(daemon)
        assert not [r for r in records if r["path"] == "/smuggled"]
        for record in records:
            begun = record["path"] == "/echo"  # and then broken off
            expected = {"ok": [200], "bad_request": [200] if begun else [400], "hangup": [0]}
            assert record["status"] in expected[record["outcome"]], record


def refused(daemon, data, status):
    """The server answers once, says that it closes, and closes."""
    answer, _ = exchange(daemon, data + SMUGGLED + SMUGGLED)
    (message,) = messages(answer)
    assert message[0] == status, message
    assert message[1]["connection"] == ["close"]
    assert message[1]["content-type"] == ["application/json"]
    assert b'"errorType"' in message[2] and b'"errorMessage"' in message[2]
    return message


@pytest.mark.core
@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_refused(daemon, name):
    refused(daemon, *BAD_HEADS[name])


@pytest.mark.core
@pytest.mark.parametrize("first, n", [(get(first=b"GET /nothing HTTP/1.1"), 404), (get(), 200),
                                      (get(first=b"HEAD /nothing HTTP/1.1"), 404), (cl(b"5"), 200)],
                         ids=["an answer of the gateway", "a function's", "HEAD", "one with a body"])
def test_a_bad_head_behind_a_good_request_is_refused(daemon, first, n):
    for name in ("two Hosts", "bare LF ends all lines", "HTTP/2.0", "no name"):
        data, status = BAD_HEADS[name]
        answer, _ = exchange(daemon, first + data + SMUGGLED)
        told = messages(answer, ["HEAD" if first.startswith(b"HEAD") else "GET"])
        assert [m[0] for m in told] == [n, status]
        assert b"errorMessage" in told[1][2] and told[1][1]["connection"] == ["close"]


@pytest.mark.core
def test_no_function_hears_of_a_bad_head(daemon):
    before = len(seen(daemon))
    for data, status in BAD_HEADS.values():
        refused(daemon, data, status)
    assert len(seen(daemon)) == before + 1


@pytest.mark.core
@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_chunk_is_refused(daemon, name):
    refused(daemon, TE + b"\r\n" + BAD_BODIES[name], 400)


def test_a_function_never_hears_the_end_of_a_bad_body(daemon):
    refused(daemon, TE + b"\r\n" + BAD_BODIES["data longer than the size"], 400)
    record = [r for r in seen(daemon) if r["path"] == "/count"][-1]
    assert (record["outcome"], record["status"]) == ("bad_request", 400)
    assert "CRLF" in record["error"]


@pytest.mark.parametrize("name", ["a size that is no number", "LF behind the data"])
def test_a_bad_chunk_behind_the_beginning_of_the_answer_breaks_it_off(daemon, name):
    """A second answer in the middle of the first would be a present for smugglers."""
    with dial(daemon) as sock:
        sock.sendall(TE.replace(b"/count", b"/echo") + b"\r\n3\r\nabc\r\n")
        data = b""
        while b"abc\r\n" not in data:
            piece = sock.recv(65536)
            assert piece, data
            data += piece
        sock.sendall(BAD_BODIES[name] + SMUGGLED)
        rest, _ = read_all(sock)
    assert data.count(b"HTTP/1.1") == 1 and b"HTTP/1.1" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


# ---- the same however it is cut ----

VALID = {
    "a length": cl(b"5"),
    "chunks": TE + b'\r\n3;a=b;c="d e"\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n',
    "a query": get(first=b"GET /count?a=b&c HTTP/1.1"),
    "an absolute target": get(first=b"GET http://localhost/nothing HTTP/1.1"),
    "HTTP/1.0": get(first=b"GET /nothing HTTP/1.0", host=None),
    "an empty line before it": b"\r\n" + get(first=b"OPTIONS * HTTP/1.1"),
}
CUT = {**{name: (data, None) for name, data in VALID.items()},
       **{name: BAD_HEADS[name] for name in (
           "bare LF ends a header", "Transfer-Encoding and Content-Length", "two Hosts", "CR CR LF",
           "HTTP/2.0", "folded with a tab", "NUL in a value")},
       **{name: (TE + b"\r\n" + BAD_BODIES[name], 400) for name in (
           "data longer than the size", "a blank behind the size", "a folded trailer")}}


def normal(answer):
    """What does not differ from one time to another."""
    told = [(status, {k: v for k, v in headers.items()
                      if k not in ("date", "mayfly-request-id", "server-timing")}, body)
            for status, headers, body, _ in messages(answer)]
    return re.sub(r'"requestId": "[^"]*"', "", repr(told))


def close_after(data):
    """The valid ones are followed by one that closes."""
    return data + get(b"Connection: close", first=b"GET /nothing HTTP/1.1")


@pytest.mark.parametrize("name", CUT)
def test_every_cut_reads_the_same(daemon, name):
    data, status = CUT[name]
    data = close_after(data) if status is None else data + SMUGGLED
    whole, _ = exchange(daemon, data)
    socks = []
    try:
        for i in range(1, len(data)):
            socks.append(dial(daemon))
            send(socks[-1], data[:i])
        time.sleep(0.1)
        for i, sock in enumerate(socks, 1):
            send(sock, data[i:])
        for i, sock in enumerate(socks, 1):
            answer, _ = read_all(sock)
            assert normal(answer) == normal(whole), f"cut at {i}: {data[:i]!r}"
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("name", CUT)
def test_byte_by_byte_reads_the_same(daemon, name):
    data, status = CUT[name]
    data = close_after(data) if status is None else data + SMUGGLED
    whole, _ = exchange(daemon, data)
    with dial(daemon) as sock:
        for i in range(len(data)):
            if not send(sock, data[i:i + 1]):
                break
            if i % 8 == 0:
                time.sleep(0.001)
        answer, _ = read_all(sock)
    assert normal(answer) == normal(whole)


# ---- what must not be reused ----


@pytest.mark.parametrize("method, framing, kept", [
    (b"POST", b"Content-Length: 100000\r\n\r\n", False),
    (b"POST", b"Transfer-Encoding: chunked\r\n\r\n", False),
    (b"POST", b"Content-Length: %d\r\n\r\n" % len(SMUGGLED), True),
], ids=["a long body", "chunks", "a short body"])
@pytest.mark.parametrize("path, status", [(b"/nothing", 404), (b"/only", 405), (b"/a/../b", 400)])
def test_an_unread_body_is_never_read_as_a_request(daemon, method, framing, kept, path, status):
    """Early answers: a small rest is read and dropped, else the connection closes."""
    data = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + framing + SMUGGLED
    if kept:
        data += get(b"Connection: close", first=b"GET /request_counter HTTP/1.1")
    answer, _ = exchange(daemon, data)
    first, *rest = messages(answer)
    assert first[0] == status
    assert [m[0] for m in rest] == ([200] if kept else [])
    assert first[1].get("connection") == (None if kept else ["close"])


def test_a_request_in_a_body_is_a_body(daemon):
    body = SMUGGLED * 3
    for data in (cl(b"%d" % len(body))[:-5] + body, TE + b"\r\n" + chunks(body, 7)):
        answer, _ = exchange(daemon, close_after(data))
        first, second = messages(answer)
        assert (first[0], first[2].split()[0]) == (200, b"%d" % len(body))
        assert second[0] == 404


@pytest.mark.parametrize("data", [b"GET /count HTTP/1.1\r\nHost: local", cl(b"10"),
                                  TE + b"\r\n5\r\nhel", TE + b"\r\n5\r\nhello\r\n0\r\nA"],
                         ids=["in the head", "in the body", "in a chunk", "in the trailers"])
def test_a_request_that_breaks_off_is_not_completed(daemon, data):
    with dial(daemon) as sock:
        sock.sendall(data)
        time.sleep(0.05)
        sock.shutdown(1)
        answer, _ = read_all(sock)
    assert all(m[0] == 400 for m in messages(answer))
    assert not [r for r in seen(daemon)[-2:] if r["path"] == "/count" and r["outcome"] == "ok"
                and r["bytes_in"] in (3, 10)]
