"""vercel.json: what comes before a function or a file is looked for, and what is added to the answer."""
import json
import time

import pytest


def project(config, echo, **files):
    return {"vercel.json": json.dumps(config, indent=1), "api/hello.py": echo("hello"),
            "api/users/[id].py": echo("user"), "api/index.py": echo("index"),
            "public/index.html": "home", "public/about.html": "about", "public/a.css": "a{}",
            "public/docs/index.html": "docs", **files}


def location(answer):
    return answer.status, answer.headers.get("location")


@pytest.mark.core
def test_redirects(mayfly, echo):
    daemon = mayfly(project({"redirects": [
        {"source": "/old", "destination": "/new"},
        {"source": "/temporary", "destination": "/new", "permanent": False},
        {"source": "/see/:id(\\d+)", "destination": "/api/users/:id?from=see", "statusCode": 302},
        {"source": "/blog/:path*", "destination": "https://example.com/b/:path*"},
        {"source": "/any/(.*)", "destination": "/none"},
        {"source": "/loop/:rest*", "destination": "/:rest*"},
        {"source": "/about.html", "destination": "/first", "statusCode": 301},
        {"source": "/h", "destination": "/x#:y", "permanent": True},
    ]}, echo))
    for target, status, where in [("/old", 308, "/new"), ("/old?a=1", 308, "/new?a=1"), ("/OLD", 308, "/new"),
                                  ("/%6fld", 308, "/new"), ("/temporary", 307, "/new"),
                                  ("/see/12?x=1", 302, "/api/users/12?from=see&x=1"),
                                  ("/blog/a/b%20c", 308, "https://example.com/b/a/b%20c"),
                                  ("/any/thing", 308, "/none"), ("/about.html", 301, "/first")]:
        assert location(daemon.get(target)) == (status, where), target
    for target in ["/see/x", "/old/", "/older"]:
        assert daemon.get(target).status == 404, target
    # A site's own redirect never leads to another host, whatever the request says.
    for target in ["/loop//evil.example", "/loop/%2f/evil.example"]:
        where = daemon.get(target).headers.get("location", "/")
        assert not where.startswith("//") and not where.startswith("/\\"), target


@pytest.mark.core
def test_rewrites(mayfly, echo):
    daemon = mayfly(project({"rewrites": [
        {"source": "/resize/:width/:height", "destination": "/api/hello"},
        {"source": "/u/:id", "destination": "/api/users/:id"},
        {"source": "/page", "destination": "/about.html"},
        {"source": "/a.css", "destination": "/about.html"},
        {"source": "/fixed/:x", "destination": "/api/hello?y=1&x=:x"},
        {"source": "/nothing", "destination": "/api/nothing"},
        {"source": "/up/:p*", "destination": "/:p*"},
        {"source": "/q/:p", "destination": "/api/hello?name=:p"},
    ]}, echo))
    for target, me, path, query in [
            ("/resize/800/600", "hello", "/resize/800/600", "width=800&height=600"),
            ("/resize/800/600?q=1", "hello", "/resize/800/600", "width=800&height=600&q=1"),
            ("/u/7", "user", "/u/7", "id=7"),
            ("/fixed/a?z=2", "hello", "/fixed/a", "y=1&x=a&z=2"),
            ("/q/a&b=c", "hello", "/q/a&b=c", "name=a%26b%3Dc&p=a%26b%3Dc"),
            ("/api/users/9", "user", "/api/users/9", "id=9"), ("/api", "index", "/api", "")]:
        answer = daemon.get(target).json()
        assert (answer["me"], answer["path"], answer["query"]) == (me, path, query), target
    assert daemon.get("/page").text == "about"
    assert daemon.get("/a.css").text == "a{}", "files come before rewrites"
    assert daemon.get("/nothing").status == 404
    for target in ["/up/..%2fvercel.json", "/up/%2e%2e/x", "/up//vercel.json", "/up/api/hello.pyc"]:
        assert daemon.get(target).status in (400, 404), target
    assert daemon.post("/page", b"x").status == 405


@pytest.mark.core
def test_an_application_behind_one_rewrite_sees_the_path_that_was_asked_for(mayfly, echo):
    daemon = mayfly(project({"rewrites": [{"source": "/(.*)", "destination": "/api"}]}, echo))
    answer = daemon.get("/users/7?x=1").json()
    assert (answer["me"], answer["path"], answer["query"]) == ("index", "/users/7", "x=1")
    assert daemon.get("/about.html").text == "about"


@pytest.mark.core
def test_headers(mayfly, echo):
    daemon = mayfly(project({
        "headers": [{"source": "/(.*)", "headers": [{"key": "X-All", "value": "1"}, {"key": "X-Own", "value": "rule"}]},
                    {"source": "/:file.css", "headers": [{"key": "Cache-Control", "value": "public, max-age=31536000"},
                                                         {"key": "X-All", "value": "2 :file"}]}],
        "redirects": [{"source": "/r", "destination": "/x"}]}, echo))
    css = daemon.get("/a.css").headers
    assert (css["cache-control"], css["x-all"]) == ("public, max-age=31536000", "2 a")
    hello = daemon.get("/api/hello").headers
    assert (hello["x-all"], hello["x-own"]) == ("1", "own"), "what a function says itself stays"
    assert daemon.get("/about.html").headers["x-own"] == "rule"
    assert daemon.get("/r").status == 308


@pytest.mark.core
def test_conditions(mayfly, echo):
    daemon = mayfly(project({"redirects": [
        {"source": "/c", "has": [{"type": "cookie", "key": "beta", "value": "(?<level>[0-9]+)"}], "destination": "/beta/:level"},
        {"source": "/c", "has": [{"type": "header", "key": "X-Team"}], "destination": "/team"},
        {"source": "/c", "has": [{"type": "query", "key": "id", "value": "a b"}], "destination": "/query"},
        {"source": "/c", "has": [{"type": "host", "value": "(?<sub>.*)\\.example\\.com"}], "destination": "https://example.com/:sub"},
        {"source": "/c", "missing": [{"type": "header", "key": "authorization"}], "destination": "/login"},
    ]}, echo))
    for target, headers, where in [("/c", {"Cookie": "a=1; beta=12"}, "/beta/12"), ("/c", {"X-Team": "x"}, "/team"),
                                   ("/c?id=a+b", {}, "/query?id=a+b"), ("/c?id=a%20b", {}, "/query?id=a%20b"),
                                   ("/c", {"Host": "shop.example.com:80"}, "https://example.com/shop"),
                                   ("/c", {}, "/login"), ("/c", {"Cookie": "beta=x"}, "/login"),
                                   ("/c", {"Authorization": "x"}, None)]:
        assert daemon.get(target, headers).headers.get("location") == where, (target, headers)


@pytest.mark.core
def test_clean_urls_and_slashes(mayfly, echo):
    daemon = mayfly(project({"cleanUrls": True, "trailingSlash": False}, echo))
    for target, where in [("/about.html", "/about"), ("/index.html", "/"), ("/index", "/"), ("/docs/", "/docs"),
                          ("/docs/index.html?x=1", "/docs?x=1"), ("/about/", "/about"), ("/api/hello.py", "/api/hello"),
                          ("/api/index", "/api"), ("//evil.example/", "/evil.example")]:
        assert location(daemon.get(target)) == (308, where), target
    assert [daemon.get(t).text for t in ("/", "/about", "/docs", "/a.css")] == ["home", "about", "docs", "a{}"]
    daemon = mayfly(project({"cleanUrls": True, "trailingSlash": True}, echo))
    for target, where in [("/about.html", "/about/"), ("/docs", "/docs/"), ("/a.css/", "/a.css"), ("/index.html", "/")]:
        assert location(daemon.get(target)) == (308, where), target
    assert [daemon.get(t).text for t in ("/", "/about/", "/docs/", "/a.css")] == ["home", "about", "docs", "a{}"]
    assert daemon.get("/api/hello/").json()["me"] == "hello"


@pytest.mark.core
def test_the_older_routes(mayfly, echo):
    daemon = mayfly(project({"routes": [
        {"src": "/h", "headers": {"X-H": "1"}, "continue": True},
        {"src": "/gone", "status": 410},
        {"src": "/go/(.*)", "status": 301, "headers": {"Location": "/to/$1"}},
        {"src": "/only", "methods": ["POST"], "dest": "/api/hello"},
        {"handle": "filesystem"},
        {"src": "/user/(?<id>[0-9]+)", "dest": "/api/hello.py?id=$id"},
        {"src": "/h", "dest": "about.html"},
        {"src": "/.*", "dest": "/api/index.py"}]}, echo))
    assert daemon.get("/h").headers["x-h"] == "1" and daemon.get("/h").text == "about"
    assert daemon.get("/gone").status == 410
    assert location(daemon.get("/go/a/b")) == (301, "/to/a/b")
    assert daemon.post("/only", b"").json()["me"] == "hello"
    assert daemon.get("/only").json()["me"] == "index"
    assert daemon.get("/user/5").json()["query"] == "id=5"
    assert daemon.get("/about.html").text == "about"
    assert daemon.get("/a/b/c").json()["path"] == "/a/b/c"


@pytest.mark.core
def test_no_path_makes_a_pattern_work_for_long(mayfly, echo):
    daemon = mayfly(project({"redirects": [{"source": "/:x((?:a+)+)", "destination": "/x"}]}, echo))
    begin = time.monotonic()
    answers = [daemon.get("/" + "a" * 4000 + "c").status for _ in range(20)]
    assert set(answers) == {400} and time.monotonic() - begin < 20
    assert daemon.get("/aaa").status == 308


def test_limits_come_from_functions(mayfly, echo):
    daemon = mayfly(project({"functions": {"api/users/**/*.py": {"memory": 512, "maxDuration": 7},
                                           "api/hello.py": {"memory": 1024, "runtime": "x@1"}}}, echo))
    user, hello = daemon.get("/api/users/1").json(), daemon.get("/api/hello").json()
    assert (user["memory"], hello["memory"]) == ("512", "1024") or (user["memory"], hello["memory"]) == (512, 1024)
    assert user["left"] <= 7000 < hello["left"]
    assert 'functions["api/hello.py"]: "runtime" is not carried out' in daemon.log.replace("\\", "")


@pytest.mark.core
def test_what_is_not_carried_out_is_named(mayfly, echo):
    daemon = mayfly(project({"images": {}, "nonsense": 1, "crons": [{"path": "/api/hello", "schedule": "0 5 * * *"}],
                             "rewrites": [{"source": "/x", "destination": "https://example.com"}],
                             "functions": {"api/none.js": {"memory": 128}}, "regions": ["fra1"]}, echo))
    listed = daemon.cli("inspect", "--project", daemon.project, "--json")
    answer = json.loads(listed.stdout)
    assert answer["crons"] == [{"path": "/api/hello", "schedule": "0 5 * * *", "state": "not run yet"}]
    told = "\n".join(answer["warnings"])
    for part in ['vercel.json:2: "images" is not carried out by mayfly', '"nonsense" is no key that mayfly knows',
                 '"regions" is not carried out', "rewrite to another server", 'functions: "api/none.js" fits no function',
                 "crons[0]: is listed, but not run yet"]:
        assert part in told, (part, told)
    assert "project.warning" in daemon.log
    assert "0 5 * * *" in daemon.cli("inspect", "--project", daemon.project).stdout


@pytest.mark.parametrize("config, message", [
    ({"routes": [], "rewrites": []}, '"routes"'),
    ({"redirects": [{"source": "/a(", "destination": "/b"}]}, "is not closed"),
    ({"redirects": [{"source": "/a*", "destination": "/b"}]}, "stands behind no parameter"),
    ({"redirects": [{"source": "a", "destination": "/b"}]}, "must begin with '/'"),
    ({"redirects": [{"source": "/a", "destination": "/b", "statusCode": 200}]}, "statusCode"),
    ({"redirects": [{"source": "/:a([z-a])", "destination": "/b"}]}, "no regular expression"),
    ({"rewrites": {}}, "must be an array"), ({"cleanUrls": 1}, "true or false"),
    ({"crons": [{"path": "/a", "schedule": "61 * * * *"}]}, "schedule"),
    ({"functions": {"api/*.py": {"memory": 1}}}, "megabytes"),
    ({"headers": [{"source": "/", "headers": [{"key": "a"}]}]}, "is missing; it must be a string"),
    ({"redirects": [{"source": "/a"}]}, "redirects[0].destination: is missing"), ({"redirects": [{}]}, "is missing"),
    ({"rewrites": [{"source": "/a", "destination": "/b", "has": [{"type": "host"}]}]}, "is missing"),
    ({"rewrites": [{"source": "/a", "destination": "/b", "has": [1]}]}, "must be an object"),
    ({"routes": [{"dest": "/b"}]}, "is missing"), ({"routes": [{"src": "/(", "dest": "/b"}]}, "no regular expression"),
    ({"crons": [{"path": "/a"}]}, "is missing")])
def test_mistakes_are_told_with_their_line(mayfly, echo, config, message):
    daemon = mayfly(project({"cleanUrls": True, **config} if "routes" not in config else config, echo), wait=False)
    daemon.process.wait(30)
    assert "vercel.json:" in daemon.log and message in daemon.log, daemon.log


def test_a_project_in_the_older_way_runs(mayfly):
    """One application, named by builds, behind one route."""
    daemon = mayfly({"vercel.json": json.dumps({"version": 2,
                                                "builds": [{"src": "app.py", "use": "@vercel/python"},
                                                           {"src": "none.py", "use": "@vercel/python"},
                                                           {"src": "x", "use": "other"}],
                                                "routes": [{"src": "/(.*)", "dest": "app.py"}]}),
                     "app.py": """
                         def app(environ, start_response):
                             start_response("200 OK", [("Content-Type", "text/plain")])
                             return [environ["PATH_INFO"].encode()]
                     """})
    assert daemon.get("/a/b").text == "/a/b"
    told = json.loads(daemon.cli("inspect", "--project", daemon.project, "--json").stdout)["warnings"]
    assert len(told) == 2 and 'builds: "none.py" fits no function' in told[1] and "builds[2]" in told[0], told


def test_what_needs_a_build_or_another_runtime_is_named(mayfly, echo):
    daemon = mayfly(project({}, echo, **{"package.json": json.dumps({"dependencies": {"next": "15"}}),
                                         "api/x.go": "package handler", "api/x_test.go": ""}))
    told = json.loads(daemon.cli("inspect", "--project", daemon.project, "--json").stdout)["warnings"]
    assert told[0].startswith("api/x.go: mayfly has no runtime") and '"next" needs a build' in told[1] and len(told) == 2
    daemon = mayfly(project({"outputDirectory": "dist"}, echo, **{"dist/index.html": "built"}))
    assert daemon.get("/").text == "built"
