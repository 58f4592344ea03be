"""What a version's processes use is counted and held by control groups, and the groups go with them.
Needs memory groups that this user may make; where there are none, the tests of the fallback run."""
import glob
import os
import pathlib
import re
import signal
import time

import pytest

from lib.process import is_alive, wait_until
from lib.workload import Call

CONFIG = {"functions": {
    "python": {"handler": "eat.handler", "memory": 64, "tmp": 512, "tmp_files": 64},
    "native": {"handler": "gulp.eat", "runtime": "native", "memory": 64, "tmp": 512},
}}

PYTHON = """
    import mmap, os, subprocess, sys, time

    def touch(file):
        for _ in range(400):
            file.write(b"x" * (1 << 20))
        file.flush()

    def handler(event, context):
        query = event.get("queryStringParameters") or {}
        how, size = query.get("how", ""), int(query.get("mb", 400)) << 20
        if how == "heap":
            pieces = [bytes(b"x") * (1 << 20) for _ in range(size >> 20)]
        elif how == "shared":
            memory = mmap.mmap(-1, size)
            for i in range(0, size, 4096):
                memory[i] = 1
        elif how == "memfd":
            touch(os.fdopen(os.memfd_create("x"), "wb"))
        elif how == "tmp":
            touch(open("/tmp/x", "wb"))
        elif how == "child":
            done = subprocess.run([sys.executable, "-c", "x = b'x' * (400 << 20)"])
            return {"statusCode": 200, "body": str(done.returncode)}
        elif how == "sleep":
            time.sleep(float(query["s"]))
        groups = dict(line.strip().split(":")[1:] for line in open("/proc/self/cgroup"))
        return {"statusCode": 200, "body": groups.get("memory", groups.get("")),
                "headers": {"oom": open("/proc/self/oom_score_adj").read().strip()}}
"""

NATIVE = """
    #include <mayfly.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <unistd.h>

    #define SIZE (400u << 20)

    static void fill(int fd)
    {
        static char block[1 << 20];

        memset(block, 'x', sizeof block);
        for (int i = 0; i < 400; i++)
            (void)!write(fd, block, sizeof block);
    }

    int eat(mayfly_request *request, mayfly_response *response)
    {
        const char *how = mayfly_param(request, "how");
        volatile char *p = NULL;

        if (!how)
            return mayfly_printf(response, "fine");
        if (strcmp(how, "heap") == 0)
            p = malloc(SIZE);
        else if (strcmp(how, "shared") == 0)
            p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        else if (strcmp(how, "memfd") == 0)
            fill(memfd_create("x", 0));
        else if (strcmp(how, "tmp") == 0)
            fill(open("/tmp/x", O_CREAT | O_WRONLY, 0600));
        for (size_t i = 0; p && i < SIZE; i += 4096)
            p[i] = 1;
        return mayfly_printf(response, "survived");
    }
"""


def project(config=None, **files):
    config = config or CONFIG
    return {"mayfly.json": {"functions": {
        name: {"routes": [f"/{name}"], **function} for name, function in config["functions"].items()}},
        "eat.py": PYTHON, "gulp.c": NATIVE, **{k.replace("_py", ".py"): v for k, v in files.items()}}


def group_mounts():
    """[(controllers, folder)]: our own group in each hierarchy."""
    own = dict(line.strip().split(":", 2)[1:] for line in open("/proc/self/cgroup", encoding="utf-8"))
    found = []
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        before, after = line.split(" - ")
        point, (kind, _, options) = before.split()[4], after.split()
        if kind == "cgroup2" and "" in own:
            found.append((["unified"], pathlib.Path(point + own[""])))
        elif kind == "cgroup":
            names = next((n for n in own if n and n in options.split(",")), None) or \
                next((n for n in own if n and set(n.split(",")) <= set(options.split(","))), None)
            if names:
                found.append((names.split(","), pathlib.Path(point + own[names])))
    return found


def folders_of(pid):
    """The daemon's own group in each hierarchy. A start through a shell keeps the PID."""
    return [pathlib.Path(p) for _, folder in group_mounts() for p in glob.glob(f"{folder}/mayfly-{pid}-*")]


def groups_of(daemon):
    """The versions' groups, in all hierarchies."""
    return sorted(str(g) for folder in folders_of(daemon.pid) for g in folder.glob("f*"))


def folder_with(daemon, file):
    return next((f for f in folders_of(daemon.pid) if (f / file).exists() or any(f.glob(f"*/{file}"))), None)


MEMORY_FILES = ("memory.limit_in_bytes", "memory.max")


def needs(daemon, *files):
    if not any(folder_with(daemon, file) for file in files):
        pytest.skip(f"no control groups with {files[0]} for this user here")


def zygotes(daemon):
    return {p["function"]: p["pid"] for p in daemon.ps()["processes"] if p["kind"] == "zygote"}


def needs_slots(daemon):
    if not any(os.path.isdir(group + "/s0") for group in groups_of(daemon)):
        pytest.skip("no slots: functions have the daemon's user id")


@pytest.fixture
def eater(mayfly):
    daemon = mayfly(project())
    needs(daemon, *MEMORY_FILES)
    assert daemon.get("/python").status == 200
    needs_slots(daemon)
    return daemon


# ---- memory ----


@pytest.mark.parametrize("how", ["heap", "shared", "memfd", "tmp"])
@pytest.mark.parametrize("function", ["python", "native"])
def test_a_memory_bomb_ends_alone_and_is_named(eater, function, how):
    assert eater.get(f"/{function}").status == 200
    before = zygotes(eater)
    calm = Call(eater, "/python?how=sleep&s=2")
    for _ in range(2):
        response = eater.get(f"/{function}?how={how}")
        assert response.status == 502, response
        assert response.json()["errorType"] == "OutOfMemory"
        assert response.json()["errorMessage"] == "OutOfMemory: used 64 MB of 64 MB"
        record = eater.record(response)
        assert "OutOfMemory: used 64 MB of 64 MB" in record["error"], record
        wait_until(lambda r=response: any(
            "OutOfMemory: used 64 MB of 64 MB" in line and r.request_id in line
            for line in (eater.stdout + eater.log).splitlines()), "the log says it, too")
        assert eater.get(f"/{function}").status == 200
    assert calm.result().status == 200
    assert zygotes(eater) == {**before, "python": zygotes(eater)["python"]}


def test_a_program_that_a_request_starts_counts_as_well(eater):
    response = eater.get("/python?how=child")
    assert (response.status, response.text) == (200, str(-signal.SIGKILL)), response
    record = eater.record(response)
    assert (record["limit"], record["limit_used"]) == ("memory", 64 << 20), record


def test_a_request_has_all_of_its_memory_whatever_came_before_it(eater):
    for _ in range(10):
        assert eater.get("/python?how=heap&mb=45").status == 200
    assert eater.get("/python?how=heap&mb=400").status == 502
    assert eater.get("/python?how=heap&mb=45").status == 200


def test_large_mappings_that_are_not_used_cost_nothing(mayfly):
    """Thread stacks, say: what counts is what is touched."""
    daemon = mayfly(project(map_py="""
        import mmap
        def handler(event, context):
            big = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            return {"statusCode": 200, "body": str(len(big))}
    """, config={"functions": {"map": {"handler": "map.handler", "memory": 64}}}))
    needs(daemon, *MEMORY_FILES)
    response = daemon.get("/map")
    needs_slots(daemon)
    assert response.text == str(1 << 30)


def test_a_worker_goes_before_its_zygote(eater):
    response = eater.get("/python")
    assert response.headers["oom"] == "1000"
    zygote = zygotes(eater)["python"]
    wait_until(lambda: open(f"/proc/{zygote}/oom_score_adj", encoding="utf-8").read() == "500\n", "between forks")


def test_slots_come_as_they_are_needed(eater):
    def burst(n):
        calls = [Call(eater, "/python?how=sleep&s=1") for _ in range(n)]
        return [call.result().text for call in calls]

    def all_apart():
        groups = burst(30)
        return all(re.search(r"/s\d+$", g) for g in groups) and len(set(groups)) == 30

    assert set(burst(30)) & {f"/s{i}" for i in range(8)}
    wait_until(all_apart, "each has a group of its own", interval=0.5)


def test_the_way_to_the_slots_leads_nowhere_else(mayfly):
    """Foreign code in the zygote has the descriptor: it may join a slot with it, and that is all."""
    daemon = mayfly(project(grab_py="""
        import errno, json, os

        def tried(what, *args, **more):
            try:
                what(*args, **more)
                return "done"
            except OSError as e:
                return errno.errorcode[e.errno]

        def at_load(fd=6):
            if tried(os.stat, "s0", dir_fd=fd) != "done":
                return None
            write = lambda path, text: os.write(os.open(path, os.O_WRONLY, dir_fd=fd), text)
            return {
                "above": os.stat("../../..", dir_fd=fd).st_ino == os.fstat(fd).st_ino,
                "host": tried(os.stat, "../../../../../../../../etc/passwd", dir_fd=fd),
                "mkdir": tried(os.mkdir, "more", dir_fd=fd),
                "mkdir in a slot": tried(os.mkdir, "s0/more", dir_fd=fd),
                "rmdir": tried(os.rmdir, "s1", dir_fd=fd),
                "limit of a slot": tried(write, "s0/memory.limit_in_bytes", b"-1"),
                "limit of the version": tried(write, "memory.limit_in_bytes", b"-1"),
                "oom": tried(write, "s0/memory.oom_control", b"1"),
            }

        found = at_load()

        def handler(event, context):
            in_worker = sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}"))
            return {"statusCode": 200, "body": json.dumps([found, in_worker])}
    """, config={"functions": {"grab": {"handler": "grab.handler"}}}))
    needs(daemon, MEMORY_FILES[0])
    found, in_worker = daemon.get("/grab").json()
    if found is None:
        pytest.skip("no slots for this user")
    assert found.pop("above") is True
    assert set(found.values()) <= {"EACCES", "EPERM", "ENOENT", "EROFS"}, found
    assert 6 not in in_worker and 7 not in in_worker


# ---- CPU time ----

SPIN = """
    import os, time

    def handler(event, context):
        query = event.get("queryStringParameters") or {}
        for _ in range(int(query.get("forks", 0))):
            if os.fork() == 0:
                break
        end = time.monotonic() + float(query.get("s", 0))
        while time.monotonic() < end:
            pass
        return {"statusCode": 200, "body": "done"}
"""


def cpu_used(daemon):
    """Seconds, of all versions together, as the kernel counts them."""
    folder = folder_with(daemon, "cpuacct.usage")
    if folder:
        return sum(int((g / "cpuacct.usage").read_text()) for g in folder.glob("f*")) / 1e9
    folder = folder_with(daemon, "cpu.stat")
    return sum(int(re.search(r"usage_usec (\d+)", (g / "cpu.stat").read_text())[1]) for g in folder.glob("f*")) / 1e6


def test_a_quota_of_cpu_time_holds(mayfly):
    daemon = mayfly(project(spin_py=SPIN, config={"functions": {
        "spin": {"handler": "spin.handler", "cpu": 0.2, "timeout": 60, "concurrency": 8}}}))
    needs(daemon, "cpu.cfs_quota_us", "cpu.max")
    calls = [Call(daemon, "/spin?s=6") for _ in range(4)]
    wait_until(lambda: cpu_used(daemon) > 0.1, "they run")
    time.sleep(0.5)
    start, before = time.monotonic(), cpu_used(daemon)
    time.sleep(3)
    share = (cpu_used(daemon) - before) / (time.monotonic() - start)
    assert 0.02 < share < 0.3, share
    assert [call.result().status for call in calls] == [200] * 4


def test_a_fork_bomb_under_a_quota_is_ended(mayfly):
    daemon = mayfly(project(spin_py=SPIN, config={"functions": {
        "spin": {"handler": "spin.handler", "cpu": 0.1, "timeout": 1, "processes": 70}}}))
    needs(daemon, "cpu.cfs_quota_us", "cpu.max")
    assert daemon.get("/spin").status == 200
    for _ in range(2):
        call = Call(daemon, "/spin?forks=63&s=100")
        response = call.result()
        assert response.status == 504, response
        wait_until(lambda: not [p for p in daemon.ps()["processes"] if p["kind"] == "worker"], "it is gone", 10)
        folder = folder_with(daemon, "cpu.cfs_quota_us")
        if folder:  # what was lifted for the kill holds again
            wait_until(lambda f=folder: {(g / "cpu.cfs_quota_us").read_text().strip() for g in f.glob("f*")} <=
                       {"2000", "10000"}, "the quota holds again")
    assert daemon.get("/spin").status == 200


def test_the_daemon_has_a_larger_share_than_its_functions(mayfly):
    daemon = mayfly(project())
    needs(daemon, "cpu.shares", "cpu.weight")
    assert daemon.get("/python").status == 200
    for file in ("cpu.shares", "cpu.weight"):
        folder = folder_with(daemon, file)
        if not folder:
            continue
        shares = {int((g / file).read_text()) for g in folder.glob("f*") if (g / file).exists()}
        assert len(shares) == 1 and int((folder / "daemon" / file).read_text()) == 10 * shares.pop()
        members = {int(p) for f in (folder / "daemon").glob("cgroup.procs") for p in f.read_text().split()}
        below = {p for p, name in daemon.tree().items() if name in ("mayfly-gateway", "mayfly-control")}
        assert members >= {daemon.pid, *below}


# ---- their life ----


@pytest.mark.core
def test_the_group_goes_with_its_zygote(mayfly):
    files = project(config={"functions": {
        "python": {"handler": "eat.handler", "zygote_idle": 0.3, "standby_idle": 0.2},
        "other": {"handler": "other.handler", "zygote_idle": 600}}},
        other_py="def handler(event, context): return {'statusCode': 200, 'body': '1'}")
    daemon = mayfly(files)
    if not folders_of(daemon.pid):
        pytest.skip("no control groups for this user here")
    trees = len(folders_of(daemon.pid))
    assert daemon.get("/python").status == 200
    wait_until(lambda: not groups_of(daemon), "idle release")
    assert daemon.get("/other").text == "1"
    first = groups_of(daemon)
    assert len(first) == trees
    (daemon.project / "other.py").write_text("def handler(event, context): return {'statusCode': 200, 'body': '2', 'headers': {}}")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: daemon.get("/other").text == "2", "the new version")
    wait_until(lambda: not set(first) & set(groups_of(daemon)), "a reload")
    zygote = zygotes(daemon)["other"]
    second = groups_of(daemon)
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not set(second) & set(groups_of(daemon)), "a zygote that is killed")
    assert daemon.get("/other").text == "2"
    assert daemon.stop() == 0
    assert not folders_of(daemon.pid)


@pytest.mark.core
def test_what_a_killed_daemon_leaves_is_swept_at_the_next_start(mayfly):
    one, two = mayfly(project()), mayfly(project())
    if not folders_of(one.pid):
        pytest.skip("no control groups for this user here")
    assert one.get("/python").status == two.get("/python").status == 200
    kept = groups_of(two)
    one.stop(signal.SIGKILL)
    assert folders_of(one.pid)
    three = mayfly(project())
    wait_until(lambda: not folders_of(one.pid), "swept")
    assert groups_of(two) == kept
    assert two.get("/python").status == three.get("/python").status == 200


# ---- with less ----


def test_without_groups_rlimits_hold_and_the_log_says_so(mayfly):
    daemon = mayfly(project(), env={"MAYFLY_CGROUPS": "none"})
    assert not folders_of(daemon.pid)
    assert daemon.log.count("cgroup.missing") == 1
    assert daemon.get("/python").status == 200
    response = daemon.get("/python?how=heap")
    assert response.status in (500, 502), response
    assert daemon.get("/python").status == 200


@pytest.mark.core
@pytest.mark.skipif(os.geteuid() == 0, reason="root may make groups")
def test_a_user_without_groups_is_told_and_served(mayfly):
    daemon = mayfly(project())
    if folders_of(daemon.pid):
        pytest.skip("this user has groups of his own")
    assert daemon.log.count("cgroup.missing") == 1
    assert daemon.get("/python").status == 200
    assert "cgroup-memory" in daemon.cli("doctor", code=None).stdout


def test_v2_alone_kills_and_is_removed(mayfly):
    daemon = mayfly(project(), env={"MAYFLY_CGROUPS": "v2"})
    if not folders_of(daemon.pid):
        pytest.skip("no v2 groups for this user here")
    assert daemon.get("/python").status == 200
    assert len(groups_of(daemon)) == 1
    zygote = zygotes(daemon)["python"]
    (pathlib.Path(groups_of(daemon)[0]) / "cgroup.kill").write_text("1")
    wait_until(lambda: not is_alive(zygote), "killed")
    # One that arrives before the gateway knows of it shares the old zygote's fate.
    wait_until(lambda: daemon.get("/python").status == 200, "served anew")
    assert daemon.stop() == 0
    assert not folders_of(daemon.pid)
