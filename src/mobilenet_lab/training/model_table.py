"""A table of a network's stages, as the log of a run shows it."""

from collections.abc import Sequence

from mobilenet_lab.models.stages import Stage
from mobilenet_lab.runtime.text import printable, table

INDENT = " " * 9  # the width of the words before the lines of the log, such as "model    "
MAX_NAME = 24
HEADER = ("stage", "output", "parameters", "MACs")


def model_table(stages: Sequence[Stage]) -> list[str]:
    """Return the lines of a table with one row per stage and their sum, at most 80 columns wide."""
    rows = [
        HEADER,
        *((_name(s.name), _shape(s.output), f"{s.parameters:,}", f"{s.macs:,}") for s in stages),
        ("sum", "", f"{sum(s.parameters for s in stages):,}", f"{sum(s.macs for s in stages):,}"),
    ]
    return [f"{INDENT}{line}" for line in table(rows)]


def _name(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= MAX_NAME else f"{shown[: MAX_NAME - 3]}..."


def _shape(output: tuple[int, ...] | None) -> str:
    """Return channels x height x width."""
    return "" if output is None else " x ".join(map(str, output))
