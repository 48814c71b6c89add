import json
import statistics
from pathlib import Path

import pytest
from conftest import ROOT
from matplotlib.figure import Figure
from PIL import Image

from mobilenet_lab.results import plot
from mobilenet_lab.results.page import render_page
from mobilenet_lab.results.plot import draw_accuracies
from mobilenet_lab.results.recipes import RECIPES
from mobilenet_lab.results.records import Record, replace_record
from mobilenet_lab.runs.accuracy_axes import MAX_ACCURACY


def record_of(recipe: str, seed: int, accuracy: float, **others: object) -> Record:
    overrides = next(r.overrides for r in RECIPES if r.name == recipe)
    return {
        "recipe": recipe,
        "overrides": overrides,
        "seed": seed,
        "filters": 8,
        "test/accuracy": accuracy,
        "val/accuracy": None,
        "train/accuracy": 0.99,
        "test/accuracy_tta": accuracy + 0.0002,
        "epochs": 2,
        "minutes": 3.0 + seed,
        "parameters": 2_236_106,
        "macs": 24_000_000,
        "weights": "last epoch",
        "hardware": "some processor, 2 of 2 cores",
        "versions": {"torch": "2.13.0"},
        "commit": "abc",
        "date": "2026-01-31",
        "fingerprint": "0123",
        **others,
    }


ENSEMBLE = {**record_of("best", 0, 0.998), "recipe": "best_ensemble", "seeds": [0, 1, 2]}
RECORDS = [
    record_of("two_epochs", 1, 0.9951),
    record_of("two_epochs", 0, 0.9945),
    record_of("two_epochs", 2, 0.9957),
    record_of("two_epochs_025", 0, 0.9912, filters=2, macs=2_000_000, parameters=248_978),
    record_of("reference", 0, 0.984, **{"val/accuracy": 0.9818}),
    ENSEMBLE,
    record_of("best", 0, 0.997),
]


def cells(page: str, start: str) -> list[list[str]]:
    rows = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_row_is_the_mean_over_seeds() -> None:
    page = render_page(RECORDS)
    wide, narrow = cells(page, "two epochs")[:2]
    deviation = statistics.stdev([99.45, 99.51, 99.57])
    assert wide[1:6] == ["8", "2,236,106", "24.0 M", "2", "3"]
    assert wide[6] == f"**99.51 ± {deviation:.2f}**"
    assert wide[7] == f"99.53 ± {deviation:.2f}"
    assert wide[9] == "4.0"
    assert narrow[6] == "**99.12**"
    assert cells(page, "original recipe")[0][8] == "98.18"
    assert cells(page, "long, ensemble of 3")[0][6] == "**99.80**"


def test_network_without_filters_has_an_empty_cell() -> None:
    page = render_page([record_of("best", 0, 0.997, filters=None)])
    assert cells(page, "long")[0][1] == ""


def test_page_lists_commands_and_environments() -> None:
    page = render_page(RECORDS)
    overrides = next(recipe.overrides for recipe in RECIPES if recipe.name == "two_epochs_025")
    assert f"`python train.py {overrides} seed=...` | last epoch | 0 |" in page
    assert "| 0, 1, 2 | some processor, 2 of 2 cores; torch 2.13.0; commit abc, 2026-01-31 |" in page


def test_page_has_published_figures_and_derived_numbers() -> None:
    page = render_page([])
    for figure in ("96.24", "99.04", "99.245", "99.83", "99.87", "99.91"):
        assert f" {figure} " in page
    for _, accuracy in plot.PUBLISHED:
        assert f" {accuracy} " in page
    assert "over 9 shifts of up" in page
    assert "$" not in page


def test_committed_page_is_rendered_from_the_committed_record() -> None:
    records = json.loads((ROOT / "docs/results.json").read_text())
    assert (ROOT / "docs/results.md").read_text() == render_page(records)


def test_new_record_replaces_the_same_run_and_other_settings() -> None:
    old = [*RECORDS, record_of("best", 1, 0.99, fingerprint="other")]
    new = record_of("best", 0, 0.9975)
    records = replace_record(old, new)
    assert [record for record in records if record["recipe"] == "best"] == [new]
    assert ENSEMBLE in records
    assert len(records) == len(RECORDS)


@pytest.mark.parametrize("records", [RECORDS, []])
def test_plot_is_drawn(tmp_path: Path, records: list[Record]) -> None:
    draw_accuracies(tmp_path / "results.png", records)
    with Image.open(tmp_path / "results.png") as image:
        assert min(image.size) > 300


def test_perfect_accuracy_lies_within_the_frame() -> None:
    axes = Figure().subplots()
    plot._draw_ensembles(axes, [{**ENSEMBLE, "test/accuracy": 1.0}])
    plot._draw_recipes(axes, "long", [r for r in RECIPES if r.name == "best"], [record_of("best", 0, 1.0)])
    plot._draw_published(axes)
    plot._scale_axes(axes)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    assert 0.85 < to_axes.transform((24, MAX_ACCURACY))[1] < 0.95
