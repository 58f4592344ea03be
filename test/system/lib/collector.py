"""A stand-in for an OpenTelemetry collector that takes nothing on trust: each request is checked field
by field by the rules of OTLP/HTTP in JSON (protobuf's mapping, with OTLP's own for ids)."""
import gzip
import json
import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .process import wait_until

U64 = re.compile(r"0|[1-9][0-9]{0,19}")
I64 = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def text(value):
    assert isinstance(value, str), value
    value.encode()  # no half of a surrogate pair


def hex_id(digits):
    def check(value):
        assert re.fullmatch(r"[0-9a-f]{%d}" % digits, value) and set(value) != {"0"}, value
    return check


def nanoseconds(value):
    assert isinstance(value, str) and U64.fullmatch(value), value
    assert 10**18 < int(value) < 2**64, value


def number(low, high):
    def check(value):
        assert isinstance(value, int) and not isinstance(value, bool) and low <= value <= high, value
    return check


def int64(value):
    assert isinstance(value, str) and I64.fullmatch(value) and -2**63 <= int(value) < 2**63, value


def boolean(value):
    assert isinstance(value, bool), value


def double(value):
    assert isinstance(value, (int, float)) and not isinstance(value, bool), value


def list_of(check):
    def check_all(values):
        assert isinstance(values, list), values
        for value in values:
            check(value)
    return check_all


def message(required, **optional):
    """An object with these fields and no others."""
    fields = {**required, **optional}

    def check(value):
        assert isinstance(value, dict), value
        assert set(required) <= set(value) <= set(fields), (sorted(value), sorted(fields))
        for key, one in value.items():
            fields[key](one)
    return check


def any_value(value):
    assert isinstance(value, dict) and len(value) == 1, value
    message({}, stringValue=text, intValue=int64, boolValue=boolean, doubleValue=double)(value)


def attributes(values):
    list_of(message({"key": text, "value": any_value}))(values)
    keys = [value["key"] for value in values]
    assert all(keys) and len(keys) == len(set(keys)), f"keys are unique: {keys}"


EVENT = message({"timeUnixNano": nanoseconds, "name": text}, attributes=attributes)
STATUS = message({"code": number(0, 2)}, message=text)
SPAN = message({"traceId": hex_id(32), "spanId": hex_id(16), "name": text, "kind": number(0, 5),
                "startTimeUnixNano": nanoseconds, "endTimeUnixNano": nanoseconds},
               parentSpanId=hex_id(16), flags=number(0, 2**32 - 1), attributes=attributes,
               events=list_of(EVENT), status=STATUS)
LOG = message({"timeUnixNano": nanoseconds, "observedTimeUnixNano": nanoseconds,
               "severityNumber": number(1, 24), "severityText": text, "body": any_value},
              attributes=attributes, traceId=hex_id(32), spanId=hex_id(16), flags=number(0, 2**32 - 1))
RESOURCE = message({"attributes": attributes})
SCOPE = message({"name": text, "version": text})
TRACES = message({"resourceSpans": list_of(message({
    "resource": RESOURCE, "scopeSpans": list_of(message({"scope": SCOPE, "spans": list_of(SPAN)}))}))})
LOGS = message({"resourceLogs": list_of(message({
    "resource": RESOURCE, "scopeLogs": list_of(message({"scope": SCOPE, "logRecords": list_of(LOG)}))}))})
KINDS = {"/v1/traces": (TRACES, "resourceSpans", "scopeSpans", "spans"),
         "/v1/logs": (LOGS, "resourceLogs", "scopeLogs", "logRecords")}


def plain(values):
    """Attributes as a dict of Python values."""
    result = {}
    for one in values:
        (kind, value), = one["value"].items()
        result[one["key"]] = int(value) if kind == "intValue" else value
    return result


class Answer:
    """How a request is answered; `close` means not at all."""

    def __init__(self, status=200, body=b"{}", headers=None, delay=0, close=False):
        self.status, self.body, self.headers = status, body, headers or {}
        self.delay, self.close = delay, close


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):  # pylint: disable=invalid-name
        collector = self.server.collector
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = collector.take(self.path, dict(self.headers.items()), body)
        time.sleep(answer.delay)
        if answer.close:
            self.close_connection = True
            return
        try:
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            pass  # it has not waited


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Collector:
    """with Collector() as collector: ... `answers` are used up one by one, then all is well."""

    def __init__(self, *answers, port=0, certificate=None):
        self.answers = list(answers)
        self.requests = []  # (path, headers) of each
        self.wrong = []     # what broke the rules
        self.spans, self.logs = [], []  # of the requests that were answered 2xx: (resource, one)
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.collector = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.server.shutdown()
        self.server.server_close()
        assert kind or not self.wrong, self.wrong[0]

    def take(self, path, headers, body):
        headers = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            self.requests.append((path, headers))
            try:
                found = self.read(path, headers, body)
            except Exception as error:  # pylint: disable=broad-except
                self.wrong.append(f"{path}: {type(error).__name__} {error}: {body[:300]}")
                return Answer(400)
            answer = self.answers.pop(0) if self.answers else Answer()
            if callable(answer):
                answer = answer(path)
            if 200 <= answer.status < 300 and not answer.close:
                (self.spans if path == "/v1/traces" else self.logs).extend(found)
            return answer

    def read(self, path, headers, body):
        assert headers["content-type"] == "application/json", headers
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        else:
            assert "content-encoding" not in headers
        check, resources, scopes, ones = KINDS[path]

        def no_twins(pairs):
            assert len(pairs) == len(dict(pairs)), pairs
            return dict(pairs)

        data = json.loads(body.decode(), object_pairs_hook=no_twins)
        check(data)
        return [(plain(resource["resource"]["attributes"]), one) for resource in data[resources]
                for scope in resource[scopes] for one in scope[ones]]

    # ---- looking at it ----

    def wait_spans(self, n, seconds=30):
        """As soon as there are n invocations: {request id: (resource, span, {name: child})}."""
        return wait_until(lambda: self.invocations() if len(self.invocations()) >= n else None,
                          f"{n} invocations", seconds)

    def wait_logs(self, n, seconds=30):
        return wait_until(lambda: self.logs if len(self.logs) >= n else None, f"{n} log records", seconds)

    def invocations(self):
        found = {}
        with self.lock:
            for resource, span in self.spans:
                request = plain(span.get("attributes", [])).get("faas.invocation_id")
                if request:
                    children = {s["name"]: s for _, s in self.spans if s.get("parentSpanId") == span["spanId"]}
                    found[request] = resource, span, children
        return found
