import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_RUN, Script
from PIL import Image

from mobilenet_lab.callbacks.lr_finder import suggest


def test_suggests_the_rate_at_which_most_of_the_fall_is_done() -> None:
    rates = list(np.geomspace(1e-5, 10, 301))
    # Falls from 2 to 1 around 1e-2, rises again around 1.
    losses = [2 - 1 / (1 + (1e-2 / rate) ** 2) + (rate / 1.0) ** 2 for rate in rates]
    finding = suggest(rates, losses, smoothing=0.0, stop_factor=4.0)
    assert finding.suggestion == pytest.approx(0.03, rel=0.3)  # 0.9 = 1 / (1 + (0.01 / rate)^2) at 0.03
    assert finding.losses[-1] > 4 * min(finding.losses)
    assert len(finding.losses) < 301
    assert finding.has_exploded


def test_smoothing_starts_at_the_first_loss() -> None:
    finding = suggest([0.1, 0.2, 0.3], [3.0, 3.0, 3.0], smoothing=0.9, stop_factor=4.0)
    assert finding.losses == pytest.approx([3.0, 3.0, 3.0])


NOISE = [float(loss) for loss in np.random.default_rng(0).normal(2.3, 0.05, 200)]


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0], [math.nan], [1.0, math.nan], [2.3, 2.29, 50.0], NOISE])
def test_a_loss_that_never_falls_suggests_nothing(losses: list[float]) -> None:
    rates = [0.1 * (i + 1) for i in range(len(losses))]
    assert suggest(rates, losses, smoothing=0.0, stop_factor=4.0).suggestion is None


def test_lr_find_draws_and_suggests(script: Script, tmp_path: Path, tiny_idx: Path) -> None:
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
