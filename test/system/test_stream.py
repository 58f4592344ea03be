"""The stream of events: what is told, to whom, and what comes of a reader that is away or slow."""
import pytest

from lib.events import Events
from test_api_contract import check

PROJECT = {
    "mayfly.json": {"functions": {
        "hello": {"handler": "code.handler", "routes": ["/hello"]},
        "other": {"handler": "code.handler", "routes": ["/other"]},
        "flood": {"handler": "code.flood", "routes": ["/flood"], "log": 4},
    }},
    "code.py": """
        def handler(event, context):
            print("a line")
            return {"statusCode": 200, "body": "hi"}
        def flood(event, context):
            for i in range(500):
                print("%04d" % i + "x" * 2000)
            return {"statusCode": 200, "body": "hi"}
    """,
}
FLOOD_LINES = 500


@pytest.mark.core
def test_records_and_lines_come_as_they_happen(mayfly):
    daemon = mayfly(PROJECT)
    with Events(daemon, "/api/v1/stream?events=live,record,log") as events:
        live = events.until("live")
        check({"$ref": "#/components/schemas/Live"}, live.data)
        assert {f["name"] for f in live.data["functions"]} == {"hello", "other", "flood"}
        answer = daemon.get("/hello")
        line = events.until("log").data["lines"][0]
        record = events.until("record").data["records"][0]
        assert record["request_id"] == line["request_id"] == answer.request_id
        check({"$ref": "#/components/schemas/Record"}, record)
        check({"$ref": "#/components/schemas/LogLine"}, line)
        assert daemon.ask("/api/v1/records/" + answer.request_id).json() == {
            **daemon.stored(answer), **record}


def test_a_reader_that_was_away_is_given_what_it_missed(mayfly):
    daemon = mayfly(PROJECT)
    with Events(daemon, "/api/v1/stream?events=record,log") as events:
        daemon.get("/hello")
        last = events.until("record")
    missed = [daemon.get("/hello").request_id for _ in range(3)]
    for request_id in missed:
        daemon.stored(request_id)
    with Events(daemon, "/api/v1/stream?events=record,log", {"Last-Event-ID": last.id}) as events:
        told = [events.until("record").data["records"][0]["request_id"] for _ in missed]
        assert sorted(told) == sorted(missed)
        lines = [events.until("log").data["lines"][0] for _ in range(3 * 2)]
        assert {line["request_id"] for line in lines} == set(missed)
        new = daemon.get("/hello").request_id
        assert events.until("record").data["records"][0]["request_id"] == new


def test_who_asks_for_one_function_or_request_hears_of_that_alone(mayfly):
    daemon = mayfly(PROJECT)
    with Events(daemon, "/api/v1/stream?events=record&function=other") as events:
        daemon.get("/hello")
        other = daemon.get("/other").request_id
        assert events.next().data["records"][0]["request_id"] == other


def test_a_reader_that_takes_nothing_holds_up_nobody_and_hears_how_much_it_missed(mayfly):
    daemon = mayfly(PROJECT)
    n = 6
    with Events(daemon, "/api/v1/stream?events=log&function=flood") as slow, \
            Events(daemon, "/api/v1/stream?events=record") as other:
        for _ in range(n):
            answer = daemon.get("/flood")
            other.until("record", lambda e, a=answer: any(
                r["request_id"] == a.request_id for r in e.data["records"]))
            daemon.stored(answer)
        # What the gateway could not hand on that fast, control has never seen.
        store = daemon.ask("/api/v1/system").json()
        lines = store["store"]["log_lines"]
        assert lines + sum(loss["n"] for loss in store["losses"]) == n * FLOOD_LINES
        told = omitted = gap = 0
        while told + omitted + gap < lines:
            event = slow.next()
            if event.name == "gap":
                gap += event.data["lines"]
            else:
                told += len(event.data["lines"])
                omitted += event.data["omitted"]
        assert gap > 0 and told > 0
        assert told + omitted + gap == lines


def test_live_counts_what_happened(mayfly):
    daemon = mayfly(PROJECT)
    n = 20
    for _ in range(n):
        daemon.get("/hello")
    with Events(daemon, "/api/v1/stream?events=live") as events:
        # Of ten whole seconds: those requests are in it, all at once, for a while.
        live = events.until("live", lambda e: abs(e.data["rate"] - n / 10) < 0.01)
        hello = next(f for f in live.data["functions"] if f["name"] == "hello")
        assert abs(hello["rate"] - n / 10) < 0.01
        assert hello["state"] == "warm" and hello["cold"] >= 1
        assert 0 < hello["p50_us"] <= hello["p90_us"] <= hello["p99_us"]
        assert any(p["kind"] == "zygote" and p["function"] == "hello" for p in live.data["processes"])
        assert hello["memory_bytes"] > 1 << 20
