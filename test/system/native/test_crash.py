"""A crash costs one request, and is told with the functions that were on the stack."""
import http.client
import signal
import time
from pathlib import Path

import pytest

from lib.zygote_harness import Zygote


def crash(zygote, path):
    worker = zygote.fork()
    worker.send_head("GET", path)
    data = worker.raw_reply()
    ended = worker.end()
    return data, ended


@pytest.mark.parametrize("path, number, says, frames", [
    ("/segv", signal.SIGSEGV, "SIGSEGV: NULL pointer used at address 0x0", ["write_to", "dispatch"]),
    ("/wild", signal.SIGSEGV, "SIGSEGV: invalid memory access at address 0x1234567000",
     ["write_to", "dispatch"]),
    ("/noncanonical", signal.SIGSEGV, "SIGSEGV: invalid memory access", ["write_to", "dispatch"]),
    ("/bus", signal.SIGBUS, "SIGBUS: invalid memory access", ["write_to", "dispatch"]),
    ("/fpe", signal.SIGFPE, "SIGFPE: division by zero", ["dispatch"]),
    ("/ill", signal.SIGILL, "SIGILL: ", ["dispatch"]),
    ("/jump", signal.SIGSEGV, "SIGSEGV: jump to what is no code at address 0x0", ["dispatch"]),
    ("/overflow", signal.SIGSEGV, "SIGSEGV: stack overflow at address 0x", ["recurse", "recurse", "... ", "dispatch"]),
    ("/in_heap", signal.SIGABRT, "", ["dispatch"]),
    ("/abort_it", signal.SIGABRT, "SIGABRT: abort() was called", ["abort", "dispatch"]),
    ("/free_twice", signal.SIGABRT, "SIGABRT: abort() was called", ["abort", "dispatch"]),
])
def test_stack_of_a_crash(zygote, plain, path, number, says, frames):
    data, ended = crash(zygote, path)
    assert data == b""
    # PID 1 cannot be killed by its own abort(): the exit code says it.
    if number == signal.SIGABRT:
        assert ended.signal in (signal.SIGABRT, signal.SIGSEGV) or ended.exit_code == 128 + signal.SIGABRT
    else:
        assert ended.signal == number
    assert ended.stack.startswith(says), ended.stderr
    at = 0
    for frame in frames:
        at = ended.stack.index(f" {frame}", at) + 1
    assert "run_handler" not in ended.stack  # the author's code ends before


def test_stack_has_the_lines_of_the_source(zygote, plain):
    source = (Path(__file__).parent / "handlers.c").read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "*address = 1;" in text)
    _, ended = crash(zygote, "/segv")
    assert f"(handlers.c:{line})" in ended.stack.splitlines()[1]


def test_a_signal_that_is_sent_kills_too(zygote, plain):
    _, ended = crash(zygote, "/sent_signal")
    assert ended.stack.startswith("SIGSEGV: sent by a process")
    assert ended.signal == signal.SIGSEGV or ended.exit_code == 128 + signal.SIGSEGV


def test_a_crash_breaks_off_an_answer_that_has_begun(zygote, plain):
    worker = zygote.fork()
    worker.send_head("GET", "/late_crash")
    response = worker.open_reply()
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    assert worker.end().signal == signal.SIGSEGV


def test_the_zygote_survives_all_that(zygote, plain):
    for _ in range(5):
        crash(zygote, "/segv")
    assert zygote.request("GET", "/count").body == b"1"


def test_exit_in_a_handler_is_a_crash_with_its_code(zygote):
    data, ended = crash(zygote, "/exit_it")
    assert (data, ended.exit_code) == (b"", 7)


def test_deadline_tells_where_the_handler_is(zygote, plain):
    worker = zygote.fork()
    worker.send_head("GET", "/sleeper")
    worker.stdout.wait_for(b"about to sleep")
    time.sleep(0.05)
    worker.signal(signal.SIGQUIT)
    ended = worker.end()
    assert ended.exit_code == 124
    assert ended.stack.startswith("SIGQUIT: still running at the deadline\n")
    assert ended.stack.index(" sleep+") < ended.stack.index(" dispatch")
    assert "run_handler" not in ended.stack


def test_deadline_while_the_body_is_awaited(zygote, plain):
    worker = zygote.fork()
    worker.send_head("POST", "/body", length=10)
    time.sleep(0.1)
    worker.signal(signal.SIGQUIT)
    ended = worker.end()
    assert ended.exit_code == 124
    assert " mayfly_body+" in ended.stack


def test_crash_while_loading_is_told_in_the_log(build, plain):
    program = build("""
        #include <mayfly.h>
        int handler(mayfly_request *q, mayfly_response *p) { return 0; }
        int mayfly_init(void) { return *(volatile int *)0; }
    """)
    z = Zygote([program], cwd="/", wait=False)
    assert z.control.receive() is None
    assert z.close() == -signal.SIGSEGV
    assert "\x1estack\nSIGSEGV: NULL pointer used" in z._log.all().decode()
    assert "mayfly_init+" in z.log


def test_crash_in_a_shared_library_names_it(build, so_host, plain):
    library = build("""
        #include <mayfly.h>
        static __attribute__((noinline)) int hidden(volatile int *p) { *p = 1; return *p + 1; }
        int handler(mayfly_request *q, mayfly_response *p) { return hidden(0) + 1; }
    """, shared=True)
    with Zygote([so_host, library, "handler"], cwd=library.parent) as z:
        _, ended = crash(z, "/")
    assert ended.signal == signal.SIGSEGV
    assert " hidden" in ended.stack and " handler" in ended.stack
    assert f"{library.stem.split('-')[0]}.c:3, {library.name})" in ended.stack
