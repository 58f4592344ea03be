"""Any program that serves HTTP on $PORT: unchanged, behind the gateway and nowhere else."""
import concurrent.futures
import hashlib
import os
import re
import socket

import pytest
from lib.process import wait_until
from lib.web import dial, gateway_pid, rss
from servers import SINGLE, project, threaded

MB = 1024 * 1024


@pytest.mark.core
def test_a_server_answers_every_path_and_method(mayfly):
    daemon = mayfly(project())
    assert daemon.get("/").text == "hello /"
    assert daemon.get("/a/b%20c?x=1&y").text == "hello /a/b%20c?x=1&y"
    answer = daemon.request("POST", "/", body="abc")
    assert answer.text == f"3 {hashlib.sha256(b'abc').hexdigest()}"
    head = daemon.request("HEAD", "/")
    assert (head.status, head.headers["content-length"], head.body) == (200, "1234", b"")
    assert daemon.get("/no_content").status == 204


@pytest.mark.core
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::1"])
def test_whatever_address_is_bound_nobody_else_reaches_it(mayfly, address):
    with open("/proc/net/tcp") as a, open("/proc/net/tcp6") as b:
        before = {line.split()[1] for f in (a, b) for line in f if " 0A " in line}
    daemon = mayfly(project(threaded(address), port=18080))
    assert daemon.get("/name").text == f"{address} 18080"
    with open("/proc/net/tcp") as a, open("/proc/net/tcp6") as b:
        new = {line.split()[1] for f in (a, b) for line in f if " 0A " in line} - before
    assert not [a for a in new if a.endswith(":%04X" % 18080)], new
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as sock:
            assert sock.connect_ex((host, 18080)) != 0


@pytest.mark.core
def test_another_function_does_not_reach_the_port(mayfly):
    files = project(port=18081)
    files["api/knock.py"] = """
        import socket
        def handler(event, context):
            results = []
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as sock:
                    results.append(sock.connect_ex((host, 18081)) == 0)
            return {"statusCode": 200, "body": str(any(results))}
    """
    files["mayfly.json"]["functions"]["app"]["routes"] = ["/app/*"]
    daemon = mayfly(files)
    assert daemon.get("/app/x").status == 200
    assert daemon.get("/api/knock").text == "False"


@pytest.mark.core
def test_two_functions_may_have_the_same_port(mayfly):
    files = project()
    functions = files["mayfly.json"]["functions"]
    functions["other"] = {**functions["app"], "routes": ["/other/*"]}
    daemon = mayfly(files)
    assert daemon.get("/pid").text != daemon.get("/other/").text == "hello /other/"


@pytest.mark.core
@pytest.mark.parametrize("network", ["host", "none"])
def test_a_program_reaches_its_own_ports(mayfly, network):
    source = threaded().replace("    def on_uid", """    def on_itself(self, argument):
        import urllib.request
        port = self.server.server_address[1]
        self.reply(urllib.request.urlopen(f"http://localhost:{port}/inner").read().decode())

    def on_uid""")
    assert mayfly(project(source, network=network)).get("/itself").text == "hello /inner"


def test_a_program_that_does_not_look_at_port_is_found(mayfly):
    source = threaded().replace('int(os.environ["PORT"])', "19191")
    daemon = mayfly(project(source))
    assert daemon.get("/name").text == "127.0.0.1 19191"
    wait_until(lambda: "listens on port 19191, not on $PORT (8080)" in daemon.stdout)


@pytest.mark.core
def test_headers_tell_of_the_client(mayfly):
    daemon = mayfly(project())
    text = daemon.request("GET", "/headers", headers={
        "Host": "shop.example", "X-Forwarded-For": "192.0.2.1", "X-Own": "1", "Connection": "x-gone",
        "X-Gone": "1", "Keep-Alive": "timeout=5", "TE": "trailers"}).text
    headers = dict(line.split(": ", 1) for line in text.splitlines())
    assert headers["Host"] == "shop.example"
    assert headers["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == "shop.example"
    assert headers["X-Own"] == "1" and headers["Connection"] == "close"
    assert headers["Mayfly-Function"] == "app" and "Mayfly-Request-Id" in headers
    assert not {"X-Gone", "Keep-Alive", "TE"} & set(headers)


@pytest.mark.core
@pytest.mark.parametrize("path,body", [
    ("/until_close", b"until the end"), ("/early_hints", b"late"), ("/trailers", b"abc")])
def test_answers_of_every_kind_become_canonical(mayfly, path, body):
    answer = mayfly(project()).get(path)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("path,said", [
    ("/not_http", "the program's answer is not HTTP"),
    ("/two_lengths", "the program's answer is not HTTP"),
    ("/nothing", "the program closed the connection without an answer")])
def test_what_is_no_answer_is_told(mayfly, path, said):
    daemon = mayfly(project(), command="dev")
    answer = daemon.get(path)
    assert answer.status == 500
    assert answer.json()["errorType"] == "Web.BadAnswer" and said in answer.json()["errorMessage"]
    assert daemon.get("/").status == 200


def test_a_broken_off_answer_is_broken_off(mayfly):
    daemon = mayfly(project())
    try:
        assert daemon.get("/half").status == 500  # its head was not out yet
    except (EOFError, ConnectionResetError):
        pass
    assert daemon.get("/").status == 200


@pytest.mark.core
def test_events_are_not_held_back(mayfly):
    daemon = mayfly(project())
    with daemon.connect() as stream:
        stream.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        for i in range(3):
            stream._until(b"data: %d\n\n" % i)  # has come before the next is sent
            assert daemon.get(f"/go/{i}").status == 200


@pytest.mark.core
def test_an_upgrade_passes_bytes_both_ways(mayfly):
    daemon = mayfly(project())
    sock = dial(daemon)
    sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    seen = b""
    while not seen.endswith(b"welcome"):
        seen += sock.recv(4096)
    assert seen.startswith(b"HTTP/1.1 101 ")
    sock.sendall(b"abc" * 100000)
    echoed = b""
    while len(echoed) < 300000:
        data = sock.recv(65536)
        assert data
        echoed += data
    assert echoed == b"ABC" * 100000
    assert daemon.get("/").status == 200


@pytest.mark.core
def test_100_mb_pass_up_and_down_in_constant_memory(mayfly):
    daemon = mayfly(project(body=200))
    gateway = gateway_pid(daemon)
    assert daemon.get("/").status == 200
    before = rss(gateway)
    body = b"y" * (100 * MB)
    answer = daemon.request("POST", "/", body=body)
    assert answer.text == f"{100 * MB} {hashlib.sha256(body).hexdigest()}"
    sock, n = dial(daemon), 0
    sock.sendall(b"GET /down/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    while data := sock.recv(1 << 20):
        n += data.count(b"x")
    assert n == 100 * MB
    assert rss(gateway) - before < 20 * MB
    assert daemon.get("/").status == 200


def test_a_client_that_leaves_is_seen_by_the_server(mayfly):
    daemon = mayfly(project())
    sock = dial(daemon)
    sock.sendall(b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: daemon.get("/has_left").text == "False")
    sock.close()
    wait_until(lambda: daemon.get("/has_left").text == "True", seconds=60)


def test_a_request_over_its_deadline_ends_alone(mayfly):
    daemon = mayfly(project(timeout=1))
    late = daemon.get("/sleep/30")
    assert late.status == 504
    assert "waiting for the program's answer" in str(daemon.record(late))
    assert daemon.get("/").status == 200


def test_a_crash_costs_what_is_in_flight_and_the_next_request_starts_anew(mayfly):
    daemon = mayfly(project())
    first = daemon.get("/pid").text
    assert daemon.get("/crash").status == 502
    assert daemon.get("/pid").text != first
    wait_until(lambda: "about to crash" in daemon.stdout)
    said = r"python3(\.\d+)? exited with status 3; the next request starts it again"
    wait_until(lambda: re.search(said, daemon.stdout))


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user may have no control group of memory")
def test_a_server_without_memory_is_named_and_started_again(mayfly):
    source = threaded().replace("    def on_uid", """    def on_eat(self, argument):
        self.reply(str(len(bytearray(b"x") * (300 << 20))))

    def on_uid""")
    daemon = mayfly(project(source, memory=64))
    assert daemon.get("/eat").status == 502
    wait_until(lambda: re.search(r"OutOfMemory: used \d+ MB of 64 MB", daemon.stdout))
    assert daemon.get("/").status == 200


@pytest.mark.core
def test_requests_beyond_per_process_get_another_process(mayfly):
    daemon = mayfly(project(SINGLE, per_process=1, concurrency=4))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        pids = list(pool.map(lambda _: daemon.get("/slow").text, range(24)))
    assert 2 <= len(set(pids)) <= 4


@pytest.mark.core
def test_one_process_serves_many_at_once(mayfly):
    daemon = mayfly(project(concurrency=20, memory=512))
    daemon.get("/")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        pids = list(pool.map(lambda _: daemon.get("/pid/0.5").text, range(20)))
    assert len(set(pids)) == 1


# ---- starting ----


@pytest.mark.core
def test_a_slow_start_is_waited_for(mayfly):
    daemon = mayfly(project("import time; time.sleep(1.5)\n" + threaded()))
    assert daemon.get("/").status == 200


def failure(mayfly, *arguments, **settings):
    daemon = mayfly(project(*arguments, init_timeout=2, **settings), command="dev")
    answer = daemon.get("/")
    assert answer.status == 500
    return answer.json()


def test_what_never_gets_ready_is_told(mayfly):
    said = failure(mayfly, "import time; time.sleep(100)")
    assert said["errorType"] == "Runtime.InitTimeout"
    assert said["errorMessage"].endswith("the program listens on no TCP port yet")


def test_a_readiness_path_that_fails_is_told(mayfly):
    source = threaded().replace('name, _, argument', 'return self.reply("no", 503)\n        name, _, argument')
    said = failure(mayfly, source, readiness="/healthz")
    assert said["errorMessage"].endswith("GET /healthz on port 8080 is answered with 503")


def test_readiness_tcp_asks_for_nothing(mayfly):
    source = threaded().replace('name, _, argument', 'return self.reply("no", 503)\n        name, _, argument')
    daemon = mayfly(project(source, readiness="tcp"))
    assert daemon.get("/").status == 503


def test_a_program_that_ends_is_told(mayfly):
    said = failure(mayfly, "import sys; print('bad luck'); sys.exit(7)")
    assert said["errorType"] == "Runtime.ExitError"
    assert "exited with status 7 before it was ready" in said["errorMessage"]


def test_mistakes_are_told_when_the_project_is_loaded(mayfly):
    for settings, said in [
            ({"command": ("no-such-program",)}, 'there is no program "no-such-program" in PATH'),
            ({"command": ("./server.py",)}, "is not executable; run: chmod +x"),
            ({"isolation": "request"}, 'has no "isolation": "request"; leave it out'),
            ({"network": ["192.0.2.1:80"]}, "cannot be held to a list of places")]:
        daemon = mayfly(project(**settings), command="dev")
        answer = daemon.get("/")
        assert answer.status == 500 and said in answer.json()["errorMessage"], answer


@pytest.mark.core
def test_a_line_is_for_a_shell(mayfly):
    daemon = mayfly(project(command="GREETING=1 exec python3 server.py $PORT"))
    assert daemon.get("/").text == "hello /"


@pytest.mark.core
def test_an_idle_server_ends(mayfly):
    daemon = mayfly(project(zygote_idle=1))
    assert daemon.get("/").status == 200
    wait_until(lambda: "mayfly-web" not in daemon.tree().values(), seconds=20)
    assert daemon.get("/").status == 200


FAREWELL = """import os, signal, socket
def farewell(*_):
    socket.create_connection(("127.0.0.1", int(os.environ["LISTENER"]))).close()
    GO_ON or os._exit(0)
signal.signal(signal.SIGTERM, farewell)
"""


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(20)
        yield sock


@pytest.mark.core
def test_a_server_is_asked_to_end_when_it_is_idle(mayfly, listener):
    environment = {"LISTENER": str(listener.getsockname()[1])}
    daemon = mayfly(project("GO_ON = False\n" + FAREWELL + threaded(), zygote_idle=1, env=environment))
    assert daemon.get("/").status == 200
    listener.accept()[0].close()
    wait_until(lambda: "mayfly-web" not in daemon.tree().values(), seconds=20)
    assert daemon.get("/").status == 200


def test_a_server_is_asked_to_end_with_the_daemon_and_killed_if_it_does_not(mayfly, listener):
    environment = {"LISTENER": str(listener.getsockname()[1])}
    daemon = mayfly(project("GO_ON = True\n" + FAREWELL + threaded(), env=environment))
    assert daemon.get("/").status == 200
    assert daemon.stop(seconds=15) == 0  # and nothing is left
    listener.accept()[0].close()


@pytest.mark.core
def test_a_server_with_no_network_serves(mayfly):
    daemon = mayfly(project(network="none"))
    assert daemon.get("/").text == "hello /"
