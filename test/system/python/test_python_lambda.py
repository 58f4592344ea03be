"""Lambda's contract: the event, the context, and what may be returned."""
import base64
import json
import time

import pytest


# ---- the event ----


def event_of(zygote, **request):
    return zygote("echo.event").request(**request).json


def test_event_has_every_field_of_payload_2_0(zygote):
    event = event_of(zygote, target="/api/users?id=7", headers={"User-Agent": "t/1"})
    now = time.time()
    context = event["requestContext"]
    assert abs(context.pop("timeEpoch") / 1000 - now) < 10
    assert time.strptime(context.pop("time"), "%d/%b/%Y:%H:%M:%S +0000")
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/api/users",
        "rawQueryString": "id=7",
        "headers": {"host": "localhost", "user-agent": "t/1"},
        "queryStringParameters": {"id": "7"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "mayfly",
            "authentication": None,
            "authorizer": None,
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {"method": "GET", "path": "/api/users", "protocol": "HTTP/1.1",
                     "sourceIp": "127.0.0.1", "userAgent": "t/1"},
            "requestId": "00000000-0000-7000-8000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
        },
        "pathParameters": None,
        "stageVariables": None,
        "isBase64Encoded": False,
    }


def test_event_leaves_out_what_is_empty_as_lambda_does(zygote):
    event = event_of(zygote)
    assert not {"cookies", "queryStringParameters", "body"} & set(event)


@pytest.mark.parametrize("query, expected", [
    ("a=1&b=2", {"a": "1", "b": "2"}),
    ("a=1&a=2&a=3", {"a": "1,2,3"}),
    ("a=1+2%263", {"a": "1 2&3"}),
    ("a", {"a": ""}),
    ("a=&=b", {"a": "", "": "b"}),
    ("a=%C3%A4%F0%9F%A6%8B", {"a": "ä🦋"}),
    ("a=%ff", {"a": "\ufffd"}),
    ("a=%zz", {"a": "%zz"}),
    ("&&a=1&&", {"a": "1"}),
    ("a=b=c", {"a": "b=c"}),
    ("a=" + "x" * 4000, {"a": "x" * 4000}),
])
def test_query_is_decoded_and_values_joined(zygote, query, expected):
    event = event_of(zygote, target="/?" + query)
    assert event["queryStringParameters"] == expected
    assert event["rawQueryString"] == query


def test_path_is_as_sent(zygote):
    event = event_of(zygote, target="/a%20b/%C3%A4")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/a%20b/%C3%A4"


def test_headers_are_lower_case_joined_and_without_ours(zygote):
    event = event_of(zygote, headers=[("X-One", "1"), ("x-one", "2"), ("X-Latin", "\xe9"),
                                      ("Cookie", "a=1; b=2"), ("Cookie", "c=3")])
    assert event["headers"] == {"host": "localhost", "x-one": "1,2", "x-latin": "\xe9"}
    assert event["cookies"] == ["a=1", "b=2", "c=3"]


def test_source_ip_is_the_client_that_the_gateway_names(zygote):
    event = event_of(zygote, headers={"Mayfly-Client-Ip": "2001:db8::7"})
    assert event["requestContext"]["http"]["sourceIp"] == "2001:db8::7"


@pytest.mark.parametrize("kind, body, expected", [
    ("text/plain", b"hi", "hi"),
    ("application/json", b'{"a": 1}', '{"a": 1}'),
    ("application/vnd.api+json; charset=utf-8", b"{}", "{}"),
    ("image/svg+xml", b"<svg/>", "<svg/>"),
    ("text/plain", "ä🦋".encode(), "ä🦋"),
    ("text/plain", b"\xff\x00", None),
    ("application/octet-stream", b"abc", None),
    ("application/x-www-form-urlencoded", b"a=1", None),
    ("", b"plain", "plain"),
])
def test_body_is_text_or_base64(zygote, kind, body, expected):
    event = event_of(zygote, method="POST", headers={"Content-Type": kind} if kind else {}, body=body)
    if expected is None:
        assert event["isBase64Encoded"] is True
        assert base64.b64decode(event["body"]) == body
    else:
        assert (event["isBase64Encoded"], event["body"]) == (False, expected)


def test_chunked_body_arrives_whole(zygote):
    event = event_of(zygote, method="POST", headers={"Content-Type": "text/plain"},
                     body=[b"ab", b"c" * 70000, b"d"], chunked=True)
    assert event["body"] == "ab" + "c" * 70000 + "d"


# ---- invoke ----


@pytest.mark.parametrize("body, expected", [
    (b'{"a": [1, null]}', {"a": [1, None]}),
    (b'"text"', "text"),
    (b"[1]", [1]),
    (b"", {}),
    ('{"ä": "🦋"}'.encode(), {"ä": "🦋"}),
])
@pytest.mark.parametrize("trigger", ["invoke", "schedule"])
def test_event_of_other_triggers_is_the_body(zygote, trigger, body, expected):
    reply = zygote("echo.event").request("POST", "/", body=body, trigger=trigger)
    assert (reply.status, reply.json) == (200, expected)
    assert reply.get("Content-Type") == "application/json"


def test_invoke_gives_a_dict_with_status_code_back_as_it_is(zygote):
    z = zygote("m.f", "def f(e, c): return {'statusCode': 404, 'body': 'x'}")
    reply = z.request("POST", "/", body=b"{}", trigger="invoke")
    assert (reply.status, reply.json) == (200, {"statusCode": 404, "body": "x"})


def test_invoke_with_a_body_that_is_no_json_is_an_error(zygote):
    error = zygote("echo.event").request("POST", "/", body=b"{nope", trigger="invoke").error
    assert error["errorType"] == "Runtime.UnmarshalError"
    assert error["stackTrace"] == []


# ---- the context ----


def test_context_has_what_lambda_gives(zygote):
    z = zygote("echo.context", function="fun", version="v" * 16, memory_bytes=256 << 20)
    worker = z.fork()
    c = worker.request(request_id="0-1", timeout_ms=5000).json
    assert 3000 < c.pop("left") <= 5000
    assert c.pop("stream").endswith("[%s]01" % ("v" * 16))
    assert c == {"id": "0-1", "name": "fun", "version": "v" * 16, "memory": "256",
                 "arn": "arn:aws:lambda:us-east-1:000000000000:function:fun",
                 "group": "/aws/lambda/fun", "identity": None, "client": None}
    worker.end()


def test_context_may_be_written_to(zygote):
    z = zygote("m.f", "def f(e, c): c.mine = 1; return c.mine")
    assert z.request().json == 1


# ---- what is returned ----

RESULTS = [
    # result, status, content type, body, further headers
    ("{'a': 1}", 200, "application/json", b'{"a": 1}', {}),
    ("'text'", 200, "application/json", b'"text"', {}),
    ("None", 200, "application/json", b"null", {}),
    ("[1, 2.5, True, None]", 200, "application/json", b"[1, 2.5, true, null]", {}),
    ("42", 200, "application/json", b"42", {}),
    ("(1, 2)", 200, "application/json", b"[1, 2]", {}),
    ("''", 200, "application/json", b'""', {}),
    ("'\\u00e4\\U0001f98b\\n\"'", 200, "application/json", '"ä🦋\\n\\""'.encode(), {}),
    ("'\\ud800'", 200, "application/json", b'"\\ud800"', {}),
    ("{'a': '\\ud800', 'b': 'ä'}", 200, "application/json", b'{"a": "\\ud800", "b": "\\u00e4"}', {}),
    ("b'\\x00\\xff'", 200, "application/octet-stream", b"\x00\xff", {}),
    ("bytearray(b'x')", 200, "application/octet-stream", b"x", {}),
    ("__import__('decimal').Decimal('1.5')", 200, "application/json", b"1.5", {}),
    ("{'n': __import__('decimal').Decimal('3')}", 200, "application/json", b'{"n": 3}', {}),
    ("{'statusCode': 201, 'body': 'made'}", 201, "application/json", b"made", {}),
    ("{'statusCode': 200}", 200, None, b"", {}),
    ("{'statusCode': 200, 'body': None}", 200, None, b"", {}),
    ("{'statusCode': 200, 'body': ''}", 200, None, b"", {}),
    ("{'statusCode': '418', 'body': 'tea'}", 418, "application/json", b"tea", {}),
    ("{'statusCode': 200.0, 'body': 'x'}", 200, "application/json", b"x", {}),
    ("{'statusCode': 200, 'body': 'ä'}", 200, "application/json", "ä".encode(), {}),
    ("{'statusCode': 200, 'body': b'\\x00'}", 200, "application/json", b"\x00", {}),
    ("{'statusCode': 200, 'body': {'a': 1}}", 200, "application/json", b'{"a": 1}', {}),
    ("{'statusCode': 200, 'body': 'AP8=', 'isBase64Encoded': True}", 200, "application/json",
     b"\x00\xff", {}),
    ("{'statusCode': 200, 'body': 'x', 'isBase64Encoded': False}", 200, "application/json", b"x", {}),
    ("{'statusCode': 200, 'headers': {'Content-Type': 'text/html', 'X-A': '1'}, 'body': '<p>'}", 200,
     "text/html", b"<p>", {"X-A": ["1"]}),
    ("{'statusCode': 200, 'headers': {'content-type': 'text/css'}, 'body': 'a'}", 200, "text/css",
     b"a", {}),
    ("{'statusCode': 200, 'headers': {'X-N': 5, 'X-T': True, 'X-L': ['a', 'b']}}", 200, None, b"",
     {"X-N": ["5"], "X-T": ["true"], "X-L": ["a,b"]}),
    ("{'statusCode': 302, 'headers': {'Location': '/x'}}", 302, None, b"", {"Location": ["/x"]}),
    ("{'statusCode': 200, 'headers': None, 'body': 'x'}", 200, "application/json", b"x", {}),
    ("{'statusCode': 200, 'cookies': ['a=1; HttpOnly', 'b=2'], 'body': 'x'}", 200, "application/json",
     b"x", {"Set-Cookie": ["a=1; HttpOnly", "b=2"]}),
    ("{'statusCode': 200, 'multiValueHeaders': {'X-M': ['1', '2']}, 'headers': {'x-m': '0'}}", 200,
     None, b"", {"X-M": ["1", "2"]}),
    ("{'statusCode': 200, 'headers': {'X-L': '\\xe9'}}", 200, None, b"", {"X-L": ["\xe9"]}),
    ("{'statusCode': 204}", 204, None, b"", {}),
    ("__import__('collections').OrderedDict(statusCode=203, body='o')", 203, "application/json", b"o",
     {}),
]


@pytest.mark.parametrize("result, status, kind, body, headers", RESULTS, ids=[r[0] for r in RESULTS])
def test_result_becomes_an_answer(zygote, result, status, kind, body, headers):
    reply = zygote("m.f", "def f(event, context):\n    return " + result).request()
    assert (reply.status, reply.get("Content-Type"), reply.body) == (status, kind, body)
    for name, values in headers.items():
        assert reply.all(name) == values
    assert reply.ended.exit_code == 0


@pytest.mark.parametrize("result", [
    "{'a': object()}",
    "{1, 2}",
    "(i for i in range(3))",
    "lambda: 0",
    "(lambda l: l.append(l) or l)([])",
    "{'statusCode': 'no number'}",
    "{'statusCode': 99}",
    "{'statusCode': 1000}",
    "{'statusCode': None}",
    "{'statusCode': 200, 'headers': {'X': 'a\\r\\nY: b'}}",
    "{'statusCode': 200, 'headers': {'X Y': '1'}}",
    "{'statusCode': 200, 'headers': {'X': '\\u20ac'}}",
    "{'statusCode': 200, 'headers': 'x'}",
    "{'statusCode': 200, 'cookies': 7}",
    "{'statusCode': 200, 'body': object()}",
    "{'statusCode': 200, 'body': 'abcde', 'isBase64Encoded': True}",
    "{'statusCode': 200, 'headers': {'H%d' % i: 'x' for i in range(200)}}",
])
def test_result_that_is_no_answer_is_a_marshal_error(zygote, result):
    reply = zygote("m.f", "def f(event, context):\n    return " + result).request()
    assert reply.error["errorType"] == "Runtime.MarshalError"
    assert "Unable to marshal response" in reply.error["errorMessage"]
    assert reply.ended.exit_code == 0


def test_head_gets_the_headers_without_the_body(zygote):
    z = zygote("m.f", "def f(e, c): return {'statusCode': 200, 'body': 'hello'}")
    reply = z.request("HEAD")
    assert (reply.status, reply.body, reply.get("Content-Length")) == (200, b"", "5")


def test_large_bodies_both_ways(zygote):
    z = zygote("m.f", "def f(e, c): return {'statusCode': 200, 'body': e['body'] * 2}")
    body = b"0123456789abcdef" * (1 << 18)
    assert z.request("POST", "/", {"Content-Type": "text/plain"}, body).body == body * 2


def test_json_with_many_values(zygote):
    z = zygote("m.f", "def f(e, c): return {str(i): [i, str(i), i / 2] for i in range(20000)}")
    assert z.request().json == {str(i): [i, str(i), i / 2] for i in range(20000)}


# ---- coroutines ----


def test_async_handler_is_awaited(zygote):
    z = zygote("m.f", """
import asyncio
async def f(event, context):
    await asyncio.sleep(0.01)
    done = await asyncio.gather(*(asyncio.sleep(0.01, i) for i in range(5)))
    return {"done": done}
""")
    assert z.request().json == {"done": [0, 1, 2, 3, 4]}


def test_coroutine_of_a_plain_handler_is_awaited_too(zygote):
    z = zygote("m.f", """
async def g():
    return "awaited"
f = lambda event, context: g()
""")
    assert z.request().json == "awaited"


def test_tasks_left_running_may_clean_up(zygote):
    z = zygote("m.f", """
import asyncio
async def left():
    try:
        await asyncio.sleep(100)
    finally:
        print("cleaned up")
async def f(event, context):
    asyncio.ensure_future(left())
    await asyncio.sleep(0)
    return 1
""")
    reply = z.request()
    assert (reply.json, reply.ended.stdout) == (1, "cleaned up\n")


def test_error_in_a_coroutine_is_the_functions(zygote):
    z = zygote("m.f", """
async def f(event, context):
    raise KeyError("k")
""")
    error = z.request().error
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'k'")
    assert len(error["stackTrace"]) == 1 and "m.py" in error["stackTrace"][0]


def test_handler_sees_a_running_loop(zygote):
    z = zygote("m.f", """
import asyncio
async def f(event, context):
    return asyncio.get_event_loop() is asyncio.get_running_loop()
""")
    assert z.request().json is True


def test_plain_handler_may_use_asyncio_run(zygote):
    z = zygote("m.f", """
import asyncio
def f(event, context):
    return asyncio.run(asyncio.sleep(0, "ran"))
""")
    assert z.request().json == "ran"


def test_methods_and_partials_are_handlers(zygote):
    files = {"m.py": """
import functools
class C:
    def method(self, event, context): return "method"
    @staticmethod
    def static(event, context): return "static"
    def __call__(self, event, context): return "object"
c = C()
method = c.method
partial = functools.partial(lambda x, event, context: x, "partial")
"""}
    for name, expected in [("c", "object"), ("method", "method"), ("C.static", "static"),
                           ("partial", "partial"), ("c.method", "method")]:
        assert zygote("m." + name, files=files).request().json == expected


def test_json_of_invoke_survives_a_round_trip(zygote):
    value = {"n": [1, -1, 1e300, 0.1, 12345678901234567890], "t": [True, False, None], "s": "\"\\\x00"}
    reply = zygote("echo.event").request("POST", "/", body=json.dumps(value).encode(),
                                         trigger="invoke")
    assert reply.json == value
