"""Cards: their names, their files and their contents."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mobilenet_lab.inference.answer_card import BEST, MARGIN, PANEL, card_painter, draw_card, thumbnail
from mobilenet_lab.inference.card_folder import CardFolder
from mobilenet_lab.inference.card_names import card_names
from mobilenet_lab.inference.predictor import Prediction
from mobilenet_lab.inference.text_painter import TextPainter
from mobilenet_lab.runtime.errors import InputError

CLASSES = ["cat", "dog"]
ANSWER = Prediction("dog", {"cat": 0.25, "dog": 0.75}, "low confidence")
SIDE = 28
PIXELS = np.random.default_rng(0).integers(0, 255, (1, 28, 28), np.uint8)


def test_names_keep_folders_and_differ() -> None:
    names = ["in/a/x.png", "in/b/x.png", "in/a/x.jpg", "in/a/X.png", "in/a/x.png", "in/a/x.jpg.png", "-"]
    assert card_names(names) == [
        "a/x.png",
        "b/x.png",
        "a/x.jpg.png",
        "a/X (2).png",
        "a/x (3).png",
        "a/x.jpg (2).png",
        "standard-input.png",
    ]
    assert card_names(["/somewhere/x.png"]) == ["x.png"]
    assert card_names(["../x.png", "x.png"])[1].endswith("/x.png")
    urls = [
        "https://u:pw@host/a/x.png?key=1",
        "https://host/b/x.png",
        "https://host",
        "http://h/a%2F..%2Fb.jpg",
    ]
    assert card_names(urls) == ["x.png", "x (2).png", "host.png", "a_.._b.jpg.png"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aA./é-", min_size=1, max_size=6), max_size=8))
def test_names_are_different_and_stay_in_the_folder(names: list[str]) -> None:
    cards = card_names(names)
    assert len({card.casefold() for card in cards}) == len(names)
    for card in cards:
        assert ".." not in Path(card).parts
        assert not Path(card).is_absolute()
        assert card.endswith(".png")


def test_long_names_are_shortened() -> None:
    one, other = card_names([f"{'ü' * 120}.png", f"{'ü' * 121}.png"])
    assert one != other
    assert max(len(name.encode()) for name in (one, other)) <= 255


def add(folder: Path, names: list[str], predictions: list[Prediction], **options: object) -> None:
    cards = CardFolder(folder, names, CLASSES, SIDE, **options)  # type: ignore[arg-type]
    image = cards.keep(Image.new("RGB", (400, 300), "red"))
    count = len(names)
    cards.add(list(range(count)), [image] * count, [PIXELS] * count, predictions)


def test_cards_replace_cards_but_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "cards"
    names = ["in/a/x.png", "in/b/x.png", "in/y.jpg"]
    for _ in range(2):  # the second time, the cards of the first are replaced
        add(folder, names, [ANSWER] * 3)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["a/x.png", "b/x.png", "y.jpg.png"]
    before = (folder / "a/x.png").read_bytes()
    for foreign in (b"text", None):
        if foreign is None:
            Image.new("L", (9, 9)).save(folder / "b/x.png")
        else:
            (folder / "b/x.png").write_bytes(foreign)
        content = (folder / "b/x.png").read_bytes()
        with pytest.raises(
            InputError, match=r"b/x\.png exists and was not written by predict\.py; use another"
        ):
            add(folder, names, [ANSWER] * 3)
        assert (folder / "b/x.png").read_bytes() == content
    assert (folder / "a/x.png").read_bytes() == before
    (folder / "b/x.png").unlink()
    (folder / "b/x.png").symlink_to(folder / "a/x.png")
    with pytest.raises(InputError, match="use another folder"):
        add(folder, names, [ANSWER] * 3)
    with pytest.raises(InputError, match="is a file; use another name"):
        CardFolder(folder / "a/x.png", names, CLASSES, SIDE)


def test_images_without_a_finite_answer_get_no_card(tmp_path: Path) -> None:
    nan = Prediction("dog", {"cat": float("nan"), "dog": float("nan")})
    asked = []

    def explain(pixels: np.ndarray, labels: list[int]) -> np.ndarray:
        asked.append((pixels.shape, labels))
        return np.ones((len(pixels), 28, 28), np.float32)

    add(
        tmp_path,
        ["a.png", "b.png", "c.png"],
        [nan, Prediction(None, {}, "no digit found"), ANSWER],
        explain=explain,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "c.png"]
    assert asked == [((1, 1, 28, 28), [1])]


@pytest.mark.parametrize("channels", [1, 3])
def test_card_shows_the_network_input_enlarged_without_smoothing(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (channels, 28, 28), np.uint8)
    card = draw_card(card_painter(CLASSES), thumbnail(Image.new("L", (90, 9))), pixels, ANSWER, 3)
    left = 2 * MARGIN + PANEL
    shown = np.asarray(card)[MARGIN : MARGIN + PANEL, left : left + PANEL]
    enlarged = np.kron(pixels, np.ones((1, 8, 8), np.uint8)).transpose(1, 2, 0)
    assert (shown == enlarged).all()


def test_bars_are_as_long_as_the_probabilities() -> None:
    card = draw_card(card_painter(CLASSES), thumbnail(Image.new("L", (9, 9))), PIXELS, ANSWER, 3)
    best = tuple(int(BEST[i : i + 2], 16) for i in (1, 3, 5))
    columns = (np.asarray(card) == best).all(axis=2).any(axis=0).sum()
    assert columns == pytest.approx(0.75 * 260, abs=1)


def test_evidence_is_warm_where_the_map_is_high() -> None:
    heat = np.zeros((28, 28), np.float32)
    heat[:14] = 1
    plain = np.full((1, 28, 28), 100, np.uint8)
    card = draw_card(card_painter(CLASSES), thumbnail(Image.new("L", (9, 9))), plain, ANSWER, 3, heat)
    left = 3 * MARGIN + 2 * PANEL
    panel = np.asarray(card, int)[MARGIN : MARGIN + PANEL, left : left + PANEL]
    assert panel[:100].mean() > panel[124:].mean() + 50
    assert (panel[124:] == panel[200, 200]).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), (224, 224)),
        ((100, 50), (200, 100)),
        ((1, 1), (224, 224)),
        ((3000, 10), (224, 1)),
        ((150, 200), (168, 224)),
        ((224, 7), (224, 7)),
        ((9000, 9000), (224, 224)),
    ],
)
def test_thumbnails_fit_into_a_panel(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert thumbnail(Image.new("L", size)).size == expected


def test_text_of_any_script_is_drawn_or_escaped() -> None:
    names = ["Ελληνικά", "кошка", "猫 7", "قطة", "a\x1b[2J\nb", "\U000f0000", "x" * 200]
    painter = TextPainter(names, (18,))
    for name in names:
        shown = painter.drawable(name)
        assert shown.isprintable()
        card = Image.new("L", (300, 40))
        painter.draw(ImageDraw.Draw(card), (10, 30), name, 18, "white", 280)
        left, _, right, _ = card.getbbox()
        assert left >= 5
        assert right <= 295
    assert painter.drawable("кошка") == "кошка"  # DejaVu, part of matplotlib, has it
    assert painter.drawable("a\x1b\U000f0000") == "a\\x1b\\U000f0000"
