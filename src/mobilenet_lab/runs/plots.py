"""What a run leaves for people: its result as JSON, curves and a confusion matrix as images."""

from collections.abc import Sequence
from pathlib import Path

DPI = 110
LARGEST_SIDE = 16.0  # inches of a image of the confusion
MOST_NAMED = 40  # classes whose names there is room for


def draw_curves(path: Path, epochs: Sequence[dict[str, float]]) -> None:
    """Loss and accuracy of training and validation over the epochs, side by side, as a PNG.

    Args:
        path: Where to.
        epochs: As `callbacks.history.EpochHistory` keeps them.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for stage in ("train", "val"):
            rows = [row for row in epochs if f"{stage}/{quantity}" in row]
            xs, ys = [row["epoch"] for row in rows], [row[f"{stage}/{quantity}"] for row in rows]
            axes.plot(xs, ys, marker="o", label={"train": "training", "val": "validation"}[stage])
        axes.set(title=quantity, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=DPI)


def draw_rates(path: Path, rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> None:
    """The loss over the learning rate of a range test, as a PNG.

    Args:
        path: Where to.
        rates: Learning rates, rising.
        losses: The loss at each.
        suggestion: A rate to mark, or None.
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
    figure.savefig(path, dpi=DPI)


def draw_confusion(path: Path, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """The confusion matrix as a PNG; the colour is the share of a class's images.

    Args:
        path: Where to.
        confusion: Counts; rows are true classes, columns predictions.
        classes: Names of rows and columns.
    """
    from matplotlib.figure import Figure

    totals = [max(1, sum(row)) for row in confusion]
    shares = [[count / total for count in row] for row, total in zip(confusion, totals, strict=True)]
    side = min(max(4.5, 0.55 * len(classes) + 1.2), LARGEST_SIDE)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MOST_NAMED:
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes, rotation=45 if max(map(len, classes)) > 3 else 0, parse_math=False)
        axes.set_yticks(ticks, classes, parse_math=False)  # a name may have dollar signs
    axes.set(xlabel="predicted", ylabel="true", title="test images")
    if len(classes) <= 20:
        for row, (counts, row_shares) in enumerate(zip(confusion, shares, strict=True)):
            for column, (count, share) in enumerate(zip(counts, row_shares, strict=True)):
                if count:
                    colour = "white" if share > 0.5 else "black"
                    axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=DPI)
