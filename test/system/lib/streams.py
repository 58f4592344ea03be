"""A body that is larger than a worker may be, sent while its echo is read."""
import hashlib
import socket
import threading

BLOCK = bytes(range(256)) * 4096


def echo(daemon, target, size):
    """POSTs `size` bytes of BLOCKs; returns (sha256 of the answer's body, its length)."""
    sock = socket.create_connection(daemon.address, 60)
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"

    def send():
        try:
            sock.sendall(head.encode())
            for _ in range(size // len(BLOCK)):
                sock.sendall(BLOCK)
        except OSError:
            pass  # what is received says it

    sender = threading.Thread(target=send)
    sender.start()
    digest, received = hashlib.sha256(), 0
    with sock, sock.makefile("rb") as stream:
        status = stream.readline()
        assert status.startswith(b"HTTP/1.1 200"), status
        headers = {}
        while (line := stream.readline().strip()):
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        chunked = headers.get(b"transfer-encoding") == b"chunked"
        while True:
            if chunked:
                n = int(stream.readline(), 16)
                data = stream.read(n)
                stream.readline()
            else:
                data = stream.read(65536)
            if not data:
                break
            digest.update(data)
            received += len(data)
    sender.join()
    return digest.hexdigest(), received
