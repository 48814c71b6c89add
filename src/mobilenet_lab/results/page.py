"""The results page, rendered from the records and the template `page.md`."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from string import Template

from mobilenet_lab.results.recipes import RECIPES, Recipe
from mobilenet_lab.results.records import ENSEMBLE, TTA_SHIFTS, Record, records_of

TEMPLATE = Path(__file__).with_name("page.md")


def render_page(records: Sequence[Record]) -> str:
    """Return the page as Markdown."""
    return Template(TEMPLATE.read_text()).substitute(
        accuracies=_accuracy_table(records),
        provenance=_provenance_table(records),
        tta_pixels=TTA_SHIFTS,
        tta_views=(2 * TTA_SHIFTS + 1) ** 2,
    )


def mean_and_deviation(records: Sequence[Record], key: str) -> tuple[float, float]:
    """Return the mean and sample standard deviation of an accuracy, in percent; 0 for a single record."""
    values = [100 * record[key] for record in records]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _accuracy_table(records: Sequence[Record]) -> str:
    lines = [
        "| recipe | filters | parameters | MACs | epochs | seeds | test accuracy, % | with shifts, % "
        "| validation, % | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for recipe in RECIPES:
        if seeds := records_of(records, recipe.name):
            lines.append(
                f"{_model_cells(recipe.title, seeds[0])} {seeds[0]['epochs']} | {len(seeds)} "
                f"| **{_mean(seeds, 'test/accuracy')}** | {_mean(seeds, 'test/accuracy_tta')} "
                f"| {_mean(seeds, 'val/accuracy')} | {_median_minutes(seeds)} |"
            )
        for ensemble in records_of(records, f"{recipe.name}{ENSEMBLE}"):
            title = f"{recipe.title}, ensemble of {len(ensemble['seeds'])}"
            lines.append(
                f"{_model_cells(title, ensemble)} | | **{100 * ensemble['test/accuracy']:.2f}** "
                f"| {100 * ensemble['test/accuracy_tta']:.2f} | | |"
            )
    return "\n".join(lines)


def _provenance_table(records: Sequence[Record]) -> str:
    lines = ["| recipe | filters | command | weights | seeds | environment |", "|---|---:|---|---|---|---|"]
    for recipe in RECIPES:
        groups: dict[str, list[Record]] = {}
        for record in records_of(records, recipe.name):
            groups.setdefault(_environment(record), []).append(record)
        for environment, group in groups.items():
            seeds = ", ".join(str(record["seed"]) for record in group)
            lines.append(
                f"| {recipe.title} | {_filters(group[0])} | `{_command(recipe)}` | {group[0]['weights']} "
                f"| {seeds} | {environment} |"
            )
    return "\n".join(lines)


def _model_cells(title: str, record: Record) -> str:
    return f"| {title} | {_filters(record)} | {record['parameters']:,} | {record['macs'] / 1e6:.1f} M |"


def _filters(record: Record) -> str:
    return "" if record["filters"] is None else str(record["filters"])


def _mean(records: Sequence[Record], key: str) -> str:
    if any(record[key] is None for record in records):
        return ""
    mean, deviation = mean_and_deviation(records, key)
    return f"{mean:.2f} ± {deviation:.2f}" if len(records) > 1 else f"{mean:.2f}"


def _median_minutes(records: Sequence[Record]) -> str:
    known = [record["minutes"] for record in records if record["minutes"] is not None]
    return f"{statistics.median(known):.1f}" if known else ""


def _command(recipe: Recipe) -> str:
    return " ".join(["python train.py", *recipe.overrides.split(), "seed=..."])


def _environment(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{record['hardware']}; {versions}; commit {record['commit']}, {record['date']}"
