#!/usr/bin/env python3
"""A custom runtime for AWS Lambda, as small as they come: asks for events, calls py_lambda.handler."""
import http.client
import json
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")
sys.stderr.reconfigure(encoding="utf-8")
import py_lambda  # noqa: E402

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
RUNTIME = "/2018-06-01/runtime/invocation/"


def call(method, path, body=None, headers=None):
    api.request(method, RUNTIME + path, body, headers or {})
    response = api.getresponse()
    return response.headers, response.read()


while True:
    headers, event = call("GET", "next")
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        result = json.dumps(py_lambda.handler(json.loads(event), None))
        call("POST", f"{request}/response", result)
    except Exception as e:
        traceback.print_exc()
        call("POST", f"{request}/error", json.dumps({
            "errorType": type(e).__name__, "errorMessage": str(e), "stackTrace": traceback.format_tb(e.__traceback__)}),
            {"Lambda-Runtime-Function-Error-Type": f"Function.{type(e).__name__}"})
