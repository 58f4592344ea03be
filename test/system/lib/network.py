"""A network of the test's own: a namespace whose loopback has any address that is wanted, what
listens there and remembers what has arrived, and a server of names."""
import contextlib
import ctypes
import os
import selectors
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def own_namespace(addresses):
    """This thread, and what it starts, is in a namespace of its own. Takes root."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(LIBC.unshare(CLONE_NEWNET))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run(["ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])],
                           check=True)
        yield
    finally:
        _check(LIBC.setns(before, CLONE_NEWNET))
        os.close(before)


class Sink:
    """Listens for TCP and UDP at each of [(address, port)] and keeps the words that arrive."""

    def __init__(self, places):
        self.words = set()
        self.changed = threading.Condition()
        self.selector = selectors.DefaultSelector()
        self.wake, self.end = socket.socketpair()
        self.selector.register(self.end, selectors.EVENT_READ, None)
        for address, port in places:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            tcp = socket.create_server((address, port), family=family)
            self.selector.register(tcp, selectors.EVENT_READ, self._accept)
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.bind((address, port))
            self.selector.register(udp, selectors.EVENT_READ, self._datagram)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _take(self, data):
        with self.changed:
            self.words.update(data.decode("latin-1").split())
            self.changed.notify_all()

    def _accept(self, listener):
        connection, _ = listener.accept()
        self.selector.register(connection, selectors.EVENT_READ, self._stream)

    def _stream(self, connection):
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        if data:
            self._take(data)
            return
        self.selector.unregister(connection)
        connection.close()

    def _datagram(self, sock):
        data, sender = sock.recvfrom(4096)
        self._take(data)
        with contextlib.suppress(OSError):
            sock.sendto(data, sender)

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def has(self, word, seconds=5):
        """Whether the word has come, or comes."""
        with self.changed:
            return self.changed.wait_for(lambda: word in self.words, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wake.send(b"x")
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.wake.close()


class Names:
    """A server of names at (address, 53): {name: [IPv4 address]}; others do not exist."""

    def __init__(self, address, names):
        self.names = names
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _answer(self, query):
        end, labels = 12, []
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode())
            end += 1 + query[end]
        end += 5
        kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
        name = ".".join(labels)
        self.asked.append(name)
        known = self.names.get(name)
        addresses = known if known and kind == 1 else []
        answer = query[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, len(addresses), 0, 0)
        answer += query[12:end]
        for address in addresses:
            answer += struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
        return answer

    def _run(self):
        while True:
            query, sender = self.socket.recvfrom(1500)
            if len(query) < 17:
                return
            self.socket.sendto(self._answer(query), sender)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"end", self.socket.getsockname())
        self.thread.join(10)
        self.socket.close()
