"""An ASGI application."""
from urllib.parse import parse_qsl

import probe


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = [], True
    while more and not scope["path"].endswith("/upload"):
        message = await receive()
        body.append(message.get("body", b""))
        more = message.get("more_body", False)
    request = {"method": scope["method"], "path": scope["path"],
               "query": parse_qsl(scope["query_string"].decode(), keep_blank_values=True),
               "headers": [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]], "body": body}
    if scope["path"].endswith("/upload"):
        status, headers, pieces = 200, [probe.TEXT], [await upload(receive)]
    else:
        status, headers, pieces = probe.answer(request)
    await send({"type": "http.response.start", "status": status,
                "headers": [(n.encode(), v.encode()) for n, v in headers]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def upload(receive):
    import hashlib
    sha, total, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        sha.update(message.get("body", b""))
        total += len(message.get("body", b""))
        more = message.get("more_body", False)
    return f"{total} {sha.hexdigest()}".encode()
