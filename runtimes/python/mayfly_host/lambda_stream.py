"""Answers of a Lambda handler that are sent as they are made.

AWS has no such thing for Python itself; this takes what people write where it exists: a handler that is
a generator or returns an iterator, a `body` that is one, plain or asynchronous, of bytes or text. And
the content type by which custom runtimes say that the head comes at the front of the stream: JSON,
eight NULs, the body.
"""

import json

from .lambda_event import MarshalError, head_of

PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = bytes(8)
PRELUDE_BYTES_MAX = 1 << 20

_WHOLE = (str, bytes, bytearray, memoryview, dict, list, tuple, set, frozenset)


def is_async_stream(value):
    return hasattr(type(value), "__aiter__")


def is_stream(value):
    """Whether it is pieces that are made one after the other."""
    return hasattr(type(value), "__next__") or is_async_stream(value)


def is_stream_body(value):
    """As a `body` any other object that gives its pieces counts, too, unless JSON knows it."""
    return is_stream(value) or (hasattr(type(value), "__iter__") and not isinstance(value, _WHOLE))


class Sender:
    """Takes the pieces, and sends them. The answer begins with the first, so that an error ahead of that
    is still an error of the function."""

    def __init__(self, request, result):
        self.request = request
        self.prelude = None
        self.is_begun = False
        self.result = result
        if result is None:
            return
        if result.get("isBase64Encoded"):
            raise MarshalError("Unable to marshal response: a body that is streamed is sent as it is; "
                               "isBase64Encoded is for text")
        for name, value in (result.get("headers") or {}).items():
            if str(name).lower() == "content-type" and \
                    str(value).partition(";")[0].strip().lower() == PRELUDE_TYPE:
                self.prelude = bytearray()

    def piece(self, data):
        kind = "text/plain; charset=utf-8" if isinstance(data, str) else "application/octet-stream"
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        elif isinstance(data, (bytearray, memoryview)):
            data = bytes(data)
        elif not isinstance(data, bytes):
            raise MarshalError("Unable to marshal response: a piece of the body is bytes or text, not %s"
                               % type(data).__name__)
        if self.prelude is not None:
            data = self._after_prelude(data)
        elif not self.is_begun:
            self._begin(self.result or {"statusCode": 200}, kind)
        if data:
            self.request.write(data)
        if self.is_begun:
            self.request.flush()

    def end(self):
        if self.prelude is not None:
            raise MarshalError("Unable to marshal response: %s is JSON, eight NULs and the body; there "
                               "are no eight NULs" % PRELUDE_TYPE)
        if not self.is_begun:
            self._begin(self.result or {"statusCode": 200}, None)

    def _begin(self, result, kind):
        status, headers, has_type = head_of(result)
        length = -1
        for name, value in headers:
            if name.lower() == "content-length" and value.isdigit():
                length = int(value)
        if kind and not has_type:
            headers.append(("Content-Type", kind))
        try:
            self.request.start(status, headers, length)
        except ValueError as e:
            raise MarshalError("Unable to marshal response: %s" % e) from e
        self.is_begun = True

    def _after_prelude(self, data):
        self.prelude += data
        head, end, body = bytes(self.prelude).partition(PRELUDE_END)
        if not end:
            if len(self.prelude) > PRELUDE_BYTES_MAX:
                self.end()
            return b""
        self.prelude = None
        try:
            result = json.loads(head)
        except ValueError as e:
            raise MarshalError("Unable to marshal response: the prelude is no JSON: %s" % e) from e
        if not isinstance(result, dict):
            raise MarshalError("Unable to marshal response: the prelude is no JSON object")
        self._begin({"statusCode": 200, **result}, "application/octet-stream")
        return body


def send(request, result, stream):
    """result is the dict that the stream is the body of, or None."""
    try:
        sender = Sender(request, result)
        for data in stream:
            sender.piece(data)
        sender.end()
    finally:
        close = getattr(stream, "close", None)
        if close:
            close()


async def send_async(request, result, stream):
    try:
        sender = Sender(request, result)
        async for data in stream:
            sender.piece(data)
        sender.end()
    finally:
        close = getattr(stream, "aclose", None)
        if close:
            await close()
