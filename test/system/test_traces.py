"""W3C trace context: a request goes on with its caller's trace, or begins one; the record says which."""
import re

import pytest

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = f"00-{TRACE}-{SPAN}-00"
PROJECT = {
    "api/echo.py": """
        def handler(event, context):
            headers = event["headers"]
            return {"statusCode": 200, "headers": {"X-Parent": headers.get("traceparent", ""),
                                                   "X-State": headers.get("tracestate", "")}, "body": ""}
    """,
    "env.sh": ("""
        #!/bin/sh
        echo "$TRACEPARENT $HTTP_TRACEPARENT"
    """, 0o755),
    "mayfly.json": {"functions": {"env": {"handler": "env.sh", "runtime": "exec", "routes": ["/env"]}}},
}


def ids(traceparent):
    match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", traceparent)
    assert match, traceparent
    return match.groups()


@pytest.mark.core
def test_a_caller_s_trace_goes_on_and_stands_in_the_record(mayfly):
    daemon = mayfly(PROJECT)
    answer = daemon.get("/api/echo", {"Traceparent": CALLER, "Tracestate": "vendor=1"})
    trace, span, flags = ids(answer.headers["x-parent"])
    assert (trace, flags) == (TRACE, "00")  # not sampled stays so
    assert span != SPAN
    assert answer.headers["x-state"] == "vendor=1"
    record = daemon.record(answer)
    assert (record["trace_id"], record["span_id"], record["parent_span_id"]) == (TRACE, span, SPAN)
    assert record["memory_limit_bytes"] == 128 << 20


@pytest.mark.core
def test_without_a_trace_one_begins_that_nobody_else_has(mayfly):
    daemon = mayfly(PROJECT)
    answers = [daemon.get("/api/echo", {"tracestate": "of=nothing"}) for _ in range(3)]
    traces = [ids(a.headers["x-parent"]) for a in answers]
    assert len({t[0] for t in traces}) == len({t[1] for t in traces}) == 3
    assert [a.headers["x-state"] for a in answers] == ["", "", ""]
    record = daemon.record(answers[0])
    assert (record["trace_id"], record["span_id"], record["parent_span_id"]) == (*traces[0][:2], "")


@pytest.mark.parametrize("sent", [
    [f"ff-{TRACE}-{SPAN}-01"], [f"00-{TRACE.upper()}-{SPAN}-01"], [f"00-{'0' * 32}-{SPAN}-01"],
    [f"00-{TRACE}-{'0' * 16}-01"], [f"{CALLER}-more"], ["nonsense"], [""], [CALLER, CALLER]],
    ids=["version-ff", "upper-case", "zero-trace", "zero-span", "longer", "nonsense", "empty", "two"])
def test_what_is_no_traceparent_begins_a_trace(mayfly, sent):
    daemon = mayfly(PROJECT)
    lines = "".join(f"traceparent: {value}\r\n" for value in sent)
    answer = daemon.raw(f"GET /api/echo HTTP/1.1\r\nHost: x\r\n{lines}tracestate: a=1\r\n"
                        "Connection: close\r\n\r\n".encode()).decode()
    parent = re.search(r"(?im)^x-parent: *(\S*)\r$", answer).group(1)
    assert ids(parent)[0] != TRACE
    assert re.search(r"(?im)^x-state: *\r$", answer), answer


def test_a_program_finds_its_trace_in_the_environment(mayfly):
    daemon = mayfly(PROJECT)
    answer = daemon.get("/env", {"traceparent": CALLER})
    own, header = answer.text.split()
    assert own == header
    assert ids(own)[0] == TRACE
