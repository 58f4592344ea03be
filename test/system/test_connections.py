"""What a function connects while it is loaded is not shared between its workers."""
import socket
import threading

import pytest

from lib.process import wait_until

pytestmark = pytest.mark.core


class Server:
    """Answers each line with the number of the connection that it came by; remembers who has left."""

    def __init__(self, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.listener = socket.create_server(address, family=family) if family != socket.AF_UNIX else None
        if not self.listener:
            self.listener = socket.socket(family)
            self.listener.bind(address)
            self.listener.listen()
        self.opened = self.closed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._serve, args=(connection, self.opened), daemon=True).start()

    def _serve(self, connection, number):
        with connection, connection.makefile("rwb") as stream:
            for _ in stream:
                stream.write(b"%d\n" % number)
                stream.flush()
        self.closed += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


FUNCTION = """
    import json, socket
    link = socket.create_connection(("127.0.0.1", %d))
    link.sendall(b"loaded\\n")
    first = link.recv(100).decode()

    def exchange(s):
        s.sendall(b"x\\n")
        return s.recv(100).decode().strip()

    def handler(event, context):
        said = {"first": first.strip(), "fileno": link.fileno()}
        said["end"] = link.recv(100).decode()
        try:
            said["old"] = exchange(link)
        except OSError as e:
            said["old"] = type(e).__name__
        said["new"] = exchange(socket.create_connection(link_to))
        return {"statusCode": 200, "body": json.dumps(said)}

    link_to = ("127.0.0.1", %d)
"""


@pytest.mark.parametrize("isolation", ["request", "instance"])
def test_a_connection_of_the_zygote_is_at_its_end_in_every_worker(mayfly, isolation):
    with Server() as server:
        daemon = mayfly({"one.py": FUNCTION % (server.port, server.port), "mayfly.json": {"functions": {
            "one": {"handler": "one.handler", "isolation": isolation, "routes": ["/"]}}}})
        answers = [daemon.get("/").json() for _ in range(3)]
        assert [a["first"] for a in answers] == ["1"] * 3
        assert [a["end"] for a in answers] == [""] * 3
        assert [a["old"] for a in answers] == ["BrokenPipeError"] * 3
        assert len({a["new"] for a in answers}) == 3 and "1" not in {a["new"] for a in answers}
        wait_until(lambda: server.closed == server.opened or isolation == "instance",
                   "the connection is closed for real, not only in the workers")
        assert server.closed >= 1


def test_the_author_is_told_which_connection_and_what_to_do(mayfly):
    with Server() as server:
        daemon = mayfly({"api/one.py": FUNCTION % (server.port, server.port)}, command="dev")
        assert daemon.get("/api/one").status == 200
        wait_until(lambda: f"connected to 127.0.0.1:{server.port}" in daemon.stdout, "the advice")
        assert "Connect in the handler" in daemon.stdout


def test_a_client_that_keeps_connections_makes_a_new_one(mayfly):
    """As http.client, urllib3 and database pools do: the old connection looks closed to them."""
    daemon = mayfly({"api/hello.py": """
        def handler(event, context):
            return {"statusCode": 200, "body": "hello"}
    """, "api/one.py": """
        import http.client, os, urllib.parse
        url = urllib.parse.urlsplit(os.environ["MAYFLY_URL"])
        client = http.client.HTTPConnection(url.netloc)

        def ask():
            try:
                client.request("GET", "/api/hello")
                return client.getresponse().read().decode()
            except (http.client.RemoteDisconnected, BrokenPipeError):
                client.close()
                return ask()

        at_load = ask()

        def handler(event, context):
            return {"statusCode": 200, "body": at_load + " " + ask()}
    """})
    assert [daemon.get("/api/one").text for _ in range(3)] == ["hello hello"] * 3


def test_a_listening_socket_of_the_zygote_accepts_nobody(mayfly):
    daemon = mayfly({"api/one.py": """
        import json, socket
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def handler(event, context):
            listener.settimeout(5)
            try:
                listener.accept()
                said = "accepted"
            except OSError as e:
                said = type(e).__name__
            return {"statusCode": 200, "body": json.dumps({"port": port, "said": said})}
    """}, command="dev")
    answer = daemon.get("/api/one").json()
    assert answer["said"] == "OSError"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", answer["port"]))
    wait_until(lambda: f"listens on 127.0.0.1:{answer['port']}" in daemon.stdout, "the advice")


def test_datagrams_go_on_from_a_socket_of_each_worker(mayfly):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(30)
        daemon = mayfly({"api/one.py": """
            import socket
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            out.connect(("127.0.0.1", %d))
            out.send(b"loaded")

            def handler(event, context):
                out.send(b"request")
                return {"statusCode": 200, "body": out.recv(100).decode()}
        """ % sink.getsockname()[1]})
        received = []

        def answer(n):
            for _ in range(n):
                word, sender = sink.recvfrom(100)
                received.append(word)
                sink.sendto(b"answer", sender)

        thread = threading.Thread(target=answer, args=(3,), daemon=True)
        thread.start()
        assert [daemon.get("/api/one").text for _ in range(2)] == ["answer"] * 2
        thread.join(30)
        assert received == [b"loaded", b"request", b"request"]


def test_pairs_that_wake_a_loop_are_left_alone(mayfly):
    daemon = mayfly({"api/one.py": """
        import socket
        a, b = socket.socketpair()

        def handler(event, context):
            a.send(b"word")
            return {"statusCode": 200, "body": b.recv(100).decode()}
    """})
    assert daemon.get("/api/one").text == "word"
    assert "closed" not in daemon.stdout
