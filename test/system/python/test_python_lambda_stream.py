"""Lambda handlers whose answer is sent as it is made."""
import pytest

WAYS = {
    "a generator": "def f(event, context):\n    yield from pieces()",
    "an iterator": "def f(event, context):\n    return iter(pieces())",
    "a body": "def f(event, context):\n    return {'statusCode': 200, 'body': pieces()}",
    "a body that is iterable": "class P:\n    def __iter__(self):\n        return pieces()\n"
                               "def f(event, context):\n    return {'statusCode': 200, 'body': P()}",
    "an async generator": "async def f(event, context):\n    for piece in pieces():\n        yield piece",
    "an async body": "async def f(event, context):\n    async def body():\n        for piece in pieces():\n"
                     "            yield piece\n    return {'statusCode': 200, 'body': body()}",
}
PIECES = """
import socket, time
def pieces():
    yield b"one"
    print("first is out")
    while not GO.exists():
        time.sleep(0.01)
    yield b""
    yield b"two"
"""


@pytest.mark.parametrize("way", list(WAYS))
def test_pieces_are_sent_as_they_come(zygote, tmp_path, way):
    go = tmp_path / "go"
    z = zygote("m.f", "import pathlib\nGO = pathlib.Path(%r)\n" % str(go) + PIECES + WAYS[way])
    worker = z.fork()
    worker.send_head()
    response = worker.open_reply()
    assert response.read(3) == b"one"
    go.touch()
    assert response.read() == b"two"
    assert response.getheader("Content-Type") == "application/octet-stream"
    assert worker.end().stdout == "first is out\n"


def test_text_is_utf8_and_its_type_says_so(zygote):
    reply = zygote("m.f", "def f(event, context):\n    yield 'gr\\xfc\\xdfe'\n    yield b'!'").request()
    assert (reply.get("Content-Type"), reply.body.decode()) == ("text/plain; charset=utf-8", "grüße!")


def test_head_is_the_dicts(zygote):
    reply = zygote("m.f", """
def f(event, context):
    return {"statusCode": 201, "headers": {"content-type": "text/event-stream", "X-A": 1},
            "cookies": ["a=1", "b=2"], "body": (b"data: %d\\n\\n" % i for i in range(2))}
""").request()
    assert (reply.status, reply.all("Content-Type"), reply.get("X-A"), reply.all("Set-Cookie"), reply.body) == (
        201, ["text/event-stream"], "1", ["a=1", "b=2"], b"data: 0\n\ndata: 1\n\n")


def test_content_length_is_kept(zygote):
    reply = zygote("m.f", "def f(event, context):\n    return {'statusCode': 200, 'headers': "
                          "{'Content-Length': '4'}, 'body': iter([b'ab', b'cd'])}").request()
    assert (reply.get("Content-Length"), reply.get("Transfer-Encoding"), reply.body) == ("4", None, b"abcd")


def test_no_pieces_are_an_empty_answer(zygote):
    for source in ("yield from ()", "return {'statusCode': 200, 'body': iter(())}"):
        reply = zygote("m.f", "def f(event, context):\n    " + source).request()
        assert (reply.status, reply.body) == (200, b"")


PRELUDE = """
TYPE = "application/vnd.awslambda.http-integration-response"
def f(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": TYPE}, "body": pieces()}
def pieces():
    yield %s
"""


@pytest.mark.parametrize("pieces", [
    r"""b'{"statusCode": 202, "headers": {"Content-Type": "text/x"}, "cookies": ["a=1"]}' + bytes(8) + b'body'""",
    r"""'{"statusCode": 202, "headers": {"content-type": "text/x"}, "cook'
    yield 'ies": ["a=1"]}\0\0\0'
    yield bytes(5)
    yield b'bo'
    yield b'dy'""",
])
def test_head_at_the_front_of_the_stream(zygote, pieces):
    reply = zygote("m.f", PRELUDE % pieces).request()
    assert (reply.status, reply.all("Content-Type"), reply.all("Set-Cookie"), reply.body) == (
        202, ["text/x"], ["a=1"], b"body")


@pytest.mark.parametrize("source", [
    PRELUDE % "b'{\"statusCode\": 200}'",
    PRELUDE % "b'no json' + bytes(8)",
    PRELUDE % "b'[]' + bytes(8)",
    PRELUDE % "b'{\"statusCode\": 99}' + bytes(8)",
    "def f(event, context):\n    yield 1",
    "def f(event, context):\n    return {'statusCode': 'x', 'body': iter([b''])}",
    "def f(event, context):\n    return {'statusCode': 200, 'isBase64Encoded': True, 'body': iter([b''])}",
])
def test_what_is_no_answer_is_told(zygote, source):
    reply = zygote("m.f", source).request()
    assert reply.error["errorType"] == "Runtime.MarshalError"


def test_error_ahead_of_the_first_piece_is_an_error_of_the_function(zygote):
    reply = zygote("m.f", "def f(event, context):\n    raise KeyError('early')\n    yield b''").request()
    assert reply.error["errorType"] == "KeyError"
    assert "in f\n" in "".join(reply.error["stackTrace"])


def test_error_behind_it_breaks_the_answer_off_and_the_stream_is_closed(zygote):
    worker = zygote("m.f", """
def f(event, context):
    try:
        yield b"one"
        raise KeyError("late")
    finally:
        print("closed")
""").fork()
    worker.send_head()
    text = worker.raw_reply()
    assert b"one" in text and not text.endswith(b"0\r\n\r\n")
    ended = worker.end()
    assert "KeyError: 'late'" in ended.stderr and ended.stdout == "closed\n"


def test_instance_goes_on_behind_a_stream(zygote):
    worker = zygote("m.f", "async def f(event, context):\n    yield b'a'\n    yield b'b'", isolation="instance").fork()
    assert [worker.request().body for _ in range(3)] == [b"ab"] * 3


def test_lists_and_dicts_stay_json(zygote):
    for value in ([1, 2], {"a": 1}, {"statusCode": 200, "body": [1, 2]}):
        reply = zygote("m.f", "def f(event, context):\n    return %r" % (value,)).request()
        assert reply.get("Content-Type") == "application/json"
