"""A request under pdb, for `mayfly replay --debug`: the worker has a terminal then."""

import functools
import inspect
import pdb

# What stands between us and the author's code: stepping goes through it without a stop.
_SKIPPED = ["mayfly_host.*", "http.*", "email.*", "socketserver", "asyncio.*", "selectors", "contextvars",
            "concurrent.*"]


def _debugger():
    return pdb.Pdb(skip=_SKIPPED, nosigint=True)


def _is_lifespan(args):
    """Of ASGI: a call ahead of the request's."""
    return bool(args) and isinstance(args[0], dict) and args[0].get("type") == "lifespan"


def debugged(call):
    """What is called with a request, so that it stops at the first line of the author's code."""
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None)):
        @functools.wraps(call, updated=())
        async def run_async(*args):
            coroutine = call(*args)
            if not _is_lifespan(args):
                _debugger().set_trace()
            return await coroutine
        return run_async

    @functools.wraps(call, updated=())
    def run(*args):
        return _debugger().runcall(call, *args)
    return run
