"""Convert a photo or drawing of a digit to MNIST's style, by the steps with which MNIST was made.

These are (LeCun et al. 1998, http://yann.lecun.com/exdb/mnist): bright ink on black, fitted into 20 x 20
pixels at the same aspect ratio, antialiased, and centered by mass in 28 x 28 pixels.
"""

import numpy as np
from PIL import Image, ImageFilter

SIDE = 28
BOX = 20  # longer side of the ink
WORK_SIDE = 4 * BOX  # longer side of the ink while strokes are measured and thickened
PHOTO_SIDE = 1024  # larger photos are reduced first; strokes remain wide enough
MIN_CONTRAST = 20  # gray levels between ink and paper; with less, the image counts as empty
MIN_PART = 0.05  # of the largest connected part's area; smaller ones are specks, not parts of a digit
MIN_STROKE = 6.0  # width at WORK_SIDE; thin strokes in MNIST are about 1.5 of 20 pixels wide


def looks_like_mnist(pixels: np.ndarray) -> bool:
    """Return whether an image already has MNIST's style: 28 x 28 pixels, black at the edges.

    Args:
        pixels: Grayscale, uint8, shape (H, W).
    """
    if pixels.shape != (SIDE, SIDE):
        return False
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(edge.mean() < 32 and pixels.max() > 127)


def prepare_digit(image: Image.Image) -> np.ndarray:
    """Convert an image of one digit to MNIST's style.

    Args:
        image: Mode "L" or "RGB", any size; the digit is dark on light or light on dark, and anywhere.

    Returns:
        uint8, shape (28, 28), bright ink on black; all black if the image has no contrast.
    """
    if image.mode != "L":
        image = image.convert("L")
    if looks_like_mnist(pixels := np.asarray(image)):
        return pixels.copy()
    image = image.copy()  # `thumbnail` works in place
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BOX)
    ink = _ink(image)
    box = _bounding_box(ink)
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    digit = Image.fromarray(ink).crop(box)
    digit = _thicken(_resize_longer_side(digit, WORK_SIDE))
    return _center_by_mass(np.asarray(_resize_longer_side(digit, BOX)))


def _ink(image: Image.Image) -> np.ndarray:
    """Return the amount of ink in each pixel, uint8, from 0 for paper to 255."""
    gray = np.asarray(image).astype(np.float32)
    edge = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    if np.median(edge) > (gray.min() + gray.max()) / 2:
        gray = 255 - gray
    gray = np.clip(gray - _paper(gray), 0, None)
    strongest = np.percentile(gray, 99.9)
    if strongest < MIN_CONTRAST:
        return np.zeros(gray.shape, np.uint8)
    threshold = _otsu(gray)
    # Gray levels near the threshold are kept, so that edges of strokes stay smooth.
    low, high = 0.6 * threshold, max(1.4 * threshold, 0.8 * float(gray[gray > threshold].mean()))
    strength = np.clip((gray - low) / (high - low), 0, 1) * 255
    ink = Image.fromarray(strength.astype(np.uint8))
    if min(ink.size) > 2 * WORK_SIDE:
        ink = ink.filter(ImageFilter.MedianFilter(3))  # noise
    return _without_specks(np.asarray(ink))


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Remove connected parts that are far smaller than the digit, such as dust or a dot in a corner."""
    factor = max(1, max(ink.shape) // (2 * WORK_SIDE))
    height, width = (-(-n // factor) for n in ink.shape)
    padded = np.zeros((height * factor, width * factor), np.uint8)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    inked = padded.reshape(height, factor, width, factor).max(axis=(1, 3)) > 127
    # Each inked cell takes the highest number of its neighbors until connected cells all have the same.
    labels = np.where(inked, np.arange(1, inked.size + 1).reshape(inked.shape), 0)
    while True:
        around = np.pad(labels, 1)
        spread = np.maximum.reduce(
            [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        )
        spread = np.where(inked, spread, 0)
        if np.array_equal(spread, labels):
            break
        labels = spread
    numbers, areas = np.unique(labels[inked], return_counts=True)
    kept = np.isin(labels, numbers[areas >= MIN_PART * areas.max(initial=0)]) & inked
    # Keep the faint edge around each kept cell.
    kept = np.pad(kept, 1)
    kept = np.logical_or.reduce([kept[y : y + height, x : x + width] for y in range(3) for x in range(3)])
    mask = kept.repeat(factor, axis=0).repeat(factor, axis=1)[: ink.shape[0], : ink.shape[1]]
    return np.where(mask, ink, 0).astype(np.uint8)


def _paper(gray: np.ndarray) -> np.ndarray:
    """Estimate the brightness of the paper at each pixel: a plane, fitted to the image's border.

    Light from one side makes a slope that a threshold would mistake for ink.
    """
    height, width = gray.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    margin = max(1, min(height, width) // 20)
    at_edge = np.ones(gray.shape, bool)
    at_edge[margin:-margin, margin:-margin] = False
    level = np.median(gray[at_edge])
    # Ink that touches the border must not tilt the plane.
    at_edge &= np.abs(gray - level) < 40
    if at_edge.sum() < 8:
        return np.full_like(gray, level)
    terms = np.stack([x[at_edge], y[at_edge], np.ones(int(at_edge.sum()), np.float32)], axis=1)
    slope_x, slope_y, offset = np.linalg.lstsq(terms, gray[at_edge], rcond=None)[0]
    return slope_x * x + slope_y * y + offset


def _otsu(gray: np.ndarray) -> float:
    """Return the threshold that best separates two classes of gray levels (Otsu 1979)."""
    counts, edges = np.histogram(gray, bins=256)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    valid = (below > 0) & (above > 0)
    mean_difference = sums[valid] / below[valid] - (sums[-1] - sums[valid]) / above[valid]
    between = below[valid] * above[valid] * mean_difference**2
    return float(centers[valid][between.argmax()])


def _bounding_box(ink: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the ink; None if there is none."""
    inked = ink > 127
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resize_longer_side(image: Image.Image, side: int) -> Image.Image:
    ratio = side / max(image.size)
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BOX if ratio < 1 else Image.Resampling.BICUBIC)


def _thicken(image: Image.Image) -> Image.Image:
    """Widen thin strokes, which would fade in 20 pixels, after stretching the brightest ink to 255."""
    margin = int(MIN_STROKE)
    canvas = Image.new("L", (image.width + 2 * margin, image.height + 2 * margin))
    canvas.paste(image, (margin, margin))
    pixels = np.asarray(canvas)
    if pixels.max() > 0:
        canvas = Image.fromarray((pixels.astype(np.float32) * (255 / pixels.max())).astype(np.uint8))
    for _ in range(int(MIN_STROKE / 2)):
        if _stroke_width(np.asarray(canvas)) >= MIN_STROKE:
            break
        canvas = canvas.filter(ImageFilter.MaxFilter(3))
    box = _bounding_box(np.asarray(canvas))
    return canvas.crop(box)


def _stroke_width(ink: np.ndarray) -> float:
    """Return the mean width of strokes in pixels: the area of a stroke is half its outline times that."""
    inked = ink > 127
    outline = np.count_nonzero(inked[:, 1:] != inked[:, :-1]) + np.count_nonzero(inked[1:] != inked[:-1])
    # An outline counted along the axes is 4 / pi times too long on average.
    return 2 * np.count_nonzero(inked) / max(1.0, outline * np.pi / 4)


def _center_by_mass(ink: np.ndarray) -> np.ndarray:
    height, width = ink.shape
    mass = ink.astype(np.float64)
    total = max(mass.sum(), 1.0)
    center_y = float((mass.sum(axis=1) * np.arange(height)).sum() / total)
    center_x = float((mass.sum(axis=0) * np.arange(width)).sum() / total)
    top = min(max(round(SIDE / 2 - 0.5 - center_y), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - 0.5 - center_x), 0), SIDE - width)
    prepared = np.zeros((SIDE, SIDE), np.uint8)
    prepared[top : top + height, left : left + width] = ink
    return prepared
