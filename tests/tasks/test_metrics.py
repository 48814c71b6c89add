import pytest
import torch
import torch.nn.functional as F

from mobilenet_lab.tasks.metrics import ClassificationMetrics


def test_metrics_of_unequal_batches_are_exact() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(103, 10), torch.randint(0, 10, (103,))
    metrics = ClassificationMetrics(10)
    for chunk, targets in zip(logits.split(40), labels.split(40), strict=True):
        metrics.update(F.cross_entropy(chunk, targets), chunk, targets)
    values = metrics.compute()
    assert values["accuracy"].item() == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert values["loss"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    for true in range(10):
        for predicted in range(10):
            expected = ((labels == true) & (logits.argmax(1) == predicted)).sum()
            assert values["confusion"][true, predicted] == expected


def test_reset_discards_the_earlier_batches() -> None:
    metrics = ClassificationMetrics(2)
    metrics.update(torch.tensor(1.0), torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    metrics.compute()
    metrics.reset()
    metrics.update(torch.tensor(0.5), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert metrics.compute()["accuracy"] == 1
    assert metrics.compute()["loss"] == 0.5
