"""No hint of a library reaches a user who did nothing wrong; other warnings stay."""

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning

from mobilenet_lab.data.loader import batch_loader
from mobilenet_lab.data.sampler import BatchSampler
from mobilenet_lab.data.splits import IndexRange
from mobilenet_lab.runtime.process_state import preserve_process_state
from mobilenet_lab.runtime.quiet import IRRELEVANT_WARNINGS, configure_logging
from mobilenet_lab.training.hardware_checks import check_workers


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with preserve_process_state():
        configure_logging()
        yield


def test_slurm_tools_on_the_path_are_no_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    SLURMEnvironment()  # a warning would be an error
    warnings.resetwarnings()
    with pytest.warns(PossibleUserWarning, match="`srun` command is available"):
        SLURMEnvironment()


@pytest.mark.parametrize("message", [message for message, _ in IRRELEVANT_WARNINGS])
def test_warning_of_another_kind_stays(message: str) -> None:
    text = message.replace(".*", "x").replace("\\", "")
    with pytest.warns(RuntimeWarning):
        warnings.warn(text, RuntimeWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn(f"mine: {text}", UserWarning, stacklevel=1)


class NoImages:
    def __len__(self) -> int:
        return 4

    def read(self, indices: np.ndarray) -> None: ...

    def read_labels(self, indices: np.ndarray) -> None: ...


def test_more_workers_than_cores_are_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mobilenet_lab").setLevel(logging.INFO)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    batch_loader(NoImages(), BatchSampler(IndexRange(0, 4), 2), num_workers=64)  # type: ignore[arg-type]
    check_workers(2)  # the default of data=image_folder
    assert caplog.messages == []
    check_workers(3)
    assert caplog.messages == ["data.num_workers=3: more processes than this machine's 1 cores"]
