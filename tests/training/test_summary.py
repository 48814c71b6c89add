from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import composed

from mobilenet_lab.runs.folder import RunFolder
from mobilenet_lab.training import summary


def test_failing_plot_does_not_lose_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(summary, "save_plot", fail)
    model: Any = SimpleNamespace(test_quality=None)
    history: Any = SimpleNamespace(epochs=[{"epoch": 1, "train/loss": 1.0}])
    trainer: Any = SimpleNamespace(loggers=[])
    result = {"val/accuracy": None, "test/accuracy": 1.0, "macs": 1}
    run = RunFolder(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        summary.write_results(composed(), trainer, model, history, result, run)
    assert run.read_result() == result
