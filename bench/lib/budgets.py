"""The budgets of the design as data. Ratios compare within one run; a ratio of 1 or more is met."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    text: str
    measured: str
    ratio: float  # None: not measured

    @property
    def word(self):
        return "not measured" if self.ratio is None else "met" if self.ratio >= 1 else "missed"


def paired_ratio(samples, ours, theirs, plan, key):
    """The median over the rounds of ours / theirs: both ran within the same minute."""
    def by_round(row):
        return {sample["round"]: sample[key] for sample in samples
                if sample["row"] == row and sample["load"] == plan}
    a, b = by_round(ours), by_round(theirs)
    ratios = [a[number] / b[number] for number in a.keys() & b.keys() if b[number]]
    return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class AtLeast:
    """Requests per second of `ours` are at least `times` those of `theirs`."""
    text: str
    ours: str
    theirs: str
    times: float = 1
    plan: str = "closed-16"

    def judge(self, results):
        ratio = paired_ratio(results["samples"], self.ours, self.theirs, self.plan, "rate")
        if ratio is None:
            return Verdict(self.text, "-", None)
        rates = [results["rows"][row][self.plan]["rate"] for row in (self.ours, self.theirs)]
        return Verdict(self.text, "{:,.0f} beside {:,.0f}/s".format(*rates), ratio / self.times)


@dataclass(frozen=True)
class LatencyAtMost:
    """The median latency of `ours` is at most that of `theirs`."""
    text: str
    ours: str
    theirs: str
    plan: str = "open-200"

    def judge(self, results):
        ratio = paired_ratio(results["samples"], self.theirs, self.ours, self.plan, "p50")
        if ratio is None:
            return Verdict(self.text, "-", None)
        times = [results["rows"][row][self.plan]["p50"] for row in (self.ours, self.theirs)]
        return Verdict(self.text, "{:,.0f} beside {:,.0f} us".format(*times), ratio)


@dataclass(frozen=True)
class LatencyWithin:
    """The median latency of `ours` is at most `more_us` over that of `theirs`."""
    text: str
    ours: str
    theirs: str
    more_us: float
    plan: str = "open-200"

    def judge(self, results):
        cells = [results["rows"].get(row, {}).get(self.plan) for row in (self.ours, self.theirs)]
        if not all(cells):
            return Verdict(self.text, "-", None)
        more = cells[0]["p50"] - cells[1]["p50"]
        return Verdict(self.text, "{:,.0f} beside {:,.0f} us".format(*(c["p50"] for c in cells)),
                       self.more_us / more if more > 0 else 2.0)


@dataclass(frozen=True)
class CostAtMost:
    """CPU time per request of `ours` is at most `more_us` over that of `theirs`."""
    text: str
    ours: str
    theirs: str
    more_us: float
    plan: str = "closed-16"

    def judge(self, results):
        cells = [results["rows"].get(row, {}).get(self.plan) for row in (self.ours, self.theirs)]
        if not all(cells):
            return Verdict(self.text, "-", None)
        more = cells[0]["cpu_us"] - cells[1]["cpu_us"]
        return Verdict(self.text, f"{more:,.0f} us", self.more_us / more if more > 0 else 2.0)


@dataclass(frozen=True)
class ValueAtMost:
    """A value of the cold starts or the sleepers is at most `most`."""
    text: str
    section: str
    row: str
    key: str
    most: float
    unit: str

    def judge(self, results):
        value = results[self.section].get(self.row, {}).get(self.key)
        if value is None:
            return Verdict(self.text, "-", None)
        ratio = self.most / value if value else float("inf")
        if self.most == 0:
            ratio = 1.0 if value == 0 else 0.0
        return Verdict(self.text, f"{value:,.4g} {self.unit}", ratio)


BUDGETS = (
    AtLeast("native >= gunicorn + Flask, requests/s", "native", "gunicorn"),
    AtLeast("python >= 12x Flask with a Process per request", "python", "flask-process", 12),
    AtLeast("the Flask app >= 12x Flask with a Process per request", "python-flask",
            "flask-process", 12),
    AtLeast("next goal: python >= half of gunicorn + Flask", "python", "gunicorn", 0.5),
    AtLeast("next goal: the Flask app >= half of gunicorn + Flask", "python-flask", "gunicorn",
            0.5),
    LatencyAtMost("native p50 at 200/s <= gunicorn + Flask", "native", "gunicorn"),
    LatencyAtMost("python p50 at 200/s <= gunicorn + Flask", "python", "gunicorn"),
    LatencyAtMost("the Flask app's p50 at 200/s <= gunicorn + Flask", "python-flask", "gunicorn"),
    AtLeast("python, instance >= uwsgi, requests/s", "python-instance", "uwsgi"),
    AtLeast("node >= 20x starting node for each request", "node", "cgi-node", 20),
    LatencyWithin("node p50 at 200/s within 1 ms of node http.Server", "node", "node-server", 1000),
    AtLeast("the sandbox takes at most 10 % of python's requests/s", "python", "off-python", 0.9),
    AtLeast("that of a plain user's daemon, too", "user-python", "off-python", 0.9),
    CostAtMost("the sandbox costs native at most 60 us of CPU", "native", "off-native", 60),
    CostAtMost("that of a plain user's daemon, too", "user-native", "off-native", 60),
    AtLeast("records take at most 5 % of native's requests/s", "native", "alone-native", 0.95),
    AtLeast("records take at most 5 % of python's requests/s", "python", "alone-python", 0.95),
    ValueAtMost("1,000 python sleepers within 3.5 s", "sleepers", "python", "total_s", 3.5, "s"),
    ValueAtMost("1,000 native sleepers within 3.5 s", "sleepers", "native", "total_s", 3.5, "s"),
    ValueAtMost("1,000 python sleepers, errors", "sleepers", "python", "errors", 0, "errors"),
    ValueAtMost("own memory of a sleeping python worker <= 2 MB", "sleepers", "python", "own_kb",
                2048, "KB"),
    ValueAtMost("cold start, python <= 50 ms", "cold", "python", "p50", 50, "ms"),
    ValueAtMost("cold start, native <= 5 ms", "cold", "native", "p50", 5, "ms"),
    ValueAtMost("cold start, node <= 150 ms", "cold", "node", "p50", 150, "ms"),
    ValueAtMost("deployed but idle: no process", "cold", "python", "processes_left", 0,
                "processes"),
)


def judge(results):
    return [budget.judge(results) for budget in BUDGETS]
