"""Asks another service, and hands on what it says. Here that is our own /api/hello."""
import os
import urllib.error
import urllib.parse
import urllib.request

try:
    import requests
except ImportError:
    requests = None

UPSTREAM = os.environ.get("UPSTREAM_URL") or os.environ["MAYFLY_URL"] + "/api/hello"


def fetch(url):
    """(status, text)"""
    if requests:
        response = requests.get(url, timeout=10)
        return response.status_code, response.text
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "relay")
    try:
        status, text = fetch(UPSTREAM + "?" + urllib.parse.urlencode({"name": name}))
    except OSError as error:
        return {"statusCode": 502, "body": f"The other service cannot be reached: {error}\n"}
    return {"statusCode": status, "headers": {"X-Upstream-Status": str(status)}, "body": text}
