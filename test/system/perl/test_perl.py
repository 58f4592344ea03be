"""Perl functions: PSGI applications and handlers as Lambda knows them, each request in a process of its own."""
import json
import subprocess

import pytest

from lib.process import wait_until

WORKER = {"w.pl": r"""
    use strict; use warnings;
    use POSIX ();
    our $count = 0;
    our $loaded = rand;
    my %acts = (
        numbers => sub { [rand, int rand 1 << 48, join('', map { chr 97 + rand 26 } 1 .. 20), $loaded] },
        pid     => sub { [$$ == POSIX::getpid(), getppid() >= 0] },
        state   => sub { ++$count },
        child   => sub { my $pid = fork // die; POSIX::_exit(3) if !$pid; waitpid $pid, 0; [$? >> 8, `echo out`] },
        alarm   => sub { local $SIG{ALRM} = sub { die "rang\n" }; alarm 1; eval { select undef, undef, undef, 20 }; $@ },
        fds     => sub { [map { readlink "/proc/self/fd/$_" } grep { -e "/proc/self/fd/$_" } 0 .. 60] },
        env     => sub { [$ENV{PW}, $ENV{PLAIN}, $ENV{MAYFLY_FUNCTION}, `printf %s "\$PW"`] },
        die     => sub { inner() },
        caught  => sub { eval { inner() }; "caught: $@" },
        object  => sub { die bless({message => 'an object'}, 'My::Error') },
        exit    => sub { eval { exit 3 }; 'not reached' },
        out     => sub { print "no newline"; print STDERR "err line"; open my $f, '>', '/tmp/x' or die; print $f 'y'; 'done' },
        unicode => sub { "gr\x{fc}\x{df}e \x{1f98b}" },
        segv    => sub { unpack 'p', pack 'Q', 8 },
        age     => sub { -M '/tmp' < 1 ? 'young' : 'old' },
    );
    sub inner { die "not a number\n" }
    sub My::Error::message { $_[0]{message} }
    sub handler { my ($event) = @_; $acts{$event->{rawQueryString}}->() }
    1;
""", "mayfly.json": {"functions": {"w": {"handler": "w.handler", "routes": ["/w"], "env": {"PLAIN": "plain"}, "timeout": 20}}}}


@pytest.mark.core
def test_no_two_workers_draw_the_same_numbers_or_share_state(mayfly):
    daemon = mayfly(WORKER)
    draws = [daemon.get("/w?numbers").json() for _ in range(6)]
    for i in range(3):
        assert len({json.dumps(d[i]) for d in draws}) == len(draws), f"value {i} was drawn twice"
    assert len({d[3] for d in draws}) == 1, "loaded once"
    assert [daemon.get("/w?state").json() for _ in range(3)] == [1, 1, 1]


@pytest.mark.core
@pytest.mark.parametrize("query, expected", [
    ("pid", [True, True]), ("child", [3, "out\n"]), ("alarm", "rang\n"), ("caught", "caught: not a number\n"),
    ("unicode", "grüße 🦋"), ("age", "young")])
def test_processes_signals_and_errors_work_after_the_fork(mayfly, query, expected):
    assert mayfly(WORKER).get(f"/w?{query}").json() == expected


@pytest.mark.core
def test_isolation_instance_keeps_state(mayfly):
    files = {**WORKER, "mayfly.json": {"functions": {"w": {
        "handler": "w.handler", "routes": ["/w"], "isolation": "instance"}}}}
    daemon = mayfly(files)
    assert [daemon.get("/w?state").json() for _ in range(4)] == [1, 2, 3, 4]
    assert daemon.get("/w?die").status == 500
    assert daemon.get("/w?state").json() == 5
    assert daemon.get("/w?exit").status == 500
    wait_until(lambda: daemon.get("/w?state").json() == 1, "a new process after exit()")


def test_no_socket_of_the_zygotes_is_left(mayfly):
    fds = mayfly(WORKER).get("/w?fds").json()
    assert sum(f.startswith("socket:") for f in fds) == 1, fds


@pytest.mark.core
def test_errors_are_told_with_the_authors_lines(mayfly):
    daemon = mayfly(WORKER, command="dev")
    answer = daemon.get("/w?die")
    error = answer.json()
    assert answer.status == 500 and (error["errorType"], error["errorMessage"]) == ("Error", "not a number")
    assert "inner" in error["stackTrace"][0] and "w.pl:" in error["stackTrace"][0]
    assert not any("MayflyHost" in line or "main.pl" in line for line in error["stackTrace"])
    error = daemon.get("/w?object").json()
    assert (error["errorType"], error["errorMessage"]) == ("My::Error", "an object")
    error = daemon.get("/w?exit").json()
    assert error["errorType"] == "Runtime.ExitError" and error["errorMessage"].endswith("exit status 3")
    assert daemon.get("/w?die").status == 500, "the zygote lives on"


@pytest.mark.core
def test_output_is_logged_before_the_answer(mayfly):
    daemon = mayfly(WORKER)
    assert daemon.get("/w?out").json() == "done"
    wait_until(lambda: "no newline" in daemon.stdout and "err line" in daemon.stdout, "the log")


@pytest.mark.core
@pytest.mark.parametrize("body", ["1 while 1", "sleep 100", "my $n = 0; $n += $_ for 1 .. 1e12", "my @r = sort { 1 while 1 } 1, 2"])
def test_the_deadline_tells_where_a_handler_was(mayfly, body):
    daemon = mayfly({"h.pl": f"""
        use strict;
        sub inner {{
            {body};
            return 1;
        }}
        sub handler {{ inner() }}
        1;
    """, "mayfly.json": {"functions": {"h": {"handler": "h.handler", "routes": ["/h"], "timeout": 1}}}}, command="dev")
    answer = daemon.get("/h")
    assert answer.status == 504
    stack = "\n".join(answer.json()["stackTrace"])
    assert "inner" in stack and "h.pl:" in stack and "handler" in stack


def test_a_crash_tells_the_perl_lines(mayfly):
    answer = mayfly(WORKER, command="dev").get("/w?segv")
    assert answer.status == 502 and "SIGSEGV" in answer.text and "w.pl:" in answer.text


@pytest.mark.core
@pytest.mark.parametrize("source, handler, expected", [
    ("sub handler {\n  foo(\n}\n1;\n", "m.handler", "m.pl line 3"),
    ("use No::Such::Module;\nsub handler { 1 }\n", "m.handler", "cpanm --local-lib-contained local No::Such::Module"),
    ("use strict;\ndie 'at load';\n", "m.handler", "m.pl:2"),
    ("sub other { 1 }\n1;\n", "m.handler", "m.pl has no sub handler"),
    ("sub handler { 1 }\nexit 0;\n", "m.handler", "called exit() while it was loaded"),
    ("sub x {", "missing.handler", "missing"),
])
def test_what_cannot_be_loaded_is_told_with_its_place(mayfly, source, handler, expected):
    daemon = mayfly({"m.pl": source, "mayfly.json": {"functions": {"m": {
        "handler": handler, "runtime": "perl", "routes": ["/m"]}}}}, command="dev")
    answer = daemon.get("/m")
    assert answer.status == 500 and expected in answer.text


@pytest.mark.core
def test_secrets_come_after_the_fork(mayfly):
    import test_secrets
    files = {**WORKER, "mayfly.json": {"functions": {"w": {
        "handler": "w.handler", "routes": ["/w"], "env": {"PW": "${secret:PW}", "PLAIN": "p"}}}}}
    daemon = test_secrets.start(mayfly, files, {"PW": "hush-hush-hush"})
    assert daemon.get("/w?env").json() == ["hush-hush-hush", "p", "w", "hush-hush-hush"]


@pytest.mark.core
def test_a_file_below_api_is_a_function_if_it_has_a_handler_else_a_program(mayfly):
    daemon = mayfly({
        "api/warm.pl": "sub handler { return {statusCode => 201, headers => {'X-A' => 'b'}, body => 'warm'} }\n1;\n",
        "api/cgi.pl": ("#!/usr/bin/perl\nprint qq(Content-Type: text/plain\\n\\ncold);\n", 0o755),
        "api/doc.pl": ("#!/usr/bin/perl\n=pod\n\nsub handler\n\n=cut\n\nprint qq(Content-Type: text/plain\\n\\ncold);\n", 0o755)})
    answer = daemon.get("/api/warm")
    assert (answer.status, answer.text, answer.headers["x-a"]) == (201, "warm", "b")
    assert [daemon.get(f"/api/{name}").text for name in ("cgi", "doc")] == ["cold", "cold"]


LAMBDA = {"e.pl": r"""
    use JSON::PP;
    sub handler {
        my ($event, $context) = @_;
        return {statusCode => 200, body => {event => $event, left => $context->get_remaining_time_in_millis,
                memory => $context->memory_limit_in_mb, name => $context->function_name}};
    }
    sub several { return {statusCode => 200, cookies => ['a=1', 'b=2'], multiValueHeaders => {'X-M' => [1, 2]}, body => 'eA==', isBase64Encoded => 1} }
    sub plain { return [1, undef, JSON::PP::true] }
    sub bad { return sub {} }
    1;
""", "mayfly.json": {"functions": {name: {"handler": f"e.{name}" if name != "e" else "e.handler", "routes": [f"/{name}/*", f"/{name}"]}
                                   for name in ("e", "several", "plain", "bad")}}}


@pytest.mark.core
def test_the_event_is_that_of_a_function_url(mayfly):
    daemon = mayfly(LAMBDA)
    answer = daemon.request("POST", "/e/%C3%A4?a=1&a=2&b=%20c", "grüße".encode(), {"Content-Type": "text/plain", "Cookie": "x=1; y=2"}).json()
    event = answer["event"]
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/e/ä", "a=1&a=2&b=%20c")
    assert event["queryStringParameters"] == {"a": "1,2", "b": " c"} and event["cookies"] == ["x=1", "y=2"]
    assert (event["body"], event["isBase64Encoded"]) == ("grüße", False)
    assert 0 < answer["left"] <= 30000 and answer["name"] == "e"
    binary = daemon.request("POST", "/e", b"\xff\x00", {"Content-Type": "text/plain"}).json()["event"]
    assert (binary["body"], binary["isBase64Encoded"]) == ("/wA=", True)


@pytest.mark.core
def test_what_a_handler_returns_is_answered_by_lambdas_rules(mayfly):
    daemon = mayfly(LAMBDA, command="dev")
    raw = daemon.raw(b"GET /several HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nx") and raw.count(b"\r\nX-M: ") == 2
    assert b"Set-Cookie: a=1\r\n" in raw and b"Set-Cookie: b=2\r\n" in raw
    assert daemon.get("/plain").json() == [1, None, True]
    answer = daemon.get("/bad")
    assert answer.status == 500 and answer.json()["errorType"] == "Runtime.MarshalError"


@pytest.mark.core
def test_plack_and_its_middleware_run(mayfly):
    if subprocess.run(["perl", "-MPlack::Builder", "-e1"], capture_output=True).returncode != 0:
        pytest.skip("there is no Plack: apt install libplack-perl")
    daemon = mayfly({"app.psgi": r"""
        use Plack::Builder; use Plack::Request;
        builder {
            enable 'ContentLength';
            mount '/form' => sub { my $r = Plack::Request->new(shift); [200, ['Content-Type' => 'text/plain'], [join ',', map { "$_=" . $r->param($_) } sort $r->parameters->keys]] };
            mount '/file' => sub { open my $f, '<', 'app.psgi' or die; [200, ['Content-Type' => 'text/plain'], $f] };
            mount '/' => sub { [404, ['Content-Type' => 'text/plain'], ['nothing at ' . $_[0]{PATH_INFO}]] };
        };
    """, "mayfly.json": {"functions": {"app": {"handler": "app.psgi", "routes": ["/*", "/"]}}}})
    answer = daemon.request("POST", "/form?q=1", b"b=two&a=1", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.text == "a=1,b=two,q=1" and answer.headers["content-length"] == "13"
    assert "Plack::Builder" in daemon.get("/file").text
    assert (daemon.get("/x").status, daemon.get("/x").text) == (404, "nothing at /x")
