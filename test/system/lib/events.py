"""Server-sent events of the admin interface."""
import json
import time

from .http import HANG_SECONDS, Connection


class Event:
    def __init__(self, name, ident, data):
        self.name = name
        self.id = ident
        self.data = data

    def __repr__(self):
        return f"<{self.name} {self.id} {str(self.data)[:300]}>"


class Events:
    """An open stream of a daemon, by its unix socket."""

    def __init__(self, daemon, target, headers=None):
        self.connection = Connection(str(daemon.state / "mayfly.sock"))
        lines = [f"GET {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.connection.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        head = self.connection._until(b"\r\n\r\n").decode()
        assert head.startswith("HTTP/1.1 200"), head
        assert "content-type: text/event-stream" in head.lower(), head

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """The next event; comments and the like are passed over."""
        end = time.monotonic() + HANG_SECONDS
        while time.monotonic() < end:
            fields = {}
            for line in self.connection._until(b"\n\n").decode().split("\n"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            if "data" in fields:
                return Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
        raise AssertionError(f"no event within {HANG_SECONDS} s")

    def until(self, name, fits=lambda event: True, seconds=HANG_SECONDS):
        """The next event of that name that fits."""
        end = time.monotonic() + seconds
        seen = []
        while time.monotonic() < end:
            event = self.next()
            seen.append(event)
            if event.name == name and fits(event):
                return event
        raise AssertionError(f"no {name} that fits within {seconds} s: {seen[-5:]}")
