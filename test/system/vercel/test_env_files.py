"""Variables from .env files reach functions, and nobody else."""
import pytest

PROJECT = {
    ".env": 'A=env\nB=env\nC=env\nexport D="two\nlines"\nE=${A}-x # comment\nF=\'$A\'\nQUOTED="a\\tb"\nG=${NO:-else}\n',
    ".env.local": "B=local\n",
    ".env.development": "C=development\nM=file\n",
    ".env.production": "C=production\nM=file\n",
    "mayfly.json": '{"functions": {"api/hello": {"env": {"M": "mayfly"}}}}',
}


@pytest.mark.core
@pytest.mark.parametrize("command", ["dev", "serve"])
def test_the_nearest_file_wins(mayfly, echo, command):
    daemon = mayfly({**PROJECT, "api/hello.py": echo()}, command=command)
    env = daemon.get("/api/hello").json()["env"]
    assert {k: env.get(k) for k in "ABCDEFGM"} == {
        "A": "env", "B": "local", "C": "development" if command == "dev" else "production", "D": "two\nlines",
        "E": "env-x", "F": "$A", "G": "else", "M": "mayfly"}
    assert env["QUOTED"] == "a\tb"
    assert "VERCEL" not in env
    assert daemon.get("/.env").status == 404


@pytest.mark.core
def test_a_project_of_vercels_sees_its_variables_and_serves_its_folder(mayfly, echo):
    daemon = mayfly({"vercel.json": "{}", ".env": "A=1", "api/hello.py": echo(), "index.html": "home",
                     "style.css": "a{}", "app.py": "x", "package.json": "{}", "requirements.txt": "",
                     "sub/page.html": "page", "node_modules/x.js": "x"}, command="dev")
    env = daemon.get("/api/hello").json()["env"]
    assert (env["VERCEL"], env["VERCEL_ENV"], env["VERCEL_REGION"], env["A"]) == ("1", "development", "dev1", "1")
    assert daemon.url.endswith(env["VERCEL_URL"])
    assert [daemon.get(t).text for t in ("/", "/style.css", "/sub/page.html")] == ["home", "a{}", "page"]
    for target in ["/app.py", "/package.json", "/vercel.json", "/.env", "/requirements.txt", "/node_modules/x.js",
                   "/api/hello.pyc"]:
        assert daemon.get(target).status == 404, target


def test_a_mistake_is_told_with_its_line(mayfly, echo):
    daemon = mayfly({".env": "A=1\nnonsense\n", "api/hello.py": echo()}, wait=False)
    daemon.process.wait(30)
    assert ".env:2: is no NAME=value" in daemon.log
