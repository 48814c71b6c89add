"""Axes for accuracy over multiply-accumulates: logarithmic in the MACs and in the error rate."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ACCURACY = 99.99  # percent; higher values, which have no finite place on the axis, are drawn here
AXIS_LIMIT = 99.999  # percent; above MAX_ACCURACY, so that no marker lies on the frame
TICKS = (0, 20, 40, 60, 80, 90, 95, 97, 98, 98.5, 99, 99.2, 99.3, 99.4, 99.5, 99.6, 99.7, 99.8, 99.85, 99.9)
MIN_DISTANCE = 0.045  # of two ticks, as a fraction of the axis


def clip(percent: float) -> float:
    """Return an accuracy that has a place on the axis."""
    return min(percent, MAX_ACCURACY)


def scale_macs(axes: "Axes") -> None:
    """Make the horizontal axis logarithmic, for millions of multiply-accumulates."""
    from matplotlib.ticker import FuncFormatter

    axes.set(xscale="log", xlabel="million multiply-accumulates per image")
    # Minor ticks look like major ones, so that 20 and 30 look like 10.
    axes.tick_params(axis="x", which="both", length=3.5, pad=3.5, labelsize="medium")
    for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        set_formatter(FuncFormatter(lambda macs, _: f"{macs:g}" if f"{macs:e}"[0] in "1235" else ""))


def scale_accuracy(axes: "Axes") -> None:
    """Make the vertical axis, for accuracies in percent, logarithmic in the error rate.

    Call it last, when the limits of the axis are known.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter

    axes.set_yscale(
        "function",
        functions=(_log_error, lambda z: 100 - 10.0**-z),
    )
    axes.autoscale_view()  # margins are fractions of the new scale
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(FixedLocator(_ticks_between(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda percent, _: f"{percent:g}"))


def _log_error(percent: Any) -> Any:
    return -np.log10(100 - np.minimum(percent, AXIS_LIMIT))


def _ticks_between(low: float, high: float) -> list[float]:
    """Return the ticks inside the limits, without those that are too close to the one below."""
    distance = MIN_DISTANCE * (_log_error(high) - _log_error(low))
    ticks: list[float] = []
    for tick in TICKS:
        is_inside = low <= tick <= high
        if is_inside and (not ticks or _log_error(tick) - _log_error(ticks[-1]) >= distance):
            ticks.append(tick)
    return ticks
