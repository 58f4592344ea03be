"""Adds two integers, and takes its time over it."""
import os
import re
import time
from urllib.parse import unquote

SLEEP_SECONDS = float(os.environ.get("SLEEP_SECONDS", "3"))
INTEGER = r"[+-]?[0-9]{1,1000}"


def two_integers(event):
    """From ?any=1&names=2, or from the path: /sleep_and_sum/1+2. None if it is neither."""
    last = unquote(event.get("rawPath", "")).rstrip("/").rpartition("/")[2]
    pair = re.fullmatch(f"({INTEGER})[+]({INTEGER})", last)
    if pair:
        texts = pair.groups()
    elif last in ("", "sleep_and_sum"):
        query = event.get("rawQueryString", "")
        texts = [unquote(part.partition("=")[2]) for part in query.split("&") if part]
    else:
        return None
    if len(texts) != 2 or not all(re.fullmatch(INTEGER, text) for text in texts):
        return None
    return [int(text) for text in texts]


def text(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "text/plain; charset=utf-8"}, "body": body}


def sleep_and_sum(event, context):
    integers = two_integers(event)
    if integers is None:
        return text(400, "Please give two integers, as in /sleep_and_sum?num1=1&num2=2 or "
                         "/sleep_and_sum/1+2.\n")
    time.sleep(SLEEP_SECONDS)
    return text(200, str(sum(integers)))
