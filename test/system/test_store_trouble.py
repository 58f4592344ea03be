"""Trouble with the store stops nothing: requests are served, what is lost is counted and told, and when
the trouble is over it is kept again."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from lib.process import wait_until

PROJECT = {"api/hello.py": """
    def handler(event, context):
        print("x" * 1000)
        return {"statusCode": 200, "body": "hi"}
"""}
HEAD_BYTES = 100
VERSION_AT = 60  # of a database's head: the version of its tables


@pytest.fixture(name="folder")
def short_folder():
    """tmp_path is too long for the socket of a state folder in it."""
    with tempfile.TemporaryDirectory(prefix="mft.", ignore_cleanup_errors=True) as folder:
        yield pathlib.Path(folder)


def store(daemon):
    answer = daemon.ask("/api/v1/system")
    assert answer.status == 200, answer
    return answer.json()


def lost(system, what="records"):
    return sum(loss["n"] for loss in system["losses"] if loss["what"] == what)


@pytest.mark.core
def test_the_store_of_a_newer_mayfly_is_left_alone_and_all_is_served(mayfly, folder):
    state = folder / "state"
    first = mayfly(PROJECT, "--state", state)
    first.stored(first.get("/api/hello"))
    first.stop()
    path = state / "mayfly.db"
    content = bytearray(path.read_bytes())
    content[VERSION_AT:VERSION_AT + 4] = (999).to_bytes(4, "big")
    path.write_bytes(content)
    second = mayfly(PROJECT, "--state", state)
    for _ in range(3):
        assert second.get("/api/hello").text == "hi"
    wait_until(lambda: lost(store(second)) == 3, "what is lost is counted")
    system = store(second)
    assert system["store"]["status"] == "failed"
    assert "newer mayfly" in system["store"]["detail"]
    assert "newer mayfly" in second.log and second.log.count("store.failed") == 1
    answer = second.ask("/api/v1/records")
    assert answer.status == 503 and "newer mayfly" in answer.json()["errorMessage"]
    assert second.ask("/readyz").json()["store"]["status"] == "failed"
    assert len(second.records) == 3  # they are printed all the same
    second.stop()
    # SQLite counts in the head how often it was opened.
    assert path.read_bytes()[HEAD_BYTES:] == content[HEAD_BYTES:]


@pytest.mark.core
def test_a_damaged_store_is_put_aside_and_said(mayfly, folder):
    state = folder / "state"
    state.mkdir(mode=0o700)
    (state / "mayfly.db").write_bytes(b"this is no database " * 1000)
    daemon = mayfly(PROJECT, "--state", state)
    daemon.stored(daemon.get("/api/hello"))
    aside = [p.name for p in state.glob("mayfly.db.corrupt-*")]
    assert len(aside) == 1
    assert aside[0] in daemon.log
    assert (state / aside[0]).read_bytes().startswith(b"this is no database")


def test_a_full_disk_stops_nothing_and_is_over_when_there_is_room(mayfly, folder):
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        daemon = mayfly(PROJECT, "--state", disk / "state")
        n = 1
        daemon.stored(daemon.get("/api/hello"))
        filler = disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(65536))
                    file.flush()
            except OSError:
                pass

        def is_degraded():
            nonlocal n
            for _ in range(20):
                assert daemon.get("/api/hello").text == "hi"
                n += 1
            return store(daemon)["store"]["status"] == "degraded"
        wait_until(is_degraded, "the store is full", 60)
        assert "store.degraded" in daemon.log
        assert daemon.ask("/api/v1/records").status == 200  # what is there can be read
        filler.unlink()

        def is_well():
            nonlocal n
            daemon.get("/api/hello")
            n += 1
            return store(daemon)["store"]["status"] == "ok"
        wait_until(is_well, "the store takes records again", 100, interval=0.5)
        # Not one is missing without being counted.
        wait_until(lambda: store(daemon)["store"]["records"] + lost(store(daemon)) == n,
                   f"{n} records are kept or counted", 30, interval=0.5)
        assert lost(store(daemon)) > 0
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
