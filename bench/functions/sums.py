"""Sleeps three seconds, then adds: what a thousand concurrent requests do."""

import time
from urllib.parse import parse_qs

SLEEP_SECONDS = 3


def sleep_and_sum(a, b):
    time.sleep(SLEEP_SECONDS)
    return a + b


def app(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    body = str(sleep_and_sum(int(query["a"][0]), int(query["b"][0]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
