"""What the checks of tools/ share: where the sources are, and how a result is told."""
import argparse
import pathlib
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent


def sources():
    """All C sources and headers of ours."""
    for folder in ("src", "include", "runtimes", "test", "fuzz", "examples", "bench"):
        yield from sorted((ROOT / folder).rglob("*.[ch]"))


def main(name, results, arguments):
    """`results` yields (case, [complaint]). Prints the complaints; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--junit", help="also write the results here")
    options = parser.parse_args(arguments)
    suite = ElementTree.Element("testsuite", name=name)
    cases = failed = 0
    for case, complaints in results:
        cases += 1
        element = ElementTree.SubElement(suite, "testcase", classname=name, name=case)
        if complaints:
            failed += 1
            print("\n".join(complaints))
            ElementTree.SubElement(element, "failure", message="; ".join(complaints))
    print(f"{name}: {cases} checked, {failed} with complaints")
    if options.junit:
        ElementTree.ElementTree(suite).write(options.junit)
    return 1 if failed else 0
