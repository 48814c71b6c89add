"""The figures of a benchmark: medians, ratios within a round, a table."""

import math
import os
import platform
import statistics
from typing import Any

from mobilenet_lab.benchmark.cases import Numbers, Settings
from mobilenet_lab.runtime.machine import commit, package_version, processor

PACKAGES = ("torch", "lightning", "numpy", "tensorflow", "tensorflow-cpu", "torchvision", "timm")
RATE, SECONDS = "images_per_second", "seconds"
COLUMNS = (RATE, SECONDS, "peak_memory_mb", "anonymous_memory_mb")
# name: (a, b, what is compared): a / b, both of the same round
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
    # Times rather than rates: how much longer the whole takes than its unavoidable part
    "evaluate_time_per_forward": ("forward", "evaluate", RATE),
    "predict_folder_time_per_decode": ("decode_folder", "predict_folder", RATE),
    "predict_one_time_per_import": ("predict_one", "import_torch", SECONDS),
}
LABELS = {
    "train": "training: this project, whole",
    "floor": "training: bare loop over tensors in memory",
    "naive": "training: plain PyTorch as first written",
    "train_050": "training: half the width",
    "train_025": "training: a quarter of the width",
    "train_rgb": "training: this project, three channels",
    "keras": "training: Keras' MobileNetV2 and fit, three channels",
    "torchvision": "training: torchvision's MobileNetV2, plain loop, three channels",
    "timm": "training: timm's MobileNetV2, plain loop, three channels",
    "reference": "training: experiment=reference",
    "reference_stock": "training: the same recipe, plain PyTorch",
    "loader": "reading batches, one core",
    "loader_large": "reading batches of six million images, one core",
    "evaluate": "evaluation: reading, preparing, forward pass, counting",
    "forward": "evaluation: bare forward pass",
    "predict_one": "predict.py, one image, whole process",
    "import_torch": 'python -c "import torch"',
    "predict_folder": "prediction of image files",
    "decode_folder": "decoding the same files alone",
    "help": "train.py --help",
    "config_error": "train.py with a misspelt key",
    "time_to_99": "experiment=fast, start of process to end",
}


def summarise(samples: dict[str, list[Numbers]], settings: Settings, rounds: int) -> dict[str, Any]:
    """Medians of every figure and of the ratios within each round, under what they were measured on."""
    measured: dict[str, Any] = {
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
            measured[f"{case}.{key}"] = statistics.median(run[key] for run in runs)
    for name, (a, b, key) in RATIOS.items():
        if a in samples and b in samples:
            pairs = zip(samples[a], samples[b], strict=True)
            measured[name] = statistics.median(one[key] / other[key] for one, other in pairs)
    return measured


def as_markdown(measured: dict[str, Any]) -> str:
    """A table of the cases and one of the ratios, under a line about machine and settings."""
    versions = ", ".join(f"{name} {measured[name]}" for name in PACKAGES if name in measured)
    lines = [
        f"{measured['machine']}; Python {measured['python']}, {versions}; commit {measured['commit']}; "
        f"filters {measured['filters']}, {measured['channels']} x {measured['image_size']} x "
        f"{measured['image_size']}, batch {measured['batch_size']}, {measured['steps']} steps, "
        f"{measured['images']:,} images to evaluate and predict; medians of {measured['rounds']}.",
        "",
        "| what | images/s | seconds | peak memory, MB | without files, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for case, label in LABELS.items():
        figures = [measured.get(f"{case}.{key}") for key in COLUMNS]
        if any(figure is not None for figure in figures):
            lines.append(f"| {label} | {' | '.join(map(_figure, figures))} |")
    if "time_to_99.val_accuracy" in measured:
        lines += ["", f"experiment=fast: validation accuracy {measured['time_to_99.val_accuracy']:.4f}"]
    lines += ["", "| ratio | |", "|---|---:|"]
    lines += [f"| {name.replace('_', ' ')} | {measured[name]:.2f} |" for name in RATIOS if name in measured]
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
