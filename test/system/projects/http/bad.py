"""Everything that a function should not do, by ?how=."""
import asyncio
import ctypes
import os
import resource
import signal
import sys
import time


def detach(hold):
    """A process that outlives its parents and holds the descriptors."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(1)
        os._exit(0)
    time.sleep(0.2)
    return "detached"


def kill_from_child(number):
    worker = os.getpid()
    if os.fork() == 0:
        os.kill(worker, number)
        os._exit(0)
    time.sleep(0.1)
    return "survived"


def kill_self(number):
    os.kill(os.getpid(), number)
    time.sleep(0.1)
    return "survived"


def garbage(text):
    os.write(3, text)
    time.sleep(0.2)
    return "after garbage"


def close_and(action):
    os.close(3)
    action()
    return "after close"


def busy_inner():
    while True:
        pass


def sleep_inner():
    time.sleep(50)


def swallow():
    """Holds against every exception."""
    while True:
        try:
            time.sleep(50)
        except BaseException:
            pass


def ignore_signals():
    for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(50)


class Weird(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def throw(error):
    raise error


def deep(n):
    return deep(n + 1)


HOWS = {
    "ok": lambda q: "ok",
    "nonsense": lambda q: object(),
    "bytes": lambda q: b"\xff",
    "number_status": lambda q: {"statusCode": "abc", "body": "x"},
    "list_headers": lambda q: {"statusCode": 200, "headers": ["a"], "body": "x"},
    "status": lambda q: {"statusCode": int(q["n"]), "body": "x"},
    "header": lambda q: {"statusCode": 200, "headers": {q["name"]: q["value"]}, "body": "x"},
    "huge_header": lambda q: {"statusCode": 200, "headers": {"x": "y" * 300000}, "body": "x"},
    "many_headers": lambda q: {"statusCode": 200, "headers": {"x%d" % i: "y" for i in range(200)}, "body": "x"},
    "garbage": lambda q: garbage(b"garbage on the wire\r\n\r\n"),
    "garbage_nul": lambda q: garbage(b"\0" * 100),
    "close": lambda q: close_and(lambda: None),
    "close_sleep": lambda q: close_and(lambda: time.sleep(50)),
    "close_all": lambda q: [os.closerange(0, 1000), time.sleep(50)],
    "exit": lambda q: os._exit(int(q["n"])),
    "sys_exit": lambda q: sys.exit(int(q["n"])),
    "detach": detach,
    "kill_self": lambda q: kill_self(int(q["n"])),
    "kill_child": lambda q: kill_from_child(int(q["n"])),
    "segv": lambda q: ctypes.string_at(0),
    "abort": lambda q: os.abort(),
    "raise": lambda q: throw(ValueError("boom <&> \u2603")),
    "weird": lambda q: throw(Weird()),
    "base": lambda q: throw(KeyboardInterrupt()),
    "recursion": lambda q: deep(0),
    "long_error": lambda q: throw(ValueError("e" * 1000000)),
    "busy": lambda q: busy_inner(),
    "sleep": lambda q: sleep_inner(),
    "swallow": lambda q: swallow(),
    "ignore": lambda q: ignore_signals(),
    "flood": lambda q: [print("x" * 1000) for _ in range(20000)] and "flooded",
    "files": lambda q: [os.open("/dev/null", os.O_RDONLY) for _ in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1)],
    "pid": lambda q: [print("here"), time.sleep(50)],
}


def handler(event, context):
    query = event.get("queryStringParameters") or {}
    answer = HOWS[query["how"]](query)
    return {"statusCode": 200, "body": answer} if isinstance(answer, str) else answer


async def inner():
    await asyncio.sleep(50)


async def coroutine(event, context):
    await inner()
