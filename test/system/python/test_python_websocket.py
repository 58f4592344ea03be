"""WebSocket connections of ASGI applications: RFC 6455 on the worker's socket."""
import base64
import hashlib
import os
import random
import signal
import struct
import sys

import pytest

from lib import pypi
from lib.zygote_harness import lib_dir

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the RFC's own, with the answer to it
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", KEY)]
APP = """
async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    assert (await receive()) == {"type": "websocket.connect"}
%s
"""
ECHO = """
await send({"type": "websocket.accept"})
while True:
    message = await receive()
    if message["type"] == "websocket.disconnect":
        print("disconnect", message["code"], message["reason"])
        break
    data = message.get("text")
    if data is not None:
        await send({"type": "websocket.send", "text": data})
    else:
        await send({"type": "websocket.send", "bytes": message["bytes"]})
"""


def indent(body):
    return APP % "\n".join("    " + line for line in body.strip().splitlines())


class Client:
    """Frames from a client, made by hand so that they may be wrong."""

    def __init__(self, worker, headers=()):
        self.worker = worker
        self.data = b""
        worker.send_head("GET", "/chat?x=1", UPGRADE + list(headers))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = worker.sock.recv(1)
            assert byte, head
            head += byte
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:-2])}

    def send(self, opcode, payload=b"", first=0x80, mask=None, length=None):
        mask = os.urandom(4) if mask is None else mask
        n = len(payload) if length is None else length
        form = struct.pack("!B", 0x80 | n) if n < 126 else struct.pack("!BH", 0xFE, n) if n < 65536 \
            else struct.pack("!BQ", 0xFF, n)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if any(mask) else payload
        self.worker.sock.sendall(bytes([first | opcode]) + form + mask + masked)

    def _bytes(self, n):
        while len(self.data) < n:
            piece = self.worker.sock.recv(65536)
            assert piece, "the worker has closed"
            self.data += piece
        data, self.data = self.data[:n], self.data[n:]
        return data

    def receive(self):
        """(opcode, payload) of one frame."""
        first, n = self._bytes(2)
        assert first & 0x80 and n < 0x80
        if n >= 126:
            n = int.from_bytes(self._bytes(2 if n == 126 else 8), "big")
        return first & 0x0F, self._bytes(n)

    def closed(self):
        """The code and reason that the worker closes with, and that it does."""
        opcode, payload = self.receive()
        assert opcode == 8, (opcode, payload)
        return self.end(payload)

    def end(self, payload):
        assert self.data == b"" and self.worker.sock.recv(1) == b""
        return (int.from_bytes(payload[:2], "big"), payload[2:].decode()) if payload else (1005, "")


@pytest.fixture
def connect(zygote):
    def connect(body, headers=(), **more):
        return Client(zygote("m", indent(body), **more).fork(), headers)
    return connect


def test_handshake_and_scope(connect):
    client = connect("""
print(scope)
await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-One", b"1")]})
await send({"type": "websocket.close", "code": 4001, "reason": "gr\\u00fc\\u00dfe"})
""", [("Sec-WebSocket-Protocol", "a, b"), ("Host", "example.org"), ("Mayfly-Client-Ip", "10.1.2.3")])
    assert (client.status, client.headers["sec-websocket-accept"], client.headers["upgrade"],
            client.headers["sec-websocket-protocol"], client.headers["x-one"]) == (
        101, ACCEPT, "websocket", "b", "1")
    opcode, payload = client.receive()
    assert (opcode, payload[:2], payload[2:].decode()) == (8, b"\x0f\xa1", "grüße")
    client.send(8, b"\x0f\xa1")
    assert client.end(payload) == (4001, "grüße")
    scope = eval(client.worker.end().stdout)
    assert {k: scope[k] for k in ("type", "scheme", "path", "query_string", "subprotocols", "server",
                                  "client", "extensions")} == {
        "type": "websocket", "scheme": "ws", "path": "/chat", "query_string": b"x=1",
        "subprotocols": ["a", "b"], "server": ("example.org", 80), "client": ("10.1.2.3", 0),
        "extensions": {"websocket.http.response": {}}}
    assert "method" not in scope


def test_messages_of_all_sizes_come_back(connect):
    client = connect(ECHO)
    for n in (0, 1, 125, 126, 127, 65535, 65536, 300000):
        data = os.urandom(n)
        client.send(2, data)
        assert client.receive() == (2, data)
        text = ("aä€😀" * n)[:n].encode()
        client.send(1, text)
        assert client.receive() == (1, text)
    client.send(8, b"\x03\xe8bye")
    assert client.closed() == (1000, "")
    assert client.worker.end().stdout == "disconnect 1000 bye\n"


def test_fragments_with_a_ping_between(connect):
    client = connect(ECHO)
    euro = "€".encode()
    client.send(1, euro[:1], first=0)
    client.send(9, b"still there?")
    client.send(0, euro[1:2], first=0)
    client.send(0, euro[2:])
    assert client.receive() == (10, b"still there?")
    assert client.receive() == (1, euro)


def test_pings_are_answered_while_the_application_does_not_receive(connect):
    client = connect("""
import asyncio
await send({"type": "websocket.accept"})
await asyncio.sleep(100)
""")
    client.send(9, b"x")
    assert client.receive() == (10, b"x")


def test_frames_may_come_byte_by_byte(connect):
    client = connect(ECHO)
    for byte in b"\x81\x85\x01\x02\x03\x04" + bytes(b ^ m for b, m in zip(b"hello", b"\1\2\3\4\1")):
        client.worker.sock.sendall(bytes([byte]))
    assert client.receive() == (1, b"hello")


WRONG = {
    "not masked": (b"\x81\x01a", 1002),
    "reserved bit": (b"\xc1\x80\0\0\0\0", 1002),
    "unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
    "unknown control opcode": (b"\x8b\x80\0\0\0\0", 1002),
    "fragmented control": (b"\x09\x80\0\0\0\0", 1002),
    "long control": (b"\x89\xfe\0\x7e\0\0\0\0", 1002),
    "continuation without a start": (b"\x80\x80\0\0\0\0", 1002),
    "start within a message": (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
    "long form of a short length": (b"\x82\xfe\0\x05", 1002),
    "length with its top bit": (b"\x82\xff\x80\0\0\0\0\0\0\0", 1002),
    "more than the ceiling": (b"\x82\xff\0\0\0\1\0\0\0\0", 1009),
    "text that is not UTF-8": (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
    "text that ends in a character": (b"\x81\x81\0\0\0\0\xc3", 1007),
    "a surrogate": (b"\x81\x83\0\0\0\0\xed\xa0\x80", 1007),
    "close of one byte": (b"\x88\x81\0\0\0\0\x03", 1002),
    "close with 1005": (b"\x88\x82\0\0\0\0\x03\xed", 1002),
    "close with 999": (b"\x88\x82\0\0\0\0\x03\xe7", 1002),
    "reason that is not UTF-8": (b"\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_what_the_rfc_forbids_closes_with_its_code(connect, kind):
    data, code = WRONG[kind]
    client = connect(ECHO)
    client.worker.sock.sendall(data)
    assert client.closed()[0] == code
    assert "disconnect %d" % code in client.worker.end().stdout


def test_application_hears_of_the_close_before_the_client_may_leave(connect):
    client = connect("""
import asyncio
await send({"type": "websocket.accept"})
print((await receive())["code"])
await asyncio.sleep(0.2)
print("saved")
""")
    client.send(8, b"\x03\xe9")
    assert client.closed() == (1001, "")
    client.worker.stdout.wait_for(b"saved\n")
    assert client.worker.stdout.data == b"1001\nsaved\n"


def test_what_is_said_before_the_close_is_answered_arrives(connect):
    client = connect("""
await send({"type": "websocket.accept"})
await receive()
print((await receive())["type"])
await send({"type": "websocket.send", "text": "the last word"})
""")
    client.send(1, b"question")
    client.send(8, b"\x03\xe8")
    assert client.receive() == (1, b"the last word")
    assert client.closed() == (1000, "")
    client.worker.stdout.wait_for(b"disconnect\n")
    assert client.worker.stdout.data == b"websocket.disconnect\n"


def test_sender_that_never_listens_hears_of_the_close(connect):
    client = connect("""
import asyncio
await send({"type": "websocket.accept"})
try:
    while True:
        await send({"type": "websocket.send", "text": "tick"})
        await asyncio.sleep(0.01)
except OSError:
    print("heard")
    raise
""")
    client.receive()
    client.send(8, b"\x03\xe8")
    while client.receive()[0] != 8:
        pass
    ended = client.worker.end()
    assert (ended.stdout, ended.stderr) == ("heard\n", "")


def test_client_that_vanishes_is_a_disconnect(connect):
    client = connect(ECHO)
    client.worker.hang_up()
    client.worker.stdout.wait_for(b"disconnect 1006")


def test_close_before_accept_is_403(connect):
    client = connect('await send({"type": "websocket.close"})')
    assert client.status == 403


def test_refusal_may_be_an_answer_of_the_applications(connect):
    client = connect("""
await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1"), (b"content-length", b"4")]})
await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
await send({"type": "websocket.http.response.body", "body": b"pe"})
""")
    assert (client.status, client.headers["x-a"], client._bytes(4)) == (401, "1", b"nope")


@pytest.mark.parametrize("change,status", [
    (("Sec-WebSocket-Version", "8"), 426),
    (("Sec-WebSocket-Version", None), 426),
    (("Sec-WebSocket-Key", None), 400),
    (("Sec-WebSocket-Key", "c2hvcnQ="), 400),
    (("Sec-WebSocket-Key", "!" * 24), 400),
])
def test_bad_handshake_does_not_reach_the_application(zygote, change, status):
    headers = [(k, change[1] if k == change[0] else v) for k, v in UPGRADE]
    reply = zygote("m", indent("print('asked')")).request(headers=[(k, v) for k, v in headers if v])
    assert (reply.status, reply.ended.stdout) == (status, "")
    assert status != 426 or reply.get("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("body,status", [
    ("raise ValueError('early')", 500),
    ("pass", 500),
    ("await send({'type': 'websocket.send', 'text': 'x'})", 500),
    ("await send({'type': 'websocket.accept', 'subprotocol': 'not offered'})", 500),
])
def test_error_before_the_handshake_is_an_error_of_the_function(connect, body, status):
    client = connect(body)
    assert (client.status, client.headers["mayfly-error"]) == (status, "Unhandled")


@pytest.mark.parametrize("body", [
    "raise ValueError('late')", "await send({'type': 'websocket.send'})",
    "await send({'type': 'websocket.close', 'code': 1005})", "await send({'type': 'http.response.start'})"])
def test_error_behind_the_handshake_closes_with_1011(connect, body):
    client = connect("await send({'type': 'websocket.accept'})\n" + body)
    opcode, payload = client.receive()
    assert (opcode, payload) == (8, b"\x03\xf3")
    client.send(8, payload)
    assert "in app\n" in client.worker.end().stderr


def test_return_closes_with_1000(connect):
    client = connect("await send({'type': 'websocket.accept'})")
    opcode, payload = client.receive()
    client.send(8, payload)
    assert client.end(payload) == (1000, "")
    assert client.worker.end().stderr == ""


def test_sender_waits_for_a_client_that_does_not_read(connect):
    client = connect("""
import asyncio
await send({"type": "websocket.accept"})
async def push():
    for i in range(200):
        await send({"type": "websocket.send", "bytes": b"x" * 50000})
    print("all is out")
task = asyncio.ensure_future(push())
await asyncio.sleep(0.3)
print("not yet" if not task.done() else "no back-pressure")
await task
""")
    client.worker.stdout.wait_for(b"not yet")
    for _ in range(200):
        assert client.receive() == (2, b"x" * 50000)
    assert client.receive()[0] == 8


def test_reader_waits_for_an_application_that_does_not_receive(connect):
    client = connect("""
import asyncio
await send({"type": "websocket.accept"})
await asyncio.sleep(100)
""")
    client.worker.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(10000):
            client.send(2, b"x" * 10000, mask=bytes(4))


def test_instance_ends_behind_its_connection(connect):
    client = connect(ECHO, isolation="instance")
    client.send(1, b"hello")
    assert client.receive() == (1, b"hello")
    client.send(8)
    assert client.closed() == (1005, "")
    assert client.worker.end().exit_code == 0


def test_stack_at_the_deadline(connect):
    client = connect("await send({'type': 'websocket.accept'})\nprint('ready')\nawait receive()")
    client.worker.stdout.wait_for(b"ready")
    client.worker.signal(signal.SIGQUIT)
    ended = client.worker.end()
    assert ended.exit_code == 124 and "in app\n" in ended.stack and "mayfly_host" not in ended.stack


# ---- against an implementation of somebody else's ----


@pytest.fixture(scope="module")
def frames():
    sys.path.insert(0, str(lib_dir() / "python"))
    try:
        import mayfly_host.websocket
    finally:
        sys.path.pop(0)
    return mayfly_host.websocket


@pytest.fixture(scope="module")
def wsproto():
    folder = str(pypi.packages("wsproto==1.2.0", "h11==0.14.0"))
    sys.path.insert(0, folder)
    try:
        import wsproto.connection
        import wsproto.events
    finally:
        sys.path.remove(folder)
    return wsproto


def _pieces(rng, data):
    while data:
        n = rng.choice((1, 2, 7, 100, 4000, 70000))
        yield data[:n]
        data = data[n:]


def _message(rng):
    n = rng.choice((0, 1, 5, 125, 126, 1000, 65535, 65536, 90000))
    if rng.random() < 0.5:
        return bytes(rng.getrandbits(8) for _ in range(min(n, 3000))) * (n // 3000 + 1)
    return "".join(chr(rng.choice((65, 0xE4, 0x20AC, 0x1F600))) for _ in range(n))


@pytest.mark.parametrize("seed", range(20))
def test_any_conversation_is_understood_both_ways(frames, wsproto, seed):
    rng = random.Random(seed)
    client = wsproto.connection.Connection(wsproto.connection.ConnectionType.CLIENT)
    reader, sent, got = frames.Reader(), [], []
    wire = b""
    for _ in range(10):
        if rng.random() < 0.3:
            payload = bytes(rng.getrandbits(8) for _ in range(rng.randrange(126)))
            wire += client.send(wsproto.events.Ping(payload))
            sent.append((frames.PING, payload))
            continue
        message = _message(rng)
        kind = wsproto.events.TextMessage if isinstance(message, str) else wsproto.events.BytesMessage
        cut = rng.randrange(len(message) + 1)
        if rng.random() < 0.5 and 0 < cut < len(message):
            wire += client.send(kind(data=message[:cut], message_finished=False))
            wire += client.send(wsproto.events.Ping(b"!"))
            sent.append((frames.PING, b"!"))
            wire += client.send(kind(data=message[cut:]))
        else:
            wire += client.send(kind(data=message))
        sent.append((frames.TEXT if isinstance(message, str) else frames.BINARY, message))
    for piece in _pieces(rng, wire):
        reader.feed(piece)
        got += reader.events()
    assert got == sent
    back = b"".join(frames.frame(kind, m.encode() if isinstance(m, str) else m)
                    for kind, m in sent if kind != frames.PING) + frames.close_frame(4000, "done")
    texts, received = [], []
    for piece in _pieces(rng, back):
        client.receive_data(piece)
        for event in client.events():
            if isinstance(event, wsproto.events.Message):
                texts.append(event.data)
                if event.message_finished:
                    received.append((b"" if isinstance(event, wsproto.events.BytesMessage) else "").join(texts))
                    texts = []
            else:
                assert (event.code, event.reason) == (4000, "done")
    assert received == [m for kind, m in sent if kind != frames.PING]


@pytest.mark.parametrize("seed", range(40))
def test_garbage_never_breaks_the_reader_nor_passes_where_others_refuse(frames, wsproto, seed):
    rng = random.Random(seed)
    for _ in range(50):
        data = bytearray(b"\x81\x85\0\0\0\0hello\x02\x83\1\2\3\4abc\x89\x80\0\0\0\0\x80\x81\0\0\0\0x")
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.getrandbits(8)
        reader = frames.Reader(message_max=4096)
        server = wsproto.connection.Connection(wsproto.connection.ConnectionType.SERVER)
        ours, theirs = [], []
        refused = None
        reader.feed(bytes(data))
        try:
            ours = [kind for kind, _ in reader.events()]
        except frames.ProtocolError as e:
            assert frames.is_close_code(e.code) and e.reason
            refused = e
        try:
            server.receive_data(bytes(data))
            theirs = list(server.events())
        except wsproto.utilities.RemoteProtocolError:
            theirs = None
        if theirs is None:
            assert refused or reader.data, bytes(data)  # at most it waits for the rest of a frame
        assert refused or reader.is_closed or len(reader.data) < len(data) or not ours


def test_key_of_the_rfc(frames):
    assert frames.accept_key("13", KEY) == ACCEPT
    key = base64.b64encode(os.urandom(16)).decode()
    assert frames.accept_key("13", key) == base64.b64encode(
        hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def test_reason_is_cut_between_characters(frames):
    data = frames.close_frame(1000, "€" * 100)
    assert len(data) <= 2 + 125 and data[4:].decode() == "€" * 41
