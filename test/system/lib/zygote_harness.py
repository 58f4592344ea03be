"""Drives one zygote without the daemon: plays the supervisor (START, READY or FAILED) and the gateway
(FORK, WORKER_STARTED, WORKER_ENDED) over the two channels, and speaks HTTP/1.1 to its workers.

    with Zygote(argv, cwd, handler="sums.sleep_and_sum") as z:
        worker = z.fork()
        reply = worker.request("GET", "/?a=1")
        assert reply.status == 200
        ended = worker.end()           # rusage, wait status, stdout, stderr

The messages are read from src/wire/messages.tbl.h, so that they cannot drift away from it.
"""

import array
import fcntl
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FD_CONTROL, FD_GATEWAY = 4, 5
STACK_MARK = b"\x1estack\n"
PATIENCE_S = 30


def lib_dir():
    """Where the build has put the runtimes: MAYFLY_LIB, else build/lib."""
    return Path(os.environ.get("MAYFLY_LIB", ROOT / "build" / "lib")).resolve()


def interpreters():
    """(path, minor version) of the CPythons to test with, each once: MAYFLY_TEST_PYTHONS (separated
    by ':'), else every python3.X on PATH."""
    named = os.environ.get("MAYFLY_TEST_PYTHONS", "").split(":")
    named = [p for p in named if p] or filter(None, (shutil.which("python3.%d" % minor)
                                                     for minor in range(8, 20)))
    found = {}
    for path in named:
        run = subprocess.run([path, "-c", "import sys; print(sys.executable, *sys.version_info[:2])"],
                             capture_output=True, text=True)
        if run.returncode == 0:
            executable, major, minor = run.stdout.split()
            found.setdefault(os.path.realpath(executable), (executable, int(minor)))
    return sorted(found.values(), key=lambda item: item[1])


# ---- the wire ----


def _read_table():
    text = (ROOT / "src/wire/messages.tbl.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    messages = re.findall(r"MSG\((\w+),\s*\w+,\s*\w+,\s*\w+,\s*(\d+),((?:\s*F\(\w+,\s*\w+\)|\s*NOTHING)+)\s*\)",
                          text)
    table = {}
    for number, (name, n_fds, fields) in enumerate(messages, 1):
        table[name] = (number, int(n_fds), re.findall(r"F\((\w+),\s*(\w+)\)", fields))
    return table


MESSAGES = _read_table()
NAMES = {number: name for name, (number, _, _) in MESSAGES.items()}


def encode(name, **values):
    number, _, fields = MESSAGES[name]
    out = struct.pack("<I", number)
    for kind, field in fields:
        value = values.pop(field)
        if kind == "str":
            value = value if isinstance(value, bytes) else value.encode()
            out += struct.pack("<I", len(value)) + value
        else:
            out += struct.pack("<I" if kind == "u32" else "<Q", value)
    assert not values, "%s has no %s" % (name, ", ".join(values))
    return out


def decode(data):
    (number,) = struct.unpack_from("<I", data)
    name, at, values = NAMES[number], 4, {}
    for kind, field in MESSAGES[name][2]:
        if kind == "str":
            (length,) = struct.unpack_from("<I", data, at)
            values[field] = data[at + 4:at + 4 + length]
            assert len(values[field]) == length
            at += 4 + length
        else:
            form = "<I" if kind == "u32" else "<Q"
            (values[field],) = struct.unpack_from(form, data, at)
            at += struct.calcsize(form)
    assert at == len(data), "%s has %d bytes too many" % (name, len(data) - at)
    return name, values


class Channel:
    """Our end of a SEQPACKET socketpair."""

    def __init__(self):
        self.sock, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs.setblocking(False)  # as wire_pair() makes them

    def send(self, name, fds=(), **values):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([encode(name, **values)], rights)

    def receive(self, timeout=PATIENCE_S):
        """Returns (name, values, fds), or None when the peer has closed."""
        if not select.select([self.sock], [], [], timeout)[0]:
            raise TimeoutError("the zygote says nothing")
        try:
            data, ancillary, _, _ = self.sock.recvmsg(1 << 18, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            return None
        if not data:
            return None
        fds = array.array("i")
        for _, _, bytes_ in ancillary:
            fds.frombytes(bytes_)
        return decode(data) + (list(fds),)


class LoadFailed(Exception):
    """The zygote could not load the function. `.error` is its JSON."""

    def __init__(self, error, log):
        super().__init__(error)
        self.text = error
        self.log = log
        try:
            self.error = json.loads(error)
        except ValueError:
            self.error = {}


class _Reader:
    """Collects what comes out of a pipe."""

    def __init__(self, fd):
        self.data = b""
        self.fd = fd
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with os.fdopen(self.fd, "rb", buffering=0) as pipe:
            while True:
                piece = pipe.read(65536)
                if not piece:
                    return
                self.data += piece

    def all(self, timeout=PATIENCE_S):
        self.thread.join(timeout)
        return self.data

    def wait_for(self, what, timeout=PATIENCE_S):
        end = time.monotonic() + timeout
        while what not in self.data:
            assert time.monotonic() < end, "%r did not come: %r" % (what, self.data)
            time.sleep(0.005)


# ---- the two sides ----


def sandbox_worker(own_pid_namespace):
    """What of the sandbox is each worker's own (src/sandbox/plan.c): here nothing but a namespace."""
    CLONE_NEWPID = 0x20000000
    return struct.pack("<9QI", CLONE_NEWPID if own_pid_namespace else 0, *[0] * 9)


class Zygote:
    def __init__(self, argv, cwd, handler="", function="f", version="0123456789abcdef",
                 isolation="request", dev=False, timeout_ms=30000, memory_bytes=128 << 20, env=None,
                 own_pid_namespace=False, wait=True):
        self.control, self.gateway = Channel(), Channel()
        self.n_workers = 0
        self.started, self.ended, self.failed = {}, {}, {}
        log_read, log_write = os.pipe()
        ends = [fcntl.fcntl(c.theirs.fileno(), fcntl.F_DUPFD, 100) for c in (self.control, self.gateway)]

        def place_fds():
            os.dup2(ends[0], FD_CONTROL)
            os.dup2(ends[1], FD_GATEWAY)

        # As the supervisor does it: the zygote is PID 1 of a namespace.
        prefix = ["unshare", "--pid", "--fork", "--kill-child"] if own_pid_namespace else []
        self.process = subprocess.Popen(
            prefix + [str(a) for a in argv], cwd=str(cwd), stdin=subprocess.DEVNULL, stdout=log_write,
            stderr=log_write, pass_fds=(FD_CONTROL, FD_GATEWAY), preexec_fn=place_fds,
            env=dict(os.environ if env is None else env))
        for fd in ends + [log_write]:
            os.close(fd)
        self.control.theirs.close()
        self.gateway.theirs.close()
        self._log = _Reader(log_read)
        self.control.send("START", function=function, version=version, handler=handler,
                          isolation={"request": 0, "instance": 1}[isolation], dev=int(dev),
                          timeout_ms=timeout_ms, memory_bytes=memory_bytes,
                          sandbox=sandbox_worker(own_pid_namespace))
        if wait:
            self.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    @property
    def log(self):
        """What it wrote while it loaded."""
        return self._log.data.decode("utf-8", "replace")

    def wait_log(self, text):
        self._log.wait_for(text.encode())

    def wait_ready(self):
        message = self.control.receive()
        if message is None or message[0] == "FAILED":
            self.close()
            raise LoadFailed(message[1]["error"].decode("utf-8", "replace") if message else "",
                             self._log.all().decode("utf-8", "replace"))
        assert message[0] == "READY"

    def fork(self):
        """Returns a new Worker (a standby, until it is sent a request)."""
        self.n_workers += 1
        number = self.n_workers
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        fds = [theirs.fileno(), out_write, err_write]
        self.gateway.send("FORK", fds, worker=number)
        theirs.close()
        os.close(out_write)
        os.close(err_write)
        self._pump(lambda: number in self.started or number in self.failed)
        if number in self.failed:
            os.close(out_read)
            os.close(err_read)
            raise OSError(self.failed[number], "the zygote cannot fork")
        return Worker(self, number, ours, self.started[number], _Reader(out_read), _Reader(err_read))

    def request(self, method="GET", target="/", headers=(), body=None, **more):
        """A worker, one request, and its end. Returns the reply, with `.ended` set."""
        worker = self.fork()
        reply = worker.request(method, target, headers, body, **more)
        reply.ended = worker.end()
        return reply

    def _pump(self, until):
        while not until():
            message = self.gateway.receive()
            assert message is not None, "the zygote has gone: " + self.log
            name, values, fds = message
            worker = values.pop("worker")
            if name == "WORKER_STARTED":
                self.started[worker] = fds[0]
            elif name == "WORKER_ENDED":
                self.ended[worker] = values
            else:
                self.failed[worker] = values["error"]

    def wait_ended(self, number):
        self._pump(lambda: number in self.ended)
        return self.ended[number]

    def close(self):
        """Ends it, as the supervisor does: by closing the channel. Returns its exit code."""
        self.control.sock.close()
        self.gateway.sock.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Reply:
    """A worker's answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()
        self.ended = None

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The JSON of an unhandled error."""
        assert self.status == 500 and self.get("Mayfly-Error") == "Unhandled", (
            self.status, self.headers, self.body)
        return self.json


class Ended:
    """What is left of a worker."""

    def __init__(self, values, stdout, stderr):
        self.__dict__.update(values)
        self.stdout = stdout.decode("utf-8", "replace")
        self.stderr = stderr.decode("utf-8", "replace")
        self.exit_code = os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None
        self.signal = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    @property
    def stack(self):
        """What it said behind the mark, or None."""
        _, mark, text = self.stderr.partition(STACK_MARK.decode())
        return text if mark else None


class Worker:
    def __init__(self, zygote, number, sock, pidfd, stdout, stderr):
        self.zygote = zygote
        self.number = number
        self.sock = sock
        self.pidfd = pidfd
        self.stdout = stdout
        self.stderr = stderr
        sock.settimeout(PATIENCE_S)

    def send_head(self, method="GET", target="/", headers=(), length=None, chunked=False,
                  request_id="00000000-0000-7000-8000-000000000000", trigger="http",
                  timeout_ms=30000):
        """Sends a head as the gateway writes it."""
        lines = ["%s %s HTTP/1.1" % (method, target)]
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if not any(k.lower() == "host" for k, _ in headers):
            headers.insert(0, ("Host", "localhost"))
        if length is not None:
            headers.append(("Content-Length", str(length)))
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        headers += [("Mayfly-Request-Id", request_id), ("Mayfly-Function", "f"),
                    ("Mayfly-Version", "0123456789abcdef"), ("Mayfly-Trigger", trigger),
                    ("Mayfly-Deadline-Ms", str(int(time.time() * 1000) + timeout_ms))]
        lines += ["%s: %s" % pair for pair in headers]
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode("latin-1"))

    def send_chunk(self, data):
        self.sock.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def end_chunks(self):
        self.sock.sendall(b"0\r\n\r\n")

    def request(self, method="GET", target="/", headers=(), body=None, chunked=False, **more):
        """Sends a whole request and reads the whole reply. `body` may be a list with `chunked`."""
        if chunked:
            self.send_head(method, target, headers, chunked=True, **more)
            for piece in [body] if isinstance(body, bytes) else body:
                self.send_chunk(piece)
            self.end_chunks()
        else:
            self.send_head(method, target, headers, length=None if body is None else len(body), **more)
            if body:
                # A worker that answers before it has read everything must not make us hang.
                sender = threading.Thread(target=self._send, args=(body,), daemon=True)
                sender.start()
        return self.read_reply(method)

    def _send(self, body):
        try:
            self.sock.sendall(body)
        except OSError:
            pass

    def open_reply(self, method="GET"):
        """The head of the reply, as an http.client.HTTPResponse whose body can be read on."""
        response = http.client.HTTPResponse(self.sock, method=method)
        response.begin()
        return response

    def read_reply(self, method="GET"):
        return Reply(self.open_reply(method))

    def raw_reply(self):
        """Every byte until the worker closes."""
        data = b""
        while True:
            piece = self.sock.recv(65536)
            if not piece:
                return data
            data += piece

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def hang_up(self):
        self.sock.close()

    def end(self):
        """Waits for the worker's end. Returns an Ended."""
        values = self.zygote.wait_ended(self.number)
        self.sock.close()
        os.close(self.pidfd)
        return Ended(values, self.stdout.all(), self.stderr.all())
