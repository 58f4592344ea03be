"""AWS Lambda's handler(event, context)."""
import base64

import probe


def handler(event, context):
    body = event.get("body") or ""
    body = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    headers = list(event["headers"].items())
    if event.get("cookies"):
        headers.append(("cookie", "; ".join(event["cookies"])))
    status, headers, pieces = probe.answer({
        "method": event["requestContext"]["http"]["method"], "path": event["rawPath"],
        "query": (event.get("queryStringParameters") or {}).items(), "headers": headers, "body": [body]})
    return {"statusCode": status, "headers": {n: v for n, v in headers if n != "Set-Cookie"},
            "cookies": [v for n, v in headers if n == "Set-Cookie"],
            "body": base64.b64encode(b"".join(pieces)).decode(), "isBase64Encoded": True}
