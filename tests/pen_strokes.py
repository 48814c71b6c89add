"""Digits written by two hands, as strokes of a pen."""

import numpy as np

Point = tuple[float, float]
Stroke = list[Point]

# Corners of the strokes, x and y in [0, 100]; a curve runs through them.
HANDS: tuple[dict[int, list[Stroke]], ...] = (
    {
        0: [[(50, 18), (33, 28), (27, 50), (33, 72), (50, 82), (66, 72), (72, 50), (66, 28), (50, 18)]],
        1: [[(50, 18), (50, 82)]],
        2: [[(30, 33), (37, 22), (53, 18), (66, 29), (62, 45), (46, 62), (30, 80)], [(30, 80), (72, 80)]],
        3: [
            [(32, 25), (46, 18), (62, 22), (65, 35), (56, 45), (43, 48)],
            [(43, 48), (59, 52), (68, 64), (61, 78), (44, 82), (30, 75)],
        ],
        4: [[(42, 20), (30, 55), (70, 55)], [(61, 24), (60, 84)]],
        5: [[(66, 20), (38, 20), (35, 46)], [(35, 46), (52, 42), (66, 52), (65, 72), (48, 83), (31, 76)]],
        6: [[(60, 18), (42, 34), (33, 58), (38, 77), (53, 82), (66, 71), (62, 57), (48, 54), (36, 63)]],
        7: [[(28, 22), (70, 22)], [(70, 22), (54, 50), (44, 82)]],
        8: [
            [(64, 27), (50, 18), (37, 27), (44, 43), (58, 54), (67, 68), (52, 82), (35, 70), (44, 54)],
            [(44, 54), (58, 43), (64, 27)],
        ],
        9: [[(64, 32), (52, 20), (37, 28), (36, 42), (49, 48), (63, 40), (65, 30)], [(65, 30), (62, 82)]],
    },
    {
        0: [[(58, 20), (42, 24), (34, 46), (36, 68), (46, 79), (58, 74), (66, 52), (65, 30), (58, 20)]],
        1: [[(38, 34), (54, 20)], [(54, 20), (48, 82)]],
        2: [[(34, 30), (48, 20), (62, 26), (60, 44), (44, 66), (34, 78)], [(34, 78), (50, 76), (70, 82)]],
        3: [[(34, 20), (64, 20)], [(64, 20), (48, 42)], [(48, 42), (64, 48), (68, 64), (56, 80), (34, 78)]],
        4: [[(58, 18), (28, 60)], [(28, 60), (74, 60)], [(58, 18), (56, 84)]],
        5: [[(40, 20), (36, 46)], [(36, 46), (56, 46), (64, 62), (54, 80), (34, 80)], [(40, 20), (68, 18)]],
        6: [[(56, 18), (44, 38), (38, 62), (46, 80), (60, 78), (64, 64), (54, 56), (40, 66)]],
        7: [[(30, 24), (50, 20), (68, 22)], [(68, 22), (56, 48), (46, 82)], [(38, 52), (66, 50)]],
        8: [
            [(50, 48), (38, 34), (48, 18), (62, 24), (60, 38), (50, 48)],
            [(50, 48), (36, 62), (42, 80), (60, 80), (66, 64), (50, 48)],
        ],
        9: [[(62, 26), (48, 22), (38, 34), (44, 48), (58, 44), (64, 28)], [(64, 28), (64, 50), (56, 84)]],
    },
)
POINTS_PER_SEGMENT = 6
JITTER = 0.7  # standard deviation of the corners


def written_digit(digit: int, hand: int, seed: int = 0) -> list[Stroke]:
    """Return the strokes of a digit, x and y in [0, 1], with a trembling hand at its own place and size."""
    random = np.random.default_rng([seed, digit, hand])
    scale, slant = random.uniform(0.8, 1.1), random.uniform(-0.1, 0.15)
    offset = random.uniform(-6, 6, 2)
    written = []
    for stroke in HANDS[hand][digit]:
        corners = np.array(stroke, float) - 50
        corners = corners + random.normal(0, JITTER, corners.shape)
        corners[:, 0] -= slant * corners[:, 1]
        points = 0.5 + (scale * _through(corners) + offset) / 100
        written.append([(float(x), float(y)) for x, y in points])
    return written


def _through(corners: np.ndarray) -> np.ndarray:
    """Return points of the Catmull-Rom curve through corners, shape (n, 2)."""
    padded = np.concatenate([corners[:1], corners, corners[-1:]])
    points = [corners[:1]]
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        t = np.linspace(0, 1, POINTS_PER_SEGMENT + 1)[1:, None]
        points.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.concatenate(points)
