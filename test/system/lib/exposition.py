"""Prometheus' text format, 0.0.4, read strictly: what is not exactly as it should be, fails."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?|[+-]Inf|NaN")
ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.type = name, text, None
        self.samples = {}  # (name, ((label, value), ...) sorted): number


def unquote(text, at):
    """The label value that begins behind the quote at `at`; and where it ends."""
    value = ""
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
            value += ESCAPES[text[at]]
        else:
            value += text[at]
        at += 1
    return value, at + 1


def parse_sample(line):
    name = NAME.match(line)
    assert name, line
    at, labels = name.end(), {}
    if line[at] == "{":
        at += 1
        while line[at] != "}":
            label = LABEL.match(line, at)
            assert label and line[label.end():label.end() + 2] == '="', line
            assert label[0] not in labels, line
            labels[label[0]], at = unquote(line, label.end() + 2)
            assert line[at] in ",}", line
            at += line[at] == ","
        at += 1
    assert line[at] == " " and VALUE.fullmatch(line, at + 1), line
    return name[0], labels, float(line[at + 1:])


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        labels = dict(labels)
        bound = labels.pop("le", None)
        one = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if name == family.name + "_bucket":
            one["buckets"].append((float(bound), value))
        else:
            assert bound is None and name in (family.name + "_sum", family.name + "_count"), name
            one[name.removeprefix(family.name)] = value
    for labels, one in series.items():
        bounds, counts = zip(*one["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, (family.name, labels)
        assert list(counts) == sorted(counts) and counts[-1] == one["_count"], (family.name, labels)
        assert one["_sum"] >= 0


def parse(text):
    """{name: Family}."""
    families, current = {}, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, description = line[len("# HELP "):].split(" ", 1)
            assert NAME.fullmatch(name) and name not in families and description.strip(), line
            current = families[name] = Family(name, description)
        elif line.startswith("# TYPE "):
            name, kind = line[len("# TYPE "):].split(" ")
            assert current.name == name and current.type is None and not current.samples, line
            assert kind in ("counter", "gauge", "histogram"), line
            current.type = kind
        else:
            name, labels, value = parse_sample(line)
            endings = ("_bucket", "_sum", "_count") if current.type == "histogram" else ("",)
            assert name in [current.name + ending for ending in endings], f"{line} under {current.name}"
            key = name, tuple(sorted(labels.items()))
            assert key not in current.samples, f"twice: {line}"
            assert value >= 0, line
            current.samples[key] = value
    for family in families.values():
        assert family.type, family.name
        assert family.name.endswith("_total") == (family.type == "counter"), family.name
        if family.type == "histogram":
            check_histogram(family)
    return families


class Page:
    """A page of metrics, and its numbers."""

    def __init__(self, text):
        self.text = text
        self.families = parse(text)

    def get(self, name, **labels):
        """The number of one series; 0 if it is not there."""
        family = self.families.get(name) or self.families[re.sub(r"_(bucket|sum|count)$", "", name)]
        return family.samples.get((name, tuple(sorted(labels.items()))), 0)

    def sum(self, name, **labels):
        """The sum of all series that have these labels, and maybe more."""
        return sum(value for (_, have), value in self.families[name].samples.items()
                   if labels.items() <= dict(have).items())

    def labels(self, name):
        """The label names of a family, without a histogram's bounds."""
        return {label for _, have in self.families[name].samples for label, _ in have} - {"le"}
