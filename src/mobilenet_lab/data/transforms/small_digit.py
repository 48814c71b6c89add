"""Find the ink of a digit in an image of a few pixels, which has no room for shadows, lines or a desk."""

import itertools

import numpy as np

from mobilenet_lab.runtime.opencv import cv2

MAX_SIDE = 55  # longer side in pixels, up to which strokes are only two or three pixels wide
LARGE_SIDE = 112  # the image is enlarged to about this, so that thresholding keeps the shape of edges
MIN_CONTRAST = 20  # gray levels between ink and paper; with less, the image counts as empty
CENTERS = (0.5, 0.499, 0.0)  # of a pixel, in the libraries that enlarge images; Pillow rounds down
MIN_PART = 0.05  # of the largest component's area; smaller ones are specks


def small_digit_ink(gray: np.ndarray) -> np.ndarray | None:
    """Return the amount of ink in each pixel of the enlarged image, or None if there is no contrast.

    Args:
        gray: uint8, shape (H, W).

    Returns:
        uint8, the longer side about `LARGE_SIDE`, from 0 for paper to 255.
    """
    gray = _native_size(gray)
    scale = -(-LARGE_SIDE // max(gray.shape))
    size = scale * gray.shape[1], scale * gray.shape[0]
    levels = cv2.resize(gray, size, interpolation=cv2.INTER_LANCZOS4).astype(np.float32)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    paper = float(np.median(border))
    is_dark_ink = paper > (float(gray.min()) + float(gray.max())) / 2
    ink = (paper - levels if is_dark_ink else levels - paper).clip(0)
    if ink.max() < MIN_CONTRAST:
        return None
    scaled = (ink * (255 / ink.max())).astype(np.uint8)
    threshold, mask = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    strong = max(1.2 * threshold, 0.8 * float(scaled[mask > 0].mean()))
    # Levels near the threshold are kept, so that edges of strokes stay smooth.
    strength = ((scaled - 0.8 * threshold) / max(strong - 0.8 * threshold, 1)).clip(0, 1) * 255
    return strength.astype(np.uint8) * _without_specks(mask)


def _native_size(gray: np.ndarray) -> np.ndarray:
    """Return the image that was enlarged by repeating its pixels, or the image itself if none was."""
    longer = max(gray.shape)
    for side, center in itertools.product(range(4, longer // 2 + 1), CENTERS):
        rows, columns = (((np.arange(n) + center) * side / longer).astype(int) for n in gray.shape)
        first_row, first_column = (np.unique(which, return_index=True)[1] for which in (rows, columns))
        native = gray[np.ix_(first_row, first_column)]
        if np.array_equal(native[np.ix_(rows, columns)], gray):
            return native
    return gray


def _without_specks(mask: np.ndarray) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= MIN_PART * areas[1:].max()
    kept[0] = False
    wider: np.ndarray = cv2.dilate(kept[labels].astype(np.uint8), np.ones((3, 3), np.uint8))
    return wider
