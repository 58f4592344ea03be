#!/usr/bin/env python3
"""Runs pytest; what fails is tried once more, alone, and passes if it does then: it is said to have.

usage: run-tests.py REPORT.xml PYTEST-ARGUMENT...

Several tests run at once on few CPUs, so that all take minutes and not an hour. A test that such company makes
fail is named (tools/test-report.py), as it may still hide a race; one that fails alone has failed.
"""
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
AGAIN_MAX = 12  # more than these are no accident
ALWAYS = ["-q", "-rs", "-p", "no:cacheprovider"]


def run(report, arguments):
    return subprocess.run([sys.executable, "-m", "pytest", *ALWAYS, "--junitxml", str(report), *arguments],
                          check=False).returncode


def failures(tree):
    return [case for case in tree.iter("testcase") if case.find("failure") is not None or case.find("error") is not None]


def key(case):
    return case.get("classname"), case.get("name")


def node(case):
    """pytest's name of it: the file that its dotted name begins with, and what is behind."""
    parts = case.get("classname").split(".")
    for n in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:n]).with_suffix(".py")
        if file.is_file():
            return "::".join([str(file), *parts[n:], case.get("name")])
    return None


def forgive(case):
    """It has passed: alone. Why it had not is kept."""
    bad = [child for child in case if child.tag in ("failure", "error")]
    properties = ElementTree.SubElement(case, "properties")
    ElementTree.SubElement(properties, "property", name="again", value=(bad[0].get("message") or "").split("\n")[0])
    for child in bad:
        case.remove(child)


def main(report, *arguments):
    report = pathlib.Path(report)
    code = run(report, arguments)
    if code != 1 or not report.exists():
        return code
    tree = ElementTree.parse(report)
    bad = failures(tree)
    nodes = [node(case) for case in bad]
    if not bad or len(bad) > AGAIN_MAX or None in nodes:
        return code
    print(f"\n{len(bad)} failed beside others; once more, alone:", flush=True)
    second = report.with_suffix(".again")
    run(second, nodes)
    if not second.exists():
        return code
    again = ElementTree.parse(second)
    failed = set(map(key, failures(again)))
    passed = set(map(key, again.iter("testcase"))) - failed
    for case in bad:
        if key(case) in passed:
            forgive(case)
    second.unlink()
    tree.write(report, encoding="utf-8", xml_declaration=True)
    return 1 if failures(tree) else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
