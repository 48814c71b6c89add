import logging

import pytest

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.tasks.class_weights import Weights, class_weight_tensor

CLASSES = ["0", "1", "2", "10", "11"]


@pytest.mark.parametrize(
    ("weights", "counts", "expected"),
    [
        ({"10": 3, "0": 0.5}, None, [0.5, 1, 1, 3, 1]),
        ({10: 3}, None, [1, 1, 1, 3, 1]),  # as YAML reads it
        ("{10: 3}", None, [1, 1, 1, 3, 1]),  # for names that Hydra's command line does not take
        ([1, 2, 3, 4, 5], None, [1, 2, 3, 4, 5]),
        ("balanced", [1, 1, 2, 2, 4], [2, 2, 1, 1, 0.5]),
    ],
)
def test_weights_are_taken_and_logged_by_class_name(
    caplog: pytest.LogCaptureFixture, weights: Weights, counts: list[int] | None, expected: list[float]
) -> None:
    caplog.set_level(logging.INFO)
    tensor = class_weight_tensor(weights, counts, CLASSES)
    assert tensor is not None
    assert tensor.tolist() == expected
    pairs = ", ".join(f"{name} {weight:g}" for name, weight in zip(CLASSES, expected, strict=True))
    assert caplog.messages == [f"weights  {pairs}"]


@pytest.mark.parametrize(
    ("weights", "counts", "message"),
    [
        ({"cat": 1}, None, "there is no class cat; the classes are 0, 1, 2, 10, 11"),
        ([1, 2], None, "has 2 numbers for 5 classes; use one per class, in the order 0, 1, 2, 10, 11"),
        ("balanced", [1, 1, 1, 0, 1], "class 10 has no training images"),
        ("equal", None, "class_weights=equal: must be balanced, a list or weights by class name"),
        ("balanced", None, "needs class_counts"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    weights: Weights, counts: list[int] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        class_weight_tensor(weights, counts, CLASSES)
