"""A folder of a framework's, as its author runs it elsewhere, is served as it is (docs/FRAMEWORKS.md).
Flask is Debian's; the others come from their registries, into a virtual environment or node_modules that
is the author's own. Which file is the application is the unit test test-control-framework's affair."""
import json
import shutil
import socket
import subprocess

import pytest

from lib import npm, pypi
from lib.daemon import SANITIZED

PYTHON = "/usr/bin/python3"
NODE_SERVER = """
    const http = require('http');
    let count = 0;
    const server = http.createServer((req, res) => res.end(`${req.method} ${req.url} ${++count}`));
    server.listen(Number(process.env.PORT ?? 4567), () => console.log('never a port'));
"""
WSGI = """
    count = 0

    def app(environ, start_response):
        global count
        count += 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{__name__} {environ['PATH_INFO']} {count}".encode()]
"""
LAMBDA = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'a function'}\n"
FLASK = """
    import os, sqlite3
    from flask import Flask, Response, abort, jsonify, redirect, render_template_string, request, session, stream_with_context

    app = Flask(__name__)
    app.secret_key = "only for a test"
    seen = []

    @app.get("/")
    def index():
        seen.append(request.remote_addr)
        session["visits"] = session.get("visits", 0) + 1
        return render_template_string("<p>{{ name }} {{ n }} {{ visits }}</p>", name=request.args.get("name", "<nobody>"),
                                      n=len(seen), visits=session["visits"])

    @app.route("/users/<int:number>", methods=["GET", "PUT"])
    def user(number):
        return jsonify(number=number, method=request.method, body=request.get_json(silent=True))

    @app.get("/stream")
    def stream():
        return Response(stream_with_context(f"{i};" for i in range(int(request.args["n"]))), mimetype="text/plain")

    @app.get("/go")
    def go():
        return redirect("/users/3", 303)

    @app.get("/fail")
    def fail():
        abort(418)

    @app.get("/broken")
    def broken():
        raise ValueError("on purpose")

    @app.get("/database")
    def database():
        with sqlite3.connect("data/test.db") as connection:
            if "add" in request.args:
                connection.execute("INSERT INTO words VALUES (?)", [request.args["add"]])
            return jsonify([word for word, in connection.execute("SELECT word FROM words")])

    @app.get("/write")
    def write():
        open("/tmp/left", "x").close()
        return jsonify(os.listdir("/tmp"))

    if __name__ == "__main__":
        app.run()
"""


def environment(path, *requirements, system=False):
    """A .venv in the folder with these packages, and with Debian's if `system`."""
    if SANITIZED:
        pytest.skip("packages are not built with sanitizers")
    done = subprocess.run([PYTHON, "-m", "venv", "--without-pip", *(["--system-site-packages"] if system else []),
                           path / ".venv"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no virtual environment: {done.stderr.strip()[-200:]}")
    if requirements:
        site = next((path / ".venv/lib").glob("python3*")) / "site-packages"
        shutil.copytree(pypi.packages(*requirements, python=PYTHON), site, dirs_exist_ok=True)


def with_flask(path):
    done = subprocess.run([PYTHON, "-c", "import flask"], capture_output=True)
    if done.returncode != 0:
        pytest.skip("there is no Flask of Debian's: apt install python3-flask")
    environment(path, system=True)


def with_packages(*requirements):
    return lambda path: environment(path, *requirements)


def with_npm(**versions):
    folder = npm.packages(**versions)
    return lambda path: shutil.copytree(folder, path / "node_modules")


# ---- Flask ----


@pytest.fixture
def flask(mayfly):
    return mayfly({"app.py": FLASK}, prepare=with_flask)


def test_a_flask_application_answers_all_requests_each_in_its_process(flask):
    assert flask.get("/?name=%3CAda%3E").text == "<p>&lt;Ada&gt; 1 1</p>"
    first = flask.get("/")
    assert first.text == "<p>&lt;nobody&gt; 1 1</p>"  # nothing is left of the request before
    again = flask.get("/", {"Cookie": first.headers["set-cookie"].split(";")[0]})
    assert again.text == "<p>&lt;nobody&gt; 1 2</p>"  # a session is in its cookie
    assert flask.request("PUT", "/users/7", b'{"a": 1}', {"Content-Type": "application/json"}).json() == {
        "number": 7, "method": "PUT", "body": {"a": 1}}
    assert flask.get("/users/x").status == 404 and flask.post("/users/7").status == 405
    assert flask.get("/stream?n=2000").text == "".join(f"{i};" for i in range(2000))
    gone = flask.get("/go")
    assert (gone.status, gone.headers["location"]) == (303, "/users/3")
    assert flask.get("/fail").status == 418
    assert flask.get("/write").json() == flask.get("/write").json() == ["left"]


def test_an_error_of_flask_is_its_own_answer_and_told_in_the_log(flask):
    response = flask.get("/broken")
    assert response.status == 500 and "Internal Server Error" in response.text
    flask.record(response)
    assert "ValueError: on purpose" in flask.stdout + flask.log


def test_a_database_in_the_project_is_read_and_written_where_writes_says_so(mayfly):
    def prepare(path):
        with_flask(path)
        (path / "data").mkdir()
        subprocess.run([PYTHON, "-c", "import sqlite3\nwith sqlite3.connect('data/test.db') as c:\n"
                        " c.execute('CREATE TABLE words (word)')\n c.execute(\"INSERT INTO words VALUES ('old')\")"],
                       cwd=path, check=True)
        for name in (path / "data", path / "data/test.db"):
            name.chmod(0o777 if name.is_dir() else 0o666)

    def open_to_it(path):
        prepare(path)
        (path / "mayfly.json").write_text(json.dumps({"functions": {"app": {"writes": [str(path / "data")]}}}))

    closed = mayfly({"app.py": FLASK}, prepare=prepare)
    assert closed.get("/database").json() == ["old"]
    if "sandbox=degraded" not in closed.log:
        assert closed.get("/database?add=new").status == 500
    daemon = mayfly({"app.py": FLASK}, prepare=open_to_it)
    assert daemon.get("/database?add=new").json() == ["old", "new"]
    assert daemon.get("/database").json() == ["old", "new"]


def test_settings_and_routes_of_mayfly_json_are_those_of_the_application(mayfly):
    daemon = mayfly({"app.py": FLASK, "mayfly.json": {
        "functions": {"app": {"isolation": "instance", "timeout": 60}},
        "routes": {"/active_processes": "builtin:active_processes"}}}, command="dev", prepare=with_flask)
    assert [daemon.get("/").text for _ in range(3)] == [f"<p>&lt;nobody&gt; {n} 1</p>" for n in (1, 2, 3)]
    assert daemon.get("/active_processes").json() == []  # more specific than the application's /*


# ---- which file, and when there is none ----


@pytest.mark.core
@pytest.mark.parametrize("files, module", [
    ({"app.py": WSGI, "src/app.py": WSGI, "main.py": WSGI}, "app"),
    ({"src/index.py": WSGI, "helper.py": "app = None"}, "src.index"),
    ({"backend/server.py": WSGI, "app.py": WSGI,
      "pyproject.toml": '[tool.vercel]\nentrypoint = "backend.server:app"\n'}, "backend.server"),
    ({"deep/web.py": WSGI, "pyproject.toml": '[project]\nname = "p"\nversion = "1"\nscripts.app = "deep.web:app"\n'}, "deep.web"),
])
def test_the_application_is_the_first_file_that_has_one(mayfly, files, module):
    daemon = mayfly({**files, "mayfly.json": {"python": PYTHON}})
    for path in ("/", "/any/path"):
        name, seen, count = daemon.get(path).text.split()
        assert (seen, count) == (path, "1") and name.endswith(module.split(".")[-1])
        assert daemon.record(daemon.get(path))["function"] == module.replace(".", "/")


@pytest.mark.core
def test_a_mistake_of_syntax_in_the_application_is_told(mayfly):
    daemon = mayfly({"app.py": "from x import (\napp = 1\n", "mayfly.json": {"python": PYTHON}}, command="dev")
    response = daemon.get("/")
    assert response.status == 500
    assert "SyntaxError" in response.text and "app.py" in response.text


@pytest.mark.core
@pytest.mark.parametrize("pyproject, says", [
    ('[tool.vercel]\nentrypoint = "nowhere:app"\n', "there is no file of this module in the project"),
    ('[tool.vercel]\nentrypoint = "app"\n', 'write it as "module:variable"'),
])
def test_an_entrypoint_that_is_none_is_told(mayfly, pyproject, says):
    daemon = mayfly({"app.py": WSGI, "pyproject.toml": pyproject}, wait=False)
    told = daemon.cli("inspect", "--project", daemon.project, code=None)
    assert told.returncode != 0
    assert says in told.stderr and "tool.vercel.entrypoint" in told.stderr


@pytest.mark.core
def test_functions_below_api_go_first(mayfly):
    daemon = mayfly({"app.py": WSGI, "api/hello.py": LAMBDA, "mayfly.json": {"python": PYTHON}}, command="dev")
    assert daemon.get("/api/hello").text == "a function"
    assert daemon.get("/").status == 404


def test_an_application_whose_framework_is_a_dependency_goes_before_api(mayfly):
    daemon = mayfly({"app.py": FLASK, "api/hello.py": LAMBDA, "requirements.txt": "flask>=2\n"},
                    prepare=with_flask)
    assert daemon.get("/users/5").json()["number"] == 5
    assert daemon.get("/api/hello").status == 404  # Flask's
    assert daemon.record(daemon.get("/api/hello"))["function"] == "app"


@pytest.mark.core
def test_what_mayfly_json_declares_is_all_that_there_is(mayfly):
    daemon = mayfly({"app.py": WSGI, "one.py": LAMBDA, "mayfly.json": {
        "python": PYTHON, "functions": {"one": {"handler": "one.handler", "routes": ["/one"]}}}}, command="dev")
    assert daemon.get("/one").text == "a function"
    assert daemon.get("/").status == 404


@pytest.mark.core
def test_two_applications_are_refused_by_both_names(mayfly):
    project = {"app.py": WSGI, "server.js": NODE_SERVER, "package.json": "{}"}
    daemon = mayfly(project, wait=False)
    told = daemon.cli("inspect", "--project", daemon.project, code=None)
    assert told.returncode != 0
    assert "both app.py and server.js could be the application" in told.stderr and "mayfly.json" in told.stderr


# ---- FastAPI, Starlette, Django ----


ASGI_LIFE = """
    from contextlib import asynccontextmanager
    from {module} import {name}
    {imports}
    started = []

    @asynccontextmanager
    async def lifespan(app):
        started.append(1)
        yield

    {text}
"""
FASTAPI = ASGI_LIFE.format(module="fastapi", name="FastAPI, WebSocket", imports="from pydantic import BaseModel", text="""
    app: FastAPI = FastAPI(lifespan=lifespan)

    class Item(BaseModel):
        name: str
        price: float

    @app.post("/items/{number}")
    async def item(number: int, item: Item):
        return {"number": number, "total": item.price * 2, "started": len(started)}
""".strip())
STARLETTE = ASGI_LIFE.format(
    module="starlette.applications", name="Starlette",
    imports="from starlette.responses import JSONResponse\n    from starlette.routing import Route", text="""
    async def show(request):
        return JSONResponse({"path": request.url.path, "started": len(started)})

    application = Starlette(routes=[Route("/{rest:path}", show)], lifespan=lifespan)
""".strip())


def test_fastapi_with_its_lifespan_in_each_worker(mayfly):
    daemon = mayfly({"main.py": FASTAPI}, command="dev", prepare=with_packages("fastapi==0.115.6"))
    for _ in range(3):
        assert daemon.post("/items/3", {"name": "x", "price": 1.5}).json() == {"number": 3, "total": 3.0, "started": 1}
    wrong = daemon.post("/items/3", {"name": "x"})
    assert wrong.status == 422 and wrong.json()["detail"][0]["loc"] == ["body", "price"]
    assert daemon.get("/openapi.json").json()["paths"].keys() == {"/items/{number}"}
    assert "Swagger" in daemon.get("/docs").text


def test_starlette_below_src(mayfly):
    daemon = mayfly({"src/asgi.py": STARLETTE}, command="dev", prepare=with_packages("starlette==0.41.3"))
    assert daemon.get("/a/b").json() == {"path": "/a/b", "started": 1}
    assert daemon.get("/").json() == {"path": "/", "started": 1}


@pytest.mark.parametrize("declares", ["WSGI_APPLICATION = 'site_.wsgi.application'", "ASGI_APPLICATION = 'site_.asgi.application'",
                                      ""])
def test_django_is_found_by_its_settings(mayfly, declares):
    gateway = "import os\nfrom django.core.{0} import get_{0}_application\n" \
              "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_.settings.local')\n" \
              "application = get_{0}_application()\n"
    daemon = mayfly({
        "manage.py": """
            import os, sys
            if __name__ == "__main__":
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings.local")
                from django.core.management import execute_from_command_line
                execute_from_command_line(sys.argv)
        """,
        "site_/__init__.py": "", "site_/settings/__init__.py": "",
        "site_/settings/local.py": f"SECRET_KEY = 'x'\nROOT_URLCONF = 'site_.urls'\nALLOWED_HOSTS = ['*']\n{declares}\n",
        "site_/urls.py": """
            from django.http import JsonResponse
            from django.urls import path
            urlpatterns = [path("poems/<slug:name>", lambda request, name: JsonResponse(
                {"name": name, "how": type(request).__name__}))]
        """,
        "site_/wsgi.py": gateway.format("wsgi"), "site_/asgi.py": gateway.format("asgi")},
        command="dev", prepare=with_packages("django==4.2.17"))
    answer = daemon.get("/poems/a-rose")
    assert answer.json() == {"name": "a-rose", "how": "ASGIRequest" if "ASGI" in declares else "WSGIRequest"}
    assert daemon.get("/nothing").status == 404


# ---- Node.js ----


@pytest.mark.core
def test_a_node_server_answers_all_requests_and_opens_no_port(mayfly):
    npm.node()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    daemon = mayfly({"lib/web.js": NODE_SERVER, "server.js": "throw new Error('the other one')",
                     "package.json": {"main": "./lib/web.js"},
                     "mayfly.json": {"functions": {"lib/web": {"env": {"PORT": str(port)}}}}}, command="dev")
    assert daemon.get("/").text == "GET / 1"
    assert daemon.request("PUT", "/a/b?c=d", b"x").text == "PUT /a/b?c=d 1"
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0


def test_express_goes_before_api_and_before_python(mayfly):
    daemon = mayfly({
        "package.json": {"dependencies": {"express": "5.1.0"}}, "api/hello.js": "module.exports = (req, res) => res.end('no');",
        "app.py": WSGI, "index.js": """
            const express = require('express');
            const app = express();
            app.use(express.json());
            app.get('/users/:name', (req, res) => res.json({ name: req.params.name, query: req.query }));
            app.post('/sum', (req, res) => res.send(String(req.body.reduce((a, b) => a + b))));
            app.get('/broken', () => { throw new Error('on purpose'); });
            app.listen(process.env.PORT || 3000);
        """}, command="dev", prepare=with_npm(express="5.1.0"))
    assert daemon.get("/users/ada?x=1").json() == {"name": "ada", "query": {"x": "1"}}
    assert daemon.post("/sum", [1, 2, 39]).text == "42"
    assert daemon.get("/api/hello").status == 404 and "Cannot GET" in daemon.get("/api/hello").text
    assert daemon.get("/broken").status == 500


@pytest.mark.core
def test_a_script_that_listens_without_package_json_is_nobodys_server(mayfly):
    daemon = mayfly({"server.js": NODE_SERVER, "public/index.html": "<p>static</p>"}, command="dev")
    assert "static" in daemon.get("/").text
    assert daemon.get("/other").status == 404
