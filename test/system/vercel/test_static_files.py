"""Files of public/ are served as they are, and nothing else is."""
import hashlib
import os
import time
import urllib.request

import pytest

from lib import process

HELLO = """
def handler(event, context):
    return {"statusCode": 200, "body": "function"}
"""
PROJECT = {
    "api/hello.py": HELLO,
    "public/index.html": "<h1>home</h1>",
    "public/css/site.css": "a{}",
    "public/docs/index.html": "docs",
    "public/blank and [x].txt": "odd",
    "public/numbers.txt": "0123456789",
    "public/.well-known/security.txt": "contact",
    "public/.hidden": "hidden",
    "public/sub/.env": "SECRET=1",
}


@pytest.mark.core
def test_files_are_found_as_by_a_web_server(mayfly):
    daemon = mayfly(PROJECT)
    for target, body, kind in [("/", "<h1>home</h1>", "text/html; charset=utf-8"),
                               ("/index.html", "<h1>home</h1>", "text/html; charset=utf-8"),
                               ("/css/site.css", "a{}", "text/css; charset=utf-8"),
                               ("/docs", "docs", "text/html; charset=utf-8"),
                               ("/docs/", "docs", "text/html; charset=utf-8"),
                               ("/blank%20and%20%5Bx%5D.txt", "odd", "text/plain; charset=utf-8"),
                               ("/.well-known/security.txt", "contact", "text/plain; charset=utf-8")]:
        answer = daemon.get(target)
        assert (answer.status, answer.text, answer.headers["content-type"]) == (200, body, kind), target
        assert answer.headers["cache-control"] == "public, max-age=0, must-revalidate"
        assert answer.headers["accept-ranges"] == "bytes"
    assert daemon.get("/api/hello").text == "function"


@pytest.mark.core
def test_nothing_else_is_served(mayfly, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("outside")
    outside.chmod(0o644)
    daemon = mayfly({**PROJECT, ".env": "SECRET=1", "public/api/hidden.txt": "x"})
    os.symlink(outside, daemon.project / "public/link.txt")
    (daemon.project / "public/index.html").touch()
    for target in ["/.hidden", "/sub/.env", "/.env", "/mayfly.json", "/css", "/api/hello.txt",
                   "/..%2fmayfly.json", "/css/..%2f..%2fapi/hello.py", "/link.txt", "/index.htm",
                   "/css/site.css/", "/%00", "//etc/passwd", "/%2e%2e/mayfly.json"]:
        assert daemon.get(target).status in (400, 404), target


@pytest.mark.core
def test_what_a_client_has_is_not_sent_again(mayfly):
    daemon = mayfly(PROJECT)
    first = daemon.get("/numbers.txt")
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    assert etag.startswith('"') and etag.endswith('"')
    old = "Thu, 01 Jan 2015 00:00:00 GMT"
    for headers, status in [({"If-None-Match": etag}, 304), ({"If-None-Match": "W/" + etag}, 304),
                            ({"If-None-Match": '"a", ' + etag}, 304), ({"If-None-Match": "*"}, 304),
                            ({"If-None-Match": '"a"'}, 200), ({"If-Modified-Since": modified}, 304),
                            ({"If-Modified-Since": old}, 200), ({"If-Modified-Since": "x"}, 200),
                            ({"If-None-Match": '"a"', "If-Modified-Since": modified}, 200),
                            ({"If-Match": etag}, 200), ({"If-Match": '"a"'}, 412),
                            ({"If-Match": "W/" + etag}, 412),
                            ({"If-Unmodified-Since": old}, 412), ({"If-Unmodified-Since": modified}, 200)]:
        answer = daemon.get("/numbers.txt", headers)
        assert answer.status == status, headers
        if status == 304:
            assert answer.body == b"" and answer.headers["etag"] == etag


@pytest.mark.core
def test_parts_of_a_file(mayfly):
    daemon = mayfly(PROJECT)
    etag = daemon.get("/numbers.txt").headers["etag"]
    for wanted, status, body, part in [("bytes=0-3", 206, "0123", "bytes 0-3/10"),
                                       ("bytes=7-", 206, "789", "bytes 7-9/10"),
                                       ("bytes=-2", 206, "89", "bytes 8-9/10"),
                                       ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
                                       ("bytes=9-99", 206, "9", "bytes 9-9/10"),
                                       ("bytes=10-", 416, "", "bytes */10"),
                                       ("bytes=-0", 416, "", "bytes */10"),
                                       ("bytes=3-1", 200, "0123456789", None),
                                       ("bytes=0-1,4-5", 200, "0123456789", None),
                                       ("lines=1-2", 200, "0123456789", None)]:
        answer = daemon.get("/numbers.txt", {"Range": wanted})
        assert (answer.status, answer.text, answer.headers.get("content-range")) == (status, body, part), wanted
    assert daemon.get("/numbers.txt", {"Range": "bytes=0-3", "If-Range": etag}).status == 206
    assert daemon.get("/numbers.txt", {"Range": "bytes=0-3", "If-Range": '"old"'}).status == 200
    head = daemon.request("HEAD", "/numbers.txt")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")


@pytest.mark.core
def test_a_file_takes_get_and_head_only(mayfly):
    daemon = mayfly(PROJECT)
    answer = daemon.post("/numbers.txt", b"x")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_page_of_the_projects_own_for_what_is_not_there(mayfly):
    daemon = mayfly({**PROJECT, "public/404.html": "<p>not here</p>"})
    answer = daemon.get("/nowhere", {"Range": "bytes=0-1", "If-None-Match": "*"})
    assert (answer.status, answer.text) == (404, "<p>not here</p>")
    assert daemon.post("/nowhere", b"x").headers["content-type"] == "application/json"


def test_a_large_file_comes_whole_and_in_little_memory(mayfly):
    size = 64 * 1024 * 1024
    daemon = mayfly({"public/index.html": "x", "public/large.bin": "x" * size + "end"})
    fetch = hashlib.sha256()
    with urllib.request.urlopen(daemon.url + "/large.bin", timeout=60) as answer:
        while piece := answer.read(1 << 20):
            fetch.update(piece)
        request_id = answer.headers["Mayfly-Request-Id"]
    assert fetch.hexdigest() == hashlib.sha256(b"x" * size + b"end").hexdigest()
    record = process.wait_until(lambda: [r for r in daemon.records if r["request_id"] == request_id])[0]
    assert record["bytes_out"] == size + 3
    # What the kernel keeps of the file itself is counted for the worker, but is no memory of its own.
    with open(f"/proc/{record['pid']}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    assert peak < 16 * 1024


def test_a_new_file_appears_after_save(mayfly):
    daemon = mayfly({"public/index.html": "one"}, command="dev")
    assert daemon.get("/").text == "one"
    (daemon.project / "public/new.html").write_text("new")
    (daemon.project / "public/index.html").write_text("two")
    for _ in range(100):
        if daemon.get("/new.html").status == 200:
            break
        time.sleep(0.1)
    assert (daemon.get("/new.html").text, daemon.get("/").text) == ("new", "two")


def test_many_files_are_listed(mayfly):
    files = {f"public/f/{i % 100}/{i}.txt": str(i) for i in range(2000)}
    daemon = mayfly({"public/index.html": "x", **files})
    for i in (0, 999, 1999):
        assert daemon.get(f"/f/{i % 100}/{i}.txt").text == str(i)
    assert daemon.get("/f/1/0.txt").status == 404


def test_a_file_that_has_gone_is_not_there(mayfly):
    daemon = mayfly(PROJECT)
    (daemon.project / "public/numbers.txt").unlink()
    assert daemon.get("/numbers.txt").status == 404


def test_the_methods_of_a_route_win_over_a_file(mayfly):
    daemon = mayfly({**PROJECT, "public/form.html": "form", "form.py": HELLO,
                     "mayfly.json": '{"functions": {"f": {"handler": "form.handler", '
                                    '"routes": ["POST /form.html", "/css/site.css"]}}}'})
    assert daemon.post("/form.html", b"").text == "function"
    assert daemon.get("/form.html").text == "form"
    assert daemon.get("/css/site.css").text == "function"
