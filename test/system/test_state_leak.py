"""Nothing of a request reaches another one: planters leave all they can, seekers look for it."""
import json
import socket
import threading

import pytest

from lib.process import wait_until
from lib.workload import programs

N_REQUESTS = 10_000
CLIENTS = 6

PYTHON = """
    import json, os, signal, sys, threading, time

    held = []
    words = {"clean": True}

    def planted():
        held.append(bytearray(1 << 16))
        words["planted"] = os.getpid()
        sys.modules["planted"] = sys
        json.planted = True
        os.environ["PLANTED"] = "yes"
        os.chdir("/")
        os.umask(0o777)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        signal.alarm(100)
        os.nice(1)
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        for _ in range(3):
            held.append(open("/dev/null"))
            held.append(os.pipe())
        if os.fork() == 0:
            time.sleep(100)
            os._exit(0)
        sys.stdout.write("half a line")

    def found():
        with open("/proc/thread-self/children") as file:
            children = file.read()
        return {
            "held": len(held), "words": words, "module": "planted" in sys.modules,
            "attribute": hasattr(json, "planted"), "environment": os.environ.get("PLANTED"),
            "folder": os.getcwd(), "umask": mask(), "usr1": str(signal.getsignal(signal.SIGUSR1)),
            "term": str(signal.getsignal(signal.SIGTERM)),
            "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
            "alarm": signal.alarm(0), "nice": os.nice(0), "threads": threading.active_count(),
            "tasks": len(os.listdir("/proc/self/task")), "children": children, "fds": fds(),
        }

    def mask():
        now = os.umask(0)
        os.umask(now)
        return now

    def fds():
        kinds = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                kinds[int(fd)] = os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
            except OSError:
                pass  # the one that listed them
        return kinds

    def app(environ, start_response):
        if environ["QUERY_STRING"] == "plant":
            planted()
            body = "planted"
        else:
            body = json.dumps(found(), sort_keys=True)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body.encode()]
"""

NATIVE = r"""
    #include <mayfly.h>

    #include <dirent.h>
    #include <fcntl.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <unistd.h>

    static int counter;
    static char word[64] = "clean";

    static void *sleeper(void *arg)
    {
        sleep(100);
        return arg;
    }

    static void plant(void)
    {
        pthread_t thread;
        sigset_t set;
        int fds[2];

        counter++;
        strcpy(word, "planted");
        setenv("PLANTED", "yes", 1);
        if (chdir("/") < 0 || pipe(fds) < 0 || open("/dev/null", O_RDONLY) < 0)
            abort();
        umask(0777);
        signal(SIGUSR1, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        alarm(100);
        pthread_create(&thread, NULL, sleeper, NULL);
        if (fork() == 0) {
            sleep(100);
            _exit(0);
        }
    }

    static int count(const char *path)
    {
        DIR *dir = opendir(path);
        int n = -2;

        while (dir && readdir(dir))
            n++;
        if (dir)
            closedir(dir);
        return n;
    }

    static void seek(mayfly_response *response)
    {
        struct sigaction action;
        char folder[4096];
        sigset_t blocked;
        mode_t mask = umask(0);

        sigaction(SIGUSR1, NULL, &action);
        sigprocmask(SIG_BLOCK, NULL, &blocked);
        mayfly_printf(response,
                      "counter=%d word=%s environment=%s folder=%s umask=%o ignored=%d blocked=%d "
                      "alarm=%u tasks=%d fds=",
                      counter, word, getenv("PLANTED") ? "yes" : "no", getcwd(folder, sizeof folder),
                      mask, action.sa_handler == SIG_IGN, sigismember(&blocked, SIGUSR2), alarm(0),
                      count("/proc/self/task"));
        for (int fd = 0; fd < 256; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                mayfly_printf(response, "%d,", fd);
    }

    int look(mayfly_request *request, mayfly_response *response)
    {
        if (strcmp(mayfly_query(request), "plant") == 0) {
            plant();
            return mayfly_puts(response, "planted");
        }
        seek(response);
        return 0;
    }
"""

PROJECT = {
    "state.py": PYTHON, "state.c": NATIVE,
    "mayfly.json": {"functions": {
        "python": {"handler": "state.app", "runtime": "python", "routes": ["/python"], "timeout": 60},
        "native": {"handler": "state.look", "runtime": "native", "routes": ["/native"], "timeout": 60}}},
}


class Clients:
    """Keep-alive clients that alternate between planting and seeking, and keep each answer once."""

    def __init__(self, daemon, n):
        self.daemon, self.left, self.lock = daemon, n, threading.Lock()
        self.answers = {"python": {}, "native": {}}
        self.errors = []
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _take(self):
        with self.lock:
            self.left -= 1
            return self.left if self.left >= 0 else None

    def _run(self, i):
        sock = socket.create_connection(self.daemon.address, 30)
        file = sock.makefile("rb")
        while (n := self._take()) is not None:
            # Six native ones for a Python one, which costs as much; every third plants.
            name = "python" if n % 7 == 0 else "native"
            query = "plant" if n % 3 == 0 else "seek"
            try:
                sock.sendall(f"GET /{name}?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                status = file.readline().split()[1]
                length = 0
                while line := file.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = file.read(length)
                assert status == b"200", (status, body)
            except (OSError, AssertionError, IndexError, ValueError) as error:
                self.errors.append((n, name, query, error))
                return
            if query == "seek":
                self.answers[name].setdefault(body, n)
            elif body != b"planted":
                self.errors.append((n, name, query, body))

    def wait(self):
        for thread in self.threads:
            thread.join(300)
            assert not thread.is_alive(), "a request hangs"


@pytest.mark.core
def test_nothing_crosses_from_one_request_to_another(mayfly):
    daemon = mayfly(PROJECT)
    baseline = {name: daemon.get(f"/{name}?seek").body for name in ("python", "native")}
    clients = Clients(daemon, N_REQUESTS)
    clients.wait()
    assert clients.errors == []
    for name, answers in clients.answers.items():
        assert set(answers) == {baseline[name]}, answers
    found = json.loads(baseline["python"])
    assert found["words"] == {"clean": True} and found["held"] == 0
    assert found["tasks"] == found["threads"] == 1 and found["children"] == ""
    # 0 to 3, and none of another request's, of the gateway's or of another client's.
    assert {fd: kind for fd, kind in found["fds"].items() if kind in ("socket", "pipe")} == {
        "1": "pipe", "2": "pipe", "3": "socket"}, found["fds"]
    assert set(found["fds"]) - {"0", "1", "2", "3"} == set(), found["fds"]
    assert b"counter=0 word=clean environment=no" in baseline["native"]
    assert baseline["native"].endswith(b"fds=0,1,2,3,"), baseline["native"]
    assert daemon.ps()["functions"]  # the same gateway: it lost nothing
    assert "peer.died" not in daemon.log
    # Half a line of a planter's output is its own line, not the beginning of another's.
    wait_until(lambda: len(daemon.records) >= N_REQUESTS, "all records", seconds=60)


@pytest.mark.core
def test_worker_holds_no_other_connection(mayfly):
    """While many connections are open, a worker has its own socket and no other."""
    daemon = mayfly(PROJECT)
    open_ones = [daemon.connect() for _ in range(40)]
    for connection in open_ones:
        connection.send(b"GET /python?seek HTTP/1.1\r\nHost: a\r\nX-Half: ")
    for _ in range(10):
        found = json.loads(daemon.get("/python?seek").body)
        assert [k for k in found["fds"].values()].count("socket") == 1, found["fds"]
    for connection in open_ones:
        connection.close()


def test_files_in_tmp_are_private(mayfly):
    pytest.skip("a private /tmp comes with the sandbox's mount namespace")


def test_gateway_is_out_of_reach(mayfly):
    """A worker cannot signal the programs that serve it where it has a PID namespace of its own."""
    daemon = mayfly({"kill.py": """
        import os, signal

        def app(environ, start_response):
            pid = int(environ["QUERY_STRING"])
            try:
                os.kill(pid, 0)
                said = "reached"
            except OSError as error:
                said = type(error).__name__
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [said.encode()]
    """, "mayfly.json": {"functions": {"kill": {"handler": "kill.app", "runtime": "python",
                                                "routes": ["/kill"]}}}})
    if "sandbox=degraded" in daemon.log:
        pytest.skip("this machine gives no PID namespaces")
    for pid in (daemon.pid, *programs(daemon).values()):
        assert daemon.get(f"/kill?{pid}").text == "ProcessLookupError"
