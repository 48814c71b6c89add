import numpy as np

from mobilenet_lab.data.transforms.straight_lines import remove_lines


def test_line_is_removed_where_it_touches_a_stroke_and_kept_where_a_stroke_crosses_it() -> None:
    mask = np.zeros((100, 120), np.uint8)
    mask[20:80, 40:46] = 1  # crosses
    mask[20:60, 70:76] = 1  # ends at the line
    strokes = mask.copy()
    mask[60:63] = 1
    left = remove_lines(mask)
    assert left[60:63, 41:45].all()
    assert np.array_equal(left[:58], strokes[:58])
    assert np.array_equal(left[65:], strokes[65:])
    assert not left[58:65, :39].any()
    assert not left[58:65, 47:].any()
    assert np.array_equal(remove_lines(mask.T), left.T)


def test_slanted_line_is_removed() -> None:
    mask = np.zeros((100, 120), np.uint8)
    for x in range(120):
        mask[50 + x // 30 : 53 + x // 30, x] = 1
    assert not remove_lines(mask).any()


def test_mask_without_lines_is_returned_itself() -> None:
    mask = np.zeros((100, 120), np.uint8)
    mask[50:53, 20:100] = 1  # too short
    mask[10:30] = 1  # too thick
    assert remove_lines(mask) is mask
