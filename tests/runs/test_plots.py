from pathlib import Path

import pytest
from PIL import Image

from mobilenet_lab.runs import class_labels as class_labels_module
from mobilenet_lab.runs.class_labels import class_labels, shortened
from mobilenet_lab.runs.plots import plot_confusion, save_plot


def test_class_names_are_not_read_as_formulas(tmp_path: Path) -> None:
    save_plot(plot_confusion([[1, 0], [0, 1]], ["a$5%$", "$_$"]), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").is_file()


def test_confusion_matrix_of_many_classes_has_a_bounded_size(tmp_path: Path) -> None:
    widths = {}
    for classes in (10, 1623):
        confusion = [[int(row == column) for column in range(classes)] for row in range(classes)]
        names = [f"class {i}" for i in range(classes)]
        save_plot(plot_confusion(confusion, names), tmp_path / "confusion.png")
        with Image.open(tmp_path / "confusion.png") as image:
            widths[classes] = image.width
    assert 400 < widths[10] < widths[1623] < 4000


def test_names_in_any_script_are_drawn_or_numbered_without_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matplotlib brings DejaVu Sans, which has Arabic, and DejaVu Serif, which has the letter U+1D15."""
    names = ["قطة", "ᴕ", "猫ᴕ", "a\nb\udcff", "_x"]
    save_plot(plot_confusion([[1] * 5] * 5, names), tmp_path / "confusion.png")
    own = [font for font in class_labels_module._other_fonts() if font[0].startswith("DejaVu")]
    monkeypatch.setattr(class_labels_module, "_other_fonts", lambda: iter(own))
    labels = class_labels(names)
    assert labels.ticks == ["قطة", "ᴕ", "#2", "a\\nb\\udcff", "_x"]
    assert labels.legend == ["#2: \\u732bᴕ"]
    save_plot(plot_confusion([[1] * 40] * 40, ["猫" * 90, "قطة" * 50] * 20), tmp_path / "confusion.png")
    assert class_labels(["cat", "dog"]).families == ["sans-serif"]


def test_middle_of_long_names_is_left_out() -> None:
    assert shortened("front_" + "x" * 200 + "_back") == "front_xxxxx…xxxxxxx_back"
    assert shortened("猫" * 90) == "猫猫猫猫猫…猫猫猫猫猫猫"
    assert shortened("x" * 24) == "x" * 24
