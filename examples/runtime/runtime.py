#!/usr/bin/env python3
"""A runtime. Its functions are text files such as "Hello, {name}!", filled in from the query."""
import array, os, select, socket, struct
from urllib.parse import parse_qsl, urlsplit

# The places of these messages in src/wire/messages.tbl.h, counted from 1.
START, READY, FORK, WORKER_STARTED, WORKER_ENDED = 5, 7, 9, 10, 11
control, gateway = (socket.socket(fileno=fd) for fd in (4, 5))
workers = {}  # pidfd: (pid, the gateway's number)

def receive(channel):
    data, ancillary, _, _ = channel.recvmsg(65536, socket.CMSG_SPACE(16))
    fds = array.array("i", b"".join(part[2] for part in ancillary)).tolist()
    return (struct.unpack_from("<I", data)[0], data[4:], fds) if data else os._exit(0)

def serve(text):  # in a worker: a request on descriptor 3, an answer, the end
    head = b""
    while b"\r\n\r\n" not in head:
        head += os.read(3, 65536) or os._exit(0)  # nobody needs it any more
    body = text.format_map(dict(parse_qsl(urlsplit(head.split()[1].decode()).query))).encode()
    os.write(3, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    os._exit(0)

def fork(number, fds, text):
    pid = os.fork()
    if pid == 0:
        for fd, place in zip(fds, (3, 1, 2)):  # the request, stdout, stderr
            os.dup2(fd, place)
        os.closerange(4, 256)
        serve(text)
    pidfd = os.pidfd_open(pid)
    workers[pidfd] = pid, number
    socket.send_fds(gateway, [struct.pack("<IQ", WORKER_STARTED, number)], [pidfd])
    for fd in fds:
        os.close(fd)

while (message := receive(control))[0] != START:
    pass  # secrets and control groups come ahead of it
handler = message[1]
for _ in "function", "version":  # each string has its length in front
    handler = handler[4 + struct.unpack_from("<I", handler)[0]:]
text = open(handler[4:4 + struct.unpack_from("<I", handler)[0]]).read()
control.send(struct.pack("<I", READY))
while True:
    for fd in select.select([control, gateway, *workers], [], [])[0]:
        if fd is control or fd is gateway:
            kind, data, fds = receive(fd)
            if kind == FORK:
                fork(struct.unpack("<Q", data)[0], fds, text)
            continue
        pid, number = workers.pop(fd)
        os.close(fd)
        _, status, use = os.wait4(pid, 0)
        gateway.send(struct.pack("<IQI7QI2Q", WORKER_ENDED, number, status, int(use.ru_utime * 1e6), int(use.ru_stime * 1e6),
                                 use.ru_maxrss * 1024, use.ru_minflt, use.ru_majflt, use.ru_nvcsw, use.ru_nivcsw, 0, 0, 0))
