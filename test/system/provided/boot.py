"""A runtime that talks to the Runtime API by hand, and does what the last part of the event's path says."""
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
API = "/2018-06-01/runtime/"


class Api:
    def __init__(self, family=socket.AF_INET, host=HOST):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.connect((host, int(PORT)))
        self.file = self.sock.makefile("rb")

    def read(self):
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers.get("content-length", 0)))

    def call(self, method, path, body=b"", **headers):
        lines = [f"{method} {path if path.startswith('/') else API + path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.read()

    def chunks(self, id, pieces, trailers=(), **headers):
        lines = [f"POST {API}invocation/{id}/response HTTP/1.1", "Host: x", "Transfer-Encoding: chunked",
                 "Lambda-Runtime-Function-Response-Mode: streaming"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        for piece in pieces:
            self.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.sock.sendall(b"0\r\n" + b"".join(b"%s: %s\r\n" % t for t in trailers) + b"\r\n")
        return self.read()


def simple(value):
    return json.dumps({"statusCode": 200, "body": json.dumps(value)}).encode()


PRELUDE = "application/vnd.awslambda.http-integration-response"
ERROR = base64.b64encode(json.dumps({"errorType": "Late", "errorMessage": "too late"}).encode())
TRAILERS = [(b"Lambda-Runtime-Function-Error-Type", b"Function.Late"), (b"Lambda-Runtime-Function-Error-Body", ERROR)]


def act(api, what, id, headers, event):
    post = f"invocation/{id}/response"
    if what == "wrong":
        wrong = api.call("POST", "invocation/other/response", b"no")
        again = api.call("GET", "invocation/next")
        api.call("POST", post, simple([wrong[0], json.loads(wrong[2]), again[0], json.loads(again[2])["errorMessage"]]))
    elif what == "twice":
        api.call("POST", post, b'"first"')
        print("second:", api.call("POST", post, b'"second"')[0], flush=True)
    elif what == "large":
        print("large:", api.call("POST", post, b"x" * 6291557)[0], flush=True)
    elif what == "cut":
        other = Api()
        other.sock.sendall(f"POST {API}{post} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc".encode())
        other.sock.shutdown(socket.SHUT_WR)
        api.call("POST", post, simple([other.read()[0]]))
    elif what == "garbage":
        other = Api()
        other.sock.sendall(b"\x00\x01 nothing\r\n\r\n")
        api.call("POST", post, simple([other.read()[0]]))
    elif what == "mode":
        print("mode:", api.call("POST", post, b"x", Lambda_Runtime_Function_Response_Mode="fast")[0], flush=True)
    elif what == "stream":
        api.chunks(id, [b'{"statusCode": 202, "headers": {"X-A": "b"}, "cookies": ["c=1"]}\0\0', b"\0" * 6 + b"one",
                        b" two"], Content_Type=PRELUDE)
    elif what == "stream-plain":
        api.chunks(id, [b"plain"], Content_Type="text/plain")
    elif what == "stream-error":
        api.chunks(id, [], TRAILERS, Content_Type="text/plain")
    elif what == "stream-late":
        api.chunks(id, [b"some"], TRAILERS, Content_Type="text/plain")
    elif what == "error":
        api.call("POST", f"invocation/{id}/error", json.dumps(
            {"errorType": "ValueError", "errorMessage": "broken", "stackTrace": ["at here"]}).encode())
    elif what == "exit":
        os._exit(int(event["queryStringParameters"]["code"]))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        time.sleep(3600)
    elif what == "leave":
        child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        api.call("POST", post, simple(child.pid))
    elif what == "six":
        other = Api(socket.AF_INET6, "::ffff:127.0.0.1")
        api.call("POST", post, simple(other.call("GET", "/2018-06-01/ping")[0]))
    elif what == "refused":
        with socket.socket() as s:
            s.settimeout(5)
            api.call("POST", post, simple(s.connect_ex(("127.0.0.1", 1))))
    elif what == "env":
        api.call("POST", post, simple({"env": dict(os.environ), "cwd": os.getcwd(), "headers": headers, "fds": sorted(
            map(int, os.listdir("/proc/self/fd")))}))
    elif what == "event":
        api.call("POST", post, simple(event))
    elif what == "text":
        api.call("POST", post, b"plain text")
    else:
        api.call("POST", post, simple({"pid": os.getpid(), "count": COUNT}))


mode = os.environ.get("MODE", "")
if mode == "exit":
    sys.exit(3)
if mode == "init-error":
    Api().call("POST", "init/error", b'{"errorType": "NoConfig", "errorMessage": "there is no config"}',
               Lambda_Runtime_Function_Error_Type="Runtime.NoConfig")
    sys.exit(1)
COUNT = 0
api = Api()
while True:
    _, headers, body = api.call("GET", "invocation/next")
    event = json.loads(body)
    COUNT += 1
    act(api, event.get("rawPath", "").rsplit("/", 1)[-1], headers["lambda-runtime-aws-request-id"], headers, event)
