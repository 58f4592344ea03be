"""A program on a terminal, as somebody in front of it sees it: keys in, a screen of characters out."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from .process import wait_until

SECONDS = 60  # only a hang takes as long


def emulator(columns, rows):
    """(screen, stream) of pyte, with what it lacks and ncurses uses: scrolling, and a character repeated."""
    pyte = pytest.importorskip("pyte", reason="python3-pyte is not installed")

    class Screen(pyte.Screen):
        last = " "

        def draw(self, data):
            self.last = data[-1:] or self.last
            super().draw(data)

        def repeat(self, count=1):
            self.draw(self.last * (count or 1))

        def _at_the_top(self, what, count):
            y, x = self.cursor.y, self.cursor.x
            self.cursor.y = self.margins.top if self.margins else 0
            what(count or 1)
            self.cursor.y, self.cursor.x = y, x

        def scroll_up(self, count=1):
            self._at_the_top(self.delete_lines, count)

        def scroll_down(self, count=1):
            self._at_the_top(self.insert_lines, count)

    class Stream(pyte.ByteStream):
        csi = {**pyte.ByteStream.csi, "b": "repeat", "S": "scroll_up", "T": "scroll_down"}
        events = pyte.ByteStream.events | {"repeat", "scroll_up", "scroll_down"}

    screen = Screen(columns, rows)
    return screen, Stream(screen)


class Terminal:
    """Runs a command with a terminal of that size as its own. `raw` are all bytes that it has written."""

    def __init__(self, *command, env, columns=100, rows=30):
        self.screen, self.stream = emulator(columns, rows)
        self.raw = b""
        self.lock = threading.Lock()
        self.master, self.slave = pty.openpty()
        self._set_size(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        steering = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        env = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **steering, **env}
        self.process = subprocess.Popen(list(map(str, command)), stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, env=env, preexec_fn=self._own_terminal)
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @staticmethod
    def _own_terminal():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self):
        # The slave stays open here, so that what was written last is not lost: a reader has to be told of the end.
        while not self.ended.is_set() or select.select([self.master], [], [], 0)[0]:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self.lock:
                self.raw += data
                self.stream.feed(data)

    @property
    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    def row(self, beginning):
        """The line that begins so, blanks aside."""
        return next((line for line in self.lines if line.lstrip().startswith(beginning)), None)

    def at(self, y, x):
        """A cell, with its colours."""
        with self.lock:
            return self.screen.buffer[y][x]

    def keys(self, text):
        os.write(self.master, text.encode())

    def wait(self, *texts, without=()):
        """Until all texts are on the screen, and none of `without`."""
        def there():
            text = self.text
            return all(t in text for t in texts) and not any(t in text for t in without)

        try:
            wait_until(there, seconds=SECONDS)
        except AssertionError:
            raise AssertionError(f"not on the screen: {texts} without {without}\n{self.text}\n{self.raw[-500:]}") from None

    def resize(self, columns, rows):
        with self.lock:
            self.screen.resize(rows, columns)
        self._set_size(columns, rows)  # the kernel sends SIGWINCH

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self):
        """Its exit code; all that it has written has been read."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.text}") from None
        self.ended.set()
        self.reader.join(SECONDS)
        return code

    def is_restored(self):
        """Whether the terminal is as it was: its modes, the cursor, the other screen left."""
        left, entered = self.raw.rfind(b"\x1b[?1049l"), self.raw.rfind(b"\x1b[?1049h")
        return (termios.tcgetattr(self.slave) == self.before and left > entered
                and not self.screen.cursor.hidden)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.ended.set()
        self.reader.join(SECONDS)
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal():
    made = []

    def start(*command, **more):
        made.append(Terminal(*command, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()
