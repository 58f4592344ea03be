"""One line on a terminal that says what goes on and how long it will take; else a line a phase."""

import sys
import time


class Progress:
    def __init__(self, stream=sys.stderr):
        self.stream = stream
        self.is_tty = stream.isatty()
        self.total = self.done = 0
        self.start = time.monotonic()
        self.phase = ""

    def say(self, text):
        self._show(text)

    def expect(self, steps):
        """A new phase of so many steps."""
        self.total, self.done, self.start = steps, 0, time.monotonic()

    def step(self, text):
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.start) / self.done * (self.total - self.done)
            left = f", {int(seconds // 60)}:{int(seconds % 60):02d} left"
        self._show(f"[{self.done}/{self.total}{left}] {text}")
        self.done += 1

    def _show(self, text):
        if self.is_tty:
            self.stream.write(f"\r\033[K{text[:110]}")
        elif (phase := text.split("] ")[-1].split(":")[0]) != self.phase:
            self.phase = phase
            self.stream.write(text.split(": ")[0] + "\n")
        self.stream.flush()

    def end(self):
        if self.is_tty:
            self.stream.write("\r\033[K")
