"""Reports of runs that tests look at."""

import functools
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from conftest import composed, digit_images
from omegaconf import DictConfig

from mobilenet_lab.reports.run_facts import RunRecord
from mobilenet_lab.reports.run_report import write_run_report
from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.runs.quality import Calibration, Mistake, Quality

DIGITS = tuple("0123456789")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    "</style></svg><script>alert(4)</script>",
    "{{ 7 * 7 }} ${x}",
    "]]>&lt;b&gt;",
    "قطة",
    "猫",
    "a" * 200,
    "javascript:alert(5)",
)
RESULT = {
    "train/accuracy": 0.9,
    "val/accuracy": 0.91,
    "test/accuracy": 0.92,
    "epochs": 3,
    "stop_reason": None,
    "images_per_second": 1234.5,
    "fit_seconds": 100.0,
    "total_seconds": 130.0,
    "parameters": 696_970,
    "macs": 6_273_904,
    "checkpoint": "run/checkpoints/best.ckpt",
    "command": "python train.py model.filters=4",
}
EPOCHS = [
    {"epoch": n, "train/loss": 1 / n, "val/loss": 2 / n, "train/accuracy": 0.5 + n / 10, "val/accuracy": 0.6}
    for n in (1, 2, 3)
]


def predicted_quality(classes: Sequence[str], count: int = 400, seed: int = 0) -> Quality:
    """Return the statistics of a noisy linear classifier for images of bars, computed image by image."""
    size = len(classes)
    images, labels = digit_images(count, seed)
    labels = (
        np.arange(count) % min(size, 10) if size < 10 else (labels + 10 * (np.arange(count) // 10)) % size
    )
    logits = np.random.default_rng(seed).normal(size=(count, size))
    logits[np.arange(count), labels] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confusion = np.zeros((size, size), np.int64)
    counts, sums, correct = np.zeros(15, np.int64), np.zeros(15), np.zeros(15, np.int64)
    mistakes = []
    for image, label, row in zip(images, labels.tolist(), probabilities, strict=True):
        prediction = int(row.argmax())
        confidence = float(row[prediction])
        confusion[label, prediction] += 1
        in_bin = min(14, int(15 * confidence))
        counts[in_bin] += 1
        sums[in_bin] += confidence
        correct[in_bin] += prediction == label
        if prediction != label:
            mistakes.append(Mistake(image, label, prediction, confidence))
    mistakes.sort(key=lambda mistake: -mistake.confidence)
    return Quality(classes, confusion, Calibration(counts, sums, correct), mistakes[:30])


def write_example(folder: Path, *overrides: str, cfg: DictConfig | None = None, **changes: Any) -> Path:
    """Write the report of a run with three epochs; `changes` replaces attributes of its record."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"model": "mobilenet_v2(filters=4)", "data": "mnist: 10 images", "device": "cpu, 2 threads"}
    values: dict[str, Any] = {
        "folder": run,
        "cfg": _composed(*overrides) if cfg is None else cfg,
        "result": RESULT,
        "epochs": EPOCHS,
        "facts": facts,
        "uses_gpu": False,
        "data_name": "mnist",
        "split": "test",
        "quality": predicted_quality(DIGITS),
    }
    write_run_report(RunRecord(**(values | changes)))
    return run.report


_composed = functools.cache(composed)


class Page(HTMLParser):
    """The elements and texts of a page.

    Attributes:
        elements: Name and attributes of each element.
        headings: Texts of the second level.
        text: All text outside of style sheets and scripts.
        rows: Texts of the cells of each table row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        elif "h2" in self._open:
            self.headings[-1] += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]
