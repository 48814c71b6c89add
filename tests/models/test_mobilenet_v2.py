import pytest
import torch
from torchvision_reference import PAPER, functional_forward

from mobilenet_lab import MobileNetV2
from mobilenet_lab.config import combinations
from mobilenet_lab.models import mobilenet_v2
from mobilenet_lab.models.mobilenet_v2 import InvertedResidual, round_channels


def parameters_by_hand(filters: int, in_channels: int, num_classes: int) -> int:
    """Count weights of convolutions, two numbers per BatchNorm channel, and the last layer."""

    def conv_bn(inputs: int, outputs: int, kernel: int, groups: int = 1) -> int:
        return inputs // groups * outputs * kernel * kernel + 2 * outputs

    channels = 32 * filters // 8
    total = conv_bn(in_channels, channels, 3)
    for t, c, n, _ in PAPER:
        for _ in range(n):
            outputs, hidden = c * filters // 8, channels * t
            total += conv_bn(channels, hidden, 1) if t > 1 else 0
            total += conv_bn(hidden, hidden, 3, groups=hidden) + conv_bn(hidden, outputs, 1)
            channels = outputs
    return total + conv_bn(channels, 1280, 1) + 1280 * num_classes + num_classes


def num_parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("filters", [2, 4, 8, 16])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_parameter_count_matches_the_papers_table(filters: int, in_channels: int) -> None:
    network = MobileNetV2(filters, in_channels, 10)
    assert num_parameters(network) == parameters_by_hand(filters, in_channels, 10)


@pytest.mark.parametrize(("num_classes", "expected"), [(10, 2_236_682), (1000, 3_504_872)])
def test_parameter_count_matches_the_published_one(num_classes: int, expected: int) -> None:
    assert num_parameters(MobileNetV2(8, 3, num_classes)) == expected


def divisible(channels: float) -> int:
    """Return torchvision's `_make_divisible(channels, 8)`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def torchvision_parameters(width: float) -> int:
    """Count the parameters of torchvision's `mobilenet_v2(width_mult=width)`, by its documented formulas."""
    inputs = divisible(32 * width)
    total = inputs * 3 * 9 + 2 * inputs
    for t, c, n, _ in PAPER:
        outputs = divisible(c * width)
        for _ in range(n):
            hidden = inputs * t
            total += (inputs * hidden + 2 * hidden) * (t > 1)  # expand
            total += 9 * hidden + 2 * hidden + hidden * outputs + 2 * outputs
            inputs = outputs
    head = divisible(1280 * max(1.0, width))
    return total + inputs * head + 2 * head + head * 1000 + 1000


@pytest.mark.parametrize(
    ("filters", "width", "published"),  # in the table of the paper's reference code, in millions
    [
        (2.8, 0.35, 1.66),
        (4, 0.5, 1.95),
        (6, 0.75, 2.61),
        (8, 1.0, 3.47),
        (10.4, 1.3, 5.34),
        (11.2, 1.4, 6.06),
    ],
)
def test_fractions_of_filters_are_published_widths(filters: float, width: float, published: float) -> None:
    parameters = num_parameters(MobileNetV2(filters, 3, 1000, round_to=8))
    assert parameters == torchvision_parameters(width)
    assert parameters / 1e6 == pytest.approx(published, abs=0.06)


def test_fraction_of_a_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"filters=2.8: makes fractions of channels; .*round_to=8"):
        MobileNetV2(2.8)


@pytest.mark.parametrize("filters", [1, 3, 5, 7])
def test_every_width_changes_the_network_and_runs(filters: int) -> None:
    network = MobileNetV2(filters)
    assert network.features[0][0].out_channels == 4 * filters
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_names_and_logits_equal_torchvision() -> None:
    torch.manual_seed(0)
    network = MobileNetV2(8, 3, 10).double()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected = functional_forward(network.state_dict(), images)
    torch.testing.assert_close(network.eval()(images), expected, rtol=1e-10, atol=1e-10)
    assert len(network.state_dict()) == 314  # as torchvision's mobilenet_v2


def test_features_return_one_map_per_resolution() -> None:
    network = MobileNetV2(8, 3)
    maps = network.features(torch.zeros(1, 3, 96, 64))
    assert network.features.reductions == [2, 4, 8, 16, 32]
    assert network.features.channels == [16, 24, 32, 96, 1280]
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 48, 32),
        (24, 24, 16),
        (32, 12, 8),
        (96, 6, 4),
        (1280, 3, 2),
    ]


def test_strides_are_arguments() -> None:
    network = MobileNetV2(2, stem_stride=1, strides=(1, 1, 2, 1, 1, 2, 1))
    assert network.features.reductions == [1, 2, 4]
    assert [m.shape[-1] for m in network.features(torch.zeros(1, 1, 28, 28))] == [28, 14, 7]


def test_zero_init_residual_makes_shortcut_blocks_the_identity() -> None:
    network = MobileNetV2(2, zero_init_residual=True).eval()
    blocks = [m for m in network.modules() if isinstance(m, InvertedResidual) and m.has_shortcut]
    assert len(blocks) == 10
    for block in blocks:
        x = torch.randn(2, block.conv[-1].num_features, 5, 5)
        torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("filters", [2, 3, 4, 6, 8, 11])
def test_round_to_follows_the_reference_rule(filters: int) -> None:
    def reference(value: float) -> int:  # tensorflow/models, slim/nets/mobilenet: _make_divisible
        new = max(8, int(value + 4) // 8 * 8)
        return new + 8 if new < 0.9 * value else new

    network = MobileNetV2(filters, round_to=8)
    ratio = filters / 8
    assert network.features[0][0].out_channels == reference(32 * ratio)
    assert network.features[17].conv[-1].num_features == reference(320 * ratio)
    assert network.features[18][0].out_channels == reference(1280 * max(1.0, ratio))


def test_round_channels_keeps_whole_numbers_at_one() -> None:
    assert [round_channels(n, 1) for n in (1, 7, 320)] == [1, 7, 320]


@pytest.mark.parametrize(
    "arguments",
    [{"filters": 0}, {"in_channels": 0}, {"num_classes": 0}, {"strides": (1, 2)}, {"stem_stride": 0}],
)
def test_bad_argument_error_names_it(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MobileNetV2(**arguments)  # type: ignore[arg-type]


def test_loss_falls_on_one_repeated_batch() -> None:
    torch.manual_seed(0)
    network = MobileNetV2(2, stem_stride=1, dropout=0.0)
    images, labels = torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9)
    losses = []
    for _ in range(50):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_channels_last_gives_the_same_logits() -> None:
    torch.manual_seed(0)
    network, images = MobileNetV2(4).double().eval(), torch.randn(2, 1, 28, 28, dtype=torch.float64)
    expected = network(images)
    actual = network.to(memory_format=torch.channels_last)(images)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def test_bn_momentum_is_the_weight_of_the_current_batch() -> None:
    images = torch.randn(8, 1, 28, 28)
    network = MobileNetV2(filters=1, bn_momentum=0.3)
    network(images)
    norm, stem = network.features[0][1], network.features[0][0](images)
    torch.testing.assert_close(norm.running_mean, 0.3 * stem.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.7 + 0.3 * stem.var(dim=(0, 2, 3)))


def test_dropout_applies_in_training_only() -> None:
    network = MobileNetV2(filters=1, dropout=0.5, bn_momentum=0.0)
    features = torch.ones(4, 1280)
    dropped = network.train().classifier[0](features)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(network.eval().classifier[0](features), features)


def test_check_of_the_configuration_knows_which_images_are_small() -> None:
    """The check runs before PyTorch, and so this module, can be imported."""
    assert combinations.SMALL_IMAGE == mobilenet_v2.SMALL_IMAGE
