from pathlib import Path

import pytest

from mobilenet_lab.benchmark.cases import Settings, available
from mobilenet_lab.benchmark.report import LABELS, RATIOS, as_markdown, summarise

SETTINGS = Settings(8, 32, 1, 128, 10, 100, Path("data"), Path("work"))


def test_ratios_are_medians_of_what_was_measured_in_one_round() -> None:
    samples = {
        "train": [{"images_per_second": rate} for rate in (100.0, 50.0, 90.0)],
        "floor": [{"images_per_second": rate} for rate in (110.0, 50.0, 100.0)],
    }
    measured = summarise(samples, SETTINGS, 3)
    assert measured["train.images_per_second"] == 90
    assert measured["floor.images_per_second"] == 100
    assert measured["train_per_floor"] == pytest.approx(100 / 110)
    assert "train_per_naive" not in measured
    assert (measured["filters"], measured["batch_size"], measured["rounds"]) == (8, 128, 3)


def test_times_count_the_other_way() -> None:
    samples = {
        "evaluate": [{"images_per_second": 80.0}],
        "forward": [{"images_per_second": 100.0}],
        "predict_one": [{"seconds": 3.0}],
        "import_torch": [{"seconds": 2.0}],
    }
    measured = summarise(samples, SETTINGS, 1)
    assert measured["evaluate_time_per_forward"] == pytest.approx(1.25)
    assert measured["predict_one_time_per_import"] == pytest.approx(1.5)
    table = as_markdown(measured)
    assert "| evaluation: bare forward pass | 100 |  |  |  |" in table
    assert "| predict one time per import | 1.50 |" in table


def test_every_case_has_a_line_and_every_ratio_its_cases() -> None:
    assert set(available()) <= set(LABELS)
    for a, b, _ in RATIOS.values():
        assert {a, b} <= set(LABELS)
