"""PHP scripts: what they are given, what becomes of their output and errors, and that no request reaches another."""
import hashlib
import json

import pytest

from lib.process import wait_until
from lib.streams import echo

SCRIPT = {"lib.php": """
    <?php
    function inner() { throw new RuntimeException("boom"); }
    function spin() { while (true) { } }
""", "api/h.php": """
    <?php
    require_once __DIR__ . '/../lib.php';
    switch ($_GET['q'] ?? '') {
    case 'throw': echo "lost"; inner();
    case 'chain': try { inner(); } catch (Exception $e) { throw new LogicException("outer in this", 1, $e); }
    case 'exit': echo "bye"; exit(3);
    case 'fatal': nosuch();
    case 'memory': $x = str_repeat('x', 1 << 40); break;
    case 'spin': spin();
    case 'sleep': sleep(100);
    case 'status': http_response_code(418); header('X-A: b'); setcookie('a', '1'); setcookie('b', '2'); header('Content-Type: x/y'); echo "tea"; break;
    case 'numbers': echo json_encode([mt_rand(), rand(), uniqid('', true), bin2hex(random_bytes(8)), lcg_value(), getmypid()]); break;
    case 'server': header('Content-Type: application/json'); echo json_encode($_SERVER); break;
    case 'post': echo json_encode([$_POST, $_COOKIE, file_get_contents('php://input'),
        array_map(fn($f) => [$f['name'], file_get_contents($f['tmp_name'])], $_FILES)]); break;
    case 'stream': for ($i = 0; $i < 3; $i++) { echo "part$i;"; flush(); } break;
    case 'late': echo "begun"; flush(); inner();
    case 'log': error_log("to the log"); trigger_error("a warning", E_USER_WARNING); echo "logged"; break;
    case 'env': echo json_encode([getenv('PW'), $_SERVER['PW'] ?? null]); break;
    case 'big': for ($i = 0; $i < 32; $i++) echo str_repeat('x', 1 << 20); break;
    case 'binary': header('Content-Type: image/x'); echo "\\0\\xff\\x80"; break;
    case 'fds': echo json_encode(array_map(fn($f) => @readlink("/proc/self/fd/$f"), array_diff(scandir('/proc/self/fd'), ['.', '..']))); break;
    case 'shared': echo json_encode(count(preg_grep('~rw-s~', file('/proc/self/maps')))); break;
    case 'cached': echo json_encode(array_keys(opcache_get_status(true)['scripts'])); break;
    default: static $n = 0; echo ++$n;
    }
""", "mayfly.json": {"defaults": {"timeout": 20}}}


@pytest.mark.core
def test_a_script_is_given_its_request(mayfly):
    daemon = mayfly(SCRIPT)
    server = daemon.get("/api/h?q=server", headers={"X-Thing": "a", "X_Thing": "forged"}).json()
    assert server["REQUEST_METHOD"] == "GET" and server["REQUEST_URI"] == "/api/h?q=server"
    assert server["QUERY_STRING"] == "q=server" and server["HTTP_X_THING"] == "a"
    assert server["SCRIPT_NAME"] == server["PHP_SELF"] == "/api/h.php" and server["REMOTE_ADDR"] == "127.0.0.1"
    form = daemon.request("POST", "/api/h?q=post", body=b"a=1&b[]=2", headers={
        "Content-Type": "application/x-www-form-urlencoded", "Cookie": "k=v"})
    assert json.loads(form.body)[:2] == [{"a": "1", "b": ["2"]}, {"k": "v"}]
    parts = (b"--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.txt\"\r\n\r\nfile's\r\n--X--\r\n")
    upload = daemon.request("POST", "/api/h?q=post", body=parts, headers={"Content-Type": "multipart/form-data; boundary=X"})
    assert json.loads(upload.body)[3] == {"f": ["n.txt", "file's"]}
    raw = daemon.request("PUT", "/api/h?q=post", body=b"raw", headers={"Content-Type": "text/plain"})
    assert json.loads(raw.body)[2] == "raw"


@pytest.mark.core
def test_what_a_script_answers(mayfly):
    daemon = mayfly(SCRIPT)
    raw = daemon.raw(b"GET /api/h?q=status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 418 ") and raw.endswith(b"tea")
    for header in (b"X-A: b", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"x/y"):
        assert header in raw
    assert daemon.get("/api/h?q=exit").text == "bye"
    assert daemon.get("/api/h?q=stream").text == "part0;part1;part2;"
    binary = daemon.get("/api/h?q=binary")
    assert binary.body == b"\x00\xff\x80" and binary.headers["content-type"] == "image/x"
    assert daemon.request("HEAD", "/api/h").body == b""


def test_a_large_answer_streams_in_little_memory(mayfly):
    daemon = mayfly(SCRIPT)
    digest, received = echo(daemon, "/api/h?q=big", 0)
    assert received == 32 << 20 and digest == hashlib.sha256(b"x" * (32 << 20)).hexdigest()
    assert wait_until(lambda: daemon.records, "the record")[-1]["memory_peak_bytes"] < 28 << 20


@pytest.mark.core
def test_a_front_controller_has_its_folder_as_root(mayfly):
    daemon = mayfly({"public/index.php": """
        <?php echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['DOCUMENT_ROOT'];
    """, "mayfly.json": {"functions": {"web": {"handler": "public/index.php", "routes": ["/*"]}}}})
    script, uri, root = daemon.get("/some/path?x=1").text.split()
    assert (script, uri) == ("/index.php", "/some/path?x=1") and root.endswith("/public")


@pytest.mark.core
def test_no_two_workers_share_numbers_state_or_memory(mayfly):
    daemon = mayfly(SCRIPT)
    draws = [json.loads(daemon.get("/api/h?q=numbers").body) for _ in range(5)]
    for i in range(5):
        assert len({d[i] for d in draws}) == 5, f"value {i} was drawn twice"
    assert [daemon.get("/api/h").text for _ in range(3)] == ["1", "1", "1"]
    assert daemon.get("/api/h?q=shared").text == "0", "memory that all workers may write to"
    links = json.loads(daemon.get("/api/h?q=fds").body)
    assert sum(str(link).startswith("socket:") for link in links.values() if link) == 1


@pytest.mark.core
def test_all_scripts_are_compiled_before_the_fork(mayfly):
    cached = json.loads(mayfly(SCRIPT).get("/api/h?q=cached").body)
    assert any(c.endswith("/api/h.php") for c in cached) and any(c.endswith("/lib.php") for c in cached)


@pytest.mark.core
def test_isolation_instance_serves_many(mayfly):
    daemon = mayfly({**SCRIPT, "mayfly.json": {"functions": {"api/h": {"isolation": "instance"}}}})
    assert daemon.get("/api/h?q=throw").status == 500
    assert [daemon.get("/api/h?q=exit").text for _ in range(3)] == 3 * ["bye"]
    assert daemon.get("/api/h?q=stream").text == "part0;part1;part2;"


@pytest.mark.core
def test_errors_are_told_with_their_place(mayfly):
    daemon = mayfly(SCRIPT, command="dev")
    answer = daemon.get("/api/h?q=throw")
    error = answer.json()
    assert answer.status == 500 and (error["errorType"], error["errorMessage"]) == ("RuntimeException", "boom")
    assert "lib.php:2" in error["stackTrace"][0] and "inner()" in error["stackTrace"][1]
    error = daemon.get("/api/h?q=chain").json()
    assert (error["errorType"], error["errorMessage"]) == ("LogicException", "outer in this")
    assert "nosuch" in daemon.get("/api/h?q=fatal").json()["errorMessage"]
    assert daemon.get("/api/h?q=memory").status == 500
    try:
        raw = daemon.raw(b"GET /api/h?q=late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert not raw.endswith(b"0\r\n\r\n"), "an answer that broke off looked complete"
    except ConnectionResetError:
        pass  # so it is told to a client


@pytest.mark.core
def test_a_script_that_does_not_parse_is_told_with_its_line(mayfly):
    answer = mayfly({"api/bad.php": "<?php\n$x = 1;\nfunction x( {\n"}, command="dev").get("/api/bad")
    assert answer.status == 500 and answer.json()["errorType"] == "ParseError" and "bad.php:3" in answer.text


@pytest.mark.core
@pytest.mark.parametrize("query, expected", [("spin", "spin (/"), ("sleep", "at sleep")])
def test_the_deadline_tells_where_a_script_was(mayfly, query, expected):
    daemon = mayfly({**SCRIPT, "mayfly.json": {"defaults": {"timeout": 1}}}, command="dev")
    answer = daemon.get("/api/h?q=" + query)
    stack = "\n".join(answer.json()["stackTrace"])
    assert answer.status == 504 and expected in stack and "api/h.php:" in stack


@pytest.mark.core
def test_the_log_has_what_php_says(mayfly):
    daemon = mayfly(SCRIPT)
    assert daemon.get("/api/h?q=log").text == "logged"
    wait_until(lambda: "to the log" in daemon.stdout and "a warning" in daemon.stdout, "the log")


@pytest.mark.core
def test_secrets_come_after_the_fork(mayfly):
    import test_secrets
    files = {**SCRIPT, "mayfly.json": {"functions": {"api/h": {"env": {"PW": "${secret:PW}"}}}}}
    daemon = test_secrets.start(mayfly, files, {"PW": "hush-hush-hush"})
    assert json.loads(daemon.get("/api/h?q=env").body) == 2 * ["hush-hush-hush"]
