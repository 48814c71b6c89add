"""Connected components of a mask of ink, and the group of them that forms a digit."""

from dataclasses import dataclass

import numpy as np

from mobilenet_lab.data.transforms.straight_lines import remove_lines
from mobilenet_lab.runtime.opencv import cv2

FRAME_SIDE = 0.6  # of the image's width or height, at least, for a frame whose sides are removed
FRAME_OTHER_SIDE = 0.3
MAX_FRAME_AREA = 0.3  # of its bounding box
MIN_SHEET_AREA = 0.6  # of its bounding box
SHEET_CORNER = 0.06  # of a bounding box's sides; a bold digit leaves these corners empty
CORNER = 0.12  # of a bounding box's sides; an ellipse leaves these corners empty
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

    @property
    def is_sheet(self) -> bool:
        """Whether the components fill a rectangle, as a sheet of paper does."""
        left, top, right, bottom = self.box
        rows, columns = self.region
        part = self.mask[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
        return bool(part.mean() > MIN_SHEET_AREA) and inked_corners(part, SHEET_CORNER) >= 3

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
        if inked_corners(part) < 3:
            continue
        if (left := remove_lines(part)) is not part:
            mask = mask.copy() if mask is components.mask else mask
            mask[components.region(i)][(part > 0) & (left == 0)] = 0
    return components if mask is components.mask else Components(mask, components.ink)


def inked_corners(part: np.ndarray, share: float = CORNER) -> int:
    """Return how many corners of a component's bounding box have ink: 4 for a frame, 0 for an ellipse.

    Args:
        part: The component's mask, cropped to its bounding box.
        share: Of a side that counts as a corner.
    """
    h, w = (max(1, int(share * n)) for n in part.shape)
    return sum(bool(corner.any()) for corner in (part[:h, :w], part[:h, -w:], part[-h:, :w], part[-h:, -w:]))


def sample(values: np.ndarray) -> np.ndarray:
    """Return about 1,000 of the values, which suffice for a median."""
    return values[:: 1 + len(values) // 1000]
