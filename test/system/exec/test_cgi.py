"""What a program gets to know of a request, and what becomes of what it writes."""
import http.client

import pytest




def sh(output, more=""):
    """A script that writes `output` (as printf reads it)."""
    return f"#!/bin/sh\n{more}\nprintf '{output}'\n"


@pytest.mark.parametrize("output, status, headers, body", [
    # Replies by the rules of CGI.
    ("Content-Type: text/html\\n\\nhi", 200, {"Content-Type": "text/html"}, b"hi"),
    ("Content-Type: text/html\\r\\n\\r\\nhi", 200, {"Content-Type": "text/html"}, b"hi"),
    ("Status: 404 Not Found\\nContent-Type: a/b\\n\\nno", 404, {"Content-Type": "a/b"}, b"no"),
    ("Status: 204\\n\\n", 204, {}, b""),
    ("X-One: 1\\nStatus: 200\\n\\n", 200, {"X-One": "1"}, b""),
    ("Location: https://example.org/\\n\\n", 302, {"Location": "https://example.org/"}, b""),
    ("Location: /here?a=b\\n\\n", 302, {"Location": "/here?a=b"}, b""),
    ("Status: 301 Moved\\nLocation: /x\\nContent-Type: a/b\\n\\nmoved", 301,
     {"Location": "/x", "Content-Type": "a/b"}, b"moved"),
    ("HTTP/1.1 418 Teapot\\r\\nContent-Type: a/b\\r\\n\\r\\nshort", 418, {"Content-Type": "a/b"}, b"short"),
    ("Content-Type: a/b\\nContent-Length: 2\\n\\nhi", 200, {"Content-Length": "2"}, b"hi"),
    # What belongs to the connection is not the program's.
    ("Content-Type: a/b\\nConnection: close\\nTransfer-Encoding: gzip\\n\\nhi", 200,
     {"Connection": None}, b"hi"),
    # All else is plain text.
    ("hello\\n", 200, {"Content-Type": "text/plain; charset=utf-8"}, b"hello\n"),
    ("legs: 6\\n\\nmore\\n", 200, {"Content-Type": "text/plain; charset=utf-8"}, b"legs: 6\n\nmore\n"),
    ("", 200, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "0"}, b""),
    ("Content-Type: a/b", 200, {"Content-Type": "text/plain; charset=utf-8"}, b"Content-Type: a/b"),
])
def test_replies(program, output, status, headers, body):
    reply = program(sh(output)).request("GET", "/")
    assert (reply.status, reply.body) == (status, body)
    for name, value in headers.items():
        assert reply.get(name) == value, reply.headers
    assert reply.ended.exit_code == 0


def test_cookies_stay_two(program):
    reply = program(sh("Status: 200\\nSet-Cookie: a\\nSet-Cookie: b\\n\\n")).request("GET", "/")
    assert reply.all("Set-Cookie") == ["a", "b"]


@pytest.mark.parametrize("output, message", [
    ("Content-Type: a/b\\nhello\\n\\n", "is not \"Name: value\" (line 2 of its output: \"hello\")"),
    ("Content-Type: a/b\\n", "ends before the empty line"),
    ("Status: 99\\n\\n", "Status"),
    ("Content-Type: a/b\\nX: \\001\\n\\n", "is not \"Name: value\""),
])
def test_bad_replies_are_errors_of_the_program(program, output, message):
    error = program(sh(output)).request("GET", "/").error
    assert error["errorType"] == "BadReply"
    assert error["errorMessage"].startswith("./program")
    assert message in error["errorMessage"]


@pytest.mark.parametrize("length, message", [(1, "wrote more than its Content-Length"),
                                             (3, "wrote less than its Content-Length")])
@pytest.mark.parametrize("pause", ["", "; sleep 0.1"])
def test_a_content_length_that_is_wrong(program, length, message, pause):
    z = program(sh(f"Content-Type: a/b\\nContent-Length: {length}\\n\\n") + f"printf h{pause}\nprintf i{pause}\n")
    try:
        reply = z.request("GET", "/")
    except http.client.IncompleteRead:
        return  # it was sent in part when the mistake showed
    if length == 1 and reply.status == 200:
        assert reply.body == b"h"  # the rest is not sent
    else:
        assert message in reply.error["errorMessage"]


def test_head_request(program):
    z = program(sh("Content-Type: a/b\\n\\n$REQUEST_METHOD").replace("printf '", 'printf "').replace("'\n", '"\n'))
    reply = z.request("HEAD", "/")
    assert (reply.status, reply.body, reply.get("Content-Type")) == (200, b"", "a/b")
    assert z.request("GET", "/").body == b"GET"


def test_environment(program):
    z = program("#!/bin/sh\nenv\n", env={"GREETING": "hi", "PATH": "/bin:/usr/bin", "HTTP_PROXY": "mine"})
    reply = z.request("POST", "/a%20b/c?x=%31", [
        ("Host", "example.org:81"), ("Content-Type", "t/p"), ("Proxy", "evil"), ("X-Y", "1"), ("x-y", "2"),
        ("X_Y", "forged"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Mayfly-Client-Ip", "10.1.2.3")], b"body")
    env = dict(line.split("=", 1) for line in reply.body.decode().splitlines())
    assert float(env.pop("MAYFLY_DEADLINE_MS")) > 1e12
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):
        env.pop(name, None)  # the shell's own
    assert env == {
        "GREETING": "hi", "PATH": "/bin:/usr/bin", "HTTP_PROXY": "mine",
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "mayfly", "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "example.org", "SERVER_PORT": "81", "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/a%20b/c?x=%31", "SCRIPT_NAME": "", "PATH_INFO": "/a b/c", "QUERY_STRING": "x=%31",
        "CONTENT_TYPE": "t/p", "CONTENT_LENGTH": "4", "REMOTE_ADDR": "10.1.2.3", "HTTP_HOST": "example.org:81",
        "HTTP_X_Y": "1, 2", "HTTP_COOKIE": "a=1; b=2", "MAYFLY_CLIENT_IP": "10.1.2.3",
        "MAYFLY_REQUEST_ID": "00000000-0000-7000-8000-000000000000", "MAYFLY_FUNCTION": "f",
        "MAYFLY_VERSION": "0123456789abcdef", "MAYFLY_TRIGGER": "http"}


def test_runs_in_the_projects_folder_without_arguments(program, tmp_path):
    reply = program("#!/bin/sh\necho \"$# $(pwd -P)\"\n").request("GET", "/?one+two")
    assert reply.body.decode() == f"0 {tmp_path.resolve()}\n"  # and a query never becomes arguments


def test_has_no_descriptors_but_three(program):
    reply = program("#!/bin/sh\nexec ls -l /proc/self/fd\n").request("GET", "/")
    numbers = [line.split()[8] for line in reply.body.decode().splitlines() if "->" in line]
    assert numbers in (["0", "1", "2"], ["0", "1", "2", "3"])  # ls looks through one of its own


def test_signals_are_as_in_a_new_process(program):
    reply = program("#!/bin/sh\ngrep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status\n").request("GET", "/")
    masks = {line.split()[0]: int(line.split()[1], 16) for line in reply.body.decode().splitlines()}
    assert masks["SigBlk:"] == 0
    assert masks["SigIgn:"] & (1 << 12) == 0  # SIGPIPE, which the relay ignores


def test_stderr_is_the_log(program):
    ended = program("#!/bin/sh\necho to the log >&2\necho answer\n").request("GET", "/").ended
    assert (ended.stdout, ended.stderr) == ("", "to the log\n")


# ---- failures ----


def test_exit_code_without_a_word_is_an_error(program):
    reply = program("#!/bin/sh\necho why >&2\nexit 3\n").request("GET", "/")
    assert reply.error["errorType"] == "ProgramExit"
    assert reply.error["errorMessage"].startswith("./program exited with code 3 and wrote nothing")
    assert reply.ended.stderr == "why\n"


def test_exit_code_after_a_word_does_not_matter(program):
    reply = program("#!/bin/sh\necho no match\nexit 1\n").request("GET", "/")
    assert (reply.status, reply.body) == (200, b"no match\n")


@pytest.mark.parametrize("begun", ["", "printf 'Content-Type: a/b\\n\\n'"])
def test_a_program_that_is_killed_is_an_error_even_if_it_has_begun(program, begun):
    z = program(f"#!/bin/sh\n{begun}\nkill -SEGV $$\n")
    try:
        reply = z.request("GET", "/")
    except http.client.IncompleteRead:
        assert begun  # on a machine that is busy it streams by then
        return
    assert reply.error["errorType"] == "ProgramKilled"
    assert "signal 11 (Segmentation fault)" in reply.error["errorMessage"]


def test_a_program_that_is_killed_while_it_streams_breaks_off(program):
    z = program("#!/bin/sh\necho half\nsleep 3\nkill -KILL $$\n")
    with pytest.raises(http.client.IncompleteRead):
        z.request("GET", "/")


def test_a_program_that_vanishes_is_an_error(program, tmp_path):
    z = program("#!/bin/sh\necho\n")
    (tmp_path / "program").unlink()
    error = z.request("GET", "/").error
    assert error == {"errorType": "StartError", "stackTrace": [],
                     "errorMessage": "cannot start ./program: No such file or directory"}
