"""A process of its own for every request: what differs, what does not leak, what works inside."""
import os
import shutil

import pytest

from lib.zygote_harness import lib_dir


def answers(z, n=4):
    """The replies of n workers that are all alive at once."""
    workers = [z.fork() for _ in range(n)]
    replies = [w.request().json for w in workers]
    for w in workers:
        assert w.end().exit_code == 0
    return replies


def test_state_does_not_leak(zygote):
    z = zygote("m.f", """
import os, sys
state = []
def f(event, context):
    state.append(1)
    os.environ["SEEN"] = str(int(os.environ.get("SEEN", 0)) + 1)
    sys.path.append("x")
    os.chdir("/")
    return [len(state), os.environ["SEEN"], sys.path.count("x")]
""")
    assert answers(z) == [[1, "1", 1]] * 4


def test_instance_keeps_state_and_its_loop(zygote):
    z = zygote("m.f", """
import asyncio
state = {"n": 0, "loop": None}
async def f(event, context):
    state["n"] += 1
    same = state["loop"] in (None, asyncio.get_running_loop())
    state["loop"] = asyncio.get_running_loop()
    if state["n"] == 3:
        raise ValueError("third")
    return [state["n"], same]
""", isolation="instance")
    worker = z.fork()
    assert worker.request().json == [1, True]
    assert worker.request("POST", "/", body=b"not read" * 10000).json == [2, True]
    assert worker.request().error["errorMessage"] == "third"
    assert worker.request().json == [4, True]
    worker.sock.shutdown(1)
    assert worker.end().exit_code == 0


def test_instance_ends_with_sys_exit(zygote):
    z = zygote("m.f", "import sys\ndef f(e, c): sys.exit(2)", isolation="instance")
    worker = z.fork()
    assert worker.request().error["errorType"] == "Runtime.ExitError"
    assert worker.end().exit_code == 1


def test_instance_wsgi_and_class_answer_again_and_again(zygote):
    for handler, path in (("wsgi_app", b"/x"), ("web", b"/x")):
        worker = zygote(handler, isolation="instance").fork()
        for _ in range(5):
            assert worker.request(target="/x").body == path
        worker.sock.shutdown(1)
        worker.end()


# ---- randomness ----

RANDOM = {
    "random": "import random\ndraw = random.random",
    "random, imported and seeded": "import random\nrandom.seed(1)\ndraw = random.random",
    "os.urandom": "import os\ndraw = lambda: os.urandom(8).hex()",
    "uuid4": "import uuid\ndraw = lambda: str(uuid.uuid4())",
    "uuid1": "import uuid\nuuid.uuid1()\ndraw = lambda: str(uuid.uuid1())",
    "secrets": "import secrets\nsecrets.token_hex()\ndraw = secrets.token_hex",
    "tempfile": "import tempfile\ntempfile.mktemp()\ndraw = tempfile.mktemp",
    "ssl": "import ssl\nssl.RAND_bytes(8)\ndraw = lambda: ssl.RAND_bytes(8).hex()",
    "cryptography": "from cryptography.hazmat.primitives.asymmetric import ec\n"
                    "draw = lambda: str(ec.generate_private_key(ec.SECP256R1()).private_numbers()"
                    ".private_value)\ndraw()",
    "libcrypto": "import ctypes, ctypes.util\nname = ctypes.util.find_library('crypto')\n"
                 "if not name: raise ImportError\nrand = ctypes.CDLL(name).RAND_bytes\n"
                 "def draw():\n    b = ctypes.create_string_buffer(8)\n    rand(b, 8)\n"
                 "    return b.raw.hex()\ndraw()",
    "numpy": "import numpy\nnumpy.random.rand()\ndraw = numpy.random.rand",
    "random with all hooks": "import os, random\nos.register_at_fork(after_in_child=lambda: None)\n"
                             "random.random()\ndraw = random.random",
}


@pytest.mark.parametrize("what", list(RANDOM))
@pytest.mark.parametrize("own_pid_namespace", [False, True], ids=["", "zygote is PID 1"])
def test_workers_draw_different_numbers(zygote, what, own_pid_namespace):
    if own_pid_namespace and os.geteuid() != 0:
        pytest.skip("needs root")
    source = "try:\n    %s\nexcept ImportError:\n    draw = None\n" % RANDOM[what].replace("\n", "\n    ")
    z = zygote("m.f", source + "def f(event, context): return draw and [draw(), draw()]",
               own_pid_namespace=own_pid_namespace)
    drawn = answers(z)
    if drawn[0] is None:
        pytest.skip("this interpreter has no such module")
    flat = [number for pair in drawn for number in pair]
    assert len(set(flat)) == len(flat), drawn


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_children_of_workers_draw_different_numbers(zygote):
    z = zygote("m.f", """
import os, ssl
ssl.RAND_bytes(8)
def f(event, context):
    drawn = []
    for _ in range(20):
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, ssl.RAND_bytes(8))
            os._exit(0)
        os.wait()
        drawn.append(os.read(r, 8).hex())
    return drawn
""", own_pid_namespace=True)
    flat = [number for drawn in answers(z) for number in drawn]
    assert len(set(flat)) == len(flat)


# ---- what works inside a worker ----

WORKS = {
    "threads": """
import threading, queue
def f(event, context):
    q = queue.Queue()
    threads = [threading.Thread(target=lambda i=i: q.put(i)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert threading.current_thread() is threading.main_thread()
    assert threading.get_ident() == threading.main_thread().ident
    assert threading.main_thread().native_id == threading.get_native_id()
    return sorted(q.get() for _ in range(8))
""",
    "a thread pool of load time": """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
def f(event, context):
    return list(pool.map(lambda x: x * x, range(8))) and list(range(8))
""",
    "subprocess": """
import subprocess, sys
def f(event, context):
    out = subprocess.run([sys.executable, "-c", "print(*range(8))"], capture_output=True, check=True)
    return [int(x) for x in out.stdout.split()]
""",
    "os.fork": """
import os
def f(event, context):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(w, bytes(range(8)))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return list(os.read(r, 100))
""",
    "multiprocessing": """
import multiprocessing
def child(x):
    return x
def f(event, context):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(child, range(8))
""",
    "asyncio with threads and processes": """
import asyncio, sys
async def f(event, context):
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, lambda: 5) == 5
    p = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(*range(8))",
                                             stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate()
    return [int(x) for x in out.split()]
""",
    "an event loop of load time": """
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
lock = asyncio.Lock()
async def main():
    async with lock:
        pass
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(bytes(range(8)))
    writer.write_eof()
    got = await reader.read()
    loop.call_soon_threadsafe(print, "woken")
    await asyncio.sleep(0.01)
    return list(got)
async def echo(reader, writer):
    writer.write(await reader.read())
    writer.close()
def f(event, context):
    return loop.run_until_complete(main())
""",
    "logging": """
import logging, threading
logging.basicConfig(level="INFO", format="%(process)d %(message)s")
lock = threading.RLock()
def f(event, context):
    with lock:
        logging.info("hello")
    return list(range(8))
""",
    "imports": """
def f(event, context):
    import sqlite3, xml.etree.ElementTree, email.message, decimal
    return [int(decimal.Decimal(x)) for x in range(8)]
""",
    "signals and timers": """
import signal, time
def f(event, context):
    got = []
    signal.signal(signal.SIGALRM, lambda *a: got.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not got:
        time.sleep(0.05)
    return list(range(8))
""",
    "ctypes": """
import ctypes
libc = ctypes.CDLL(None)
def f(event, context):
    return [libc.abs(-x) for x in range(8)]
""",
    "garbage": """
import gc, weakref
class Node: pass
def f(event, context):
    for _ in range(60000):
        a, b = Node(), Node()
        a.b, b.a = b, a
    assert len([o for o in gc.get_objects() if isinstance(o, Node)]) < 60000
    return list(range(8))
""",
    "temporary files": """
import tempfile
def f(event, context):
    with tempfile.TemporaryFile() as t:
        t.write(bytes(range(8)))
        t.seek(0)
        return list(t.read())
""",
}


@pytest.mark.parametrize("what", list(WORKS))
def test_inside_a_worker_works(zygote, what):
    z = zygote("m.f", WORKS[what])
    assert answers(z) == [list(range(8))] * 4


def test_hooks_of_the_author_run_in_order(zygote):
    z = zygote("m.f", """
import os, threading
lock = threading.Lock()
done = []
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
os.register_at_fork(after_in_child=lambda: done.append(os.getpid()))
def f(event, context):
    return [lock.acquire(timeout=1), done == [os.getpid()]]
""")
    assert answers(z) == [[True, True]] * 4


def test_matrix_product_of_numpy_does_not_wait_for_threads(zygote):
    z = zygote("m.f", """
try:
    import numpy
    a = numpy.ones((300, 300))
    a @ a
except ImportError:
    numpy = None
def f(event, context):
    return numpy and float((a @ a).sum())
""")
    replies = answers(z)
    if replies[0] is None:
        pytest.skip("this interpreter has no numpy")
    assert replies == [27000000.0] * 4


def test_stdin_is_empty(zygote):
    assert zygote("m.f", "import sys\ndef f(e, c): return sys.stdin.read()").request().json == ""


def test_only_the_requests_socket_is_open(zygote):
    z = zygote("m.f", "import os\ndef f(e, c): return sorted(int(x) for x in os.listdir('/proc/self/fd'))")
    fds = z.request().json
    assert fds[:4] == [0, 1, 2, 3] and len(fds) == 5  # and the one of listdir() itself


def test_output_belongs_to_its_worker(zygote):
    z = zygote("m.f", """
import os, sys
def f(event, context):
    name = event["rawQueryString"]
    print("out", name)
    print("no newline", name, end="")
    print("err", name, file=sys.stderr)
    os.system("echo child " + name)
    return name
""")
    workers = {name: z.fork() for name in ("a", "b", "c")}
    for name, worker in workers.items():
        assert worker.request(target="/?" + name).json == name
    for name, worker in workers.items():
        ended = worker.end()
        # Whether the child's line comes before the one without an end is the buffers' affair.
        said = ("out %s\n", "no newline %s", "child %s\n")
        assert all(line % name in ended.stdout for line in said)
        assert len(ended.stdout) == sum(len(line % name) for line in said)
        assert ended.stderr == "err %s\n" % name


def test_output_arrives_before_the_end(zygote):
    z = zygote("m.f", "import time\ndef f(e, c):\n    print('line', flush=False)\n    time.sleep(30)")
    worker = z.fork()
    worker.send_head()
    worker.stdout.wait_for(b"line\n", 5)
    worker.signal(9)
    worker.end()


def test_warmup_is_called_in_a_standby_before_its_request(zygote):
    z = zygote("m.f", """
import os
warm = []
def mayfly_warmup():
    warm.append(os.getpid())
    print("warm")
def f(event, context):
    return warm == [os.getpid()]
""")
    worker = z.fork()
    worker.stdout.wait_for(b"warm\n")
    assert worker.request().json is True
    worker.end()


def test_warmup_that_fails_is_told_and_no_more(zygote):
    z = zygote("m.f", "def mayfly_warmup(): raise ValueError('cold')\ndef f(e, c): return 1")
    worker = z.fork()
    worker.stderr.wait_for(b"ValueError: cold\n")
    assert worker.request().json == 1
    worker.end()


def test_authors_code_does_not_run_before_a_request(zygote):
    z = zygote("m.f", "def f(e, c):\n    print('ran')\n    return 1")
    worker = z.fork()
    worker.sock.shutdown(1)
    ended = worker.end()
    assert (ended.stdout, ended.stderr, ended.exit_code) == ("", "", 0)


def test_atexit_does_not_run_in_a_worker(zygote):
    z = zygote("m.f", "import atexit\natexit.register(print, 'bye')\ndef f(e, c): return 1")
    assert z.request().ended.stdout == ""


def test_spawned_processes_of_multiprocessing_work(zygote):
    z = zygote("m.f", """
import multiprocessing
def f(event, context):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(abs, [-1, -2])
""")
    assert z.request().json == [1, 2]


def test_virtual_environment_is_used(zygote, tmp_path):
    import subprocess
    if not shutil.which("python3"):
        pytest.skip("no python3")
    venv = tmp_path / ".venv"
    made = subprocess.run(["python3", "-m", "venv", "--without-pip", str(venv)], capture_output=True)
    if made.returncode:
        pytest.skip("no venv module")
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "only_here.py").write_text("x = 'venv'")
    z = zygote("m.f", "import only_here\ndef f(e, c): return only_here.x", python=venv / "bin/python3")
    assert z.request().json == "venv"


def test_build_tree_is_complete():
    folder = lib_dir() / "python"
    assert {"main.py", "_mayfly.abi3.so", "mayfly_host"} <= {p.name for p in folder.iterdir()}
