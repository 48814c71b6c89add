"""The charts of a report, as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from mobilenet_lab.reports.svg import MUTED, SERIES, TEXT, inline_svg, page_style
from mobilenet_lab.runs.accuracy_axes import clip, scale_accuracy, scale_macs
from mobilenet_lab.runs.class_labels import class_labels
from mobilenet_lab.runs.plots import draw_curves, plot_range_test
from mobilenet_lab.runs.quality import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (4.6, 3.2)  # inches; the width of a phone at the font size of the text
MAX_MARKED_EPOCHS = 30  # more have no room for a marker each
MAX_LABELED_POINTS = 12
WIDE_RANGE = 4.0  # ratio of error rates from which on a linear axis hides differences


@dataclass(frozen=True)
class Point:
    """A model in a plot of accuracy over multiply-accumulates.

    Attributes:
        label: Its name.
        macs: Multiply-accumulates per image.
        accuracy: In [0, 1].
    """

    label: str
    macs: int
    accuracy: float


def curves(epochs: Sequence[Mapping[str, float]]) -> list[Markup]:
    """Return the charts of loss and accuracy over the epochs; none without epochs."""
    charts = []
    for metric in ("loss", "accuracy") if epochs else ():
        with page_style():
            figure, axes = _figure()
            draw_curves(axes, epochs, metric)
            axes.set_ylabel(metric)
            if len(epochs) > MAX_MARKED_EPOCHS:
                for line in axes.lines:
                    line.set_marker("")
            charts.append(inline_svg(figure, metric, _describe_curves(epochs, metric)))
    return charts


def range_test(rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> Markup:
    """Return the chart of a learning-rate range test."""
    text = f"suggested rate {suggestion:.2g}" if suggestion is not None else "no suggestion"
    with page_style():
        figure = plot_range_test(rates, losses, suggestion)
        return inline_svg(figure, "range-test", f"Training loss over the learning rate: {text}")


def reliability(calibration: Calibration) -> Markup:
    """Return the reliability diagram: accuracy over confidence, and below it the images per bin."""
    counts = calibration.counts
    filled = counts > 0
    width = 1 / len(counts)
    centers = (np.arange(len(counts)) + 0.5) * width
    accuracies = calibration.correct[filled] / counts[filled]
    confidences = calibration.confidence_sums[filled] / counts[filled]
    with page_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, NullFormatter

        figure = Figure(figsize=(4.6, 4.2))
        figure.subplots_adjust(left=0.19, right=0.97, bottom=0.12, top=0.97)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.bar(centers[filled], accuracies, width * 0.9, color=SERIES[0], alpha=0.35)
        top.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="calibrated")
        top.plot(confidences, accuracies, color=SERIES[0], marker="o", markersize=4, label="this model")
        top.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
        top.legend(loc="upper left")
        bottom.bar(centers[filled], counts[filled], width * 0.9, color=SERIES[0], alpha=0.6)
        bottom.set(yscale="log", xlabel="confidence", ylabel="images")
        bottom.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:g}"))
        bottom.yaxis.set_minor_formatter(NullFormatter())
        for axes in (top, bottom):
            axes.grid(alpha=0.3)
        text = f"Accuracy over confidence; expected calibration error {calibration.error:.4f}"
        return inline_svg(figure, "reliability", text)


def accuracy_over_macs(points: Sequence[Point], split: str) -> Markup:
    """Return the chart of the accuracies of several models over their multiply-accumulates."""
    percents = [100 * point.accuracy for point in points]
    with page_style():
        figure, axes = _figure((5.4, 3.6))
        axes.scatter([point.macs / 1e6 for point in points], [clip(p) for p in percents], color=SERIES[0])
        if len(points) <= MAX_LABELED_POINTS:
            _label(axes, points)
        axes.margins(x=0.12, y=0.12)
        scale_macs(axes)
        errors = [100 - clip(percent) for percent in percents]
        if max(errors) > WIDE_RANGE * min(errors):
            scale_accuracy(axes)
        axes.set_ylabel(f"{split} accuracy, %")
        axes.grid(alpha=0.3, which="both")
        best = max(points, key=lambda point: point.accuracy)
        text = (
            f"{split.capitalize()} accuracy over multiply-accumulates of {len(points)} jobs; "
            f"the best is {best.label} with {best.accuracy:.2%} and {best.macs / 1e6:.1f} million"
        )
        return inline_svg(figure, "accuracy-macs", text)


def _figure(size: tuple[float, float] = SIZE) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    # Matplotlib's layout engines would take as long as the drawing.
    figure = Figure(figsize=size)
    figure.subplots_adjust(left=0.15, right=0.97, bottom=0.16, top=0.93)
    return figure, figure.subplots()


def _label(axes: "Axes", points: Sequence[Point]) -> None:
    """Write the name of each point next to it, in a font that has its characters."""
    labels = class_labels([point.label for point in points])
    for text, point in zip(labels.ticks, points, strict=True):
        axes.annotate(
            text,
            (point.macs / 1e6, clip(100 * point.accuracy)),
            xytext=(6, 3),
            textcoords="offset points",
            color=TEXT,
            fontfamily=labels.families,
            parse_math=False,
        )


def _describe_curves(epochs: Sequence[Mapping[str, float]], metric: str) -> str:
    """Return first and last values in words."""
    texts = []
    for stage, label in (("train", "training"), ("val", "validation")):
        values = [row[f"{stage}/{metric}"] for row in epochs if f"{stage}/{metric}" in row]
        if values:
            first, last = (
                f"{value:.4f}" if math.isfinite(value) else "NaN" for value in (values[0], values[-1])
            )
            texts.append(f"{label} from {first} to {last}")
    return f"{metric.capitalize()} over {len(epochs)} epochs: {', '.join(texts)}"
