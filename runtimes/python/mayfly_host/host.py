"""The life of a Python function: load it, say how it is spoken to, serve."""

import gc
import os
import sys

from . import after_fork, detect, errors, load, stacks

# Above what a small request allocates, so that it never collects; far below what would fill memory.
_GC_THRESHOLD = 20000


def run(mayfly, here):
    """Never returns: serves, or tells why it cannot."""
    errors.hide(here + os.sep, "<frozen importlib", "<frozen runpy")
    start = mayfly.open()
    stacks.install(mayfly)
    _set_up_streams()
    sys.path.insert(0, os.getcwd())
    sys.argv = [start["handler"]]
    # Threads do not come along into a worker; without this NumPy's first matrix product waits for
    # some that are not there.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    after_fork.watch_hooks()
    try:
        host = Host(mayfly, start)
    except BaseException as e:
        json, text = errors.report(_explained(e))
        errors.tell(text)
        mayfly.fail(json)
    _freeze(start)
    mayfly.run(host)


def _set_up_streams():
    """Lines are written as they are printed: a process that is killed takes nothing along."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _freeze(start):
    """Takes everything that is there out of the collector's sight: it would write to each object."""
    gc.collect()
    gc.freeze()
    if start["isolation"] == "request" and gc.get_threshold()[0] == 700:
        gc.set_threshold(_GC_THRESHOLD)


def _explained(e):
    """The error as the author should read it."""
    if isinstance(e, ModuleNotFoundError) and e.name:
        top = e.name.partition(".")[0]
        e.msg = "%s (not part of this Python, nor of the project; install it beside mayfly.json: " \
                "python3 -m venv .venv && .venv/bin/pip install %s)" % (e.msg, top)
    return e


class Host:
    """What _mayfly.run() calls in a worker."""

    def __init__(self, mayfly, start):
        file, name = load.find(start["handler"])
        self.module = load.load(file)
        if name:
            self.handler = load.resolve(self.module, file, name)
            kind = detect.kind_of(self.handler, name)
        else:
            self.handler, kind, name = detect.choose(self.module, file)
        self.adapter = _adapter(kind, name)(self.handler, start)
        self.warmup = getattr(self.module, "mayfly_warmup", None)
        self.after_fork, self.all_hooks, threads = after_fork.plan()
        if threads:
            errors.tell("mayfly: %s started %s (%s); a request runs in a process forked from this "
                        "one, where threads do not go on. Start them in the handler.\n" % (
                            file, "a thread" if len(threads) == 1 else "threads",
                            ", ".join(threads)))

    def touch(self, request):
        """Ahead of a request: makes the pages its own that a request will write to."""
        self.adapter.touch(request)
        _flush()
        code, _ = detect.code_of(self.handler)
        if code:  # to look at an object is to count a reference, which is a write
            code.co_consts, code.co_names, code.co_varnames, self.module.__dict__
        if self.warmup:
            try:
                self.warmup()
            except Exception as e:
                errors.tell(errors.report(e)[1])
            _flush()

    def serve(self, request):
        """Returns whether this process may serve another request."""
        try:
            self.adapter.answer(request)
            _flush()
            request.finish()
            return True
        except BaseException as e:
            json, text = errors.report(e, request.get("Mayfly-Request-Id") or "")
            errors.tell(text)
            _flush()
            told = request.fail(json)
            return told and not isinstance(e, SystemExit)


def _adapter(kind, name):
    """Only what is needed is imported: all that is loaded is paid for at each fork."""
    if kind == detect.LAMBDA:
        from .lambda_handler import Adapter
    elif kind == detect.WSGI:
        from .wsgi import Adapter
    elif kind == detect.HTTP_SERVER:
        from .http_server import Adapter
    else:
        raise load.LoadError(
            "Runtime.HandlerNotFound",
            "%s is an ASGI application, which is not supported yet; WSGI applications, "
            "class handler(BaseHTTPRequestHandler) and def handler(event, context) are" % name)
    return Adapter


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
