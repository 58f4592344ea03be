"""A server's process tree: start it, weigh it, end it with everything it started.

CPU time is read from a cgroup of the server's own where one can be made: exact, to the nanosecond,
whoever reaps whom. Otherwise it is the sum of utime, stime, cutime and cstime over the tree, which
misses children that nobody waits for (SIGCHLD ignored). Page faults always come from that sum.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

CLOCK_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 5


def adopt_orphans():
    """Makes this process the parent of every orphan below it, so that none escapes stop()."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass
class Process:
    pid: int
    parent: int
    name: str
    faults: int  # its own and those of the children it has reaped
    cpu_us: int


def read_process(pid):
    """Reads /proc/PID/stat; None if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = text.rpartition(")")
    # From field 3 (state) on; see proc(5).
    fields = tail.split()
    minor, child_minor, major, child_major = map(int, fields[7:11])
    ticks = sum(map(int, fields[11:15]))
    return Process(pid, int(fields[1]), head.split("(", 1)[1],
                   minor + child_minor + major + child_major, ticks * CLOCK_TICK_US)


def descendants(root):
    """The process `root` and all below it, parents first."""
    children = {}
    by_pid = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := read_process(int(entry))):
            by_pid[process.pid] = process
            children.setdefault(process.parent, []).append(process)
    found = [by_pid[root]] if root in by_pid else []
    for process in found:
        found.extend(children.get(process.pid, []))
    return found


class CpuGroup:
    """A cgroup made only to read the CPU time of what runs in it (cgroup v1 or v2)."""

    def __init__(self, name):
        self.path, self.is_v1 = self._place(name)
        if self.path:
            self.path.mkdir()

    @staticmethod
    def _place(name):
        group = f"mayfly-bench-{os.getpid()}-{name}"
        for v1 in ("cpuacct", "cpu,cpuacct"):
            if os.access(f"/sys/fs/cgroup/{v1}/cgroup.procs", os.W_OK):
                return Path("/sys/fs/cgroup", v1, group), True
        if os.access("/sys/fs/cgroup/cgroup.subtree_control", os.W_OK):
            return Path("/sys/fs/cgroup", group), False
        return None, False

    def enter(self):
        """Moves the calling process in; for use between fork and exec."""
        if self.path:
            (self.path / "cgroup.procs").write_text("0")

    def cpu_us(self):
        if self.is_v1:
            return int((self.path / "cpuacct.usage").read_text()) // 1000
        return int((self.path / "cpu.stat").read_text().split()[1])

    def holds(self, pid):
        """Whether a process is in it or in a group below, and not in one elsewhere."""
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return True
        own = f"/{self.path.name}"
        controller = "cpuacct" if self.is_v1 else ""
        return any(path == own or path.startswith(own + "/")
                   for _, names, path in (line.split(":", 2) for line in lines)
                   if controller in names.split(","))

    def pids(self):
        if not self.path:
            return set()
        found = set()
        for procs in self.path.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # a group that goes away meanwhile
                found.update(map(int, procs.read_text().split()))
        return found

    def remove(self):
        if self.path:
            for folder, _, _ in os.walk(self.path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


@dataclass(eq=False)
class Tree:
    """A running server. Leave the `with` block to end it and everything below it."""

    name: str
    process: subprocess.Popen
    group: CpuGroup = field(repr=False)

    def stop_named(self, name):
        """Has those of it that are called so stand still."""
        for process in descendants(self.process.pid) if name else ():
            if process.name == name:
                os.kill(process.pid, signal.SIGSTOP)

    @classmethod
    def start(cls, name, argv, *, cwd, env, stderr=subprocess.DEVNULL):
        group = CpuGroup(name)
        process = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr,
                                   start_new_session=True, preexec_fn=group.enter)
        tree = cls(name, process, group)
        RUNNING.append(tree)
        return tree

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def processes(self):
        return descendants(self.process.pid)

    def pids(self):
        return {process.pid for process in self.processes()}

    def is_alive(self):
        return self.process.poll() is None

    def cpu_source(self):
        """'cgroup', or '/proc' if there is none or the server has moved its processes elsewhere."""
        if self.group.path and all(map(self.group.holds, self.pids())):
            return "cgroup"
        return "/proc"

    def cpu_us(self, source):
        if source == "cgroup":
            return self.group.cpu_us()
        return sum(process.cpu_us for process in self.processes())

    def faults(self):
        return sum(process.faults for process in self.processes())

    def settle(self, source, seconds=10):
        """Waits until the server has nothing left to do: refills, backlogs, records."""
        deadline = time.monotonic() + seconds
        before = self.cpu_us(source)
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.cpu_us(source)
            if now - before < 10_000:
                return
            before = now

    def stop(self):
        """Ends the server and whatever is left of its tree. Safe to call twice."""
        if self not in RUNNING:
            return
        self.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and self._remains():
            time.sleep(0.02)
        while remains := self._remains():
            self._kill(remains)
            time.sleep(0.02)
        self.process.wait()
        RUNNING.remove(self)
        self.group.remove()

    def _remains(self):
        """What still runs of this tree: below its first process, in its group, or orphaned to us."""
        reap_orphans()
        self.process.poll()
        return self.pids() | self.group.pids() | {process.pid for process in orphans()}

    def _kill(self, pids):
        """PIDs are given out anew within seconds here, so each is held by a pidfd and looked up
        again before the signal: only what was ours before and after can be hit."""
        held = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                held[pid] = os.pidfd_open(pid)
        still_ours = self._remains()
        for pid, fd in held.items():
            with contextlib.suppress(ProcessLookupError):
                if pid in still_ours:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)


RUNNING = []


def orphans():
    """Processes below a server that has lost its parent, and was adopted by us."""
    leaders = {tree.process.pid for tree in RUNNING}
    return [process for process in descendants(os.getpid())
            if process.parent == os.getpid() and process.pid not in leaders]


def reap_orphans():
    for process in orphans():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
