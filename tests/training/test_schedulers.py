"""Learning rates of the schedules, step by step."""

import math

import pytest
import torch
from torch.optim import SGD

from mobilenet_lab.runtime.errors import InputError
from mobilenet_lab.training import schedulers
from mobilenet_lab.training.schedulers import Schedule


def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def two_groups() -> SGD:
    one, other = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    return SGD([{"params": [one]}, {"params": [other], "lr": 0.2}], lr=0.1)


def rates(schedule: Schedule, steps: int) -> list[float]:
    assert schedule["interval"] == "step"
    scheduler, values = schedule["scheduler"], []
    for _ in range(steps):
        values.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return values


def test_constant_keeps_the_learning_rate() -> None:
    assert rates(schedulers.constant(optimizer()), 10) == [0.1] * 10


def test_one_cycle_rises_and_falls() -> None:
    values = rates(schedulers.one_cycle(optimizer(), 100, 0.3, 0.04, 0.0), 101)
    assert values[0] == pytest.approx(0.004)
    assert values[15] == pytest.approx((0.004 + 0.1) / 2)
    assert values[30] == pytest.approx(0.1)
    assert values[65] == pytest.approx(0.05)
    assert values[100] == pytest.approx(0.0, abs=1e-12)
    assert values[:31] == sorted(values[:31])
    assert values[30:] == sorted(values[30:], reverse=True)


def test_cosine_has_a_linear_warm_up() -> None:
    values = rates(schedulers.cosine(optimizer(), 110, 10, 0.1), 111)
    assert values[:10] == pytest.approx([0.1 * (i + 1) / 11 for i in range(10)])
    assert values[10] == pytest.approx(0.1)
    assert values[35] == pytest.approx(0.01 + 0.09 * (1 + math.cos(math.pi / 4)) / 2)
    assert values[110] == pytest.approx(0.01)


def test_cosine_restarts_at_the_highest_learning_rate() -> None:
    values = rates(schedulers.cosine_restarts(optimizer(), 60, 10, 0.1, [3, 1, 2]), 61)
    assert values[:30] == rates(schedulers.cosine(optimizer(), 30, 10, 0.1), 30)
    for begin, end in ((30, 40), (40, 60)):
        assert values[begin] == pytest.approx(0.1)
        assert values[(begin + end) // 2] == pytest.approx(0.055)
        assert values[begin:end] == sorted(values[begin:end], reverse=True)
    assert values[60] == pytest.approx(0.01)


def test_cosine_restarts_with_a_warm_up_longer_than_a_cycle() -> None:
    values = rates(schedulers.cosine_restarts(optimizer(), 20, 12, 0.0, [1, 1]), 20)
    assert values[:12] == pytest.approx([0.1 * (i + 1) / 13 for i in range(12)])
    assert values[12] == pytest.approx(0.1)
    assert values[16] == pytest.approx(0.05)


def test_cosine_restarts_skips_cycles_without_a_step() -> None:
    values = rates(schedulers.cosine_restarts(optimizer(), 3, 0, 0.0, [1, 100, 1, 100]), 4)
    assert values == pytest.approx([0.1, 0.05, 0.1, 0.0])


def test_first_step_after_a_resume_uses_the_new_schedule() -> None:
    before, after = two_groups(), two_groups()
    ended = schedulers.cosine(before, 10, 0, 0.0)
    assert rates(ended, 10)[-1] < 0.01
    longer = schedulers.cosine(after, 20, 0, 0.0)
    after.load_state_dict(before.state_dict())  # in Lightning's order
    longer["scheduler"].load_state_dict(ended["scheduler"].state_dict())
    assert longer["scheduler"].get_last_lr() == pytest.approx([0.05, 0.1])
    assert rates(longer, 3) == rates(schedulers.cosine(two_groups(), 20, 0, 0.0), 13)[10:]


def test_plateau_reduces_when_the_loss_does_not_fall() -> None:
    schedule = schedulers.plateau(optimizer(), factor=0.1, patience=1, min_lr=0.0)
    assert (schedule["interval"], schedule["monitor"]) == ("epoch", "val/loss")
    scheduler = schedule["scheduler"]
    for loss in (1.0, 1.0, 1.0):
        scheduler.step(loss)
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_range_test_rises_exponentially_to_the_optimizers_rate() -> None:
    values = rates(schedulers.range_test(optimizer(), 5, 0.0001), 5)
    assert values == pytest.approx([0.00001, 0.0001, 0.001, 0.01, 0.1])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("one_cycle", (0.3, 0.04, 0.0)),
        ("cosine", (10, 0.0)),
        ("cosine_restarts", (10, 0.0, [1, 2])),
        ("range_test", (0.1,)),
    ],
)
def test_infinite_number_of_steps_is_refused(name: str, arguments: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="total_steps=inf: this schedule needs a number"):
        getattr(schedulers, name)(optimizer(), math.inf, *arguments)
