"""Choose the connected components of a mask that form one digit."""

import numpy as np

from mobilenet_lab.data.transforms.digit_components import Components, Group, inked_corners, sample

MIN_SIDE = 0.03  # of the image's longer side; a digit is at least this large
LINE_RATIO = 6  # a component wider than this times its height is an underline, not a stroke of a digit
MAX_BORDER_SHARE = 0.5  # pixels at the image's border per side length, up to which it may be a cut digit
MAX_GAP = 0.15  # of the main component's side, between parts of one digit
MAX_GAP_OF_EQUALS = 0.06  # between components of which each could be a digit
MAX_NEAR = 30  # components beside the main one that are looked at, the largest first
MIN_PART = 0.004  # of the main component's area; smaller ones are specks
MARGIN = 4  # pixels around a group


def group_around_main(components: Components) -> Group | None:
    """Return the main component with its neighbors, or None if no component can be a digit."""
    if not len(components):
        return None
    is_line = components.width > LINE_RATIO * components.height
    is_frame = _frames(components, ~is_line)
    eligible = _eligible(components, is_line | is_frame)
    if not eligible.any():
        return None
    indices = np.flatnonzero(eligible)[:8].tolist()
    main = max(indices, key=lambda i: components.area[i] * components.strength(i))
    strength = components.strength(main)
    minimum = max(3.0, MIN_PART * components.area[main])
    near = ~is_line & ~is_frame & (eligible | (components.on_border == 0)) & (components.area >= minimum)
    near[main] = False
    others = [i for i in np.flatnonzero(near)[:MAX_NEAR].tolist() if components.strength(i) >= 0.6 * strength]
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
        result[i] = (inside.any() or components.on_border[i] > 0) and inked_corners(components.part(i)) >= 3
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
        alone[i] = border_share[i] < 1.2 or inked_corners(components.part(i)) < 4 or is_solid[i]
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
        float(np.median(sample(components.ink[region][mask > 0]))),
        bool(components.on_border[members].any()),
        has_neighbors,
    )
