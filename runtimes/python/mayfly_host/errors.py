"""A function's errors, told twice: in full on stderr, so that it is in the log, and as JSON.

Frames of the host are left out: the author looks for a mistake in the author's code.
"""

import errno
import json
import os
import sys
import traceback

_OURS = ()

# That a limit may speak through.
_REFUSALS = (errno.ENOMEM, errno.EMFILE, errno.EFBIG, errno.ENOSPC, errno.EAGAIN)

# Through these we call the author's code.
_STDLIB = os.path.dirname(os.__file__) + os.sep
_PLUMBING = tuple(_STDLIB + name for name in ("asyncio/", "http/server.py", "socketserver.py"))


def hide(*prefixes):
    """Files that begin with one of these are the host's."""
    global _OURS
    _OURS = prefixes


def is_ours(filename):
    return filename.startswith(_OURS)


def _strip(report, seen):
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    stack = [frame for frame in report.stack if not is_ours(frame.filename)]
    first = next((i for i, frame in enumerate(stack) if not frame.filename.startswith(_PLUMBING)), 0)
    report.stack[:] = stack[first:]
    _strip(report.__cause__, seen)
    _strip(report.__context__, seen)
    for inner in getattr(report, "exceptions", None) or ():
        _strip(inner, seen)


def type_name(exception):
    return getattr(exception, "type", None) if is_host_error(exception) else type(exception).__name__


def is_host_error(exception):
    return type(exception).__module__.startswith("mayfly_host.")


def message_of(exception, request_id=""):
    """(errorType, errorMessage)"""
    if isinstance(exception, SystemExit):
        code = exception.code
        status = 0 if code is None else code if isinstance(code, int) else 1
        what = "with error: exit status %d" % status if status else "without providing a reason"
        prefix = "RequestId: %s Error: " % request_id if request_id else ""
        return "Runtime.ExitError", prefix + "Runtime exited " + what
    try:
        message = str(exception)
    except Exception:
        message = "<the error's text cannot be made>"
    return type_name(exception), message


def errno_of(exception):
    """What the system refused, if that is where the error comes from: an errno, or 0."""
    seen = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        if isinstance(exception, MemoryError):
            return errno.ENOMEM
        if isinstance(exception, OSError) and exception.errno in _REFUSALS:
            return exception.errno
        if isinstance(exception, RuntimeError) and str(exception) == "can't start new thread":
            return errno.EAGAIN
        exception = exception.__cause__ or exception.__context__
    return 0


def make_room(exception):
    """Without memory there is no report: what the failed calls held is given back. Their lines are
    still known."""
    if isinstance(exception, MemoryError):
        traceback.clear_frames(exception.__traceback__)


def report(exception, request_id=""):
    """Returns (JSON as bytes, full text)."""
    told = traceback.TracebackException(type(exception), exception, exception.__traceback__)
    _strip(told, set())
    kind, message = message_of(exception, request_id)
    stack = told.stack.format()
    if isinstance(exception, SyntaxError):
        stack += list(told.format_exception_only())[:-1]
    text = "".join(told.format()) if not is_host_error(exception) else \
        "%s: %s\n" % (kind, message)
    body = {"errorType": kind, "errorMessage": message, "stackTrace": stack}
    return json.dumps(body).encode(), text


def tell(text):
    """Writes to stderr, whatever the author has made of it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        pass
