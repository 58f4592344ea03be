"""A project whose functions print, fail, last and need CPU time, for tests of what is seen of them."""
import json

from .process import wait_until

PROJECT = {
    "mayfly.json": {"functions": {
        "hello": {"handler": "code.hello", "routes": ["/hello"]},
        "chatty": {"handler": "code.chatty", "routes": ["/chatty"]},
        "fail": {"handler": "code.fail", "routes": ["/fail"]},
        "slow": {"handler": "code.slow", "routes": ["/slow"], "timeout": 60},
        "busy": {"handler": "code.busy", "routes": ["/busy"], "memory": 256},
    }},
    "code.py": """
        import json, os, sys, time

        def asked(event, name, default=""):
            return (event.get("queryStringParameters") or {}).get(name, default)

        def hello(event, context):
            print("hello", asked(event, "name"))
            print("to stderr", file=sys.stderr)
            return {"statusCode": 200, "body": "hello"}

        def chatty(event, context):
            for i in range(int(asked(event, "n"))):
                print(f"line {i}")
            return {"statusCode": 200, "body": ""}

        def fail(event, context):
            raise ValueError("no such \\x1b[31mitem")

        def slow(event, context):
            print("begun")
            sys.stdout.flush()
            time.sleep(float(asked(event, "s", "60")))
            return {"statusCode": 200, "body": "done"}

        def busy(event, context):
            end = time.process_time() + float(asked(event, "s", "0.05"))
            while time.process_time() < end:
                pass
            return {"statusCode": 200, "body": ""}
    """,
}


def log_lines(daemon, *arguments):
    """The lines that `mayfly logs` tells, without mayfly's own."""
    told = daemon.cli("logs", *arguments, "--json").stdout.splitlines()
    return [line for line in map(json.loads, told) if line.get("stream") != "system"]


def wait_records(daemon, n, *arguments):
    """What `mayfly records` tells, once there are n."""
    def look():
        return json.loads(daemon.cli("records", *arguments, "--json", "-n", "1000").stdout)["records"]

    if n > 0:
        wait_until(lambda: len(look()) >= n, f"{n} records")
    return look()


def wait_lines(daemon, n, *arguments):
    def look():
        found = log_lines(daemon, *arguments)
        return found if len(found) >= n else None

    return wait_until(look, f"{n} log lines of {arguments}")
