"""A network that sees the center of the images as read: what prediction, explanations and cards show."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_lab import Predictor
from mobilenet_lab.inference.answer_card import MARGIN, PANEL, thumbnail
from mobilenet_lab.inference.card_folder import CardFolder
from mobilenet_lab.tasks.classification import ImageClassifier

READ, SEEN = 48, 40
BORDER = (READ - SEEN) // 2


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    torch.manual_seed(0)
    module = ImageClassifier(
        {"network": "mobilenet_v2", "filters": 1},
        classes=["cat", "dog", "fox"],
        preprocessing={"image_size": SEEN, "channels": 3, "mean": 0.5, "std": 0.5, "resize": "crop"},
        data={"name": "photos", "native_size": READ, "mnist_style": False, "fit": "crop"},
    )
    contents = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    path = tmp_path_factory.mktemp("cropped") / "x.ckpt"
    torch.save(contents | {"epoch": 0, "global_step": 0}, path)
    return Predictor(path)


@pytest.fixture
def photograph() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (READ, READ, 3), np.uint8)
    return Image.fromarray(pixels)


def center(image: Image.Image) -> Image.Image:
    return image.crop((BORDER, BORDER, BORDER + SEEN, BORDER + SEEN))


def test_answer_depends_on_the_center_alone(predictor: Predictor, photograph: Image.Image) -> None:
    framed = Image.new("RGB", photograph.size, "red")
    framed.paste(center(photograph), (BORDER, BORDER))
    (one,), (other,) = predictor(photograph), predictor(framed)
    assert one.probabilities == other.probabilities
    assert predictor.visible_side == SEEN


def test_explanation_lies_where_the_network_looks(predictor: Predictor, photograph: Image.Image) -> None:
    (heat,) = predictor.explain(photograph)
    assert heat is not None
    assert heat.shape == (READ, READ)
    inner = heat[BORDER:-BORDER, BORDER:-BORDER]
    assert heat.sum() == pytest.approx(inner.sum())
    assert inner.max() == pytest.approx(1)


def test_card_shows_the_center(predictor: Predictor, photograph: Image.Image, tmp_path: Path) -> None:
    cards = CardFolder(
        tmp_path, ["x.png"], predictor.classes, predictor.visible_side, explain=predictor.explainer()
    )
    prepared = predictor.prepare(photograph)
    cards.add([0], [cards.keep(photograph)], [prepared.pixels], predictor.classify([prepared]))
    with Image.open(tmp_path / "x.png") as card:
        second = 2 * MARGIN + PANEL
        panel = np.asarray(card)[MARGIN : MARGIN + PANEL, second : second + PANEL]
    expected = np.asarray(thumbnail(center(photograph)))
    edge = (PANEL - len(expected)) // 2
    assert np.array_equal(panel[edge : edge + len(expected), edge : edge + len(expected)], expected)
