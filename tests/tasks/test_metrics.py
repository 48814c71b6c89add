import pytest
import torch
import torch.nn.functional as F

from mobilenet_lab.tasks.metrics import ClassificationMetrics


def test_epoch_is_exact_also_with_unequal_batches() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(103, 10), torch.randint(0, 10, (103,))
    sums = ClassificationMetrics(10)
    for chunk, targets in zip(logits.split(40), labels.split(40), strict=True):
        sums.update(F.cross_entropy(chunk, targets), chunk, targets)
    values = sums.compute()
    assert values["accuracy"].item() == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert values["loss"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    for true in range(10):
        for predicted in range(10):
            expected = ((labels == true) & (logits.argmax(1) == predicted)).sum()
            assert values["confusion"][true, predicted] == expected


def test_reset_starts_a_new_epoch() -> None:
    sums = ClassificationMetrics(2)
    sums.update(torch.tensor(1.0), torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    sums.compute()
    sums.reset()
    sums.update(torch.tensor(0.5), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert sums.compute()["accuracy"] == 1
    assert sums.compute()["loss"] == 0.5
