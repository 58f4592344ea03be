"""A function that tells what it was asked."""
import pytest

ECHO = """
    import json, os
    def handler(event, context):
        return {"statusCode": 200, "headers": {"Content-Type": "application/json", "X-Own": "own"},
                "body": json.dumps({"path": event["rawPath"], "query": event["rawQueryString"], "me": "%s",
                                    "env": dict(os.environ), "memory": context.memory_limit_in_mb,
                                    "left": context.get_remaining_time_in_millis()})}
"""


@pytest.fixture(scope="session")
def echo():
    return lambda name="": ECHO % name
