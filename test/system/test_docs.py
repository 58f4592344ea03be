"""What the documents promise exists."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(test/[\w/.-]+)::(\w+)`", TEXT)))


def test_promises_name_tests():
    promises = TEXT.split("## What is promised")[1].split("\n## ")[0]
    rows = [row for row in promises.splitlines() if row.startswith("| ") and not row.startswith("| promise")]
    assert len(rows) > 10
    assert [row for row in rows if not re.search(r"`test/[\w/.-]+::\w+`", row)] == []


@pytest.mark.parametrize("file, name", NAMED, ids=[f"{file}::{name}" for file, name in NAMED])
def test_a_named_test_exists(file, name):
    source = (ROOT / file).read_text()
    definition = rf"^def {name}\(" if file.endswith(".py") else rf"^static void {name}\(void \*\*state\)"
    assert re.search(definition, source, re.M)
    assert file.endswith(".py") or len(re.findall(rf"\b{name}\b", source)) > 1, "it is not in the list of tests"


def test_every_layer_is_told_of():
    table = (ROOT / "src" / "sandbox" / "layers.tbl.h").read_text()
    names = re.findall(r'^LAYER\(\w+, "([\w-]+)"', table, re.M)
    told = re.findall(r"`([\w-]+)`", TEXT.split("| layer | root | user |")[1].split("\n\n")[0])
    assert len(names) > 10
    assert sorted(set(names) - set(told)) == []


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md",
                                      "docs/SECURITY.md", "docs/RUNTIMES.md", "docs/DECISIONS.md"])
def test_links_lead_somewhere(document):
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []
