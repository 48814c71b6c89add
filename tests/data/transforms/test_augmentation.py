import pytest
import torch
from torch import Generator, Tensor

from mobilenet_lab.data.transforms.augmentation import (
    Compose,
    Identity,
    RandomAffine,
    RandomElasticAffine,
    RandomErasing,
    RandomHorizontalFlip,
    RandomTranslate,
)
from mobilenet_lab.data.transforms.random_shift import RandomShift
from mobilenet_lab.runtime.errors import InputError

AUGMENTATIONS = [
    Identity(),
    RandomHorizontalFlip(),
    RandomTranslate(2),
    RandomAffine(10.0, 0.1, (0.9, 1.1), 5.0),
    RandomElasticAffine(10.0, 0.1, (0.9, 1.1), 5.0, 0.02, 5),
    RandomErasing(1.0, (0.05, 0.2), 3.0),
    RandomShift(0.1),
    Compose(flip=RandomHorizontalFlip(), translate=RandomTranslate(2), nothing=None),
]
FOR_DIGITS = [RandomTranslate(2), AUGMENTATIONS[3], AUGMENTATIONS[4]]


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def center_of_mass(images: Tensor) -> tuple[Tensor, Tensor]:
    mass = images.sum((1, 2, 3))
    ys = (images.sum((1, 3)) * torch.arange(images.shape[2])).sum(1) / mass
    xs = (images.sum((1, 2)) * torch.arange(images.shape[3])).sum(1) / mass
    return ys, xs


def skewness(mass: Tensor) -> Tensor:
    """Return the skewness of distributions of mass over places, shape (N, places)."""
    places = torch.arange(mass.shape[1])
    mass = mass / mass.sum(1, keepdim=True)
    offset = places - (mass * places).sum(1, keepdim=True)
    return (mass * offset**3).sum(1) / (mass * offset**2).sum(1) ** 1.5


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_is_a_function_of_the_seed(augmentation: RandomTranslate, channels: int) -> None:
    images = torch.rand(4, channels, 28, 28)
    before = images.clone()
    once, again = (augmentation(images, generator(5)) for _ in range(2))
    assert once.shape == images.shape
    assert torch.equal(once, again)
    assert torch.equal(images, before)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS[2:])
def test_every_image_gets_its_own_random_numbers(augmentation: RandomTranslate) -> None:
    images = torch.rand(1, 1, 28, 28).expand(64, -1, -1, -1)
    changed = augmentation(images, generator())
    assert len({tuple(c.flatten().tolist()) for c in changed}) > 15


def test_translate_moves_whole_pixels_up_to_the_limit() -> None:
    images = torch.zeros(500, 1, 9, 9)
    images[:, :, 4, 4] = 1
    shifted = RandomTranslate(2)(images, generator())
    places = shifted[:, 0].nonzero()[:, 1:]
    assert len(places) == 500
    assert shifted.sum() == 500
    assert {tuple(place) for place in places.tolist()} == {(y, x) for y in range(2, 7) for x in range(2, 7)}


def test_shift_is_a_translation_by_a_fraction_of_the_shorter_side() -> None:
    images = torch.rand(64, 3, 29, 40)
    shifted, translated = RandomShift(0.1)(images, generator()), RandomTranslate(2)(images, generator())
    assert torch.equal(shifted, translated)


def test_translate_moves_all_channels_together() -> None:
    images = torch.rand(8, 1, 12, 12).expand(-1, 3, -1, -1)
    shifted = RandomTranslate(3)(images, generator())
    assert torch.equal(shifted[:, 0], shifted[:, 2])


def test_affine_without_limits_is_the_identity() -> None:
    images = torch.rand(4, 2, 28, 28)
    changed = RandomAffine(0.0, 0.0, (1.0, 1.0))(images, generator())
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)


def test_affine_translates_by_fractions_of_the_side() -> None:
    images = torch.zeros(300, 1, 41, 41)
    images[:, :, 19:22, 19:22] = 1
    ys, xs = center_of_mass(RandomAffine(0.0, 0.1, (1.0, 1.0))(images, generator()))
    for moved in (ys - 20, xs - 20):
        assert 3.5 < moved.max() < 4.2
        assert -4.2 < moved.min() < -3.5


def test_affine_rotates_and_scales_within_limits() -> None:
    images = torch.zeros(300, 1, 61, 61)
    images[:, :, 29:32, 10:51] = 1  # a bar of 41 pixels through the center
    changed = RandomAffine(20.0, 0.0, (0.5, 1.0))(images, generator())
    lit = changed[:, 0] > 0.5
    lengths, angles = [], []
    for image in lit:
        places = image.nonzero().float()
        right, left = places[places[:, 1].argmax()], places[places[:, 1].argmin()]
        span = right - left
        lengths.append(span.norm().item())
        angles.append(torch.rad2deg(torch.atan2(span[0], span[1])).item())
    assert 18 < min(lengths) < 24
    assert 36 < max(lengths) < 43
    assert 15 < max(angles) < 26
    assert -26 < min(angles) < -15


@pytest.mark.parametrize("augmentation", FOR_DIGITS)
def test_digits_are_never_mirrored(augmentation: RandomTranslate) -> None:
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 8:20, 8:10] = 1  # an L: the foot points right
    images[:, :, 18:20, 8:18] = 1
    changed = augmentation(images, generator())
    # The stem is left of the center of mass and the foot below it; mirroring would negate the skewness.
    assert (skewness(changed.sum((1, 2))) > 0.3).all()
    assert (skewness(changed.sum((1, 3))) < -0.1).all()


def test_affine_shears_vertical_lines() -> None:
    images = torch.zeros(300, 1, 61, 61)
    images[:, :, 10:51, 29:32] = 1
    slanted = RandomAffine(0.0, 0.0, (1.0, 1.0), shear=20.0)(images, generator())
    columns = torch.arange(61)
    tops, bottoms = ((slanted[:, 0, row] * columns).sum(1) / slanted[:, 0, row].sum(1) for row in (12, 48))
    angles = torch.atan((tops - bottoms) / 36).rad2deg()
    assert 18 < angles.max() < 20.5
    assert -20.5 < angles.min() < -18
    torch.testing.assert_close(slanted[:, 0, 30], images[:, 0, 30], atol=0.02, rtol=0)


def test_elastic_displacements_have_the_configured_size() -> None:
    # The values of a ramp are the positions that pixels came from.
    ramp = torch.linspace(0, 1, 57).expand(400, 1, 57, 57)
    warped = RandomElasticAffine(0.0, 0.0, (1.0, 1.0), 0.0, 0.02, 5)(ramp, generator())
    moved = (warped - ramp)[:, 0, 28, 28]  # a point of the coarse grid
    assert moved.std().item() == pytest.approx(0.02, rel=0.15)
    assert abs(moved.mean().item()) < 0.004
    # The displacement is smooth: neighbors move almost equally, distant points do not.
    displacement = (warped - ramp)[:, 0, 10:47, 10:47]
    assert (displacement[:, :, 1:] - displacement[:, :, :-1]).abs().max() < 0.02
    far = torch.corrcoef(torch.stack([displacement[:, 4, 4], displacement[:, 32, 32]]))[0, 1]
    assert abs(far) < 0.2


def test_elastic_without_limits_is_the_identity() -> None:
    images = torch.rand(4, 2, 28, 28)
    changed = RandomElasticAffine(0.0, 0.0, (1.0, 1.0), 0.0, 0.0, 3)(images, generator())
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)


def test_erasing_blackens_one_rectangle_per_chosen_image() -> None:
    images = torch.ones(1000, 3, 40, 40)
    erased = RandomErasing(0.3, (0.05, 0.2), 3.0)(images, generator())
    assert set(erased.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(erased[:, 0], erased[:, 2])
    black = erased[:, 0] == 0
    share = black.any(dim=(1, 2)).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.05)
    areas = black.float().mean(dim=(1, 2))
    assert areas.max() < 0.22
    for image in black[black.any(dim=(1, 2))]:
        rows, columns = image.any(1), image.any(0)
        assert image.sum() == rows.sum() * columns.sum()  # a full rectangle
        if rows[0] or rows[-1] or columns[0] or columns[-1]:
            continue  # cut off by the edge
        assert 1 / 3.6 < rows.sum() / columns.sum() < 3.6


def test_erased_rectangle_holds_noise_or_the_mean_color() -> None:
    colors = torch.tensor([[0.2, 0.4, 0.9], [0.7, 0.1, 0.3]])
    images = colors[:, :, None, None].expand(-1, -1, 64, 64) + 0.02 * torch.randn(2, 3, 64, 64)
    erase = {fill: RandomErasing(1.0, (0.3, 0.3), 1.0, fill) for fill in ("black", "noise", "mean")}
    black, noisy, flat = (transform(images, generator(3)) for transform in erase.values())
    erased = (black == 0).all(dim=1)  # (N, H, W)
    for i in range(2):
        assert 200 < erased[i].sum() < 1300
        assert torch.equal(noisy[i][:, ~erased[i]], images[i][:, ~erased[i]])
        assert torch.equal(flat[i][:, ~erased[i]], images[i][:, ~erased[i]])
        expected = images[i].mean(dim=(1, 2))[:, None].expand(-1, int(erased[i].sum()))
        torch.testing.assert_close(flat[i][:, erased[i]], expected)
        values = noisy[i][:, erased[i]]
        assert values.mean().item() == pytest.approx(0.5, abs=0.05)
        assert values.std().item() == pytest.approx(12**-0.5, abs=0.03)  # uniform in [0, 1]
        assert not torch.equal(values[0], values[1])


def test_unknown_fill_is_refused() -> None:
    with pytest.raises(InputError, match="fill=white: must be one of black, noise, mean"):
        RandomErasing(1.0, (0.1, 0.2), 3.0, "white")


def test_flip_mirrors_half_of_the_images() -> None:
    images = torch.rand(1000, 2, 5, 6)
    mirrored = RandomHorizontalFlip()(images, generator())
    turned = (mirrored == images.flip(3)).all(3).all(2).all(1)
    kept = (mirrored == images).all(3).all(2).all(1)
    assert bool((turned ^ kept).all())
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.06)
