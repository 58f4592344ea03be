"""Traces and logs reach an OpenTelemetry collector, by OTLP's rules, whatever it answers; and nothing
that it does is felt by a request."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lib import process
from lib.collector import Answer, Collector, plain
from lib.daemon import BUILD, MAYFLY
from lib.http import Connection
from lib.process import wait_until
from lib.workload import kill, programs

pytestmark = pytest.mark.skipif(not (BUILD / "libexec/mayfly-otlp").exists(),
                                reason="built without libcurl (libcurl4-openssl-dev)")

FUNCTION = """
    import json, os, sys, time
    def handler(event, context):
        query = event.get("queryStringParameters") or {}
        for line in query.get("say", "").split("|"):
            if line:
                print(line)
        if "err" in query:
            print(query["err"], file=sys.stderr)
        if "raise" in query:
            raise ValueError("no such thing")
        if "crash" in query:
            os._exit(3)
        return {"statusCode": int(query.get("status", 200)), "body": "x"}
"""
PROJECT = {"api/f.py": FUNCTION, "mayfly.json": {"functions": {"api/f": {"memory": 96}}}}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def helper(daemon):
    found = [pid for pid, name in daemon.tree().items() if name.startswith("mayfly-otlp")]
    return found[0] if found else None


def start(mayfly, collector, project=None, **env):
    url = collector if isinstance(collector, str) else collector.url
    return mayfly(project or PROJECT, "--otlp", url, env=env)


def losses(daemon):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        return connection.request("GET", "/api/v1/system").json()["losses"]


# ---- what is sent ----

@pytest.mark.core
def test_an_invocation_becomes_a_span_with_its_phases_below_it(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        first, second = daemon.get("/api/f"), daemon.get("/api/f")
        spans = collector.wait_spans(2)
        record = daemon.record(first)
    resource, span, children = spans[first.request_id]
    assert resource["service.name"] == resource["faas.name"] == "api/f" == span["name"]
    assert resource["faas.version"] == record["version"] and resource["faas.max_memory"] == 96 << 20
    assert resource["host.name"] == socket.gethostname()
    assert (span["traceId"], span["spanId"]) == (record["trace_id"], record["span_id"])
    assert "parentSpanId" not in span and span["kind"] == 2 and "status" not in span
    values = plain(span["attributes"])
    assert values["faas.trigger"] == "http" and values["faas.coldstart"] is True
    assert values["http.request.method"] == "GET" and values["url.path"] == "/api/f"
    assert values["http.response.status_code"] == 200 and values["mayfly.outcome"] == "ok"
    assert values["mayfly.cpu.user_us"] == record["user_us"]
    assert values["mayfly.memory.peak_bytes"] == record["memory_peak_bytes"]
    assert set(children) == {"init", "wait", "run"}
    begin = record["start_us"] * 1000
    assert int(span["startTimeUnixNano"]) == begin == int(children["init"]["startTimeUnixNano"])
    assert int(span["endTimeUnixNano"]) == begin + record["total_ns"]
    assert children["init"]["endTimeUnixNano"] == children["wait"]["startTimeUnixNano"]
    assert children["wait"]["endTimeUnixNano"] == children["run"]["startTimeUnixNano"]
    assert int(children["run"]["endTimeUnixNano"]) == int(span["endTimeUnixNano"])
    assert all(child["kind"] == 1 and child["traceId"] == span["traceId"] for child in children.values())
    _, span, children = spans[second.request_id]
    assert set(children) == {"wait", "run"} and plain(span["attributes"])["faas.coldstart"] is False


def test_the_callers_trace_goes_on(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        answer = daemon.get("/api/f", {"traceparent": f"00-{TRACE}-{CALLER}-01"})
        _, span, children = collector.wait_spans(1)[answer.request_id]
    assert span["traceId"] == TRACE and span["parentSpanId"] == CALLER
    assert span["flags"] & 0x300 == 0x300  # known to be remote, and is
    assert children["run"]["flags"] & 0x300 == 0x100


def test_an_error_is_an_exception_and_a_status(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        raised, crashed = daemon.get("/api/f?raise=1"), daemon.get("/api/f?crash=1")
        refused = daemon.get("/api/f?status=404")
        broken = daemon.get("/api/f?status=503")
        spans = collector.wait_spans(4)
    span = spans[raised.request_id][1]
    assert span["status"]["code"] == 2
    event, = span["events"]
    values = plain(event["attributes"])
    assert event["name"] == "exception" and values["exception.type"] == "ValueError"
    assert values["exception.message"] == "no such thing" and "f.py" in values["exception.stacktrace"]
    assert plain(span["attributes"])["error.type"] == "ValueError"
    span = spans[crashed.request_id][1]
    assert span["status"]["code"] == 2 and plain(span["attributes"])["mayfly.outcome"] == "crash"
    assert "status" not in spans[refused.request_id][1]  # 4xx is the client's affair
    assert spans[broken.request_id][1]["status"]["code"] == 2


@pytest.mark.core
def test_each_line_goes_with_its_request_and_has_a_severity(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        answer = daemon.get("/api/f?say=plain|WARNING:root:low&err=oh")
        logs = collector.wait_logs(3)
        record = daemon.record(answer)
    found = {log["body"]["stringValue"]: log for _, log in logs}
    assert {body: (log["severityText"], log["severityNumber"]) for body, log in found.items()} == {
        "plain": ("INFO", 9), "WARNING:root:low": ("WARNING", 13), "oh": ("ERROR", 17)}
    for resource, log in logs:
        assert (log["traceId"], log["spanId"]) == (record["trace_id"], record["span_id"])
        assert plain(log["attributes"])["faas.invocation_id"] == answer.request_id
        assert resource["faas.name"] == "api/f"
    assert plain(found["oh"]["attributes"])["log.iostream"] == "stderr"


def test_a_line_of_json_keeps_its_fields(mayfly):
    line = {"level": "warn", "message": "low", "left": -3, "part": 1.5, "ok": True, "who": {"id": 7}, "none": None}
    with Collector() as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f?say=" + "".join(f"%{b:02x}" for b in json.dumps(line).encode()))
        (_, log), = collector.wait_logs(1)
    assert log["severityText"] == "WARN" and log["body"] == {"stringValue": "low"}
    values = plain(log["attributes"])
    assert values["left"] == -3 and values["part"] == 1.5 and values["ok"] is True
    assert values["who"] == '{"id":7}' and values["none"] == "null" and "level" not in values


def test_any_bytes_are_told_within_the_rules(mayfly):
    project = {"api/f.py": """
        import os
        def handler(event, context):
            os.write(1, bytes(range(1, 256)) + b"\\n")
            os.write(1, b"\\xed\\xa0\\x80 \\xf0\\x9f\\xaa\\xb0 \\"\\\\ end\\n")
            os.write(1, b'{"a": "\\\\ud83e", "a": 2, "": 1}\\n')
            os.write(1, b"x" * 40000 + b"\\n")
            return {"statusCode": 200, "body": "x"}
    """}
    with Collector() as collector:
        daemon = start(mayfly, collector, project)
        daemon.get("/api/f")
        wait_until(lambda: sum(len(log["body"]["stringValue"]) for _, log in collector.logs) > 40000)
        collector.wait_spans(1)


def test_secrets_are_not_in_what_is_sent(mayfly):
    project = {**PROJECT, "mayfly.json": {"functions": {"api/f": {"env": {"PASSWORD": "${secret:DB}"}}}}}
    with Collector() as collector:
        daemon = mayfly(project, "--otlp", collector.url, wait=False)
        subprocess.run([MAYFLY, "secret", "set", "DB", "--state", daemon.state], input="hunter2hunter2",
                       text=True, check=True, env=daemon.env)
        daemon.wait_ready()
        wait_until(lambda: daemon.get("/api/f?say=it+is+hunter2hunter2").status == 200)
        logs = collector.wait_logs(1)
    assert "hunter2" not in json.dumps(logs)


def test_what_opentelemetrys_variables_say_is_done(mayfly):
    with Collector() as collector:
        daemon = start(
            mayfly, collector, OTEL_EXPORTER_OTLP_HEADERS="Authorization=Basic%20abc%3D,x-tenant = me",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test,team=a%2Cb", OTEL_SERVICE_NAME="shop",
            OTEL_EXPORTER_OTLP_COMPRESSION="none")
        daemon.get("/api/f")
        (resource, _, _), = collector.wait_spans(1).values()
    _, headers = collector.requests[0]
    assert headers["authorization"] == "Basic abc=" and headers["x-tenant"] == "me"
    assert "content-encoding" not in headers and headers["user-agent"].startswith("mayfly/")
    assert resource["service.name"] == "shop" and resource["faas.name"] == "api/f"
    assert resource["deployment.environment"] == "test" and resource["team"] == "a,b"


def test_gzip_is_used_unless_it_is_switched_off(mayfly):
    with Collector() as collector:
        start(mayfly, collector).get("/api/f")
        collector.wait_spans(1)
    assert {headers["content-encoding"] for _, headers in collector.requests} == {"gzip"}


def test_what_was_done_at_the_end_is_sent_before_the_end(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        ids = {daemon.get(f"/api/f?say=line{i}").request_id for i in range(20)}
        daemon.stop()
        assert set(collector.invocations()) == ids
        assert len(collector.logs) == 20


# ---- what a collector can do to it ----

def test_while_the_collector_is_away_requests_go_on_and_nothing_is_lost(mayfly):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = start(mayfly, f"http://127.0.0.1:{port}")
    ids = {daemon.get("/api/f").request_id for _ in range(5)}
    wait_until(lambda: "export.failed" in daemon.log)
    ids |= {daemon.get("/api/f").request_id for _ in range(5)}
    with Collector(port=port) as collector:
        assert set(collector.wait_spans(10)) == ids
        wait_until(lambda: "export.again" in daemon.log)
    assert "otlp.lost" not in daemon.log


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(mayfly, status):
    with Collector(Answer(status, b"<html>not now</html>"), Answer(status)) as collector:
        daemon = start(mayfly, collector)
        answer = daemon.get("/api/f")
        assert set(collector.wait_spans(1)) == {answer.request_id}
    assert len(collector.spans) == 4  # init, wait, run and the whole: each once
    assert f"answers {status}" in daemon.log and "otlp.lost" not in daemon.log


def test_retry_after_is_heeded(mayfly):
    times = []

    def answer(_):
        times.append(time.monotonic())
        return Answer(503, headers={"Retry-After": "4"}) if len(times) == 1 else Answer()

    with Collector(answer, answer) as collector:
        start(mayfly, collector).get("/api/f")
        collector.wait_spans(1)
    assert times[1] - times[0] >= 3.9


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 301])
def test_what_would_fail_again_is_given_up_counted_and_told(mayfly, status):
    body = json.dumps({"code": 3, "message": "I do not like it\x1b[31m"}).encode()
    with Collector(Answer(status, body, {"Location": "http://127.0.0.1:1/"})) as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        line = wait_until(lambda: next((x for x in daemon.log.splitlines() if "otlp.lost" in x), None))
        assert "n=4" in line and f"answers {status}" in line and "I do not like it\\x1b[31m" in line
        answer = daemon.get("/api/f")
        assert set(collector.wait_spans(1)) == {answer.request_id}
        assert wait_until(lambda: [loss for loss in losses(daemon) if loss["what"] == "exported spans"])[0]["n"] == 4


def test_a_partial_success_is_understood(mayfly):
    partial = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}
    with Collector(Answer(body=json.dumps(partial).encode())) as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        line = wait_until(lambda: next((x for x in daemon.log.splitlines() if "otlp.lost" in x), None))
        assert "n=2" in line and "too old" in line
        assert len([path for path, _ in collector.requests if path == "/v1/traces"]) == 1


def test_a_warning_with_a_success_is_told_and_nothing_is_lost(mayfly):
    partial = {"partialSuccess": {"errorMessage": "use the other door"}}
    with Collector(Answer(body=json.dumps(partial).encode())) as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        wait_until(lambda: "use the other door" in daemon.log)
    assert "otlp.lost" not in daemon.log


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"\x00\xff garbage", b"{" * 5000,
                                  b'{"partialSuccess": 5}', b'{"partialSuccess": {"rejectedSpans": -1}}',
                                  b'{"partialSuccess": {"rejectedSpans": "many"}}', b"x" * 1000000,
                                  b"y" * 30000000], ids=lambda body: f"{body[:12]!r}x{len(body)}")
def test_a_garbled_or_huge_answer_of_success_is_a_success(mayfly, body):
    with Collector(Answer(body=body)) as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        collector.wait_spans(1)
        pid = helper(daemon)
        second = daemon.get("/api/f").request_id
        assert second in collector.wait_spans(2)
        assert helper(daemon) == pid
    assert "otlp.lost" not in daemon.log
    assert len(collector.invocations()) == 2


def test_a_collector_that_hangs_up_is_tried_again(mayfly):
    with Collector(Answer(close=True), Answer(close=True)) as collector:
        answer = start(mayfly, collector).get("/api/f")
        assert set(collector.wait_spans(1)) == {answer.request_id}


def test_a_slow_collector_holds_up_nothing(mayfly):
    with Collector(*[Answer(delay=3)] * 2) as collector:
        daemon = start(mayfly, collector, OTEL_EXPORTER_OTLP_TIMEOUT="1000")
        began = time.monotonic()
        ids = {daemon.get("/api/f?say=x").request_id for _ in range(20)}
        assert time.monotonic() - began < 50  # if each waited for the collector: 60
        assert set(collector.wait_spans(20)) == ids
        wait_until(lambda: "export.failed" in daemon.log)


def test_what_does_not_fit_is_lost_counted_and_told(mayfly):
    """A collector that never answers, and lines by the megabyte."""
    project = {"api/f.py": """
        def handler(event, context):
            for i in range(400):
                print("x" * 5000)
            return {"statusCode": 200, "body": "x"}
    """, "mayfly.json": {"functions": {"api/f": {"log": 8}}}}
    with Collector(*[Answer(delay=60, close=True)] * 50) as collector:
        daemon = start(mayfly, collector, project, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
        for _ in range(10):
            assert daemon.get("/api/f").status == 200
        line = wait_until(lambda: next((x for x in daemon.log.splitlines() if "otlp.lost" in x), None))
        assert "what=exported log lines n=" in line
        with open(f"/proc/{helper(daemon)}/status", encoding="ascii") as status:
            rss = next(int(x.split()[1]) for x in status if x.startswith("VmRSS"))
        assert rss < 64 * 1024
        kill(helper(daemon))  # or the end waits for the collector, as long as it may


def test_a_helper_that_is_killed_is_started_again(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        collector.wait_spans(1)
        pid = helper(daemon)
        kill(pid)
        wait_until(lambda: helper(daemon) not in (None, pid))
        answer = daemon.get("/api/f")
        assert answer.request_id in collector.wait_spans(2)
    assert "otlp.ended" in daemon.log


def test_a_stopped_helper_blocks_neither_requests_nor_the_end(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        collector.wait_spans(1)
        os.kill(helper(daemon), signal.SIGSTOP)
        for _ in range(10):
            assert daemon.get("/api/f?say=" + "y" * 2000).status == 200
        assert daemon.ps()["functions"]
        assert daemon.stop() == 0  # or it hangs


def test_the_helper_ends_with_control_and_nothing_is_lost(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        ids = set()
        for _ in range(3):
            pid = wait_until(lambda: helper(daemon))
            ids |= {daemon.get("/api/f").request_id for _ in range(10)}
            kill(programs(daemon)["control"])
            wait_until(lambda: not process.is_alive(pid))
        ids.add(daemon.get("/api/f").request_id)
        assert set(collector.wait_spans(31)) == ids


def test_a_helper_that_hangs_ends_with_the_daemon(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        collector.wait_spans(1)
        pid = helper(daemon)
        os.kill(pid, signal.SIGSTOP)
        daemon.stop(signal.SIGTERM)
        assert not process.is_alive(pid)


# ---- TLS, walls, and mistakes ----

@pytest.fixture(scope="module", name="certificate")
def make_certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key", "-out", folder / "cert"],
                   check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    folder.chmod(0o755)
    return folder


def test_tls_with_a_certificate_of_ones_own(mayfly, certificate):
    with Collector(certificate=certificate / "both.pem") as collector:
        daemon = start(mayfly, collector, OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificate / "cert"))
        answer = daemon.get("/api/f")
        assert set(collector.wait_spans(1)) == {answer.request_id}


def test_a_certificate_that_nobody_vouches_for_gets_nothing(mayfly, certificate):
    with Collector(certificate=certificate / "both.pem") as collector:
        daemon = start(mayfly, collector)
        daemon.get("/api/f")
        wait_until(lambda: "export.failed" in daemon.log)
        assert "certificate" in daemon.log.lower() and collector.requests == []


def test_the_helper_has_no_rights_that_it_does_not_need(mayfly):
    with Collector() as collector:
        daemon = start(mayfly, collector, AWS_SECRET_ACCESS_KEY="not its affair")
        daemon.get("/api/f")
        collector.wait_spans(1)
        pid = helper(daemon)
        status = dict(line.split(":\t", 1) for line in
                      pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0
        if not os.environ.get("MAYFLY_SANITIZED"):
            assert status["Seccomp"] == "2"
        if os.getuid() == 0:
            assert status["Uid"].split() == ["65534"] * 4 and status["Groups"].strip() in ("", "65534")
            environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            assert b"AWS_SECRET" not in environ
            assert sorted(os.listdir(f"/proc/{pid}/fd"))[:4] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://x/", "http://", "http://user:pw@host/", "http://a b/"])
def test_an_address_that_is_none_is_refused_at_the_start(tmp_path, url):
    (tmp_path / "api").mkdir()
    done = subprocess.run([MAYFLY, "serve", tmp_path, "--otlp", url, "--state", tmp_path / "s"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2 and "--otlp" in done.stderr


def test_a_variable_that_is_wrong_is_named_and_requests_go_on(mayfly):
    daemon = mayfly(PROJECT, "--otlp", "http://127.0.0.1:9", env={"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"})
    assert daemon.get("/api/f").status == 200
    wait_until(lambda: "OTEL_EXPORTER_OTLP_TIMEOUT" in daemon.log)
    assert daemon.get("/api/f").status == 200


def test_without_the_option_there_is_no_helper(mayfly):
    daemon = mayfly(PROJECT, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert daemon.get("/api/f").status == 200
    assert helper(daemon) is None


# ---- the real one ----

def test_a_real_collector_takes_it(mayfly, tmp_path):
    program = next((path for name in ("otelcol", "otelcol-contrib") if (path := shutil.which(name))), None)
    if not program:
        pytest.skip("no otelcol here (OpenTelemetry's collector)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config.yml").write_text(f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
""")
    with open(tmp_path / "log", "w+b") as log, subprocess.Popen(
            [program, "--config", f"file:{tmp_path}/config.yml"], stdout=log, stderr=log) as collector:
        try:
            daemon = start(mayfly, f"http://127.0.0.1:{port}")
            answer = daemon.get("/api/f?say=hello", {"traceparent": f"00-{TRACE}-{CALLER}-01"})
            daemon.get("/api/f?raise=1")

            def told():
                text = (tmp_path / "log").read_text(errors="replace")
                return text if "Body: Str(hello)" in text and "exception.type: Str(ValueError)" in text else None

            text = wait_until(told, "the collector has it")
        finally:
            collector.terminate()
    assert TRACE in text and CALLER in text and f"faas.invocation_id: Str({answer.request_id})" in text
    assert "SeverityText: INFO" in text and "Kind           : Server" in text
    assert "otlp.lost" not in daemon.log


def test_a_build_without_libcurl_says_what_it_lacks(tmp_path):
    project, home = tmp_path / "project", tmp_path / "home"
    (project / "api").mkdir(parents=True)
    (project / "api/f.py").write_text("def handler(event, context): pass\n")
    (home / "libexec").mkdir(parents=True)
    done = subprocess.run([MAYFLY, "serve", project, "--otlp", "http://127.0.0.1:4318", "--state", tmp_path / "state"],
                          env={**os.environ, "MAYFLY_HOME": str(home)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "libcurl" in done.stderr
    assert not (tmp_path / "state").exists()
