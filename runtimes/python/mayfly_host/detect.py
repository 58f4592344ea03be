"""Which kind of handler an object is, and which object a file means if no name is given.

By what can be seen without calling anything: classes, flags of code objects, names of parameters.
`inspect` would say the same, but is large, and every fork pays for what is loaded.
"""

from .load import LoadError

LAMBDA, HTTP_SERVER, WSGI, ASGI = "lambda", "http_server", "wsgi", "asgi"

CO_VARARGS, CO_COROUTINE, CO_ASYNC_GENERATOR = 0x04, 0x80, 0x200


def code_of(thing):
    """(code object, number of its first parameters that are bound already), or (None, 0)."""
    bound = 0
    for _ in range(20):  # decorators, partials, methods, in any order
        if hasattr(thing, "__wrapped__"):
            thing = thing.__wrapped__
        elif hasattr(thing, "__func__") and hasattr(thing, "__self__"):
            thing, bound = thing.__func__, bound + 1
        elif hasattr(thing, "func") and hasattr(thing, "keywords"):
            thing, bound = thing.func, bound + len(getattr(thing, "args", ()))
        elif hasattr(thing, "__code__"):
            return thing.__code__, bound
        elif isinstance(thing, type) or not hasattr(type(thing), "__call__"):
            break
        else:
            call = type(thing).__call__
            if not hasattr(call, "__code__") and not hasattr(call, "__wrapped__"):
                break
            thing, bound = call, bound + 1
    return None, 0


def is_async(thing):
    code, _ = code_of(thing)
    return bool(code and code.co_flags & CO_COROUTINE)


def needs_loop(thing):
    """`async def`, with or without `yield`."""
    code, _ = code_of(thing)
    return bool(code and code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))


def _required(thing):
    """The names of the positional parameters that a caller must give, or None if it is not known."""
    code, bound = code_of(thing)
    if code is None:
        return None
    function = thing if hasattr(thing, "__defaults__") else getattr(type(thing), "__call__", None)
    defaults = getattr(function, "__defaults__", None) or ()
    names = code.co_varnames[:code.co_argcount]
    return names[bound:len(names) - len(defaults)]


def is_http_server(thing):
    """A class below BaseHTTPRequestHandler, told without importing http.server."""
    return isinstance(thing, type) and any(
        base.__name__ == "BaseHTTPRequestHandler" and base.__module__ == "http.server"
        for base in thing.__mro__)


def is_three(thing):
    """async, with exactly three parameters that a caller must give: scope, receive, send."""
    names = _required(thing)
    return is_async(thing) and names is not None and len(names) == 3


def is_asgi(thing):
    return callable(getattr(thing, "asgi", None)) or is_three(thing)


def kind_of(thing, name):
    """The kind of an object that the handler names."""
    if is_http_server(thing):
        return HTTP_SERVER
    if is_asgi(thing):
        return ASGI
    if isinstance(thing, type):
        raise LoadError("Runtime.HandlerNotFound",
                        "%s is a class, but not one below http.server.BaseHTTPRequestHandler" % name)
    names = _required(thing)
    if names is not None and len(names) == 2 and names[1] == "start_response":
        return WSGI
    if name in ("app", "application") and (names is None or len(names) == 2):
        return WSGI
    if hasattr(thing, "wsgi_app"):  # Flask, whatever it was wrapped in
        return WSGI
    return LAMBDA


def choose(module, file):
    """(object, kind, name) of the module's entry: the first in the file of `app`, `application` and
    a `class handler`, as Vercel has it; else a Lambda-style `handler` or `lambda_handler`."""
    for name, thing in vars(module).items():
        if name in ("app", "application") and callable(thing):
            if is_http_server(thing):
                return thing, HTTP_SERVER, name
            return thing, ASGI if is_asgi(thing) else WSGI, name
        if name.lower() == "handler" and is_http_server(thing):
            return thing, HTTP_SERVER, name
    for name in ("handler", "lambda_handler"):
        thing = getattr(module, name, None)
        if callable(thing) and not isinstance(thing, type):
            return thing, kind_of(thing, name), name
    raise LoadError(
        "Runtime.HandlerNotFound",
        "%s defines none of: app or application (WSGI), class handler(BaseHTTPRequestHandler), "
        "def handler(event, context), def lambda_handler(event, context)" % file)
