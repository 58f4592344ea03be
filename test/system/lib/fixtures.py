"""The fixtures of the system tests and the examples."""
import pytest

from . import process
from .daemon import MAYFLY, Daemon


@pytest.fixture
def mayfly():
    """Starts daemons: mayfly({"api/x.py": "..."}, "--listen", "...", command="dev", env={...}).
    They are stopped at the end of the test, which fails if one leaves a process behind."""
    assert MAYFLY.exists(), f"{MAYFLY} is missing: build first, or set MAYFLY_BUILD"
    process.become_subreaper()
    before = set(process.children())
    daemons = []

    def start(project, *arguments, **options):
        daemon = Daemon(project, *arguments, **{**options, "wait": False})
        daemons.append(daemon)
        if options.get("wait", True):
            daemon.wait_ready()
        return daemon

    yield start
    complaints = []
    for daemon in daemons:
        try:
            daemon.stop()
        except AssertionError as error:
            complaints.append(str(error))
    # Orphans have become our children.
    for pid in set(process.children()) - before:
        complaints.append(f"left behind: {pid} {process.stat(pid)}")
        process.end(pid)
    for daemon in daemons:
        if complaints:
            complaints.append(f"the log of {daemon.project}:\n{daemon.log}")
        daemon.remove()
    assert not complaints, "\n".join(complaints)
