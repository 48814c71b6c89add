from pathlib import Path

from PIL import Image

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
