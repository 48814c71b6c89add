from pathlib import Path

from PIL import Image

from mobilenet_lab.runs.plots import draw_confusion


def test_names_of_classes_are_no_formulas(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "confusion.png", [[1, 0], [0, 1]], ["a$5%$", "$_$"])
    assert (tmp_path / "confusion.png").is_file()


def test_a_confusion_of_many_classes_has_a_bounded_image(tmp_path: Path) -> None:
    sides = {}
    for classes in (10, 1623):
        confusion = [[int(row == column) for column in range(classes)] for row in range(classes)]
        draw_confusion(tmp_path / "confusion.png", confusion, [f"class {i}" for i in range(classes)])
        with Image.open(tmp_path / "confusion.png") as image:
            sides[classes] = image.width
    assert 400 < sides[10] < sides[1623] < 4000
