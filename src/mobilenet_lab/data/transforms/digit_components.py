"""Choose the connected components of a mask that form one digit."""

from dataclasses import dataclass

import cv2
import numpy as np

from mobilenet_lab.data.transforms.straight_lines import remove_lines

MIN_SIDE = 0.03  # of the image's longer side; a digit is at least this large
LINE_RATIO = 6  # a component wider than this times its height is an underline, not a stroke of a digit
MAX_BORDER_SHARE = 0.5  # pixels at the image's border per side length, up to which it may be a cut digit
MAX_GAP = 0.15  # of the main component's side, between parts of one digit
MAX_GAP_OF_EQUALS = 0.06  # between components of which each could be a digit
MIN_PART = 0.004  # of the main component's area; smaller ones are specks
FRAME_SIDE = 0.6  # of the image's width or height, at least, for a frame whose sides are removed
FRAME_OTHER_SIDE = 0.3
MAX_FRAME_AREA = 0.3  # of its bounding box
CORNER = 0.12  # of a bounding box's sides; an ellipse leaves these corners empty
MARGIN = 4  # pixels around a group
MAX_COMPONENTS = 200  # that are looked at, the largest first


class Components:
    """The connected components of a mask, the largest first.

    Args:
        mask: uint8, shape (H, W), 1 for ink.
        ink: Amount of ink, float32, shape (H, W).
    """

    def __init__(self, mask: np.ndarray, ink: np.ndarray) -> None:
        self.mask = mask
        self.ink = ink
        self.shape = mask.shape
        count, self.labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        order = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MAX_COMPONENTS]
        self.ids = order + 1
        self.left, self.top, self.width, self.height, self.area = stats[self.ids].T
        borders = (self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1])
        self.on_border = np.bincount(np.concatenate(borders), minlength=count)[self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def region(self, index: int) -> tuple[slice, slice]:
        """Return the rows and columns of a component's bounding box."""
        top, left = self.top[index], self.left[index]
        return slice(top, top + self.height[index]), slice(left, left + self.width[index])

    def part(self, index: int) -> np.ndarray:
        """Return a component's mask, cropped to its bounding box."""
        return self.labels[self.region(index)] == self.ids[index]

    def strength(self, index: int) -> float:
        """Return the mean amount of ink of a component."""
        return float(self.ink[self.region(index)][self.part(index)].mean())

    def box(self, index: int) -> tuple[int, int, int, int]:
        """Return the left, top, right and bottom of a component."""
        rows, columns = self.region(index)
        return int(columns.start), int(rows.start), int(columns.stop), int(rows.stop)


@dataclass(frozen=True)
class Group:
    """Components that form a digit.

    Attributes:
        region: Rows and columns of the digit with a margin of up to 4 pixels.
        mask: uint8, 1 for these components, in the region.
        others: bool, True for the other components, in the region.
        parts: Number of components.
        box: Left, top, right and bottom.
        strength: Median amount of ink.
        touches_border: Whether a component reaches the image's border.
        has_neighbors: Whether other components could be digits, too.
    """

    region: tuple[slice, slice]
    mask: np.ndarray
    others: np.ndarray
    parts: int
    box: tuple[int, int, int, int]
    strength: float
    touches_border: bool
    has_neighbors: bool

    @property
    def longer_side(self) -> int:
        """Longer side of the bounding box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def box_area(self) -> int:
        """Area of the bounding box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    def share_inside(self, other: "Group") -> float:
        """Return the share of the bounding box that lies in another group's."""
        width = min(self.box[2], other.box[2]) - max(self.box[0], other.box[0])
        height = min(self.box[3], other.box[3]) - max(self.box[1], other.box[1])
        return max(0, width) * max(0, height) / self.box_area

    def mask_with_edges(self) -> np.ndarray:
        """Return the mask with a margin of one pixel that other components do not have."""
        wider: np.ndarray = cv2.dilate(self.mask, np.ones((3, 3), np.uint8))
        wider[self.others] = 0
        return wider


def without_frames(components: Components) -> Components:
    """Return components without the sides of large frames that do not reach the image's border."""
    height, width = components.shape
    is_wide = (components.width > FRAME_SIDE * width) & (components.height > FRAME_OTHER_SIDE * height)
    is_tall = (components.height > FRAME_SIDE * height) & (components.width > FRAME_OTHER_SIDE * width)
    is_hollow = components.area <= MAX_FRAME_AREA * components.width * components.height
    mask = components.mask
    for i in np.flatnonzero((is_wide | is_tall) & is_hollow).tolist():
        part = components.part(i).astype(np.uint8)
        if _inked_corners(part) < 3:
            continue
        if (left := remove_lines(part)) is not part:
            mask = mask.copy() if mask is components.mask else mask
            mask[components.region(i)][(part > 0) & (left == 0)] = 0
    return components if mask is components.mask else Components(mask, components.ink)


def group_around_main(components: Components) -> Group | None:
    """Return the main component with its neighbors, or None if no component can be a digit."""
    if not len(components):
        return None
    is_line = components.width > LINE_RATIO * components.height
    is_frame = _frames(components, ~is_line)
    eligible = _eligible(components, is_line | is_frame)
    if not eligible.any():
        return None
    indices = np.flatnonzero(eligible)[:20].tolist()
    main = max(indices, key=lambda i: components.area[i] * components.strength(i))
    strength = components.strength(main)
    minimum = max(3.0, MIN_PART * components.area[main])
    near = ~is_line & ~is_frame & (eligible | (components.on_border == 0)) & (components.area >= minimum)
    near[main] = False
    others = [i for i in np.flatnonzero(near).tolist() if components.strength(i) >= 0.6 * strength]
    members, box = _grow(components, main, others)
    height = box[3] - box[1]
    has_neighbors = any(
        eligible[i]
        and components.height[i] >= 0.5 * height
        and components.area[i] >= 0.2 * components.area[main]
        for i in set(others) - set(members)
    )
    return _group(components, members, box, has_neighbors)


def _frames(components: Components, candidates: np.ndarray) -> np.ndarray:
    """Return which components are rectangles drawn around others, or along the image's border."""
    height, width = components.shape
    result = np.zeros(len(components), bool)
    large = (components.width > 0.2 * width) & (components.height > 0.2 * height)
    hollow = components.area < 0.25 * components.width * components.height
    for i in np.flatnonzero(candidates & large & hollow).tolist():
        left, top, right, bottom = components.box(i)
        inside = (
            candidates
            & (components.left >= left)
            & (components.top >= top)
            & (components.left + components.width <= right)
            & (components.top + components.height <= bottom)
            & (components.height >= 0.25 * components.height[i])
        )
        inside[i] = False
        result[i] = (inside.any() or components.on_border[i] > 0) and _inked_corners(components.part(i)) >= 3
    return result


def _eligible(components: Components, excluded: np.ndarray) -> np.ndarray:
    """Return which components may be the digit: those inside the image, if there are any."""
    height, width = components.shape
    sides = np.maximum(components.width, components.height)
    usable = (sides >= max(6.0, MIN_SIDE * max(height, width))) & ~excluded
    free = usable & (components.on_border == 0)
    border_share = components.on_border / (components.width + components.height)
    cut = usable & (components.on_border > 0) & (border_share < MAX_BORDER_SHARE)
    if cut.any() and (not free.any() or components.height[cut].max() > 4 * components.height[free].max()):
        return cut | free
    if free.any():
        return free
    # An image cropped to its ink.
    fills_image = components.width * components.height >= 0.5 * height * width
    is_solid = components.area > 0.75 * components.width * components.height
    alone = usable & fills_image & (len(components) <= 3) & ~excluded.any()
    for i in np.flatnonzero(alone).tolist():  # a desk around a sheet
        alone[i] = border_share[i] < 1.2 or _inked_corners(components.part(i)) < 4 or is_solid[i]
    return alone if alone.sum() == 1 else np.zeros(len(components), bool)


def _grow(
    components: Components, main: int, others: list[int]
) -> tuple[list[int], tuple[int, int, int, int]]:
    """Add components near the main one, and near those added."""
    members, box = [main], components.box(main)
    side = max(components.width[main], components.height[main])
    waiting = list(others)
    grown = True
    while grown:
        grown = False
        for i in list(waiting):
            left, top, right, bottom = components.box(i)
            gap_x, gap_y = max(left - box[2], box[0] - right), max(top - box[3], box[1] - bottom)
            is_equal = components.height[i] >= 0.55 * (box[3] - box[1]) and gap_x > 0
            is_tiny = components.area[i] < 0.01 * components.area[main]
            limit = MAX_GAP_OF_EQUALS if is_equal or is_tiny else MAX_GAP
            if max(gap_x, gap_y, 0) <= limit * side:
                members.append(i)
                waiting.remove(i)
                box = min(box[0], left), min(box[1], top), max(box[2], right), max(box[3], bottom)
                grown = True
    return members, box


def _group(
    components: Components, members: list[int], box: tuple[int, int, int, int], has_neighbors: bool
) -> Group:
    left, top, right, bottom = box
    region = (
        slice(max(0, top - MARGIN), min(bottom + MARGIN, components.shape[0])),
        slice(max(0, left - MARGIN), min(right + MARGIN, components.shape[1])),
    )
    labels = components.labels[region]
    chosen = np.zeros(int(labels.max()) + 1, np.uint8)
    chosen[components.ids[members]] = 1
    mask = chosen[labels]
    return Group(
        region,
        mask,
        (labels > 0) & (mask == 0),
        len(members),
        box,
        float(np.median(components.ink[region][mask > 0])),
        bool(components.on_border[members].any()),
        has_neighbors,
    )


def _inked_corners(part: np.ndarray) -> int:
    """Return how many corners of a component's bounding box have ink: 4 for a frame, 0 for an ellipse."""
    h, w = (max(1, int(CORNER * n)) for n in part.shape)
    return sum(bool(corner.any()) for corner in (part[:h, :w], part[:h, -w:], part[-h:, :w], part[-h:, -w:]))
