import pytest
import torch
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.mixup import CutMix, Mixing, MixUp, MixUpOrCutMix, NoMixing

NUM_CLASSES = 10


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def flat_images(count: int) -> tuple[Tensor, Tensor]:
    """Return uniform images whose gray level is their label, so that a mixture shows its target."""
    labels = torch.arange(count) % NUM_CLASSES
    return labels.float().view(-1, 1, 1, 1).expand(-1, 1, 20, 20).clone(), labels


@pytest.mark.parametrize("mixing", [MixUp(0.4, 1.0), CutMix(1.0, 1.0)])
def test_targets_are_the_shares_of_the_images(mixing: Mixing) -> None:
    images, labels = flat_images(500)
    mixed, targets = mixing(images, labels, NUM_CLASSES, generator())
    assert targets.shape == (500, NUM_CLASSES)
    torch.testing.assert_close(targets.sum(1), torch.ones(500))
    grays = targets @ torch.arange(NUM_CLASSES).float()
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), grays, atol=1e-4, rtol=1e-4)
    # Only an image and its neighbor contribute.
    both = targets.gather(1, torch.stack([labels, labels.roll(-1)], 1)).sum(1)
    torch.testing.assert_close(both, torch.ones(500))


def test_mixup_weights_have_the_beta_distribution() -> None:
    images, labels = flat_images(5000)
    _, targets = MixUp(0.2, 1.0)(images, labels, NUM_CLASSES, generator())
    partner = targets.gather(1, labels.roll(-1)[:, None])
    assert partner.mean().item() == pytest.approx(0.5, abs=0.02)
    # Variance of Beta(a, a): 1 / (4 (2 a + 1))
    assert partner.var().item() == pytest.approx(1 / (4 * 1.4), rel=0.05)


def test_cutmix_pastes_one_rectangle() -> None:
    images, labels = torch.rand(200, 3, 16, 16), torch.arange(200) % NUM_CLASSES
    mixed, targets = CutMix(1.0, 1.0)(images, labels, NUM_CLASSES, generator())
    theirs = (mixed == images.roll(-1, 0)).all(1)
    own = (mixed == images).all(1)
    assert bool((theirs ^ own).all())
    for cut, target, label in zip(theirs, targets, labels, strict=True):
        assert cut.sum() == cut.any(1).sum() * cut.any(0).sum()
        assert target[label].item() == pytest.approx(1 - cut.float().mean().item(), abs=1e-5)


@pytest.mark.parametrize("mixing", [MixUp(1.0, 0.25), CutMix(1.0, 0.25)])
def test_probability_is_the_fraction_of_mixed_images(mixing: Mixing) -> None:
    images, labels = flat_images(4000)
    _, targets = mixing(images, labels, NUM_CLASSES, generator())
    assert (targets.max(1).values < 1).float().mean().item() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("mixing", [MixUp(0.2, 1.0), CutMix(1.0, 0.5)])
def test_is_a_function_of_the_seed(mixing: Mixing) -> None:
    images, labels = flat_images(8)
    once, again, other = (mixing(images, labels, NUM_CLASSES, generator(seed))[1] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_mixup_or_cutmix_picks_one_of_both_per_batch() -> None:
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
    both = (MixUp(0.2, 1.0), CutMix(1.0, 1.0))
    picks = []
    for seed in range(200):
        mixed, targets = MixUpOrCutMix(0.2, 1.0, 1.0)(images, labels, NUM_CLASSES, generator(seed))
        expected = [mixing(images, labels, NUM_CLASSES, generator(seed)) for mixing in both]
        same = [torch.equal(mixed, one) and torch.equal(targets, other) for one, other in expected]
        assert sum(same) == 1
        picks.append(same.index(True))
    assert 70 < sum(picks) < 130


def test_no_mixing_keeps_labels() -> None:
    images, labels = flat_images(4)
    same, targets = NoMixing()(images, labels, NUM_CLASSES, generator())
    assert same is images
    assert targets is labels
