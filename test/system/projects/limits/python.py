"""One way into each limit."""
import os
import subprocess
import sys
import tempfile
import threading
import time


def memory():
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))


def memory_at_once():
    return bytearray(1 << 30)


def memory_in_a_library():
    # What an extension does that does not look at what malloc() gives.
    import ctypes
    libc = ctypes.CDLL(None, use_errno=False)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    while True:
        ctypes.memset(libc.malloc(1 << 24) or 0, 1, 1 << 24)


def memory_of_a_child():
    code = "kept = []\nwhile True: kept.append(b'x' * (1 << 20))"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode


def a_moment():
    time.sleep(1)
    return "fine"


def cpu_time():
    while True:
        pass


def cpu_time_of_threads():
    for _ in range(3):
        threading.Thread(target=cpu_time, daemon=True).start()
    cpu_time()


def cpu_time_in_parts():
    end = time.process_time() + 0.7
    while time.process_time() < end:
        pass
    return "done"


def timeout():
    time.sleep(60)


def processes():
    kept = []
    while True:
        kept.append(subprocess.Popen(["sleep", "60"]))


def threads():
    threading.stack_size(65536)
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def files():
    kept = []
    while True:
        kept.append(open("/dev/null"))


def files_behind_another_error():
    try:
        files()
    except OSError:
        raise ValueError("no configuration")


def file_size():
    with tempfile.TemporaryFile() as file:
        while True:
            file.write(bytes(1 << 20))


def tmp():
    for i in range(100):
        with open("/tmp/%d" % i, "wb") as file:
            file.write(bytes(1 << 20))


def tmp_files():
    for i in range(1000):
        open("/tmp/%d" % i, "wb").close()


def response():
    return {"statusCode": 200, "body": "x" * (3 << 20)}


def response_exact():
    return {"statusCode": 200, "body": "x" * (2 << 20)}


def log():
    for _ in range(3000):
        print("x" * 999)
    return "done"


def log_of_empty_lines():
    os.write(2, b"\n" * (3 << 20))
    return "done"


def log_without_lines():
    os.write(1, b"x" * (3 << 20))
    return "done"


def log_exact():
    os.write(1, (b"x" * 1023 + b"\n") * 1024)
    return "done"


def long_error():
    raise ValueError("y" * 100000)


def none_of_them():
    raise OSError(28, "not what it says")


def handler(event, context):
    what = event.get("body") or "nothing"
    return globals()[what]() if what != "nothing" else "fine"
