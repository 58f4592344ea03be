"""Where a request was when its time was up, and where it crashed."""
import signal
import time

import pytest

HANG = {
    "asleep": ("""
import time
def deep(n):
    if n == 0:
        print("ready")
        time.sleep(100)
    deep(n - 1)
def f(event, context):
    deep(2)
""", ["main thread", "in f\n", "in deep\n", "time.sleep(100)"]),
    "in a loop": ("""
def spin():
    print("ready")
    while True:
        pass
def f(event, context):
    spin()
""", ["in f\n", "in spin\n"]),
    "in a coroutine": ("""
import asyncio
async def wait_for_it():
    print("ready")
    await asyncio.sleep(100)
async def other():
    await asyncio.get_running_loop().create_future()
async def f(event, context):
    asyncio.ensure_future(other())
    await asyncio.sleep(0)
    await wait_for_it()
""", ["task ", "in f\n", "in wait_for_it\n", "await asyncio.sleep(100)", "in other\n"]),
    "waiting for a thread": ("""
import threading, time
def work():
    print("ready")
    time.sleep(100)
def f(event, context):
    t = threading.Thread(target=work, name="digger")
    t.start()
    t.join()
""", ["main thread", "t.join()", "thread 'digger'", "in work\n"]),
    "in C with the GIL held": ("""
import ctypes
def f(event, context):
    print("ready")
    ctypes.PyDLL(None).pause()
    ctypes.PyDLL(None).sleep(100)
    ctypes.PyDLL(None).sleep(100)
""", ["in f"]),
    "in a signal handler that never ends": ("""
import signal, os
def handler(*args):
    print("ready")
    while True:
        pass
def f(event, context):
    signal.signal(signal.SIGUSR1, handler)
    os.kill(os.getpid(), signal.SIGUSR1)
""", ["in handler\n", "in f\n"]),
}


@pytest.mark.parametrize("where", list(HANG))
def test_stack_at_the_deadline(zygote, where):
    source, expected = HANG[where]
    process = zygote("m.f", source)
    for seconds in (0, 0.1, 1, 5):  # it says "ready" just before it is where it stays
        worker = process.fork()
        worker.send_head()
        worker.stdout.wait_for(b"ready")
        time.sleep(seconds)
        worker.signal(signal.SIGQUIT)
        ended = worker.end()
        assert ended.exit_code == 124
        assert ended.stack is not None, ended.stderr
        assert ended.stderr.count("\x1estack\n") == 1
        if all(text in ended.stack for text in expected):
            return
    assert not [text for text in expected if text not in ended.stack], ended.stack


def test_stack_shows_no_frames_of_ours(zygote):
    worker = zygote("m.f", HANG["asleep"][0]).fork()
    worker.send_head()
    worker.stdout.wait_for(b"ready")
    worker.signal(signal.SIGQUIT)
    stack = worker.end().stack
    assert stack.startswith("still running at the deadline\nmain thread (most recent call last):\n  File")
    assert "mayfly_host" not in stack and "main.py" not in stack


def test_output_is_kept_at_the_deadline(zygote):
    worker = zygote("m.f", "import time\ndef f(e, c):\n    print('half a line', end='')\n"
                           "    print('x', flush=True, file=__import__('sys').stderr)\n    time.sleep(100)").fork()
    worker.send_head()
    worker.stderr.wait_for(b"x\n")
    worker.signal(signal.SIGQUIT)
    assert worker.end().stdout == "half a line"


def test_stack_while_the_function_loads(zygote):
    z = zygote("m.f", "import time\nprint('loading')\ntime.sleep(100)", wait=False)
    z.wait_log("loading")
    z.process.send_signal(signal.SIGQUIT)
    assert z.process.wait(10) == 124
    z.wait_log("time.sleep(100)")
    assert "\x1estack\n" in z.log and "time.sleep(100)" in z.log


CRASH = {
    "segmentation fault": ("ctypes.string_at(0)", signal.SIGSEGV, "Segmentation fault"),
    "abort": ("os.abort()", signal.SIGABRT, "Aborted"),
    "abort of C": ("ctypes.CDLL(None).abort()", signal.SIGABRT, "Aborted"),
    "raised": ("signal.raise_signal(signal.SIGBUS)", signal.SIGBUS, "Bus error"),
    "division": ("os.kill(os.getpid(), signal.SIGFPE)", signal.SIGFPE, "Floating"),
    "illegal instruction": ("os.kill(os.getpid(), signal.SIGILL)", signal.SIGILL, "Illegal instruction"),
    "stack overflow": ("overflow()", signal.SIGSEGV, "Segmentation fault"),
}

CRASHES = """
import ctypes, os, signal, mmap, sys
def overflow():
    # A comparison function that C calls, and that calls C again.
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    sys.setrecursionlimit(10 ** 8)
    array = (ctypes.c_int * 2)()
    def compare(a, b):
        ctypes.PyDLL(None).qsort(array, 2, 4, callback)
        return 0
    callback = kind(compare)
    ctypes.PyDLL(None).qsort(array, 2, 4, callback)
def f(event, context):
    print("before")
    %s
    print("after")
"""


@pytest.mark.parametrize("what", list(CRASH))
def test_stack_of_a_crash(zygote, what):
    statement, number, text = CRASH[what]
    worker = zygote("m.f", CRASHES % statement).fork()
    worker.send_head()
    assert worker.raw_reply() == b""
    ended = worker.end()
    assert ended.signal == number or ended.exit_code == 128 + number
    assert text in ended.stack and ("in f" in ended.stack or "in compare" in ended.stack)
    assert ended.stdout == "before\n"


def test_real_fault_dies_of_its_signal(zygote):
    worker = zygote("m.f", CRASHES % "ctypes.string_at(0)").fork()
    worker.send_head()
    worker.raw_reply()
    assert worker.end().signal == signal.SIGSEGV


def test_crash_of_a_child_process_is_not_the_workers(zygote):
    z = zygote("m.f", """
import ctypes, os
def f(event, context):
    pid = os.fork()
    if pid == 0:
        ctypes.string_at(0)
    return os.waitpid(pid, 0)[1] & 127
""")
    reply = z.request()
    assert reply.json == signal.SIGSEGV
    assert reply.ended.stack is None and "Segmentation fault" in reply.ended.stderr


def test_crash_while_the_function_loads(zygote):
    z = zygote("m.f", "import ctypes\nctypes.string_at(0)", wait=False)
    assert z.control.receive() is None
    assert z.process.wait(10) == -signal.SIGSEGV
    z.wait_log("m.py")
    assert "\x1estack\n" in z.log
