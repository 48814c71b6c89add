"""Settings that do not fit the data set give a one-line error before the run folder is created."""

from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_RUN, Script, composed
from hydra.utils import instantiate

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training.data_checks import check_data


def check(tiny_idx: Path, *overrides: str, ranks: int = 1) -> None:
    """Check settings as train.py does, with 100 training, 20 validation and 40 test images."""
    cfg = composed(*TINY_RUN, f"data.root={tiny_idx}", *overrides)
    data: Any = instantiate(cfg.data, augmentation=None, mixing=None, seed=0)
    data.setup()
    check_data(cfg, data, ranks)


@pytest.mark.parametrize(
    ("overrides", "ranks", "line"),
    [
        ("data.val_split=120", 1, "data.val_split=120"),
        ("data.val_split=119", 1, "data: 1 train images are too few for BatchNorm; use at least 2"),
        (
            "data.batch_size=101",
            1,
            "data.batch_size=101: there are only 100 training images; use data.batch_size=100 or less",
        ),
        (
            "data.batch_size=51",
            2,
            "data.batch_size=51: there are only 100 training images for 2 processes; use data.batch_size=50",
        ),
        (
            "data.max_train_samples=1000",
            1,
            "data.max_train_samples=1000: there are only 100 training images",
        ),
        ("data.max_train_samples=3", 2, "data: 3 train images are too few for 2 processes; use at least 4"),
        ("data.val_split=1", 2, "data: 1 val images are too few for 2 processes; use at least 2"),
        ("data.val_split=0", 64, "data: 120 train images are too few for 64 processes"),
        ("data.resize=pad data.image_size=20", 1, "data.image_size=20: images of 28 pixels cannot be padded"),
        ("trainer.limit_train_batches=0.1", 1, "trainer.limit_train_batches=0.1: leaves none of 7 batches"),
        ("trainer.limit_val_batches=0.1", 1, "trainer.limit_val_batches=0.1: leaves none of 1 batches"),
        ("trainer.limit_test_batches=0.1", 1, "trainer.limit_test_batches=0.1: leaves none of 1 batches"),
        ("trainer.val_check_interval=8", 1, "trainer.val_check_interval=8: an epoch has 7 batches; use at"),
        ("trainer.val_check_interval=5", 2, "trainer.val_check_interval=5: an epoch has 4 batches; use at"),
        (
            "trainer.val_check_interval=7 trainer.limit_train_batches=3",
            1,
            "trainer.val_check_interval=7: an epoch has 3 batches",
        ),
        ("scheduler=plateau data.val_split=0", 1, "scheduler.monitor=val/loss: there is no validation; set"),
        (
            "scheduler=plateau trainer.limit_val_batches=0",
            1,
            "scheduler.monitor=val/loss: there is no validation; set",
        ),
    ],
)
def test_setting_that_does_not_fit_the_data_is_one_line(
    tiny_idx: Path, overrides: str, ranks: int, line: str
) -> None:
    with pytest.raises(InputError) as raised:
        check(tiny_idx, *overrides.split(), ranks=ranks)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "trainer.val_check_interval=7",
        "trainer.val_check_interval=50 trainer.check_val_every_n_epoch=null",
        "trainer.accumulate_grad_batches=7",
        "data.val_split=0 trainer.limit_val_batches=0.1",
        "data.val_split=1 trainer.limit_val_batches=0",
        "scheduler=plateau",
    ],
)
def test_settings_that_fit_the_data_pass(tiny_idx: Path, overrides: str) -> None:
    check(tiny_idx, *overrides.split(), ranks=1)


def test_accumulation_over_more_than_an_epoch_is_a_warning(
    tiny_idx: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check(tiny_idx, "trainer.accumulate_grad_batches=8")
    assert [record.message for record in caplog.records] == [
        "trainer.accumulate_grad_batches=8: an epoch has only 7 batches, which make one step"
    ]


def test_failed_check_creates_no_run_folder(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = ("trainer.val_check_interval=8", "output_dir=run")
    done = script("train.py", *TINY_RUN, f"data.root={tiny_idx}", *settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: trainer.val_check_interval=8: an epoch has 7 batches; use at most")
    assert not (tmp_path / "run").exists()


def test_balancing_twice_is_a_warning(tiny_idx: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(tiny_idx, "data.sampling=balanced")
    assert caplog.messages == []
    check(tiny_idx, "data.sampling=balanced", "task.class_weights=balanced")
    assert [message.partition(":")[0] for message in caplog.messages] == ["task.class_weights=balanced"]
