import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture(params=["", "/site"])
def site(mayfly, request):
    """The project by itself, and included with a prefix."""
    if not request.param:
        return mayfly(HERE), ""
    daemon = mayfly({"mayfly.json": '{"include": [{"path": "vercel", "prefix": "/site"}]}'},
                    prepare=lambda folder: shutil.copytree(HERE, folder / "vercel"))
    return daemon, request.param


def test_files(site):
    daemon, prefix = site
    assert "on one's own machine" in daemon.get(prefix + "/").text
    assert "its address is /about" in daemon.get(prefix + "/about").text
    assert daemon.get(prefix + "/style.css").headers["cache-control"] == "public, max-age=86400"
    assert (daemon.get(prefix + "/no").status, "nothing here" in daemon.get(prefix + "/no").text) == (404, True)
    assert daemon.get(prefix + "/.env").status == 404


def test_redirects(site):
    daemon, prefix = site
    for target, headers, status, location in [("/about.html", {}, 308, "/about"), ("/blog/x", {}, 308, "/posts/x"),
                                              ("/beta", {"Cookie": "beta=1"}, 307, "/about"),
                                              ("/api/hello.py", {}, 308, "/api/hello")]:
        answer = daemon.get(prefix + target, headers)
        assert (answer.status, answer.headers["location"]) == (status, prefix + location)
    assert daemon.get(prefix + "/beta").status == 404
    # However the address is written, the rules are asked.
    assert daemon.get(prefix.replace("s", "%73") + "/%62log/x").headers["location"] == prefix + "/posts/x"


def test_rewrites(site):
    daemon, prefix = site
    assert daemon.get(prefix + "/hi/you").text == "Hello, you!\n"
    assert daemon.get(prefix + "/posts/first").json() == {"slug": "first", "asked": prefix + "/posts/first"}
    assert daemon.get(prefix + "/posts/first").headers["x-content-type-options"] == "nosniff"

