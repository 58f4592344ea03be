"""Lambda's contract: handler(event, context), plain or `async def`. Most of it is lambda.c."""

import os
import sys
import time

from . import detect, lambda_event, lambda_stream


class _Identity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context:
    """What is the same for all requests belongs to the class; lambda.c sets the rest."""

    aws_request_id = ""
    _deadline_ms = 0
    function_name = ""
    function_version = ""
    memory_limit_in_mb = ""
    invoked_function_arn = ""
    log_group_name = ""
    client_context = None
    identity = _Identity()

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


def _prepare_context(start):
    name = start["function"]
    region = os.environ.get("AWS_REGION", "us-east-1")
    Context.function_name = name
    Context.function_version = start["version"]
    Context.memory_limit_in_mb = str(start["memory_bytes"] >> 20)
    Context.invoked_function_arn = "arn:aws:lambda:%s:000000000000:function:%s" % (region, name)
    Context.log_group_name = "/aws/lambda/" + name


class Adapter:
    answer_request = None  # it is in C
    answer_null = None

    def __init__(self, mayfly, handler, start):
        self.loop = None
        self.keeps_loop = start["isolation"] == "instance"
        self.is_async = detect.needs_loop(handler)
        self.asyncio = None
        if self.is_async:
            self._rehearse_asyncio()
        _prepare_context(start)
        templates = (lambda_event.EVENT, lambda_event.REQUEST_CONTEXT, lambda_event.HTTP)
        mayfly.lambda_setup(self, handler, _null_handler, Context, lambda_event.make_c_encoder(),
                            templates, start["timeout_ms"])
        # For the cases that lambda.c leaves to Python.
        self.answer_json = lambda_event.answer_json

    def answer(self, request, result):
        """What lambda.c leaves to Python: all but JSON and dicts of plain text."""
        if lambda_stream.is_stream(result):
            self._stream(request, None, result)
        elif isinstance(result, dict) and "statusCode" in result and \
                lambda_stream.is_stream_body(result.get("body")):
            self._stream(request, result, result["body"])
        else:
            lambda_event.answer(request, result)

    def _stream(self, request, result, stream):
        if lambda_stream.is_async_stream(stream):
            self.wait_for(lambda_stream.send_async(request, result, stream))
        else:
            lambda_stream.send(request, result, stream)

    def on_touch(self):
        if self.is_async:
            self.wait_for(_null_coroutine())

    def event_of(self, request):
        return lambda_event.from_json(request.body())

    def put_body(self, request, event):
        lambda_event.put_body(event, request.body())

    # ---- coroutines ----

    def _import_asyncio(self):
        import asyncio
        self.asyncio = asyncio

    def _rehearse_asyncio(self):
        """As _mayfly does with the rest: 525 page faults a worker become 415, 97 in the request
        become 5. The loop is not kept, as each worker needs one of its own."""
        self._make_loop()
        for _ in range(24):
            self.wait_for(_null_coroutine())
        self.loop.close()
        self.asyncio.set_event_loop(None)
        self.loop = None

    def _make_loop(self):
        """One loop a process. A worker has it ready before its request comes. With isolation
        `instance` it stays from request to request, because a client that the author keeps open
        between requests belongs to the loop it was opened in."""
        if not self.asyncio:
            self._import_asyncio()
        self.loop = self.asyncio.new_event_loop()
        self.asyncio.set_event_loop(self.loop)

    def wait_for(self, awaitable):
        if self.loop is None or self.loop.is_closed():
            self._make_loop()
        try:
            return self.loop.run_until_complete(_awaited(awaitable))
        finally:
            if not self.keeps_loop:
                self._end_tasks()

    def _end_tasks(self):
        """Cancels what the handler left running, as asyncio.run() does, so that it can clean up."""
        left = self.asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(self.asyncio.gather(*left, return_exceptions=True))


async def _awaited(awaitable):
    return await awaitable


async def _null_coroutine():
    return None


def _null_handler(event, context):
    return {"touched": 1}
