"""Find the ink of a digit in a photo or drawing: flatten the light, threshold, and choose among components.

Both polarities are tried, dark ink on bright paper and the reverse. The wrong one finds gaps between strokes
or the sheet itself, which have edges where the image has none, or are thicker than the strokes they lie
between.
"""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.data.transforms import small_digit
from mobilenet_lab.data.transforms.digit_components import Components, Group, sample, without_frames
from mobilenet_lab.data.transforms.digit_group import group_around_main
from mobilenet_lab.data.transforms.mnist_style import crop_to_ink, mean_stroke_width
from mobilenet_lab.data.transforms.straight_lines import remove_lines
from mobilenet_lab.runtime.opencv import cv2

MAX_SIDE = 1024  # larger photos are reduced first; strokes remain wide enough
MIN_SIDE = 112  # smaller images are enlarged, so that strokes are several pixels wide
MAX_STROKE = 0.3  # of the longer side; wider structures belong to the background
DARKEST = 24.0  # gray levels added before division, so that noise in deep shadow does not become ink
MIN_CONTRAST = 0.1  # of the paper's brightness; a fainter difference is not ink
MAX_PASSES = 3  # each ignores what the passes before it found and rejected, such as a dark desk
MIN_SUPPORT = 0.75  # share of the outline at which the image has an edge
SUPPORT_MARGIN = 0.04  # the true polarity has 0.98 or more, the other mostly less than 0.94
EDGE_WIDTHS = (5, 11)  # pixels across an edge; the second, for blurred images, is tried if nothing is found
MIN_LEVELS = 18  # gray levels between ink and paper
MIN_THICKNESS = 0.025  # of strokes; what is thinner is the rest of an edge
MAX_ASPECT = 1.5  # width of a small digit per height; several digits are wider
MAX_PARTS = 12  # of a digit; texture has more
COLOR_ADVANTAGE = 1.5  # how far a color channel's range must exceed that of the brightness


@dataclass(frozen=True)
class FoundDigit:
    """The ink of one digit.

    Attributes:
        ink: uint8, cropped to the digit, from 0 for paper to 255, with smooth edges.
        has_neighbors: Whether other shapes of a digit's size are next to it.
    """

    ink: np.ndarray
    has_neighbors: bool


@dataclass(frozen=True)
class _Candidate:
    """The digit that one polarity finds.

    Attributes:
        found: The result, if this polarity is chosen.
        group: Its components.
        support: Share of its outline at which the image has an edge.
        thickness: Mean width of its strokes relative to its longer side.
        contrast: Gray levels between ink and paper where they differ most.
    """

    found: FoundDigit
    group: Group
    support: float
    thickness: float
    contrast: float

    @property
    def score(self) -> float:
        return self.contrast * self.group.longer_side**0.5 / max(self.thickness, 0.12)


def find_digit(pixels: np.ndarray) -> FoundDigit | None:
    """Return the main digit of an image, or None if there is nothing like one.

    Args:
        pixels: uint8, shape (H, W) or (H, W, 3).
    """
    if max(pixels.shape[:2]) <= small_digit.MAX_SIDE:
        small = small_digit.small_digit_ink(_most_contrasting_channel(pixels))
        return None if small is None else FoundDigit(crop_to_ink(small), _is_wide(small))
    gray = _most_contrasting_channel(_fit_side(pixels))
    for edge_width in EDGE_WIDTHS:
        dark, bright = _candidate(gray, edge_width), _candidate(255 - gray, edge_width)
        if dark is not None and bright is not None:
            return _better(dark, bright).found
        if (one := dark or bright) is not None:
            return one.found
    return None


def _is_wide(ink: np.ndarray) -> bool:
    height, width = crop_to_ink(ink).shape
    return width > MAX_ASPECT * height


def _fit_side(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = min(max(height, width), MAX_SIDE) / max(height, width)
    factor = max(factor, MIN_SIDE / max(height, width))
    if factor == 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def _most_contrasting_channel(pixels: np.ndarray) -> np.ndarray:
    """Return the brightness, or one of CIE Lab's color axes if the ink and the paper differ in color only."""
    if pixels.ndim == 2:
        return pixels
    best = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    best_range, is_color = _range(best), False
    for axis in (1, 2):
        channel = np.ascontiguousarray(lab[..., axis])
        if (range_ := _range(channel)) > best_range * (1 if is_color else COLOR_ADVANTAGE):
            best, best_range, is_color = channel, range_, True
    return cv2.normalize(best, None, 20, 235, cv2.NORM_MINMAX) if is_color else best  # type: ignore[call-overload]


def _range(channel: np.ndarray) -> float:
    low, high = np.percentile(cv2.blur(channel, (3, 3))[::2, ::2], [1, 99])
    return float(high - low)


def _candidate(gray: np.ndarray, edge_width: int) -> _Candidate | None:
    """Find ink that is darker than the paper.

    Args:
        gray: uint8, shape (H, W).
        edge_width: Pixels across an edge at most.
    """
    side = int(MAX_STROKE * max(gray.shape)) | 1
    smooth = cv2.GaussianBlur(gray, (0, 0), 0.8)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    paper = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, kernel)  # follows even the edge of a shadow
    difference = cv2.subtract(paper, smooth)
    # Light multiplies, so the ratio does not depend on it.
    ink = difference.astype(np.float32) / (paper.astype(np.float32) + DARKEST)
    levels = (ink * 255).astype(np.uint8)
    floor = max(MIN_CONTRAST, _noise_floor(ink))
    for _ in range(MAX_PASSES):
        threshold = max(_otsu(levels), floor)
        strong = (levels > threshold * 255).astype(np.uint8)
        if not strong.any():
            return None
        components = without_frames(Components(remove_lines(strong), ink))
        group = group_around_main(components)
        if group is not None and group.parts <= MAX_PARTS:
            erased = strong - components.mask if components.mask is not strong else None
            support = _edge_support(smooth, group, erased, edge_width)
            if support > MIN_SUPPORT:
                candidate = _measure(group, ink, difference, threshold, support)
                if candidate.contrast >= MIN_LEVELS and candidate.thickness >= MIN_THICKNESS:
                    return candidate
        levels[cv2.dilate(strong, np.ones((5, 5), np.uint8)) > 0] = 0
    return None


def _noise_floor(ink: np.ndarray) -> float:
    """Return the amount of ink that noise alone explains."""
    rows = ink[:: max(1, ink.shape[0] // 16)]
    if rows.shape[1] < 3:
        return 0.0
    sigma = 1.05 * float(np.median(np.abs(rows[:, 2:] - rows[:, :-2])))
    return float(np.percentile(rows[:, ::3], 20)) + 5 * sigma


def _otsu(levels: np.ndarray) -> float:
    """Return the threshold that best separates two classes of levels (Otsu 1979), from 0 to 1."""
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return threshold / 255


def _edge_support(smooth: np.ndarray, group: Group, erased: np.ndarray | None, edge_width: int) -> float:
    """Return the share of a group's outline at which the image has an edge.

    Args:
        smooth: The image, uint8, shape (H, W).
        group: The components.
        erased: 1 where lines were erased, which leaves an outline without an edge; None if nowhere.
        edge_width: Pixels across an edge at most.
    """
    region, mask = group.region, group.mask
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1.0)
    outline = (mask > 0) & (inner == 0)
    if erased is not None:
        outline &= cv2.dilate(erased[region], np.ones((5, 5), np.uint8)) == 0
    if not outline.any():
        return 0.0
    logarithm = np.log(smooth[region].astype(np.float32) + DARKEST)
    edges = cv2.morphologyEx(logarithm, cv2.MORPH_GRADIENT, np.ones((edge_width, edge_width), np.uint8))
    contrast = -np.log(max(0.02, 1 - group.strength))
    return float((edges[outline] > 0.4 * contrast).mean())


def _measure(
    group: Group, ink: np.ndarray, difference: np.ndarray, threshold: float, support: float
) -> _Candidate:
    # Levels near the threshold are kept, so that edges of strokes stay smooth.
    low, high = 0.5 * threshold, max(1.3 * threshold, 0.85 * group.strength)
    strength = ((ink[group.region] - low) / (high - low)).clip(0, 1) * 255
    digit = crop_to_ink(strength.astype(np.uint8) * group.mask_with_edges())
    # A high percentile, for a digit that is half in shadow.
    contrast = float(np.percentile(sample(difference[group.region][group.mask > 0]), 85))
    return _Candidate(
        FoundDigit(digit, group.has_neighbors),
        group,
        support,
        mean_stroke_width(digit) / max(1, *digit.shape),
        contrast,
    )


def _better(dark: _Candidate, bright: _Candidate) -> _Candidate:
    """Choose a polarity."""
    if abs(dark.support - bright.support) > SUPPORT_MARGIN:
        return max(dark, bright, key=lambda candidate: candidate.support)
    larger, smaller = sorted((dark, bright), key=lambda candidate: -candidate.group.box_area)
    if smaller.group.share_inside(larger.group) <= 0.8:
        return bright if bright.score > 1.15 * dark.score else dark
    if larger.group.is_sheet:
        return smaller
    contrast_ratio = larger.contrast / max(smaller.contrast, 1)
    if larger.group.touches_border != smaller.group.touches_border:
        # Bands between ruled lines, or a digit that fills the image, with its gaps.
        touching, free = (larger, smaller) if larger.group.touches_border else (smaller, larger)
        return free if free.thickness <= 1.3 * touching.thickness or contrast_ratio <= 0.7 else touching
    if smaller.group.longer_side < 0.3 * larger.group.longer_side:
        return larger
    # A digit and its gaps, which are thicker.
    return larger if larger.thickness <= 1.3 * smaller.thickness and contrast_ratio > 0.4 else smaller
