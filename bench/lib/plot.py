"""Two pictures: requests per second at 16 connections, and latency at 200 requests per second."""

from .servers import ROWS

COLOURS = {"mayfly": "#2a78b8", "peer": "#b9b4ab"}
INK = "#333333"


def bars(results, plan):
    """(row, cell) of what the picture shows: the trivial answer, best first."""
    shown = [(row, results["rows"].get(row.name, {}).get(plan)) for row in ROWS if not row.body]
    return [(row, cell) for row, cell in shown if cell]


def axes(pyplot, n, title, note):
    figure, axis = pyplot.subplots(figsize=(9, 1.4 + 0.36 * n), layout="constrained")
    axis.set_title(title, loc="left", fontsize=13, color=INK)
    axis.set_xlabel(note, fontsize=9, color=INK, loc="left")
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.tick_params(axis="x", labelcolor=INK)
    axis.grid(axis="x", color="#e8e6e2")
    axis.set_axisbelow(True)
    axis.invert_yaxis()
    return figure, axis


def colour(row):
    return COLOURS["mayfly" if row.is_mayfly else "peer"]


def label(row):
    return row.label + (" *" if row.fresh else "")


def short(ms):
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.2g}"


def throughput(pyplot, results, path):
    shown = sorted(bars(results, "closed-16"), key=lambda bar: -bar[1]["rate"])
    figure, axis = axes(pyplot, len(shown), "Requests per second, 16 connections",
                        "* a fresh process for every request; the line spans slowest to fastest round")
    for y, (row, cell) in enumerate(shown):
        axis.barh(y, cell["rate"], color=colour(row), height=0.7)
        axis.plot([cell["rate_min"], cell["rate_max"]], [y, y], color=INK, linewidth=1)
        axis.annotate(f"{cell['rate']:,.0f}", (max(cell["rate"], cell["rate_max"]), y),
                      xytext=(4, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    axis.set_yticks(range(len(shown)), [label(row) for row, _ in shown])
    axis.margins(x=0.1)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def latency(pyplot, results, path):
    shown = sorted(bars(results, "open-200"), key=lambda bar: bar[1]["p50"])
    figure, axis = axes(pyplot, len(shown), "Latency at 200 requests per second, open loop",
                        "milliseconds, logarithmic; dot: median, end of the line: p99;"
                        "  * a fresh process for every request")
    for y, (row, cell) in enumerate(shown):
        p50, p99 = cell["p50"] / 1000, cell["p99"] / 1000
        axis.plot([p50, p99], [y, y], color=colour(row), linewidth=5, solid_capstyle="butt")
        axis.plot(p50, y, "o", color=colour(row), markersize=9)
        axis.annotate(short(p50), (p50, y), xytext=(-8, 0), textcoords="offset points",
                      ha="right", va="center", fontsize=9, color=INK)
        axis.annotate(short(p99), (p99, y), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=9, color=INK)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_yticks(range(len(shown)), [label(row) for row, _ in shown])
    axis.margins(x=0.12)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw(results, folder):
    """Returns the files made, or why there are none."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return [], "no pictures: python3-matplotlib is not installed"
    made = []
    for name, plot, plan in (("throughput.png", throughput, "closed-16"),
                             ("latency.png", latency, "open-200")):
        if bars(results, plan):
            plot(pyplot, results, folder / name)
            made.append(folder / name)
    return made, None
