"""Lambda's contract: handler(event, context), plain or `async def`."""

import json
import os
import sys
import time

from . import detect, lambda_event


class _Identity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class Context:
    """What is the same for all requests belongs to the class."""

    function_name = ""
    function_version = ""
    memory_limit_in_mb = ""
    invoked_function_arn = ""
    log_group_name = ""
    client_context = None
    identity = _Identity()

    def __init__(self, request_id, deadline_ms):
        self.aws_request_id = request_id
        self._deadline_ms = deadline_ms

    @property
    def log_stream_name(self):
        t = time.gmtime()
        return "%04d/%02d/%02d/[%s]%s" % (
            t.tm_year, t.tm_mon, t.tm_mday, self.function_version,
            self.aws_request_id.replace("-", ""))

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "<Context of %s, request %s>" % (self.function_name, self.aws_request_id)


def prepare(start):
    """Puts what is known before any request into Context."""
    name = start["function"]
    region = os.environ.get("AWS_REGION", "us-east-1")
    Context.function_name = name
    Context.function_version = start["version"]
    Context.memory_limit_in_mb = str(start["memory_bytes"] >> 20)
    Context.invoked_function_arn = "arn:aws:lambda:%s:000000000000:function:%s" % (region, name)
    Context.log_group_name = "/aws/lambda/" + name


class Adapter:
    def __init__(self, handler, start):
        self.handler = handler
        self.timeout_ms = start["timeout_ms"]
        self.loop = None
        self.keeps_loop = start["isolation"] == "instance"
        prepare(start)
        if detect.is_async(handler):
            self.import_asyncio()

    def import_asyncio(self):
        import asyncio
        self.asyncio = asyncio

    def touch(self, request):
        """What a request does, but for the author's part."""
        if hasattr(self, "asyncio"):
            self.make_loop()
        self.answer(request, _null_handler)

    def answer(self, request, handler=None):
        request_id = request.get("Mayfly-Request-Id") or ""
        deadline = request.get("Mayfly-Deadline-Ms")
        context = Context(request_id, int(deadline) if deadline and deadline.isdigit()
                          else int(time.time() * 1000) + self.timeout_ms)
        trigger = request.get("Mayfly-Trigger")
        is_http = trigger is None or trigger == "http"
        event = lambda_event.from_request(request, request_id) if is_http else _event_of(request)
        result = (handler or self.handler)(event, context)
        if hasattr(result, "__await__"):
            result = self.wait_for(result)
        (lambda_event.answer if is_http else lambda_event.answer_json)(request, result)

    def make_loop(self):
        """One loop a process. A worker has it ready before its request comes. With isolation
        `instance` it stays from request to request, because a client that the author keeps open
        between requests belongs to the loop it was opened in."""
        if not hasattr(self, "asyncio"):
            self.import_asyncio()
        self.loop = self.asyncio.new_event_loop()
        self.asyncio.set_event_loop(self.loop)

    def wait_for(self, result):
        if self.loop is None or self.loop.is_closed():
            self.make_loop()
        try:
            return self.loop.run_until_complete(_awaited(result))
        finally:
            if not self.keeps_loop:
                self.end_tasks()

    def end_tasks(self):
        """Cancels what the handler left running, as asyncio.run() does, so that it can clean up."""
        left = self.asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(self.asyncio.gather(*left, return_exceptions=True))


async def _awaited(thing):
    return await thing


def _event_of(request):
    """The event of a trigger other than http is the body. An empty one is {}, as Lambda has it."""
    body = request.body()
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError as e:
        raise UnmarshalError("Unable to unmarshal input: %s" % e) from None


class UnmarshalError(Exception):
    """The request's body is no event."""


UnmarshalError.type = "Runtime.UnmarshalError"
lambda_event.MarshalError.type = "Runtime.MarshalError"


def _null_handler(event, context):
    context.get_remaining_time_in_millis()
    lambda_event.to_json(event)
    json.loads('{"a": [1, "b", null, 1.5]}')
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "touched"}
