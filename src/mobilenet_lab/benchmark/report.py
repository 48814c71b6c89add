"""Summary of a benchmark: medians, ratios and a Markdown table."""

import math
import os
import platform
import statistics
from typing import Any

from mobilenet_lab.benchmark.cases import CASES
from mobilenet_lab.benchmark.settings import Figures, Settings
from mobilenet_lab.runtime.machine import commit, package_version, processor

PACKAGES = ("torch", "lightning", "numpy", "tensorflow", "tensorflow-cpu", "torchvision", "timm")
RATE, SECONDS = "images_per_second", "seconds"
COLUMNS = (RATE, SECONDS, "peak_memory_mb", "anonymous_memory_mb")
# name: (a, b, figure): figure of a / figure of b, both from the same round
RATIOS = {
    "train_per_floor": ("train", "floor", RATE),
    "train_per_naive": ("train", "naive", RATE),
    "train_per_keras": ("train_rgb", "keras", RATE),
    "train_per_torchvision": ("train_rgb", "torchvision", RATE),
    "train_per_timm": ("train_rgb", "timm", RATE),
    "reference_per_stock": ("reference", "reference_stock", RATE),
    "width_050_per_100": ("train_050", "train", RATE),
    "width_025_per_100": ("train_025", "train", RATE),
    "loader_large_per_small": ("loader_large", "loader", RATE),
    "photos_per_pillow": ("photos", "decode_photos", RATE),
    "photos_per_decode_only": ("photos", "decode_only", RATE),
    "simplejpeg_per_pillow": ("photos_simplejpeg", "decode_photos", RATE),
    "photos_disk_per_photos": ("photos_disk", "photos", RATE),
    # Ratios of times, not rates: how much longer the complete operation takes than its unavoidable step
    "evaluate_time_per_forward": ("forward", "evaluate", RATE),
    "predict_folder_time_per_decode": ("decode_folder", "predict_folder", RATE),
    "predict_one_time_per_import": ("predict_one", "import_torch", SECONDS),
}


def summarize(samples: dict[str, list[Figures]], settings: Settings, rounds: int) -> dict[str, Any]:
    """Return what `latest.json` holds.

    Args:
        samples: Figures of each case, one entry per round.
        settings: The benchmark's settings.
        rounds: Number of rounds.

    Returns:
        Machine, versions and settings; the median of each figure as `<case>.<figure>`; and the median over
        the rounds of each ratio in `RATIOS`.
    """
    summary: dict[str, Any] = {
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{package: found for package in PACKAGES if (found := package_version(package))},
        "commit": commit(),
        "filters": settings.filters,
        "image_size": settings.image_size,
        "channels": settings.channels,
        "batch_size": settings.batch_size,
        "steps": settings.steps,
        "images": settings.images,
        "rounds": rounds,
    }
    for case, runs in samples.items():
        for key in runs[0]:
            summary[f"{case}.{key}"] = statistics.median(run[key] for run in runs)
    for name, (a, b, key) in RATIOS.items():
        if a in samples and b in samples:
            pairs = zip(samples[a], samples[b], strict=True)
            summary[name] = statistics.median(one[key] / other[key] for one, other in pairs)
    return summary


def as_markdown(summary: dict[str, Any]) -> str:
    """Format a summary: a line on machine and settings, a table of cases, and a table of ratios."""
    versions = ", ".join(f"{name} {summary[name]}" for name in PACKAGES if name in summary)
    lines = [
        f"{summary['machine']}; Python {summary['python']}, {versions}; commit {summary['commit']}; "
        f"filters {summary['filters']}, {summary['channels']} x {summary['image_size']} x "
        f"{summary['image_size']}, batch {summary['batch_size']}, {summary['steps']} steps, "
        f"{summary['images']:,} images to evaluate and predict; medians of {summary['rounds']}.",
        "",
        "| case | images/s | seconds | peak memory, MB | anonymous memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, case in CASES.items():
        figures = [summary.get(f"{name}.{key}") for key in COLUMNS]
        if any(figure is not None for figure in figures):
            lines.append(f"| {case.label} | {' | '.join(map(_format_figure, figures))} |")
    if "time_to_99.val_accuracy" in summary:
        lines += ["", f"experiment=fast: validation accuracy {summary['time_to_99.val_accuracy']:.4f}"]
    lines += ["", "| ratio | |", "|---|---:|"]
    lines += [f"| {name.replace('_', ' ')} | {summary[name]:.2f} |" for name in RATIOS if name in summary]
    return "\n".join(lines) + "\n"


def _format_figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
