"""A Ruby worker is a process of its own after the fork: numbers, pids, threads, signals, state; and its errors are told."""
import json
import os

import pytest

from lib.process import wait_until

WORKER = {"api/w.rb": """
    require "json"
    require "securerandom"
    require "timeout"
    require "tempfile"
    $count = 0
    RANDOM = Random.new(7) # the author's own seed stays the author's
    LOCK = Mutex.new
    LOADED = rand
    def handler(event:, context:)
      case event["rawQueryString"]
      when "numbers" then [rand, Random.rand, SecureRandom.hex(8), Kernel.rand(1 << 60), [*1..20].shuffle, Process.pid, LOADED]
      when "state" then LOCK.synchronize { $count += 1 }
      when "thread" then Thread.new { sleep 0.01; "joined" }.value
      when "timeout" then begin; Timeout.timeout(0.1) { loop {} }; rescue Timeout::Error; "timed out"; end
      when "child" then [Process.wait(fork { exit 3 }) > 0, $?.exitstatus, `echo out`.chomp]
      when "trap" then caught = nil; trap("USR1") { caught = "caught" }; Process.kill("USR1", Process.pid); sleep 0.02; caught
      when "queue" then q = Queue.new; Thread.new { q << "popped" }; q.pop
      when "fds" then Dir.children("/proc/self/fd").map { |n| File.readlink("/proc/self/fd/" + n) rescue nil }.compact
      when "env" then [ENV["PW"], ENV["PLAIN"], ENV.fetch("MAYFLY_FUNCTION")]
      when "raise" then raise ArgumentError, "not a number"
      when "exit" then exit 3
      when "memory" then "x" * (1 << 40)
      when "deep" then deep(0)
      when "crash" then Process.kill("SEGV", Process.pid); sleep 1
      when "out" then print "no newline"; $stderr.print "err line"; "done"
      else "?"
      end
    end
    def deep(n) = deep(n + 1) + 1
""", "mayfly.json": {"functions": {"api/w": {"env": {"PLAIN": "plain"}, "timeout": 20}}}}


@pytest.mark.core
def test_no_two_workers_draw_the_same_numbers_or_share_state(mayfly):
    daemon = mayfly(WORKER)
    draws = [daemon.get("/api/w?numbers").json() for _ in range(6)]
    for i in range(5):
        assert len({json.dumps(d[i]) for d in draws}) == len(draws), f"value {i} was drawn twice"
    assert len({d[6] for d in draws}) == 1, "loaded once"
    assert [daemon.get("/api/w?state").json() for _ in range(3)] == [1, 1, 1]


@pytest.mark.core
@pytest.mark.parametrize("query, expected", [
    ("thread", "joined"), ("timeout", "timed out"), ("child", [True, 3, "out"]), ("trap", "caught"),
    ("queue", "popped")])
def test_threads_children_and_signals_work_after_the_fork(mayfly, query, expected):
    assert mayfly(WORKER).get(f"/api/w?{query}").json() == expected


@pytest.mark.core
def test_isolation_instance_keeps_state(mayfly):
    files = {**WORKER, "mayfly.json": {"functions": {"api/w": {"isolation": "instance"}}}}
    daemon = mayfly(files)
    counts = [daemon.get("/api/w?state").json() for _ in range(4)]
    assert counts == [1, 2, 3, 4]
    assert daemon.get("/api/w?raise").status == 500
    assert daemon.get("/api/w?state").json() == 5


def test_no_socket_of_the_zygotes_is_left(mayfly):
    fds = mayfly(WORKER).get("/api/w?fds").json()
    assert sum(f.startswith("socket:") for f in fds) == 1, fds


@pytest.mark.core
def test_errors_are_told_with_the_authors_lines(mayfly):
    daemon = mayfly(WORKER, command="dev")
    answer = daemon.get("/api/w?raise")
    error = answer.json()
    assert answer.status == 500 and error["errorType"] == "ArgumentError" and error["errorMessage"] == "not a number"
    assert "api/w.rb:" in error["stackTrace"][0] and not any("mayfly_host" in line for line in error["stackTrace"])
    error = daemon.get("/api/w?exit").json()
    assert error["errorType"] == "Runtime.ExitError" and error["errorMessage"].endswith("exit status 3")
    assert daemon.get("/api/w?deep").json()["errorType"] == "SystemStackError"
    assert daemon.get("/api/w?memory").json()["errorType"] in ("NoMemoryError", "OutOfMemory")
    assert daemon.get("/api/w?raise").status == 500, "the zygote lives on"


@pytest.mark.core
def test_output_is_logged_before_the_answer(mayfly):
    daemon = mayfly(WORKER)
    assert daemon.get("/api/w?out").json() == "done"
    wait_until(lambda: "no newline" in daemon.stdout and "err line" in daemon.stdout, "the log")


@pytest.mark.core
@pytest.mark.parametrize("body", ["loop {}", "sleep", "Thread.new { loop {} }.join", "/^(a|a)*$/ =~ 'a' * 60 + 'b'"])
def test_the_deadline_tells_where_a_handler_was(mayfly, body):
    daemon = mayfly({"api/h.rb": f"""
        def inner
          {body}
        end
        def handler(event:, context:)
          inner
        end
    """, "mayfly.json": {"defaults": {"timeout": 1}}}, command="dev")
    answer = daemon.get("/api/h")
    assert answer.status == 504
    stack = "\n".join(answer.json()["stackTrace"])
    assert "inner" in stack and "api/h.rb:" in stack and "handler" in stack


@pytest.mark.core
@pytest.mark.parametrize("source, handler, expected", [
    ("def handler(event:, context:)\n  foo(\nend\n", "m.handler", "m.rb:3"),
    ("require 'no_such_gem'\ndef handler(event:, context:) = 1\n", "m.handler", "no_such_gem"),
    ("raise 'at load'\n", "m.handler", "m.rb:1"),
    ("def other(event:, context:) = 1\n", "m.handler", "m.rb has no method handler"),
    ("Handler = 7\n", "m.Handler", "neither a Proc"),
    ("def x(", "missing.handler", "missing"),
])
def test_what_cannot_be_loaded_is_told_with_its_place(mayfly, source, handler, expected):
    daemon = mayfly({"m.rb": source, "mayfly.json": {"functions": {"m": {
        "handler": handler, "runtime": "ruby", "routes": ["/m"]}}}}, command="dev", wait=True)
    answer = daemon.get("/m")
    assert answer.status == 500 and expected in answer.text


def test_a_crash_tells_the_ruby_lines(mayfly):
    answer = mayfly({"api/c.rb": """
        require "fiddle"
        def handler(event:, context:)
          Fiddle::Pointer.new(8)[0, 1]
        end
    """}, command="dev").get("/api/c")
    assert answer.status == 502 and "SIGSEGV" in answer.text and "api/c.rb:" in answer.text


@pytest.mark.core
def test_secrets_come_after_the_fork(mayfly):
    import test_secrets
    files = {**WORKER, "mayfly.json": {"functions": {"api/w": {"env": {"PW": "${secret:PW}", "PLAIN": "p"}}}}}
    daemon = test_secrets.start(mayfly, files, {"PW": "hush-hush-hush"})
    assert daemon.get("/api/w?env").json() == ["hush-hush-hush", "p", "api/w"]
