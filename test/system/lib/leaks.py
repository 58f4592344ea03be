"""What a daemon holds, counted: processes, descriptors, namespaces, mounts, control groups, files. What
is there after a storm and was not there before it has leaked."""
import collections
import os
import pathlib
import re
import tempfile

from . import process
from .process import wait_until
from .workload import count_fds

SLOT = re.compile(r"/s\d+(/|$)")
FDS_OF_A_STANDBY = 4  # in the gateway: a socket, two pipes, a pidfd
NAMESPACES = ("pid", "mnt", "user", "ipc", "net", "uts", "cgroup")


def lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def mounts(pid, daemon):
    """Mount points of a process' namespace, but for those that other tests make in folders of their own."""
    points = [line.split()[4] for line in lines(f"/proc/{pid}/mountinfo")]
    return len([p for p in points if not p.startswith(tempfile.gettempdir() + "/") or str(daemon.folder) in p])


def cgroups(daemon):
    """Control groups that carry the daemon's name or one of its processes; but for the slots of workers, of
    which as many are kept as were ever needed at once."""
    found = set()
    for pid in (daemon.pid, *process.tree(daemon.pid)):
        for line in lines(f"/proc/{pid}/cgroup"):
            found.add(line.split(":", 1)[1])
    for root in {line.split()[4] for line in lines("/proc/self/mountinfo") if " - cgroup" in line}:
        for folder, names, _ in os.walk(root):
            found |= {os.path.join(folder, n) for n in names if "mayfly" in folder + n and str(daemon.pid) in folder + n}
    return {name for name in found if not SLOT.search(name)}


def namespaces(pids):
    found = collections.defaultdict(set)
    for pid in pids:
        for kind in NAMESPACES:
            try:
                found[kind].add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return {kind: len(found[kind]) for kind in NAMESPACES}


def census(daemon):
    """Of a daemon at rest: without standbys, which come and go, and what they cost the gateway."""
    ps = daemon.ps()["processes"]
    tree = process.tree(daemon.pid)
    workers = {p["pid"] for p in ps if p["kind"] != "zygote"}
    at_work = [p for p in ps if p["kind"] == "worker"]
    programs = {"mayfly-supervisor": daemon.pid}
    programs |= {name: pid for pid, name in tree.items() if name in ("mayfly-gateway", "mayfly-control")}
    found = {
        "workers": len(at_work),
        "zygotes": sum(p["kind"] == "zygote" for p in ps),
        "processes": len([pid for pid in tree if pid not in workers]),
        "zombies": len([pid for pid in tree if (process.stat(pid) or (0, ""))[1] == "Z"]),
        "host mounts": mounts("self", daemon),
        "daemon mounts": mounts(daemon.pid, daemon),
        "cgroups": len({c for c in cgroups(daemon)}),
        "files": sorted(str(p.relative_to(daemon.folder)) for p in pathlib.Path(daemon.folder).rglob("*")
                        if "project" not in p.parts),
    }
    for name, pid in programs.items():
        n = count_fds(pid)
        if name == "mayfly-gateway":
            n -= FDS_OF_A_STANDBY * sum(p["kind"] == "standby" for p in ps)
        found[f"fds of {name.removeprefix('mayfly-')}"] = n
    for kind, n in namespaces([pid for pid in [daemon.pid, *tree] if pid not in workers]).items():
        found[f"{kind} namespaces"] = n
    return found


def difference(before, after):
    return {name: (before.get(name), after.get(name)) for name in {**before, **after}
            if before.get(name) != after.get(name)}


def at_rest(daemon, seconds=20):
    """The census as soon as two in a row are the same and nobody is at work."""
    last = [None]

    def calm():
        last[0], now = census(daemon), last[0]
        return last[0] if now == last[0] and not now["workers"] and not now["zombies"] else None

    return wait_until(calm, f"it comes to rest: {last[0]}", seconds, interval=0.2)


def assert_same(before, daemon, seconds=20):
    """Fails with what is more or less than it was. Returns the new census."""
    last = [None]

    def same():
        last[0] = census(daemon)
        return not difference(before, last[0])

    try:
        wait_until(same, seconds=seconds, interval=0.2)
    except AssertionError:
        raise AssertionError(f"leaked (before, after): {difference(before, last[0])}\n{daemon.log[-4000:]}") from None
    return last[0]
