import base64
import os
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def daemon(application):
    return application(HERE)


def test_input_is_checked(daemon):
    assert daemon.post("/orders", {"item": "tea", "count": 2}).json() == {"item": "tea", "total": 3.0}
    answer = daemon.post("/orders", {"item": "tea", "count": 0})
    assert answer.status == 422 and answer.json()["detail"][0]["loc"] == ["body", "count"]
    assert daemon.get("/openapi.json").json()["info"]["title"] == "Orders"


def test_events_come_one_by_one(daemon):
    answer = daemon.get("/events?n=2")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == 'event: tick\ndata: {"n": 0}\n\nevent: tick\ndata: {"n": 1}\n\n'


def frame(opcode, data):
    """A masked frame, as clients send them."""
    mask = os.urandom(4)
    assert len(data) < 126
    return bytes([0x80 | opcode, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def test_a_websocket_answers(daemon):
    with daemon.connect() as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.send(("GET /chat/me HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        stream = connection.socket.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        for word in (b"hello", b"again"):
            connection.send(frame(1, word))
            answer = b"me: " + word
            assert stream.read(2 + len(answer)) == bytes([0x81, len(answer)]) + answer
        connection.send(frame(8, b"\x03\xe8"))
        assert stream.read(4) == b"\x88\x02\x03\xe8"
        assert stream.read() == b""
