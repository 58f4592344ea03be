"""Bodies in both directions, and programs that behave badly."""
import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from lib import process

ECHO = "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\nexec cat\n"


def pids_of(marker):
    """Processes that have `marker` in their command line, other than zygotes and workers."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
            command = file.read()
            if marker.encode() in command and b"mayfly-exec" not in command:
                found.append(int(entry))
    return found


def assert_gone(marker):
    process.wait_until(lambda: not pids_of(marker), f"the end of {marker}")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 5_000_000])
def test_body_goes_through(program, size):
    body = os.urandom(size)
    assert program(ECHO).request("POST", "/", body=body).body == body


def test_chunked_body_goes_through_to_the_end_of_stdin(program):
    pieces = [b"x" * n for n in (1, 10, 100, 1000)]
    assert program(ECHO).request("POST", "/", body=pieces, chunked=True).body == b"".join(pieces)


def test_streams_both_ways_at_once(program):
    worker = program(ECHO).fork()
    worker.send_head("POST", "/", chunked=True)
    response = worker.open_reply()
    for piece in (b"ping", b"pong"):
        worker.send_chunk(piece)
        assert response.read(4) == piece  # while the program still runs
    worker.end_chunks()
    assert response.read() == b""
    assert worker.end().exit_code == 0


def test_output_comes_as_it_is_written(program):
    worker = program("#!/bin/sh\necho first\nread line\necho second\n").fork()
    worker.send_head("POST", "/", length=5)
    response = worker.open_reply()
    assert response.readline() == b"first\n"
    worker.sock.sendall(b"line\n")
    assert response.read() == b"second\n"
    worker.end()


def test_a_program_that_dribbles_is_not_held_back(program):
    worker = program("#!/bin/sh\nwhile sleep 0.001; do echo tick; done\n").fork()
    worker.send_head("GET", "/")
    start = time.monotonic()
    assert worker.open_reply().readline() == b"tick\n"
    assert time.monotonic() - start < 5
    worker.hang_up()
    worker.zygote.wait_ended(worker.number)


def test_writes_before_it_reads(program):
    size = 3_000_000
    z = program(f"#!/bin/sh\nhead -c {size} /dev/zero\nwc -c\n")
    reply = z.request("POST", "/", body=b"y" * size)
    assert len(reply.body) > size and reply.body.strip(b"\0 \n") == str(size).encode()


def test_never_reads_its_stdin(program):
    reply = program("#!/bin/sh\necho done\n").request("POST", "/", body=b"x" * 10_000_000)
    assert reply.body == b"done\n"


def test_closes_its_stdin(program):
    reply = program("#!/bin/sh\nexec <&-\nsleep 0.2\necho done\n").request("POST", "/", body=b"x" * 10_000_000)
    assert reply.body == b"done\n"


def test_fifty_megabytes(program):
    reply = program("#!/bin/sh\nhead -c 50000000 /dev/zero\n").request("GET", "/")
    assert len(reply.body) == 50_000_000
    assert reply.ended.memory_peak_bytes < 64 << 20


def test_small_reply_has_its_length(program):
    z = program("#!/bin/sh\necho small\n")
    # If it takes its time to end it is streamed, so not each time on a machine that is busy.
    assert any(z.request("GET", "/").get("Content-Length") == "6" for _ in range(20))


def test_closing_stdout_completes_the_reply(program):
    worker = program("#!/bin/sh\necho done\nexec >&-\nsleep 98761\n").fork()
    start = time.monotonic()
    assert worker.request("GET", "/").body == b"done\n"
    assert time.monotonic() - start < 0.9  # the client does not wait
    assert worker.end().exit_code == 0
    assert 0.9 < time.monotonic() - start < 5  # the program has a moment, no more
    assert_gone("98761")


def test_what_it_does_in_its_last_moment_is_done(program, tmp_path):
    reply = program("#!/bin/sh\necho done\nexec >&-\nsleep 0.2\ntouch late\n").request("GET", "/")
    assert reply.body == b"done\n"
    assert (tmp_path / "late").exists()


def test_children_that_hold_stdout_open_are_not_waited_for(program):
    start = time.monotonic()
    reply = program("#!/bin/sh\nsleep 98762 &\n(sleep 98762; echo late) &\necho done\n").request("GET", "/")
    assert reply.body == b"done\n"
    assert time.monotonic() - start < 5
    assert_gone("98762")


def test_daemons_die_with_the_request(program):
    reply = program("#!/bin/sh\nsetsid sleep 98763 </dev/null >/dev/null 2>&1 &\necho done\n").request("GET", "/")
    assert reply.body == b"done\n"
    assert_gone("98763")


def test_all_of_a_pipeline_is_waited_for(program):
    reply = program("#!/bin/sh\n(sleep 0.2; echo slow) | cat\n").request("GET", "/")
    assert reply.body == b"slow\n"


def test_client_that_goes_away_ends_the_program(program):
    worker = program("#!/bin/sh\nwhile :; do echo 98764; done\n", name="endless-98764").fork()
    worker.send_head("GET", "/")
    worker.open_reply().readline()
    worker.hang_up()
    worker.zygote.wait_ended(worker.number)
    assert_gone("endless-98764")


def test_body_that_is_broken_off_ends_the_program(program):
    worker = program("#!/bin/sh\ncat\nsleep 98765\n").fork()
    worker.send_head("POST", "/", length=100)
    worker.sock.sendall(b"half")
    worker.sock.shutdown(1)
    worker.raw_reply()
    worker.end()
    assert_gone("98765")


def test_killed_worker_takes_the_program_along(program):
    worker = program("#!/bin/sh\nsleep 98766\n").fork()
    worker.send_head("GET", "/")
    process.wait_until(lambda: pids_of("98766"))
    worker.signal(signal.SIGKILL)
    worker.end()
    assert_gone("98766")


def test_cpu_time_of_the_program_counts(program):
    ended = program("#!/bin/sh\ni=0\nwhile [ $i -lt 200000 ]; do i=$((i+1)); done\necho\n").request("GET", "/").ended
    assert ended.user_us + ended.system_us > 20_000


def test_a_bomb_of_processes_ends_with_the_request(program):
    source = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'sleep 98767 & sleep 98767' &) ; done\necho ok\n"
    assert program(source).request("GET", "/").body == b"ok\n"
    assert_gone("98767")


# ---- the deadline ----


def test_deadline_tells_what_the_program_was_doing(program):
    worker = program("#!/bin/sh\necho begun >&2\nsleep 98768\n").fork()
    worker.send_head("GET", "/")
    process.wait_until(lambda: [p for p in pids_of("98768") if process.stat(p)[2] == "sleep"])
    time.sleep(0.05)
    worker.signal(signal.SIGQUIT)
    ended = worker.end()
    assert ended.exit_code == 124
    assert ended.stderr.startswith("begun\n")
    lines = ended.stack.splitlines()
    assert lines[0] == "SIGQUIT: ./program was still running at the deadline"
    assert "/program (pid " in lines[1] and "): waiting, after 0.0" in lines[1]
    assert lines[2].startswith("      sleep 98768 (pid ")
    assert_gone("98768")


def test_deadline_while_the_client_does_not_take_its_answer(program):
    worker = program("#!/bin/sh\nexec cat /dev/zero\n").fork()
    worker.send_head("GET", "/")
    time.sleep(0.3)
    worker.signal(signal.SIGQUIT)
    ended = worker.end()
    assert ended.exit_code == 124
    assert "still running at the deadline" in ended.stack


def test_a_request_that_waits_already_needs_no_standby(program, monkeypatch):
    """The gateway may send the request before the worker has started; nothing is made ready then."""
    z = program(ECHO)
    pair = socket.socketpair
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nat once"

    def pair_with_request(*arguments):
        ours, theirs = pair(*arguments)
        ours.sendall(request)
        return ours, theirs

    monkeypatch.setattr(socket, "socketpair", pair_with_request)
    worker = z.fork()
    assert worker.read_reply().body == b"at once"
    assert worker.end().exit_code == 0


def test_many_at_once(program):
    z = program(ECHO)
    workers = [z.fork() for _ in range(20)]
    answers = [None] * 20

    def ask(i):
        answers[i] = workers[i].request("POST", "/", body=str(i).encode() * 1000).body

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [str(i).encode() * 1000 for i in range(20)]
    for worker in workers:
        worker.end()
