"""Remove straight lines from a mask of ink, also where a digit touches them."""

import numpy as np

MIN_WIDTH = 8  # pixels; in narrower images a line is no different from a stroke
MAX_THICKNESS = 0.06  # of the image's height; what is thicker is not a line
MAX_SLOPE = 0.06  # of a line, in height per width
MIN_COVERAGE = 0.7  # of the width that a line inks


def remove_lines(mask: np.ndarray) -> np.ndarray:
    """Return a mask without the lines that run from one side of the image to the opposite one.

    Args:
        mask: uint8, shape (H, W), 1 for ink.

    Returns:
        The mask itself if it has no such line, else a copy. Strokes that cross a line stay connected.
    """
    without = _remove_horizontal(mask)
    transposed = np.ascontiguousarray(without.T)
    without_vertical = _remove_horizontal(transposed)
    return without if without_vertical is transposed else np.ascontiguousarray(without_vertical.T)


def _remove_horizontal(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    if width < MIN_WIDTH:
        return mask
    zone = max(2, width // 16)
    left_starts, left_ends = _runs(mask[:, 1 : 1 + zone].mean(axis=1) > 0.6)
    right_starts, right_ends = _runs(mask[:, max(0, width - 1 - zone) : width - 1].mean(axis=1) > 0.6)
    if not left_starts.size or not right_starts.size:
        return mask
    result = mask
    for start, end in zip(left_starts, left_ends, strict=True):
        nearest = np.abs(right_starts + right_ends - (start + end)).argmin()
        other_start, other_end = right_starts[nearest], right_ends[nearest]
        thickness = max(end - start, other_end - other_start)
        rise = (other_start + other_end - start - end) / 2
        if thickness > MAX_THICKNESS * height or abs(rise) > MAX_SLOPE * width + 2:
            continue
        line = (start + end) / 2 + rise * np.linspace(0, 1, width)
        band = _line_band(mask, line, thickness / 2 + 1.5)
        if band is not None:
            result = mask.copy() if result is mask else result
            result[band] = 0
    return result


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts and ends of the runs of True."""
    changes = np.diff(np.concatenate([[0], values.astype(np.int8), [0]]))
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)


def _line_band(mask: np.ndarray, line: np.ndarray, half: float) -> np.ndarray | None:
    """Return which pixels belong to a line and not to a stroke that crosses it; None if there is no line."""
    height, width = mask.shape
    columns = np.arange(width)
    if mask[line.astype(int).clip(0, height - 1), columns].mean() < MIN_COVERAGE:
        return None
    top = np.floor(line - half).astype(int).clip(0, height - 1)
    bottom = np.ceil(line + half).astype(int).clip(1, height)
    above = (mask[(top - 1).clip(0), columns] > 0) & (top > 0)
    below = (mask[bottom.clip(max=height - 1), columns] > 0) & (bottom < height)
    rows = np.arange(height)[:, None]
    band: np.ndarray = (rows >= top) & (rows < bottom) & ~(above & below)
    return band
