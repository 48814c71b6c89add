"""Training: this project's train.py, and a bare loop as its upper bound."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mobilenet_lab.benchmark.scripts import run_script, train_overrides
from mobilenet_lab.benchmark.settings import MEAN, STD, Figures, Settings
from mobilenet_lab.benchmark.timing import throughput, with_peak_memory
from mobilenet_lab.benchmark.workspace import read_training_images
from mobilenet_lab.runs.folder import RunFolder


def train(settings: Settings) -> Figures:
    """Time train.py end to end: reading, augmentation, logging and Lightning."""
    return _time_train_py(train_overrides(settings, f"trainer.limit_train_batches={settings.steps}"))


def reference(settings: Settings) -> Figures:
    """Time train.py with experiment=reference."""
    return _time_train_py(reference_overrides(settings))


def reference_overrides(settings: Settings) -> list[str]:
    """Return the arguments of train.py for the reference recipe."""
    steps = f"trainer.limit_train_batches={settings.steps}"
    return train_overrides(as_reference(settings), steps, "experiment=reference")


def as_reference(settings: Settings) -> Settings:
    """Return settings with the network, image and batch size of the reference recipe."""
    return replace(settings, filters=8, image_size=56, channels=3, batch_size=32)


def floor(settings: Settings) -> Figures:
    """Time a loop over preprocessed tensors in memory, with the project's layers, layout and allocator."""
    from mobilenet_lab.runtime.malloc import configure_malloc

    configure_malloc()
    import torch

    from mobilenet_lab.data.transforms.preprocessing import Preprocessing

    network = build_network(settings)
    images, labels = read_training_images(settings)
    prepared = Preprocessing(settings.image_size, settings.channels, MEAN, STD)(images)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True, fused=True)
    size = settings.batch_size

    def batches() -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(labels), size):
            yield prepared[start : start + size], labels[start : start + size]

    return time_loop(settings, network, optimizer, batches())


def build_network(settings: Settings, cpu_layers: bool = True, zero_init_residual: bool = True) -> Any:
    """Build this project's MobileNetV2 for the settings."""
    from mobilenet_lab import models

    return models.build_network(
        "mobilenet_v2",
        cpu_layers,
        filters=settings.filters,
        in_channels=settings.channels,
        dropout=0.0,
        zero_init_residual=zero_init_residual,
    )


def time_loop(
    settings: Settings,
    network: Any,
    optimizer: Any,
    batches: Iterator[tuple[Any, Any]],
    label_smoothing: float = 0.05,
) -> Figures:
    """Time a hand-written training loop.

    Args:
        settings: The benchmark's settings.
        network: A module that maps images to logits.
        optimizer: Optimizer of the network's parameters.
        batches: Images, shape (N, C, H, W), and labels, shape (N,), per step.
        label_smoothing: Label smoothing of the cross-entropy.
    """
    import torch.nn.functional as F

    network.train()
    began = time.perf_counter()
    for images, labels in batches:
        loss = F.cross_entropy(network(images), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return throughput(settings.steps * settings.batch_size, time.perf_counter() - began)


def _time_train_py(overrides: Sequence[str]) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        run_script("train.py", *overrides, cwd=folder)
        result = RunFolder(Path(folder) / "run").read_result() or {}
    return with_peak_memory({"images_per_second": result["images_per_second"]}, of_children=True)
