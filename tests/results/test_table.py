import statistics
from pathlib import Path

import pytest
from PIL import Image

from mobilenet_lab.results.runs import ROWS, Entry
from mobilenet_lab.results.table import as_markdown, draw


def entry(row: str, seed: int, accuracy: float, **others: object) -> Entry:
    settings = next(r.settings for r in ROWS if r.name == row)
    return {
        "row": row,
        "settings": settings,
        "seed": seed,
        "filters": 8,
        "test/accuracy": accuracy,
        "val/accuracy": None,
        "train/accuracy": 0.99,
        "test/accuracy with shifts": accuracy + 0.0002,
        "epochs": 2,
        "minutes": 3.0 + seed,
        "parameters": 2_236_106,
        "macs": 24_000_000,
        "weights": "last epoch",
        "hardware": "some processor, 2 of 2 cores",
        "versions": {"torch": "2.13.0"},
        "commit": "abc",
        "date": "2026-01-31",
        "recipe": "0123",
        **others,
    }


RECORD = [
    entry("two_epochs", 1, 0.9951),
    entry("two_epochs", 0, 0.9945),
    entry("two_epochs", 2, 0.9957),
    entry("two_epochs_025", 0, 0.9912, filters=2, macs=2_000_000, parameters=248_978),
    entry("reference", 0, 0.984, **{"val/accuracy": 0.9818}),
    {
        **entry("best", 0, 0.998),
        "row": "best_ensemble",
        "seeds": [0, 1, 2],
    },
    entry("best", 0, 0.997),
]


def cells(page: str, start: str) -> list[list[str]]:
    rows = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_a_row_is_the_mean_over_its_seeds() -> None:
    page = as_markdown(RECORD)
    wide, narrow = cells(page, "two epochs")[:2]
    deviation = statistics.stdev([99.45, 99.51, 99.57])
    assert wide[1:6] == ["8", "2,236,106", "24.0 M", "2", "3"]
    assert wide[6] == f"**99.51 ± {deviation:.2f}**"
    assert wide[7] == f"99.53 ± {deviation:.2f}"
    assert wide[9] == "4.0"
    assert narrow[6] == "**99.12**"
    assert cells(page, "the original's recipe")[0][8] == "98.18"
    assert cells(page, "long, mean of 3 networks")[0][6] == "**99.80**"


def test_the_page_says_how_to_repeat_a_row() -> None:
    page = as_markdown(RECORD)
    settings = next(row.settings for row in ROWS if row.name == "two_epochs_025")
    assert f"`python train.py {settings} seed=...` | last epoch | 0 |" in page
    assert "| 0, 1, 2 | some processor, 2 of 2 cores; torch 2.13.0; commit abc, 2026-01-31 |" in page


def test_published_figures_stand_beside() -> None:
    page = as_markdown([])
    for figure in ("96.24", "99.04", "99.245", "99.83", "99.87", "99.91"):
        assert figure in page


@pytest.mark.parametrize("record", [RECORD, []])
def test_the_plot_is_drawn(tmp_path: Path, record: list[Entry]) -> None:
    draw(tmp_path / "results.png", record)
    with Image.open(tmp_path / "results.png") as image:
        assert min(image.size) > 300
