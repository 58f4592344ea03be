#!/usr/bin/env python3
"""Checks that each module includes only what stands below it. The table is the architecture.

usage: check-layers.py [--junit FILE]
"""
import re
import sys

from checks import ROOT, main

# Module: the modules whose headers it may include (besides its own, and those of the system).
CORE = ["base"]
MAY_USE = {
    "base": [],
    "os": CORE,
    "json": CORE,
    "http": CORE,
    "model": CORE + ["http"],
    "loop": CORE + ["os"],
    "cgroup": CORE + ["os"],
    "wire": CORE + ["os", "loop", "model"],
    "store": CORE + ["model"],
    "sandbox": CORE + ["os", "cgroup", "model"],
    "secrets": CORE + ["os", "model"],
    "zygote": CORE + ["os", "cgroup", "http", "wire", "sandbox", "model"],
    # The programs: each as it needs, none includes another. The supervisor reads nothing foreign.
    "supervisor": CORE + ["os", "cgroup", "loop", "model", "wire", "sandbox"],
    "gateway": CORE + ["os", "http", "json", "loop", "model", "wire"],
    "otlp": CORE + ["os", "json", "model", "wire", "sandbox"],
    "builder": CORE + ["os", "model", "sandbox"],
    "control": CORE + ["os", "http", "json", "loop", "model", "wire", "store", "secrets"],
    "cli": CORE + ["os", "cgroup", "http", "json", "model", "sandbox", "secrets", "wire"],
}
# Single files that stand apart, in a library of their own, and may use more.
APART = {
    "src/model/record-json.h": ["json"],
    "src/model/record-json.c": ["json"],
}
# Headers of libraries that only these modules may include.
ONLY_IN = {
    "sqlite3.h": ["store"],
    "jansson.h": ["json"],
    "seccomp.h": ["sandbox"],
    "sys/epoll.h": ["loop"],
}
RUNTIMES_MAY_USE = CORE + ["os", "http", "json", "model", "wire", "sandbox", "zygote"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)


def complaints(path, module, may_use):
    may_use = may_use + APART.get(str(path.relative_to(ROOT)), [])
    for match in INCLUDE.finditer(path.read_text()):
        quote, name = match.groups()
        line = path.read_text()[: match.start()].count("\n") + 1
        where = f"{path.relative_to(ROOT)}:{line}"
        if quote == "<":
            if module not in ONLY_IN.get(name, [module]):
                yield f"{where}: <{name}> is for {', '.join(ONLY_IN[name])} only"
            continue
        used = name.split("/")[0] if "/" in name else module
        if used in MAY_USE and used != module and used not in may_use:
            yield f"{where}: {module} may not use {used} ({name})"


def check():
    for folder in sorted((ROOT / "src").iterdir()):
        if folder.is_dir():
            if folder.name not in MAY_USE:
                yield folder.name, ["src/" + folder.name + ": not in the table of tools/check-layers.py"]
                continue
            yield folder.name, [c for p in sorted(folder.rglob("*.[ch]"))
                                for c in complaints(p, folder.name, MAY_USE[folder.name])]
    yield "runtimes", [c for p in sorted((ROOT / "runtimes").rglob("*.[ch]"))
                       for c in complaints(p, "runtimes", RUNTIMES_MAY_USE)]


if __name__ == "__main__":
    sys.exit(main("layers", check(), sys.argv[1:]))
