"""The same answer from a bare ASGI application."""

HELLO = b'{"hello":"mayfly"}\n'


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"),
                            (b"content-length", b"%d" % len(HELLO))]})
    await send({"type": "http.response.body", "body": HELLO})
