"""The Function URL event, payload format 2.0, and the rules for what a handler returns.

The common cases are lambda.c's: it copies the templates below and fills in the request, and answers
with JSON and with dicts of plain text. Here is the rest, and what the rules are.
"""

import binascii
import json

try:
    from _json import encode_basestring, make_encoder
except ImportError:  # an interpreter without its C accelerators
    make_encoder = None

# What is the same in every event. accountId is that of AuthType NONE.
EVENT = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "",
    "rawQueryString": "",
    "headers": None,
    "requestContext": None,
    "pathParameters": None,
    "isBase64Encoded": False,
    "stageVariables": None,
}
REQUEST_CONTEXT = {
    "accountId": "anonymous",
    "apiId": "mayfly",
    "authentication": None,
    "authorizer": None,
    "domainName": "",
    "domainPrefix": "",
    "http": None,
    "requestId": "",
    "routeKey": "$default",
    "stage": "$default",
    "time": "",
    "timeEpoch": 0,
}
HTTP = {"method": "", "path": "", "protocol": "HTTP/1.1", "sourceIp": "", "userAgent": ""}


class MarshalError(Exception):
    """What the handler returned is no answer."""

    type = "Runtime.MarshalError"


class UnmarshalError(Exception):
    """The request's body is no event."""

    type = "Runtime.UnmarshalError"


def from_json(body):
    """The event of a trigger other than http is the body. An empty one is {}, as Lambda has it."""
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError as e:
        raise UnmarshalError("Unable to unmarshal input: %s" % e) from None


def put_body(event, body):
    """As text if it is of a text type and UTF-8, else in base64; forms are not text to Lambda."""
    if not body:
        return
    if _is_text(event["headers"].get("content-type", "")):
        try:
            event["body"] = body.decode()
            return
        except UnicodeDecodeError:
            pass
    event["body"] = binascii.b2a_base64(body, newline=False).decode()
    event["isBase64Encoded"] = True


def _is_text(content_type):
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("json", "xml", "javascript")) or kind == ""


# ---- results ----


def _default(value):
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def make_c_encoder():
    """What json.JSONEncoder makes anew for each document, once: f(value, 0) gives pieces of text."""
    if make_encoder is None:
        return None
    return make_encoder({}, _default, encode_basestring, None, ": ", ", ", False, False, True)


_encode = json.JSONEncoder(ensure_ascii=False, default=_default).encode
_encode_ascii = json.JSONEncoder(default=_default).encode


def to_json(value):
    try:
        try:
            return _encode(value).encode()
        except UnicodeEncodeError:  # half a surrogate pair
            return _encode_ascii(value).encode()
    except (TypeError, ValueError, RecursionError) as e:
        raise MarshalError("Unable to marshal response: %s" % e) from e


JSON = [("Content-Type", "application/json")]


def answer_json(request, value):
    body = to_json(value)
    request.start(200, JSON, len(body))
    request.write(body)


def answer(request, result):
    """A dict with statusCode is an answer; bytes are a body; anything else is JSON, status 200."""
    if isinstance(result, dict) and "statusCode" in result:
        _answer_dict(request, result)
    elif isinstance(result, (bytes, bytearray, memoryview)):
        result = bytes(result)
        request.start(200, [("Content-Type", "application/octet-stream")], len(result))
        request.write(result)
    else:
        answer_json(request, result)


def head_of(result):
    """(status, headers, whether a Content-Type is among them)"""
    try:
        return (int(result["statusCode"]),) + _headers_of(result)
    except (AttributeError, TypeError, ValueError, OverflowError) as e:
        raise MarshalError("Unable to marshal response: %s" % e) from e


def _answer_dict(request, result):
    status, headers, has_type = head_of(result)
    try:
        body = _body_of(result)
        if not has_type and body:
            headers += JSON
        request.start(status, headers, len(body))
    except (AttributeError, TypeError, ValueError, OverflowError) as e:
        raise MarshalError("Unable to marshal response: %s" % e) from e
    request.write(body)


def _headers_of(result):
    """(list of pairs, whether a Content-Type is among them)"""
    pairs = []
    for name, value in (result.get("headers") or {}).items():
        if isinstance(value, (list, tuple)):
            value = ",".join(map(_text, value))
        pairs.append((str(name), _text(value)))
    for name, values in (result.get("multiValueHeaders") or {}).items():  # payload format 1.0
        pairs = [p for p in pairs if p[0].lower() != str(name).lower()]
        pairs += [(str(name), _text(value)) for value in values]
    has_type = any(name.lower() == "content-type" for name, _ in pairs)
    pairs += [("Set-Cookie", _text(cookie)) for cookie in result.get("cookies") or ()]
    return pairs, has_type


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _body_of(result):
    body = result.get("body")
    if body is None:
        return b""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, str):
        return to_json(body)
    if result.get("isBase64Encoded"):
        return binascii.a2b_base64(body)
    return body.encode("utf-8", "replace")
