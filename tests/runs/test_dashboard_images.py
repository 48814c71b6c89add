import numpy as np

from mobilenet_lab.runs.canvas import enlarged, label_of
from mobilenet_lab.runs.dashboard_images import draw_confusion, draw_grid, draw_reliability
from mobilenet_lab.runs.quality import Calibration


def test_confusion_matrix_shows_its_cells_for_any_number_of_classes() -> None:
    for classes in (2, 10, 30, 700):
        image = draw_confusion(np.eye(classes, dtype=np.int64), [f"class {i}" for i in range(classes)])
        assert 400 < image.shape[0] == image.shape[1] < 900
        dark = (image == (8, 48, 107)).all(axis=2)  # the color of cells with all images of their class
        cell = max(1, round(560 / classes))
        assert dark.sum() >= 0.8 * classes * cell**2  # the rest has counts
        assert dark.any(axis=0).sum() == dark.any(axis=1).sum() == classes * cell


def test_confusion_matrix_of_very_many_classes_has_a_bounded_size() -> None:
    confusion = np.diag(np.ones(2500, dtype=np.int64))
    confusion[2499, 0] = 1  # half of the images of its class
    image = draw_confusion(confusion, [f"class {i}" for i in range(2500)])
    assert max(image.shape) < 1000
    dark = (image == (8, 48, 107)).all(axis=2)
    assert dark.sum() >= 833  # three classes per cell, the last cell has one
    row, column = np.argwhere(dark)[0]
    assert (image[row + 833, column] < 150).any()


def test_bars_of_a_reliability_diagram_have_the_height_of_the_accuracy() -> None:
    counts = np.array([0, 4, 0, 8])
    image = draw_reliability(Calibration(counts, counts * 0.9, np.array([0, 1, 0, 8])))
    blue = (image == (31, 119, 180)).all(axis=2).sum(axis=0)
    heights = [int(column.max()) for column in np.array_split(blue[76 : 76 + 360], 4)]
    assert heights[0] == heights[2] == 0
    assert abs(heights[1] - 90) <= 3  # accuracy 0.25 of 360 pixels, less the line of the confidence
    assert abs(heights[3] - 360) <= 5


def test_images_of_a_grid_are_enlarged_by_whole_pixels() -> None:
    image = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    assert enlarged(image, 104).shape == (84, 84)
    assert (enlarged(image, 104)[::3, ::3] == image).all()
    assert enlarged(np.zeros((224, 112, 3), np.uint8), 104).shape == (104, 52, 3)
    grid = draw_grid([np.zeros((28, 28), np.uint8)] * 7, [["is 3", "98% 5"]] * 7)
    black = (grid == 0).all(axis=2).sum()
    assert 7 * 84**2 < black < 7 * 84**2 * 1.02


def test_names_without_glyphs_become_numbers() -> None:
    assert label_of("猫", 7, 10) == "#7"
    assert label_of("قطة", 7, 10) == "قطة"
    assert label_of("a very long name", 7, 10) == "a ve… name"
