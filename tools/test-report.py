#!/usr/bin/env python3
"""Adds up the results of the parts of `./dev test`: names failures and skips, ends in one line.

usage: test-report.py DIR PART...   reads DIR/PART.xml (JUnit) or DIR/PART.json (meson's test log)
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

TAP = re.compile(r"^(not )?ok\b[ \t]*\d*[ \t]*(?:- )?([^#\n]*)(?:# *(skip|todo)\S*[ \t]*(.*))?$", re.I | re.M)


def junit_results(path):
    """Yields (name, "passed" | "again" | "failed" | "skipped", reason); again: it passed alone only."""
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
        bad = next((case.find(tag) for tag in ("failure", "error") if case.find(tag) is not None), None)
        skip = case.find("skipped")
        again = case.find("properties/property[@name='again']")
        if bad is not None:
            yield name, "failed", (bad.get("message") or "").split("\n")[0]
        elif skip is not None:
            yield name, "skipped", (skip.get("message") or "").split("\n")[0]
        elif again is not None:
            yield name, "again", again.get("value")
        else:
            yield name, "passed", ""


def meson_results(path):
    for line in path.read_text().splitlines():
        test = json.loads(line)
        points = list(TAP.finditer(test.get("stdout") or ""))
        good = test["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
        failed = 0
        for point in points:
            name = f"{test['name']}: {point[2].strip()}"
            if point[3]:
                yield name, "skipped", (point[4] or "").strip()
            elif point[1]:
                failed += 1
                yield name, "failed", ""
            else:
                yield name, "passed", ""
        # A crash or a timeout after some good points is a failure that no point tells of.
        if not good and not failed:
            yield test["name"], "failed", test["result"].lower()
        elif not points:
            skip = test["result"] == "SKIP"
            reason = (test.get("stdout") or "").strip().split("\n")[-1]
            yield test["name"], "skipped" if skip else "passed", reason if skip else ""


def part_results(folder, part):
    for suffix, read in ((".xml", junit_results), (".json", meson_results)):
        path = folder / (part + suffix)
        if path.exists():
            try:
                results = list(read(path))
            except (ValueError, ElementTree.ParseError) as error:
                return [(part, "failed", f"unreadable result: {error}")]
            return results or [(part, "failed", "no test ran")]
    return [(part, "failed", "left no result")]


def main(folder, *parts):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    told = {"failed": [], "skipped": [], "again": []}
    print(f"\n{'':14}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for part in parts:
        count = dict.fromkeys(total, 0)
        for name, result, reason in part_results(pathlib.Path(folder), part):
            counted = "passed" if result == "again" else result
            count[counted] += 1
            total[counted] += 1
            if result in told:
                told[result].append(f"{part}: {name}" + (f": {reason}" if reason else ""))
        print(f"{part:14}{count['passed']:8}{count['failed']:8}{count['skipped']:8}")
    for result, title in (("skipped", "skipped"), ("again", "passed only when tried again, alone"), ("failed", "failed")):
        if told[result]:
            print(f"\n{title}:")
            print("\n".join("  " + line for line in told[result]))
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
