"""Applications of real packages from PyPI, unmodified: FastAPI and Starlette, NumPy, and a client of somebody
else's for their WebSockets."""
import hashlib
import os
import shutil
import sys
import urllib.error
import urllib.request

import pytest

from lib import pypi, web
from lib.process import wait_until

WEB = ("fastapi==0.115.12", "starlette==0.46.2", "anyio==4.9.0", "python-multipart==0.0.20",
       "websockets==15.0.1", "flask==3.1.1")
NUMPY = ("numpy>=1.24,<2.4",)

FASTAPI = '''
import asyncio, contextlib, os, time
from typing import Annotated
from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, Request, UploadFile, WebSocket
from fastapi import WebSocketDisconnect
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"opened_in": os.getpid()}
    print("closed")

app = FastAPI(lifespan=lifespan)
app.add_middleware(CORSMiddleware, allow_origins=["*"])

@app.middleware("http")
async def timed(request, call_next):
    response = await call_next(request)
    response.headers["X-Timed"] = "yes"
    return response

class Item(BaseModel):
    name: str
    price: float = 1

@app.post("/items/{number}")
async def create(number: int, item: Item, q: str = ""):
    return {"number": number, "item": item, "q": q}

@app.get("/sync")
def sync(request: Request):
    import threading
    return {"thread": threading.current_thread() is not threading.main_thread(),
            "same": request.state.opened_in == os.getpid()}

@app.get("/missing")
async def missing():
    raise HTTPException(404, "none here")

@app.get("/broken")
async def broken():
    raise ValueError("broken on purpose")

@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()], note: Annotated[str, Form()]):
    import hashlib
    return {"name": file.filename, "note": note, "sha": hashlib.sha256(await file.read()).hexdigest()}

@app.get("/events")
async def events():
    async def pieces():
        for i in range(3):
            yield f"data: {i}\\n\\n"
            await asyncio.sleep(0.01)
    return StreamingResponse(pieces(), media_type="text/event-stream")

@app.get("/plain")
def plain():
    return StreamingResponse((b"x" * 70000 for _ in range(20)))

@app.get("/file")
async def file():
    return FileResponse(__file__)

@app.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(lambda: (time.sleep(0.3), print("sent")))
    return "ok"

@app.websocket("/ws/{room}")
async def socket(websocket: WebSocket, room: str):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(room + ": " + await websocket.receive_text())
    except WebSocketDisconnect as e:
        await asyncio.sleep(0.1)
        print("left", e.code)
'''


@pytest.fixture(scope="module")
def web_packages():
    return pypi.packages(*WEB)


def with_packages(folder):
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def fastapi(zygote, web_packages):
    return zygote("m", FASTAPI, env=with_packages(web_packages))


def test_validation_and_json(fastapi):
    headers = {"Content-Type": "application/json"}
    reply = fastapi.request("POST", "/items/7?q=a%20b", headers, b'{"name": "n"}')
    assert reply.json == {"number": 7, "item": {"name": "n", "price": 1}, "q": "a b"}
    assert reply.get("X-Timed") == "yes" and reply.ended.stdout == "closed\n"
    assert fastapi.request("POST", "/items/x", headers, b'{"name": 1}').status == 422
    assert fastapi.request(target="/missing").json == {"detail": "none here"}
    assert fastapi.request(target="/nowhere").status == 404
    assert "openapi" in fastapi.request(target="/openapi.json").json
    assert b"swagger" in fastapi.request(target="/docs").body


def test_plain_functions_run_in_a_thread_and_lifespan_in_their_process(fastapi):
    assert fastapi.request(target="/sync").json == {"thread": True, "same": True}


def test_error_is_told_with_its_place(fastapi):
    reply = fastapi.request(target="/broken")
    assert reply.error["errorMessage"] == "broken on purpose"
    assert "broken on purpose" in reply.ended.stderr and "in broken\n" in reply.ended.stderr


def test_upload(fastapi):
    data = os.urandom(300000)
    body = (b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--b\r\nContent-Disposition: form-data; '
            b'name="file"; filename="a.bin"\r\n\r\n' + data + b"\r\n--b--\r\n")
    reply = fastapi.request("POST", "/upload", {"Content-Type": "multipart/form-data; boundary=b"}, body)
    assert reply.json == {"name": "a.bin", "note": "hi", "sha": hashlib.sha256(data).hexdigest()}


def test_streams_and_files(fastapi, tmp_path):
    assert fastapi.request(target="/events").body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert fastapi.request(target="/plain").body == b"x" * 1400000
    assert fastapi.request(target="/file").body == (tmp_path / "m.py").read_bytes()
    assert fastapi.request("HEAD", "/file").status == 405


def test_background_task_is_done_when_the_answer_is(fastapi):
    reply = fastapi.request(target="/background")
    assert (reply.body, reply.ended.stdout) == (b'"ok"', "sent\nclosed\n")


def test_instance(zygote, web_packages):
    worker = zygote("m", FASTAPI, env=with_packages(web_packages), isolation="instance").fork()
    for _ in range(3):
        assert worker.request(target="/sync").json == {"thread": True, "same": True}
        assert worker.request(target="/events").status == 200


def test_flask(zygote, web_packages):
    z = zygote("m", """
from flask import Flask, Response, jsonify, request, stream_with_context
app = Flask(__name__)
@app.route("/hello/<name>", methods=["GET", "POST"])
def hello(name):
    return jsonify(name=name, q=request.args.get("q"), form=request.form.to_dict())
@app.route("/stream")
def stream():
    return Response(stream_with_context(str(i) + request.args["x"] for i in range(3)))
@app.errorhandler(404)
def none(e):
    return "none", 404
""", env=with_packages(web_packages))
    reply = z.request("POST", "/hello/w%C3%B6rld?q=1", {"Content-Type": "application/x-www-form-urlencoded"},
                      b"a=%26&b=")
    assert reply.json == {"name": "wörld", "q": "1", "form": {"a": "&", "b": ""}}
    assert z.request(target="/stream?x=y").body == b"0y1y2y"
    assert z.request(target="/no").body == b"none"


# ---- through the daemon ----


@pytest.fixture(scope="module")
def daemon(web_packages):
    if os.environ.get("MAYFLY_TEST_PYTHON"):
        pytest.skip("the daemon chooses its own interpreter")
    project = {"app.py": FASTAPI, "mayfly.json": {"functions": {
        name: {"handler": "app.app", "env": {"PYTHONPATH": "packages"}, "timeout": 20, **more}
        for name, more in {"app": {"routes": ["/*"]},
                           "short": {"routes": ["/ws/short"], "timeout": 2},
                           "kept": {"routes": ["/ws/kept", "/kept/*"], "isolation": "instance"}}.items()}}}
    # In the project, since a function sees nothing of the machine's /tmp, where the cache may be.
    with web.running(project, command="dev",
                     prepare=lambda folder: shutil.copytree(web_packages, folder / "packages")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def client(web_packages):
    sys.path.insert(0, str(web_packages))
    try:
        import websockets.sync.client
    finally:
        sys.path.remove(str(web_packages))
    return websockets.sync.client.connect


def test_conversation_with_another_implementation(daemon, client):
    with client("ws://%s:%d/ws/green" % daemon.address, compression="deflate") as socket:
        assert socket.protocol.extensions == []
        for text in ("hello", "ä€😀", "", "x" * 100000):
            socket.send(text)
            assert socket.recv() == "green: " + text
        socket.ping().wait(10)
    assert socket.close_code == 1000


def test_what_follows_a_disconnect_runs(daemon, client):
    with client("ws://%s:%d/ws/blue" % daemon.address) as socket:
        socket.send("x")
        socket.recv()
        socket.close(4005, "bye")
    wait_until(lambda: "left 4005" in daemon.stdout + daemon.log, "left 4005")


def test_shutdown_runs_behind_the_answer(daemon):
    before = (daemon.stdout + daemon.log).count("closed")
    with urllib.request.urlopen(daemon.url + "/sync") as reply:
        assert reply.status == 200
    wait_until(lambda: (daemon.stdout + daemon.log).count("closed") > before, "closed")


def test_socket_ends_with_the_functions_time_and_its_stack_is_told(daemon, client):
    with client("ws://%s:%d/ws/short" % daemon.address) as socket:
        with pytest.raises(Exception, match="close"):
            socket.recv(timeout=30)
    wait_until(lambda: "in socket" in daemon.stdout + daemon.log, "the stack")


def test_process_that_is_kept_serves_one_socket_and_others_serve_on(daemon, client):
    for text in ("one", "two"):
        with client("ws://%s:%d/ws/kept" % daemon.address) as socket:
            socket.send(text)
            assert socket.recv() == "kept: " + text
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(daemon.url + "/kept/x")


def test_many_sockets_at_a_time_are_many_processes(daemon, client):
    sockets = [client("ws://%s:%d/ws/r%d" % (*daemon.address, i)) for i in range(8)]
    for i, socket in enumerate(sockets):
        socket.send("hi")
        assert socket.recv() == "r%d: hi" % i
    for socket in sockets:
        socket.close()


def test_unknown_path_is_refused(daemon, client):
    import http.client
    connection = http.client.HTTPConnection(*daemon.address)
    connection.request("GET", "/nope", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert connection.getresponse().status == 403
    connection.close()


# ---- NumPy ----


@pytest.fixture
def numpy(zygote):
    folder = pypi.packages(*NUMPY)
    return lambda source: zygote("m.f", "import numpy\n" + source, env=with_packages(folder))


def test_numpy_works_after_the_fork(numpy):
    z = numpy("""
a = numpy.ones((300, 300))
a @ a
def f(event, context):
    return [float((a @ a).sum()), float(numpy.linalg.det(numpy.eye(50))), numpy.fft.fft(a[0])[0].real]
""")
    for _ in range(4):
        assert z.request().json == [27000000.0, 1.0, 300.0]


def test_numpy_draws_other_numbers_in_each_worker(numpy):
    z = numpy("""
numpy.random.seed(1)
numpy.random.rand()
def f(event, context):
    return [float(numpy.random.rand()), float(numpy.random.default_rng().random())]
""")
    drawn = [number for _ in range(5) for number in z.request().json]
    assert len(set(drawn)) == 10, drawn
