"""When a request is over, everything it started is gone, however it ended and whatever the machine
offers for it."""
import pytest

from lib.process import is_alive, wait_until
from lib.workload import PROFILE_IDS, PROFILES, Call, Mark, busy_pids, kill, work_project

KINDS = ["daemon", "program", "quiet program", "tree", "thread", "daemon thread"]


@pytest.fixture(params=PROFILES, ids=PROFILE_IDS)
def marked(request, mayfly):
    mark = Mark(**request.param)
    daemon = mayfly(work_project(work={"timeout": 300}, brief={"timeout": 1}), *mark.arguments, env=mark.env)
    return daemon, mark


@pytest.mark.core
def test_after_an_answer(marked):
    daemon, mark = marked
    for kind in KINDS:
        response = daemon.get(f"/work?leave={kind.replace(' ', '+')}")
        assert response.status == 200, (kind, response)
        assert daemon.record(response)["outcome"] == "ok"
        mark.wait_no_strays(daemon)
    for call in [Call(daemon, "/work?leave=tree") for _ in range(8)]:
        assert call.result().status == 200
    mark.wait_no_strays(daemon)


@pytest.mark.core
def test_after_a_timeout(marked):
    daemon, mark = marked
    calls = [Call(daemon, f"/brief?sleep=100&leave={kind}") for kind in ("tree", "thread", "program")]
    assert {call.result().status for call in calls} == {504}
    mark.wait_no_strays(daemon)


@pytest.mark.core
def test_after_the_client_has_gone(marked):
    daemon, mark = marked
    with daemon.connect() as connection:
        connection.send(b"GET /work?sleep=100&leave=tree HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pid, = busy_pids(daemon, "work")
        wait_until(lambda: len(mark.strays(daemon)) >= 10, "it has started others")
    wait_until(lambda: not is_alive(pid), "the worker is gone")
    mark.wait_no_strays(daemon)


@pytest.mark.core
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_after_a_crash(marked, how):
    daemon, mark = marked
    if how == "exit":
        response = daemon.get("/work?leave=tree&exit=3")
    else:
        call = Call(daemon, "/work?leave=tree&sleep=100")
        pid, = busy_pids(daemon, "work")
        wait_until(lambda: len(mark.strays(daemon)) >= 10, "it has started others")
        kill(pid)
        response = call.result()
    assert response.status == 502
    mark.wait_no_strays(daemon)


@pytest.mark.core
def test_after_the_daemon_has_stopped(marked):
    daemon, mark = marked
    call = Call(daemon, "/work?leave=tree&sleep=100")
    wait_until(lambda: len(mark.strays(daemon)) >= 10, "it has started others")
    daemon.process.terminate()
    assert daemon.stop() == 0  # the second signal does not wait
    assert not mark.find()
    call.result()


@pytest.mark.core
def test_others_at_work_are_not_touched(marked):
    """What is hunted down belongs to the request that has ended, not to its neighbours."""
    daemon, mark = marked
    neighbours = [Call(daemon, "/work?sleep=2&leave=program") for _ in range(3)]
    busy_pids(daemon, "work", 3)
    for _ in range(5):
        assert daemon.get("/work?leave=tree").status == 200
    assert [call.result().status for call in neighbours] == [200] * 3
    mark.wait_no_strays(daemon)
