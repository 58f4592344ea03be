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
        json, text = errors.report(_explained(e, start["late_variables"]))
        errors.tell(text)
        mayfly.fail(json)
    mayfly.run(host, lambda: _freeze(mayfly, start))


def _set_up_streams():
    """Lines are written as they are printed: a process that is killed takes nothing along."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _freeze(mayfly, start):
    """The last that this process does in Python. Takes everything that is there out of the
    collector's sight: it would write to each object."""
    gc.collect()
    gc.freeze()
    if start["isolation"] == "request" and gc.get_threshold()[0] in (700, 2000):
        gc.set_threshold(_GC_THRESHOLD)
    after_fork.forget_process(mayfly)


class _SecretKeyError(KeyError):
    """A KeyError that says more than the key."""

    def __str__(self):
        return self.args[0]


_SecretKeyError.__name__ = _SecretKeyError.__qualname__ = "KeyError"
_SecretKeyError.__module__ = "builtins"


def _explained(e, late_variables):
    """The error as the author should read it."""
    if type(e) is KeyError and e.args and e.args[0] in late_variables:
        return _SecretKeyError(
            "%r (comes from a secret, and a request has it, but not the code that is loaded ahead of "
            "all requests; read it in the handler, or set \"secrets\": \"load\" for this function in "
            "mayfly.json)" % e.args).with_traceback(e.__traceback__)
    if isinstance(e, ModuleNotFoundError) and e.name:
        top = e.name.partition(".")[0]
        e.msg = "%s (not part of this Python, nor of the project; install it beside mayfly.json: " \
                "python3 -m venv .venv && .venv/bin/pip install %s)" % (e.msg, top)
    return e


class Host:
    """What _mayfly.run() calls in a worker: the adapter, and what is the same for all adapters."""

    def __init__(self, mayfly, start):
        file, name = load.find(start["handler"])
        module = load.load(file)
        if name:
            handler = load.resolve(module, file, name)
            kind = detect.kind_of(handler, name)
        else:
            handler, kind, name = detect.choose(module, file)
        debugged = None
        if os.environ.get("MAYFLY_DEBUG"):
            from .debug import debugged
        if debugged and not isinstance(handler, type):
            handler = debugged(handler)
        adapter = _adapter(kind)(mayfly, handler, start)
        self.answer = adapter.answer_request
        if debugged and isinstance(handler, type):
            self.answer = debugged(self.answer)
        self.answer_null = adapter.answer_null
        self.warmup = getattr(module, "mayfly_warmup", None)
        self.adapter_on_touch = adapter.on_touch
        self.after_fork, self.all_hooks, threads = after_fork.plan()
        if threads:
            errors.tell("mayfly: %s started %s (%s); a request runs in a process forked from this "
                        "one, where threads do not go on. Start them in the handler.\n" % (
                            file, "a thread" if len(threads) == 1 else "threads",
                            ", ".join(threads)))
        if not self.warmup and not self.adapter_on_touch:
            self.on_touch = None

    def on_touch(self):
        """Ahead of a request, and not part of one."""
        if self.adapter_on_touch:
            self.adapter_on_touch()
        if self.warmup:
            try:
                self.warmup()
            except Exception as e:
                errors.tell(errors.report(e)[1])

    def on_error(self, request, exception):
        """Tells the error to the log and to the gateway. Returns whether this process may serve
        another request."""
        request.suspect(errors.errno_of(exception))
        errors.make_room(exception)
        json, text = errors.report(exception, request.get("Mayfly-Request-Id") or "")
        errors.tell(text)
        _flush()
        return request.fail(json) and not isinstance(exception, SystemExit)


def _adapter(kind):
    """Only what is needed is imported: all that is loaded is paid for at each fork."""
    if kind == detect.LAMBDA:
        from .lambda_handler import Adapter
    elif kind == detect.WSGI:
        from .wsgi import Adapter
    elif kind == detect.HTTP_SERVER:
        from .http_server import Adapter
    else:
        from .asgi import Adapter
    return Adapter


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
