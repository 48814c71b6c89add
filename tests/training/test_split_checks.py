"""Warnings about settings of the splits."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from mobilenet_lab.data.datamodule import ImageDataModule
from mobilenet_lab.runtime.environment import OVERRIDES_VARIABLE
from mobilenet_lab.training.split_checks import warn_of_ignored_splits, warn_of_mixed_splits


@pytest.mark.parametrize(
    ("settings", "was", "now"),
    [
        ({"val_split": 30}, "data.val_split=20", "data.val_split=30"),
        (
            {"split_seed": 1, "split": "random"},
            "data.split=stratified data.split_seed=0",
            "data.split=random data",
        ),
        ({"max_train_samples": 9, "test_split": 10}, "", ""),  # fewer of the same images; own test images
    ],
)
def test_resume_with_another_split_is_a_warning(
    tiny_idx: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], was: str, now: str
) -> None:
    before = ImageDataModule("idx", str(tiny_idx), val_split=20)
    data = ImageDataModule("idx", str(tiny_idx), **{"val_split": 20} | settings)
    data.describe()
    caplog.clear()
    warn_of_mixed_splits(Path("x.ckpt"), {"hyper_parameters": before.describe()}, data)
    if not was:
        assert caplog.messages == []
        return
    (message,) = caplog.messages
    assert message.startswith(f"resume=x.ckpt: the checkpoint was trained with {was}, this run has {now}")
    assert "training, validation and test images mix" in message


def test_checkpoint_without_the_key_was_split_at_random(
    tiny_idx: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = ImageDataModule("idx", str(tiny_idx), val_split=20, split="random")
    stored = data.describe()
    del stored["data"]["stratified"]
    caplog.clear()
    warn_of_mixed_splits(Path("x.ckpt"), {"hyper_parameters": stored}, data)
    assert caplog.messages == []


def test_size_of_a_split_that_the_data_has_is_ignored_aloud(
    tiny_idx: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["data=idx", "data.val_split=20", "data.test_split=0.3"]
    monkeypatch.setenv(OVERRIDES_VARIABLE, shlex.join(overrides))
    warn_of_ignored_splits(ImageDataModule("idx", str(tiny_idx)))
    assert caplog.messages == ["data.test_split=0.3: ignored, because the data set has its own test images"]
