"""HTTP to Lambda and back: the Function URL event, payload format 2.0, and the rules for what a
handler returns. No Python object is made for a request but those that the event consists of."""

import base64
import json
import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

ACCOUNT_ID = "anonymous"  # as for AuthType NONE
API_ID = "mayfly"


class MarshalError(Exception):
    """What the handler returned is no answer."""


def _is_text(content_type):
    """Whether a body of this type goes into the event as text if it is UTF-8; forms do not."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("json", "xml", "javascript")) or kind == ""


def _clock(now):
    t = time.gmtime(now)
    return "%02d/%s/%04d:%02d:%02d:%02d +0000" % (
        t.tm_mday, _MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec)


def from_request(request, request_id):
    headers, cookies = request.lambda_headers()
    get = headers.get
    method, path, query, host = request.method, request.path, request.query, request.host
    now = time.time()
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "authentication": None,
            "authorizer": None,
            "domainName": host,
            "domainPrefix": host.partition(".")[0].partition(":")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.get("Mayfly-Client-Ip") or "127.0.0.1",
                "userAgent": get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _clock(now),
            "timeEpoch": int(now * 1000),
        },
        "pathParameters": None,
        "isBase64Encoded": False,
        "stageVariables": None,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = request.query_map()
    if request.content_length:
        _put_body(event, request.body(), get("content-type", ""))
    return event


def _put_body(event, body, content_type):
    if not body:
        return
    if _is_text(content_type):
        try:
            event["body"] = body.decode()
            return
        except UnicodeDecodeError:
            pass
    event["body"] = base64.b64encode(body).decode()
    event["isBase64Encoded"] = True


def _default(value):
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


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
        request.start(200, [("Content-Type", "application/octet-stream")], len(bytes(result)))
        request.write(result)
    else:
        answer_json(request, result)


def _answer_dict(request, result):
    try:
        status = int(result["statusCode"])
        body = _body_of(result)
    except (TypeError, ValueError) as e:
        raise MarshalError("Unable to marshal response: %s" % e) from e
    headers, has_type = _headers_of(result)
    if not has_type and body:
        headers += JSON
    try:
        request.start(status, headers, len(body))
    except (ValueError, UnicodeError, OverflowError, TypeError) as e:
        raise MarshalError("Unable to marshal response: %s" % e) from e
    request.write(body)


def _headers_of(result):
    """(list of pairs, whether a Content-Type is among them)"""
    pairs = []
    has_type = False
    try:
        for name, value in (result.get("headers") or {}).items():
            if isinstance(value, (list, tuple)):
                value = ",".join(map(_text, value))
            pairs.append((str(name), _text(value)))
            has_type = has_type or pairs[-1][0].lower() == "content-type"
        for name, values in (result.get("multiValueHeaders") or {}).items():  # payload format 1.0
            pairs = [p for p in pairs if p[0].lower() != str(name).lower()]
            pairs += [(str(name), _text(value)) for value in values]
            has_type = has_type or str(name).lower() == "content-type"
        pairs += [("Set-Cookie", _text(cookie)) for cookie in result.get("cookies") or ()]
    except (AttributeError, TypeError) as e:
        raise MarshalError("Unable to marshal response: headers or cookies: %s" % e) from e
    return pairs, has_type


def _text(value):
    return value if isinstance(value, str) else "true" if value is True else \
        "false" if value is False else str(value)


def _body_of(result):
    body = result.get("body")
    if body is None:
        return b""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, str):
        return to_json(body)
    if result.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body.encode("utf-8", "replace")
