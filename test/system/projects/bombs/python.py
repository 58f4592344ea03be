"""One way each to take all there is of something. None of them stops by itself."""
import os
import socket
import threading


def spin():
    while True:
        pass


def cpu():
    for _ in range(4):
        if os.fork() == 0:
            spin()
    spin()


def threads():
    threading.stack_size(65536)
    while True:
        threading.Thread(target=spin, daemon=True).start()


def fork():
    """Each child goes on with it; the first one that is refused says so."""
    while True:
        os.fork()


def memory():
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))


def memory_of_many():
    """As many processes as may be, each with as much as it may have."""
    children = []
    while True:
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            try:
                memory()
            finally:
                os._exit(1)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return "all are dead"


def descriptors():
    kept = []
    while True:
        kept.append(socket.socketpair())


def disk():
    number = 0
    while True:
        number += 1
        with open(f"/tmp/{number}", "wb") as file:
            file.write(bytes(1 << 20))


def inodes():
    number = 0
    while True:
        number += 1
        open(f"/tmp/{number}", "wb").close()


def file():
    with open("/tmp/large", "wb") as large:
        while True:
            large.write(bytes(1 << 16))


def log():
    while True:
        os.write(1, b"a line that nobody will ever read, and many more of them\n" * 64)


def stack():
    """What a thread's or a process' stack cannot hold."""
    import sys
    sys.setrecursionlimit(1 << 30)

    def deeper(n):
        return deeper(n + 1) + deeper(n + 2)

    return deeper(0)


def answer():
    return "x" * (3 << 20)


def nothing():
    return "here"


def handler(event, context):
    return {"statusCode": 200, "body": str(globals()[event["body"]]())}
