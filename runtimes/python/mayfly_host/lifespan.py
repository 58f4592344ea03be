"""The lifespan of an ASGI application: what it opens ahead of its requests and closes behind them.

It runs in each worker, not in the zygote: an event loop, and what is connected on it, cannot be shared
by processes. A standby starts it up while it waits for its request, so no request waits for that.
An application that knows no lifespan fails at once when it is asked; that is its way to say so.
"""

import asyncio

_FAIL_S = 1  # for the application to end, once it has said that it failed


class LifespanError(Exception):
    """The application has said that it cannot start."""

    type = "Runtime.LifespanError"


class Lifespan:
    def __init__(self, app, loop, asgi):
        self.state = {}
        self.app = app
        self.loop = loop
        self.asgi = asgi
        self.error = None  # what the application ended with
        self.said = []     # the types of what it has sent
        self.message = ""
        self.asked = 0
        self.is_over = False
        self.changed = asyncio.Event()
        self.shutting_down = asyncio.Event()
        self.task = None

    async def start(self):
        """Returns when the application is ready, or knows no lifespan; raises why it cannot start."""
        self.task = asyncio.ensure_future(self._run())
        if hasattr(self.task, "set_name"):
            self.task.set_name("lifespan")
        while not self.is_over and not self.said:
            self.changed.clear()
            await self.changed.wait()
        if isinstance(self.error, (SystemExit, KeyboardInterrupt)):
            raise self.error
        if "lifespan.startup.failed" in self.said:
            await asyncio.wait([self.task], timeout=_FAIL_S)
            raise self.error or LifespanError(self.message or "the application did not start")

    async def end(self):
        """Returns when the application has shut down. Raises nothing, tells why it failed."""
        if self.is_over or "lifespan.startup.complete" not in self.said:
            return None
        self.shutting_down.set()
        while not self.is_over and len(self.said) < 2:
            self.changed.clear()
            await self.changed.wait()
        if "lifespan.shutdown.failed" in self.said:
            await asyncio.wait([self.task], timeout=_FAIL_S)
            return self.error or LifespanError(self.message or "the application did not shut down")
        return self.error

    async def _run(self):
        scope = {"type": "lifespan", "asgi": self.asgi, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as e:
            self.error = e
        finally:
            self.is_over = True
            self.changed.set()

    async def _receive(self):
        self.asked += 1
        if self.asked == 1:
            return {"type": "lifespan.startup"}
        await self.shutting_down.wait()
        if self.asked == 2:
            return {"type": "lifespan.shutdown"}
        return await asyncio.get_running_loop().create_future()

    async def _send(self, message):
        kind = message["type"]
        stage = "startup" if not self.said else "shutdown"
        if kind not in ("lifespan.%s.complete" % stage, "lifespan.%s.failed" % stage) or \
                len(self.said) > 1:
            raise RuntimeError("%r is not what the lifespan protocol expects here" % (kind,))
        self.said.append(kind)
        self.message = message.get("message", "")
        self.changed.set()
