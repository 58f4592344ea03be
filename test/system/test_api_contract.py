"""share/openapi.json is what the API is: each path, parameter and answer is held against a running daemon."""
import json
import re
import subprocess
import time
import urllib.parse

import pytest

from lib.daemon import BUILD, ROOT

DESCRIPTION = json.loads((ROOT / "share/openapi.json").read_text())
# What the gateway answers by itself; all else is in the table of control.
GATEWAYS = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/version"), ("GET", "/metrics"),
    ("GET", "/api/v1/ps"), ("GET", "/api/v1/version"),
    ("POST", "/api/v1/functions/{name}/invoke"), ("POST", "/api/v1/requests/{id}/kill"),
}
PROJECT = {
    "mayfly.json": {
        "functions": {
            "hello": {"handler": "code.handler", "routes": ["/hello"], "env": {"GREETING": "hi"}},
            "bad": {"handler": "code.bad", "routes": ["/bad"], "records": {"count": 10}},
            "kept": {"handler": "code.handler", "routes": ["/kept"], "recording": 1},
        }
    },
    "code.py": """
        import json
        def handler(event, context):
            print("a line")
            print(json.dumps({"level": "info", "n": 3}))
            return {"statusCode": 200, "body": "hi"}
        def bad(event, context):
            raise ValueError("no")
    """,
}


def operations():
    """(method, path, operation, parameters by name)"""
    for path, item in DESCRIPTION["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete"):
                given = item.get("parameters", []) + operation.get("parameters", [])
                given = [resolve(p) for p in given]
                yield method.upper(), path, operation, {p["name"]: p for p in given}


def resolve(thing):
    while "$ref" in thing:
        target = DESCRIPTION
        for part in thing["$ref"][2:].split("/"):
            target = target[part]
        thing = target
    return thing


def check(schema, value):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    resolver = jsonschema.RefResolver.from_schema(DESCRIPTION)
    errors = list(jsonschema.Draft202012Validator(schema, resolver=resolver).iter_errors(value))
    assert not errors, "\n".join(f"{list(e.absolute_path)}: {e.message}" for e in errors[:5])


def check_answer(operation, answer):
    responses = operation["responses"]
    documented = responses.get(str(answer.status)) or responses.get("default")
    assert documented, f"{answer.status} is not documented: {answer}"
    content = resolve(documented).get("content", {})
    if "application/json" in content:
        assert answer.headers["content-type"] == "application/json"
        check(content["application/json"].get("schema", {}), answer.json())
    assert answer.status == 204 or "content-type" in answer.headers
    return answer


@pytest.fixture(name="daemon")
def busy_daemon(mayfly):
    """One that has carried out a few requests, which are stored."""
    daemon = mayfly(PROJECT)
    answers = [daemon.get("/hello"), daemon.get("/bad"), daemon.get("/kept"), daemon.get("/hello")]
    daemon.ids = [answer.request_id for answer in answers]
    for answer in answers:
        daemon.stored(answer)
    return daemon


def test_the_description_is_one(daemon):
    assert daemon.ask("/api/v1/openapi.json").json() == DESCRIPTION
    assert DESCRIPTION["openapi"].startswith("3.1.")
    names = [operation["operationId"] for _, _, operation, _ in operations()]
    assert len(names) == len(set(names))
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    for name, schema in DESCRIPTION["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema), name
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(DESCRIPTION)):
        resolve({"$ref": reference})


def test_what_there_is_and_what_is_described_are_the_same():
    table = json.loads(subprocess.run([BUILD / "libexec/mayfly-control", "--endpoints"], check=True,
                                      capture_output=True).stdout)
    served = {(e["method"], e["path"]): set(e["params"]) for e in table}
    described = {(method, path): {n for n, p in parameters.items() if p["in"] == "query"}
                 for method, path, _, parameters in operations()}
    for key in GATEWAYS:
        assert key in described and key not in served
        del described[key]
    assert described == served


EXAMPLES = {
    "function": "hello", "version": "0123", "request": "0123", "grep": "line",
    "since": str(int(time.time() - 600) * 1000000), "until": str(int(time.time() + 600) * 1000000), "min_us": "0", "max_us": "1000000000", "limit": "7", "cursor": None,
    "step": "3600", "events": "record,log", "code": None,
}


def example(name, schema):
    return schema["enum"][-1] if "enum" in schema else EXAMPLES[name]


def path_of(path, daemon):
    return (path.replace("{name}", "hello").replace("{id}", daemon.ids[2]).replace("{event}", "e%201"))


@pytest.mark.core
def test_each_answer_is_as_described(daemon):
    event = {"method": "POST", "path": "/x", "headers": {"a": "b"}, "body": "text"}
    assert daemon.ask("/api/v1/functions/hello/events/e%201", "PUT", event).status == 200
    assert daemon.ask("/api/v1/tokens", "POST", {"name": "one"}).status == 201
    for method, path, operation, parameters in operations():
        if method != "GET" or path in ("/login", "/api/v1/stream"):
            continue
        answer = check_answer(operation, daemon.ask(path_of(path, daemon)))
        assert answer.status == 200, (path, answer)
        for name, parameter in parameters.items():
            if parameter["in"] != "query" or example(name, parameter["schema"]) is None:
                continue
            value = urllib.parse.quote(example(name, parameter["schema"]))
            answer = check_answer(operation, daemon.ask(f"{path_of(path, daemon)}?{name}={value}"))
            assert answer.status == 200, (path, name, answer)


@pytest.mark.core
def test_what_is_not_described_is_refused(daemon):
    for method, path, operation, _ in operations():
        if (method, path) in GATEWAYS or method != "GET" or path == "/login":
            continue
        answer = check_answer(operation, daemon.ask(path_of(path, daemon) + "?nothing=1"))
        assert answer.status == 400, (path, answer)
        assert "nothing" in answer.json()["errorMessage"]
    for path in ("/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/records/x/y/z", "/api/v2/records",
                 "/api/v1/functions/", "/api/v1/functions//events"):
        answer = daemon.ask(path)
        assert (answer.status, answer.json()["errorType"]) == (404, "NotFound"), path


def test_other_methods_are_told_which_there_are(daemon):
    methods = {}
    for method, path, _, _ in operations():
        methods.setdefault(path, set()).add(method)
    for path, known in methods.items():
        if any((m, path) in GATEWAYS for m in known):
            continue
        allowed = known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set())
        for method in ("POST", "PUT", "DELETE", "PATCH", "GET", "OPTIONS"):
            if method in known:
                continue
            answer = daemon.ask(path_of(path, daemon), method)
            assert answer.status == (204 if method == "OPTIONS" else 405), (method, path, answer)
            assert set(answer.headers["allow"].split(", ")) == allowed


def test_head_is_get_without_a_body(daemon):
    for path in ("/api/v1/functions", "/api/v1/records", "/api/v1/openapi.json", "/"):
        get, head = daemon.ask(path), daemon.ask(path, "HEAD")
        assert (head.status, head.body) == (get.status, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_bad_parameters_are_named(daemon):
    for query, word in (("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"),
                        ("since=-1", "since"), ("outcome=fine", "outcome"), ("failed=yes", "failed"),
                        ("order=size", "order"), ("trigger=x", "trigger"), ("grep=%zz", "%HH"),
                        ("limit=1&limit=2", "twice"), ("cursor=nothing", "")):
        answer = daemon.ask("/api/v1/records?" + query)
        assert answer.status == 400, (query, answer)
        assert word in answer.json()["errorMessage"]
    assert daemon.ask("/api/v1/series?step=7").status == 400
    assert daemon.ask("/api/v1/series?since=0&until=2000000000000000").status == 400
    assert daemon.ask("/api/v1/usage?by=month").status == 400
    assert daemon.ask("/api/v1/stream?events=live,nothing").status == 400


def test_pages_hold_all_rows_once(daemon):
    wanted, seen, query = set(daemon.ids), [], "limit=1"
    while True:
        page = daemon.ask("/api/v1/records?" + query).json()
        seen += [record["request_id"] for record in page["records"]]
        if page["next"] is None:
            break
        query = "limit=1&cursor=" + urllib.parse.quote(page["next"])
    assert sorted(seen) == sorted(wanted)


def test_a_request_is_seen_whole(daemon):
    trace = daemon.ask("/api/v1/traces/" + daemon.ids[0]).json()
    assert trace["record"]["function"] == "hello"
    texts = [line["text"] for line in trace["logs"]]
    assert texts[:2] == ["a line", '{"level": "info", "n": 3}']
    assert trace["logs"][1]["fields"] == {"level": "info", "n": 3}
    assert "fields" not in trace["logs"][0]
    assert trace["traceparent"] == f"00-{trace['record']['trace_id']}-{trace['record']['span_id']}-01"
    report = trace["logs"][-1]
    assert report["stream"] == "system"
    record = trace["record"]
    match = re.fullmatch(r"REPORT RequestId: (\S+)\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\t"
                         r"Memory Size: (\d+) MB\tMax Memory Used: (\d+) MB\t(Init Duration: (\d+\.\d\d) ms\t)?",
                         report["text"])
    assert match, report
    assert match[1] == record["request_id"]
    assert abs(float(match[2]) - record["run_ns"] / 1e6) < 0.01
    assert int(match[3]) == -(-record["run_ns"] // 1000000)
    assert int(match[4]) == record["memory_limit_bytes"] >> 20
    assert int(match[5]) == -(-record["memory_peak_bytes"] >> 20)
    assert bool(match[6]) == (record["init_ns"] > 0)


def test_tokens_are_told_once_and_end_at_once(daemon):
    made = daemon.ask("/api/v1/tokens", "POST", {"name": "ci"})
    check(DESCRIPTION["paths"]["/api/v1/tokens"]["post"]["responses"]["201"]["content"]["application/json"]["schema"],
          made.json())
    token = made.json()["token"]
    assert daemon.ask("/api/v1/tokens", "POST", {"name": "ci"}).status == 409
    assert daemon.ask("/api/v1/tokens", "POST", {"name": "a/b"}).status == 400
    assert daemon.ask("/api/v1/tokens", "POST", "no JSON").status == 400
    listed = daemon.ask("/api/v1/tokens")
    assert [t["name"] for t in listed.json()["tokens"]] == ["ci"]
    assert token not in listed.text
    # At rest it is a hash.
    assert not any(token[3:].encode() in path.read_bytes() for path in daemon.state.glob("mayfly.db*"))
    assert daemon.ask("/api/v1/tokens/ci", "DELETE").status == 204
    assert daemon.ask("/api/v1/tokens/ci", "DELETE").status == 404


def test_saved_events_are_kept_and_replaced(daemon):
    path = "/api/v1/functions/hello/events/first"
    assert daemon.ask(path).status == 404
    assert daemon.ask(path, "PUT", {"method": "GET"}).status == 200
    assert daemon.ask(path, "PUT", {"method": "POST", "body": "x"}).status == 200
    assert daemon.ask(path).json() == {"name": "first", "method": "POST", "body": "x"}
    assert daemon.ask("/api/v1/functions/hello/events").json()["events"] == [daemon.ask(path).json()]
    for bad in ({"nothing": 1}, {"method": 1}, {"headers": {"a": 1}}, []):
        assert daemon.ask(path, "PUT", bad).status == 400, bad
    assert daemon.ask(path, "DELETE").status == 204
    assert daemon.ask(path).status == 404


def test_a_big_answer_is_compressed_where_that_is_taken(daemon):
    plain = daemon.ask("/api/v1/openapi.json")
    packed = daemon.ask("/api/v1/openapi.json", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = daemon.ask("/api/v1/openapi.json", headers={"Accept-Encoding": "gzip;q=0, br"})
    import gzip
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert len(packed.body) < len(plain.body) / 3
