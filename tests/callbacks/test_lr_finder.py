import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_RUN, Script
from PIL import Image

from mobilenet_lab.callbacks.lr_finder import suggest


def test_suggestion_is_the_rate_after_nine_tenths_of_the_fall() -> None:
    rates = list(np.geomspace(1e-5, 10, 301))
    # Falls from 2 to 1 around 1e-2, rises again around 1.
    losses = [2 - 1 / (1 + (1e-2 / rate) ** 2) + (rate / 1.0) ** 2 for rate in rates]
    result = suggest(rates, losses, smoothing=0.0, stop_factor=4.0)
    assert result.suggestion == pytest.approx(0.03, rel=0.3)  # 0.9 = 1 / (1 + (0.01 / rate)^2) at 0.03
    assert result.losses[-1] > 4 * min(result.losses)
    assert len(result.losses) < 301
    assert result.has_exploded


def test_smoothing_of_a_constant_loss_changes_nothing() -> None:
    result = suggest([0.1, 0.2, 0.3], [3.0, 3.0, 3.0], smoothing=0.9, stop_factor=4.0)
    assert result.losses == pytest.approx([3.0, 3.0, 3.0])


NOISE = [float(loss) for loss in np.random.default_rng(0).normal(2.3, 0.05, 200)]


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0], [math.nan], [1.0, math.nan], [2.3, 2.29, 50.0], NOISE])
def test_suggestion_is_none_if_the_loss_never_falls(losses: list[float]) -> None:
    rates = [0.1 * (i + 1) for i in range(len(losses))]
    assert suggest(rates, losses, smoothing=0.0, stop_factor=4.0).suggestion is None


def test_lr_find_run_plots_and_suggests_a_rate(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
    settings = [setting for setting in TINY_RUN if "epochs" not in setting]
    done = script(
        "train.py",
        *settings,
        f"data.root={tiny_idx}",
        "debug=lr_find",
        "trainer.max_steps=100",
        "optimizer.lr=1.0",
        "scheduler.start_factor=0.001",
        "output_dir=run",
    )
    assert (done.returncode, done.stderr) == (0, "")
    suggested = re.search(r"^suggested optimizer.lr=(\S+)$", done.stdout, re.MULTILINE)
    assert suggested is not None, done.stdout
    assert 1e-3 <= float(suggested[1]) <= 1
    assert "of -1" not in done.stdout
    with Image.open(tmp_path / "run/lr_find.png") as image:
        assert min(image.size) > 300
    assert json.loads((tmp_path / "run/result.json").read_text())["test/accuracy"] is None
