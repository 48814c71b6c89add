"""Plots of a run: curves, learning-rate range test, confusion matrix.

Matplotlib is imported when the first plot is made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_lab.runs.class_labels import class_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
MAX_SIDE = 16.0  # inches
MAX_LABELED_CLASSES = 40  # more have no room for their names
MAX_COUNTED_CLASSES = 20  # more have no room for the counts in the cells
LEGEND_SIZE = 8  # points
LEGEND_LINE = 0.17  # inches
LEGEND_COLUMNS_PER_INCH = 11  # characters


def save_plot(figure: "Figure", path: Path) -> None:
    """Save a figure as an image in the format of the file's suffix."""
    figure.savefig(path, dpi=DPI)


def plot_curves(epochs: Sequence[Mapping[str, float]]) -> "Figure":
    """Plot loss and accuracy of training and validation over the epochs.

    Args:
        epochs: One mapping per epoch, as in `callbacks.history.EpochHistory.epochs`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        draw_curves(axes, epochs, metric)
        axes.set(title=metric)
    return figure


def draw_curves(axes: "Axes", epochs: Sequence[Mapping[str, float]], metric: str) -> None:
    """Draw a metric of training and, where it was measured, of validation over the epochs."""
    from matplotlib.ticker import MaxNLocator

    for stage, label in (("train", "training"), ("val", "validation")):
        rows = [row for row in epochs if f"{stage}/{metric}" in row]
        if rows:
            values = [row[f"{stage}/{metric}"] for row in rows]
            axes.plot([row["epoch"] for row in rows], values, marker="o", label=label)
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:  # the axis of a single point would have fractions of an epoch
        axes.set_xticks([epochs[0]["epoch"]])
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def plot_range_test(rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> "Figure":
    """Plot the loss over the learning rate of a range test.

    Args:
        rates: Learning rates, ascending.
        losses: The smoothed loss at each rate.
        suggestion: The rate to mark, or None.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses)
    if suggestion is not None:
        axes.axvline(suggestion, color="tab:red", linestyle="--", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axes.grid(alpha=0.3)
    return figure


def plot_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> "Figure":
    """Plot a confusion matrix; the color of a cell is its fraction of the true class.

    Args:
        confusion: Counts; a row per true class, a column per predicted class.
        classes: Names of the classes. Those that no installed font can write are numbered, with a legend.
    """
    from matplotlib.figure import Figure

    totals = [max(1, sum(row)) for row in confusion]
    fractions = [[count / total for count in row] for row, total in zip(confusion, totals, strict=True)]
    side = min(max(4.5, 0.55 * len(classes) + 1.2), MAX_SIDE)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class", title="test images")
    if len(classes) <= MAX_LABELED_CLASSES:
        _name_classes(figure, axes, classes)
    if len(classes) <= MAX_COUNTED_CLASSES:
        for y, row in enumerate(confusion):
            for x, count in enumerate(row):
                if count:
                    color = "white" if fractions[y][x] > 0.5 else "black"
                    axes.text(x, y, str(count), ha="center", va="center", color=color, fontsize=8)
    return figure


def _name_classes(figure: "Figure", axes: "Axes", classes: Sequence[str]) -> None:
    """Label the cells of a confusion matrix."""
    from matplotlib.lines import Line2D

    labels = class_labels(classes)
    rotation = 45 if max(map(len, labels.ticks)) > 3 else 0
    style: dict[str, Any] = {"fontfamily": labels.families, "parse_math": False}  # names may contain "$"
    axes.set_xticks(range(len(classes)), labels.ticks, rotation=rotation, **style)
    if rotation:
        for label in axes.get_xticklabels():  # long labels end below their tick
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), labels.ticks, **style)
    if labels.legend:
        handles = [Line2D([], [], linestyle="none", label=text) for text in labels.legend]
        width, height = figure.get_size_inches()
        columns = max(1, int(width * LEGEND_COLUMNS_PER_INCH / max(map(len, labels.legend))))
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            handlelength=0,
            prop={"family": labels.families, "size": LEGEND_SIZE},
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
        figure.set_size_inches(width, height + LEGEND_LINE * -(-len(handles) // columns))
