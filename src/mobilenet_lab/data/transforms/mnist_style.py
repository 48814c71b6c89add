"""Make a photographed or drawn digit look like MNIST's: the steps by which MNIST's were made.

LeCun et al. 1998 (http://yann.lecun.com/exdb/mnist): bright ink on black, fitted into 20 x 20 pixels with
its proportions kept, smoothed, and centred by mass in 28 x 28.
"""

import numpy as np
from PIL import Image, ImageFilter

SIDE = 28
BOX = 20  # the ink's longer side
WORK_SIDE = 4 * BOX  # resolution at which strokes are measured and thickened
PHOTO_SIDE = 1024  # larger images are reduced first; ink is wide enough by far
MIN_CONTRAST = 20  # grey levels between ink and paper; below there is nothing written
SPECK = 0.05  # of the largest stroke's area; a digit's own parts are larger
MIN_STROKE = 6.0  # of WORK_SIDE: MNIST's thin strokes have about 1.5 of 20 pixels


def looks_like_mnist(pixels: np.ndarray) -> bool:
    """Whether grey bytes, shape (H, W), are already in MNIST's form: 28 x 28, black at the edges."""
    if pixels.shape != (SIDE, SIDE):
        return False
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(edge.mean() < 32 and pixels.max() > 127)


def prepare_digit(image: Image.Image) -> np.ndarray:
    """Bring one digit to MNIST's form.

    Args:
        image: Mode "L" or "RGB", any size; dark on light or light on dark, anywhere in the image.

    Returns:
        uint8, shape (28, 28), ink bright on black. A image without contrast gives black.
    """
    if image.mode != "L":
        image = image.convert("L")
    if looks_like_mnist(pixels := np.asarray(image)):
        return pixels.copy()
    image = image.copy()  # as the next line changes it
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BOX)
    ink = _ink(image)
    box = _bounding_box(ink)
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    digit = Image.fromarray(ink).crop(box)
    digit = _thicken(_resize_longer_side(digit, WORK_SIDE))
    return _centre_by_mass(np.asarray(_resize_longer_side(digit, BOX)))


def _ink(image: Image.Image) -> np.ndarray:
    """Strength of ink, uint8: 0 where there is paper, 255 where there is most."""
    grey = np.asarray(image).astype(np.float32)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(edge) > (grey.min() + grey.max()) / 2:
        grey = 255 - grey
    grey = np.clip(grey - _paper(grey), 0, None)
    strongest = np.percentile(grey, 99.9)
    if strongest < MIN_CONTRAST:
        return np.zeros(grey.shape, np.uint8)
    threshold = _otsu(grey)
    # Grey levels near the threshold keep the stroke's smooth edge; paper goes to zero.
    low, high = 0.6 * threshold, max(1.4 * threshold, 0.8 * float(grey[grey > threshold].mean()))
    strength = np.clip((grey - low) / (high - low), 0, 1) * 255
    ink = Image.fromarray(strength.astype(np.uint8))
    if min(ink.size) > 2 * WORK_SIDE:
        ink = ink.filter(ImageFilter.MedianFilter(3))  # noise
    return _without_specks(np.asarray(ink))


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Clear what hangs together but is far smaller than the digit: dust, or a dot in a corner."""
    factor = max(1, max(ink.shape) // (2 * WORK_SIDE))
    height, width = (-(-n // factor) for n in ink.shape)
    padded = np.zeros((height * factor, width * factor), np.uint8)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    inked = padded.reshape(height, factor, width, factor).max(axis=(1, 3)) > 127
    # Every inked cell takes the highest number around it, until all that touch have the same.
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
    kept = np.isin(labels, numbers[areas >= SPECK * areas.max(initial=0)]) & inked
    # A cell's faint edge belongs to it.
    kept = np.pad(kept, 1)
    kept = np.logical_or.reduce([kept[y : y + height, x : x + width] for y in range(3) for x in range(3)])
    mask = kept.repeat(factor, axis=0).repeat(factor, axis=1)[: ink.shape[0], : ink.shape[1]]
    return np.where(mask, ink, 0).astype(np.uint8)


def _paper(grey: np.ndarray) -> np.ndarray:
    """The paper's own brightness at each pixel, from the image's edge inwards: a plane by least squares.

    Light that falls from one side makes a slope, which a threshold would take for ink.
    """
    height, width = grey.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    margin = max(1, min(height, width) // 20)
    at_edge = np.ones(grey.shape, bool)
    at_edge[margin:-margin, margin:-margin] = False
    level = np.median(grey[at_edge])
    # Ink that touches the edge must not tilt the plane.
    at_edge &= np.abs(grey - level) < 40
    if at_edge.sum() < 8:
        return np.full_like(grey, level)
    terms = np.stack([x[at_edge], y[at_edge], np.ones(int(at_edge.sum()), np.float32)], axis=1)
    slope_x, slope_y, offset = np.linalg.lstsq(terms, grey[at_edge], rcond=None)[0]
    return slope_x * x + slope_y * y + offset


def _otsu(grey: np.ndarray) -> float:
    """The threshold that best separates two classes of grey levels (Otsu 1979)."""
    counts, edges = np.histogram(grey, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    valid = (below > 0) & (above > 0)
    means_apart = sums[valid] / below[valid] - (sums[-1] - sums[valid]) / above[valid]
    between = below[valid] * above[valid] * means_apart**2
    return float(centres[valid][between.argmax()])


def _bounding_box(ink: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the ink."""
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
    """Widen thin strokes, which would fade when reduced to 20 pixels."""
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
    """Mean width of strokes in pixels: a stroke's area is about half its outline times its width."""
    inked = ink > 127
    outline = np.count_nonzero(inked[:, 1:] != inked[:, :-1]) + np.count_nonzero(inked[1:] != inked[:-1])
    # Counted along the axes, an outline is 4 / pi times too long on average.
    return 2 * np.count_nonzero(inked) / max(1.0, outline * np.pi / 4)


def _centre_by_mass(ink: np.ndarray) -> np.ndarray:
    height, width = ink.shape
    mass = ink.astype(np.float64)
    total = max(mass.sum(), 1.0)
    centre_y = float((mass.sum(axis=1) * np.arange(height)).sum() / total)
    centre_x = float((mass.sum(axis=0) * np.arange(width)).sum() / total)
    top = min(max(round(SIDE / 2 - 0.5 - centre_y), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - 0.5 - centre_x), 0), SIDE - width)
    prepared = np.zeros((SIDE, SIDE), np.uint8)
    prepared[top : top + height, left : left + width] = ink
    return prepared
