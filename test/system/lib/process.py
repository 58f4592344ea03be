"""Processes as /proc shows them. The test run is a subreaper: whatever a daemon leaves behind
becomes its child and is found."""
import ctypes
import os
import signal
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)


def become_subreaper():
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    """For a child: a test run that is killed leaves no daemon behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_until(check, what="", seconds=30, interval=0.02):
    """Calls check() until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or check}")
        time.sleep(interval)


def stat(pid):
    """(parent, state, name), or None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), fields[0], name


def is_alive(pid):
    found = stat(pid)
    return found is not None and found[1] not in "ZX"


def tree(root):
    """{pid: name} of all processes below root, without root."""
    children = {}
    names = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = stat(int(entry))
            if found:
                children.setdefault(found[0], []).append(int(entry))
                names[int(entry)] = found[2]
    below, todo = {}, [root]
    while todo:
        for pid in children.get(todo.pop(), []):
            below[pid] = names[pid]
            todo.append(pid)
    return below


def children():
    """PIDs of our own children that still run; those that have ended are reaped."""
    alive = []
    for pid in [p for p in tree(os.getpid()) if (stat(p) or (0,))[0] == os.getpid()]:
        if is_alive(pid):
            alive.append(pid)
    return alive


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
