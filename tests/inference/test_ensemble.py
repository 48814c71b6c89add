import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Script, digit_images
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.data.datasets.idx import IdxDataset
from mobilenet_lab.data.splits import IndexRange, Subset
from mobilenet_lab.inference.ensemble import Ensemble, log_mean_softmax, with_tta_shifts
from mobilenet_lab.inference.measure import measure
from mobilenet_lab.runtime.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def altered(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a second checkpoint: the one of the tiny run, with noise on the last layer."""
    checkpoint = torch.load(tiny_run / "checkpoints/best.ckpt", weights_only=True)
    weight = checkpoint["state_dict"]["network.classifier.1.weight"]
    weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("altered") / "best.ckpt"
    torch.save(checkpoint, path)
    return path


def test_mean_of_probabilities_by_hand() -> None:
    one, other = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 3.0]]).log()  # 1/2, 1/2 and 0, 1
    mean = log_mean_softmax([one, other]).exp()
    torch.testing.assert_close(mean, torch.tensor([[0.25, 0.75]]))


def test_ensemble_returns_mean_probabilities(tiny_run: Path, altered: Path) -> None:
    best = tiny_run / "checkpoints/best.ckpt"
    images = torch.from_numpy(digit_images(8, seed=3)[0])[:, None]
    one, other = (Ensemble([path], CPU)(images).softmax(1) for path in (best, altered))
    both = Ensemble([best, altered], CPU)(images).softmax(1)
    assert not torch.allclose(one, other, atol=1e-3)
    torch.testing.assert_close(both, (one + other) / 2)


def test_tta_shifts_visit_every_offset_once() -> None:
    seen: list[tuple[int, int]] = []

    def classify(images: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(images[0, 0].nonzero()[0].tolist()))  # type: ignore[arg-type]
        return torch.zeros(len(images), 2)

    image = torch.zeros(1, 1, 7, 7, dtype=torch.uint8)
    image[0, 0, 3, 3] = 255
    assert with_tta_shifts(classify, 1)(image).exp().tolist() == [[0.5, 0.5]]
    assert sorted(seen) == [(y, x) for y in (2, 3, 4) for x in (2, 3, 4)]


def test_evaluation_of_ensemble_and_tta_shifts(
    script: Script, tiny_run: Path, altered: Path, tiny_idx: Path
) -> None:
    done = script(
        "evaluate.py",
        f"ckpt=[{tiny_run},{altered}]",
        "data=idx",
        f"data.root={tiny_idx}",
        "tta_shifts=1",
        "format=json",
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["checkpoint"] == [str(tiny_run / "checkpoints/best.ckpt"), str(altered)]
    assert (result["tta"]["pixels"], result["tta"]["views"]) == (1, 9)
    assert 0 <= result["tta"]["accuracy"] <= 1
    text = script(
        "evaluate.py", f"ckpt=[{tiny_run},{altered}]", "data=idx", f"data.root={tiny_idx}", "tta_shifts=2"
    )
    assert text.stdout.startswith("mean of 2 checkpoints on idx, test: accuracy ")
    assert "mean over 25 shifts of up to 2 pixels: accuracy 0." in text.stdout


def test_prediction_of_an_ensemble(script: Script, tmp_path: Path, tiny_run: Path, altered: Path) -> None:
    Image.fromarray(digit_images(1, seed=3)[0][0]).save(tmp_path / "img.png")
    arguments = (f"ckpt=[{tiny_run},{altered}]", "image=img.png", "format=json", "preprocess=none")
    done = script("predict.py", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    image = Image.open(tmp_path / "img.png")
    mean = [
        sum(p) / 2
        for p in zip(
            *(
                Predictor(path, preprocess="none")([image])[0].probabilities.values()
                for path in (tiny_run, altered)
            ),
            strict=True,
        )
    ]
    assert list(json.loads(done.stdout)[0]["probabilities"].values()) == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", list("abcdefghij")),
        ("native_size", 32),
        ("fit", "crop"),
        ("mnist_style", False),
        ("channels", 3),
    ],
)
def test_incompatible_networks_are_refused(tmp_path: Path, tiny_run: Path, key: str, value: object) -> None:
    best = tiny_run / "checkpoints/best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    if key == "channels":
        hparams["preprocessing"]["channels"] = value
        stem = "network.features.0.0.weight"
        checkpoint["state_dict"][stem] = checkpoint["state_dict"][stem].expand(-1, 3, -1, -1)
    else:
        (hparams if key == "classes" else hparams["data"])[key] = value
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="has other classes or another image format than"):
        Ensemble([best, tmp_path / "other.ckpt"], CPU)


def test_empty_ensemble_is_refused() -> None:
    with pytest.raises(InputError, match="at least one checkpoint"):
        Predictor([])


def test_batch_is_limited_by_the_activations_of_the_most_expensive_network(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = tiny_run / "checkpoints/best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    checkpoint["hyper_parameters"]["model"]["strides"] = [1] * 7
    torch.save(checkpoint, tmp_path / "other.ckpt")
    small, large = Ensemble([best], CPU), Ensemble([best, tmp_path / "other.ckpt"], CPU)
    side = small.largest_side
    assert small.max_batch == (1 << 24) // side**2
    peak = 2 * 1280 * side**2  # of the last batch normalization
    monkeypatch.setattr("mobilenet_lab.inference.ensemble.MAX_PEAK", 3 * peak)
    assert large.max_batch == 3


def test_answers_that_are_not_finite_are_no_accuracy() -> None:
    dataset = IdxDataset(np.zeros((4, 2, 2), np.uint8), np.zeros(4, np.uint8))
    subset = Subset(dataset, IndexRange(0, 4))
    assert measure(lambda x: torch.tensor([[0.0, -math.inf]] * len(x)), subset, 2, 2).tolist() == [
        [4, 0],
        [0, 0],
    ]
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match="NaN or infinity for some images"):
            measure(lambda x, value=value: torch.tensor([[0.0, value]] * len(x)), subset, 2, 2)  # type: ignore[misc]
