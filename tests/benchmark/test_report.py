from pathlib import Path

import pytest

from mobilenet_lab.benchmark.cases import CASES
from mobilenet_lab.benchmark.report import RATIOS, as_markdown, summarize
from mobilenet_lab.benchmark.settings import Settings

SETTINGS = Settings(8, 32, 1, 128, 10, 100, Path("data"), Path("work"))


def test_settings_survive_json() -> None:
    assert Settings.from_dict(SETTINGS.to_dict()) == SETTINGS


def test_ratio_is_the_median_over_rounds() -> None:
    samples = {
        "train": [{"images_per_second": rate} for rate in (100.0, 50.0, 90.0)],
        "floor": [{"images_per_second": rate} for rate in (110.0, 50.0, 100.0)],
    }
    summary = summarize(samples, SETTINGS, 3)
    assert summary["train.images_per_second"] == 90
    assert summary["floor.images_per_second"] == 100
    assert summary["train_per_floor"] == pytest.approx(100 / 110)
    assert "train_per_naive" not in summary
    assert (summary["filters"], summary["batch_size"], summary["rounds"]) == (8, 128, 3)


def test_time_ratio_is_above_one_for_the_slower_case() -> None:
    samples = {
        "evaluate": [{"images_per_second": 80.0}],
        "forward": [{"images_per_second": 100.0}],
        "predict_one": [{"seconds": 3.0}],
        "import_torch": [{"seconds": 2.0}],
    }
    summary = summarize(samples, SETTINGS, 1)
    assert summary["evaluate_time_per_forward"] == pytest.approx(1.25)
    assert summary["predict_one_time_per_import"] == pytest.approx(1.5)
    table = as_markdown(summary)
    assert "| evaluation: forward pass alone | 100 |  |  |  |" in table
    assert "| predict one time per import | 1.50 |" in table


def test_ratios_refer_to_known_cases() -> None:
    for a, b, _ in RATIOS.values():
        assert {a, b} <= set(CASES)
