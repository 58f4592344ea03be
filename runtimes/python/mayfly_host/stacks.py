"""Where the function is when its time is up: each asyncio task and each thread."""

import os
import sys
import traceback

from . import errors


def install(mayfly):
    def on_stack(signum, frame):
        mayfly.stack_begin()
        try:
            text = describe(frame)
        except BaseException:
            text = "".join(traceback.format_stack(frame))
        _write(mayfly.STACK_MARK + text)
        _flush_stdout()
        os._exit(124)

    mayfly.catch_signals(on_stack)


def _write(text):
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(2, data):]


def _flush_stdout():
    try:
        sys.stdout.flush()
    except Exception:
        pass


def describe(frame):
    """The tasks first: if there are any, the main thread's own stack is the event loop's."""
    parts = ["still running at the deadline\n"]
    asyncio = sys.modules.get("asyncio")
    parts += _tasks(asyncio) if asyncio else []
    me = sys.modules["_thread"].get_ident()
    parts += _section("main thread", traceback.walk_stack(frame))
    for ident, other in sys._current_frames().items():
        if ident != me:
            parts += _section("thread %s" % _thread_name(ident), traceback.walk_stack(other))
    return "".join(parts)


def _thread_name(ident):
    threading = sys.modules.get("threading")
    thread = threading._active.get(ident) if threading else None
    return repr(thread.name) if thread else hex(ident)


def _section(title, frames):
    stack = traceback.StackSummary.extract(frames)
    stack.reverse()
    stack[:] = [frame for frame in stack if not errors.is_ours(frame.filename)]
    if not stack:
        return []
    return [title + " (most recent call last):\n"] + traceback.format_list(stack)


def _tasks(asyncio):
    loop = asyncio._get_running_loop()
    if loop is None:
        return []
    parts = []
    for task in asyncio.all_tasks(loop):
        name = task.get_name() if hasattr(task, "get_name") else "?"
        frames = _awaiting(task.get_coro())
        frames.reverse()  # walk_stack()'s order: innermost first
        parts += _section("task %r" % name, frames)
    return parts


def _awaiting(coroutine):
    """A task's own get_stack() ends at its first coroutine; this follows what that one awaits."""
    frames = []
    for _ in range(1000):
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(coroutine, prefix + "_frame", None)
            if frame is not None:
                break
        else:
            break
        frames.append((frame, frame.f_lineno))
        coroutine = getattr(coroutine, "gi_yieldfrom" if prefix == "gi" else prefix + "_await", None)
    return frames
