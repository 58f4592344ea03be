"""What the command-line tool makes of a daemon's answers, right and wrong ones: the daemon is played by
the test."""
import json
import os
import threading

import pytest

from lib.daemon import run_cli
from lib.played import answer, played  # noqa: F401


ERROR = {"errorType": "ValueError", "errorMessage": "no such item", "stackTrace": ["line 1", "line 2"]}


@pytest.mark.parametrize("outcome, status, body, code, says", [
    ("ok", "200 OK", b"fine", 0, ""),
    ("ok", "404 Not Found", b"mine", 0, ""),
    ("error", "500 No", ERROR, 6, "mayfly: invoke: f: error: ValueError: no such item\n  line 1\n  line 2\n"),
    ("crash", "502 No", b"gone", 6, "mayfly: invoke: f: crash\n"),
    ("init", "500 No", ERROR, 6, "mayfly: invoke: f: init: ValueError: no such item\n  line 1\n  line 2\n"),
    ("bad_reply", "502 No", b"x", 6, "mayfly: invoke: f: bad_reply\n"),
    ("timeout", "504 No", b"x", 7, 'mayfly: invoke: f: timeout; see "timeout" and "cpu_time" in mayfly.json\n'),
    ("timeout", "504 No", {"errorType": "Timeout", "errorMessage": "Timeout after 3.00 s"}, 7,
     'mayfly: invoke: f: timeout: Timeout after 3.00 s; see "timeout" and "cpu_time" in mayfly.json\n'),
    ("throttled", "429 No", b"x", 1, "mayfly: invoke: f: throttled\n"),
    ("unavailable", "503 No", b"x", 1, "mayfly: invoke: f: unavailable\n"),
    ("of the future", "200 OK", b"x", 1, "mayfly: invoke: f: of the future\n"),
])
def test_outcomes(played, outcome, status, body, code, says):
    daemon = played(answer(body, status, Mayfly_Outcome=outcome))
    done = daemon.cli("invoke", "f")
    assert (done.returncode, done.stderr) == (code, says)
    assert done.stdout == (body.decode() if isinstance(body, bytes) else json.dumps(body))
    done = daemon.cli("invoke", "f", "--json")
    assert done.returncode == code
    told = json.loads(done.stdout)
    assert (told["exit"], told["outcome"], told["status"]) == (code, outcome, int(status[:3]))


@pytest.mark.parametrize("status, code", [("404 Not Found", 3), ("401 No", 4), ("403 No", 4), ("500 No", 1)])
def test_no_function_answered(played, status, code):
    done = played(answer(b"no function nosuch\n", status)).cli("invoke", "nosuch")
    assert (done.returncode, done.stdout) == (code, "")
    assert "no function nosuch" in done.stderr


@pytest.mark.parametrize("arguments, stdin, event", [
    (["-d", '{"a": 1}'], None, '{"a": 1}'),
    (["-d", " [1]"], None, " [1]"),
    (["-d", "5"], None, "5"),
    (["-d", '"x"'], None, '"x"'),
    ([], None, "{}"),
    ([], "", "{}"),
    ([], '{"b": 2}', '{"b": 2}'),
    (["-d", "@-"], '{"c": 3}', '{"c": 3}'),
    (["--event", "-"], "[]", "[]"),
])
def test_event(played, arguments, stdin, event):
    daemon = played(answer(b"", Mayfly_Outcome="ok"))
    assert daemon.cli("invoke", "api/x y", *arguments, input=stdin).returncode == 0
    head, body = daemon.requests[0].split(b"\r\n\r\n", 1)
    assert head.split(b"\r\n")[0] == b"POST /api/v1/functions/api%2Fx%20y/invoke HTTP/1.1"
    assert body.decode() == event


def test_event_from_a_file(played, tmp_path):
    daemon = played(answer(b"", Mayfly_Outcome="ok"))
    event = json.dumps({"large": "x" * 3_000_000})
    (tmp_path / "event.json").write_text(event)
    for arguments in (["-d", f"@{tmp_path}/event.json"], ["--event", tmp_path / "event.json"]):
        assert daemon.cli("invoke", "f", *arguments).returncode == 0
        assert daemon.requests.pop().endswith(event.encode())


def test_event_without_end_is_refused(played):
    done = played().cli("invoke", "f", "--event", "/dev/zero")
    assert done.returncode == 2
    assert "larger than 64 MiB" in done.stderr


@pytest.mark.parametrize("pieces, code, says", [
    ([], 1, "broke off"),
    ([b"HTTP/1.1 200 OK\r\nConte"], 1, "broke off"),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"], 1, "broke off"),
    ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"], 1, "broke off"),
    ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], 1, "is not HTTP"),
    ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], 1, "is not HTTP"),
    ([b"HTTP/1.1 200 OK\r\nX: ", *32 * [b"x" * 65536]], 1, "answer"),
    ([b"HTTP/1.1 100 Continue\r\n\r\n", answer(b"x", Mayfly_Outcome="ok")], 0, ""),
    ([b"HTTP/1.1 200 OK\r\nMayfly-Outcome: ok\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r", b"\nabc\r\n0\r\n\r\n"],
     0, ""),
    ([b"HTTP/1.1 200 OK\r\nMayfly-Outcome: ok\r\nConnection: close\r\n\r\n", b"until the end"], 0, ""),
])
def test_wrong_answers(played, pieces, code, says):
    done = played(*pieces).cli("invoke", "f")
    assert done.returncode == code, done
    assert says in done.stderr


def test_json_keeps_no_endless_body(played):
    daemon = played(b"HTTP/1.1 200 OK\r\nMayfly-Outcome: ok\r\n\r\n", *70 * [b"x" * (1 << 20)])
    done = daemon.cli("invoke", "f", "--json")
    assert done.returncode == 1
    assert "too large" in json.loads(done.stdout)["error"]["message"].lower()


def test_timeout_of_the_tool(played):
    release = threading.Event()
    done = played(release.wait).cli("invoke", "f", "--timeout", "200ms")
    release.set()
    assert (done.returncode, done.stderr) == (7, "mayfly: invoke: no answer within 0.2 s\n")


RECORD = {"request_id": "0192", "function": "f", "start_us": 1, "run_ns": 12345678, "user_us": 1500,
          "memory_peak_bytes": 9 << 20, "status": 200, "error": "", "stack": "at\nhome \x1b[31m"}


def test_verbose(played):
    not_yet = answer(b"", "404 Not Found")
    daemon = played(answer(b"out", Mayfly_Outcome="ok", Mayfly_Request_Id="0192"),
                    records=[not_yet, not_yet, answer(RECORD), answer(RECORD)])
    done = daemon.cli("invoke", "f", "-v")
    assert (done.returncode, done.stdout) == (0, "out")
    lines = {line.split()[0]: line.split()[1:] for line in done.stderr.splitlines() if line}
    assert lines["run"] == ["12.346", "ms"]
    assert lines["user"] == ["1.500", "ms"]
    assert lines["memory_peak"] == ["9.000", "MiB"]
    assert lines["request_id"] == ["0192"]
    assert "\nstack\n  at\n  home \\x1b[31m\n" in done.stderr
    told = json.loads(daemon.cli("invoke", "f", "--json").stdout)
    assert (told["body"], told["record"]) == ("out", RECORD)


@pytest.mark.parametrize("record", [answer(b"", "500 No"), answer(b"{nonsense"), b""])
def test_verbose_without_a_record(played, record):
    daemon = played(answer(b"", Mayfly_Outcome="ok", Mayfly_Request_Id="77"), records=[record, record])
    done = daemon.cli("invoke", "f", "-v")
    assert (done.returncode, done.stderr) == (0, "no record of request 77\n")
    assert json.loads(daemon.cli("invoke", "f", "--json").stdout)["record"] is None


def test_answer_that_is_broken_off(played):
    head = b"HTTP/1.1 200 OK\r\nMayfly-Outcome: ok\r\nMayfly-Request-Id: 7\r\nContent-Length: 9\r\n\r\nhalf"
    record = {"outcome": "timeout", "error": "Timeout after 3.00 s"}
    done = played(head, records=[answer(record)]).cli("invoke", "f")
    assert (done.returncode, done.stdout) == (7, "half")
    assert "mayfly: invoke: f: timeout: Timeout after 3.00 s" in done.stderr
    done = played(head, records=[answer({"outcome": "ok"})]).cli("invoke", "f")
    assert done.returncode == 1
    assert "broke off" in done.stderr


def process(kind, pid, function="f", **more):
    return {"kind": kind, "function": function, "version": "1234567890abcdef", "pid": pid, "age_ms": 65000,
            "state": "idle", "request_id": "", **more}


def test_ps(played):
    me = os.getpid()
    processes = [process("worker", me, state="running", request_id="id-1"), process("standby", me),
                 process("zygote", 1 << 22), process("zygote", me, "a")]
    daemon = played(answer({"functions": [], "processes": processes}))
    done = daemon.cli("ps")
    assert done.returncode == 0
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["FUNCTION", "VERSION", "KIND", "PID", "AGE", "CPU", "RSS", "OWN", "STATE", "REQUEST"]
    assert [row[:5] for row in rows] == [["a", "1234567890abcdef", "zygote", str(me), "1m05s"],
                                         ["f", "1234567890abcdef", "zygote", str(1 << 22), "1m05s"],
                                         ["f", "1234567890abcdef", "standby", str(me), "1m05s"],
                                         ["f", "1234567890abcdef", "worker", str(me), "1m05s"]]
    assert rows[1][5:8] == ["-", "-", "-"]
    assert rows[3][8:] == ["running", "id-1"]
    assert float(rows[3][6].rstrip("M")) >= float(rows[3][7].rstrip("M")) > 0
    assert done.stderr == "1 workers, 1 standbys, 2 zygotes\n"
    told = json.loads(daemon.cli("ps", "--json").stdout)["processes"]
    assert [p["kind"] for p in told] == ["worker", "standby", "zygote", "zygote"]
    assert told[0]["rss_bytes"] >= told[0]["own_bytes"] > 0 and told[0]["cpu_us"] > 0
    assert "rss_bytes" not in told[2]


ID = "0192abcd-0192-7abc-8abc-0192abcd0192"
VIEWS = [["logs"], ["logs", "--json"], ["logs", "--since", "1h"], ["records"], ["records", "--json"], ["usage"],
         ["usage", "--by", "version"], ["trace", ID], ["trace", "last"], ["token", "ls"], ["token", "create", "x"],
         ["token", "rm", "x"], ["dashboard"], ["replay", ID]]


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b"nonsense", b"[" * 100000, b'{"processes": {}}', b'{"processes": [1, null, {}]}',
    b'{"processes": [{"pid": -1, "function": 7, "kind": "\\u001b[2J", "age_ms": 1e99}]}',
    b'{"functions": 3, "processes": [{"function": "\\u001b]0;x\\u0007", "kind": "worker"}]}',
    b'{"lines": 5, "records": {}, "rows": null, "record": [], "logs": "x", "tokens": [[]], "token": 7, "url": []}',
    b'{"lines": [7, {"text": "\\u001b[2J\\u009b"}], "records": [{"path": "\\u001b[2J", "run_ns": 9223372036854775807}],'
    b' "rows": [[], {"function": "\\u001b[2J", "invocations": -5}], "tokens": [{"name": "\\u001b"}], "token": "\\u001b",'
    b' "record": {"stack": "\\u001b[2J", "wait_ns": 9223372036854775807, "exit_status": 139, "pid": 1, "run_ns": 1},'
    b' "logs": [{"time_us": 1, "text": "\\u001b"}], "traceparent": "\\u001b[2J", "url": "http://\\u001b[2J"}',
])
def test_odd_documents(played, body):
    daemon = played(answer(body))
    for arguments in (["ps"], ["ps", "--json"], ["inspect"], ["inspect", "f"], *VIEWS):
        done = daemon.cli(*arguments)
        assert done.returncode in (0, 1, 3), done
        assert "\x1b" not in done.stdout + done.stderr


def test_inspect(played):
    functions = [{"name": n, "version": "00", "runtime": "python", "isolation": "request"} for n in ("f", "g")]
    daemon = played(answer({"functions": functions, "processes": [process("zygote", 1), process("worker", 1)]}))
    rows = [line.split() for line in daemon.cli("inspect").stdout.splitlines()]
    assert rows[1:] == [["f", "00", "python", "request", "1", "0", "1"], ["g", "00", "python", "request", "0", "0", "0"]]
    assert daemon.cli("inspect", "--names").stdout == "f\ng\n"
    assert json.loads(daemon.cli("inspect", "g", "--json").stdout) == {"functions": functions[1:]}
    assert daemon.cli("inspect", "h").returncode == 3


def test_serve_refuses_a_state_folder_in_use(played, tmp_path):
    daemon = played()
    done = daemon.cli("serve", tmp_path, "--state", daemon.state)
    assert done.returncode == 5
    assert "runs already" in done.stderr


# ---- an admin listener ----

@pytest.mark.parametrize("named", ["option", "environment"])
def test_an_admin_listener_is_asked_with_the_token(played, named):
    daemon = played(answer({"functions": [], "processes": []}), tcp=True)
    url = f"http://127.0.0.1:{daemon.port}/"
    more = {"MAYFLY_TOKEN": "mf_secret", **({"MAYFLY_URL": url} if named == "environment" else {})}
    done = daemon.cli("ps", *(["--url", url] if named == "option" else []), env=more)
    assert (done.returncode, done.stderr) == (0, "0 workers, 0 standbys, 0 zygotes\n")
    head = daemon.requests[0].decode().split("\r\n")
    assert head[0] == "GET /api/v1/ps HTTP/1.1"
    assert f"Host: 127.0.0.1:{daemon.port}" in head
    assert "Authorization: Bearer mf_secret" in head


def test_the_local_socket_gets_no_token(played):
    daemon = played(answer({"functions": [], "processes": []}))
    assert daemon.cli("ps", env={"MAYFLY_TOKEN": "mf_secret"}).returncode == 0
    assert b"mf_secret" not in daemon.requests[0]


@pytest.mark.parametrize("status, body, code, says", [
    ("401 Unauthorized", {"errorType": "Unauthorized", "errorMessage": "no such token"}, 4,
     "mayfly: ps: the admin listener asks for a token; set MAYFLY_TOKEN"),
    ("403 Forbidden", {"errorType": "Forbidden", "errorMessage": "wrong origin"}, 4, "mayfly: ps: wrong origin\n"),
    ("421 Misdirected", b"", 4, "mayfly: ps: the daemon answers 421 to /api/v1/ps; the daemon's --admin-host"),
    ("503 No", {"errorType": "X", "errorMessage": "not \x1b[31mready"}, 1, "mayfly: ps: not \\x1b[31mready\n"),
])
def test_what_an_admin_listener_refuses(played, status, body, code, says):
    daemon = played(answer(body, status), tcp=True)
    done = daemon.cli("ps", "--url", f"http://127.0.0.1:{daemon.port}")
    assert done.returncode == code
    assert done.stderr.startswith(says)


@pytest.mark.parametrize("arguments, env, code, says", [
    (["--url", "https://127.0.0.1"], {}, 2, "speaks http only"),
    (["--url", "ftp://x"], {}, 2, "write it like http://127.0.0.1:8081"),
    (["--url", "http://127.0.0.1:1", "--state", "/tmp"], {}, 2, "which of the two"),
    (["--url", "http://127.0.0.1:1"], {}, 8, "cannot reach a daemon at 127.0.0.1, port 1: Connection refused"),
    (["--url", "http://nosuch.invalid"], {}, 8, "nosuch.invalid: "),
    (["--url", "http://127.0.0.1:1"], {"MAYFLY_TOKEN": "a b"}, 2, "MAYFLY_TOKEN: not a token"),
    (["--url", "http://127.0.0.1:1"], {"MAYFLY_TOKEN": "a\r\nX: y"}, 2, "MAYFLY_TOKEN: not a token"),
    ([], {"MAYFLY_URL": "nonsense:x"}, 2, "MAYFLY_URL nonsense:x: not an address"),
    (["--state", "/nonexistent"], {"MAYFLY_URL": "http://127.0.0.1:1"}, 8, "nobody listens at /nonexistent"),
])
def test_addresses_that_lead_nowhere(tmp_path, arguments, env, code, says):
    done = run_cli("ps", *arguments, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env})
    assert done.returncode == code, done
    assert says in done.stderr


# ---- naming a request ----

def ids(*tails):
    return [{"request_id": f"01928c9f-4a77-7{tail}-8abc-0192abcd0192", "function": "f"} for tail in tails]


def asked(daemon):
    return [request.decode().split()[1] for request in daemon.requests]


@pytest.mark.parametrize("given, records, code, traced", [
    ("last", ids("aaa", "bbb"), 0, "aaa"),
    ("01928c9f-4a77-7b", ids("aaa", "bbb"), 0, "bbb"),
    ("01928C9F4A777B", ids("aaa", "bbb"), 0, "bbb"),
    ("01928c9f", ids("aaa", "bbb"), 2, None),
    ("01928c9f-4a77-7c", ids("aaa", "bbb"), 3, None),
    ("01928c9f-4a77", [], 3, None),
    ("last", [], 3, None),
])
def test_a_request_is_found_by_its_beginning(played, given, records, code, traced):
    trace = answer({"record": {"request_id": "x"}, "logs": [], "traceparent": ""})
    daemon = played(routes={"GET /api/v1/records": answer({"records": records, "next": None}),
                            "GET /api/v1/traces/": trace})
    done = daemon.cli("trace", given, "--json")
    assert done.returncode == code, done
    wanted = f"/api/v1/traces/01928c9f-4a77-7{traced}-8abc-0192abcd0192"
    assert asked(daemon)[1:] == ([wanted] if traced else [])
    if given.startswith("01928c9f-4a77"):  # an id begins with its time, so that one millisecond is looked at
        since, until = 0x01928c9f4a77 * 1000, (0x01928c9f4a77 + 1) * 1000
        assert f"since={since}&until={until}&" in asked(daemon)[0]


def test_ids_that_begin_alike_are_listed(played):
    daemon = played(routes={"GET /api/v1/records": answer({"records": ids("aaa", "bbb"), "next": None})})
    done = daemon.cli("trace", "01928c9f")
    assert done.stderr.splitlines() == [f"{i['request_id']}  f" for i in ids("aaa", "bbb")] + [
        "mayfly: trace: 2 ids begin with 01928c9f; give more of it"]


# ---- what is looked for ----

@pytest.mark.parametrize("arguments, query", [
    (["f/x y"], {"function=f%2Fx%20y", "limit=20"}),
    (["--failed", "--slowest", "-n", "3"], {"failed=1", "order=duration", "limit=3"}),
    (["--outcome", "timeout", "--trigger", "http", "--version", "12"],
     {"outcome=timeout", "trigger=http", "version=12", "limit=20"}),
    (["--min", "1.5ms", "--max", "2m", "--since", "2026-11-29T12:00Z", "--until", "2026-11-29T12:00:00.5Z"],
     {"min_us=1500", "max_us=120000000", "since=1795953600000000", "until=1795953600500000", "limit=20"}),
])
def test_a_search_is_put_as_it_was_given(played, arguments, query):
    daemon = played(routes={"GET /api/v1/records": answer({"records": [], "next": None}),
                            "GET /api/v1/functions/": answer({"name": "f"})})
    done = daemon.cli("records", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "mayfly: records: none\n")
    path, _, given = asked(daemon)[0].partition("?")
    assert (path, set(given.split("&"))) == ("/api/v1/records", query)


def test_pages_are_put_together(played):
    def page(request):
        cursor = int(request.split("cursor=")[1].split()[0]) if "cursor=" in request else 0
        return [answer({"records": [{"request_id": f"id-{cursor}"}], "next": str(cursor + 1)})]

    daemon = played(routes={"GET /api/v1/records": page})
    told = json.loads(daemon.cli("records", "--json", "-n", "3").stdout)
    assert [r["request_id"] for r in told["records"]] == ["id-0", "id-1", "id-2"]


def test_the_last_lines_since_then(played):
    def page(request):
        at = int(request.split("cursor=")[1].split()[0]) if "cursor=" in request else 0
        lines = [{"id": at + i + 1, "text": f"line {at + i}"} for i in range(2)]
        return [answer({"lines": lines, "next": str(at + 2) if at < 4 else None})]

    daemon = played(routes={"GET /api/v1/logs": page})
    told = daemon.cli("logs", "--json", "--since", "1h", "-n", "3").stdout.splitlines()
    assert [json.loads(line)["text"] for line in told] == ["line 3", "line 4", "line 5"]
    told = daemon.cli("logs", "--json", "--since", "1h").stdout.splitlines()
    assert [json.loads(line)["text"] for line in told] == [f"line {i}" for i in range(6)]



def test_a_bill_adds_up(played, tmp_path):
    rows = [{"key": f"f{i}", "function": f"f{i}", "invocations": i, "run_us": 3 * i, "user_us": 2 * i, "system_us": i,
             "gb_us": 777 * i} for i in range(1, 9)]
    daemon = played(answer({"rows": rows, "since_us": 0, "until_us": 1}))
    (tmp_path / "price.json").write_text('{"currency": "EUR", "per_request": 2e-7, "per_gb_second": 0.0000166667}')
    told = json.loads(daemon.cli("usage", "--json", "--price", tmp_path / "price.json").stdout)
    for key in ("invocations", "run_us", "user_us", "system_us", "gb_us"):
        assert told["total"][key] == sum(row[key] for row in rows)
    for key in ("requests_nano", "memory_nano", "cpu_nano", "total_nano"):
        assert told["total"]["cost"][key] == sum(row["cost"][key] for row in told["rows"])
    assert told["total"]["cost"]["requests_nano"] == 36 * 200
    table = daemon.cli("usage", "--price", tmp_path / "price.json").stdout.splitlines()
    assert table[0].split()[-1] == "EUR" and table[-1].split()[0] == "total"
    shown = [round(float(row.split()[-1]) * 1e9) for row in table[1:]]
    assert shown[-1] == sum(shown[:-1]) == told["total"]["cost"]["total_nano"]
    (tmp_path / "price.json").write_text('{\n"currency": "EUR",\n"per_reqest": 1}')
    done = daemon.cli("usage", "--price", tmp_path / "price.json")
    assert done.returncode == 2
    assert f"{tmp_path}/price.json:3: no such key: per_reqest" in done.stderr
