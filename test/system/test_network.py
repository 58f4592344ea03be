"""What a function can reach: all but cloud metadata, only what is listed, or nothing. Each attempt is
judged twice: by what the function saw, and by what arrived at the other end."""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket

import pytest

from lib.daemon import run_cli
from lib.http import Connection
from lib.network import Names, Sink, own_namespace
from lib.process import wait_until

HERE = pathlib.Path(__file__).parent
PROBE = (HERE / "projects" / "network" / "probe.py").read_text()
PORT = 5000
LISTED, OTHER, LISTED6, OTHER6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"]
METADATA6 = ["fd00:ec2::254", "fd00:ec2::23", "fe80::a9fe:a9fe"]
ADDRESSES = [f"{a}/32" for a in (LISTED, OTHER, *METADATA)] + [f"{a}/128" for a in (LISTED6, OTHER6, *METADATA6)]
PLACES = [("127.0.0.1", PORT), ("127.0.0.2", PORT), ("::1", PORT), (LISTED, PORT), (LISTED, PORT + 1),
          (OTHER, PORT), (LISTED6, PORT), (OTHER6, PORT),
          *((a, 80) for a in METADATA), *((a, 80) for a in METADATA6 if not a.startswith("fe80"))]

TO_4 = ["tcp", "tcp_mapped", "fastopen", "nonblocking", "udp", "udp_mapped", "sendto", "sendto_mapped",
        "sendto_unspecified", "sendto_4_in_6", "sendmsg", "sendmmsg"]
TO_6 = ["tcp", "fastopen", "nonblocking", "udp", "sendto", "sendmsg"]
# Ways that a function has not got at all, wherever they would lead.
FORBIDDEN = ["mptcp", "sctp", "udplite", "raw", "packet", "netlink", "ping", "vsock"]
# Ways to say an address without naming it to connect() or sendto().
SIDEWAYS = ["tcp_unspecified_bound", "udp_unspecified_bound", "udp_unspecified_pktinfo",
            "tcp_mapped_unspecified_bound"]

words = (f"word{n}" for n in itertools.count())
root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root: a network of the test's own")
plain = pytest.mark.skipif(os.geteuid() == 0, reason="what a daemon without root does")


def project(network, **more):
    """One function in each network; `network` is of the one called `list`."""
    functions = {name: {"handler": "probe.handler", "routes": [f"/{name}", f"/{name}/sockets"],
                        "network": value, **more}
                 for name, value in (("host", "host"), ("none", "none"), ("list", network)) if value}
    return {"probe.py": PROBE, "mayfly.json": json.dumps({"functions": functions})}


def attempt(daemon, function, attempts):
    """[(how, address, port)] as the function; returns [(result, word)]."""
    asked = [{"how": how, "address": address, "port": port, "word": next(words), "allowed": [LISTED, PORT]}
             for how, address, port in attempts]
    response = daemon.post(f"/{function}", json.dumps(asked))
    assert response.status == 200, (response.text, daemon.log)
    return [(result, one["word"]) for result, one in zip(json.loads(response.text), asked)]


def expect(daemon, sink, function, attempts, allowed, lost=False):
    """All of the attempts succeed and arrive, or none of them. What is lost may have seemed to succeed."""
    results = attempt(daemon, function, attempts)
    for one, (result, word) in zip(attempts, results):
        if allowed:
            assert result == "ok" and sink.has(word), (function, one, result, daemon.log)
        else:
            assert lost or result != "ok", (function, one)
    if not allowed:
        # What was sent after them has come, so they would have.
        for how in ("tcp", "udp"):
            with socket.socket(socket.AF_INET, {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[how]) as s:
                last = next(words)
                s.connect((LISTED, PORT))
                s.send(last.encode())
            assert sink.has(last)
        assert not {word for _, word in results} & sink.words, (function, attempts)


@pytest.fixture
def net(mayfly):
    """start(project, ...) runs the daemon in a network of its own, with sinks at PLACES."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_namespace(ADDRESSES))
        sink = stack.enter_context(Sink(PLACES))

        def start(files, *arguments, **options):
            daemon = mayfly(files, *arguments, **options)
            daemon.sink = sink
            stack.callback(daemon.stop)
            return daemon

        yield start


LIST = [f"{LISTED}:{PORT}", f"[{LISTED6}]:{PORT}", f"127.0.0.2:{PORT}"]


@root
def test_host_reaches_all_but_metadata(net):
    daemon = net(project(LIST))
    host, port = daemon.address
    for address in ("127.0.0.1", LISTED, OTHER):
        expect(daemon, daemon.sink, "host", [(how, address, PORT) for how in TO_4], True)
    for address in ("::1", LISTED6, OTHER6):
        expect(daemon, daemon.sink, "host", [(how, address, PORT) for how in TO_6], True)
    expect(daemon, daemon.sink, "host", [("tcp", "0.0.0.0", PORT), ("udp", "0.0.0.0", PORT),
                                         ("tcp", "::", PORT), ("udp", "::", PORT),
                                         ("tcp_mapped", "0.0.0.0", PORT)], True)
    for address in METADATA:
        expect(daemon, daemon.sink, "host",
               [(how, address, 80) for how in TO_4 + ["sendto_connected"]], False)
        expect(daemon, daemon.sink, "host", [(how, address, 80) for how in SIDEWAYS], False, lost=True)
        expect(daemon, daemon.sink, "host", [("tcp", "64:ff9b::" + address, 80)], False)
    for address in METADATA6:
        expect(daemon, daemon.sink, "host", [(how, address, 80) for how in TO_6], False)
    # Its own public side is one of the places.
    assert attempt(daemon, "host", [("tcp", host, port)])[0][0] == "ok"


@root
def test_these_ways_lead_to_metadata_where_nothing_holds(net):
    """What the other tests see refused is there, and each way leads to it: without control groups."""
    open_daemon = net(project(["127.0.0.1:80"]), "--allow-degraded", env={"MAYFLY_CGROUPS": "none"})
    for address in METADATA:
        expect(open_daemon, open_daemon.sink, "host",
               [(how, address, 80) for how in TO_4 + SIDEWAYS + ["sendto_connected"]], True)
    expect(open_daemon, open_daemon.sink, "host", [(how, METADATA6[0], 80) for how in TO_6], True)
    assert "metadata" in open_daemon.log and "function=list" in open_daemon.log
    assert open_daemon.post("/list", "[]").status == 500


@root
@pytest.mark.parametrize("function", ["host", "list"])
def test_the_refused_are_refused_and_not_lost(net, function):
    daemon = net(project(LIST))
    ways = [("tcp", METADATA[0], 80), ("udp", METADATA[0], 80), ("sendto", METADATA[0], 80),
            ("tcp", METADATA6[0], 80), ("sendto", METADATA6[0], 80), ("sendto_mapped", METADATA[0], 80)]
    assert [result for result, _ in attempt(daemon, function, ways)] == ["EPERM"] * len(ways)


@root
def test_list_is_all_there_is(net):
    daemon = net(project(LIST))
    host, port = daemon.address
    expect(daemon, daemon.sink, "list", [(how, LISTED, PORT) for how in TO_4], True)
    expect(daemon, daemon.sink, "list", [(how, LISTED6, PORT) for how in TO_6], True)
    expect(daemon, daemon.sink, "list", [(how, "127.0.0.2", PORT) for how in TO_4], True)
    for address, other_port in ((OTHER, PORT), (LISTED, PORT + 1), ("127.0.0.1", PORT), (METADATA[0], 80)):
        expect(daemon, daemon.sink, "list",
               [(how, address, other_port) for how in TO_4 + SIDEWAYS + ["sendto_connected"]], False)
    for address in (OTHER6, "::1", METADATA6[0]):
        expect(daemon, daemon.sink, "list", [(how, address, PORT) for how in TO_6], False)
    expect(daemon, daemon.sink, "list", [("tcp", "0.0.0.0", PORT), ("udp", "0.0.0.0", PORT), ("tcp", "::", PORT),
                                         ("tcp", host, port)], False)


@root
def test_a_packet_with_a_list_goes_straight(net):
    """Newer kernels refuse a source route to everybody without privileges."""
    daemon = net(project(LIST))
    ways = [("source_route", OTHER, PORT), ("source_route", LISTED, PORT)]
    expect(daemon, daemon.sink, "list", ways, False)


@root
def test_a_list_accepts_only_where_it_says(net):
    daemon = net(project([*LIST, f"127.0.0.3:{PORT}", "127.0.0.4:*"]))
    assert attempt(daemon, "list", [("server", "127.0.0.3", PORT)])[0][0] == "ok"
    # May be connected to, being listed, but the answer comes from the listed address, too.
    assert attempt(daemon, "list", [("server", "127.0.0.4", 0)])[0][0] == "ok"
    assert attempt(daemon, "host", [("server", "127.0.0.1", 0)])[0][0] == "ok"
    assert attempt(daemon, "none", [("server", "127.0.0.1", 0)])[0][0] == "ok"


LISTENER = """
    import socket, time
    def handler(event, context):
        with socket.create_server(("0.0.0.0", 5555)) as listener:
            listener.settimeout(4)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return {"statusCode": 200, "body": "nobody"}
            return {"statusCode": 200, "body": connection.recv(64).decode()}
"""


@root
@pytest.mark.parametrize("network, body", [("host", "hello"), (LIST, "nobody")])
def test_nobody_gets_in_from_outside_to_a_list(net, network, body):
    daemon = net({"api/listen.py": LISTENER, "mayfly.json": {"functions": {"api/listen": {"network": network}}}})
    with daemon.connect(60) as connection:
        connection.send(b"GET /api/listen HTTP/1.1\r\nHost: x\r\n\r\n")

        def connect():
            with contextlib.suppress(OSError):
                s = socket.create_connection(("127.0.0.1", 5555), 3)
                s.sendall(b"hello")
                return s
            return None

        if network == "host":
            with wait_until(connect, "it listens"):
                assert connection.response().text == body
        else:
            wait_until(lambda: ":15B3 " in pathlib.Path("/proc/thread-self/net/tcp").read_text(), "it listens")
            assert connect() is None
            assert connection.response().text == body


@root
def test_none_reaches_nothing_but_itself(net):
    daemon = net(project(None))
    host, port = daemon.address
    assert attempt(daemon, "none", [("server", "127.0.0.1", 0)])[0][0] == "ok"
    assert attempt(daemon, "none", [("server", "::1", 0)])[0][0] == "ok"
    for address in ("127.0.0.1", LISTED, OTHER, METADATA[0]):
        expect(daemon, daemon.sink, "none", [(how, address, PORT) for how in ("tcp", "tcp_mapped", "fastopen")], False)
        # A datagram to an address of this machine's loopback is lost without a word.
        results = attempt(daemon, "none", [(how, address, PORT) for how in TO_4])
        assert not {word for _, word in results} & daemon.sink.words
    expect(daemon, daemon.sink, "none", [("tcp", LISTED6, PORT), ("tcp", "::1", PORT), ("tcp", host, port)], False)


@pytest.mark.core
def test_none_without_root(mayfly):
    """The same with what every user has: a network namespace."""
    with Sink([("127.0.0.1", 0)]) as sink, socket.create_server(("127.0.0.1", 0)) as listener:
        daemon = mayfly({"probe.py": PROBE, "mayfly.json": json.dumps(
            {"functions": {"none": {"handler": "probe.handler", "routes": ["/none"], "network": "none"}}})})
        host, port = daemon.address
        tried = [("tcp", "127.0.0.1", listener.getsockname()[1]), ("tcp", host, port)]
        assert [result for result, _ in attempt(daemon, "none", tried)] == ["ECONNREFUSED"] * 2
        assert attempt(daemon, "none", [("server", "127.0.0.1", 0)])[0][0] == "ok"
        assert not sink.words


@plain
@pytest.mark.core
def test_without_root_a_list_is_refused_and_host_is_told_of(mayfly):
    daemon = mayfly(project(["127.0.0.1:80"]))
    assert "function.refused" in daemon.log and "function=list" in daemon.log
    response = daemon.post("/list", "[]")
    assert response.status == 500
    assert "lists what it may reach" in daemon.record(response)["stack"]
    assert attempt(daemon, "host", [("tcp", *daemon.address)])[0][0] == "ok"
    doctor = json.loads(run_cli("doctor", "--json").stdout)
    layer = next(x for x in doctor["sandbox"]["layers"] if x["name"] == "metadata")
    assert layer["state"] == "not-in-profile" and "only root" in layer["reason"]


@pytest.mark.core
def test_a_degraded_sandbox_holds_no_network(mayfly):
    daemon = mayfly(project(["127.0.0.1:80"]), "--allow-degraded", env={"MAYFLY_SANDBOX": "degraded"})
    for function, text in (("list", "lists what it may reach"), ("none", "the sandbox is degraded")):
        response = daemon.post(f"/{function}", "[]")
        assert response.status == 500
        assert text in daemon.record(response)["stack"]
    assert daemon.post("/host", "[]").text == "[]"


# ---- what no network gives ----


@root
@pytest.mark.parametrize("function", ["host", "none", "list"])
def test_other_kinds_of_sockets_lead_nowhere(net, function):
    daemon = net(project(LIST))
    for how in FORBIDDEN:
        for address in (LISTED, METADATA[0]):
            results = attempt(daemon, function, [(how, address, PORT)])
            assert results[0][0] != "ok", how
            assert results[0][1] not in daemon.sink.words


@pytest.mark.core
@pytest.mark.parametrize("function", ["host", "none"])
def test_other_kinds_of_sockets_without_root(mayfly, function):
    daemon = mayfly(project(None))
    for how in ("raw", "packet", "vsock"):
        assert attempt(daemon, function, [(how, "127.0.0.1", 1)])[0][0] != "ok", how


@pytest.mark.core
@pytest.mark.parametrize("function", ["host", "none"])
def test_unix_sockets_of_the_machine_are_out_of_reach(mayfly, function):
    daemon = mayfly(project(None))
    name = f"mayfly-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        results = attempt(daemon, function, [("unix", str(daemon.state / "mayfly.sock"), 0),
                                             ("abstract", name, 0)])
    assert results[0][0] != "ok"
    assert results[1][0] in ("EPERM", "ECONNREFUSED")
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        assert connection.request("GET", "/api/v1/ps").status == 200  # it was there


HOLDER = """
    import os, socket, time
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    def handler(event, context):
        where = event["rawPath"].rsplit("/", 1)[1]
        if where == "hold":
            made = socket.socket(socket.AF_UNIX)
            made.bind("\\0held"); made.listen()
            path = socket.socket(socket.AF_UNIX)
            path.bind("/tmp/held"); path.listen()
            print("holding", flush=True)
            time.sleep(20)
            return 1
        found = []
        for address in ("\\0held", "/tmp/held"):
            try:
                socket.socket(socket.AF_UNIX).connect(address)
                found.append(address)
            except OSError:
                pass
        return {"statusCode": 200, "body": repr(found)}
"""


@pytest.mark.core
@pytest.mark.parametrize("network", ["host", "none"])
def test_unix_sockets_of_other_requests_are_out_of_reach(mayfly, network):
    """Of the same function and of another one."""
    functions = {f: {"handler": "hold.handler", "routes": [f"/{f}/hold", f"/{f}/seek"], "network": network}
                 for f in ("a", "b")}
    daemon = mayfly({"hold.py": HOLDER, "mayfly.json": {"functions": functions}})
    with daemon.connect() as holder:
        holder.send(b"GET /a/hold HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: "holding" in daemon.stdout, "it holds its sockets")
        assert daemon.get("/b/seek").text == "[]"
        assert daemon.get("/a/seek").text == "[]"


SOCKETS = """
    import os, socket
    def handler(event, context):
        seen = []
        for fd in os.listdir("/proc/self/fd"):
            try:
                s = socket.socket(fileno=os.dup(int(fd)))
            except OSError:
                continue
            seen.append((s.family.name if hasattr(s.family, "name") else s.family))
        s = socket.create_server(("127.0.0.1", 0))
        os.set_inheritable(s.fileno(), True)
        globals().setdefault("left", []).append(s)
        return {"statusCode": 200, "body": ",".join(sorted(seen)) + " " + str(s.getsockname()[1])}
"""


@pytest.mark.core
def test_sockets_of_a_request_are_not_seen_by_the_next(mayfly):
    daemon = mayfly({"api/sockets.py": SOCKETS})
    seen = []
    for _ in range(5):
        families, port = daemon.get("/api/sockets").text.rsplit(" ", 1)
        seen.append(families)
        # What it listened on is closed with it.
        wait_until(lambda: _refuses(int(port)), "the socket is gone")
    assert set(seen) == {"AF_UNIX"}, seen


def _refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it is being closed
        pass
    return False


# ---- names ----

WRAPPER = """#!/bin/sh
# The daemon sees other files; nobody else does.
mount --bind "$FILES/resolv.conf" /etc/resolv.conf && mount --bind "$FILES/hosts" /etc/hosts && exec "$MAYFLY" "$@"
"""


@pytest.fixture
def named(net, tmp_path, monkeypatch):
    """start(project, names) with a server of names at 127.0.0.53 that knows just these."""
    import lib.daemon

    if not shutil.which("unshare"):
        pytest.skip("takes unshare(1)")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:2 attempts:2\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "inner").write_text(WRAPPER)
    (tmp_path / "outer").write_text('#!/bin/sh\nexec unshare -m -- "$FILES/inner" "$@"\n')
    for name in ("inner", "outer"):
        (tmp_path / name).chmod(0o755)
    with contextlib.ExitStack() as stack:
        def start(files, names):
            server = stack.enter_context(Names("127.0.0.53", names))
            environment = {"FILES": str(tmp_path), "MAYFLY": str(lib.daemon.MAYFLY)}
            monkeypatch.setattr(lib.daemon, "MAYFLY", tmp_path / "outer")
            daemon = net(files, env=environment)
            return daemon, server

        yield start


@root
def test_a_name_stands_for_its_addresses(named):
    names = {"db.test": [LISTED]}
    daemon, server = named(project([f"db.test:{PORT}"]), names)
    expect(daemon, daemon.sink, "list", [("name", "db.test", PORT), ("tcp", LISTED, PORT)], True)
    expect(daemon, daemon.sink, "list", [("name", "db.test", PORT + 1), ("tcp", OTHER, PORT),
                                         ("name", "other.test", PORT), ("tcp", "127.0.0.53", PORT)], False)
    assert {"db.test", "other.test"} <= set(server.asked)
    before = daemon.record(daemon.post("/list", "[]"))

    # Another address: the same version, the same zygote, other doors.
    names["db.test"] = [OTHER]
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: attempt(daemon, "list", [("tcp", OTHER, PORT)])[0][0] == "ok", "the new address is known")
    expect(daemon, daemon.sink, "list", [("name", "db.test", PORT)], True)
    expect(daemon, daemon.sink, "list", [("tcp", LISTED, PORT)], False)
    after = daemon.record(daemon.post("/list", "[]"))
    assert after["version"] == before["version"] and after["cold"] == 0

    # A server that is silent for once changes nothing.
    names.clear()
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.asked[-1] == "db.test", "it was asked")
    expect(daemon, daemon.sink, "list", [("tcp", OTHER, PORT)], True)


@root
def test_a_name_that_stands_for_metadata_breaks_the_function(named):
    daemon, _ = named(project([f"evil.test:80", f"{LISTED}:{PORT}"]), {"evil.test": [LISTED, METADATA[0]]})
    assert "where machines get their credentials" in daemon.log
    assert daemon.post("/list", "[]").status == 500
    assert attempt(daemon, "host", [("tcp", LISTED, PORT)])[0][0] == "ok"


@root
def test_a_name_without_an_address_breaks_the_function_until_it_has_one(named):
    names = {}
    daemon, _ = named(project([f"late.test:{PORT}"]), names)
    assert 'mayfly.json' in daemon.log and '"late.test:5000": cannot find its address' in daemon.log.replace("\\", "")
    assert daemon.post("/list", "[]").status == 500
    names["late.test"] = [LISTED]
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.post("/list", "[]").status == 200, "it is mended")
    expect(daemon, daemon.sink, "list", [("name", "late.test", PORT)], True)


# ---- C ----

NATIVE = r"""
#include <mayfly.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int kept; /* made when the function was loaded */

int mayfly_init(void)
{
    kept = socket(AF_INET, SOCK_DGRAM, 0);
    return kept < 0;
}

int handler(mayfly_request *request, mayfly_response *response)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(mayfly_param(request, "port")))};
    const char *how = mayfly_param(request, "how"), *word = mayfly_param(request, "word");
    int fd, r;

    inet_pton(AF_INET, mayfly_param(request, "address"), &to.sin_addr);
    if (strcmp(how, "kept") == 0) {
        r = (int)sendto(kept, word, strlen(word), 0, (struct sockaddr *)&to, sizeof(to));
    } else {
        fd = socket(AF_INET, strcmp(how, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM, 0);
        r = connect(fd, (struct sockaddr *)&to, sizeof(to));
        if (r == 0)
            r = (int)write(fd, word, strlen(word));
    }
    return mayfly_printf(response, "%s", r < 0 ? strerrorname_np(errno) : "ok");
}
"""


@root
@pytest.mark.parametrize("network", ["host", "list"])
def test_c_functions_and_sockets_made_at_load(net, network):
    daemon = net({"native.c": "#define _GNU_SOURCE" + NATIVE, "mayfly.json": {"functions": {
        "c": {"handler": "native.handler", "routes": ["/c"], "network": LIST if network == "list" else "host"}}}})

    def ask(how, address, port):
        word = next(words)
        return daemon.get(f"/c?how={how}&address={address}&port={port}&word={word}").text, word

    for how in ("tcp", "udp", "kept"):
        result, word = ask(how, LISTED, PORT)
        assert result == "ok" and daemon.sink.has(word), (how, result, daemon.stdout)
        for address, port in ((METADATA[0], 80), (METADATA[1], 80)) + (((OTHER, PORT),) if network == "list" else ()):
            result, word = ask(how, address, port)
            assert result == "EPERM" and word not in daemon.sink.words, (how, address, result)
