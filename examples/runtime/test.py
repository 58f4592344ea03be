import pathlib
import sys

from lib import zygote_harness

HOST = pathlib.Path(__file__).parent / "runtime.py"


def test_the_host_speaks_the_messages_as_they_are(tmp_path):
    source = HOST.read_text()
    names = ("START", "READY", "FORK", "WORKER_STARTED", "WORKER_ENDED")
    numbers = ", ".join(str(zygote_harness.MESSAGES[name][0]) for name in names)
    assert f"{', '.join(names)} = {numbers}\n" in source
    code = [line for line in source.splitlines() if line.strip() and not line.startswith(("#", '"""'))]
    assert len(code) < 50


def test_each_request_is_filled_in_by_a_process_of_its_own(tmp_path):
    (tmp_path / "greeting.txt").write_text("Hello, {name}!\n")
    with zygote_harness.Zygote([sys.executable, HOST], cwd=tmp_path, handler="greeting.txt") as zygote:
        workers = [zygote.fork() for _ in range(3)]
        assert [w.request("GET", f"/?name={i}").body for i, w in enumerate(workers)] == [
            b"Hello, 0!\n", b"Hello, 1!\n", b"Hello, 2!\n"]
        assert [w.end().exit_code for w in workers] == [0, 0, 0]
