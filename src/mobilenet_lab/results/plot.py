"""The plot of the results page: test accuracy on MNIST over multiply-accumulates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mobilenet_lab.results.page import mean_and_deviation
from mobilenet_lab.results.recipes import RECIPES, Recipe
from mobilenet_lab.results.records import ENSEMBLE, Record, records_of
from mobilenet_lab.runs.accuracy_axes import clip, scale_accuracy, scale_macs
from mobilenet_lab.runs.plots import DPI

PUBLISHED = (("plain network, 2 epochs", 99.245), ("best single network", 99.83))  # as in page.md


def draw_accuracies(path: Path, records: Sequence[Record]) -> None:
    """Plot the mean test accuracy of each MNIST recipe, with its standard deviation, as a PNG.

    Both axes are logarithmic; the vertical one is logarithmic in the error rate.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    recipes = [r for r in RECIPES if r.on_mnist and records_of(records, r.name)]
    for title in dict.fromkeys(recipe.title for recipe in recipes):
        _draw_recipes(axes, title, [recipe for recipe in recipes if recipe.title == title], records)
    _draw_ensembles(axes, [e for r in recipes for e in records_of(records, f"{r.name}{ENSEMBLE}")])
    _draw_published(axes)
    _scale_axes(axes)
    if recipes:
        axes.legend(loc="best", fontsize=8)
    figure.savefig(path, dpi=DPI)


def _draw_recipes(axes: Any, title: str, recipes: Sequence[Recipe], records: Sequence[Record]) -> None:
    points = []
    for recipe in recipes:
        seeds = records_of(records, recipe.name)
        mean, deviation = mean_and_deviation(seeds, "test/accuracy")
        points.append(
            (seeds[0]["macs"] / 1e6, clip(mean), clip(mean + deviation), deviation, _label(seeds[0]))
        )
    macs, means, tops, deviations, labels = zip(*sorted(points), strict=True)
    errors = (deviations, [top - mean for top, mean in zip(tops, means, strict=True)])
    axes.errorbar(macs, means, yerr=errors, marker="o", capsize=3, label=title)
    for x, y, label in zip(macs, means, labels, strict=True):
        axes.annotate(label, (x, y), xytext=(6, -12), textcoords="offset points", fontsize=8)


def _draw_ensembles(axes: Any, ensembles: Sequence[Record]) -> None:
    for number, record in enumerate(ensembles):
        point = record["macs"] / 1e6, clip(100 * record["test/accuracy"])
        label = None if number else "ensemble"
        axes.errorbar(*point, fmt="*", color="black", markersize=9, label=label)
        axes.annotate(
            f"{len(record['seeds'])} x {_label(record)}",
            point,
            xytext=(0, 7),
            textcoords="offset points",
            fontsize=8,
            horizontalalignment="center",
        )


def _draw_published(axes: Any) -> None:
    for name, accuracy in PUBLISHED:
        axes.axhline(accuracy, color="gray", linestyle=":", linewidth=1)
        axes.annotate(
            f"published: {name}",
            (0.99, accuracy),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            horizontalalignment="right",
            verticalalignment="bottom",
        )


def _scale_axes(axes: Any) -> None:
    axes.margins(x=0.1, y=0.1)
    scale_macs(axes)
    scale_accuracy(axes)
    axes.set_ylabel("MNIST test accuracy, %")
    axes.grid(alpha=0.3, which="both")


def _label(record: Record) -> str:
    return "" if record["filters"] is None else f"filters {record['filters']}"
